//! Writing a partition table: composed by the `gpt` crate, put on the disk in our own order.
//!
//! The backup goes first and is flushed before the primary is touched. Whatever a power cut leaves,
//! one of the two is whole: before the primary is replaced the old one counts, while it is torn its
//! checksum fails and the backup counts, and that is already the new one.

use std::collections::BTreeMap;
use std::io::SeekFrom;

use gpt::disk::LogicalBlockSize;
use gpt::partition::Partition;
use uuid::Uuid;

use crate::bios::{CODE_BYTES, PASS_OVER};
use crate::device::Disk;
use crate::edges::Edges;
use crate::error::{DiskError, Result};
use crate::layout::{Extent, Layout, MIB, check_sector};
use crate::marker::{Marker, NAME_UNITS};
use crate::read::{Entry, Gpt, TableSeen, read_table};
use crate::{guid, types};

/// Bytes of the entry array that `gpt` writes: 128 entries of 128 bytes.
pub(crate) const ARRAY_BYTES: u64 = 128 * 128;
/// How much of each end of a disk the composed table may occupy.
const EDGE_BYTES: usize = MIB as usize;

/// The unique GUIDs of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guids {
    /// The disk's own.
    pub disk: Uuid,
    /// Partition 1.
    pub bios: Uuid,
    /// Partition 2.
    pub esp: Uuid,
    /// Partition 3: what `landfall.data=` names.
    pub data: Uuid,
    /// Partition 4, where there is one.
    pub swap: Uuid,
}

impl Guids {
    /// GUIDs that follow from `seed`, for images.
    pub fn derived(seed: &[u8]) -> Self {
        Self {
            disk: guid::derived(seed, "disk"),
            bios: guid::derived(seed, "bios"),
            esp: guid::derived(seed, "esp"),
            data: guid::derived(seed, "data"),
            swap: guid::derived(seed, "swap"),
        }
    }

    /// GUIDs from 80 bytes that the caller took from a random source, for machines.
    pub fn random(bytes: [[u8; 16]; 5]) -> Self {
        let [disk, bios, esp, data, swap] = bytes.map(guid::random);
        Self { disk, bios, esp, data, swap }
    }

    /// The GUIDs of a disk that [`write_new`] made; none if too few partitions are there.
    pub fn of(gpt: &Gpt) -> Option<Self> {
        let guid = |number: usize| gpt.entries.get(number - 1).map(|entry| entry.guid);
        let swap = guid(4).unwrap_or_default();
        Some(Self { disk: gpt.disk_guid, bios: guid(1)?, esp: guid(2)?, data: guid(3)?, swap })
    }
}

/// What the disk held before the table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// Nothing: a fresh image of zeroes.
    Zeroes,
    /// Anything: signatures of old filesystems and arrays are overwritten too.
    Unknown,
}

/// Writes a new table whose partition 1 is called `name`: a [`Marker`] or [`types::MEDIUM_NAME`].
///
/// On a machine this is the first write to the target disk.
pub fn write_new(disk: &mut impl Disk, layout: &Layout, guids: &Guids, name: &str, old: Old) -> Result<()> {
    let mut entries = vec![
        entry(types::BIOS_BOOT, guids.bios, layout, layout.bios, name)?,
        entry(types::ESP, guids.esp, layout, layout.esp, "landfall-esp")?,
        entry(types::DATA, guids.data, layout, layout.data, "landfall-data")?,
    ];
    if let Some(swap) = layout.swap {
        let swap = entry(types::SWAP, guids.swap, layout, swap, "landfall-swap")?;
        entries.push(Partition { flags: types::NO_AUTO, ..swap });
    }
    let edges = compose(layout.disk_bytes, layout.sector_bytes, guids.disk, &entries)?;
    put_backup(disk, layout.disk_bytes, layout.sector_bytes, &edges)?;
    put_primary(disk, layout.sector_bytes, &edges, Protective::Write)?;
    if old == Old::Unknown {
        wipe_signatures(disk, layout)?;
    }
    Ok(())
}

/// Changes the marker of a disk that [`write_new`] made, and nothing else.
///
/// The last write of an installation is this one, to [`crate::Phase::Done`].
pub fn set_marker(disk: &mut impl Disk, sector_bytes: u32, marker: &Marker) -> Result<()> {
    let TableSeen::Gpt(Gpt { disk_guid, backup_lba, entries, .. }) = read_table(disk, sector_bytes)? else {
        return Err(DiskError::NoTable("there is no valid GPT"));
    };
    if entries.is_empty() {
        return Err(DiskError::NoTable("it has no partition that a marker could stand in"));
    }
    let mut parts = Vec::new();
    for (index, seen) in entries.iter().enumerate() {
        // `gpt` renumbers when it writes; a gap means that this is not a table of ours.
        if seen.number as usize != index + 1 {
            return Err(DiskError::NoTable("its partitions are not numbered from 1"));
        }
        let mut part = seen.to_partition();
        if index == 0 {
            if seen.type_guid != types::BIOS_BOOT {
                return Err(DiskError::NoTable("partition 1 is not Landfall's"));
            }
            part.name = marker.to_string();
        }
        parts.push(part);
    }
    let disk_bytes = table_span(disk, sector_bytes, backup_lba)?;
    let edges = compose(disk_bytes, sector_bytes, disk_guid, &parts)?;
    put_backup(disk, disk_bytes, sector_bytes, &edges)?;
    put_primary(disk, sector_bytes, &edges, Protective::Keep)
}

/// The bytes that a table spans, by its own word; a word that the disk contradicts is not believed,
/// for the backup is written there.
fn table_span(disk: &mut impl Disk, sector_bytes: u32, backup_lba: u64) -> Result<u64> {
    let end = disk.seek(SeekFrom::End(0)).map_err(DiskError::io("measuring the disk"))?;
    let span = backup_lba.checked_add(1).and_then(|sectors| sectors.checked_mul(u64::from(sector_bytes)));
    match span {
        Some(span) if span <= end && span >= 2 * EDGE_BYTES as u64 => Ok(span),
        _ => Err(DiskError::NoTable("it does not fit this disk")),
    }
}

fn entry(kind: Uuid, unique: Uuid, layout: &Layout, at: Extent, name: &str) -> Result<Partition> {
    if name.encode_utf16().count() > NAME_UNITS {
        return Err(DiskError::BadText {
            what: "a partition's name",
            why: format!("{name:?} is longer than {NAME_UNITS} UTF-16 units"),
        });
    }
    let sector = u64::from(layout.sector_bytes);
    Ok(Partition {
        part_type_guid: kind.into(),
        part_guid: unique,
        first_lba: at.start_bytes / sector,
        last_lba: at.end_bytes() / sector - 1,
        flags: 0,
        name: name.to_owned(),
    })
}

impl Entry {
    pub(crate) fn to_partition(&self) -> Partition {
        Partition {
            part_type_guid: self.type_guid.into(),
            part_guid: self.guid,
            first_lba: self.first_lba,
            last_lba: self.last_lba,
            flags: self.flags,
            name: self.name.clone(),
        }
    }
}

pub(crate) fn compose(
    disk_bytes: u64,
    sector_bytes: u32,
    disk_guid: Uuid,
    parts: &[Partition],
) -> Result<Edges> {
    check_sector(sector_bytes)?;
    let block = match sector_bytes {
        4096 => LogicalBlockSize::Lb4096,
        _ => LogicalBlockSize::Lb512,
    };
    let refused = |error: gpt::GptError| DiskError::Compose(error.to_string());
    let mut disk = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(block)
        .create_from_device(Edges::new(disk_bytes, EDGE_BYTES), Some(disk_guid))
        .map_err(refused)?;
    let numbered: BTreeMap<u32, Partition> = (1u32..).zip(parts.iter().cloned()).collect();
    disk.update_partitions(numbered).map_err(refused)?;
    let mut edges = disk.write().map_err(refused)?;
    let sectors = u32::try_from(disk_bytes / u64::from(sector_bytes) - 1).unwrap_or(u32::MAX);
    let mut code = [0; CODE_BYTES];
    code[..PASS_OVER.len()].copy_from_slice(&PASS_OVER);
    let mut first = gpt::mbr::ProtectiveMBR::with_lb_size(sectors);
    first.set_bootcode(code);
    first.overwrite_lba0(&mut edges).map_err(|error| DiskError::Compose(error.to_string()))?;
    Ok(edges)
}

fn put_backup(disk: &mut impl Disk, disk_bytes: u64, sector_bytes: u32, edges: &Edges) -> Result<()> {
    let len = ARRAY_BYTES + u64::from(sector_bytes);
    let used = disk_bytes / u64::from(sector_bytes) * u64::from(sector_bytes);
    // Bytes behind the last whole sector belong to no sector, so the tail ends before them.
    let spare = usize::try_from(disk_bytes - used).unwrap_or(0);
    let tail = edges.tail();
    let end = tail.len() - spare;
    let bytes = &tail[end - len as usize..end];
    put(disk, used - len, bytes, "the backup partition table")?;
    disk.sync().map_err(DiskError::io("flushing the backup partition table"))
}

#[derive(PartialEq)]
enum Protective {
    Write,
    Keep,
}

fn put_primary(disk: &mut impl Disk, sector_bytes: u32, edges: &Edges, protective: Protective) -> Result<()> {
    let sector = sector_bytes as usize;
    let end = 2 * sector + ARRAY_BYTES as usize;
    let from = match protective {
        Protective::Write => 0,
        Protective::Keep => sector,
    };
    put(disk, from as u64, &edges.head()[from..end], "the primary partition table")?;
    disk.sync().map_err(DiskError::io("flushing the primary partition table"))
}

/// Overwrites what an earlier life of the disk left where tools look for signatures: between the
/// table and the ESP (LVM, RAID, ISO 9660, btrfs of a whole disk), at both ends of the partitions,
/// and before the backup table (RAID 1.0 and 0.90).
fn wipe_signatures(disk: &mut impl Disk, layout: &Layout) -> Result<()> {
    let sector = u64::from(layout.sector_bytes);
    let table_end = 2 * sector + ARRAY_BYTES;
    let backup = layout.disk_bytes / sector * sector - sector - ARRAY_BYTES;
    let last = layout.swap.unwrap_or(layout.data);
    let spans = [
        (table_end, layout.bios.end_bytes()),
        (layout.esp.start_bytes, layout.esp.start_bytes + MIB),
        (layout.esp.end_bytes() - MIB, layout.data.start_bytes + MIB),
        (layout.data.end_bytes() - MIB, layout.data.end_bytes()),
        (last.start_bytes, last.start_bytes + MIB),
        (last.end_bytes() - MIB, backup),
    ];
    for (from, to) in spans {
        let zeroes = vec![0u8; usize::try_from(to - from).unwrap_or(0)];
        put(disk, from, &zeroes, "zeroes over old signatures")?;
    }
    disk.sync().map_err(DiskError::io("flushing zeroes over old signatures"))
}

fn put(disk: &mut impl Disk, at: u64, bytes: &[u8], what: &str) -> Result<()> {
    disk.seek(SeekFrom::Start(at))
        .and_then(|_| disk.write_all(bytes))
        .map_err(DiskError::io(format!("writing {what} ({} bytes at {at})", bytes.len())))
}
