//! Reads folders and small files of a FAT filesystem that nobody vouches for: what stands on a
//! disk that is about to be refused, and reports on a stick.
//!
//! By Microsoft's "FAT32 File System Specification" (1.03). Of the crates, `fatfs` panics on
//! cluster numbers below 2 and follows a chain that is a ring for ever; here every number is
//! checked, and a budget ends every walk.

use std::io::{Read, Seek};

use crate::error::{DiskError, Result};
use crate::read::read_at;

/// Bytes that one filesystem may cost to look at.
const BUDGET_BYTES: u64 = 64 << 20;
/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 4096;
/// Bytes of a folder that are looked at.
const MAX_FOLDER_BYTES: u64 = MAX_ENTRIES as u64 * 32;

/// How wide an entry of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatEntry {
    /// Its long name where it has one; without control characters.
    pub name: String,
    /// A folder.
    pub is_folder: bool,
    /// Bytes; 0 for a folder.
    pub len_bytes: u32,
    /// When it was last written, as FAT packs date and time: later is greater.
    pub written: u32,
    first_cluster: u32,
}

/// An open filesystem.
#[derive(Debug)]
pub struct Fat<'d, D> {
    disk: &'d mut D,
    start_bytes: u64,
    table_bytes: u64,
    root_bytes: u64,
    root_len: u64,
    root_cluster: u32,
    data_bytes: u64,
    cluster_bytes: u64,
    clusters: u32,
    width: Width,
    left: u64,
}

impl<'d, D: Read + Seek> Fat<'d, D> {
    /// The filesystem that begins at a byte of the disk; none where it is not FAT.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn open(disk: &'d mut D, start_bytes: u64) -> Result<Option<Self>> {
        let Some(boot) = read_at(disk, start_bytes, 512)? else {
            return Ok(None);
        };
        Ok(Self::parse(disk, start_bytes, &boot))
    }

    fn parse(disk: &'d mut D, start_bytes: u64, boot: &[u8]) -> Option<Self> {
        let byte = |at: usize| boot.get(at).copied().map(u64::from);
        let word = |at: usize| Some(byte(at)? | byte(at + 1)? << 8);
        let long = |at: usize| Some(word(at)? | word(at + 2)? << 16);
        let (sector, per_cluster) = (word(11)?, byte(13)?);
        let plausible = word(510)? == 0xaa55
            && matches!(sector, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two();
        if !plausible {
            return None;
        }
        let (reserved, tables, root_entries) = (word(14)?, byte(16)?, word(17)?);
        let total = if word(19)? != 0 { word(19)? } else { long(32)? };
        let per_table = if word(22)? != 0 { word(22)? } else { long(36)? };
        let root_sectors = (root_entries * 32).div_ceil(sector);
        let data = reserved + tables * per_table + root_sectors;
        let clusters = total.checked_sub(data)? / per_cluster;
        let width = match clusters {
            0..4085 => Width::Twelve,
            4085..65525 => Width::Sixteen,
            _ => Width::ThirtyTwo,
        };
        let root_cluster = if width == Width::ThirtyTwo { long(44)? } else { 0 };
        Some(Self {
            disk,
            start_bytes,
            table_bytes: reserved * sector,
            root_bytes: (reserved + tables * per_table) * sector,
            root_len: root_sectors * sector,
            root_cluster: u32::try_from(root_cluster).ok()?,
            data_bytes: data * sector,
            cluster_bytes: per_cluster * sector,
            clusters: u32::try_from(clusters).ok()?,
            width,
            left: BUDGET_BYTES,
        })
    }

    /// What stands in the folder of that path (`/` between names, in any case); empty where there
    /// is none.
    ///
    /// # Errors
    /// If the disk cannot be read, or the walk costs too much.
    pub fn folder(&mut self, path: &str) -> Result<Vec<FatEntry>> {
        let root = match self.width {
            Width::ThirtyTwo => self.chain(self.root_cluster, MAX_FOLDER_BYTES)?,
            _ => self.take(self.root_bytes, self.root_len.min(MAX_FOLDER_BYTES))?,
        };
        let mut entries = entries(&root);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let next = entries.iter().find(|entry| entry.is_folder && entry.is_called(name));
            let Some(first) = next.map(|entry| entry.first_cluster) else {
                return Ok(Vec::new());
            };
            entries = self::entries(&self.chain(first, MAX_FOLDER_BYTES)?);
        }
        Ok(entries)
    }

    /// A file's bytes, at most `max_bytes` of them; none where there is no such file.
    ///
    /// # Errors
    /// If the disk cannot be read, or the walk costs too much.
    pub fn file(&mut self, path: &str, max_bytes: u32) -> Result<Option<Vec<u8>>> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let found = self.folder(folder)?.into_iter().find(|entry| !entry.is_folder && entry.is_called(name));
        let Some(entry) = found else {
            return Ok(None);
        };
        let wanted = entry.len_bytes.min(max_bytes);
        let mut bytes = self.chain(entry.first_cluster, u64::from(wanted))?;
        bytes.truncate(usize::try_from(wanted).unwrap_or(0));
        Ok(Some(bytes))
    }

    /// The bytes of a chain of clusters, whole clusters until there are `enough`.
    fn chain(&mut self, first: u32, enough: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut cluster = first;
        while (bytes.len() as u64) < enough && (2..self.clusters.saturating_add(2)).contains(&cluster) {
            let at = self.data_bytes + u64::from(cluster - 2) * self.cluster_bytes;
            bytes.extend(self.take(at, self.cluster_bytes)?);
            cluster = self.next(cluster)?;
        }
        Ok(bytes)
    }

    /// What follows a cluster; at a chain's end it is a number beyond all clusters.
    fn next(&mut self, cluster: u32) -> Result<u32> {
        let cluster = u64::from(cluster);
        let offset = match self.width {
            Width::Twelve => cluster + cluster / 2,
            Width::Sixteen => cluster * 2,
            Width::ThirtyTwo => cluster * 4,
        };
        let len = if self.width == Width::ThirtyTwo { 4 } else { 2 };
        let raw = self.take(self.table_bytes + offset, len)?;
        let number = raw.iter().rev().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        Ok(match self.width {
            Width::Twelve if cluster % 2 == 1 => number >> 4,
            Width::Twelve => number & 0xfff,
            Width::Sixteen => number,
            Width::ThirtyTwo => number & 0x0fff_ffff,
        })
    }

    fn take(&mut self, at: u64, len: u64) -> Result<Vec<u8>> {
        let bad =
            |why: &str| DiskError::io("reading a FAT filesystem")(std::io::Error::other(why.to_owned()));
        self.left = self.left.checked_sub(len).ok_or_else(|| bad("it goes on without an end"))?;
        let at = self.start_bytes.saturating_add(at);
        let len = usize::try_from(len).map_err(|_| bad("a part is too long"))?;
        read_at(self.disk, at, len)?.ok_or_else(|| bad("it points beyond the disk"))
    }
}

impl FatEntry {
    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The entries of a folder's bytes, without volume labels, deleted ones, `.` and `..`.
fn entries(bytes: &[u8]) -> Vec<FatEntry> {
    const LABEL: u8 = 0x08;
    const FOLDER: u8 = 0x10;
    const LONG: u8 = 0x0f;
    let mut found = Vec::new();
    let mut long: Vec<(u8, Vec<u16>)> = Vec::new();
    for raw in bytes.chunks_exact(32).take(MAX_ENTRIES) {
        let at = |place: usize| raw.get(place).copied().unwrap_or(0);
        let word = |place: usize| u16::from_le_bytes([at(place), at(place + 1)]);
        match (at(0), at(11)) {
            (0x00, _) => break,
            (0xe5, _) => long.clear(),
            (_, LONG) => {
                let places = (1..11).chain(14..26).chain(28..32).collect::<Vec<usize>>();
                let units = places.chunks_exact(2).filter_map(|pair| pair.first()).map(|place| word(*place));
                long.push((at(13), units.collect()));
            }
            (_, attributes) if attributes & LABEL != 0 => long.clear(),
            (_, attributes) => {
                let name = long_name(&long, checksum(raw)).unwrap_or_else(|| short_name(raw));
                long.clear();
                if name == "." || name == ".." {
                    continue;
                }
                found.push(FatEntry {
                    name,
                    is_folder: attributes & FOLDER != 0,
                    len_bytes: u32::from(word(28)) | u32::from(word(30)) << 16,
                    written: u32::from(word(22)) | u32::from(word(24)) << 16,
                    first_cluster: u32::from(word(26)) | u32::from(word(20)) << 16,
                });
            }
        }
    }
    found
}

/// Long names stand in front of their short one, last part first, each with its checksum.
fn long_name(parts: &[(u8, Vec<u16>)], checksum: u8) -> Option<String> {
    if parts.is_empty() || parts.iter().any(|(sum, _)| *sum != checksum) {
        return None;
    }
    let units: Vec<u16> = parts.iter().rev().flat_map(|(_, units)| units.iter().copied()).collect();
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    printable(&String::from_utf16_lossy(units.get(..end)?))
}

fn checksum(raw: &[u8]) -> u8 {
    raw.iter().take(11).fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// `NAME    EXT`, and two bits that say which half is in small letters.
fn short_name(raw: &[u8]) -> String {
    let half = |range: std::ops::Range<usize>, small: bool| {
        let text = String::from_utf8_lossy(raw.get(range).unwrap_or_default()).trim_end().to_owned();
        if small { text.to_ascii_lowercase() } else { text }
    };
    let case = raw.get(12).copied().unwrap_or(0);
    let (name, extension) = (half(0..8, case & 0x08 != 0), half(8..11, case & 0x10 != 0));
    let name = if extension.is_empty() { name } else { format!("{name}.{extension}") };
    printable(&name).unwrap_or_default()
}

fn printable(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    const KINDS: [(usize, fatfs::FatType); 3] = [
        (1 << 20, fatfs::FatType::Fat12),
        (6 << 20, fatfs::FatType::Fat16),
        (40 << 20, fatfs::FatType::Fat32),
    ];

    fn image(bytes: usize, kind: fatfs::FatType) -> Vec<u8> {
        let mut image = vec![0u8; bytes];
        let mut cursor = Cursor::new(&mut image[..]);
        let options = fatfs::FormatVolumeOptions::new().fat_type(kind).bytes_per_cluster(512);
        fatfs::format_volume(&mut cursor, options).unwrap();
        let filesystem = fatfs::FileSystem::new(&mut cursor, fatfs::FsOptions::new()).unwrap();
        let root = filesystem.root_dir();
        for folder in ["EFI", "EFI/Microsoft", "loader", "loader/entries"] {
            root.create_dir(folder).unwrap();
        }
        let mut file = root.create_file("loader/entries/landfall-1+3.conf").unwrap();
        file.write_all(&b"0123456789".repeat(300)).unwrap();
        drop(file);
        drop(root);
        drop(filesystem);
        image
    }

    fn names(entries: Vec<FatEntry>) -> Vec<String> {
        entries.into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn folders_and_files_of_every_width_are_read() {
        for (bytes, kind) in KINDS {
            let mut disk = vec![7u8; 4096];
            disk.extend(image(bytes, kind));
            let mut disk = Cursor::new(disk);
            let mut fat = Fat::open(&mut disk, 4096).unwrap().unwrap();
            assert_eq!(names(fat.folder("").unwrap()), ["EFI", "loader"], "{kind:?}");
            assert_eq!(names(fat.folder("/efi/").unwrap()), ["Microsoft"]);
            assert!(fat.folder("EFI/debian").unwrap().is_empty());
            let path = "loader/Entries/landfall-1+3.conf";
            assert_eq!(fat.file(path, 9999).unwrap().unwrap(), b"0123456789".repeat(300));
            assert_eq!(fat.file(path, 5).unwrap().unwrap(), b"01234");
            assert_eq!(fat.file("loader/none", 5).unwrap(), None);
            assert_eq!(fat.file("EFI", 5).unwrap(), None);
        }
    }

    #[test]
    fn what_is_not_fat_is_none() {
        for bytes in [0, 511, 512, 4096] {
            assert!(Fat::open(&mut Cursor::new(vec![0xffu8; bytes]), 0).unwrap().is_none());
        }
    }

    /// Every byte of boot sector, tables and folders is bent in turn: an answer or an error, soon.
    #[test]
    fn bent_filesystems_do_no_harm() {
        for (bytes, kind) in KINDS {
            let whole = image(bytes, kind);
            let used: Vec<usize> = (0..whole.len()).filter(|at| *at < 96 || whole[*at] != 0).collect();
            let mut bent = whole.clone();
            for at in used {
                for value in [0x00, 0x01, 0xff, whole[at] ^ 0x40] {
                    bent[at] = value;
                    let mut cursor = Cursor::new(&bent[..]);
                    if let Some(mut fat) = Fat::open(&mut cursor, 0).unwrap() {
                        let _ = fat.folder("EFI/Microsoft");
                        let _ = fat.file("loader/entries/landfall-1+3.conf", 4000);
                    }
                }
                bent[at] = whole[at];
            }
        }
    }

    #[test]
    fn a_ring_of_clusters_ends() {
        let mut bytes = image(6 << 20, fatfs::FatType::Fat16);
        let table = usize::from(u16::from_le_bytes([bytes[14], bytes[15]])) * 512;
        for cluster in 2..200usize {
            bytes[table + cluster * 2..][..2].copy_from_slice(&(cluster as u16).to_le_bytes());
        }
        let mut cursor = Cursor::new(bytes);
        let mut fat = Fat::open(&mut cursor, 0).unwrap().unwrap();
        assert!(fat.folder("EFI").unwrap().len() <= MAX_ENTRIES);
        assert_eq!(fat.file("loader/entries/landfall-1+3.conf", u32::MAX).unwrap().unwrap().len(), 3000);
    }
}
