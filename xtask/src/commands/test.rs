//! `cargo xtask test`: lints, unit tests, then the tests that boot guests and build media.

use super::Outcome;
use crate::workspace::{cargo, cargo_with};
use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::site::HOST;
use landfall_qemu_tests::tools;
use std::time::Instant;

/// The files of `qemu-tests/tests`, in the order in which a fault shows soonest. All of them together stay below an
/// hour on 2 cores.
const SUITES: &[&str] = &[
    "firmware",
    "tailnet",
    "images",
    "refusals",
    "flash",
    "interactive",
    "encryption",
    "tpm",
    "tpm_pin",
    "profiles",
    "bios",
    "nvram",
    "buses",
    "keep",
    "faults",
    "power_cut",
    "matrix",
    "machine",
    "rehearse",
];

/// How long a fuzz target runs (`landfall_fuzz::SECONDS`).
const FUZZ_SECONDS: &str = "LANDFALL_FUZZ_SECONDS";
/// Ten minutes each.
const FUZZ_LONG: &str = "600";

/// Runs everything that a change must pass.
pub fn run(arguments: &[String]) -> Outcome {
    let (all, only) = parse(arguments)?;
    if let Some(name) = only {
        super::dist::run(&[])?;
        return suite(None, Some(name), true);
    }
    let start = Instant::now();
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    super::tidy::run(&[])?;
    // Unit tests of encrypted disks pass over themselves where a computer cannot judge one.
    tools::ensure(&[tools::Need::Encryption])?;
    cargo(&["test", "--workspace", "--locked"])?;
    super::dist::run(&[])?;
    for name in SUITES {
        suite(Some(name), None, all)?;
        eprintln!("xtask: {:.0} s so far", start.elapsed().as_secs_f64());
    }
    if !all {
        return Ok(());
    }
    against_mmdebstrap()?;
    fuzz()
}

/// Every fuzz target for its full time; `cargo test` has run each for a second.
fn fuzz() -> Outcome {
    cargo_with(&["test", "--workspace", "--locked", "--test", "fuzz"], &[(FUZZ_SECONDS, FUZZ_LONG)])
}

/// The layers, file by file, against mmdebstrap on the packages of the shared fixture.
fn against_mmdebstrap() -> Outcome {
    tools::ensure(&[tools::Need::Peers])?;
    let fixture = Fixture::shared()?;
    let lock = fixture.site.folder.join("landfall.lock");
    let environment = [
        ("LANDFALL_TEST_LOCK", lock.display().to_string()),
        ("LANDFALL_TEST_LAYER", format!("{HOST}/packages")),
        ("LANDFALL_TEST_CACHE", tools::cache().display().to_string()),
    ];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let words = [
        "test",
        "--locked",
        "-p",
        "landfall-layers",
        "--test",
        "mmdebstrap",
        "--",
        "--ignored",
        "--nocapture",
    ];
    cargo_with(&words, &environment)
}

fn parse(arguments: &[String]) -> Result<(bool, Option<&str>), Box<dyn std::error::Error>> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => Ok((false, None)),
        ["--all"] => Ok((true, None)),
        ["--only", name] => Ok((true, Some(name))),
        _ => Err("test takes --all, or --only NAME".into()),
    }
}

/// The module of a suite whose tests only `--all` runs. libtest skips every name that contains the word.
const LONG: &str = "long::";

/// One at a time: guests of one run must not fight for two cores, and tests of one file share a machine.
fn suite(file: Option<&str>, filter: Option<&str>, long: bool) -> Outcome {
    let mut words = vec!["test", "--locked", "-p", "landfall-qemu-tests"];
    match file {
        Some(name) => words.extend(["--test", name]),
        None => words.extend(["--tests"]),
    }
    words.push("--");
    words.extend(filter);
    if !long {
        words.extend(["--skip", LONG]);
    }
    words.extend(["--ignored", "--test-threads=1", "--nocapture"]);
    cargo(&words)
}
