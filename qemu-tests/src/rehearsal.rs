//! A machine's life in a guest: installed from the stick, booted from its own disk, booted again.

use crate::error::{Doing, Error, Result};
use crate::fixture::Fixture;
use crate::guest::{Bus, Drive, Firmware, Forward, Guest, GuestConfig};
use crate::image;
use crate::site::HOST;
use crate::tailnet::{Headscale, LOGIN_PORT};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// What the target's disk is called by the guest's firmware and kernel.
pub const TARGET_SERIAL: &str = "LANDFALLTARGET";
/// Room for a system, its state and a reserve; sparse. A power of two, for SD cards have no other sizes.
pub const TARGET_BYTES: u64 = 16 << 30;

const INSTALL_LIMIT: Duration = Duration::from_secs(900);
const BOOT_LIMIT: Duration = Duration::from_secs(600);
const OFF_LIMIT: Duration = Duration::from_secs(180);

/// Which firmware a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// UEFI with Secure Boot.
    SecureBoot,
    /// UEFI without Secure Boot.
    Uefi,
    /// BIOS.
    Bios,
}

/// The shape of a target machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its firmware.
    pub starts: Starts,
    /// The bus of its disk.
    pub bus: Bus,
    /// Bytes of a logical sector of its disk.
    pub sector_bytes: u32,
    /// Whether it has a TPM 2.
    pub tpm: bool,
}

impl Default for Shape {
    /// The usual guest: Secure Boot, a virtio disk, no TPM.
    fn default() -> Self {
        Self { starts: Starts::SecureBoot, bus: Bus::Virtio, sector_bytes: 512, tpm: false }
    }
}

/// The target machine: its disk, its firmware's variables and the tailnet's server around it.
pub struct Machine {
    /// The target's disk.
    pub disk: PathBuf,
    /// The stick that it is installed from: a copy, for the installer writes its report on it.
    pub stick: PathBuf,
    /// The tailnet's server, where there is a Go to build it.
    pub headscale: Option<Headscale>,
    shape: Shape,
    name: String,
    folder: TempDir,
}

/// What an install said.
#[derive(Debug, Clone)]
pub struct Installed {
    /// All of the serial line.
    pub console: String,
    /// From power-on to the sentinel.
    pub seconds: f64,
    /// From power-on to our `/init`.
    pub stage1_seconds: f64,
    /// The sentinel's line.
    pub line: String,
}

impl Machine {
    /// A usual machine with a blank disk and fresh firmware; `name` names its logs.
    pub fn new(fixture: &Fixture, name: &str) -> Result<Self> {
        Self::shaped(fixture, name, Shape::default())
    }

    /// A machine of that shape with a blank disk and fresh firmware.
    pub fn shaped(fixture: &Fixture, name: &str, shape: Shape) -> Result<Self> {
        let parent = fixture.folder.join("machines");
        std::fs::create_dir_all(&parent).doing("creating", &parent)?;
        let folder = tempfile::tempdir_in(&parent).doing("creating a folder in", &parent)?;
        let (disk, stick) = (folder.path().join("disk.img"), folder.path().join("stick.img"));
        image::blank(&disk, TARGET_BYTES)?;
        image::copy(&fixture.medium, &stick)?;
        let headscale = fixture.headscale(folder.path())?;
        Ok(Self { disk, stick, headscale, shape, name: name.into(), folder })
    }

    /// Boots the stick with the blank disk beside it and waits for the install to end in a reboot.
    pub fn install(&self) -> Result<Installed> {
        self.install_on(vec![Drive::stick(&self.stick), self.target()])
    }

    /// Like [`Self::install`], with those drives in place of the stick and the disk.
    pub fn install_on(&self, drives: Vec<Drive>) -> Result<Installed> {
        let mut config = self.config("install");
        config.machine.drives = drives;
        let mut guest = Guest::start(&config)?;
        guest.wait_for(&["LANDFALL STAGE1"], BOOT_LIMIT)?;
        let stage1_seconds = guest.elapsed().as_secs_f64();
        let line = guest
            .wait_for(&["LANDFALL INSTALL done", "LANDFALL REFUSED", "LANDFALL PROMPT"], INSTALL_LIMIT)?;
        if !line.contains("INSTALL done") {
            let end = crate::error::tail(&guest.console(), 40);
            return Err(Error::Unexpected(format!("the installer did not install: {line}\n{end}")));
        }
        let seconds = guest.elapsed().as_secs_f64();
        guest.wait_for_power_off(OFF_LIMIT)?;
        Ok(Installed { console: guest.console(), seconds, stage1_seconds, line })
    }

    /// Boots the disk alone and waits for first boot to be done, and for the guest agent.
    pub fn boot(&self, name: &str, ssh_port: Option<u16>) -> Result<Guest> {
        self.boot_beside(name, ssh_port, Vec::new())
    }

    /// Like [`Self::boot`], with further drives attached.
    pub fn boot_beside(&self, name: &str, ssh_port: Option<u16>, drives: Vec<Drive>) -> Result<Guest> {
        let mut config = self.config(name);
        config.machine.drives = vec![self.target()];
        config.machine.drives.extend(drives);
        config.ssh_port = ssh_port;
        let mut guest = Guest::start(&config)?;
        guest.wait_for(&["LANDFALL FIRSTBOOT done"], BOOT_LIMIT)?;
        guest.wait_for_agent(Duration::from_secs(180))?;
        Ok(guest)
    }

    /// Waits until the machine stands in the tailnet under its host's name.
    pub fn wait_online(&self) -> Result<Option<crate::tailnet::Node>> {
        let online = |headscale: &Headscale| headscale.wait_online(HOST, Duration::from_secs(180));
        self.headscale.as_ref().map(online).transpose()
    }

    /// Reboots a guest from inside and waits until QEMU, which ends at a reset, has ended.
    pub fn reboot(&self, mut guest: Guest) -> Result<()> {
        // The agent dies with the machine before it can answer.
        let _ = guest.shell("systemctl reboot --no-block", Duration::from_secs(30));
        guest.wait_for_power_off(OFF_LIMIT)
    }

    /// A folder that lives as long as the machine.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The target's disk as a drive of its shape.
    pub fn target(&self) -> Drive {
        let sector_bytes = self.shape.sector_bytes;
        Drive { sector_bytes, ..Drive::new(&self.disk, self.shape.bus, TARGET_SERIAL) }
    }

    /// A guest of this machine's shape without drives; `phase` names its log.
    pub fn config(&self, phase: &str) -> GuestConfig {
        let variables = self.folder.path().join("variables");
        let firmware = match self.shape.starts {
            Starts::SecureBoot => Firmware::SecureBoot { variables },
            Starts::Uefi => Firmware::Uefi { variables },
            Starts::Bios => Firmware::Bios,
        };
        let mut config = GuestConfig::new(&format!("{}-{phase}", self.name), firmware);
        config.tpm_state = self.shape.tpm.then(|| self.folder.path().join("tpm"));
        let forward = |headscale: &Headscale| Forward { guest_port: LOGIN_PORT, host_port: headscale.port };
        config.forwards = self.headscale.iter().map(forward).collect();
        config
    }
}
