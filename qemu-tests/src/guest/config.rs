//! What a guest of a test is, beside its machine: a closed network, consoles and control sockets.

use crate::error::{Error, Result};
use landfall_qemu::{Firmware, Machine, Tpm, quoted};
use std::path::{Path, PathBuf};

/// A port at 10.0.2.100 in the guest's otherwise closed network that leads to a loopback port here.
#[derive(Debug, Clone, Copy)]
pub struct Forward {
    /// What the guest connects to.
    pub guest_port: u16,
    /// Where it leads.
    pub host_port: u16,
}

/// A guest to be.
#[derive(Debug, Clone)]
pub struct GuestConfig {
    /// Names the log.
    pub name: String,
    /// Its shape.
    pub machine: Machine,
    /// The folder that its TPM keeps its state in, if it has a TPM.
    pub tpm_state: Option<PathBuf>,
    /// Empty: a network card that reaches nothing but QEMU's own DHCP.
    pub forwards: Vec<Forward>,
    /// A loopback port here that leads to the guest's ssh, for a person to log in.
    pub ssh_port: Option<u16>,
    /// Whether a reboot ends QEMU: a test then sees each boot on its own.
    pub reboot_ends: bool,
}

impl GuestConfig {
    /// A guest of the usual size with nothing attached.
    pub fn new(name: &str, firmware: Firmware) -> Self {
        Self {
            name: name.into(),
            machine: Machine::new(firmware),
            tpm_state: None,
            forwards: Vec::new(),
            ssh_port: None,
            reboot_ends: true,
        }
    }

    /// The TPM's process to start before QEMU.
    pub(super) fn tpm(&self, sockets: &Sockets) -> Option<Tpm> {
        self.tpm_state.clone().map(|state| Tpm { state, socket: sockets.tpm.clone() })
    }

    /// QEMU's arguments.
    pub(super) fn arguments(&self, sockets: &Sockets, log: &Path, folder: &Path) -> Result<Vec<String>> {
        let mut machine = self.machine.clone();
        machine.tpm = self.tpm(sockets);
        let mut words = Words(machine.arguments()?);
        if self.reboot_ends {
            words.0.push("-no-reboot".into());
        }
        self.channels(&mut words, sockets, log);
        self.network(&mut words)?;
        words.option("-pidfile", &quoted(&folder.join("pid")));
        Ok(words.0)
    }

    fn channels(&self, words: &mut Words, sockets: &Sockets, log: &Path) {
        let socket = |path: &Path| format!("path={},server=on,wait=off", quoted(path));
        let serial = socket(&sockets.serial);
        words.option("-chardev", &format!("socket,id=serial,{serial},logfile={},logappend=on", quoted(log)));
        words.option("-serial", "chardev:serial");
        words.option("-qmp", &format!("unix:{},server=on,wait=off", quoted(&sockets.qmp)));
        words.option("-device", "virtio-serial-pci");
        words.option("-chardev", &format!("socket,id=agent,{}", socket(&sockets.agent)));
        words.option("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
    }

    fn network(&self, words: &mut Words) -> Result<()> {
        let mut net = String::from("user,id=net,restrict=on");
        for forward in &self.forwards {
            let pipe = pipe_program()?;
            let (guest, host) = (forward.guest_port, forward.host_port);
            net.push_str(&format!(",guestfwd=tcp:10.0.2.100:{guest}-cmd:{} pipe {host}", quoted(&pipe)));
        }
        if let Some(port) = self.ssh_port {
            net.push_str(&format!(",hostfwd=tcp:127.0.0.1:{port}-:22"));
        }
        words.option("-netdev", &net);
        words.option("-device", "virtio-net-pci,netdev=net");
        Ok(())
    }
}

struct Words(Vec<String>);

impl Words {
    fn option(&mut self, name: &str, value: &str) {
        self.0.extend([name.to_owned(), value.to_owned()]);
    }
}

/// Where QEMU and the TPM listen.
pub(super) struct Sockets {
    pub qmp: PathBuf,
    pub serial: PathBuf,
    pub agent: PathBuf,
    pub tpm: PathBuf,
}

impl Sockets {
    pub fn new(folder: &Path) -> Self {
        let [qmp, serial, agent, tpm] = ["qmp", "serial", "agent", "tpm"].map(|name| folder.join(name));
        Self { qmp, serial, agent, tpm }
    }
}

/// `cargo xtask` carries the pipe's subcommand: it runs, or stands one folder above a test binary. Its own path may
/// say "(deleted)" where cargo has built it anew in the meantime.
fn pipe_program() -> Result<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let mut candidates = own.ancestors().skip(1).take(2).map(|folder| folder.join("xtask"));
    candidates.find(|path| path.is_file()).ok_or_else(|| Error::Missing {
        tool: "the xtask program, which pipes the guest's connections".into(),
        remedy: "run these tests by  cargo xtask test".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_closed_but_for_its_forwards() {
        let config = GuestConfig::new("t", Firmware::Bios);
        let folder = Path::new("/tmp/x");
        let words = config.arguments(&Sockets::new(folder), Path::new("/tmp/log"), folder).unwrap();
        let net = words.iter().find(|word| word.starts_with("user,")).unwrap();
        assert_eq!(net, "user,id=net,restrict=on");
    }
}
