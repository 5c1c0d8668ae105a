//! `landfall-machine`: first boot and the running machine.

use clap::Parser;
use landfall_firstboot::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("landfall-machine: {error}");
            ExitCode::FAILURE
        }
    }
}
