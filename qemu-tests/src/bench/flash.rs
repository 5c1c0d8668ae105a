//! (g): what `landfall flash` makes of a stick's speed.

use super::{Bench, say};
use crate::error::{Error, Result};
use crate::flashing::{Desk, OTHER_MIB, STICK_MIB};

/// Writing a blank stick, and reading it back, beside dd of the same image to a disk on the same bus.
pub fn flash_rate(bench: &Bench) -> Result<()> {
    let mut desk = Desk::set_up(&bench.fixture)?;
    let dd = desk.dd(OTHER_MIB)?;
    let flash = desk.flash(STICK_MIB, "")?;
    let seconds = |after: &str| -> Result<f64> {
        let rest = flash.said.split(after).nth(1).and_then(|rest| rest.split(" s").next());
        rest.and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| Error::Unexpected(format!("no seconds after {after:?} in: {}", flash.said)))
    };
    let (write, read) = (seconds("MB in ")?, seconds("read back in ")?);
    let what = format!("a stick written by flash against dd conv=fsync: {:.2}", write / dd);
    let line = flash.said.lines().find(|line| line.starts_with("Wrote ")).unwrap_or_default();
    say('g', &what, &format!("{write:.1} s and {dd:.1} s, and {read:.1} s to read it back: {line}"));
    Ok(())
}
