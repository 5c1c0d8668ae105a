//! Starting a disk by BIOS: GRUB's code in the first sector, and GRUB itself in the BIOS boot partition.
//!
//! Nothing of it is in a file system that BIOS could read, so it is written by hand, as `grub-bios-setup` does: the
//! code learns where GRUB begins (`grub-core/boot/i386/pc/boot.S`), and GRUB's first sector where the rest of it is
//! (`diskboot.S`).

use std::io::SeekFrom;
use std::ops::Range;

use crate::device::Disk;
use crate::error::{DiskError, Result};
use crate::layout::{BIOS_BYTES, Layout};
use crate::read::read_at;

/// BIOS reads in these, and so does GRUB's code.
const SECTOR: usize = 512;
/// The code ends where the disk's signature and the old partition table begin.
pub(crate) const CODE_BYTES: usize = 440;
/// Where the code keeps the first sector of GRUB, 8 bytes.
const KERNEL_SECTOR: usize = 0x5c;
/// A jump over a check of the drive's number. Without it firmwares that hand over nonsense start too
/// (`grub-bios-setup` does the same on hard disks).
const DRIVE_CHECK: usize = 0x66;
const DRIVE_CHECK_JUMP: [u8; 2] = [0xeb, 0x05];
const NOPS: [u8; 2] = [0x90, 0x90];
/// The first of the block list's entries of 12 bytes in GRUB's first sector; they grow downwards to one of zeroes.
const BLOCK_LIST: usize = SECTOR - 12;
/// The old partition table's second entry.
const SECOND_ENTRY: usize = 446 + 16;
/// What of the first sector is the boot loader's and not the table's.
pub(crate) const OWN_BYTES: [Range<usize>; 2] = [0..CODE_BYTES, SECOND_ENTRY..SECOND_ENTRY + 16];
/// What stands in a first sector without GRUB: `int 0x18`, by which BIOS goes on to the next device or says that there
/// is none (BIOS Boot Specification 1.01, 6.7), and an endless `hlt` where it comes back. A table has the signature of
/// a boot sector, and BIOS would run zeroes, too.
pub(crate) const PASS_OVER: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];

/// GRUB's two parts, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bios {
    boot: Vec<u8>,
    core: Vec<u8>,
}

/// Whether BIOS can start a disk with such sectors. GRUB's code takes a sector for 512 bytes, and so do the BIOSes.
pub fn bios_can_start(sector_bytes: u32) -> bool {
    sector_bytes as usize == SECTOR
}

impl Bios {
    /// Takes `boot.img` and `core.img` as GRUB ships and makes them.
    ///
    /// # Errors
    /// If they are not what GRUB's tools make, or do not fit their places.
    pub fn new(boot: Vec<u8>, core: Vec<u8>) -> Result<Self> {
        let bad = |why: &str| DiskError::Bios(why.into());
        if boot.len() != SECTOR || !boot.ends_with(&[0x55, 0xaa]) {
            return Err(bad("boot.img is not a boot sector"));
        }
        if boot.get(DRIVE_CHECK..DRIVE_CHECK + 2) != Some(&DRIVE_CHECK_JUMP) {
            return Err(bad("boot.img does not have its check of the drive where GRUB has it"));
        }
        if core.len() <= SECTOR || core.len() as u64 > BIOS_BYTES {
            return Err(bad("core.img does not fit the BIOS boot partition"));
        }
        let rest = u16::try_from((core.len() - SECTOR).div_ceil(SECTOR)).unwrap_or(u16::MAX);
        let length = core.get(BLOCK_LIST + 8..BLOCK_LIST + 10);
        let end = core.get(BLOCK_LIST - 12..BLOCK_LIST);
        if length != Some(&rest.to_le_bytes()) || end != Some(&[0; 12]) {
            return Err(bad("core.img does not begin with the block list that GRUB's tools write"));
        }
        Ok(Self { boot, core })
    }

    /// Puts GRUB into partition 1. Nothing starts it yet.
    ///
    /// # Errors
    /// If the disk cannot be written.
    pub fn put_core(&self, disk: &mut impl Disk, layout: &Layout) -> Result<()> {
        put(disk, layout.bios.start_bytes, &self.placed(layout), "GRUB")
    }

    /// Whether GRUB reads back as it was put; the caller has taken it out of the caches.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn is_on(&self, disk: &mut impl Disk, layout: &Layout) -> Result<bool> {
        let core = self.placed(layout);
        Ok(read_at(disk, layout.bios.start_bytes, core.len())?.is_some_and(|found| found == core))
    }

    fn placed(&self, layout: &Layout) -> Vec<u8> {
        let first = layout.bios.start_bytes / SECTOR as u64 + 1;
        let mut core = self.core.clone();
        if let Some(place) = core.get_mut(BLOCK_LIST..BLOCK_LIST + 8) {
            place.copy_from_slice(&first.to_le_bytes());
        }
        core.resize(core.len().next_multiple_of(SECTOR), 0);
        core
    }

    /// Puts the code into the first sector, which holds the protective MBR: from here on BIOS starts this disk.
    ///
    /// One sector, so a power cut leaves it as it was or as it shall be. Many BIOSes start only a disk that has an
    /// active entry in its old table. The protective entry must not be it: EDK II then takes the disk for one
    /// without GPT (`PartitionDxe/Gpt.c`). So the second entry is, which is empty otherwise, and of which neither
    /// UEFI nor Linux makes a partition.
    ///
    /// # Errors
    /// If the first sector holds no protective MBR, or the disk cannot be written.
    pub fn put_boot(&self, disk: &mut impl Disk, layout: &Layout) -> Result<()> {
        let mut sector = read_at(disk, 0, SECTOR)?.unwrap_or_default();
        if !sector.ends_with(&[0x55, 0xaa]) || sector.get(446 + 4) != Some(&0xee) {
            return Err(DiskError::NoTable("there is no protective MBR"));
        }
        let first = layout.bios.start_bytes / SECTOR as u64;
        let mut code = self.boot.get(..CODE_BYTES).unwrap_or_default().to_vec();
        let mut patch = |at: usize, bytes: &[u8]| {
            if let Some(place) = code.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        patch(KERNEL_SECTOR, &first.to_le_bytes());
        patch(DRIVE_CHECK, &NOPS);
        sector.splice(..CODE_BYTES, code);
        if let Some(entry) = sector.get_mut(SECOND_ENTRY..SECOND_ENTRY + 16) {
            entry.fill(0);
            entry[0] = 0x80;
        }
        put(disk, 0, &sector, "the boot sector")
    }
}

/// Takes the code out of the first sector: from here on BIOS passes this disk over. The table stays.
///
/// # Errors
/// If the disk cannot be read or written.
pub fn clear_boot(disk: &mut impl Disk) -> Result<()> {
    let mut sector = read_at(disk, 0, SECTOR)?.unwrap_or_default();
    for range in OWN_BYTES {
        if let Some(place) = sector.get_mut(range) {
            place.fill(0);
        }
    }
    if let Some(place) = sector.get_mut(..PASS_OVER.len()) {
        place.copy_from_slice(&PASS_OVER);
    }
    put(disk, 0, &sector, "the boot sector")
}

fn put(disk: &mut impl Disk, at: u64, bytes: &[u8], what: &str) -> Result<()> {
    disk.seek(SeekFrom::Start(at))
        .and_then(|_| disk.write_all(bytes))
        .and_then(|()| disk.sync())
        .map_err(DiskError::io(format!("writing {what} ({} bytes at {at})", bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MIB;
    use crate::{Guids, Old, TableSeen, read_table, types, write_new};
    use std::io::Cursor;

    fn boot() -> Vec<u8> {
        let mut boot = vec![0x11; SECTOR];
        boot[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&DRIVE_CHECK_JUMP);
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        boot
    }

    fn core(len: usize) -> Vec<u8> {
        let mut core = vec![0x22; len];
        core[BLOCK_LIST - 12..BLOCK_LIST].fill(0);
        let rest = u16::try_from((len - SECTOR).div_ceil(SECTOR)).unwrap();
        core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&2u64.to_le_bytes());
        core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&rest.to_le_bytes());
        core
    }

    #[test]
    fn the_code_finds_grub_and_the_table_stays() {
        let layout = Layout::medium(64 * MIB, 64 * MIB);
        let mut disk = Cursor::new(vec![0; usize::try_from(layout.disk_bytes).unwrap()]);
        write_new(&mut disk, &layout, &Guids::derived(b"x"), types::MEDIUM_NAME, Old::Zeroes).unwrap();
        let before = read_table(&mut disk, 512).unwrap();
        assert_eq!(disk.get_ref()[..CODE_BYTES].strip_prefix(&PASS_OVER), Some(&[0; CODE_BYTES - 5][..]));
        let bios = Bios::new(boot(), core(100_000)).unwrap();
        assert!(!bios.is_on(&mut disk, &layout).unwrap());
        bios.put_core(&mut disk, &layout).unwrap();
        assert!(bios.is_on(&mut disk, &layout).unwrap());
        bios.put_boot(&mut disk, &layout).unwrap();
        assert_eq!(read_table(&mut disk, 512).unwrap(), before);
        assert!(matches!(before, TableSeen::Gpt(_)));
        let bytes = disk.get_ref().clone();
        assert_eq!(bytes[KERNEL_SECTOR..KERNEL_SECTOR + 8], 2048u64.to_le_bytes());
        assert_eq!(bytes[DRIVE_CHECK..DRIVE_CHECK + 2], NOPS);
        assert_eq!(
            (bytes[446], bytes[450], bytes[SECOND_ENTRY], bytes[SECOND_ENTRY + 4]),
            (0, 0xee, 0x80, 0)
        );
        let at = 2048 * 512;
        assert_eq!(bytes[at + BLOCK_LIST..at + BLOCK_LIST + 8], 2049u64.to_le_bytes());
        assert_eq!(bytes[at + SECTOR..at + 100_000], core(100_000)[SECTOR..]);
        clear_boot(&mut disk).unwrap();
        assert_eq!(read_table(&mut disk, 512).unwrap(), before);
        let start = &disk.get_ref()[..SECTOR];
        assert_eq!(start[..CODE_BYTES].strip_prefix(&PASS_OVER), Some(&[0; CODE_BYTES - 5][..]));
        assert_eq!(start[SECOND_ENTRY..][..16], [0; 16]);
    }

    #[test]
    fn what_is_not_grubs_is_refused() {
        let mut odd = core(5000);
        odd[BLOCK_LIST + 8] += 1;
        for (boot, core) in [
            (vec![0; 512], core(5000)),
            (boot()[..510].to_vec(), core(5000)),
            (boot(), vec![0; 512]),
            (boot(), vec![0; (2 * MIB) as usize]),
            (boot(), vec![1; 5000]),
            (boot(), odd),
        ] {
            assert!(Bios::new(boot, core).is_err());
        }
    }

    #[test]
    fn a_disk_without_a_protective_mbr_is_left_alone() {
        let layout = Layout::medium(64 * MIB, 64 * MIB);
        let mut disk = Cursor::new(vec![0; 4096]);
        assert!(Bios::new(boot(), core(5000)).unwrap().put_boot(&mut disk, &layout).is_err());
        assert_eq!(disk.into_inner(), vec![0; 4096]);
    }
}
