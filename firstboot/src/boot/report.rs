//! How long the boot took, as systemd counted it: `state/boot-report.json`.

use super::count::Count;
use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::roots::Roots;
use crate::systemd::Systemd;
use crate::tools::{Call, Commands, Tool};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Properties of org.freedesktop.systemd1(5), each in microseconds; the first two count backwards
/// from the start of the kernel, the others forwards.
const TIMES: &[&str] = &[
    "FirmwareTimestampMonotonic",
    "LoaderTimestampMonotonic",
    "InitRDTimestampMonotonic",
    "UserspaceTimestampMonotonic",
    "FinishTimestampMonotonic",
];

/// Seconds of each phase, and what the loader and the health check said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootReport {
    /// 1.
    pub schema: u32,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Firmware until the loader; 0 if unknown.
    pub firmware_s: f64,
    /// Loader until the kernel; 0 if unknown.
    pub loader_s: f64,
    /// Kernel and stage 1 until systemd.
    pub kernel_s: f64,
    /// systemd until the default target.
    pub userspace_s: f64,
    /// `systemd-analyze time`, as it says it.
    pub analyze: String,
    /// The units that took longest, as `systemd-analyze blame` says it.
    pub slowest: Vec<String>,
    /// The entry's tries, as they were before anything blessed it.
    pub count: Option<Count>,
    /// What the health check found: `good`, or what is wrong.
    pub health: Option<String>,
}

impl BootReport {
    /// The report of this boot; a new one if the stored is of another.
    pub fn load(roots: &Roots) -> Self {
        let boot_id = boot_id(roots);
        let stored = files::read_text(&roots.boot_report()).ok().flatten();
        stored
            .and_then(|text| serde_json::from_str::<Self>(&text).ok())
            .filter(|report| report.boot_id == boot_id)
            .unwrap_or(Self { schema: 1, boot_id, ..Self::default() })
    }

    /// Stores it.
    pub fn save(&self, roots: &Roots) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Refused(format!("writing the boot report: {error}")))?;
        let access = Access {
            mode: 0o644,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        files::replace(&roots.boot_report(), &text, access)
    }

    /// Takes over the times of another report.
    pub fn adopt_times(&mut self, other: Self) {
        let Self { count, health, boot_id, schema, .. } = std::mem::take(self);
        *self = Self { schema, boot_id, count, health, ..other };
    }

    /// Takes in the times. False while the boot has not finished.
    pub fn take_times(&mut self, systemd: &dyn Systemd, commands: &dyn Commands) -> Result<bool> {
        let times = systemd.manager(TIMES)?;
        if seconds(&times, "FinishTimestampMonotonic") == 0.0 {
            return Ok(false);
        }
        let firmware = seconds(&times, "FirmwareTimestampMonotonic");
        self.loader_s = seconds(&times, "LoaderTimestampMonotonic");
        self.firmware_s = (firmware - self.loader_s).max(0.0);
        self.kernel_s = seconds(&times, "UserspaceTimestampMonotonic");
        self.userspace_s = (seconds(&times, "FinishTimestampMonotonic") - self.kernel_s).max(0.0);
        self.analyze = said(commands, &["time", "--no-pager"]).trim().to_owned();
        let blame = said(commands, &["blame", "--no-pager"]);
        self.slowest = blame.lines().take(10).map(|line| line.trim().to_owned()).collect();
        Ok(true)
    }
}

fn seconds(times: &BTreeMap<String, String>, name: &str) -> f64 {
    let micros: Option<f64> = times.get(name).and_then(|text| text.parse().ok());
    micros.unwrap_or(0.0) / 1_000_000.0
}

fn said(commands: &dyn Commands, args: &[&str]) -> String {
    let run = commands.run(&Call::new(Tool::SystemdAnalyze, args));
    run.map(|finished| finished.text()).unwrap_or_default()
}

/// The kernel's id of this boot.
pub fn boot_id(roots: &Roots) -> String {
    files::read_kernel(&roots.proc("sys/kernel/random/boot_id")).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::Systemctl;
    use crate::tools::fake::FakeCommands;

    #[test]
    fn phases_are_differences_and_an_unfinished_boot_is_not_taken() {
        let running = FakeCommands::default().answer("systemctl show", 0, "FinishTimestampMonotonic=0\n");
        let mut report = BootReport::default();
        assert!(!report.take_times(&Systemctl(&running), &running).unwrap());
        let done = FakeCommands::default()
            .answer("systemctl show", 0, "FirmwareTimestampMonotonic=5000000\nLoaderTimestampMonotonic=2000000\nUserspaceTimestampMonotonic=4000000\nFinishTimestampMonotonic=9500000\n")
            .answer("systemd-analyze time", 0, "Startup finished in …\n");
        assert!(report.take_times(&Systemctl(&done), &done).unwrap());
        assert_eq!((report.firmware_s, report.loader_s), (3.0, 2.0));
        assert_eq!((report.kernel_s, report.userspace_s), (4.0, 5.5));
        assert_eq!(report.analyze, "Startup finished in …");
    }

    #[test]
    fn a_report_of_another_boot_is_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        std::fs::create_dir_all(roots.state("")).unwrap();
        std::fs::create_dir_all(roots.proc("sys/kernel/random")).unwrap();
        std::fs::write(roots.proc("sys/kernel/random/boot_id"), "one\n").unwrap();
        let mut report = BootReport::load(&roots);
        report.health = Some("good".into());
        report.save(&roots).unwrap();
        assert_eq!(BootReport::load(&roots), report);
        std::fs::write(roots.proc("sys/kernel/random/boot_id"), "two\n").unwrap();
        assert_eq!(BootReport::load(&roots).health, None);
    }
}
