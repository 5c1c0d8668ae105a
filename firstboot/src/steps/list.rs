//! The machine's steps. Each stands where it stands because of what the ones before it make.

use super::outcome::Outcome;
use super::{Context, Step, clock, tailnet};
use crate::boot::report::BootReport;
use crate::error::{Error, Result};
use crate::homes;
use crate::lost;
use crate::network;
use crate::persist;
use crate::secrets::{self, Job, identity};
use crate::systemd::Systemctl;

/// In order.
pub const STEPS: &[Step] = &[
    // Certificates and Kerberos-like clocks below must not see the year 1970.
    step("clock", |context| clock::floor(context.machine.epoch)),
    step("identity", seal_identity),
    step("secrets", open_secrets),
    step("ssh-keys", |context| persist::host_keys(context.roots, context.commands).map(Outcome::Done)),
    step("homes", |context| homes::attempt(context.roots, context.machine, context.commands)),
    // What may take long because of others stands last.
    step("network", wait_for_network),
    step("tailnet", |context| tailnet::attempt(context.roots, context.machine, context.commands)),
    Step { name: "lost", background: true, attempt: |context| lost::prune(context.roots).map(Outcome::Done) },
    Step { name: "boot-report", background: true, attempt: report_boot },
];

const fn step(name: &'static str, attempt: fn(&Context) -> Result<Outcome>) -> Step {
    Step { name, background: false, attempt }
}

fn seal_identity(context: &Context) -> Result<Outcome> {
    if let Some(key) = identity::seal(context.roots, context.commands)? {
        return Ok(Outcome::Done(format!("sealed to {key}")));
    }
    if context.roots.identity_sealed().exists() {
        return Ok(Outcome::Done("sealed".into()));
    }
    if context.machine.secrets.is_empty() {
        return Ok(Outcome::Done("none, and no secret needs one".into()));
    }
    Ok(Outcome::Waiting("waiting for an identity".into()))
}

/// The early service has done it at most boots; an identity that came later is used here.
fn open_secrets(context: &Context) -> Result<Outcome> {
    let status = match secrets::status(context.roots) {
        Some(status) if status.is_good() => status,
        _ => Job {
            roots: context.roots,
            machine: context.machine,
            commands: context.commands,
            store: context.store,
        }
        .run(),
    };
    if let Some(waiting) = status.waiting {
        return Ok(Outcome::Waiting(waiting));
    }
    if !status.problems.is_empty() {
        return Err(Error::Refused(status.problems.join("; ")));
    }
    Ok(Outcome::Done(format!("{} open", status.ready.len())))
}

fn wait_for_network(context: &Context) -> Result<Outcome> {
    if context.machine.network_manager == "none" {
        return Ok(Outcome::Done("nothing manages a network here".into()));
    }
    if network::has_default_route(context.roots) {
        return Ok(Outcome::Done("there is a default route".into()));
    }
    Ok(Outcome::Pending("waiting for a default route".into()))
}

fn report_boot(context: &Context) -> Result<Outcome> {
    let mut times = BootReport::default();
    if !times.take_times(&Systemctl(context.commands), context.commands)? {
        return Ok(Outcome::Pending("waiting for the boot to finish".into()));
    }
    // Loaded only now: the health check writes its verdict while the boot finishes.
    let mut report = BootReport::load(context.roots);
    report.adopt_times(times);
    report.save(context.roots)?;
    Ok(Outcome::Done("written".into()))
}
