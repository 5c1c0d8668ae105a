//! A medium whose installer is started by its kernel, past the boot loader: what is tested is what the installer
//! does to a disk, and the boot loader has no part in that.

use crate::error::{Error, Result};
use crate::fixture::Fixture;
use crate::guest::{Drive, Firmware, Guest, GuestConfig};
use crate::image;
use crate::rehearsal::Machine;
use crate::site::{HOST, Site};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an install may take.
pub const LIMIT: Duration = Duration::from_secs(900);

/// A medium for the site's host with nobody watching, and its kernel.
pub struct Stick {
    /// The site and its medium.
    pub fixture: Fixture,
    kernel: PathBuf,
    initrd: PathBuf,
    options: String,
}

impl Stick {
    /// A variant of the shared site, changed; `name` is the variant's.
    pub fn make(name: &str, change: impl FnOnce(&Site) -> Result<()>) -> Result<Self> {
        Self::of(Fixture::shared()?.variant(name, &[HOST], change)?)
    }

    /// Of the shared site.
    pub fn shared() -> Result<Self> {
        Self::of(Fixture::shared()?)
    }

    fn of(fixture: Fixture) -> Result<Self> {
        let (kernel, initrd) = image::boot_files(&fixture.medium, HOST, &fixture.folder)?;
        let options = image::unattended_options(&fixture.medium)?;
        Ok(Self { fixture, kernel, initrd, options })
    }

    /// Starts the installer from `stick`, a copy of this medium, beside the machine's disk.
    pub fn start(&self, machine: &Machine, stick: &Path, phase: &str) -> Result<Guest> {
        self.start_beside(machine, (stick, vec![machine.target()]), &[], phase)
    }

    /// Starts the installer from `stick` beside any drives, with further words for QEMU.
    pub fn start_beside(
        &self,
        machine: &Machine,
        (stick, drives): (&Path, Vec<Drive>),
        words: &[String],
        phase: &str,
    ) -> Result<Guest> {
        let mut config = machine.config(phase);
        self.boot(&mut config);
        config.machine.extra.extend_from_slice(words);
        config.machine.drives = vec![Drive::stick(stick)];
        config.machine.drives.extend(drives);
        Guest::start(&config)
    }

    /// A guest of `machine` with those drives that starts the unattended entry. Its firmware has no Secure Boot, and
    /// variables of its own.
    pub fn config(&self, machine: &Machine, phase: &str, drives: Vec<Drive>) -> GuestConfig {
        let mut config = machine.config(phase);
        config.machine.firmware = Firmware::Uefi { variables: machine.folder().join("variables-direct") };
        self.boot(&mut config);
        config.machine.drives = drives;
        config
    }

    fn boot(&self, config: &mut GuestConfig) {
        let path = |path: &PathBuf| path.display().to_string();
        for (option, value) in [
            ("-kernel", path(&self.kernel)),
            ("-initrd", path(&self.initrd)),
            ("-append", self.options.clone()),
        ] {
            config.machine.extra.extend([option.to_owned(), value]);
        }
    }

    /// Installs, and waits for the machine to be off.
    pub fn install(&self, machine: &Machine, stick: &Path, phase: &str) -> Result<()> {
        let mut guest = self.start(machine, stick, phase)?;
        let ends = ["LANDFALL INSTALL done", "LANDFALL REFUSED", "LANDFALL FAILED", "LANDFALL PROMPT"];
        let line = guest.wait_for(&ends, LIMIT)?;
        if !line.contains("INSTALL done") {
            let end = crate::error::tail(&guest.console(), 40);
            return Err(Error::Unexpected(format!("the installer did not install: {line}\n{end}")));
        }
        guest.wait_for_power_off(LIMIT)
    }
}
