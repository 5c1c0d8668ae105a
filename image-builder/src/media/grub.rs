//! GRUB for machines and media that start by BIOS, put together by its own `grub-mkimage`.

use landfall_disk::GrubEntry;

use super::compose::Blob;
use super::error::{MediaError, Result};
use super::menu::MenuEntry;
use super::tool::Tool;
use super::trees::Trees;

/// GRUB's modules and boot code.
const MODULES: &str = "usr/lib/grub/i386-pc";
/// Package of [`MODULES`].
const PACKAGE: &str = "grub-pc-bin";
/// What a menu on a FAT partition of a disk with a GPT needs, and nothing else.
const NEEDED: [&str; 12] = [
    "biosdisk",
    "configfile",
    "echo",
    "fat",
    "linux",
    "loadenv",
    "normal",
    "part_gpt",
    "reboot",
    "sleep",
    "test",
    "true",
];
/// The folder of the menu: on partition 2 of the disk that BIOS started, which GRUB puts before the comma.
const PREFIX: &str = "(,gpt2)/grub";

/// GRUB's two parts, for a manifest and an ESP.
#[derive(Clone, Debug)]
pub struct Grub {
    /// `boot.img`.
    pub boot: Blob,
    /// `core.img`.
    pub core: Blob,
}

impl Grub {
    /// Makes it from the tools root; the same packages give the same bytes.
    ///
    /// # Errors
    /// If a package is missing or `grub-mkimage` fails.
    pub fn make(tools: &Trees) -> Result<Self> {
        let modules = tools.find(MODULES).ok_or_else(|| {
            MediaError::missing(
                format!("/{MODULES} in the tools root"),
                format!("its package {PACKAGE} is not locked; run: landfall lock --update"),
            )
        })?;
        let core = tempfile::NamedTempFile::new().map_err(MediaError::io("making a file for GRUB"))?;
        let fixed = ["--format", "i386-pc", "--prefix", PREFIX, "--directory"];
        Tool::find(tools, "grub-mkimage", "grub-common")?
            .args(fixed)
            .args([modules.as_os_str(), "--output".as_ref(), core.path().as_os_str()])
            .args(NEEDED)
            .output()?;
        Ok(Self {
            boot: Blob::file("boot.img", &modules.join("boot.img"))?,
            core: Blob::file("core.img", core.path())?,
        })
    }
}

/// The medium's entries as GRUB's menu has them, in the order in which systemd-boot shows them.
pub(crate) fn entries(menu: &[MenuEntry]) -> Vec<GrubEntry> {
    let mut entries: Vec<GrubEntry> = menu
        .iter()
        .map(|item| GrubEntry { id: id(&item.file).to_owned(), entry: item.entry.clone() })
        .collect();
    entries.sort_by(|a, b| a.entry.sort_key.cmp(&b.entry.sort_key));
    entries
}

/// An entry's name from that of its file.
pub(crate) fn id(file: &str) -> &str {
    file.strip_suffix(".conf").unwrap_or(file)
}
