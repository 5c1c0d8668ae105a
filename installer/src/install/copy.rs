//! Copying large files: reading and writing side by side, past the page cache of the target.

use super::hash::Buffer;
use super::progress::Bar;
use super::verify::Wanted;
use crate::error::{Error, Result};
use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_getfl, fcntl_setfl};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Buffers in flight: one is read, one is written, one waits.
const BUFFERS: usize = 3;

/// Copies every file into `folder` under its own name and makes it last.
pub fn all(files: &[Wanted], folder: &Path, bar: &Bar) -> Result<()> {
    for file in files {
        let Some(name) = file.path.file_name() else {
            continue;
        };
        one(&file.path, &folder.join(name), file.size, bar)?;
    }
    crate::tree::sync_folder(folder)
}

fn one(from: &Path, to: &Path, size: u64, bar: &Bar) -> Result<()> {
    let doing = || format!("copying {} to {}", from.display(), to.display());
    let mut source = File::open(from).map_err(Error::io(doing()))?;
    let mut target = create(to).map_err(Error::io(doing()))?;
    // One extent where possible; a file system without it allocates as it goes.
    let _ = fallocate(&target, FallocateFlags::empty(), 0, size);
    let (full_in, full_out) = sync_channel::<Buffer>(1);
    let (empty_in, empty_out) = sync_channel::<Buffer>(BUFFERS);
    for _ in 0..BUFFERS {
        let _ = empty_in.send(Buffer::new());
    }
    let (read, written) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read_all(&mut source, &empty_out, &full_in));
        let written = write_all(&mut target, &full_out, &empty_in, bar);
        // Both ends must go, or the reader waits for ever after a failed write.
        drop((full_out, empty_in));
        (reader.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread stopped"))), written)
    });
    read.map_err(Error::io(format!("reading {}", from.display())))?;
    written.map_err(Error::io(doing()))?;
    target.set_len(size).and_then(|()| target.sync_all()).map_err(Error::io(doing()))
}

fn create(to: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644);
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
    match options.clone().custom_flags(direct).open(to) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => options.open(to),
        other => other,
    }
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

fn write_all(
    target: &mut File,
    full: &Receiver<Buffer>,
    empty: &SyncSender<Buffer>,
    bar: &Bar,
) -> io::Result<()> {
    while let Ok(mut buffer) = full.recv() {
        write_one(target, &mut buffer)?;
        bar.advance(buffer.filled as u64);
        let _ = empty.send(buffer);
    }
    Ok(())
}

/// Direct writes are whole sectors; the file is cut to its size afterwards.
fn write_one(target: &mut File, buffer: &mut Buffer) -> io::Result<()> {
    match target.write_all(buffer.padded()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            // This file system opens for direct I/O and then refuses it.
            let flags = fcntl_getfl(&*target)?;
            fcntl_setfl(&*target, flags - OFlags::DIRECT)?;
            target.write_all(buffer.padded())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Consoles;
    use crate::roots::Roots;

    #[test]
    fn copies_are_equal_whatever_their_length() {
        let top = tempfile::tempdir().unwrap();
        let consoles = Consoles::open(&Roots::under(top.path()));
        let to = top.path().join("to");
        std::fs::create_dir(&to).unwrap();
        let mut files = Vec::new();
        for length in [0usize, 1, 4096, 5 << 20, (8 << 20) + 3] {
            let path = top.path().join(format!("file{length}"));
            let bytes: Vec<u8> = (0..length).map(|n| (n % 241) as u8).collect();
            std::fs::write(&path, bytes).unwrap();
            files.push(Wanted { path, sha256: String::new(), size: length as u64 });
        }
        let bar = Bar::begin(&consoles, "Copying", 1);
        all(&files, &to, &bar).unwrap();
        for file in &files {
            let copy = to.join(file.path.file_name().unwrap());
            assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(&file.path).unwrap());
        }
        let missing = Wanted { path: "/no/such".into(), sha256: String::new(), size: 1 };
        assert!(all(&[missing], &to, &bar).is_err());
    }
}
