//! (m): the least memory in which an install from the medium, started by the firmware, comes to its end.

use super::{Bench, say};
use crate::error::Result;
use crate::guest::{Drive, Guest};
use crate::rehearsal::Machine;
use std::time::Duration;

/// Between what is too little and what is enough, in MiB.
const STEP_MIB: u32 = 64;
/// What the first guest has.
const FIRST_MIB: u32 = 512;

/// A sign on the console, and what it means.
const ENDS: [(&str, &str); 4] = [
    ("LANDFALL INSTALL done", DONE),
    ("LANDFALL REFUSED", "refused in words"),
    ("LANDFALL FAILED", "failed in words"),
    ("Kernel panic", "the kernel gave up"),
];
const DONE: &str = "installed";

/// Halves the range until it is one step wide.
pub(super) fn floor(bench: &Bench) -> Result<()> {
    let (usual, _, seconds) = bench.machine()?;
    // Little memory makes an install slower, and a firmware without enough of it says nothing at all.
    let limit = Duration::from_secs_f64(3.0 * seconds + 60.0);
    let (mut fails, mut works) = (0, usual.config("install").machine.memory_mib);
    let (mut mib, mut tried) = (FIRST_MIB, Vec::new());
    while works - fails > STEP_MIB {
        let end = install(bench, mib, limit)?;
        tried.push(format!("{mib} MiB: {end}"));
        match end {
            DONE => works = mib,
            _ => fails = mib,
        }
        mib = fails + (works - fails) / 2 / STEP_MIB * STEP_MIB;
    }
    say('m', &format!("an install needs {works} MiB of memory, and not {fails} MiB"), &tried.join(", "));
    Ok(())
}

/// What an install in so much memory ended with.
fn install(bench: &Bench, mib: u32, limit: Duration) -> Result<&'static str> {
    let machine = Machine::new(&bench.fixture, &format!("bench-{mib}-mib"))?;
    let mut config = machine.config("install");
    config.machine.memory_mib = mib;
    config.machine.drives = vec![Drive::stick(&machine.stick), machine.target()];
    let mut guest = Guest::start(&config)?;
    while guest.elapsed() < limit {
        let (off, console) = (guest.is_off(), guest.console());
        if let Some((_, end)) = ENDS.iter().find(|(sign, _)| console.contains(sign)) {
            return Ok(end);
        }
        if off {
            return Ok("started anew");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok("silent until the time was up")
}
