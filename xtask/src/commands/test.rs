//! `cargo xtask test`: lints, unit tests, then the tests that boot guests and build media.

use super::Outcome;
use crate::workspace::cargo;
use std::time::Instant;

/// Which runs a test file belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Every run: all of them stay below an hour on 2 cores.
    Core,
    /// `--all`.
    All,
}

/// The files of `qemu-tests/tests`, in the order in which a fault shows soonest.
const SUITES: &[(&str, When)] = &[("firmware", When::Core), ("tailnet", When::Core), ("peers", When::All)];

/// Runs everything that a change must pass.
pub fn run(arguments: &[String]) -> Outcome {
    let (all, only) = parse(arguments)?;
    if let Some(name) = only {
        super::dist::run(&[])?;
        return suite(None, Some(name));
    }
    let start = Instant::now();
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    super::tidy::run(&[])?;
    cargo(&["test", "--workspace", "--locked"])?;
    super::dist::run(&[])?;
    for (name, when) in SUITES {
        if all || *when == When::Core {
            suite(Some(name), None)?;
            eprintln!("xtask: {:.0} s so far", start.elapsed().as_secs_f64());
        }
    }
    Ok(())
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

/// One at a time: guests of one run must not fight for two cores, and tests of one file share a machine.
fn suite(file: Option<&str>, filter: Option<&str>) -> Outcome {
    let mut words = vec!["test", "--locked", "-p", "landfall-qemu-tests"];
    match file {
        Some(name) => words.extend(["--test", name]),
        None => words.extend(["--tests"]),
    }
    words.push("--");
    words.extend(filter);
    words.extend(["--ignored", "--test-threads=1", "--nocapture"]);
    cargo(&words)
}
