//! Errors of the disk layout: what was being done, to what, and what to do now.

use std::io;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, DiskError>;

/// Why something about a disk's layout could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Reading or writing failed.
    #[error("{doing}")]
    Io {
        /// What was being done, as a gerund with its object.
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk cannot hold the layout.
    #[error(
        "laying out a disk of {disk_bytes} bytes: the layout needs at least {need_bytes} bytes; \
         use a larger disk"
    )]
    TooSmall {
        /// Size of the disk.
        disk_bytes: u64,
        /// Smallest size that would do.
        need_bytes: u64,
    },
    /// A sector size that is neither 512 nor 4096.
    #[error(
        "laying out a disk with sectors of {0} bytes: only 512 and 4096 are supported; \
         set the disk to one of them (for NVMe: nvme format --lbaf)"
    )]
    SectorSize(u32),
    /// The `gpt` crate refused.
    #[error("composing the partition table: {0}")]
    Compose(String),
    /// No valid partition table where one is needed.
    #[error("reading the partition table: {0}; the disk was changed or is failing")]
    NoTable(&'static str),
    /// Text that must not stand in a boot entry, a path or a marker.
    #[error("writing {what}: {why}")]
    BadText {
        /// What was being written.
        what: &'static str,
        /// What is wrong with the text.
        why: String,
    },
    /// GRUB's parts are not as GRUB makes them.
    #[error("preparing the start by BIOS: {0}; write the medium again")]
    Bios(String),
    /// The FAT writer refused.
    #[error("writing the EFI system partition: {0}")]
    Fat(String),
}

impl DiskError {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
