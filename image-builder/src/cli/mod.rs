//! The command line: a table of subcommands; each lives in a file of its own.

mod completions;
pub mod context;
pub mod failure;
mod host;
pub mod progress;
mod secret;
mod vault;

use clap::{Parser, Subcommand};
use context::Context;
use failure::Failure;

/// Machines that are exact copies of what a git repo says.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Machines of the site and their identities
    Host(host::HostArgs),
    /// Secrets of the site
    Secret(secret::SecretArgs),
    /// Prints a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// Runs the command that was asked for.
    ///
    /// # Errors
    /// Whatever the command ended with.
    pub fn run(self) -> Result<(), Failure> {
        let context = self.context;
        match self.command {
            Command::Host(args) => host::run(&args, &context),
            Command::Secret(args) => secret::run(&args, &context),
            Command::Completions(args) => completions::run(&args, &context),
        }
    }
}
