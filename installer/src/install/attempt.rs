//! One attempt: from finding the medium to the finished machine, with what a report needs.

use super::content::{self, Content};
use super::effects::{self, Decided};
use super::encrypt;
use super::hosts::Chosen;
use super::medium::{self, Known, Medium, Released};
use super::plan::Seen;
use super::refusal::{Left, Refusal, Stop};
use super::settle::Settled;
use super::{report, target, unattended};
use crate::context::Context;
use crate::error::Error;
use crate::kernel_log::KernelLog;
use crate::mounts::Mount;
use crate::probe::{Machine, disks, machine};
use crate::stage1::now;
use landfall_disk::{InstallId, LOADER_CONF, medium_grub_start, medium_loader_conf};
use landfall_hosts::host::OnError;
use landfall_hosts::medium::{Seed, Unattended};
use landfall_hosts::paths::grub;
use landfall_hosts::report::{InstallReport, Outcome, Phase, PlanSaid};
use std::time::Instant;

/// Phases and how long they took.
#[derive(Debug, Default)]
pub struct Timed(Vec<Phase>);

impl Timed {
    /// Runs a phase and notes its time.
    pub fn run<T>(&mut self, name: &str, bytes: u64, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let value = work();
        self.0.push(Phase { name: name.into(), seconds: begun.elapsed().as_secs_f64(), bytes });
        value
    }
}

/// A finished machine.
#[derive(Debug)]
pub struct Finished {
    /// Its host.
    pub host: String,
    /// Wall time.
    pub seconds: f64,
}

/// What is known so far, for the report.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub(super) context: &'a Context,
    begun: Instant,
    kernel: KernelLog,
    pub(super) machine: Machine,
    pub(super) seen: Vec<Seen>,
    pub(super) timed: Timed,
    pub(super) host: Option<String>,
    pub(super) profiles: Vec<String>,
    install_id: String,
    pub(super) on_error: OnError,
    pub(super) target: Option<String>,
    pub(super) plan: Option<PlanSaid>,
    medium: Option<Known>,
    bare_identity: bool,
}

impl<'a> Attempt<'a> {
    /// Nothing is known yet.
    pub fn new(context: &'a Context) -> Self {
        Self {
            context,
            begun: Instant::now(),
            kernel: KernelLog::follow(&context.roots),
            machine: Machine::default(),
            seen: Vec::new(),
            timed: Timed::default(),
            host: context.cmdline.host().map(str::to_owned),
            profiles: Vec::new(),
            install_id: String::new(),
            on_error: OnError::default(),
            target: None,
            plan: None,
            medium: None,
            bare_identity: false,
        }
    }

    /// The whole attempt.
    pub fn run(&mut self) -> Result<Finished, Stop> {
        let context = self.context;
        self.machine = machine::probe(&context.roots);
        let medium = find(context)?;
        self.medium = Some(medium.known());
        self.bare_identity = unattended::has_bare_identity(&medium.folder);
        let mark = unattended::read(&medium.folder)?;
        self.on_error = mark.as_ref().map(|mark| mark.on_error).unwrap_or_default();
        if context.cmdline.unattended() && mark.is_none() {
            return Err(unmarked().into());
        }
        let mut id = self.install_id(mark.as_ref())?;
        self.timed_probe(&medium);
        let used = mark.as_ref().is_some_and(|mark| self.has_installed(mark));
        let (medium, mark) = match (mark, used) {
            (Some(mark), true) => {
                let medium = self.spent(medium, &mark)?;
                // A person who chose an entry by hand installs again, as another installation.
                id = self.install_id(None)?;
                (medium, None)
            }
            (mark, _) => (medium, mark),
        };
        let Settled { chosen, plan, identity, kept, keys, esp: (esp_mount, medium_esp), .. } =
            self.settle(&medium, mark.as_ref())?;
        let seed = self.seed(&chosen)?;
        let decided = Decided { chosen: &chosen, plan: &plan, id, identity, kept, keys, seed, medium_esp };
        self.install((medium, esp_mount), &decided, mark.as_ref())
    }

    fn install_id(&mut self, mark: Option<&Unattended>) -> Result<InstallId, Stop> {
        let random = || super::random::<8>().map(InstallId);
        let failed = |error| Stop::Failed { step: "choosing an install id", error, left: Left::Untouched };
        let id = match mark {
            Some(mark) => mark.install_id.parse().map_err(Error::disk("reading the install id")),
            None => random(),
        };
        let id = id.map_err(failed)?;
        self.install_id = id.to_string();
        Ok(id)
    }

    fn timed_probe(&mut self, medium: &Medium) {
        let context = self.context;
        self.seen = self.timed.run("probe", 0, || seen(context, Some(medium)));
    }

    /// This medium's own mark, or that of a disk which it finished before it could mark itself.
    fn has_installed(&self, mark: &Unattended) -> bool {
        unattended::is_done(mark) || self.seen.iter().any(|seen| installed_by(seen, mark))
    }

    /// Finishes what a power cut may have left undone on a medium that has installed. By itself
    /// such a medium does nothing more; a person who chose an entry gets it back.
    fn spent(&mut self, medium: Medium, mark: &Unattended) -> Result<Medium, Stop> {
        let context = self.context;
        for seen in self.seen.iter().filter(|seen| installed_by(seen, mark)) {
            if let Err(error) = target::mend(&seen.disk) {
                context.consoles.say(format!("Warning: {}", error.chain()));
            }
        }
        let finished = medium.release().and_then(|released| spend(context, &released, mark));
        match finished {
            Ok(()) => self.bare_identity = false,
            Err(error) => context.consoles.say(format!(
                "Warning: the medium could not be cleaned: {}. It may still hold the machine's identity; \
                 flash it again or destroy it.",
                error.chain()
            )),
        }
        if context.cmdline.unattended() {
            let host = mark.host.clone().unwrap_or_else(|| "a machine".into());
            return Err(Stop::AlreadyDone { host });
        }
        Ok(find(context)?)
    }

    fn seed(&self, chosen: &Chosen) -> Result<Seed, Stop> {
        let machine_id = super::random_hex::<16>().map_err(|error| Stop::Failed {
            step: "making a machine-id",
            error,
            left: Left::Untouched,
        })?;
        Ok(Seed {
            format: 1,
            host: chosen.manifest.host.clone(),
            site: chosen.manifest.site.clone(),
            machine_id,
            install_id: self.install_id.clone(),
            generation: effects::FIRST,
            installed_at: now(),
        })
    }

    fn install(
        &mut self,
        (medium, esp_mount): (Medium, Mount),
        decided: &Decided<'_>,
        mark: Option<&Unattended>,
    ) -> Result<Finished, Stop> {
        let context = self.context;
        let left = if decided.plan.earlier.is_some() { Left::State } else { Left::HalfWritten };
        let failed = |(step, error): effects::StepError| Stop::Failed { step, error, left };
        let written = effects::write(context, &medium, decided, &mut self.timed).map_err(failed)?;
        let mut report = self.report(Outcome::Done);
        report.recovery_key = self.sealed_key(decided)?;
        let text = report::json(&report).map_err(|error| failed(("writing the report", error)))?;
        written.finish(context, decided.id, &text).map_err(failed)?;
        // The machine is finished. What follows is the medium's own affair and cannot undo that. Its report also
        // has what the firmware said.
        report.log = context.consoles.lines();
        let released = esp_mount.close().and_then(|()| medium.release());
        let spent = released.and_then(|released| {
            if let Some(mark) = mark {
                spend(context, &released, mark)?;
            }
            report::save_released(context, &released, &report)
        });
        match spent {
            Ok(name) => context.consoles.say(format!("The report is on the medium: {name}")),
            Err(error) => context.consoles.say(format!(
                "Warning: the medium could not be updated: {}. If it holds an identity, flash it again or \
                 destroy it.",
                error.chain()
            )),
        }
        Ok(Finished {
            host: decided.chosen.manifest.host.clone(),
            seconds: self.begun.elapsed().as_secs_f64(),
        })
    }

    /// Where nobody could write it down, the recovery key travels in the report, to the admins.
    fn sealed_key(&self, decided: &Decided<'_>) -> Result<Option<String>, Stop> {
        let spec = decided.chosen.manifest.install.encrypt.as_ref();
        let (Some(keys), Some(spec), true) = (&decided.keys, spec, self.context.cmdline.unattended()) else {
            return Ok(None);
        };
        Ok(Some(encrypt::sealed(&keys.recovery, &spec.admins)?))
    }

    /// The kernel's errors since this attempt began.
    pub fn kernel_errors(&self) -> Vec<String> {
        self.kernel.errors()
    }

    /// What the host says about errors; a prompt until the medium was read.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether a shell could reach no bare identity.
    pub fn shell_is_free(&self) -> bool {
        !self.bare_identity
    }

    /// Lists the disks as they are now.
    pub fn show_disks(&self) {
        let consoles = &self.context.consoles;
        let now = disks::list(&self.context.roots);
        if now.is_empty() {
            consoles.say("The kernel sees no disks.");
        }
        for disk in now {
            let known = self.seen.iter().find(|seen| seen.disk.name == disk.name);
            let role = if known.is_some_and(|seen| seen.is_medium) { "the medium" } else { "it holds" };
            let content = match known {
                Some(seen) if seen.is_medium => String::new(),
                _ => format!(" {}", content::look(&disk).words()),
            };
            consoles.say(format!("{}: {role}{content}", disk.line()));
        }
    }

    /// Writes the report to the medium that this attempt began with.
    pub fn save_report(&self, outcome: Outcome) {
        let Some(medium) = &self.medium else {
            return self.context.consoles.say("There is no medium that the report could be saved to.");
        };
        let saved =
            medium.esp(self.context).and_then(|esp| report::save(self.context, &esp, &self.report(outcome)));
        self.context.consoles.say(match saved {
            Ok(name) => format!("The report is on the medium: {name}"),
            Err(error) => format!("The report could not be saved: {}", error.chain()),
        });
    }

    fn report(&self, outcome: Outcome) -> InstallReport {
        let json = |value: Result<serde_json::Value, serde_json::Error>| value.unwrap_or_default();
        InstallReport {
            schema: 1,
            host: self.host.clone(),
            install_id: self.install_id.clone(),
            outcome,
            profiles: self.profiles.clone(),
            facts: json(serde_json::to_value(&self.machine)),
            disks: self.seen.iter().map(Seen::for_report).collect(),
            target: self.target.clone(),
            plan: self.plan.clone(),
            phases: self.timed.0.clone(),
            log: self.context.consoles.lines(),
            recovery_key: None,
        }
    }
}

/// The command line alone must not make a medium wipe a disk unasked.
fn unmarked() -> Refusal {
    Refusal::new(
        "not-unattended",
        "the boot entry installs without asking, and this medium was not made for that",
        "choose another entry of the boot menu, or make the medium with --unattended HOST",
    )
}

fn find(context: &Context) -> Result<Medium, Refusal> {
    medium::find(context).map_err(|error| {
        Refusal::new(
            "no-medium",
            error.chain(),
            "plug the medium into another port, or write it again; then try again",
        )
    })
}

/// The medium's last duty: marked done, identities overwritten, and a menu in place of a default.
/// In this order: a power cut in between leaves a medium that never installs again, and that goes
/// on erasing.
fn spend(context: &Context, medium: &Released, mark: &Unattended) -> Result<(), Error> {
    let (mount, folder) = medium.data_for_writing()?;
    unattended::set_done(&folder, mark)?;
    unattended::erase_identities(&folder)?;
    mount.close()?;
    let (mount, folder) = medium.esp_for_writing(context)?;
    for (path, text) in [(LOADER_CONF, medium_loader_conf(None)), (grub::START, medium_grub_start(None))] {
        crate::tree::write(&folder.join(path), text.as_bytes(), 0o644)?;
    }
    mount.close()
}

/// It is a machine that this medium finished.
fn installed_by(seen: &Seen, mark: &Unattended) -> bool {
    matches!(&seen.content, Content::Machine { id, .. } if *id == mark.install_id)
}

pub(super) fn seen(context: &Context, medium: Option<&Medium>) -> Vec<Seen> {
    let mounts = std::fs::read_to_string(context.roots.proc.join("self/mountinfo")).unwrap_or_default();
    disks::list(&context.roots)
        .into_iter()
        .map(|disk| {
            let is_medium = medium.is_some_and(|medium| medium.disk.name == disk.name);
            let content =
                if is_medium { Content::Used { what: "the medium".into() } } else { content::look(&disk) };
            let mounted = disk.partitions.iter().any(|partition| is_mounted(&mounts, &partition.device));
            Seen { disk, content, is_medium, mounted }
        })
        .collect()
}

/// The third field of a line is the device (proc_pid_mountinfo(5)).
fn is_mounted(mountinfo: &str, device: &str) -> bool {
    mountinfo.lines().any(|line| line.split_whitespace().nth(2) == Some(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_devices() {
        let text = "23 1 254:3 / /run/landfall/medium ro - ext4 /dev/vda3 ro\nbroken\n";
        assert!(is_mounted(text, "254:3"));
        assert!(!is_mounted(text, "254:30"));
        assert!(!is_mounted("", ""));
    }
}
