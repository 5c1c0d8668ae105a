//! The gate before boot-complete.target: is this generation good?

use super::count::{self, Count};
use super::report::BootReport;
use crate::console::{Console, sentinel};
use crate::error::Result;
use crate::network;
use crate::roots::Roots;
use crate::systemd::Systemd;
use landfall_hosts::host::Health;
use std::time::Duration;

/// How often it is looked again while something is still coming up.
const POLL: Duration = Duration::from_secs(1);

/// What the check needs; the clock is a function so that tests do not wait.
pub struct Check<'a> {
    /// Where things stand.
    pub roots: &'a Roots,
    /// The site's wishes.
    pub health: &'a Health,
    /// The service manager.
    pub systemd: &'a dyn Systemd,
    /// For people.
    pub console: &'a dyn Console,
    /// Waits.
    pub sleep: &'a dyn Fn(Duration),
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The generation is good.
    Good,
    /// It is not, and the machine restarts, for the entry is counted and there is another.
    Restarting(Vec<String>),
    /// It is not, and the machine goes on, for nothing would be gained by a restart.
    Bad(Vec<String>),
}

impl Check<'_> {
    /// Looks until all is well or the site's time is up; restarts only while the entry is counted.
    pub fn run(&self) -> Result<Verdict> {
        // First, before this gate lets anything bless the entry: afterwards the evidence is gone.
        let count = count::read(self.roots, count::TRIES);
        let mut report = BootReport::load(self.roots);
        report.count = count.clone();
        report.save(self.roots)?;
        if count.as_ref().is_some_and(|count| count.exhausted) {
            self.console
                .line("landfall: every generation has failed to start before; this one is past its tries");
        }
        let problems = self.wait();
        report.health = Some(if problems.is_empty() { "good".into() } else { problems.join("; ") });
        report.save(self.roots)?;
        self.conclude(problems, count.as_ref())
    }

    fn wait(&self) -> Vec<String> {
        let limit = Duration::from_secs(u64::from(self.health.timeout));
        let mut waited = Duration::ZERO;
        let mut good_before = false;
        loop {
            let problems = self.problems();
            // Twice in a row: a service that ends as soon as it is up must not pass for good.
            if (problems.is_empty() && good_before) || waited >= limit {
                return problems;
            }
            good_before = problems.is_empty();
            (self.sleep)(POLL);
            waited += POLL;
        }
    }

    /// What is wrong now, in words.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for unit in &self.health.units {
            let unit = full_name(unit);
            match self.systemd.active_state(&unit).as_deref() {
                Ok("active") => {}
                Ok(state) => problems.push(format!("{unit} is {state}")),
                Err(error) => problems.push(error.to_string()),
            }
        }
        match self.systemd.failed_units() {
            Ok(failed) => problems.extend(
                failed
                    .iter()
                    .filter(|unit| !self.health.units.contains(*unit))
                    .map(|unit| format!("{unit} failed")),
            ),
            Err(error) => problems.push(error.to_string()),
        }
        if self.health.network && !network::has_default_route(self.roots) {
            problems.push("there is no network (no default route)".into());
        }
        problems
    }

    fn conclude(&self, problems: Vec<String>, count: Option<&Count>) -> Result<Verdict> {
        if problems.is_empty() {
            self.console.line(&sentinel("HEALTH", &[("state", "good")]));
            return Ok(Verdict::Good);
        }
        let why = problems.join("; ");
        self.console.line(&sentinel("HEALTH", &[("state", "bad"), ("why", &why)]));
        let counted = count.is_some_and(|count| !count.exhausted);
        // A machine with one generation would only start the same again.
        if !counted || !count::has_alternative(self.roots, count::TRIES) {
            self.console.line(&format!(
                "landfall: this generation is not healthy: {why}. See `landfall-machine status`."
            ));
            return Ok(Verdict::Bad(problems));
        }
        self.console.line(&format!(
            "landfall: this generation is not healthy: {why}. Restarting, so that an older one gets its turn."
        ));
        self.systemd.reboot()?;
        Ok(Verdict::Restarting(problems))
    }
}

/// The site writes `ssh` for `ssh.service`.
fn full_name(unit: &str) -> String {
    if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::fake::Lines;
    use crate::systemd::Systemctl;
    use crate::tools::fake::FakeCommands;
    use std::fs;

    const VARIABLE: &str = "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

    fn world(count: Option<&str>, route: bool) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        let entries = roots.path("/efi/loader/entries");
        for folder in [&roots.state(""), &roots.efivars(), &roots.proc("net"), &entries] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(entries.join("landfall-1+2-1.conf"), "").unwrap();
        fs::write(entries.join("landfall-0.conf"), "").unwrap();
        if let Some(count) = count {
            let mut bytes = vec![6, 0, 0, 0];
            bytes.extend(count.encode_utf16().flat_map(u16::to_le_bytes));
            fs::write(roots.efivars().join(VARIABLE), bytes).unwrap();
        }
        let routes = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let default = if route { "eth0 00000000 0202000A 0003 0 0 0 00000000 0 0 0\n" } else { "" };
        fs::write(roots.proc("net/route"), format!("{routes}{default}")).unwrap();
        (dir, roots)
    }

    fn check(roots: &Roots, commands: &FakeCommands) -> (Verdict, Vec<String>) {
        let lines = Lines::default();
        let health = Health { units: ["ssh".to_owned()].into(), ..Health::default() };
        let verdict =
            Check { roots, health: &health, systemd: &Systemctl(commands), console: &lines, sleep: &|_| {} }
                .run()
                .unwrap();
        (verdict, lines.0.into_inner())
    }

    fn healthy() -> FakeCommands {
        FakeCommands::default().answer("systemctl show", 0, "active\n").answer("systemctl list-units", 0, "")
    }

    #[test]
    fn a_good_boot_is_said_and_nothing_restarts() {
        let (_dir, roots) = world(Some("\\loader\\entries\\landfall-1+2-1.conf"), true);
        let commands = healthy();
        let (verdict, lines) = check(&roots, &commands);
        assert_eq!(verdict, Verdict::Good);
        assert!(lines.contains(&"LANDFALL HEALTH state=good".into()));
        let report = BootReport::load(&roots);
        assert_eq!((report.health.as_deref(), report.count.map(|c| c.left)), (Some("good"), Some(2)));
        assert!(!commands.called("systemctl reboot"));
    }

    #[test]
    fn a_bad_boot_restarts_only_while_counted() {
        for (count, restarts) in [
            (Some("\\loader\\entries\\landfall-1+2-1.conf"), true),
            (Some("\\loader\\entries\\landfall-1+0-3.conf"), true),
            (Some("\\loader\\entries\\landfall-1+0-4.conf"), false),
            (None, false),
        ] {
            let (_dir, roots) = world(count, true);
            let commands = FakeCommands::default()
                .answer("systemctl show", 0, "failed\n")
                .answer("systemctl list-units", 0, "x.service loaded failed failed X\n")
                .answer("systemctl reboot", 0, "");
            let (verdict, _) = check(&roots, &commands);
            assert_eq!(commands.called("systemctl reboot"), restarts, "{count:?}");
            assert_eq!(matches!(verdict, Verdict::Restarting(_)), restarts);
        }
    }

    #[test]
    fn a_machine_with_nothing_else_to_start_does_not_restart() {
        for other in [None, Some("landfall-0+0-3.conf"), Some("readme.txt")] {
            let (_dir, roots) = world(Some("\\loader\\entries\\landfall-1+2-1.conf"), false);
            let entries = roots.path("/efi/loader/entries");
            fs::remove_file(entries.join("landfall-0.conf")).unwrap();
            if let Some(other) = other {
                fs::write(entries.join(other), "").unwrap();
            }
            let commands = healthy().answer("systemctl reboot", 0, "");
            let (verdict, _) = check(&roots, &commands);
            assert!(matches!(verdict, Verdict::Bad(_)), "{other:?}");
            assert!(!commands.called("systemctl reboot"));
        }
    }

    #[test]
    fn no_network_is_a_reason() {
        let (_dir, roots) = world(None, false);
        let (verdict, _) = check(&roots, &healthy());
        assert!(matches!(verdict, Verdict::Bad(why) if why[0].contains("network")));
    }
}
