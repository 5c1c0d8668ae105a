//! `cargo xtask`: a table of subcommands, one file each.

mod commands;
mod tidy;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = match arguments.split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("help", &arguments[..]),
    };
    let Some(command) = commands::TABLE.iter().find(|command| command.name == name) else {
        eprint!("{}", commands::usage());
        return ExitCode::from(if name == "help" { 0 } else { 2 });
    };
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
