//! Names of the operating systems on a disk, by what an ESP and partition types say: for the words
//! of a refusal. Nothing is mounted.

use std::io::{Read, Seek};

use crate::fat::{Fat, FatEntry};
use crate::survey::{DiskState, Survey};

/// Longest boot entry that is read.
const MAX_ENTRY_BYTES: u32 = 4096;
/// Names that are told; a hostile ESP could have thousands.
const MAX_NAMES: usize = 12;

/// Folder below `EFI` on an ESP (UEFI's registry of names, <https://uefi.org/registry>) → system.
const FOLDERS: &[(&str, &str)] = &[
    ("microsoft", "Windows"),
    ("apple", "macOS"),
    ("debian", "Debian"),
    ("ubuntu", "Ubuntu"),
    ("fedora", "Fedora"),
    ("redhat", "Red Hat"),
    ("centos", "CentOS"),
    ("rocky", "Rocky Linux"),
    ("almalinux", "AlmaLinux"),
    ("opensuse", "openSUSE"),
    ("sles", "SUSE"),
    ("arch", "Arch Linux"),
    ("manjaro", "Manjaro"),
    ("linuxmint", "Linux Mint"),
    ("kali", "Kali Linux"),
    ("nixos", "NixOS"),
    ("gentoo", "Gentoo"),
    ("proxmox", "Proxmox"),
    ("freebsd", "FreeBSD"),
];

/// Name of a partition's type → system.
const TYPES: &[(&str, &str)] = &[
    ("Microsoft reserved", "Windows"),
    ("Windows recovery", "Windows"),
    ("Apple APFS", "macOS"),
    ("Apple HFS+", "macOS"),
];

/// What the survey of a disk and its ESPs name, each once, in alphabetical order. What cannot be
/// read names nothing.
pub fn systems(disk: &mut (impl Read + Seek), survey: &Survey) -> Vec<String> {
    let mut names = Vec::new();
    for partition in &survey.partitions {
        let by_type = TYPES.iter().find(|(kind, _)| partition.type_name == Some(kind));
        names.extend(by_type.map(|(_, system)| (*system).to_owned()));
        let is_fat = partition.signature.as_ref().is_some_and(|signature| signature.kind == "vfat");
        let may_be_esp = matches!(partition.type_name, Some("EFI system") | None);
        // A medium's own ESP has an entry per host, and none of them is installed there.
        if is_fat && may_be_esp && survey.state != DiskState::Medium {
            names.extend(on_esp(disk, partition.start_bytes));
        }
    }
    names.sort();
    names.dedup();
    names.truncate(MAX_NAMES);
    names
}

fn on_esp(disk: &mut (impl Read + Seek), start_bytes: u64) -> Vec<String> {
    let Ok(Some(mut esp)) = Fat::open(disk, start_bytes) else {
        return Vec::new();
    };
    let folders = esp.folder("EFI").unwrap_or_default();
    let mut names: Vec<String> = folders.iter().filter_map(by_folder).collect();
    let entries = esp.folder("loader/entries").unwrap_or_default();
    for entry in entries.iter().filter(|entry| entry.name.starts_with("landfall-")).take(MAX_NAMES) {
        let text = esp.file(&format!("loader/entries/{}", entry.name), MAX_ENTRY_BYTES);
        names.extend(text.ok().flatten().and_then(|bytes| title(&String::from_utf8_lossy(&bytes))));
    }
    names
}

fn by_folder(entry: &FatEntry) -> Option<String> {
    let known = FOLDERS.iter().find(|(folder, _)| entry.name.eq_ignore_ascii_case(folder));
    known.filter(|_| entry.is_folder).map(|(_, system)| (*system).to_owned())
}

/// `title HOST (generation N)` of a machine's own boot entry.
fn title(entry: &str) -> Option<String> {
    let title = entry.lines().find_map(|line| line.strip_prefix("title "))?;
    let host = title.split(" (generation").next()?.trim();
    let host: String = host.chars().filter(|c| !c.is_control()).take(64).collect();
    (!host.is_empty()).then(|| format!("Landfall's {host}"))
}

#[cfg(test)]
mod tests {
    use crate::MIB;
    use crate::survey::survey;
    use std::io::{Cursor, Write};

    /// An MBR with one partition of type EFI system, and these folders and files on it.
    fn disk(folders: &[&str], entry: Option<&str>) -> Cursor<Vec<u8>> {
        let mut bytes = vec![0u8; 8 * MIB as usize];
        let mut esp = Cursor::new(&mut bytes[MIB as usize..7 * MIB as usize]);
        fatfs::format_volume(&mut esp, fatfs::FormatVolumeOptions::new()).unwrap();
        let filesystem = fatfs::FileSystem::new(&mut esp, fatfs::FsOptions::new()).unwrap();
        for folder in ["EFI", "loader", "loader/entries"].iter().chain(folders) {
            filesystem.root_dir().create_dir(folder).unwrap();
        }
        if let Some(text) = entry {
            let mut file = filesystem.root_dir().create_file("loader/entries/landfall-1+3.conf").unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        drop(filesystem);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        bytes[446 + 4] = 0xef;
        bytes[446 + 8..446 + 12].copy_from_slice(&2048u32.to_le_bytes());
        bytes[446 + 12..446 + 16].copy_from_slice(&12288u32.to_le_bytes());
        Cursor::new(bytes)
    }

    fn found(mut disk: Cursor<Vec<u8>>) -> Vec<String> {
        survey(&mut disk, 512).unwrap().systems
    }

    #[test]
    fn folders_of_an_esp_name_their_systems() {
        let folders = ["EFI/Microsoft", "EFI/DEBIAN", "EFI/BOOT", "EFI/nobody"];
        assert_eq!(found(disk(&folders, None)), ["Debian", "Windows"]);
        assert!(found(disk(&[], None)).is_empty());
    }

    #[test]
    fn an_earlier_landfall_is_named_with_its_host() {
        let entry = "title kitchen (generation 3)\nsort-key landfall\n";
        assert_eq!(found(disk(&[], Some(entry))), ["Landfall's kitchen"]);
        assert!(found(disk(&[], Some("title \n"))).is_empty());
        let seen = survey(&mut disk(&["EFI/Microsoft"], Some(entry)), 512).unwrap();
        assert!(seen.to_string().ends_with("; systems: Landfall's kitchen, Windows"), "{seen}");
    }
}
