//! The table of subcommands.

mod bench;
mod dist;
mod pipe;
mod probe_corpus;
mod run;
mod test;
mod tidy;

/// What a subcommand returns: an error is printed once, by `main`.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// One row of the table.
pub struct Command {
    /// What the user types after `cargo xtask`.
    pub name: &'static str,
    /// One line for the usage text.
    pub about: &'static str,
    /// Takes the arguments after the name.
    pub run: fn(&[String]) -> Outcome,
}

/// Every subcommand.
pub const TABLE: &[Command] = &[
    Command {
        name: "run",
        about: "[--keep] the example's machine, from host files to the tailnet",
        run: run::run,
    },
    Command {
        name: "test",
        about: "[--all] [--only NAME] lints, unit tests and the QEMU tests",
        run: test::run,
    },
    Command { name: "bench", about: "[abcdefg] builds, copies and boots, timed", run: bench::run },
    Command { name: "dist", about: "the three programs as they are shipped, in target/dist", run: dist::run },
    Command { name: "tidy", about: "the house rules that no compiler holds", run: tidy::run },
    Command {
        name: "probe-corpus",
        about: "[DIR] [-v] the probe against records of real machines",
        run: probe_corpus::run,
    },
    Command { name: "pipe", about: "PORT  what QEMU forks per connection of a guest", run: pipe::run },
];

/// The usage text, made from the table.
pub fn usage() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND\n\n");
    for command in TABLE {
        text.push_str(&format!("  {:<12} {}\n", command.name, command.about));
    }
    text
}
