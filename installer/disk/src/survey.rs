//! What is on a disk, and whether that is nothing: what a plan decides on and a refusal tells.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};

use crate::error::{DiskError, Result};
use crate::layout::MIB;
use crate::marker::{InstallId, Marker, Phase};
use crate::read::{Gpt, TableSeen, read_at, read_table};
use crate::signature::{Signature, probe};
use crate::systems::systems;
use crate::types;

/// What a disk is, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskState {
    /// No table with partitions, no signature, and both ends are empty.
    Blank,
    /// A Landfall installation that was cut off; worth nothing.
    Installing(InstallId),
    /// A Landfall installation over kept state that was cut off; to be resumed, never blank.
    Keeping(InstallId),
    /// A finished Landfall machine.
    Done(InstallId),
    /// A Landfall medium.
    Medium,
    /// Somebody's data.
    Occupied,
}

/// One partition, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSeen {
    /// Number, from 1.
    pub number: u32,
    /// First byte.
    pub start_bytes: u64,
    /// Length.
    pub len_bytes: u64,
    /// Type, where it has a name that people know.
    pub type_name: Option<&'static str>,
    /// Name in the table; empty in an MBR.
    pub name: String,
    /// What is in it.
    pub signature: Option<Signature>,
}

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// What it is.
    pub state: DiskState,
    /// Size.
    pub disk_bytes: u64,
    /// The partition table in a word: `a GPT`, `an MBR`, `a damaged GPT`.
    pub table: Option<&'static str>,
    /// A filesystem or container on the whole disk.
    pub whole: Option<Signature>,
    /// Partitions.
    pub partitions: Vec<PartitionSeen>,
    /// Operating systems by name, as an ESP and partition types tell them.
    pub systems: Vec<String>,
}

/// Looks at a disk; reads only, and believes nothing.
pub fn survey(disk: &mut (impl Read + Seek), sector_bytes: u32) -> Result<Survey> {
    let disk_bytes = disk.seek(SeekFrom::End(0)).map_err(DiskError::io("measuring the disk"))?;
    let seen = read_table(disk, sector_bytes)?;
    let mut out = Survey {
        state: DiskState::Occupied,
        disk_bytes,
        table: None,
        whole: None,
        partitions: Vec::new(),
        systems: Vec::new(),
    };
    match &seen {
        TableSeen::Gpt(gpt) => {
            out.table = Some("a GPT");
            out.partitions = gpt_partitions(disk, gpt, sector_bytes)?;
        }
        TableSeen::Mbr(entries) => {
            out.table = Some("an MBR");
            for entry in entries {
                let start_bytes = u64::from(entry.first_lba) * u64::from(sector_bytes);
                let len_bytes = u64::from(entry.sectors) * u64::from(sector_bytes);
                out.partitions.push(PartitionSeen {
                    number: entry.number,
                    start_bytes,
                    len_bytes,
                    type_name: types::mbr_name(entry.kind),
                    name: String::new(),
                    signature: probe(disk, start_bytes, len_bytes)?,
                });
            }
        }
        TableSeen::Damaged => out.table = Some("a damaged GPT"),
        TableSeen::None => {}
    }
    // Where only the backup is left, somebody may have formatted the whole disk since.
    let from_backup = matches!(&seen, TableSeen::Gpt(gpt) if gpt.from_backup);
    if out.partitions.is_empty() || from_backup {
        out.whole = probe(disk, 0, disk_bytes)?;
    }
    out.state = match &seen {
        TableSeen::Gpt(gpt) => gpt_state(disk, gpt, &out, sector_bytes)?,
        TableSeen::None if out.whole.is_none() && ends_empty(disk, 0, disk_bytes)? => DiskState::Blank,
        _ => DiskState::Occupied,
    };
    out.systems = systems(disk, &out);
    Ok(out)
}

fn gpt_partitions(disk: &mut (impl Read + Seek), gpt: &Gpt, sector_bytes: u32) -> Result<Vec<PartitionSeen>> {
    let sector = u64::from(sector_bytes);
    let mut out = Vec::new();
    for entry in &gpt.entries {
        let start_bytes = entry.first_lba.saturating_mul(sector);
        let sectors = entry.last_lba.saturating_sub(entry.first_lba).saturating_add(1);
        let len_bytes = sectors.saturating_mul(sector);
        out.push(PartitionSeen {
            number: entry.number,
            start_bytes,
            len_bytes,
            type_name: types::name(entry.type_guid),
            name: entry.name.chars().filter(|c| !c.is_control()).collect(),
            signature: probe(disk, start_bytes, len_bytes)?,
        });
    }
    Ok(out)
}

fn gpt_state(
    disk: &mut (impl Read + Seek),
    gpt: &Gpt,
    survey: &Survey,
    sector_bytes: u32,
) -> Result<DiskState> {
    let Some(first) = gpt.entries.first() else {
        let table = 2 * u64::from(sector_bytes) + 128 * 128;
        let empty = survey.whole.is_none() && ends_empty(disk, table, survey.disk_bytes)?;
        return Ok(if empty { DiskState::Blank } else { DiskState::Occupied });
    };
    // A name alone is not enough: only a table of our own shape has a marker.
    let is = |index: usize, kind| gpt.entries.get(index).is_some_and(|p| p.type_guid == kind);
    let whole = match gpt.entries.len() {
        3 => true,
        4 => is(3, types::SWAP),
        _ => false,
    };
    let ours = whole && first.type_guid == types::BIOS_BOOT && is(2, types::DATA);
    if !ours || survey.whole.is_some() {
        return Ok(DiskState::Occupied);
    }
    if first.name == types::MEDIUM_NAME {
        return Ok(DiskState::Medium);
    }
    Ok(match Marker::parse(&first.name) {
        Some(Marker { phase, id }) => match phase {
            Phase::Installing => DiskState::Installing(id),
            Phase::Keeping => DiskState::Keeping(id),
            Phase::Done => DiskState::Done(id),
        },
        None => DiskState::Occupied,
    })
}

/// Whether nothing stands in the first MiB from `from` on, nor in the last MiB (a table's own
/// backup, where `from` leaves room for a table, apart). Erased flash reads as ones.
fn ends_empty(disk: &mut (impl Read + Seek), from: u64, disk_bytes: u64) -> Result<bool> {
    let head_end = MIB.min(disk_bytes);
    let tail_start = disk_bytes.saturating_sub(MIB).max(head_end);
    let tail_end = disk_bytes.saturating_sub(from).max(tail_start);
    for (start, end) in [(from.min(head_end), head_end), (tail_start, tail_end)] {
        let len = usize::try_from(end - start).unwrap_or(0);
        let Some(bytes) = read_at(disk, start, len)? else {
            return Ok(false);
        };
        let first = bytes.first().copied().unwrap_or(0);
        if !matches!(first, 0x00 | 0xff) || bytes.iter().any(|byte| *byte != first) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl fmt::Display for Survey {
    /// One line for a person: what would be lost.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            DiskState::Blank => return f.write_str("empty"),
            DiskState::Installing(id) => {
                return write!(f, "a Landfall installation that was cut off ({id})");
            }
            DiskState::Keeping(id) => {
                return write!(f, "a Landfall re-installation that was cut off ({id})");
            }
            DiskState::Done(id) => return write!(f, "a Landfall machine ({id})"),
            DiskState::Medium => return f.write_str("a Landfall medium"),
            DiskState::Occupied => {}
        }
        if let Some(whole) = &self.whole {
            return write!(f, "{whole} on the whole disk");
        }
        match (self.table, self.partitions.len()) {
            (None, _) => return f.write_str("data of an unknown kind and no partition table"),
            (Some(table), 0) => return write!(f, "{table} without partitions, and other data"),
            (Some(table), 1) => write!(f, "{table} with 1 partition: ")?,
            (Some(table), count) => write!(f, "{table} with {count} partitions: ")?,
        }
        for (index, partition) in self.partitions.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{partition}")?;
        }
        if !self.systems.is_empty() {
            write!(f, "; systems: {}", self.systems.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for PartitionSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.number)?;
        match (&self.signature, self.type_name) {
            (Some(signature), _) => write!(f, "{signature}")?,
            (None, Some(name)) => f.write_str(name)?,
            (None, None) => f.write_str("unknown")?,
        }
        if !self.name.is_empty() {
            write!(f, " “{}”", self.name)?;
        }
        write!(f, " {}", Size(self.len_bytes))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        match &self.label {
            Some(label) => write!(f, " (label {label})"),
            None => Ok(()),
        }
    }
}

/// Bytes for people, in units of 1024.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in units {
            if self.0 >> shift != 0 {
                let tenths = (u128::from(self.0) * 10) >> shift;
                return write!(f, "{}.{} {unit}", tenths / 10, tenths % 10);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Guids, Layout, Old, write_new};
    use std::io::Cursor;

    const ID: InstallId = InstallId([1, 2, 3, 4, 5, 6, 7, 8]);

    fn with_table(name: &str) -> Cursor<Vec<u8>> {
        let layout = Layout::medium(0, MIB);
        let mut disk = Cursor::new(vec![0u8; layout.disk_bytes as usize]);
        write_new(&mut disk, &layout, &Guids::derived(b"x"), name, Old::Zeroes).unwrap();
        disk
    }

    #[test]
    fn markers_are_states() {
        let marker = |phase| Marker { phase, id: ID }.to_string();
        for (name, state) in [
            (marker(Phase::Installing), DiskState::Installing(ID)),
            (marker(Phase::Keeping), DiskState::Keeping(ID)),
            (marker(Phase::Done), DiskState::Done(ID)),
            (types::MEDIUM_NAME.to_owned(), DiskState::Medium),
            ("landfall-else".to_owned(), DiskState::Occupied),
        ] {
            let seen = survey(&mut with_table(&name), 512).unwrap();
            assert_eq!(seen.state, state, "{name}");
        }
    }

    #[test]
    fn a_fourth_partition_is_ours_if_it_is_swap() {
        let layout = Layout::medium(0, 4096 * MIB).with_swap(MIB).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(layout.disk_bytes).unwrap();
        let name = Marker { phase: Phase::Done, id: ID }.to_string();
        write_new(&mut file, &layout, &Guids::derived(b"x"), &name, Old::Unknown).unwrap();
        assert_eq!(survey(&mut file, 512).unwrap().state, DiskState::Done(ID));
        let TableSeen::Gpt(gpt) = read_table(&mut file, 512).unwrap() else { panic!("no table") };
        assert_eq!((gpt.entries.len(), gpt.entries[3].flags), (4, types::NO_AUTO));
        assert_eq!(Layout::of(&gpt, layout.disk_bytes, 512), Some(layout));
        assert_eq!(crate::Guids::of(&gpt), Some(Guids::derived(b"x")));
        let marker = Marker { phase: Phase::Keeping, id: ID };
        crate::set_marker(&mut file, 512, &marker).unwrap();
        assert_eq!(survey(&mut file, 512).unwrap().state, DiskState::Keeping(ID));
        let TableSeen::Gpt(again) = read_table(&mut file, 512).unwrap() else { panic!("no table") };
        assert_eq!(again.entries[1..], gpt.entries[1..]);
    }

    #[test]
    fn a_marker_in_a_stale_backup_makes_nobodys_data_worthless() {
        let marker = Marker { phase: Phase::Installing, id: ID }.to_string();
        // The start is as a power cut may leave it: the backup speaks for the disk.
        let mut torn = with_table(&marker);
        torn.get_mut()[600] ^= 1;
        assert_eq!(survey(&mut torn, 512).unwrap().state, DiskState::Installing(ID));
        let mut cut = with_table(&marker);
        cut.get_mut()[..20_000].fill(0);
        assert_eq!(survey(&mut cut, 512).unwrap().state, DiskState::Installing(ID));

        let mut formatted = with_table(&marker);
        formatted.get_mut()[..20_000].fill(0);
        formatted.get_mut()[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
        let seen = survey(&mut formatted, 512).unwrap();
        assert_eq!(
            (seen.state.clone(), seen.to_string()),
            (DiskState::Occupied, "ext2 on the whole disk".into())
        );

        let mut image = with_table(&marker);
        let start = image.get_mut();
        start[..20_000].fill(0);
        start[510..512].copy_from_slice(&[0x55, 0xaa]);
        start[446 + 4] = 0x83;
        start[446 + 8..446 + 12].copy_from_slice(&2048u32.to_le_bytes());
        start[446 + 12..446 + 16].copy_from_slice(&6144u32.to_le_bytes());
        let seen = survey(&mut image, 512).unwrap();
        assert_eq!((seen.state, seen.table), (DiskState::Occupied, Some("an MBR")));
    }

    #[test]
    fn blank_is_only_what_holds_nothing() {
        let len = 8 * MIB as usize;
        for fill in [0x00u8, 0xff] {
            let mut disk = Cursor::new(vec![fill; len]);
            assert_eq!(survey(&mut disk, 512).unwrap().state, DiskState::Blank);
        }
        for at in [0usize, 511, 5000, MIB as usize - 1, len - 1, len - 4096] {
            let mut bytes = vec![0u8; len];
            bytes[at] = 1;
            let seen = survey(&mut Cursor::new(bytes), 512).unwrap();
            assert_eq!(seen.state, DiskState::Occupied, "byte {at}");
            assert!(seen.to_string().contains("unknown kind"), "{seen}");
        }
    }

    #[test]
    fn the_words_name_what_would_be_lost() {
        let mut bytes = vec![0u8; 8 * MIB as usize];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        bytes[446 + 4] = 0x07;
        bytes[446 + 8..446 + 12].copy_from_slice(&2048u32.to_le_bytes());
        bytes[446 + 12..446 + 16].copy_from_slice(&6144u32.to_le_bytes());
        bytes[MIB as usize + 3..][..8].copy_from_slice(b"NTFS    ");
        let seen = survey(&mut Cursor::new(bytes), 512).unwrap();
        assert_eq!(seen.state, DiskState::Occupied);
        assert_eq!(seen.to_string(), "an MBR with 1 partition: 1 ntfs 3.0 MiB");

        let mut bytes = vec![0u8; 8 * MIB as usize];
        bytes[..4].copy_from_slice(b"XFSB");
        let seen = survey(&mut Cursor::new(bytes), 512).unwrap();
        assert_eq!(seen.to_string(), "xfs on the whole disk");
    }

    #[test]
    fn a_damaged_table_is_somebodys_data() {
        let mut disk = with_table("x");
        let len = disk.get_ref().len();
        disk.get_mut()[600] ^= 1;
        disk.get_mut()[len - 100] ^= 1;
        disk.get_mut()[len - 512 + 20] ^= 1;
        let seen = survey(&mut disk, 512).unwrap();
        assert_eq!(seen.state, DiskState::Occupied);
        assert_eq!(seen.table, Some("a damaged GPT"));
    }

    #[test]
    fn tiny_and_empty_disks_are_read_too() {
        for len in [0usize, 1, 512, 1024, 40_000] {
            let seen = survey(&mut Cursor::new(vec![0u8; len]), 512).unwrap();
            assert_eq!(seen.state, DiskState::Blank, "{len}");
        }
    }
}
