//! How long the probe takes on the tree of the computer that measures.

use super::say;
use crate::error::{Doing, Error, Result};
use crate::tools;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The aim on hardware.
const AIM_MILLISECONDS: f64 = 50.0;
const ROUNDS: usize = 40;

/// The whole program, from its start to the last byte of its answer.
pub(super) fn time() -> Result<()> {
    let program = tools::target().join("dist/landfall");
    let (mut seconds, mut answer) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let output = Command::new(&program).args(["probe", "--json"]).output().doing("running", &program)?;
        seconds.push(start.elapsed().as_secs_f64());
        answer = output.stdout;
    }
    seconds.sort_by(f64::total_cmp);
    let json: serde_json::Value = serde_json::from_slice(&answer)
        .map_err(|error| Error::Unexpected(format!("reading what the probe said: {error}")))?;
    let count = |list: &serde_json::Value| list.as_array().map_or(0, Vec::len);
    let median = 1000.0 * seconds[ROUNDS / 2];
    let names =
        ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"].iter().any(|path| Path::new(path).exists());
    let raw = format!(
        "best {:.1} ms of {ROUNDS}; a {} with {} PCI functions, {} disks, {} threads, {} list of PCI names",
        1000.0 * seconds[0],
        json["profile"].as_str().unwrap_or("machine"),
        count(&json["facts"]["pci_devices"]),
        count(&json["disks"]),
        json["facts"]["cpu"]["threads"],
        if names { "with a" } else { "without a" },
    );
    say('p', &format!("the probe: {median:.1} ms, and {AIM_MILLISECONDS:.0} ms is the aim"), &raw);
    Ok(())
}
