//! The partition table of a medium's image as a larger disk needs it, and the table of a disk on
//! which a medium is only half written. Bytes alone: who writes them decides when.

use gpt::partition::Partition;
use uuid::Uuid;

use crate::bios::OWN_BYTES;
use crate::error::{DiskError, Result};
use crate::layout::{ALIGN_BYTES, BIOS_BYTES};
use crate::read::Gpt;
use crate::types;
use crate::write::{ARRAY_BYTES, compose};

/// Both ends of a disk that carries a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Protective MBR, header and entries: the disk's first bytes.
    pub head: Vec<u8>,
    /// Entries and header of the backup: the disk's last bytes.
    pub tail: Vec<u8>,
}

/// The table `gpt` with its backup at the end of a disk of `disk_bytes`. Partitions and GUIDs stay;
/// `first_sector` is the image's, whose boot code stays too.
///
/// # Errors
/// If the disk is too small for the partitions, or the table is not one that Landfall writes.
pub fn refit(gpt: &Gpt, first_sector: &[u8], disk_bytes: u64, sector_bytes: u32) -> Result<Ends> {
    let sector = u64::from(sector_bytes);
    let last = gpt.entries.iter().map(|entry| entry.last_lba).max().unwrap_or(0);
    let need_bytes = last.saturating_add(1).saturating_mul(sector).saturating_add(ARRAY_BYTES + sector);
    if disk_bytes < need_bytes {
        return Err(DiskError::TooSmall { disk_bytes, need_bytes });
    }
    let numbered = (1u32..).zip(&gpt.entries).all(|(number, entry)| entry.number == number);
    if !numbered {
        return Err(DiskError::NoTable("its partitions are not numbered 1, 2, 3"));
    }
    let parts: Vec<Partition> = gpt.entries.iter().map(|entry| entry.to_partition()).collect();
    let mut ends = ends(disk_bytes, sector_bytes, gpt.disk_guid, &parts)?;
    for own in OWN_BYTES {
        if let (Some(room), Some(bytes)) = (ends.head.get_mut(own.clone()), first_sector.get(own)) {
            room.copy_from_slice(bytes);
        }
    }
    Ok(ends)
}

/// The table of a disk on which a medium is half written: one small partition, whose name says so,
/// no ESP and no boot code. No firmware starts anything from it.
///
/// # Errors
/// If the disk is too small for any table.
pub fn unfinished(disk_guid: Uuid, disk_bytes: u64, sector_bytes: u32) -> Result<Ends> {
    let sector = u64::from(sector_bytes);
    let need_bytes = ALIGN_BYTES + BIOS_BYTES + ALIGN_BYTES;
    if disk_bytes < need_bytes {
        return Err(DiskError::TooSmall { disk_bytes, need_bytes });
    }
    let only = Partition {
        part_type_guid: types::DATA.into(),
        part_guid: disk_guid,
        first_lba: ALIGN_BYTES / sector,
        last_lba: (ALIGN_BYTES + BIOS_BYTES) / sector - 1,
        flags: 0,
        name: types::FLASHING_NAME.to_owned(),
    };
    ends(disk_bytes, sector_bytes, disk_guid, &[only])
}

fn ends(disk_bytes: u64, sector_bytes: u32, disk_guid: Uuid, parts: &[Partition]) -> Result<Ends> {
    let edges = compose(disk_bytes, sector_bytes, disk_guid, parts)?;
    let sector = sector_bytes as usize;
    let (head, tail) = (edges.head(), edges.tail());
    let tail_bytes = ARRAY_BYTES as usize + sector;
    let outside = || DiskError::Compose("the table is larger than its place".to_owned());
    Ok(Ends {
        head: head.get(..2 * sector + ARRAY_BYTES as usize).ok_or_else(outside)?.to_vec(),
        tail: tail
            .len()
            .checked_sub(tail_bytes)
            .and_then(|from| tail.get(from..))
            .ok_or_else(outside)?
            .to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiskState, Guids, Layout, MIB, Old, TableSeen, read_table, survey, write_new};
    use std::io::Cursor;

    fn image() -> (Cursor<Vec<u8>>, Gpt) {
        let layout = Layout::medium(0, MIB);
        let mut disk = Cursor::new(vec![0u8; layout.disk_bytes as usize]);
        write_new(&mut disk, &layout, &Guids::derived(b"x"), types::MEDIUM_NAME, Old::Zeroes).unwrap();
        disk.get_mut()[..4].copy_from_slice(b"boot");
        let TableSeen::Gpt(gpt) = read_table(&mut disk, 512).unwrap() else { panic!("no table") };
        (disk, gpt)
    }

    fn on_disk(ends: &Ends, disk_bytes: u64) -> Cursor<Vec<u8>> {
        let mut bytes = vec![0u8; disk_bytes as usize];
        bytes[..ends.head.len()].copy_from_slice(&ends.head);
        let tail = bytes.len() - ends.tail.len();
        bytes[tail..].copy_from_slice(&ends.tail);
        Cursor::new(bytes)
    }

    #[test]
    fn a_table_moves_to_the_end_of_a_larger_disk() {
        let (image, gpt) = image();
        for disk_bytes in [image.get_ref().len() as u64, 100 * MIB + 512] {
            let ends = refit(&gpt, &image.get_ref()[..512], disk_bytes, 512).unwrap();
            let mut disk = on_disk(&ends, disk_bytes);
            let TableSeen::Gpt(found) = read_table(&mut disk, 512).unwrap() else { panic!("no table") };
            assert_eq!((&found.entries, found.disk_guid), (&gpt.entries, gpt.disk_guid));
            assert_eq!(found.backup_lba, disk_bytes / 512 - 1);
            assert_eq!(&disk.get_ref()[..4], b"boot");
            disk.get_mut()[512..1024].fill(0);
            let TableSeen::Gpt(backup) = read_table(&mut disk, 512).unwrap() else { panic!("no backup") };
            assert!(backup.from_backup && backup.entries == gpt.entries);
        }
        let small = image.get_ref().len() as u64 - MIB;
        assert!(matches!(refit(&gpt, &[], small, 512), Err(DiskError::TooSmall { .. })));
    }

    #[test]
    fn a_half_written_stick_says_so_and_has_nothing_to_boot() {
        let ends = unfinished(Uuid::from_u128(7), 16 * MIB, 512).unwrap();
        let mut disk = on_disk(&ends, 16 * MIB);
        let TableSeen::Gpt(gpt) = read_table(&mut disk, 512).unwrap() else { panic!("no table") };
        assert_eq!(gpt.entries.len(), 1);
        assert_eq!(gpt.entries[0].name, types::FLASHING_NAME);
        assert_ne!(gpt.entries[0].type_guid, types::ESP);
        assert!(disk.get_ref().starts_with(&crate::bios::PASS_OVER));
        assert_eq!(survey(&mut disk, 512).unwrap().state, DiskState::Occupied);
        assert!(unfinished(Uuid::nil(), MIB, 512).is_err());
    }
}
