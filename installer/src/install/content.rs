//! What is on a disk, read without writing a byte.

use crate::error::{Error, Result};
use crate::probe::Disk;
use landfall_disk::{DiskState, InstallId, MIB, Marker, Phase, survey};
use serde::Serialize;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The start of a disk, where every known format has its marks and where writing begins.
const START_BYTES: u64 = 32 << 20;
/// Its end: backup tables, array members.
const END_BYTES: u64 = 8 << 20;
/// Places in between that are looked at: data without any mark must not pass for nothing.
const SAMPLES: u64 = 512;
const SAMPLE_BYTES: u64 = 4096;
/// Entries of a GPT, which stand before the backup header (UEFI specification 2.10, 5.3.1), and a name in the first.
const BACKUP_ENTRIES_BYTES: u64 = 16 << 10;
const NAME_OFFSET: u64 = 56;
const NAME_BYTES: usize = 72;
/// How much is read at once.
const CHUNK_BYTES: u64 = 256 * 1024;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Content {
    /// Nothing but zeroes or erased flash.
    Blank,
    /// A Landfall installation that was broken off: worth nothing.
    HalfInstalled {
        /// Its install id.
        id: String,
    },
    /// A Landfall installation that was broken off while it kept state: worth everything.
    HalfKept {
        /// Its install id.
        id: String,
    },
    /// A finished Landfall machine.
    Machine {
        /// Its install id.
        id: String,
        /// Systems by name, its own host among them.
        systems: Vec<String>,
    },
    /// Something else.
    Used {
        /// In words.
        what: String,
    },
    /// It cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
}

impl Content {
    /// In words, for a refusal or the list of disks.
    pub fn words(&self) -> String {
        match self {
            Self::Blank => "nothing".into(),
            Self::HalfInstalled { .. } => "an installation of Landfall that was broken off".into(),
            Self::HalfKept { .. } => {
                "an installation of Landfall that was broken off while it kept data".into()
            }
            Self::Machine { systems, .. } if systems.is_empty() => "a machine that Landfall installed".into(),
            Self::Machine { systems, .. } => {
                format!("a machine that Landfall installed: {}", systems.join(", "))
            }
            Self::Used { what } => what.clone(),
            Self::Unreadable { why } => format!("something that cannot be read: {why}"),
        }
    }
}

/// Looks at a disk.
pub fn look(disk: &Disk) -> Content {
    inspect(disk).unwrap_or_else(|error| Content::Unreadable { why: error.chain() })
}

fn inspect(disk: &Disk) -> Result<Content> {
    let doing = || format!("reading {}", disk.path.display());
    let mut file = File::open(&disk.path).map_err(Error::io(doing()))?;
    let seen = survey(&mut file, disk.sector_bytes).map_err(Error::disk(doing()))?;
    Ok(match &seen.state {
        DiskState::Installing(id) => Content::HalfInstalled { id: id.to_string() },
        DiskState::Keeping(id) => Content::HalfKept { id: id.to_string() },
        DiskState::Done(id) => Content::Machine { id: id.to_string(), systems: seen.systems },
        // The survey looks at both ends; data without any mark may stand in between.
        DiskState::Blank if is_blank(disk, seen.table.is_some())? => Content::Blank,
        DiskState::Blank => Content::Used { what: "data without a partition table".into() },
        DiskState::Medium | DiskState::Occupied => match begun(disk)? {
            Some(id) => Content::HalfInstalled { id: id.to_string() },
            None => Content::Used { what: seen.to_string() },
        },
    })
}

/// A disk that was blank, and that a power cut left with a part of our very first write: the entries of the backup
/// table, without its header.
fn begun(disk: &Disk) -> Result<Option<InstallId>> {
    let doing = || format!("reading {}", disk.path.display());
    let entries = BACKUP_ENTRIES_BYTES + u64::from(disk.sector_bytes);
    let Some(at) = disk.size_bytes.checked_sub(entries).filter(|at| *at > MIB) else {
        return Ok(None);
    };
    let file = File::open(&disk.path).map_err(Error::io(doing()))?;
    let mut name = [0; NAME_BYTES];
    file.read_exact_at(&mut name, at + NAME_OFFSET).map_err(Error::io(doing()))?;
    let units = name.chunks_exact(2).filter_map(|unit| Some(u16::from_le_bytes(unit.try_into().ok()?)));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    let marker = String::from_utf16(&units).ok().and_then(|name| Marker::parse(&name));
    match marker.filter(|marker| marker.phase == Phase::Installing) {
        Some(marker) if blank(&file, 0..at).map_err(Error::io(doing()))? => Ok(Some(marker.id)),
        _ => Ok(None),
    }
}

/// The table of a disk that has no partitions is passed over: the survey has judged it.
fn is_blank(disk: &Disk, has_table: bool) -> Result<bool> {
    let doing = || format!("reading {}", disk.path.display());
    let file = File::open(&disk.path).map_err(Error::io(doing()))?;
    let table_bytes = if has_table { MIB } else { 0 };
    let end = disk.size_bytes.saturating_sub(table_bytes);
    blank(&file, table_bytes..end).map_err(Error::io(doing()))
}

/// Whether both ends and samples between them are all zeroes, or all ones as erased flash is.
pub(crate) fn blank(file: &impl FileExt, range: Range<u64>) -> std::io::Result<bool> {
    let Range { start, end } = range;
    let size = end.saturating_sub(start);
    let chunk = usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX);
    let mut buffer = vec![0u8; chunk];
    let (zeroes, ones) = (vec![0u8; chunk], vec![0xffu8; chunk]);
    let mut places = chunks(start..start + START_BYTES.min(size));
    places.extend(chunks(end - END_BYTES.min(size)..end));
    places.extend((1..SAMPLES).map(|n| start + size / SAMPLES * n).map(|at| at..at + SAMPLE_BYTES));
    for place in places {
        let length = place.end.min(end).saturating_sub(place.start);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(part) = buffer.get_mut(..length) else {
            continue;
        };
        file.read_exact_at(part, place.start)?;
        if ![&zeroes, &ones].iter().any(|empty| empty.get(..length) == Some(&*part)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn chunks(range: Range<u64>) -> Vec<Range<u64>> {
    let step = usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX);
    range.clone().step_by(step).map(|at| at..(at + CHUNK_BYTES).min(range.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_torn_first_write_to_a_blank_disk_is_known() {
        let image = tempfile::NamedTempFile::new().unwrap();
        let size_bytes = 8 << 30;
        image.as_file().set_len(size_bytes).unwrap();
        let layout = landfall_disk::Layout::machine(size_bytes, 512).unwrap();
        let guids = landfall_disk::Guids::derived(b"a test");
        let id = InstallId([7; 8]);
        let disk =
            Disk { path: image.path().to_path_buf(), size_bytes, sector_bytes: 512, ..Disk::default() };
        let torn = |phase| {
            let (name, old) = (Marker { phase, id }.to_string(), landfall_disk::Old::Zeroes);
            landfall_disk::write_new(&mut image.reopen().unwrap(), &layout, &guids, &name, old).unwrap();
            image.as_file().write_all_at(&[0; 64 << 10], 0).unwrap();
            image.as_file().write_all_at(&[0; 512], size_bytes - 512).unwrap();
        };
        for (phase, known) in [(Phase::Installing, true), (Phase::Keeping, false), (Phase::Done, false)] {
            torn(phase);
            assert_eq!(look(&disk) == Content::HalfInstalled { id: id.to_string() }, known, "{phase:?}");
        }
        torn(Phase::Installing);
        image.as_file().write_all_at(b"somebody's", 1 << 20).unwrap();
        assert!(matches!(look(&disk), Content::Used { .. }), "data beside it is somebody's");
    }

    #[test]
    fn blank_means_blank() {
        let mut file = tempfile::tempfile().unwrap();
        let size = 1 << 30;
        file.set_len(size).unwrap();
        assert!(blank(&file, 0..size).unwrap());
        file.write_all(b"x").unwrap();
        assert!(blank(&file, MIB..size).unwrap());
        assert!(!blank(&file, 0..size).unwrap());
        file.write_all_at(&[0], 0).unwrap();
        file.write_all_at(b"x", size - 1).unwrap();
        assert!(!blank(&file, 0..size).unwrap());
        file.write_all_at(&[0], size - 1).unwrap();
        file.write_all_at(&[7; 70_000], size / 2).unwrap();
        assert!(!blank(&file, 0..size).unwrap());
        assert!(blank(&tempfile::tempfile().unwrap(), 0..0).unwrap());
    }
}
