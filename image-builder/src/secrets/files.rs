//! Bounded reads, and writes that are whole or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::SecretsError;

/// Mode of a file that anyone may read: ciphertexts and public keys.
pub const MODE_PUBLIC: u32 = 0o644;
/// Mode of a file that only its owner may read.
pub const MODE_PRIVATE: u32 = 0o600;

/// Reads at most `limit_bytes` of a file; a longer file is an error, not a cut.
pub fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, SecretsError> {
    let fail = |source| SecretsError::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(fail)?;
    let capacity = file.metadata().map_err(fail)?.len().min(limit_bytes) + 1;
    // Room for the whole file at once: growing would leave copies of a key behind in memory.
    let mut bytes = Vec::with_capacity(usize::try_from(capacity).unwrap_or_default());
    file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(SecretsError::TooLarge { path: path.to_path_buf(), limit_bytes });
    }
    Ok(bytes)
}

/// Reads a file that may be absent.
pub fn read_optional(path: &Path, limit_bytes: u64) -> Result<Option<Vec<u8>>, SecretsError> {
    match read_bounded(path, limit_bytes) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(SecretsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// Puts `bytes` at `path` so that a reader sees the old file or the new one, and a power cut
/// leaves one of the two. Makes the folder where it is missing.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SecretsError> {
    replace_io(path, bytes, mode).map_err(|source| SecretsError::Write { path: path.to_path_buf(), source })
}

fn replace_io(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut temporary = Temporary::create(folder, path, mode)?;
    temporary.file.write_all(bytes)?;
    temporary.file.sync_all()?;
    fs::rename(&temporary.path, path)?;
    temporary.renamed = true;
    File::open(folder)?.sync_all()
}

/// A file beside its target that goes away unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    fn create(folder: &Path, target: &Path, mode: u32) -> io::Result<Self> {
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
        let path = folder.join(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
        // A leftover of an interrupted run with the same process id is ours to replace.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        Ok(Self { path, file, renamed: false })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_whole_files_with_their_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/key");
        replace(&path, b"one", MODE_PRIVATE).unwrap();
        replace(&path, b"two", MODE_PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_a_file_past_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        fs::write(&path, vec![b'x'; 33]).unwrap();
        assert!(matches!(read_bounded(&path, 32), Err(SecretsError::TooLarge { .. })));
        assert_eq!(read_bounded(&path, 33).unwrap().len(), 33);
        assert!(read_optional(&folder.path().join("none"), 9).unwrap().is_none());
    }
}
