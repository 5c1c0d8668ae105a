//! Editing a secret: its plaintext stands in memory-backed storage only, for as long as the
//! editor runs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use age::secrecy::SecretSlice;
use rustix::fs::statfs;
use zeroize::Zeroizing;

use super::files::{self, MODE_PRIVATE};
use super::{SECRET_LIMIT_BYTES, SecretsError};

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of linux/magic.h: what is written there reaches no disk
/// (tmpfs may reach swap).
const MEMORY_FILESYSTEMS: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Where POSIX shared memory lives on Linux, always a tmpfs (shm_overview(7)).
const SHARED_MEMORY: &str = "/dev/shm";

/// Runs `program` on a private copy of `plaintext`; the new text, or `None` if it is unchanged.
///
/// `rooms` are folders to try; the first that is kept in memory is used, and [`SHARED_MEMORY`] is
/// the last.
pub fn edit(
    what: &str,
    plaintext: &[u8],
    program: &OsStr,
    rooms: &[PathBuf],
) -> Result<Option<SecretSlice<u8>>, SecretsError> {
    let fail = |reason: String| SecretsError::Edit { what: what.to_string(), reason };
    let mut candidates = rooms.iter().map(PathBuf::as_path).chain([Path::new(SHARED_MEMORY)]);
    let room = candidates.find(|room| in_memory(room)).ok_or_else(|| {
        fail("no folder in memory to put the text into; use `landfall secret set` with a pipe".to_string())
    })?;
    // The folder is private (0700) and goes away with everything an editor leaves in it.
    let folder = tempfile::Builder::new()
        .prefix("landfall-")
        .tempdir_in(room)
        .map_err(|error| fail(format!("making a folder in {}: {error}", room.display())))?;
    let path = folder.path().join("secret");
    files::replace(&path, plaintext, MODE_PRIVATE)?;
    // $EDITOR may carry arguments ("code --wait"): the shell splits it, and the path is its $1.
    let status = Command::new("sh")
        .arg("-c")
        .arg({
            let mut line = program.to_os_string();
            line.push(" \"$1\"");
            line
        })
        .arg("sh")
        .arg(&path)
        .status()
        .map_err(|error| fail(format!("starting {}: {error}", program.to_string_lossy())))?;
    if !status.success() {
        return Err(fail(format!("{} ended with {status}; nothing was changed", program.to_string_lossy())));
    }
    let text = Zeroizing::new(files::read_bounded(&path, SECRET_LIMIT_BYTES as u64)?);
    wipe(&path, text.len());
    Ok((text.as_slice() != plaintext).then(|| SecretSlice::from(text.to_vec())))
}

fn in_memory(folder: &Path) -> bool {
    statfs(folder)
        .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| MEMORY_FILESYSTEMS.contains(&kind)))
}

/// Overwrites before the folder is dropped, for pages that outlive their file in memory.
fn wipe(path: &Path, length_bytes: usize) {
    let _ = std::fs::write(path, vec![0u8; length_bytes]);
}
