//! `cargo xtask run`: the example's machine, from host files to the tailnet.

use super::Outcome;

/// Builds the programs and shows it; `--keep` leaves the machine running.
pub fn run(arguments: &[String]) -> Outcome {
    let keep = match arguments {
        [] => false,
        [word] if word == "--keep" => true,
        _ => return Err("run takes --keep and nothing else".into()),
    };
    super::dist::run(&[])?;
    Ok(landfall_qemu_tests::demonstration::run(keep)?)
}
