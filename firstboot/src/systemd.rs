//! What is asked of the service manager.

use crate::error::Result;
use crate::tools::{Call, Commands, Tool};
use std::collections::BTreeMap;

/// The service manager, as narrow as it is needed.
pub trait Systemd {
    /// `ActiveState` of a unit: `active`, `inactive`, `activating`, `failed` …
    fn active_state(&self, unit: &str) -> Result<String>;
    /// Units that failed.
    fn failed_units(&self) -> Result<Vec<String>>;
    /// Restarts a unit if it runs; does not wait.
    fn restart(&self, unit: &str) -> Result<()>;
    /// Restarts the machine.
    fn reboot(&self) -> Result<()>;
    /// The manager's own properties whose names are given.
    fn manager(&self, properties: &[&str]) -> Result<BTreeMap<String, String>>;
}

/// The machine's own, through `systemctl(1)`.
pub struct Systemctl<'a>(pub &'a dyn Commands);

impl Systemctl<'_> {
    fn ask(&self, args: &[&str], doing: &str) -> Result<String> {
        let answer = self.0.check(&Call::new(Tool::Systemctl, args), doing)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Systemd for Systemctl<'_> {
    fn active_state(&self, unit: &str) -> Result<String> {
        let args = ["show", "--property=ActiveState", "--value", "--", unit];
        let text = self.ask(&args, &format!("asking for the state of {unit}"))?;
        Ok(text.trim().to_owned())
    }

    fn failed_units(&self) -> Result<Vec<String>> {
        let args = ["list-units", "--state=failed", "--all", "--plain", "--no-legend", "--no-pager"];
        let text = self.ask(&args, "asking for failed units")?;
        Ok(unit_names(&text))
    }

    fn restart(&self, unit: &str) -> Result<()> {
        let args = ["try-restart", "--no-block", "--", unit];
        self.ask(&args, &format!("restarting {unit}")).map(drop)
    }

    fn reboot(&self) -> Result<()> {
        self.ask(&["reboot", "--no-block"], "restarting the machine").map(drop)
    }

    fn manager(&self, properties: &[&str]) -> Result<BTreeMap<String, String>> {
        let wanted = format!("--property={}", properties.join(","));
        let text = self.ask(&["show", &wanted], "asking for the boot's times")?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

fn unit_names(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim_start_matches(['●', ' ', '*']).split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::FakeCommands;

    #[test]
    fn reads_units_with_and_without_a_bullet() {
        let text = "● a.service loaded failed failed A\n  b.mount loaded failed failed B\n\n";
        assert_eq!(unit_names(text), ["a.service", "b.mount"]);
    }

    #[test]
    fn reads_the_managers_properties() {
        let commands = FakeCommands::default().answer("systemctl show", 0, "Finish=12\nKernel=\nrubbish\n");
        let all = Systemctl(&commands).manager(&["Finish"]).unwrap();
        assert_eq!(all.get("Finish").map(String::as_str), Some("12"));
        assert_eq!(all.len(), 2);
    }
}
