//! Reading with a limit, and replacing so that a power cut leaves the old file or the new one.

use crate::error::{Error, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file of ours that is read whole.
pub const LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Who owns a file and what its permissions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Access {
    /// root's alone.
    pub const ROOT_ONLY: Self = Self { uid: 0, gid: 0, mode: 0o600 };
}

/// Reads a regular file of at most [`LIMIT_BYTES`]; never waits on a pipe or a device.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32 | OFlags::CLOEXEC.bits() as i32);
    let file = options.open(path).map_err(Error::at("opening", path))?;
    let about = file.metadata().map_err(Error::at("reading", path))?;
    if !about.is_file() {
        return Err(Error::bad(path.display().to_string(), "it is not a regular file; move it away"));
    }
    // With this room the buffer never moves, so no copy of a secret stays in freed memory.
    let room = about.len().min(LIMIT_BYTES) as usize + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(Error::at("reading", path))?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(Error::bad(
            path.display().to_string(),
            format!("it is larger than {LIMIT_BYTES} bytes; it was not made by Landfall"),
        ));
    }
    Ok(bytes)
}

/// Reads a text file; none if it is not there.
pub fn read_text(path: &Path) -> Result<Option<String>> {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::bad(path.display().to_string(), "it is not UTF-8")),
    }
}

/// Reads a file of `/proc` or `/sys`, whose sizes say nothing; empty if it is not there.
pub fn read_kernel(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(LIMIT_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Replaces a file: temp, fsync, rename, fsync of the folder.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let temp = temp_beside(path);
    // A temp of a run that was cut off; it is ours by its name.
    let _ = fs::remove_file(&temp);
    let written = write_new(&temp, bytes, access)
        .and_then(|()| fs::rename(&temp, path).map_err(Error::at("replacing", path)));
    if written.is_err() {
        let _ = fs::remove_file(&temp);
    }
    written?;
    sync_folder(folder)
}

/// Makes a file that must not be there yet, and brings it to the disk.
pub fn write_new(path: &Path, bytes: &[u8], access: Access) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let mut file = options.open(path).map_err(Error::at("making", path))?;
    file.write_all(bytes).map_err(Error::at("writing", path))?;
    own(&file, path, access)?;
    file.sync_all().map_err(Error::at("bringing to the disk", path))
}

/// Owner first: a change of owner takes setuid bits away, and the mode must not open early.
fn own(file: &File, path: &Path, access: Access) -> Result<()> {
    let about =
        rustix::fs::fstat(file).map_err(Error::errno(format!("reading the owner of {}", path.display())))?;
    if (about.st_uid, about.st_gid) != (access.uid, access.gid) {
        std::os::unix::fs::fchown(file, Some(access.uid), Some(access.gid))
            .map_err(Error::at("changing the owner of", path))?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(access.mode & 0o7777))
        .map_err(Error::errno(format!("changing the mode of {}", path.display())))
}

/// Makes a symbolic link, in place of what stands there unless that is a folder.
pub fn replace_link(path: &Path, target: &Path) -> Result<()> {
    if fs::read_link(path).is_ok_and(|now| now == target) {
        return Ok(());
    }
    let temp = temp_beside(path);
    let _ = fs::remove_file(&temp);
    std::os::unix::fs::symlink(target, &temp).map_err(Error::at("linking", path))?;
    fs::rename(&temp, path).map_err(Error::at("replacing", path))
}

/// Makes a folder and its parents; those that are made belong to root.
pub fn make_folder(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent, 0o755)?;
    }
    fs::create_dir(path).map_err(Error::at("making", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(Error::at("changing the mode of", path))
}

/// Gives a path that is not a link to a user.
pub fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    chown(path, Some(uid), Some(gid)).map_err(Error::at("changing the owner of", path))
}

/// Brings a folder's entries to the disk.
pub fn sync_folder(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(Error::at("opening", path))?;
    match folder.sync_all() {
        // Filesystems in memory have nothing to bring.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(()),
        other => other.map_err(Error::at("bringing to the disk", path)),
    }
}

/// Overwrites, syncs and removes a file with a secret. On flash this is logical only.
pub fn erase(path: &Path) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(Error::at("opening", path))?;
    let length = file.metadata().map_err(Error::at("reading", path))?.len().min(LIMIT_BYTES);
    file.write_all(&vec![0; length as usize]).map_err(Error::at("overwriting", path))?;
    file.sync_all().map_err(Error::at("bringing to the disk", path))?;
    fs::remove_file(path).map_err(Error::at("removing", path))?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

fn temp_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.landfall-new"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(mode: u32) -> Access {
        Access { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw(), mode }
    }

    #[test]
    fn replacing_keeps_nothing_of_the_old_and_sets_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, b"one", mine(0o644)).unwrap();
        replace(&path, b"two", mine(0o400)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o400);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_pipe_is_refused_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn erasing_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("t"), dir.path().join("l"));
        fs::write(&target, "keep").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(erase(&link).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"keep");
        erase(&target).unwrap();
        assert!(!target.exists());
    }
}
