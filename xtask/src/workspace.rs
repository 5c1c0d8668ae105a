//! Where the workspace is, and how to run cargo in it.

use crate::commands::Outcome;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's top folder: the parent of this crate's.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    landfall_qemu_tests::tools::target()
}

/// Runs cargo at the workspace's top with its output passed through.
pub fn cargo(arguments: &[&str]) -> Outcome {
    cargo_with(arguments, &[])
}

/// Like [`cargo`], with environment variables set.
pub fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    run(&mut command, &format!("cargo {}", arguments.join(" ")))
}

/// Runs a prepared command at the workspace's top; `what` names it in the error.
pub fn run(command: &mut Command, what: &str) -> Outcome {
    eprintln!("xtask: {what}");
    let status = command.current_dir(root()).status().map_err(|error| format!("starting {what}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what} failed ({status})").into()) }
}
