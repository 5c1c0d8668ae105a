//! Partition tables of the machine's disks, and the partitions that they name.

use crate::error::{Error, Result};
use crate::probe::{Disk, Partition};
use landfall_disk::{Entry, Gpt, TableSeen, read_table};
use std::fs::File;

/// Reads a disk's table without writing to it.
pub fn read(disk: &Disk) -> Result<TableSeen> {
    let doing = || format!("reading the partition table of {}", disk.path.display());
    let mut file = File::open(&disk.path).map_err(Error::io(doing()))?;
    read_table(&mut file, disk.sector_bytes).map_err(Error::disk(doing()))
}

/// The disk's GPT, if it has a valid one.
pub fn gpt(disk: &Disk) -> Option<Gpt> {
    match read(disk) {
        Ok(TableSeen::Gpt(gpt)) => Some(gpt),
        _ => None,
    }
}

/// The kernel's device for an entry of the table.
pub fn device<'a>(disk: &'a Disk, entry: &Entry) -> Option<&'a Partition> {
    disk.partitions.iter().find(|partition| partition.number == entry.number)
}
