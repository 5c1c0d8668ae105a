//! What a stick holds once the medium of an image is on it.
//!
//! Up to the end of the data partition it is the image, byte for byte, holes as zeroes: which blocks
//! a filesystem needs to be zero is the filesystem's own affair, so all of them are. The table
//! alone differs, for its backup belongs at the end of the stick. Behind the data partition nothing
//! is written but that end, where the backup and signatures of an earlier life stood.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use landfall_disk::{Ends, Extent, Gpt, MIB, TAIL_BYTES, TableSeen, read_table, refit, types, unfinished};

use super::error::FlashError;

/// Sector size of every medium.
pub const SECTOR_BYTES: u32 = 512;

/// Where a span's bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The same place of the image.
    Image,
    /// Nowhere.
    Zeroes,
}

/// A medium's image, opened and found to be one.
#[derive(Debug)]
pub struct Wanted {
    image: File,
    path: PathBuf,
    gpt: Gpt,
    first_sector: Vec<u8>,
    data: Extent,
}

impl Wanted {
    /// Opens the image of a medium.
    ///
    /// # Errors
    /// If it cannot be read, or is something else.
    pub fn open(path: &Path) -> Result<Self, FlashError> {
        let io = |source| FlashError::Image { path: path.to_owned(), source };
        let not = |why: &str| FlashError::NotAMedium { path: path.to_owned(), why: why.to_owned() };
        let mut image = File::open(path).map_err(io)?;
        let len_bytes = image.seek(SeekFrom::End(0)).map_err(io)?;
        let TableSeen::Gpt(gpt) = read_table(&mut image, SECTOR_BYTES)? else {
            return Err(not("it has no partition table"));
        };
        if gpt.entries.first().is_none_or(|entry| entry.name != types::MEDIUM_NAME) {
            return Err(not("its first partition does not say so"));
        }
        let last = gpt.entries.last().filter(|entry| entry.type_guid == types::DATA);
        let data = last.and_then(|entry| {
            let start_bytes = entry.first_lba.checked_mul(u64::from(SECTOR_BYTES))?;
            let end = entry.last_lba.checked_add(1)?.checked_mul(u64::from(SECTOR_BYTES))?;
            let len_bytes = end.checked_sub(start_bytes)?;
            (start_bytes >= MIB).then_some(Extent { start_bytes, len_bytes })
        });
        let data = data.ok_or_else(|| not("its data partition is not where it should be"))?;
        if data.end_bytes() > len_bytes {
            return Err(not("it is cut short"));
        }
        let mut first_sector = vec![0u8; SECTOR_BYTES as usize];
        image.read_exact_at(&mut first_sector, 0).map_err(io)?;
        Ok(Self { image, path: path.to_owned(), gpt, first_sector, data })
    }

    /// The smallest stick that holds it.
    pub fn stick_bytes(&self) -> u64 {
        self.data.end_bytes() + TAIL_BYTES
    }

    /// What is written, in this order: the end of the stick blank but for the table, the data, and
    /// last what a firmware starts from.
    pub(super) fn spans(&self, stick_bytes: u64, ends: &Ends) -> [(Extent, Content); 3] {
        let (head, end) = (ends.head.len() as u64, stick_bytes - ends.tail.len() as u64);
        let blank = self.data.end_bytes().max(stick_bytes.saturating_sub(MIB)).min(end);
        let span = |from: u64, to: u64| Extent { start_bytes: from, len_bytes: to - from };
        [
            (span(blank, end), Content::Zeroes),
            (self.data, Content::Image),
            (span(head, self.data.start_bytes), Content::Image),
        ]
    }

    /// The finished stick's table.
    pub(super) fn table(&self, stick_bytes: u64) -> Result<Ends, FlashError> {
        Ok(refit(&self.gpt, &self.first_sector, stick_bytes, SECTOR_BYTES)?)
    }

    /// The table while it is being written.
    pub(super) fn unfinished(&self, stick_bytes: u64) -> Result<Ends, FlashError> {
        Ok(unfinished(self.gpt.disk_guid, stick_bytes, SECTOR_BYTES)?)
    }

    /// Fills `buffer` with what belongs at `at`.
    pub(super) fn read(&self, content: Content, at: u64, buffer: &mut [u8]) -> Result<(), FlashError> {
        if content == Content::Zeroes {
            buffer.fill(0);
            return Ok(());
        }
        let io = |source: io::Error| FlashError::Image { path: self.path.clone(), source };
        self.image.read_exact_at(buffer, at).map_err(io)
    }
}
