//! The neutral tree: what a layer holds, in one form whatever mode built it, as a tar stream.
//!
//! Whiteouts are character devices 0/0 and opaque directories carry `trusted.overlay.opaque`, the
//! forms that a machine's overlay mount reads (kernel: Documentation/filesystems/overlayfs.rst).

mod mem;
mod merged;
mod tar;
mod walk;

pub use mem::{MemTree, Meta};
pub use merged::Merged;
pub use tar::TarWriter;
pub use walk::walk;

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Extended attributes by their full name.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The attribute by which overlayfs hides what lies below a directory.
pub const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link to these bytes.
    Symlink(Vec<u8>),
    /// A further name of an earlier entry, by that entry's path.
    HardLink(Vec<u8>),
    /// A character device; 0/0 is a whiteout.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// On disk, so many of them.
    Disk(PathBuf, u64),
    /// Here.
    Memory(Vec<u8>),
}

impl Content {
    /// Bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Disk(_, size) => *size,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

/// One name in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root, without a leading slash; empty for the root itself.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Entry {
    /// A whiteout at `path`.
    pub fn is_whiteout(&self) -> bool {
        self.kind == Kind::Character(0, 0)
    }
}

/// Why a tree could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file changed while it was read.
    #[error(
        "reading {path}: its size changed from {expected} bytes; another program writes into the cache, stop it and build again"
    )]
    Changed {
        /// Which.
        path: PathBuf,
        /// The size at first.
        expected: u64,
    },
}

pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> TreeError {
    let doing = doing.into();
    move |source| TreeError::Io { doing, source }
}
