//! `cargo xtask test`: lints, unit tests, then one QEMU test per promise.

use super::Outcome;
use crate::workspace::cargo;

/// Runs everything that a change must pass.
pub fn run(_arguments: &[String]) -> Outcome {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    super::tidy::run(&[])?;
    cargo(&["test", "--workspace", "--locked"])
}
