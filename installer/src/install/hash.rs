//! Hashing files as they stand on a disk, past the page cache where asked.

use crate::error::{Error, Result};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Large enough that a request's cost does not count, small enough for small machines.
pub const CHUNK_BYTES: usize = 4 << 20;
/// What direct I/O must be aligned to: the largest sector size in use.
const ALIGN_BYTES: usize = 4096;

/// A buffer whose start is aligned for direct I/O.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    /// How much of it holds data.
    pub filled: usize,
}

impl Buffer {
    /// An empty one of [`CHUNK_BYTES`].
    pub fn new() -> Self {
        let bytes = vec![0u8; CHUNK_BYTES + ALIGN_BYTES];
        let start = bytes.as_ptr().align_offset(ALIGN_BYTES);
        Self { bytes, start, filled: 0 }
    }

    /// All of it.
    pub fn whole(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + CHUNK_BYTES).unwrap_or_default()
    }

    /// The filled part.
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.start + self.filled).unwrap_or_default()
    }

    /// The filled part and what follows up to a multiple of the alignment, which is made zero.
    pub fn padded(&mut self) -> &[u8] {
        let end = self.filled.next_multiple_of(ALIGN_BYTES).min(CHUNK_BYTES);
        let filled = self.filled;
        if let Some(rest) = self.whole().get_mut(filled..end) {
            rest.fill(0);
        }
        self.bytes.get(self.start..self.start + end).unwrap_or_default()
    }

    /// Fills it from `file` as far as that goes.
    pub fn fill(&mut self, file: &mut impl Read) -> io::Result<()> {
        let mut filled = 0;
        while let Some(rest) = self.whole().get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // Direct reads must start on a sector; a short one is the end of the file.
            if filled % ALIGN_BYTES != 0 {
                break;
            }
        }
        self.filled = filled;
        Ok(())
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the bytes shall come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The page cache serves: the file will be read again soon.
    Cache,
    /// The disk itself.
    Disk,
}

/// Opens a file for reading; direct I/O where the file system can.
fn open(path: &Path, from: From) -> io::Result<File> {
    if from == From::Disk {
        let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
        match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            other => return other,
        }
        let file = File::open(path)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        return Ok(file);
    }
    File::open(path)
}

/// sha256 of a file in hex, read and hashed side by side. `each` hears of every chunk.
pub fn file(path: &Path, from: From, each: &(impl Fn(u64) + Sync)) -> Result<String> {
    let doing = || format!("reading {}", path.display());
    let mut source = open(path, from).map_err(Error::io(doing()))?;
    let (full_in, full_out) = sync_channel::<Buffer>(1);
    let (empty_in, empty_out) = sync_channel::<Buffer>(3);
    for _ in 0..3 {
        let _ = empty_in.send(Buffer::new());
    }
    std::thread::scope(|scope| {
        let hasher = scope.spawn(move || hash_all(&full_out, &empty_in, each));
        let read = read_all(&mut source, &empty_out, &full_in);
        drop(full_in);
        let digest = hasher.join();
        read.map_err(Error::io(doing()))?;
        digest.map_err(|_| Error::Words(format!("hashing {}: the hashing thread stopped", path.display())))
    })
}

fn read_all(source: &mut File, empty: &Receiver<Buffer>, full: &SyncSender<Buffer>) -> io::Result<()> {
    while let Ok(mut buffer) = empty.recv() {
        buffer.fill(source)?;
        if buffer.filled == 0 || full.send(buffer).is_err() {
            break;
        }
    }
    Ok(())
}

fn hash_all(full: &Receiver<Buffer>, empty: &SyncSender<Buffer>, each: &impl Fn(u64)) -> String {
    let mut hash = Sha256::new();
    while let Ok(buffer) = full.recv() {
        hash.update(buffer.data());
        each(buffer.filled as u64);
        let _ = empty.send(buffer);
    }
    crate::bytes::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn both_ways_give_the_same_hash() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, 4096, CHUNK_BYTES, CHUNK_BYTES + 4096, CHUNK_BYTES * 2 + 17] {
            let path = folder.path().join("file");
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let expected = crate::bytes::hex(&Sha256::digest(&bytes));
            for from in [From::Cache, From::Disk] {
                let seen = AtomicU64::new(0);
                let each = |bytes| {
                    seen.fetch_add(bytes, Ordering::Relaxed);
                };
                assert_eq!(file(&path, from, &each).unwrap(), expected, "{length} {from:?}");
                assert_eq!(seen.load(Ordering::Relaxed), length as u64);
            }
        }
    }

    #[test]
    fn a_missing_file_is_said() {
        let error = file(Path::new("/no/such"), From::Cache, &|_| {}).unwrap_err();
        assert!(error.chain().contains("reading /no/such: No such file"));
    }
}
