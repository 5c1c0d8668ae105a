//! A whole disk of this computer, open for itself alone.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};

use landfall_disk::{TableSeen, read_table, types};
use landfall_probe::{Disk, Roots, disks};
use rustix::fs::{FlockOperation, OFlags};

use super::error::{Fault, FlashError};
use super::stick::{Presence, Stick};
use super::wanted::SECTOR_BYTES;

/// An open disk.
#[derive(Debug)]
pub struct BlockDevice {
    file: File,
    chosen: Disk,
    roots: Roots,
    line: String,
    holds_medium: bool,
}

impl BlockDevice {
    /// Opens the disk that was `chosen`, if that is still what its name means.
    ///
    /// `O_EXCL` without `O_CREAT` refuses a block device that is mounted or held (open(2)). Direct
    /// input and output makes the progress honest and the reading back real.
    ///
    /// # Errors
    /// If it is in use, may not be opened, or is another disk by now.
    pub fn open(chosen: &Disk, roots: &Roots) -> Result<Self, FlashError> {
        let path = &chosen.path;
        let failed = |source: io::Error| FlashError::Open { path: path.clone(), source };
        let flags = OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::ResourceBusy => FlashError::Busy { path: path.clone() },
                _ => failed(error),
            })?;
        let line = chosen.line();
        let device = Self { file, chosen: chosen.clone(), roots: roots.clone(), line, holds_medium: false };
        if !device.is_node_of_disk().map_err(failed)? || device.presence() != Presence::Same {
            return Err(FlashError::Stick {
                doing: "opening",
                stick: device.line,
                at: None,
                fault: Fault::Changed,
                half: false,
            });
        }
        // Device managers leave a locked disk alone (systemd, BLOCK_DEVICE_LOCKING).
        rustix::fs::flock(&device.file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| FlashError::Busy { path: path.clone() })?;
        let holds_medium = matches!(read_table(&mut &device.file, SECTOR_BYTES), Ok(TableSeen::Gpt(gpt))
            if gpt.entries.first().is_some_and(|entry| is_medium(&entry.name)));
        let direct = rustix::fs::fcntl_getfl(device.file.as_fd()).map_err(io::Error::from).map_err(failed)?;
        rustix::fs::fcntl_setfl(device.file.as_fd(), direct | OFlags::DIRECT)
            .map_err(io::Error::from)
            .map_err(failed)?;
        Ok(Self { holds_medium, ..device })
    }

    /// Whether a medium is on it, whole or half.
    pub fn holds_medium(&self) -> bool {
        self.holds_medium
    }

    /// The node that was opened must be the disk that sysfs describes under this name.
    fn is_node_of_disk(&self) -> io::Result<bool> {
        let about = self.file.metadata()?;
        let known = self.roots.sys.join("class/block").join(&self.chosen.name).join("dev");
        let known = std::fs::read_to_string(known)?;
        let number = about.rdev();
        let opened = format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
        Ok(about.file_type().is_block_device() && known.trim() == opened)
    }
}

fn is_medium(name: &str) -> bool {
    name == types::MEDIUM_NAME || name == types::FLASHING_NAME
}

impl Stick for BlockDevice {
    fn name(&self) -> &str {
        &self.line
    }

    fn len_bytes(&self) -> u64 {
        self.chosen.size_bytes
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, at)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn presence(&self) -> Presence {
        match disks::list(&self.roots).into_iter().find(|disk| disk.name == self.chosen.name) {
            Some(disk) if disk.is_same(&self.chosen) => Presence::Same,
            Some(_) => Presence::Another,
            None => Presence::Gone,
        }
    }
}
