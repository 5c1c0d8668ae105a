//! The host's programs that tests use: where they are, which package brings them.

use crate::error::{Error, Result};
pub use landfall_qemu::find;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program or file, and Debian's package of it.
#[derive(Clone, Copy)]
struct Tool {
    /// A name to find in the path, or an absolute file.
    name: &'static str,
    package: &'static str,
}

const QEMU: &[Tool] = &[
    Tool { name: "qemu-system-x86_64", package: "qemu-system-x86" },
    Tool { name: "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", package: "ovmf" },
    Tool { name: "swtpm", package: "swtpm" },
    Tool { name: "sgdisk", package: "gdisk" },
    Tool { name: "fsck.vfat", package: "dosfstools" },
    Tool { name: "e2fsck", package: "e2fsprogs" },
    Tool { name: "setpriv", package: "util-linux" },
    Tool { name: "ssh-keygen", package: "openssh-client" },
];
const PEERS: &[Tool] = &[
    Tool { name: "mmdebstrap", package: "mmdebstrap" },
    Tool { name: "newuidmap", package: "uidmap" },
    Tool { name: "openssl", package: "openssl" },
];
const LAPTOP: &[Tool] = &[Tool { name: "iasl", package: "acpica-tools" }];
const ENCRYPTION: &[Tool] = &[Tool { name: "cryptsetup", package: "cryptsetup-bin" }];
const TAILNET: &[Tool] = &[Tool { name: "gpg", package: "gpg" }];

/// What a command is about to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Guests and checks of images.
    Qemu,
    /// What Landfall is compared with, and ordinary users' namespaces.
    Peers,
    /// The loopback repository's signature.
    Tailnet,
    /// What judges encrypted disks.
    Encryption,
    /// The ACPI tables of a guest with a battery.
    Laptop,
}

/// A program that [`ensure`] has seen to.
pub fn program(name: &str) -> Result<PathBuf> {
    find(name).ok_or_else(|| {
        let tools = [QEMU, PEERS, TAILNET, LAPTOP, ENCRYPTION].concat();
        let package = tools.iter().find(|tool| tool.name == name).map(|tool| tool.package);
        Error::Missing { tool: name.to_owned(), remedy: remedy(&[package.unwrap_or(name)]) }
    })
}

/// Installs what is missing as root, and otherwise says the one command that would.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let mut packages: Vec<&str> = needs
        .iter()
        .flat_map(|need| match need {
            Need::Qemu => QEMU,
            Need::Peers => PEERS,
            Need::Tailnet => TAILNET,
            Need::Laptop => LAPTOP,
            Need::Encryption => ENCRYPTION,
        })
        .filter(|tool| find(tool.name).is_none())
        .map(|tool| tool.package)
        .collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Missing { tool: packages.join(", "), remedy: remedy(&packages) });
    }
    install(&packages)
}

fn install(packages: &[&str]) -> Result<()> {
    eprintln!("setting up: apt-get install {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]).args(arguments);
        crate::process::run(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"], packages].concat())?;
    Ok(())
}

fn remedy(packages: &[&str]) -> String {
    format!("run  sudo apt-get install {}", packages.join(" "))
}

/// The workspace's top folder.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Cargo's target folder of this workspace.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Landfall's cache folder, by the XDG base directory specification.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    base.unwrap_or_else(|| home().join(".cache")).join("landfall")
}
