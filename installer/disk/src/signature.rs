//! What a partition or a whole disk holds, told by the magic numbers that blkid goes by
//! (util-linux, libblkid/src/superblocks). Only for words and for "is this empty": nothing is
//! mounted or trusted on the strength of it.

use std::io::{Read, Seek};

use crate::error::Result;
use crate::read::{read_at, u32_at, u64_at};

/// How much of the start is looked at: the last magic there, ZFS's, ends before.
const HEAD_BYTES: usize = 272 * 1024;

/// A filesystem or another kind of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it is, as `blkid` or people call it.
    pub kind: &'static str,
    /// Its label, where it has one; control characters are gone.
    pub label: Option<String>,
}

/// A magic number, and where a label of so many bytes stands.
struct Magic {
    at: usize,
    bytes: &'static [u8],
    kind: &'static str,
    label: Option<(usize, usize)>,
}

const fn magic(at: usize, bytes: &'static [u8], kind: &'static str, label: Option<(usize, usize)>) -> Magic {
    Magic { at, bytes, kind, label }
}

/// `struct cache_sb` and `struct bch_sb` (Linux, include/uapi/linux/bcache.h, fs/bcachefs).
const BCACHE: [u8; 16] = 0xc685_73f6_4e1a_45ca_8265_f57f_48ba_6d81_u128.to_be_bytes();
const BCACHEFS: [u8; 16] = 0xc685_73f6_66ce_90a9_d96a_60cf_803d_f7ef_u128.to_be_bytes();

/// In the order in which they are tried: containers before what they may contain.
const MAGICS: &[Magic] = &[
    magic(0, b"LUKS\xba\xbe\0\x02", "LUKS encryption", Some((24, 48))),
    magic(0, b"LUKS\xba\xbe", "LUKS encryption", None),
    magic(4096 + 24, &BCACHE, "bcache", Some((4096 + 72, 32))),
    magic(4096 + 24, &BCACHEFS, "bcachefs", Some((4096 + 72, 32))),
    magic(3, b"-FVE-FS-", "BitLocker encryption", None),
    magic(4096, &[0xfc, 0x4e, 0x2b, 0xa9], "Linux RAID", Some((4096 + 32, 32))),
    magic(0, &[0xfc, 0x4e, 0x2b, 0xa9], "Linux RAID", Some((32, 32))),
    magic(24, b"LVM2 001", "LVM", None),
    magic(512 + 24, b"LVM2 001", "LVM", None),
    magic(1024 + 24, b"LVM2 001", "LVM", None),
    magic(1536 + 24, b"LVM2 001", "LVM", None),
    magic(0x1_0040, b"_BHRfS_M", "btrfs", Some((0x1_012b, 256))),
    magic(0, b"XFSB", "xfs", Some((108, 12))),
    magic(0x438, &[0x53, 0xef], "ext4", Some((0x478, 16))),
    magic(3, b"NTFS    ", "ntfs", None),
    magic(3, b"EXFAT   ", "exfat", None),
    magic(0x8001, b"CD001", "iso9660", Some((0x8028, 32))),
    magic(32, b"NXSB", "apfs", None),
    magic(1024, b"H+", "hfs+", None),
    magic(1024, b"HX", "hfs+", None),
    magic(1024, &[0x10, 0x20, 0xf5, 0xf2], "f2fs", None),
    magic(1024, &[0xe2, 0xe1, 0xf5, 0xe0], "erofs", None),
    magic(0, b"hsqs", "squashfs", None),
    magic(4096 - 10, b"SWAPSPACE2", "swap", Some((1052, 16))),
    magic(4096 - 10, b"SWAP-SPACE", "swap", None),
    magic(0x52, b"FAT32   ", "vfat", Some((0x47, 11))),
    magic(0x36, b"FAT16   ", "vfat", Some((0x2b, 11))),
    magic(0x36, b"FAT12   ", "vfat", Some((0x2b, 11))),
];

/// Probes `len_bytes` bytes of the disk from `start_bytes`.
pub fn probe(disk: &mut (impl Read + Seek), start_bytes: u64, len_bytes: u64) -> Result<Option<Signature>> {
    let want = usize::try_from(len_bytes).map_or(HEAD_BYTES, |len| len.min(HEAD_BYTES));
    let Some(head) = read_at(disk, start_bytes, want)? else {
        return Ok(None);
    };
    if let Some(found) = in_head(&head) {
        return Ok(Some(found));
    }
    raid_at_end(disk, start_bytes, len_bytes)
}

/// What the first bytes of a partition say.
pub(crate) fn in_head(head: &[u8]) -> Option<Signature> {
    for magic in MAGICS {
        let end = magic.at.saturating_add(magic.bytes.len());
        if head.get(magic.at..end) != Some(magic.bytes) {
            continue;
        }
        return Some(Signature {
            kind: refine(magic.kind, head),
            label: magic.label.and_then(|(at, len)| label(head.get(at..at.saturating_add(len))?)),
        });
    }
    zfs(head)
}

/// ext2 and ext3 share ext4's magic: the journal and extents tell them apart
/// (Linux, Documentation/filesystems/ext4/super.rst).
fn refine(kind: &'static str, head: &[u8]) -> &'static str {
    if kind != "ext4" {
        return kind;
    }
    let journal = u32_at(head, 0x45c).unwrap_or(0) & 0x4 != 0;
    // Incompatible features beyond filetype, recover, journal_dev and meta_bg came with ext4.
    let newer = u32_at(head, 0x460).unwrap_or(0) & !0x1e != 0;
    match (newer, journal) {
        (true, _) => "ext4",
        (false, true) => "ext3",
        (false, false) => "ext2",
    }
}

/// ZFS keeps its uberblocks from 128 KiB on, every KiB, of either byte order.
fn zfs(head: &[u8]) -> Option<Signature> {
    const UBERBLOCK: u64 = 0x00ba_b10c;
    let hit = (128..256).any(|kib| {
        u64_at(head, kib * 1024).is_some_and(|word| word == UBERBLOCK || word.swap_bytes() == UBERBLOCK)
    });
    hit.then_some(Signature { kind: "zfs", label: None })
}

/// Linux RAID keeps versions 1.0 and 0.90 of its superblock at the end (`md(4)`).
fn raid_at_end(disk: &mut (impl Read + Seek), start_bytes: u64, len_bytes: u64) -> Result<Option<Signature>> {
    const KIB: u64 = 1024;
    let places = [
        len_bytes.checked_sub(8 * KIB).map(|at| at / (4 * KIB) * (4 * KIB)),
        (len_bytes / (64 * KIB) * (64 * KIB)).checked_sub(64 * KIB),
    ];
    for at in places.into_iter().flatten() {
        let Some(at) = start_bytes.checked_add(at) else {
            continue;
        };
        let word = read_at(disk, at, 4)?;
        if word.as_deref() == Some(&[0xfc, 0x4e, 0x2b, 0xa9]) {
            return Ok(Some(Signature { kind: "Linux RAID", label: None }));
        }
    }
    Ok(None)
}

fn label(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end)?);
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    (!text.is_empty() && text != "NO NAME").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn head_with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut head = vec![0u8; HEAD_BYTES];
        head[at..at + bytes.len()].copy_from_slice(bytes);
        head
    }

    #[test]
    fn every_magic_is_recognised_at_its_place_and_survives_truncation() {
        for magic in MAGICS {
            let mut head = head_with(magic.at, magic.bytes);
            let found = in_head(&head).unwrap();
            let expected = if magic.kind == "ext4" { "ext2" } else { magic.kind };
            assert_eq!(found.kind, expected);
            for len in [0, 1, magic.at, magic.at + 1, magic.at + magic.bytes.len()] {
                let _ = in_head(&head[..len]);
            }
            if let Some((at, _)) = magic.label {
                head[at..at + 4].copy_from_slice(b"ab\ncd"[..4].try_into().unwrap());
                assert_eq!(in_head(&head).unwrap().label.as_deref(), Some("abc"));
            }
        }
    }

    #[test]
    fn zfs_and_old_raid_are_found_where_they_hide() {
        let head = head_with(129 * 1024, &0x00ba_b10cu64.to_be_bytes());
        assert_eq!(in_head(&head).unwrap().kind, "zfs");
        let len = 10 * 1024 * 1024u64 + 512;
        let mut disk = vec![0u8; len as usize];
        let at = (len / 65536 * 65536 - 65536) as usize;
        disk[at..at + 4].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9]);
        let found = probe(&mut Cursor::new(disk), 0, len).unwrap().unwrap();
        assert_eq!(found.kind, "Linux RAID");
    }

    #[test]
    fn places_outside_of_the_disk_hold_nothing() {
        let mut disk = Cursor::new(vec![0u8; 1000]);
        assert_eq!(probe(&mut disk, 5000, 5000).unwrap(), None);
        assert_eq!(probe(&mut disk, u64::MAX, u64::MAX).unwrap(), None);
        assert_eq!(probe(&mut disk, 0, u64::MAX).unwrap(), None);
        assert_eq!(probe(&mut disk, 0, 0).unwrap(), None);
    }
}
