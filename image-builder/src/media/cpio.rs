//! Writing cpio archives in the format that the kernel unpacks as an initrd
//! (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

/// Bits of the mode that say what kind of file it is (`inode(7)`).
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// Writes entries in the order in which they are given; owners are root and times the epoch, so
/// the bytes follow from names, modes and content alone.
pub struct Cpio<W> {
    out: W,
    written: u64,
    inode: u32,
}

/// One entry's kind and content.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// A directory; its parents come before it.
    Directory,
    /// A file.
    File(&'a [u8]),
    /// A symbolic link to this target.
    Symlink(&'a str),
    /// A character device: major and minor.
    Character(u32, u32),
}

/// What the header of an entry says beside its name.
struct Header {
    mode: u32,
    links: u32,
    device: (u32, u32),
    len: usize,
}

impl<W: Write> Cpio<W> {
    /// An empty archive.
    pub fn new(out: W) -> Self {
        Self { out, written: 0, inode: 0 }
    }

    /// Adds an entry; `name` has no leading slash, `mode` only the permission bits.
    pub fn add(&mut self, name: &str, mode: u32, kind: Kind<'_>) -> io::Result<()> {
        let (bits, content, device) = match kind {
            Kind::Directory => (DIRECTORY, &[][..], (0, 0)),
            Kind::File(content) => (REGULAR, content, (0, 0)),
            Kind::Symlink(target) => (SYMLINK, target.as_bytes(), (0, 0)),
            Kind::Character(major, minor) => (CHARACTER, &[][..], (major, minor)),
        };
        let links = if matches!(kind, Kind::Directory) { 2 } else { 1 };
        self.inode += 1;
        self.header(name, &Header { mode: bits | mode, links, device, len: content.len() })?;
        self.put(content)?;
        self.pad(4)
    }

    /// Ends the archive, padded to `align` bytes so that another can follow it.
    pub fn finish(mut self, align: u64) -> io::Result<W> {
        self.inode = 0;
        self.header("TRAILER!!!", &Header { mode: 0, links: 1, device: (0, 0), len: 0 })?;
        self.pad(align)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, name: &str, header: &Header) -> io::Result<()> {
        let Header { mode, links, device, len } = *header;
        let size =
            u32::try_from(len).map_err(|_| io::Error::other(format!("{name} is larger than 4 GiB")))?;
        let name_size = name.len() as u32 + 1;
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        let mut text = String::from("070701");
        for field in fields {
            text.push_str(&format!("{field:08X}"));
        }
        self.put(text.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.pad(4)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self, align: u64) -> io::Result<()> {
        let short = self.written.next_multiple_of(align) - self.written;
        self.put(&vec![0; short as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_end_with_the_trailer() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.add("dev", 0o755, Kind::Directory).unwrap();
        cpio.add("dev/console", 0o600, Kind::Character(5, 1)).unwrap();
        cpio.add("init", 0o755, Kind::File(b"12345")).unwrap();
        cpio.add("sh", 0o777, Kind::Symlink("init")).unwrap();
        let bytes = cpio.finish(512).unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let text = String::from_utf8_lossy(&bytes);
        let starts: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(starts.len(), 5);
        assert!(starts.iter().all(|at| at % 4 == 0), "{starts:?}");
        assert!(text.contains("TRAILER!!!"));
        assert!(text.contains("000041ED"), "directory with mode 755");
        assert!(text.contains("0000000500000001"), "device 5:1");
    }
}
