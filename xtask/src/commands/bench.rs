//! `cargo xtask bench`: the measurements, with ratios and raw figures.

use super::Outcome;

/// Builds the programs and measures; letters choose among the measurements.
pub fn run(arguments: &[String]) -> Outcome {
    super::dist::run(&[])?;
    Ok(landfall_qemu_tests::bench::run_letters(&arguments.concat())?)
}
