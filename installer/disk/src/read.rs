//! Reading whatever partition table a disk has. Nothing here trusts a byte of it.
//!
//! `gpt` asserts on entry sizes that it does not expect, so it only ever reads tables that this
//! reader has found valid; here every field is checked first (UEFI specification 2.10, 5.3).

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use uuid::Uuid;

use crate::error::{DiskError, Result};
use crate::layout::check_sector;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
/// Bytes of a GPT header that mean something.
const HEADER_BYTES: usize = 92;
/// More entries than any tool writes; a header that asks for more is not believed.
const MAX_ENTRIES: u32 = 1024;
/// Entry sizes are 128 · 2^n; no tool writes more than this.
const MAX_ENTRY_BYTES: u32 = 4096;

/// What stands at the start of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableSeen {
    /// No partition table.
    None,
    /// An MBR that describes partitions itself.
    Mbr(Vec<MbrEntry>),
    /// A GPT, from its primary copy or, where that is damaged, its backup.
    Gpt(Gpt),
    /// Something says that there is a GPT, and neither copy is valid.
    Damaged,
}

/// A valid partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpt {
    /// The disk's GUID.
    pub disk_guid: Uuid,
    /// Where the backup header is.
    pub backup_lba: u64,
    /// The copy that was read is the backup.
    pub from_backup: bool,
    /// Used entries in the order of their numbers.
    pub entries: Vec<Entry>,
}

/// A partition in a GPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number, from 1.
    pub number: u32,
    /// Type.
    pub type_guid: Uuid,
    /// Unique GUID (PARTUUID).
    pub guid: Uuid,
    /// First sector.
    pub first_lba: u64,
    /// Last sector.
    pub last_lba: u64,
    /// Attributes.
    pub flags: u64,
    /// Name; invalid UTF-16 is replaced.
    pub name: String,
}

/// A partition in an MBR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MbrEntry {
    /// Number, from 1.
    pub number: u32,
    /// System id.
    pub kind: u8,
    /// First sector.
    pub first_lba: u32,
    /// Number of sectors.
    pub sectors: u32,
}

/// Reads the partition table of a disk or image.
pub fn read_table(disk: &mut (impl Read + Seek), sector_bytes: u32) -> Result<TableSeen> {
    check_sector(sector_bytes)?;
    let disk_bytes = disk.seek(SeekFrom::End(0)).map_err(DiskError::io("measuring the disk"))?;
    let sectors = disk_bytes / u64::from(sector_bytes);
    let Some(mbr) = read_at(disk, 0, 512)? else {
        return Ok(TableSeen::None);
    };
    let mut source = Source { disk, sector_bytes, sectors };
    let primary = source.copy_at(1)?;
    if let Found::Valid(gpt) = primary {
        return Ok(TableSeen::Gpt(gpt));
    }
    let partitions = mbr_entries(&mbr);
    let protective = partitions.iter().any(|entry| entry.kind == 0xee);
    if matches!(primary, Found::Nothing) && !protective && !partitions.is_empty() {
        // A backup at the end is then left from an earlier life: whoever wrote an image or an MBR
        // over the start did not know of it.
        return Ok(TableSeen::Mbr(partitions));
    }
    let backup = source.copy_at(sectors.saturating_sub(1))?;
    if let Found::Valid(gpt) = backup {
        return Ok(TableSeen::Gpt(Gpt { from_backup: true, ..gpt }));
    }
    let claims_gpt = protective || matches!(primary, Found::Damaged) || matches!(backup, Found::Damaged);
    Ok(match (claims_gpt, partitions.is_empty()) {
        (true, _) => TableSeen::Damaged,
        (false, false) => TableSeen::Mbr(partitions),
        (false, true) => TableSeen::None,
    })
}

enum Found {
    Nothing,
    Damaged,
    Valid(Gpt),
}

struct Source<'a, D> {
    disk: &'a mut D,
    sector_bytes: u32,
    sectors: u64,
}

impl<D: Read + Seek> Source<'_, D> {
    fn copy_at(&mut self, lba: u64) -> Result<Found> {
        let sector = u64::from(self.sector_bytes);
        let Some(at) = lba.checked_mul(sector).filter(|_| lba < self.sectors) else {
            return Ok(Found::Nothing);
        };
        let Some(bytes) = read_at(self.disk, at, self.sector_bytes as usize)? else {
            return Ok(Found::Nothing);
        };
        if !bytes.starts_with(b"EFI PART") {
            return Ok(Found::Nothing);
        }
        let Some(header) = Header::parse(&bytes, lba, self.sectors) else {
            return Ok(Found::Damaged);
        };
        let len = header.entries as usize * header.entry_bytes as usize;
        let Some(array) = read_at(self.disk, header.array_lba.saturating_mul(sector), len)? else {
            return Ok(Found::Damaged);
        };
        if CRC.checksum(&array) != header.array_crc {
            return Ok(Found::Damaged);
        }
        Ok(Found::Valid(header.with_entries(&array)))
    }
}

struct Header {
    this_lba: u64,
    other_lba: u64,
    disk_guid: Uuid,
    array_lba: u64,
    entries: u32,
    entry_bytes: u32,
    array_crc: u32,
}

impl Header {
    fn parse(bytes: &[u8], lba: u64, sectors: u64) -> Option<Self> {
        let header_bytes = u32_at(bytes, 12)? as usize;
        if !(HEADER_BYTES..=bytes.len()).contains(&header_bytes) {
            return None;
        }
        let mut summed = bytes.get(..header_bytes)?.to_vec();
        summed.get_mut(16..20)?.fill(0);
        let header = Self {
            this_lba: u64_at(bytes, 24)?,
            other_lba: u64_at(bytes, 32)?,
            disk_guid: guid_at(bytes, 56)?,
            array_lba: u64_at(bytes, 72)?,
            entries: u32_at(bytes, 80)?,
            entry_bytes: u32_at(bytes, 84)?,
            array_crc: u32_at(bytes, 88)?,
        };
        let sane = CRC.checksum(&summed) == u32_at(bytes, 16)?
            && header.this_lba == lba
            && header.array_lba < sectors
            && header.entries <= MAX_ENTRIES
            && header.entry_bytes.is_power_of_two()
            && (128..=MAX_ENTRY_BYTES).contains(&header.entry_bytes);
        sane.then_some(header)
    }

    fn with_entries(&self, array: &[u8]) -> Gpt {
        let entries = (1u32..)
            .zip(array.chunks_exact(self.entry_bytes as usize))
            .filter_map(|(number, bytes)| parse_entry(number, bytes))
            .collect();
        Gpt {
            disk_guid: self.disk_guid,
            backup_lba: self.this_lba.max(self.other_lba),
            from_backup: false,
            entries,
        }
    }
}

fn parse_entry(number: u32, bytes: &[u8]) -> Option<Entry> {
    let type_guid = guid_at(bytes, 0)?;
    if type_guid.is_nil() {
        return None;
    }
    let units: Vec<u16> = bytes
        .get(56..128)?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    Some(Entry {
        number,
        type_guid,
        guid: guid_at(bytes, 16)?,
        first_lba: u64_at(bytes, 32)?,
        last_lba: u64_at(bytes, 40)?,
        flags: u64_at(bytes, 48)?,
        name: String::from_utf16_lossy(&units),
    })
}

/// The used entries of an MBR; none where the sector is not an MBR.
///
/// A filesystem's boot sector ends in 55 AA too: an entry counts only with a boot flag of 00 or 80.
fn mbr_entries(sector: &[u8]) -> Vec<MbrEntry> {
    if sector.get(510..512) != Some(&[0x55, 0xaa]) {
        return Vec::new();
    }
    let table = sector.get(446..510).unwrap_or_default();
    let raw: Vec<&[u8]> = table.chunks_exact(16).collect();
    let plausible = raw.iter().all(|entry| matches!(entry.first(), Some(0x00 | 0x80)));
    if !plausible {
        return Vec::new();
    }
    (1u32..)
        .zip(raw)
        .filter_map(|(number, entry)| {
            Some(MbrEntry {
                number,
                kind: *entry.get(4)?,
                first_lba: u32_at(entry, 8)?,
                sectors: u32_at(entry, 12)?,
            })
        })
        .filter(|entry| entry.kind != 0 && entry.sectors != 0)
        .collect()
}

/// Reads exactly `len` bytes, or `None` where the disk ends before.
pub(crate) fn read_at(disk: &mut (impl Read + Seek), at: u64, len: usize) -> Result<Option<Vec<u8>>> {
    let mut bytes = vec![0u8; len];
    let result: io::Result<()> = disk.seek(SeekFrom::Start(at)).and_then(|_| disk.read_exact(&mut bytes));
    match result {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        // Seeking past what the system can express is the same as past the end.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(DiskError::io(format!("reading {len} bytes at {at}"))(error)),
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn guid_at(bytes: &[u8], at: usize) -> Option<Uuid> {
    let raw: [u8; 16] = bytes.get(at..at.checked_add(16)?)?.try_into().ok()?;
    Some(Uuid::from_bytes_le(raw))
}
