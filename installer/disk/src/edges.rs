//! The two ends of a disk in memory, so that `gpt` composes a table and we choose the write order.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// A disk of which only both ends exist; touching its middle is an error.
#[derive(Debug)]
pub(crate) struct Edges {
    disk_bytes: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    at: u64,
}

impl Edges {
    /// A disk of `disk_bytes` zeroes with ends of `edge_bytes` each.
    pub(crate) fn new(disk_bytes: u64, edge_bytes: usize) -> Self {
        Self { disk_bytes, head: vec![0; edge_bytes], tail: vec![0; edge_bytes], at: 0 }
    }

    /// The first bytes of the disk.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The last bytes of the disk.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// The slice at the current place, up to `want` bytes long.
    fn window(&mut self, want: usize) -> io::Result<&mut [u8]> {
        let tail_start = self.disk_bytes.saturating_sub(self.tail.len() as u64);
        let (edge, from) = if self.at < self.head.len() as u64 {
            (&mut self.head, self.at)
        } else if self.at >= tail_start {
            (&mut self.tail, self.at - tail_start)
        } else {
            return Err(io::Error::other("outside of the partition table's area"));
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(edge.len());
        let to = from.saturating_add(want).min(edge.len());
        Ok(&mut edge[from..to])
    }
}

impl Read for Edges {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let window = self.window(buf.len())?;
        let count = window.len();
        buf[..count].copy_from_slice(window);
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Edges {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let window = self.window(buf.len())?;
        let count = window.len();
        window.copy_from_slice(&buf[..count]);
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Edges {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.disk_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::other("seek before the disk's start"))?;
        Ok(self.at)
    }
}
