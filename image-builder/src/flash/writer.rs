//! The writing and the reading back.
//!
//! The order is the promise. First a table that says "half written" and has nothing to start; then
//! the data; then the ESP; then everything is read back; the medium's own table comes last. So
//! whatever ends the writing early leaves a stick that no firmware starts.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use landfall_disk::{Ends, Extent};
use landfall_hosts::event::{Event, Progress, Task};

use super::error::{Fault, FlashError};
use super::stick::{Presence, Stick};
use super::wanted::{Content, Wanted};

/// How much is written or compared at once.
const CHUNK_BYTES: usize = 1 << 20;
/// How finely old content is compared: the block of every filesystem on a medium.
const BLOCK_BYTES: usize = 4096;
/// What direct reads and writes want of memory (open(2), O_DIRECT).
const ALIGN_BYTES: usize = 4096;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Written {
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Bytes that stood there already.
    pub kept_bytes: u64,
    /// From the first write to the last flush.
    pub seconds: f64,
    /// Reading back, in seconds.
    pub verify_seconds: f64,
}

/// One stick being written.
pub struct Writer<'a> {
    /// What it shall hold.
    pub wanted: &'a Wanted,
    /// The stick.
    pub stick: &'a dyn Stick,
    /// It holds a medium, whole or half: what stands there is compared before it is written over.
    pub compare: bool,
    /// Who is told.
    pub progress: &'a dyn Progress,
    /// Set once the person wants it to end.
    pub stop: &'a AtomicBool,
}

impl Writer<'_> {
    /// Writes the medium and reads it back.
    ///
    /// # Errors
    /// If the image or the stick fails, or the stick is another one by now; the error says in which
    /// state the stick is.
    pub fn run(&self) -> Result<Written, FlashError> {
        let stick_bytes = self.stick.len_bytes();
        let (finished, unfinished) = (self.wanted.table(stick_bytes)?, self.wanted.unfinished(stick_bytes)?);
        let spans = self.wanted.spans(stick_bytes, &finished);
        let mut out = Written::default();
        self.check("looking at", false)?;
        let begun = Instant::now();
        self.put_ends(&unfinished)?;
        self.task(Task::Write, &spans, |span, buffers| self.write_span(span, buffers, &mut out))?;
        self.flush()?;
        out.seconds = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        self.task(Task::Verify, &spans, |span, buffers| self.verify_span(span, buffers))?;
        out.verify_seconds = begun.elapsed().as_secs_f64();
        self.check("finishing", true)?;
        self.put_ends(&finished)?;
        self.verify_ends(&finished)?;
        Ok(out)
    }

    fn task(
        &self,
        task: Task,
        spans: &[(Extent, Content)],
        mut work: impl FnMut((Extent, Content), &mut Buffers) -> Result<(), FlashError>,
    ) -> Result<(), FlashError> {
        let total = spans.iter().map(|(span, _)| span.len_bytes).sum();
        self.progress.event(Event::Begin { task, what: self.stick.name().to_owned(), total });
        let mut buffers = Buffers::new();
        let result = spans.iter().try_for_each(|span| work(*span, &mut buffers));
        self.progress.event(Event::End { task });
        result
    }

    fn flush(&self) -> Result<(), FlashError> {
        self.stick.flush().map_err(|error| self.fault("flushing", None, error))
    }

    /// The backup is flushed before the primary, so that one of the two is whole at any moment.
    fn put_ends(&self, ends: &Ends) -> Result<(), FlashError> {
        let tail_at = self.stick.len_bytes() - ends.tail.len() as u64;
        for (at, bytes) in [(tail_at, &ends.tail), (0, &ends.head)] {
            let mut aligned = Aligned::new(bytes.len());
            aligned.all().copy_from_slice(bytes);
            self.put(at, aligned.all())?;
            self.flush()?;
        }
        Ok(())
    }

    fn verify_ends(&self, ends: &Ends) -> Result<(), FlashError> {
        let tail_at = self.stick.len_bytes() - ends.tail.len() as u64;
        for (at, bytes) in [(0, &ends.head), (tail_at, &ends.tail)] {
            let mut aligned = Aligned::new(bytes.len());
            self.get(at, aligned.all())?;
            if aligned.all() != bytes.as_slice() {
                return Err(self.error("reading back", Some(at), Fault::Differs, true));
            }
        }
        Ok(())
    }

    /// Zeroes are looked for before they are written: most of them are there already.
    fn write_span(
        &self,
        (span, content): (Extent, Content),
        buffers: &mut Buffers,
        out: &mut Written,
    ) -> Result<(), FlashError> {
        for (at, len) in chunks(span) {
            self.check_stop(true)?;
            let Buffers { want, have } = &mut *buffers;
            let (want, have) = (want.first(len), have.first(len));
            self.wanted.read(content, at, want)?;
            let runs = if self.compare || want.iter().all(|byte| *byte == 0) {
                self.get(at, have)?;
                differing(want, have)
            } else {
                vec![(0, len)]
            };
            let mut written = 0;
            for (from, to) in runs {
                self.put(at + from as u64, want.get(from..to).unwrap_or_default())?;
                written += (to - from) as u64;
            }
            out.written_bytes += written;
            out.kept_bytes += len as u64 - written;
            self.progress.event(Event::Advance { task: Task::Write, by: len as u64 });
        }
        Ok(())
    }

    fn verify_span(
        &self,
        (span, content): (Extent, Content),
        buffers: &mut Buffers,
    ) -> Result<(), FlashError> {
        for (at, len) in chunks(span) {
            self.check_stop(true)?;
            let Buffers { want, have } = &mut *buffers;
            let (want, have) = (want.first(len), have.first(len));
            self.wanted.read(content, at, want)?;
            self.get(at, have)?;
            if let Some((from, _)) = differing(want, have).first() {
                return Err(self.error("reading back", Some(at + *from as u64), Fault::Differs, true));
            }
            self.progress.event(Event::Advance { task: Task::Verify, by: len as u64 });
        }
        Ok(())
    }

    fn put(&self, mut at: u64, mut bytes: &[u8]) -> Result<(), FlashError> {
        while !bytes.is_empty() {
            let count = match self.stick.write_at(at, bytes) {
                Ok(0) => return Err(self.error("writing to", Some(at), Fault::Full, true)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.fault("writing to", Some(at), error)),
            };
            bytes = bytes.get(count..).unwrap_or_default();
            at += count as u64;
        }
        Ok(())
    }

    fn get(&self, mut at: u64, mut buffer: &mut [u8]) -> Result<(), FlashError> {
        while !buffer.is_empty() {
            let count = match self.stick.read_at(at, buffer) {
                Ok(0) => return Err(self.error("reading from", Some(at), Fault::Full, true)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.fault("reading from", Some(at), error)),
            };
            buffer = buffer.get_mut(count..).unwrap_or_default();
            at += count as u64;
        }
        Ok(())
    }

    fn check(&self, doing: &'static str, half: bool) -> Result<(), FlashError> {
        match self.stick.presence() {
            Presence::Same => self.check_stop(half),
            Presence::Gone => Err(self.error(doing, None, Fault::Gone, half)),
            Presence::Another => Err(self.error(doing, None, Fault::Changed, half)),
        }
    }

    fn check_stop(&self, half: bool) -> Result<(), FlashError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(self.error("writing to", None, Fault::Interrupted, half)),
            false => Ok(()),
        }
    }

    /// A stick that is pulled out answers with any of several errors (Linux, block/blk-core.c).
    fn fault(&self, doing: &'static str, at: Option<u64>, error: io::Error) -> FlashError {
        use rustix::io::Errno;
        let fault = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NODEV | Errno::NXIO | Errno::NOMEDIUM) => Fault::Gone,
            Some(Errno::NOSPC) => Fault::Full,
            _ if self.stick.presence() != Presence::Same => Fault::Gone,
            _ => Fault::Failing(error),
        };
        self.error(doing, at, fault, true)
    }

    fn error(&self, doing: &'static str, at: Option<u64>, fault: Fault, half: bool) -> FlashError {
        FlashError::Stick { doing, stick: self.stick.name().to_owned(), at, fault, half }
    }
}

/// A span in pieces that start on multiples of a chunk.
fn chunks(span: Extent) -> impl Iterator<Item = (u64, usize)> {
    let mut at = span.start_bytes;
    std::iter::from_fn(move || {
        let size = CHUNK_BYTES as u64;
        let end = (at / size * size + size).min(span.end_bytes());
        let len = end.checked_sub(at).filter(|len| *len != 0)?;
        let from = at;
        at = end;
        Some((from, usize::try_from(len).unwrap_or(CHUNK_BYTES)))
    })
}

/// Runs of blocks that differ, as (from, to).
fn differing(want: &[u8], have: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut from = 0;
    for (want, have) in want.chunks(BLOCK_BYTES).zip(have.chunks(BLOCK_BYTES)) {
        let to = from + want.len();
        if want != have {
            match runs.last_mut() {
                Some((_, end)) if *end == from => *end = to,
                _ => runs.push((from, to)),
            }
        }
        from = to;
    }
    runs
}

/// Memory that direct input and output can use.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize) -> Self {
        let bytes = vec![0u8; len + ALIGN_BYTES];
        let start = bytes.as_ptr().align_offset(ALIGN_BYTES);
        Self { bytes, start, len }
    }

    fn first(&mut self, len: usize) -> &mut [u8] {
        let end = self.start + len.min(self.len);
        self.bytes.get_mut(self.start..end).unwrap_or_default()
    }

    fn all(&mut self) -> &mut [u8] {
        self.first(self.len)
    }
}

struct Buffers {
    want: Aligned,
    have: Aligned,
}

impl Buffers {
    fn new() -> Self {
        Self { want: Aligned::new(CHUNK_BYTES), have: Aligned::new(CHUNK_BYTES) }
    }
}

#[cfg(test)]
mod tests;
