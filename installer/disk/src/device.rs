//! What this crate asks of a disk: bytes at an offset, and "now it must last".

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};

/// A disk or an image of one. Nothing here opens devices: callers do.
pub trait Disk: Read + Write + Seek + std::fmt::Debug {
    /// Returns once everything written so far has reached the medium.
    fn sync(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Disk for &File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Disk for Cursor<Vec<u8>> {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: Disk> Disk for &mut D {
    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }
}
