//! The commands of `landfall-machine`.

use crate::boot::grub;
use crate::boot::health::{Check, Verdict};
use crate::console::{AllConsoles, say};
use crate::disk_key::{Job as SealJob, ask};
use crate::error::{Error, Result};
use crate::roots::Roots;
use crate::secrets::{Job, store::Ramfs};
use crate::steps::{self, Context, SystemTimer, clock};
use crate::systemd::Systemctl;
use crate::tools::SystemCommands;
use crate::{homes, lost, machine, persist, status};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Exit status when the generation is not healthy.
const UNHEALTHY: u8 = 1;

/// The running machine's half of Landfall.
#[derive(Debug, Parser)]
#[command(name = "landfall-machine", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring this machine to what its site says (run by a unit at every boot)
    Firstboot,
    /// Decrypt this machine's secrets into memory (run by a unit early at every boot)
    Secrets,
    /// Decide whether this generation is good (run by a unit before boot-complete.target)
    Health,
    /// Mark the running generation as good where GRUB counts its tries (run by a unit after boot-complete.target)
    Bless,
    /// Show what this machine is, what is done and what it waits for
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List and bring back what the wipe at boot took
    Lost {
        #[command(subcommand)]
        command: Option<LostCommand>,
    },
    /// Seal the encrypted disk's key to the TPM for a boot entry before it starts, and take away the key
    /// slots of entries that are gone
    Seal {
        /// The entry's file in loader/entries, e.g. landfall-2.conf; all of them without it
        entry: Option<String>,
    },
    /// Keep ssh host keys and what else the machine puts into /etc
    SyncEtc,
    /// Apply one user's home, as that user; reads what to do from stdin
    #[command(hide = true)]
    ApplyHome,
}

#[derive(Debug, Subcommand)]
enum LostCommand {
    /// List the files that the wipe at boot took
    List,
    /// Bring one back to where it was
    Restore {
        /// Its absolute path
        path: PathBuf,
    },
}

impl Cli {
    /// Runs the command; returns the exit status.
    pub fn run(self) -> Result<u8> {
        let roots = Roots::system();
        match self.command {
            Command::Firstboot => firstboot(&roots),
            Command::Secrets => secrets(&roots),
            Command::Health => health(&roots),
            Command::Bless => grub::bless(&roots).map(|()| 0),
            Command::Status { json } => {
                needs_root("showing the machine's status")?;
                say(status::show(&roots, &SystemCommands, json)?.trim_end());
                Ok(0)
            }
            Command::Lost { command } => {
                needs_root("looking at what the wipe took")?;
                lost_command(&roots, command)
            }
            Command::Seal { entry } => {
                needs_root("sealing the disk's key")?;
                seal(&roots, entry.as_deref())
            }
            Command::SyncEtc => persist::sync(&roots, &SystemCommands).map(|()| 0),
            Command::ApplyHome => homes::child::run().map(|()| 0),
        }
    }
}

fn needs_root(doing: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::Refused(format!("{doing}: it is root's alone; use sudo")))
}

fn firstboot(roots: &Roots) -> Result<u8> {
    let machine = machine::load(roots)?;
    let context = Context {
        roots,
        machine: &machine,
        commands: &SystemCommands,
        store: &Ramfs,
        console: &AllConsoles::new(roots),
        timer: &SystemTimer::default(),
    };
    steps::run(&context, steps::list::STEPS)?;
    Ok(0)
}

/// Always succeeds once it has run: a unit that failed would only add a second alarm to what
/// `status` says already.
fn secrets(roots: &Roots) -> Result<u8> {
    let machine = machine::load(roots)?;
    // Before anything that looks at a date.
    if let Err(error) = clock::floor(machine.epoch) {
        eprintln!("landfall-machine: {error}");
    }
    let status = Job { roots, machine: &machine, commands: &SystemCommands, store: &Ramfs }.run();
    for line in status.waiting.iter().chain(&status.problems) {
        eprintln!("landfall-machine: secrets: {line}");
    }
    Ok(0)
}

fn health(roots: &Roots) -> Result<u8> {
    let machine = machine::load(roots)?;
    let verdict = Check {
        roots,
        health: &machine.health,
        systemd: &Systemctl(&SystemCommands),
        console: &AllConsoles::new(roots),
        sleep: &std::thread::sleep,
    }
    .run()?;
    Ok(match verdict {
        Verdict::Good => 0,
        Verdict::Restarting(_) | Verdict::Bad(_) => UNHEALTHY,
    })
}

fn seal(roots: &Roots, entry: Option<&str>) -> Result<u8> {
    let job = SealJob { roots, commands: &SystemCommands, store: &Ramfs, ask: &ask::at_terminal };
    let done = job.run(entry)?;
    for note in &done.notes {
        eprintln!("landfall-machine: {note}");
    }
    say(&format!("key slots sealed to the TPM: {} new, {} taken away", done.added, done.dropped));
    Ok(0)
}

fn lost_command(roots: &Roots, command: Option<LostCommand>) -> Result<u8> {
    match command.unwrap_or(LostCommand::List) {
        LostCommand::List => {
            for file in lost::list(roots)? {
                say(&file);
            }
        }
        LostCommand::Restore { path } => {
            let from = lost::restore(roots, &path)?;
            eprintln!("{} is back, as it was in {from}", path.display());
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_hold_together() {
        Cli::command().debug_assert();
        for unit in crate::units::items() {
            let crate::units::Item::Unit(_, text, _) = unit else {
                continue;
            };
            let calls = text.lines().filter_map(|line| {
                let (key, value) = line.split_once('=')?;
                key.starts_with("Exec").then_some(value)
            });
            for call in calls.filter(|call| !call.contains("/usr/bin/")) {
                assert!(call.starts_with(landfall_hosts::paths::machine::BIN));
                Cli::try_parse_from(call.split_whitespace()).unwrap();
            }
        }
    }
}
