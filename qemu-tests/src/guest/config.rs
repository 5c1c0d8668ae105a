//! What a guest is made of, as QEMU's command line.

use super::kvm;
use crate::error::{Doing, Error, Result};
use std::path::{Path, PathBuf};

/// Firmware of OVMF with Secure Boot, and variables with Microsoft's keys enrolled.
const FIRMWARE: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
];

/// How a drive is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk: `/dev/vda`.
    Virtio,
    /// A removable USB stick.
    UsbStick,
}

/// A raw image as a drive.
#[derive(Debug, Clone)]
pub struct Drive {
    /// The raw image.
    pub image: PathBuf,
    /// How it is attached.
    pub bus: Bus,
    /// What the guest reads as its serial number.
    pub serial: String,
}

impl Drive {
    /// A virtio disk.
    pub fn disk(image: &Path, serial: &str) -> Self {
        Self { image: image.to_path_buf(), bus: Bus::Virtio, serial: serial.into() }
    }

    /// A removable USB stick.
    pub fn stick(image: &Path) -> Self {
        Self { image: image.to_path_buf(), bus: Bus::UsbStick, serial: "LANDFALLSTICK".into() }
    }
}

/// What is booted.
#[derive(Debug, Clone)]
pub enum Boot {
    /// OVMF with Secure Boot; the file holds the guest's variables and is made from Microsoft's set if absent.
    SecureBoot {
        /// The guest's own copy of the variables.
        variables: PathBuf,
    },
    /// A kernel without firmware's help: seconds to `/init`, for what does not depend on the boot chain.
    Kernel {
        /// `vmlinuz`.
        kernel: PathBuf,
        /// All initrds as one file.
        initrd: PathBuf,
        /// The command line.
        append: String,
    },
}

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
    /// Memory.
    pub memory_mib: u32,
    /// A stick is booted before any disk.
    pub drives: Vec<Drive>,
    /// What is booted.
    pub boot: Boot,
    /// Empty: a network card that reaches nothing but QEMU's own DHCP.
    pub forwards: Vec<Forward>,
    /// A loopback port here that leads to the guest's ssh, for a person to log in.
    pub ssh_port: Option<u16>,
    /// Whether a reboot ends QEMU: a test then sees each boot on its own.
    pub reboot_ends: bool,
}

impl GuestConfig {
    /// A guest of the usual size with nothing attached.
    pub fn new(name: &str, boot: Boot) -> Self {
        Self {
            name: name.into(),
            memory_mib: 2048,
            drives: Vec::new(),
            boot,
            forwards: Vec::new(),
            ssh_port: None,
            reboot_ends: true,
        }
    }

    /// QEMU's arguments.
    pub(super) fn arguments(&self, sockets: &Sockets, log: &Path, folder: &Path) -> Result<Vec<String>> {
        let mut words = Words::default();
        let smm = if matches!(self.boot, Boot::SecureBoot { .. }) { "q35,smm=on" } else { "q35" };
        words.option("-machine", smm);
        for word in kvm::acceleration() {
            words.0.push((*word).into());
        }
        words.option("-smp", "2");
        words.option("-m", &self.memory_mib.to_string());
        words.option("-display", "none");
        words.0.push("-nodefaults".into());
        words.option("-device", "virtio-vga");
        words.option("-device", "virtio-rng-pci");
        if self.reboot_ends {
            words.0.push("-no-reboot".into());
        }
        self.boot_words(&mut words)?;
        self.channels(&mut words, sockets, log);
        self.network(&mut words)?;
        words.option("-device", "qemu-xhci,id=xhci");
        for (index, drive) in self.drives.iter().enumerate() {
            words.drive(drive, index);
        }
        words.option("-pidfile", &quoted(&folder.join("pid")));
        Ok(words.0)
    }

    fn boot_words(&self, words: &mut Words) -> Result<()> {
        match &self.boot {
            Boot::SecureBoot { variables } => {
                let (code, template) = firmware()?;
                if !variables.exists() {
                    std::fs::copy(template, variables).doing("copying firmware variables to", variables)?;
                }
                words.option("-global", "driver=cfi.pflash01,property=secure,value=on");
                words.option("-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"));
                words.option("-drive", &format!("if=pflash,format=raw,unit=1,file={}", quoted(variables)));
            }
            Boot::Kernel { kernel, initrd, append } => {
                words.option("-kernel", &kernel.display().to_string());
                words.option("-initrd", &initrd.display().to_string());
                words.option("-append", append);
            }
        }
        Ok(())
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

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn option(&mut self, name: &str, value: &str) {
        self.0.extend([name.to_owned(), value.to_owned()]);
    }

    fn drive(&mut self, drive: &Drive, index: usize) {
        let file = quoted(&drive.image);
        // The images are scratch files: a flush that reaches the disk of this computer proves nothing more.
        self.option(
            "-drive",
            &format!("if=none,id=d{index},format=raw,cache=unsafe,discard=unmap,file={file}"),
        );
        let device = match drive.bus {
            Bus::Virtio => "virtio-blk-pci",
            // As a person chooses the stick in the firmware's menu. A disk has to be found by what its
            // installer wrote into the firmware. (Index 0 is QEMU's own where it boots a kernel.)
            Bus::UsbStick => "usb-storage,bus=xhci.0,removable=on,bootindex=1",
        };
        let serial = &drive.serial;
        self.option("-device", &format!("{device},drive=d{index},serial={serial}"));
    }
}

/// Where QEMU listens.
pub(super) struct Sockets {
    pub qmp: PathBuf,
    pub serial: PathBuf,
    pub agent: PathBuf,
}

impl Sockets {
    pub fn new(folder: &Path) -> Self {
        Self { qmp: folder.join("qmp"), serial: folder.join("serial"), agent: folder.join("agent") }
    }
}

/// QEMU's options split at commas; a comma in a value is doubled.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

pub(super) fn firmware() -> Result<(&'static str, &'static str)> {
    let found =
        FIRMWARE.iter().find(|(code, variables)| Path::new(code).exists() && Path::new(variables).exists());
    found.copied().ok_or_else(|| Error::Missing {
        tool: "OVMF with Microsoft's keys (OVMF_CODE_4M.ms.fd)".into(),
        remedy: "run  sudo apt-get install ovmf".into(),
    })
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
    fn commas_in_paths_are_doubled() {
        assert_eq!(quoted(Path::new("/a,b")), "/a,,b");
    }

    #[test]
    fn the_network_is_closed_but_for_its_forwards() {
        let config = GuestConfig::new(
            "t",
            Boot::Kernel { kernel: "k".into(), initrd: "i".into(), append: "a b".into() },
        );
        let folder = Path::new("/tmp/x");
        let words = config.arguments(&Sockets::new(folder), Path::new("/tmp/log"), folder).unwrap();
        let net = words.iter().find(|word| word.starts_with("user,")).unwrap();
        assert_eq!(net, "user,id=net,restrict=on");
    }
}
