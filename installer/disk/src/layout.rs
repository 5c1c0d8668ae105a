//! Where the partitions of a machine's disk and of a medium lie.
//!
//! Both have the same three: BIOS boot (whose name is the marker), ESP, data; a machine may have
//! swap behind them. Everything starts on
//! 1 MiB, as every partitioning tool has done since disks hid their physical sectors.

use crate::error::{DiskError, Result};
use crate::read::{Entry, Gpt};
use crate::types;

/// One mebibyte.
pub const MIB: u64 = 1 << 20;
/// Every partition starts and ends on a multiple of this.
pub const ALIGN_BYTES: u64 = MIB;
/// Size of the BIOS boot partition: room for any core.img, and the marker's home.
pub const BIOS_BYTES: u64 = MIB;
/// Size of the ESP on a machine: several kernels and initrds, and firmware updates.
pub const MACHINE_ESP_BYTES: u64 = 1024 * MIB;
/// Smallest ESP on a medium: below this FAT32 on 512-byte sectors gets tight with 1 KiB clusters.
pub const MEDIUM_ESP_MIN_BYTES: u64 = 64 * MIB;
/// Smallest data partition on a machine that is worth making.
pub const MACHINE_DATA_MIN_BYTES: u64 = 2048 * MIB;
/// Kept free at the end of the disk for the backup table.
pub const TAIL_BYTES: u64 = MIB;

/// A run of bytes on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start_bytes: u64,
    /// Length.
    pub len_bytes: u64,
}

impl Extent {
    /// The first byte behind the extent.
    pub fn end_bytes(&self) -> u64 {
        self.start_bytes.saturating_add(self.len_bytes)
    }
}

/// The places of all partitions on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Logical sector size of the disk.
    pub sector_bytes: u32,
    /// Size of the whole disk.
    pub disk_bytes: u64,
    /// Partition 1.
    pub bios: Extent,
    /// Partition 2.
    pub esp: Extent,
    /// Partition 3.
    pub data: Extent,
    /// Partition 4, on a machine that swaps to one.
    pub swap: Option<Extent>,
}

impl Layout {
    /// The layout of a machine's disk: the data partition takes what the others leave.
    pub fn machine(disk_bytes: u64, sector_bytes: u32) -> Result<Self> {
        check_sector(sector_bytes)?;
        let data_start = ALIGN_BYTES + BIOS_BYTES + MACHINE_ESP_BYTES;
        let end = (disk_bytes.saturating_sub(TAIL_BYTES)) / ALIGN_BYTES * ALIGN_BYTES;
        let need_bytes = data_start + MACHINE_DATA_MIN_BYTES + TAIL_BYTES;
        if disk_bytes < need_bytes {
            return Err(DiskError::TooSmall { disk_bytes, need_bytes });
        }
        Ok(Self::with(sector_bytes, disk_bytes, MACHINE_ESP_BYTES, end - data_start))
    }

    /// Where the partitions of a disk are that [`crate::write_new`] made; none if the table is another.
    pub fn of(gpt: &Gpt, disk_bytes: u64, sector_bytes: u32) -> Option<Self> {
        let extent = |entry: &Entry| {
            let sector = u64::from(sector_bytes);
            let start_bytes = entry.first_lba.checked_mul(sector)?;
            let end_bytes = entry.last_lba.checked_add(1)?.checked_mul(sector)?;
            Some(Extent { start_bytes, len_bytes: end_bytes.checked_sub(start_bytes)? })
        };
        let kinds: Vec<_> = gpt.entries.iter().map(|entry| (entry.number, entry.type_guid)).collect();
        let ours = [(1, types::BIOS_BOOT), (2, types::ESP), (3, types::DATA), (4, types::SWAP)];
        if kinds.len() < 3 || !ours.starts_with(&kinds) {
            return None;
        }
        let [bios, esp, data, rest @ ..] = gpt.entries.as_slice() else { return None };
        let swap = match rest {
            [swap] => Some(extent(swap)?),
            _ => None,
        };
        Some(Self {
            sector_bytes,
            disk_bytes,
            bios: extent(bios)?,
            esp: extent(esp)?,
            data: extent(data)?,
            swap,
        })
    }

    /// The same with a swap partition behind the data partition, which shrinks for it; `bytes` is
    /// rounded up to 1 MiB.
    ///
    /// # Errors
    /// If too little is left for data.
    pub fn with_swap(self, bytes: u64) -> Result<Self> {
        let len_bytes = round_up(bytes);
        let need = MACHINE_DATA_MIN_BYTES.saturating_add(len_bytes);
        if self.data.len_bytes < need {
            let need_bytes = self.disk_bytes.saturating_add(need - self.data.len_bytes);
            return Err(DiskError::TooSmall { disk_bytes: self.disk_bytes, need_bytes });
        }
        let data = Extent { len_bytes: self.data.len_bytes - len_bytes, ..self.data };
        Ok(Self { data, swap: Some(Extent { start_bytes: data.end_bytes(), len_bytes }), ..self })
    }

    /// The layout of a medium, as small as its content allows; sizes are rounded up to 1 MiB.
    pub fn medium(esp_bytes: u64, data_bytes: u64) -> Self {
        let esp = round_up(esp_bytes.max(MEDIUM_ESP_MIN_BYTES));
        let data = round_up(data_bytes);
        let disk_bytes = ALIGN_BYTES + BIOS_BYTES + esp + data + TAIL_BYTES;
        Self::with(512, disk_bytes, esp, data)
    }

    fn with(sector_bytes: u32, disk_bytes: u64, esp_bytes: u64, data_bytes: u64) -> Self {
        let bios = Extent { start_bytes: ALIGN_BYTES, len_bytes: BIOS_BYTES };
        let esp = Extent { start_bytes: bios.end_bytes(), len_bytes: esp_bytes };
        let data = Extent { start_bytes: esp.end_bytes(), len_bytes: data_bytes };
        Self { sector_bytes, disk_bytes, bios, esp, data, swap: None }
    }
}

/// Refuses sector sizes that neither GPT here nor FAT firmware drivers can be trusted with.
pub(crate) fn check_sector(sector_bytes: u32) -> Result<()> {
    match sector_bytes {
        512 | 4096 => Ok(()),
        other => Err(DiskError::SectorSize(other)),
    }
}

fn round_up(bytes: u64) -> u64 {
    bytes.div_ceil(ALIGN_BYTES).saturating_mul(ALIGN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_the_tail_free() {
        let layout = Layout::machine(8 * 1024 * MIB + 12345, 512).unwrap();
        assert_eq!(layout.bios.start_bytes, MIB);
        assert_eq!(layout.esp.start_bytes, 2 * MIB);
        assert_eq!(layout.data.start_bytes, 1026 * MIB);
        assert_eq!(layout.data.end_bytes() % MIB, 0);
        assert!(layout.data.end_bytes() + TAIL_BYTES <= layout.disk_bytes);
    }

    #[test]
    fn swap_takes_its_room_from_the_datas_end() {
        let plain = Layout::machine(8 * 1024 * MIB, 512).unwrap();
        let layout = plain.with_swap(1024 * MIB - 5).unwrap();
        let swap = layout.swap.unwrap();
        assert_eq!(swap.len_bytes, 1024 * MIB);
        assert_eq!(swap.start_bytes, layout.data.end_bytes());
        assert_eq!(swap.end_bytes(), plain.data.end_bytes());
        for bytes in [6 * 1024 * MIB, u64::MAX] {
            assert!(plain.with_swap(bytes).is_err());
        }
    }

    #[test]
    fn a_small_disk_is_refused_with_both_sizes() {
        let error = Layout::machine(MIB, 512).unwrap_err().to_string();
        assert!(error.contains("1048576"), "{error}");
        assert!(error.contains("larger disk"), "{error}");
    }

    #[test]
    fn an_odd_sector_size_is_refused() {
        assert!(Layout::machine(64 * 1024 * MIB, 520).is_err());
    }

    #[test]
    fn a_medium_is_as_small_as_it_can_be() {
        let layout = Layout::medium(1, MIB + 1);
        assert_eq!(layout.esp.len_bytes, MEDIUM_ESP_MIN_BYTES);
        assert_eq!(layout.data.len_bytes, 2 * MIB);
        assert_eq!(layout.disk_bytes, layout.data.end_bytes() + MIB);
    }
}
