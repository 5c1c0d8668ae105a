//! What is on a disk, read without writing a byte.

use crate::error::{Error, Result};
use crate::probe::Disk;
use landfall_disk::{DiskState, MIB, survey};
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
        DiskState::Medium | DiskState::Occupied => Content::Used { what: seen.to_string() },
    })
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
