//! Finding the medium and reading what it says of itself.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::mounts::{Kind, Mount};
use crate::probe::{Disk, Partition, disks};
use crate::table;
use landfall_disk::guid::Uuid;
use landfall_disk::{Gpt, types};
use landfall_hosts::medium::MediumIndex;
use landfall_hosts::paths::data;
use rustix::mount::MountFlags;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// USB sticks take seconds to appear, some card readers half a minute.
const WAIT: Duration = Duration::from_secs(45);

/// How long it is waited for without a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// The medium, mounted.
#[derive(Debug)]
pub struct Medium {
    /// Where its data partition is mounted.
    pub folder: PathBuf,
    /// The whole disk.
    pub disk: Disk,
    /// The data partition.
    pub data: Partition,
    /// The EFI system partition.
    pub esp: Partition,
    /// `medium.toml`.
    pub index: MediumIndex,
    guid: Uuid,
    mount: Mount,
}

/// What a medium is known by when it may have been taken out since.
#[derive(Debug, Clone)]
pub struct Known {
    disk: Disk,
    guid: Uuid,
}

impl Known {
    /// Its EFI system partition, wherever it is plugged in now.
    pub fn esp(&self, context: &Context) -> Result<Partition> {
        let found = disks::list(&context.roots).iter().find_map(|disk| self.esp_on(disk));
        found.ok_or_else(|| {
            Error::Words(format!("this installation's medium is not there any more: {}", self.disk.line()))
        })
    }

    fn esp_on(&self, disk: &Disk) -> Option<Partition> {
        let gpt = table::gpt(disk).filter(is_medium)?;
        let esp = gpt.entries.iter().find(|entry| entry.type_guid == types::ESP)?;
        let same = self.disk.is_same_hardware(disk) && gpt.disk_guid == self.guid;
        table::device(disk, esp).filter(|_| same).cloned()
    }
}

impl Medium {
    /// What it will be known by.
    pub fn known(&self) -> Known {
        Known { disk: self.disk.clone(), guid: self.guid }
    }

    /// Leaves it mounted for ever.
    pub fn keep_mounted(self) {
        self.mount.keep();
    }

    /// Unmounts it, so that it can be mounted for writing, and gives back what it was.
    pub fn release(self) -> Result<Released> {
        self.mount.close()?;
        Ok(Released { folder: self.folder, data: self.data, esp: self.esp })
    }

    /// Mounts its ESP to read from it.
    pub fn esp_for_reading(&self, context: &Context) -> Result<(Mount, PathBuf)> {
        mount_esp(context, &self.esp, MountFlags::RDONLY)
    }
}

/// A medium that is not mounted any more.
#[derive(Debug, Clone)]
pub struct Released {
    folder: PathBuf,
    data: Partition,
    esp: Partition,
}

impl Released {
    /// Mounts the data partition for writing.
    pub fn data_for_writing(&self) -> Result<(Mount, PathBuf)> {
        let kind = Kind { name: "ext4", flags: inert() | MountFlags::NOATIME, options: "" };
        Ok((Mount::new(&self.data.path, &self.folder, kind)?, self.folder.clone()))
    }

    /// Mounts the ESP for writing.
    pub fn esp_for_writing(&self, context: &Context) -> Result<(Mount, PathBuf)> {
        mount_esp(context, &self.esp, MountFlags::empty())
    }
}

/// Mounts an ESP of the medium at a place of its own.
pub fn mount_esp(context: &Context, esp: &Partition, flags: MountFlags) -> Result<(Mount, PathBuf)> {
    let folder = context.roots.run.join("landfall/medium-esp");
    let kind = Kind { name: "vfat", flags: flags | inert(), options: "umask=0077" };
    Ok((Mount::new(&esp.path, &folder, kind)?, folder))
}

fn inert() -> MountFlags {
    MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC
}

/// Waits for a medium; the one that the command line names, if it names one.
pub fn find(context: &Context) -> Result<Medium> {
    let wanted = context.cmdline.data();
    let mut trouble = Vec::new();
    let mut look = || {
        trouble.clear();
        disks::list(&context.roots)
            .into_iter()
            .find_map(|disk| on_disk(context, disk, wanted.as_deref(), &mut trouble))
    };
    if let Some(medium) = context.hotplug.wait_for(PATIENCE, &mut look) {
        return Ok(medium);
    }
    context.consoles.say("Waiting for the medium …");
    let found = context.hotplug.wait_for(WAIT, look);
    found.ok_or_else(|| {
        let why = if trouble.is_empty() { String::new() } else { format!(" ({})", trouble.join("; ")) };
        Error::Words(format!("no disk of this machine is a medium of Landfall{why}"))
    })
}

fn on_disk(context: &Context, disk: Disk, wanted: Option<&str>, trouble: &mut Vec<String>) -> Option<Medium> {
    let gpt: Gpt = table::gpt(&disk)?;
    // A machine's disk has the same type of partition. It is not even mounted: the kernel deletes
    // orphaned inodes on a read-only mount, too (ext4_orphan_cleanup).
    if !is_medium(&gpt) {
        return None;
    }
    let entry = gpt
        .entries
        .iter()
        .filter(|entry| entry.type_guid == types::DATA)
        .find(|entry| wanted.is_none_or(|wanted| entry.guid.to_string() == wanted))?;
    let data = table::device(&disk, entry)?.clone();
    let esp = gpt.entries.iter().find(|entry| entry.type_guid == types::ESP)?;
    let esp = table::device(&disk, esp)?.clone();
    match open(context, &data) {
        Ok(Some((mount, folder, index))) => {
            Some(Medium { folder, disk, data, esp, index, guid: gpt.disk_guid, mount })
        }
        Ok(None) => None,
        Err(error) => {
            trouble.push(error.chain());
            None
        }
    }
}

fn is_medium(gpt: &Gpt) -> bool {
    gpt.entries.first().is_some_and(|entry| entry.name == types::MEDIUM_NAME)
}

/// Without its journal: what is only looked at stays byte for byte.
fn open(context: &Context, data: &Partition) -> Result<Option<(Mount, PathBuf, MediumIndex)>> {
    let folder = context.roots.run.join("landfall/medium");
    let kind = Kind { name: "ext4", flags: inert() | MountFlags::RDONLY, options: "noload" };
    let mount = Mount::new(&data.path, &folder, kind)?;
    let path = folder.join(data::MEDIUM);
    if !path.exists() {
        return Ok(None);
    }
    let index = read_index(&path)?;
    Ok(Some((mount, folder, index)))
}

fn read_index(path: &Path) -> Result<MediumIndex> {
    let text = std::fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
    let index: MediumIndex =
        toml::from_str(&text).map_err(|error| Error::parse("the medium's index", error.message()))?;
    if index.format > 1 {
        return Err(Error::parse("the medium's index", "it was written by a newer Landfall than this /init"));
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_disk::{
        Guids, InstallId, Layout, MIB, Marker, Old, Phase, TableSeen, read_table, write_new,
    };

    #[test]
    fn only_a_medium_is_taken_for_one() {
        let named = |name: &str| {
            let mut file = tempfile::tempfile().unwrap();
            let layout = Layout::medium(64 * MIB, 64 * MIB);
            file.set_len(layout.disk_bytes).unwrap();
            write_new(&mut file, &layout, &Guids::derived(b"x"), name, Old::Zeroes).unwrap();
            let TableSeen::Gpt(gpt) = read_table(&mut file, 512).unwrap() else { panic!("no table") };
            is_medium(&gpt)
        };
        assert!(named(types::MEDIUM_NAME));
        let id = InstallId([1; 8]);
        for phase in [Phase::Installing, Phase::Keeping, Phase::Done] {
            assert!(!named(&Marker { phase, id }.to_string()));
        }
        assert!(!named(""));
    }

    #[test]
    fn another_stick_in_the_same_port_is_not_the_medium() {
        let guids = Guids::derived(b"x");
        let stick = |guids: &Guids, name: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let layout = Layout::medium(64 * MIB, 64 * MIB);
            file.as_file().set_len(layout.disk_bytes).unwrap();
            write_new(file.as_file_mut(), &layout, guids, name, Old::Zeroes).unwrap();
            file
        };
        let at = |file: &tempfile::NamedTempFile, name: &str, serial: &str| Disk {
            name: name.into(),
            path: file.path().into(),
            sector_bytes: 512,
            serial: Some(serial.into()),
            partitions: vec![Partition { number: 2, name: format!("{name}2"), ..Partition::default() }],
            ..Disk::default()
        };
        let ours = stick(&guids, types::MEDIUM_NAME);
        let known = Known { disk: at(&ours, "sdb", "S1"), guid: guids.disk };
        let found = |disk: &Disk| known.esp_on(disk).map(|esp| esp.name);
        // It came back under another name.
        assert_eq!(found(&at(&ours, "sdc", "S1")).as_deref(), Some("sdc2"));
        assert_eq!(found(&at(&ours, "sdb", "S2")), None);
        let other = stick(&Guids::derived(b"y"), types::MEDIUM_NAME);
        assert_eq!(found(&at(&other, "sdb", "S1")), None);
        let installed = Marker { phase: Phase::Done, id: InstallId([1; 8]) }.to_string();
        assert_eq!(found(&at(&stick(&guids, &installed), "sdb", "S1")), None);
        assert_eq!(found(&Disk { path: "/nowhere".into(), ..at(&ours, "sdb", "S1") }), None);
    }
}
