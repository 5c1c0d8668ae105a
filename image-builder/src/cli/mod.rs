//! The command line: a table of subcommands; each lives in a file of its own.

mod adopt;
mod build;
mod carry;
mod check;
mod completions;
pub mod context;
pub mod failure;
mod flash;
mod host;
pub mod lock;
mod medium;
mod new;
mod pipe;
mod probe;
pub mod progress;
mod report;
mod run;
mod schema;
mod secret;
mod show;
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
    /// Builds hosts and composes the medium that installs them
    Build(build::BuildArgs),
    /// Builds hosts and writes the medium to a stick
    Flash(flash::FlashArgs),
    /// Rehearses a host in QEMU, from its own medium to its own disk
    Run(run::RunArgs),
    /// Makes a site to start from
    New(new::NewArgs),
    /// Tells every error of every host
    Check(check::CheckArgs),
    /// Prints the merged host, or who set a key
    Show(show::ShowArgs),
    /// Tells what this machine is, and the profile that gives
    Probe(probe::ProbeArgs),
    /// Shows what an installation said: from its report, or from the stick that has it
    Report(report::ReportArgs),
    /// Prints the site's JSON Schema, for editors
    Schema(schema::SchemaArgs),
    /// Machines of the site and their identities
    Host(host::HostArgs),
    /// Resolves packages and writes landfall.lock
    Lock(lock::LockArgs),
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
        pipe::may_close();
        let context = self.context;
        match self.command {
            Command::Build(args) => build::run(&args, &context),
            Command::Flash(args) => flash::run(&args, &context),
            Command::Run(args) => run::run(&args, &context),
            Command::New(args) => new::run(&args, &context),
            Command::Check(args) => check::run(&args, &context),
            Command::Show(args) => show::run(&args, &context),
            Command::Probe(args) => probe::run(&args, &context),
            Command::Report(args) => report::run(&args, &context),
            Command::Schema(args) => schema::run(&args, &context),
            Command::Host(args) => host::run(&args, &context),
            Command::Lock(args) => lock::run(&args, &context),
            Command::Secret(args) => secret::run(&args, &context),
            Command::Completions(args) => completions::run(&args, &context),
        }
    }
}
