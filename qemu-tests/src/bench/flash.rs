//! (g): what `landfall flash` makes of a stick's speed.

use super::{Bench, say};
use crate::error::{Doing, Error, Result};
use crate::flashing::{Desk, OTHER_MIB, STICK_MIB};

/// Writing a blank stick, and reading it back, beside dd with conv=fsync of the same image, on the same bus with the
/// same way to this computer's disk. flash leaves out what is not used, so times and rates are told apart.
pub fn flash_rate(bench: &Bench) -> Result<()> {
    let mut desk = Desk::set_up(&bench.fixture)?;
    let image_bytes = std::fs::metadata(&desk.image).doing("reading the size of", &desk.image)?.len();
    let dd = desk.dd(OTHER_MIB)?;
    let flash = desk.flash(STICK_MIB, "")?;
    let number = |after: &str, unit: &str| -> Result<f64> {
        let rest = flash.said.split(after).nth(1).and_then(|rest| rest.split(unit).next());
        rest.and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| Error::Unexpected(format!("no number after {after:?} in: {}", flash.said)))
    };
    let wrote = number("Wrote ", " MB")?;
    let (write, read) = (number("MB in ", " s")?, number("read back in ", " s")?);
    let (rate, dd_rate) = (wrote / write, image_bytes as f64 / 1e6 / dd);
    let what = format!(
        "a stick written by flash against dd conv=fsync: time {:.2}, read back too {:.2}, rate {:.2}",
        write / dd,
        (write + read) / dd,
        rate / dd_rate
    );
    let raw = format!(
        "flash {write:.1} s for {wrote:.0} MB ({rate:.1} MB/s) and {read:.1} s to read it back; dd {dd:.1} s for \
         {:.0} MB ({dd_rate:.1} MB/s)",
        image_bytes as f64 / 1e6
    );
    say('g', &what, &raw);
    Ok(())
}
