//! `cargo xtask pipe PORT`: QEMU forks this per connection of a guest; see the harness's `pipe`.

use super::Outcome;

/// Carries stdin and stdout to a loopback port.
pub fn run(arguments: &[String]) -> Outcome {
    let port = arguments.first().and_then(|word| word.parse().ok()).ok_or("pipe needs a port")?;
    Ok(landfall_qemu_tests::pipe::run(port)?)
}
