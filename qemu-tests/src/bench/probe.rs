//! (p): how long the probe takes, on the tree of the computer that measures and on those of recorded machines.

use super::say;
use crate::error::{Doing, Error, Result};
use crate::process::run;
use crate::tools;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The aim on hardware.
const AIM_MILLISECONDS: f64 = 50.0;
const ROUNDS: usize = 40;
/// One machine of so many is asked, each so often.
const EVERY: usize = 5;
const ROUNDS_EACH: usize = 5;

/// Both kinds of tree.
pub(super) fn time() -> Result<()> {
    this_computer()?;
    recorded_machines()
}

/// The whole program, from its start to the last byte of its answer.
fn this_computer() -> Result<()> {
    let (seconds, answer) = probe(&[], ROUNDS)?;
    let json: serde_json::Value = serde_json::from_slice(&answer)
        .map_err(|error| Error::Unexpected(format!("reading what the probe said: {error}")))?;
    let count = |list: &serde_json::Value| list.as_array().map_or(0, Vec::len);
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
    say(
        'p',
        &format!("the probe here: {:.1} ms, and {AIM_MILLISECONDS:.0} ms is the aim", middle(&seconds)),
        &raw,
    );
    Ok(())
}

/// The trees of `cargo xtask probe-corpus`, where they are: a record's own PCI functions, power supplies and DMI.
fn recorded_machines() -> Result<()> {
    let corpus = std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from);
    let corpus = corpus.unwrap_or_else(|| tools::workspace().join("../shared/corpus"));
    let records = corpus.join("machines.jsonl");
    if !records.exists() {
        say('p', "recorded machines: not measured", "LANDFALL_CORPUS names no folder with machines.jsonl");
        return Ok(());
    }
    let trees = tempfile::tempdir().doing("creating a folder in", &std::env::temp_dir())?;
    let mut maker = Command::new("python3");
    maker.arg(corpus.join("mk_sysfs.py")).arg(trees.path()).arg("--jsonl").arg(&records);
    run(maker.args(["--all", "--ps", "form"]))?;
    let listed = std::fs::read_dir(trees.path()).doing("listing", trees.path())?;
    let mut machines: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    machines.sort();
    let (mut best, mut all) = (f64::INFINITY, Vec::new());
    for machine in machines.iter().step_by(EVERY) {
        let (seconds, _) = probe(&["--root".into(), machine.clone()], ROUNDS_EACH)?;
        best = best.min(seconds[0]);
        all.push(middle(&seconds) / 1000.0);
    }
    all.sort_by(f64::total_cmp);
    let slowest = all.last().copied().unwrap_or_default();
    let what = format!("the probe on {} recorded machines: median {:.1} ms", all.len(), middle(&all));
    say('p', &what, &format!("best {:.1} ms, slowest machine {:.1} ms", 1000.0 * best, 1000.0 * slowest));
    Ok(())
}

/// Sorted seconds of so many runs, and the last answer.
fn probe(words: &[PathBuf], rounds: usize) -> Result<(Vec<f64>, Vec<u8>)> {
    let program = tools::target().join("dist/landfall");
    let (mut seconds, mut answer) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let output = Command::new(&program).args(["probe", "--json"]).args(words).output();
        seconds.push(start.elapsed().as_secs_f64());
        answer = output.doing("running", &program)?.stdout;
    }
    seconds.sort_by(f64::total_cmp);
    Ok((seconds, answer))
}

/// The median in milliseconds.
fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).map_or(0.0, |seconds| 1000.0 * seconds)
}
