//! A generation's manifest: one bootable copy of a host, named by the content of its parts.
//!
//! The same type stands on a medium (`landfall/generations/HOST.toml`) and on a machine
//! (`landfall/generations/N.toml`). Its exact bytes are what is hashed and signed.

use crate::host::{Existing, OnError, Unlock};
use crate::profiles::Variants;
use crate::rule::Rule;
use crate::swap::Swap;
use serde::{Deserialize, Serialize};

/// The format that this version writes, and the highest that it reads.
pub const FORMAT: u32 = 1;

/// One bootable copy of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Identifies the site: the first signing key's id, or a hash of the site's name.
    pub site: String,
    /// The host's name in the site.
    pub host: String,
    /// Profiles that this chain was built for, sorted.
    pub profiles: Vec<String>,
    /// Grows with every build that changes something.
    pub serial: u64,
    /// Kernel release, as `uname -r` says it.
    pub kernel_release: String,
    /// Command line without Landfall's own `landfall.*` words.
    pub cmdline: String,
    /// Commit of the site's repo, if it is one and clean.
    pub site_commit: Option<String>,
    /// Newest Release date in the lock, seconds since 1970: the clock is never earlier.
    pub epoch: u64,
    /// On a medium, where the machine's profiles choose among several generations of the host: this
    /// one starts the medium, and the one whose set fits is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<Variants>,
    /// How it is installed.
    pub install: InstallSpec,
    /// Signed kernel.
    pub kernel: BlobRef,
    /// `initrd` lines in order; microcode, where there is any, is the first.
    pub initrds: Vec<BlobRef>,
    /// EFI programs: path on the ESP → content.
    pub efi: Vec<EfiProgram>,
    /// What starts it on BIOS; none in manifests that were written before there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bios: Option<BiosBoot>,
    /// Read-only layers, base first.
    pub layers: Vec<LayerRef>,
}

impl Manifest {
    /// Every file that stands on an ESP at its [`BlobRef::esp_path`].
    pub fn blobs(&self) -> impl Iterator<Item = &BlobRef> {
        let bios = self.bios.iter().flat_map(|bios| [&bios.boot, &bios.core]);
        std::iter::once(&self.kernel).chain(&self.initrds).chain(bios)
    }
}

/// GRUB's two parts outside of any file system. They stand on the ESP too, from where an installer takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BiosBoot {
    /// `boot.img`: code for the disk's first sector.
    pub boot: BlobRef,
    /// `core.img`: GRUB itself, for the BIOS boot partition.
    pub core: BlobRef,
}

/// A file that is named by its content; on an ESP it stands at `landfall/<sha256>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// `vmlinuz`, `initrd`, `microcode`, `unlock`, `keymap`, `boot.img`, `core.img`.
    pub name: String,
    /// Hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl BlobRef {
    /// Path on the ESP, with forward slashes and no leading one.
    pub fn esp_path(&self) -> String {
        format!("landfall/{}/{}", self.sha256, self.name)
    }
}

/// An EFI program at a path that firmware or shim dictates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EfiProgram {
    /// `EFI/BOOT/BOOTX64.EFI` …
    pub path: String,
    /// Hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// Which step of the chain made a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// Debian's base.
    Base,
    /// The desktop slot's packages.
    Desktop,
    /// All other packages of the site.
    Packages,
    /// What a device profile adds.
    Profile,
    /// Locales, dconf, hwdb, certificates.
    Settings,
    /// Files, users, units.
    Host,
}

/// One layer: an EROFS image named by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRef {
    /// Which step made it.
    pub kind: LayerKind,
    /// Hex; the file's name is `<sha256>.erofs`.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// What the installer needs to know before it touches a disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstallSpec {
    /// How the machine is recognised, if it is.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_rule: Option<Rule>,
    /// Which disk.
    pub disk: Rule,
    /// What may happen to data on it.
    pub existing: Existing,
    /// What to do when it cannot go on.
    pub on_error: OnError,
    /// LUKS2 on the data partition, when set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypt: Option<EncryptSpec>,
    /// Seconds that the machine's boot menu waits; the usual ones unless the host says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub menu_seconds: Option<u32>,
    /// Swap, which takes room on the disk.
    #[serde(default, skip_serializing_if = "Swap::is_none")]
    pub swap: Swap,
}

/// How the data partition is encrypted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EncryptSpec {
    /// Ways to unlock it beside the recovery key, in the order in which they are tried.
    pub unlock: Vec<Unlock>,
    /// Secret of the host that holds the passphrase, for an install with nobody watching; of a disk
    /// whose state is kept, any key of it. Its ciphertext is in the host layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// Secret of the host that holds the PIN, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The admins' age recipients: who may read the recovery key in a report.
    pub admins: Vec<String>,
}
