//! `landfall-machine status`: what this machine is, what is done, what it waits for.

use crate::boot::boot_info;
use crate::boot::report::BootReport;
use crate::error::{Error, Result};
use crate::files;
use crate::machine;
use crate::network;
use crate::roots::Roots;
use crate::secrets;
use crate::steps::record::{Record, State, StepRecord};
use crate::systemd::{Systemctl, Systemd};
use crate::tools::Commands;
use landfall_hosts::medium::Seed;
use landfall_hosts::paths::state;
use serde::Serialize;
use std::fmt::Write;

/// What is known.
#[derive(Debug, Default, Serialize)]
pub struct Status {
    /// 1.
    pub schema: u32,
    /// The host's name in the site.
    pub host: String,
    /// The machine's own.
    pub hostname: String,
    /// Site id.
    pub site: String,
    /// The running generation.
    pub generation: Option<u64>,
    /// The boot entry.
    pub entry: Option<String>,
    /// The disk is encrypted.
    pub encrypted: bool,
    /// When it was installed, in seconds since 1970.
    pub installed_at: Option<u64>,
    /// True when every step is done and the boot is healthy.
    pub ready: bool,
    /// First boot's steps.
    pub steps: Vec<StepRecord>,
    /// Secrets of this boot.
    pub secrets: Option<secrets::Status>,
    /// A default route is there.
    pub network: bool,
    /// Units that failed.
    pub failed_units: Vec<String>,
    /// This boot.
    pub boot: BootReport,
}

/// The status as text or JSON.
pub fn show(roots: &Roots, commands: &dyn Commands, json: bool) -> Result<String> {
    let status = gather(roots, commands)?;
    if json {
        let text = serde_json::to_string_pretty(&status)
            .map_err(|error| Error::Refused(format!("writing the status: {error}")))?;
        return Ok(text + "\n");
    }
    Ok(text(&status))
}

fn gather(roots: &Roots, commands: &dyn Commands) -> Result<Status> {
    let machine = machine::load(roots)?;
    let record = Record::load(roots);
    let boot = BootReport::load(roots);
    let info = boot_info(roots);
    let seed = seed(roots);
    // What an older boot came to says nothing of this one.
    let done = |step: &StepRecord| step.attempts > 0 && step.state == State::Done;
    Ok(Status {
        schema: 1,
        host: machine.host,
        hostname: machine.hostname,
        site: machine.site,
        generation: info.as_ref().and_then(|info| info.generation),
        encrypted: info.as_ref().is_some_and(|info| info.encrypted),
        entry: info.and_then(|info| info.entry),
        installed_at: seed.map(|seed| seed.installed_at),
        ready: !record.steps.is_empty()
            && record.steps.iter().all(done)
            && boot.health.as_deref() == Some("good"),
        steps: record.steps,
        secrets: secrets::status(roots),
        network: network::has_default_route(roots),
        failed_units: Systemctl(commands).failed_units().unwrap_or_default(),
        boot,
    })
}

/// The installer's seed; none if it is damaged, for nothing here depends on it.
fn seed(roots: &Roots) -> Option<Seed> {
    let text = files::read_text(&roots.state(state::SEED)).ok()??;
    let seed: Seed = toml::from_str(&text).ok()?;
    (seed.format <= 1).then_some(seed)
}

fn text(status: &Status) -> String {
    let mut out = String::new();
    let generation = status.generation.map_or("an unknown generation".into(), |n| format!("generation {n}"));
    let _ = writeln!(out, "{} ({}), {generation}", status.hostname, status.host);
    let disk = if status.encrypted { "encrypted" } else { "not encrypted" };
    let _ = writeln!(out, "  {:<12} {disk}", "disk");
    for step in &status.steps {
        let _ = writeln!(out, "  {:<12} {:<8} {}", step.name, step.state.word(), step.detail);
    }
    let health = status.boot.health.as_deref().unwrap_or("not decided yet");
    let _ = writeln!(out, "  {:<12} {health}", "health");
    if let Some(count) = &status.boot.count {
        let past = if count.exhausted { ", past its tries: all have failed" } else { "" };
        let _ = writeln!(out, "  {:<12} {} tries left, {} made{past}", "boot entry", count.left, count.done);
    }
    if !status.failed_units.is_empty() {
        let _ = writeln!(out, "  {:<12} {}", "failed", status.failed_units.join(", "));
    }
    if !status.boot.analyze.is_empty() {
        let first = status.boot.analyze.lines().next().unwrap_or_default();
        let _ = writeln!(out, "  {:<12} {first}", "boot");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::FakeCommands;
    use landfall_hosts::paths::machine;
    use std::fs;
    use std::time::SystemTime;

    fn world() -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        fs::create_dir_all(roots.state("")).unwrap();
        fs::create_dir_all(roots.machine_toml().parent().unwrap()).unwrap();
        fs::write(roots.machine_toml(), "format = 1\nhost = \"vm\"\nhostname = \"vm\"\n").unwrap();
        (dir, roots)
    }

    #[test]
    fn says_what_it_waits_for() {
        let (_dir, roots) = world();
        let mut record = Record::load(&roots);
        record.set("tailnet", State::Waiting, "waiting for an auth key", SystemTime::now());
        record.save(&roots).unwrap();
        let commands = FakeCommands::default().answer("systemctl", 0, "x.service a b c\n");
        let text = show(&roots, &commands, false).unwrap();
        assert!(text.contains("waiting for an auth key") && text.contains("x.service"));
        assert!(text.contains("not encrypted"));
        fs::create_dir_all(roots.path(machine::BOOT_INFO).parent().unwrap()).unwrap();
        fs::write(roots.path(machine::BOOT_INFO), "format = 1\nencrypted = true\n").unwrap();
        assert!(!show(&roots, &commands, false).unwrap().contains("not encrypted"));
        let json: serde_json::Value = serde_json::from_str(&show(&roots, &commands, true).unwrap()).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["ready"], false);
        assert_eq!(json["steps"][0]["state"], "waiting");
    }

    #[test]
    fn hostile_seeds_and_boot_files_are_passed_over() {
        let (_dir, roots) = world();
        for text in ["", "format = 9", "format = \"x\"", "\u{0}", "[host"] {
            fs::write(roots.state(state::SEED), text).unwrap();
            let path = roots.path(machine::BOOT_INFO);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            assert!(show(&roots, &FakeCommands::default(), true).is_ok(), "{text}");
        }
    }
}
