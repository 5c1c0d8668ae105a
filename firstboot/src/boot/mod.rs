//! What stage 1 and the boot loader say of this boot, and whether this boot is good.

pub mod count;
pub mod grub;
pub mod health;
pub mod report;

use crate::files;
use crate::roots::Roots;
use landfall_hosts::machine::BootInfo;
use landfall_hosts::paths;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// The vendor of systemd-boot's variables: <https://systemd.io/BOOT_LOADER_INTERFACE>.
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// A loader variable is a path or a name.
const LIMIT_BYTES: u64 = 8 * 1024;

/// Whether this machine was started by UEFI, and so by systemd-boot; else GRUB started it.
pub fn is_uefi(roots: &Roots) -> bool {
    roots.sys("firmware/efi").exists()
}

/// What stage 1 said of this boot.
pub fn boot_info(roots: &Roots) -> Option<BootInfo> {
    let text = files::read_text(&roots.path(paths::machine::BOOT_INFO)).ok()??;
    toml::from_str(&text).ok()
}

fn variable(roots: &Roots, name: &str) -> PathBuf {
    roots.efivars().join(format!("{name}-{LOADER}"))
}

/// A loader variable's text; none if it is not there.
pub fn loader_text(roots: &Roots, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(variable(roots, name)).ok()?;
    file.take(LIMIT_BYTES).read_to_end(&mut bytes).ok()?;
    text(&bytes)
}

/// efivarfs: four bytes of attributes, then UTF-16 little-endian with a final NUL.
fn text(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> = bytes
        .get(4..)?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_utf16_and_survives_what_is_none() {
        let mut bytes = vec![6, 0, 0, 0];
        for unit in "a+3.conf\0rest".encode_utf16() {
            bytes.extend(unit.to_le_bytes());
        }
        assert_eq!(text(&bytes).as_deref(), Some("a+3.conf"));
        assert_eq!(text(&[1, 2]), None);
        assert_eq!(text(&[6, 0, 0, 0]).as_deref(), Some(""));
        assert_eq!(text(&[6, 0, 0, 0, 0, 0xd8]), None);
        assert_eq!(text(&[6, 0, 0, 0, 0x41]).as_deref(), Some(""));
    }
}
