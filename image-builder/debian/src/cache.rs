//! The cache folder: everything in it lands under its final name only when it is whole.

use crate::error::{Error, Result};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The cache, by its top folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache at this folder, which is made when it is first needed.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The top folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A package's file, by its sha256.
    #[must_use]
    pub fn deb(&self, sha256: &str) -> PathBuf {
        self.root.join("debs").join(format!("{sha256}.deb"))
    }

    /// Where verified indices are.
    #[must_use]
    pub fn indices(&self) -> PathBuf {
        self.root.join("indices")
    }

    /// Where tools roots are.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// apt's working folders.
    #[must_use]
    pub fn solver(&self) -> PathBuf {
        self.root.join("solver")
    }
}

/// Replaces a file: temporary name, fsync, rename, fsync of the folder.
///
/// # Errors
/// If the folder cannot be written to.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io("making", folder))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("making a file in", folder))?;
    // Temporary files are 0600; a cache is there to be read, whatever the umask.
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644))
        .map_err(Error::io("setting the mode of", path))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(Error::io("writing", path))?;
    file.persist(path).map_err(|error| Error::io("naming", path)(error.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("syncing", folder))
}
