//! `landfall completions SHELL`.

use super::context::Context;
use super::failure::Failure;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

/// Prints the script to standard output.
pub(super) fn run(args: &CompletionsArgs, _context: &Context) -> Result<(), Failure> {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "landfall", &mut std::io::stdout());
    Ok(())
}
