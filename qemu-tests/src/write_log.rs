//! What a guest wrote to a disk, write by write, as QEMU's `blklogwrites` driver records it, and the disks that a power
//! cut leaves of it.
//!
//! The format is that of the kernel's `dm-log-writes` (Documentation/admin-guide/device-mapper/log-writes.rst): a
//! superblock, then entries of one sector of header and their data.

use crate::error::{Doing, Error, Result};
use landfall_qemu::{Drive, quoted};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
/// The sector size that is asked of QEMU: every write of a guest is a multiple of it.
const SECTOR: u64 = 512;
/// Most bytes of writes that one cut loses at will; older ones of the same span count as written.
const TAIL_BYTES: u64 = 16 << 20;
/// Entries at either end that are all cut at: there the old disk goes, and there the new one is finished.
const END_ENTRIES: usize = 24;
/// How many losses are tried at each of these.
const END_LOSSES: usize = 2;
/// Where such a write is torn, at most.
const TEARS: u64 = 4;
/// Bytes that are copied at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// A drive whose writes are logged. Its flushes reach the log, as those of the other drives do not.
pub fn logged(drive: Drive, log: &Path, index: usize) -> Result<Drive> {
    File::create(log).doing("creating", log)?;
    let node = Drive::node(index);
    // What reaches this computer's disk proves nothing more: only the log sees the flushes.
    let file = |node: &str, path: &Path| {
        format!("driver=file,node-name={node},cache.no-flush=on,discard=unmap,filename={}", quoted(path))
    };
    let blockdevs = vec![
        file(&format!("{node}-file"), &drive.image),
        file(&format!("{node}-log"), log),
        format!(
            "driver=blklogwrites,node-name={node},file={node}-file,log={node}-log,log-sector-size={SECTOR},discard=unmap"
        ),
    ];
    Ok(Drive { blockdevs, ..drive })
}

/// What one entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes, from this place of the log.
    Write(u64),
    /// Nobody needs the old bytes any more.
    Discard,
    /// Everything before is on the disk.
    Flush,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it did.
    pub kind: Kind,
    /// First byte on the disk.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// It is on the disk by itself, without a flush.
    pub durable: bool,
}

/// A log that was read.
#[derive(Debug)]
pub struct WriteLog {
    file: File,
    /// In the order in which the disk took them.
    pub entries: Vec<Entry>,
    /// So many bytes arrive whole or not at all: a sector, if the drive is not said to promise more.
    pub atom_bytes: u64,
}

impl WriteLog {
    /// Reads a log that QEMU has closed.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).doing("opening", path)?;
        let number = |at: u64| -> Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at).doing("reading", path)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let bad = |what: &str| Error::Unexpected(format!("{} is no log of writes: {what}", path.display()));
        if (number(0)?, number(8)?) != (MAGIC, VERSION) {
            return Err(bad("it has another magic or version"));
        }
        if number(24)? & 0xffff_ffff != SECTOR {
            return Err(bad("it has another sector size"));
        }
        let mut entries = Vec::new();
        let mut at = SECTOR;
        for _ in 0..number(16)? {
            let (sector, sectors, flags) = (number(at)?, number(at + 8)?, number(at + 16)?);
            let (offset, length) = (sector * SECTOR, sectors * SECTOR);
            at += SECTOR;
            let durable = flags & FUA != 0;
            if flags & FLUSH != 0 {
                entries.push(Entry { kind: Kind::Flush, offset: 0, length: 0, durable });
            }
            if flags & DISCARD != 0 {
                entries.push(Entry { kind: Kind::Discard, offset, length, durable });
            } else if length != 0 {
                entries.push(Entry { kind: Kind::Write(at), offset, length, durable });
                at += length;
            }
        }
        Ok(Self { file, entries, atom_bytes: SECTOR })
    }

    /// `count` cuts or some more: one beside each flush where they fit, the rest spread evenly; every second one
    /// loses some of what no flush had made last, and each place at the ends is cut with several losses. The same
    /// `seed` gives the same cuts.
    pub fn cuts(&self, count: usize, seed: u64) -> Vec<Cut> {
        let last = self.entries.len();
        let mut places: Vec<usize> = (0..=count).map(|n| last * n / count.max(1)).collect();
        let flushes = (0..last).filter(|at| self.entries[*at].kind == Kind::Flush);
        let flushes: Vec<usize> = flushes.flat_map(|at| [at, at + 1]).collect();
        let step = flushes.len().div_ceil(count.max(1)).max(1);
        places.extend(flushes.iter().step_by(step));
        places.extend(0..=last.min(END_ENTRIES));
        places.extend(last.saturating_sub(END_ENTRIES)..=last);
        places.sort_unstable();
        places.dedup();
        let mut random = Random(seed | 1);
        let mut cuts = Vec::new();
        for (index, at) in places.into_iter().enumerate() {
            if at <= END_ENTRIES || at + END_ENTRIES >= last {
                cuts.push(self.cut(at, Loss::None, &mut random));
                cuts.extend((0..END_LOSSES).map(|_| self.cut(at, Loss::Some, &mut random)));
                cuts.extend(self.tears(at));
            } else {
                let loss = if index % 2 == 0 { Loss::None } else { Loss::Some };
                cuts.push(self.cut(at, loss, &mut random));
            }
        }
        cuts.dedup();
        cuts
    }

    fn cut(&self, at: usize, loss: Loss, random: &mut Random) -> Cut {
        let from = self.unflushed(at);
        if matches!(loss, Loss::None) {
            return Cut { at, from, lost: Vec::new(), torn: None };
        }
        let may_go = |index: &usize| !self.entries[*index].durable;
        let lost: Vec<usize> = (from..at).filter(may_go).filter(|_| random.coin()).collect();
        let last = (from..at).filter(may_go).rfind(|index| !lost.contains(index));
        let atoms = |index: usize| self.entries[index].length / self.atom_bytes;
        let torn = last.filter(|index| atoms(*index) > 1).filter(|_| random.coin());
        Cut { at, from, torn: torn.map(|index| (index, random.below(atoms(index)) * self.atom_bytes)), lost }
    }

    /// The cuts that tear the write before entry `at` in its first sectors, where a table has its header and its
    /// first entries.
    fn tears(&self, at: usize) -> Vec<Cut> {
        let Some(index) = at.checked_sub(1) else { return Vec::new() };
        let entry = self.entries[index];
        if !matches!(entry.kind, Kind::Write(_)) || entry.durable {
            return Vec::new();
        }
        let torn = |atoms| Some((index, atoms * self.atom_bytes));
        let cut = |atoms| Cut { at, from: self.unflushed(at), lost: Vec::new(), torn: torn(atoms) };
        (1..(entry.length / self.atom_bytes).min(TEARS)).map(cut).collect()
    }

    /// The entries that are on the disk after a cut, a torn one as short as it arrived.
    pub fn arrived<'a>(&'a self, cut: &'a Cut) -> impl Iterator<Item = Entry> + 'a {
        (0..cut.at).filter(|index| !cut.lost.contains(index)).map(|index| match cut.torn {
            Some((torn, length)) if torn == index => Entry { length, ..self.entries[index] },
            _ => self.entries[index],
        })
    }

    /// The first entry of those that a cut before entry `at` may lose.
    fn unflushed(&self, at: usize) -> usize {
        let mut from = at;
        let mut bytes = 0;
        while let Some(entry) = from.checked_sub(1).and_then(|before| self.entries.get(before)) {
            bytes += if matches!(entry.kind, Kind::Write(_)) { entry.length } else { 0 };
            if entry.kind == Kind::Flush || bytes > TAIL_BYTES {
                break;
            }
            from -= 1;
        }
        from
    }
}

enum Loss {
    None,
    Some,
}

/// A power cut: everything before entry `at` was sent, and some of what no flush had made last is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The first entry that was never sent.
    pub at: usize,
    /// The first entry that could be lost.
    pub from: usize,
    /// Entries that are lost.
    pub lost: Vec<usize>,
    /// The entry of which only so many bytes arrived.
    pub torn: Option<(usize, u64)>,
}

/// A disk image on which a log is replayed, cut by cut.
pub struct Replay<'a> {
    log: &'a WriteLog,
    image: File,
    next: usize,
}

impl<'a> Replay<'a> {
    /// On an image that is as the disk was before the first entry.
    pub fn new(log: &'a WriteLog, image: &Path) -> Result<Self> {
        let image = File::options().read(true).write(true).open(image).doing("opening", image)?;
        Ok(Self { log, image, next: 0 })
    }

    /// Gives `look` the image as `cut` leaves it; what it writes over the cut's own writes is undone. Cuts must come in the order of [`WriteLog::cuts`].
    pub fn at<T>(&mut self, cut: &Cut, look: impl FnOnce() -> T) -> Result<T> {
        let doing = |source| Error::Io { doing: "replaying writes".into(), source };
        while self.next < cut.from {
            self.apply(self.log.entries[self.next]).map_err(doing)?;
            self.next += 1;
        }
        let mut before = Vec::new();
        for index in self.next..cut.at {
            let mut entry = self.log.entries[index];
            // A disk may keep what was discarded, until it is flushed and longer.
            if !matches!(entry.kind, Kind::Write(_)) {
                continue;
            }
            // Also where nothing arrives: `look` may mend what it finds.
            let mut bytes = vec![0; usize::try_from(entry.length).unwrap_or(0)];
            self.image.read_exact_at(&mut bytes, entry.offset).map_err(doing)?;
            before.push((entry.offset, bytes));
            if let Some((_, bytes)) = cut.torn.filter(|(torn, _)| *torn == index) {
                entry.length = bytes;
            }
            if !cut.lost.contains(&index) {
                self.apply(entry).map_err(doing)?;
            }
        }
        let value = look();
        for (offset, bytes) in before.into_iter().rev() {
            self.image.write_all_at(&bytes, offset).map_err(doing)?;
        }
        Ok(value)
    }

    fn apply(&self, entry: Entry) -> std::io::Result<()> {
        match entry.kind {
            Kind::Write(at) => self.write(at, entry),
            Kind::Discard => self.empty(entry.offset, entry.length),
            Kind::Flush => Ok(()),
        }
    }

    /// Zeroes stay holes: a guest writes them by the gigabyte.
    fn write(&self, at: u64, entry: Entry) -> std::io::Result<()> {
        let mut done = 0;
        while done < entry.length {
            let length = CHUNK_BYTES.min(entry.length - done);
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            self.log.file.read_exact_at(&mut bytes, at + done)?;
            if bytes.iter().all(|byte| *byte == 0) {
                self.empty(entry.offset + done, length)?;
            } else {
                self.image.write_all_at(&bytes, entry.offset + done)?;
            }
            done += length;
        }
        Ok(())
    }

    fn empty(&self, offset: u64, length: u64) -> std::io::Result<()> {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.image, hole, offset, length)?)
    }
}

/// SplitMix64: the same cuts on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() >> 63 == 0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as the driver writes it: (flags, first sector, data).
    fn log(entries: &[(u64, u64, &[u8])]) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        for number in [MAGIC, VERSION, entries.len() as u64, SECTOR] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(SECTOR as usize, 0);
        for (flags, sector, data) in entries {
            let end = bytes.len() + SECTOR as usize;
            for number in [*sector, data.len() as u64 / SECTOR, *flags, 0] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.resize(end, 0);
            if flags & DISCARD == 0 {
                bytes.extend(*data);
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    const A: &[u8] = &[b'a'; 512];
    const B: &[u8] = &[b'b'; 1024];
    const C: &[u8] = &[b'c'; 512];

    #[test]
    fn a_log_is_read_as_the_driver_writes_it() {
        let file = log(&[(0, 1, A), (FLUSH, 0, b""), (DISCARD, 4, B), (FUA, 2, B)]);
        let log = WriteLog::open(file.path()).unwrap();
        let kinds: Vec<(Kind, u64, bool)> =
            log.entries.iter().map(|entry| (entry.kind, entry.offset, entry.durable)).collect();
        let wanted = [
            (Kind::Write(1024), 512, false),
            (Kind::Flush, 0, false),
            (Kind::Discard, 2048, false),
            (Kind::Write(3072), 1024, true),
        ];
        assert_eq!(kinds, wanted);
        assert!(WriteLog::open(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn only_what_was_not_flushed_is_lost() {
        let file = log(&[(0, 0, A), (FLUSH, 0, b""), (0, 1, B), (FUA, 0, C), (0, 3, A)]);
        let log = WriteLog::open(file.path()).unwrap();
        let mut losses = std::collections::BTreeSet::new();
        for seed in 0..50 {
            for cut in log.cuts(10, seed) {
                assert!(cut.lost.iter().all(|index| [0, 2, 4].contains(index) && *index < cut.at), "{cut:?}");
                assert!(cut.at < 2 || !cut.lost.contains(&0), "{cut:?}");
                assert!(cut.torn.is_none_or(|torn| torn == (2, 0) || torn == (2, 512)), "{cut:?}");
                losses.insert(cut.lost);
            }
        }
        assert!(losses.contains(&vec![2]) && losses.contains(&vec![2, 4]), "{losses:?}");
    }

    #[test]
    fn a_replayed_image_is_what_the_cut_leaves() {
        let file = log(&[(0, 0, A), (FLUSH, 0, b""), (0, 1, B), (0, 0, C)]);
        let log = WriteLog::open(file.path()).unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(2048).unwrap();
        let mut replay = Replay::new(&log, image.path()).unwrap();
        let mut after = |at, from, lost: &[usize], torn| {
            let cut = Cut { at, from, lost: lost.to_vec(), torn };
            let letters = |bytes: Vec<u8>| bytes.chunks(512).map(|sector| char::from(sector[0])).collect();
            let look = || letters(std::fs::read(image.path()).unwrap());
            let text: String = replay.at(&cut, look).unwrap();
            text.replace('\0', ".")
        };
        assert_eq!(after(0, 0, &[], None), "....");
        assert_eq!(after(1, 0, &[0], None), "....");
        assert_eq!(after(1, 0, &[], None), "a...");
        assert_eq!(after(4, 2, &[2], None), "c...");
        assert_eq!(after(4, 2, &[3], None), "abb.");
        assert_eq!(after(3, 2, &[], Some((2, 512))), "ab..");
        assert_eq!(after(4, 4, &[], None), "cbb.");
    }
}
