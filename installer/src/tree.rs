//! Copying trees with owner, mode, times and extended attributes, and replacing files safely.

use crate::error::{Error, Result};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat, lgetxattr, llistxattr,
    lsetxattr, mknodat, utimensat,
};
use std::fs::{self, File, Metadata};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

/// Copies `from` to `to`, which must not exist yet; folders whole.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(from).map_err(Error::io(format!("looking at {}", from.display())))?;
    let doing = || format!("copying {} to {}", from.display(), to.display());
    let kind = meta.file_type();
    if kind.is_dir() {
        fs::create_dir(to).map_err(Error::io(doing()))?;
        copy_inside(from, to)?;
    } else if kind.is_symlink() {
        let target = fs::read_link(from).map_err(Error::io(doing()))?;
        symlink(target, to).map_err(Error::io(doing()))?;
    } else if kind.is_file() {
        fs::copy(from, to).map_err(Error::io(doing()))?;
    } else {
        make_node(to, &meta).map_err(Error::io(doing()))?;
    }
    copy_attributes(from, to, &meta)
}

/// Makes `to` a folder with the owner, mode and times of `from`, and nothing in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let doing = || format!("copying {} to {}", from.display(), to.display());
    let meta = fs::symlink_metadata(from).map_err(Error::io(doing()))?;
    fs::create_dir(to).map_err(Error::io(doing()))?;
    copy_attributes(from, to, &meta)
}

fn copy_inside(from: &Path, to: &Path) -> Result<()> {
    for entry in entries(from)? {
        copy(&from.join(&entry), &to.join(&entry))?;
    }
    Ok(())
}

/// Lays the files of `from` over those of `to`: folders merge and keep what they have, files are
/// replaced.
pub fn lay_over(from: &Path, to: &Path) -> Result<()> {
    for name in entries(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        let is_dir = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        if is_dir(&source) && is_dir(&target) {
            lay_over(&source, &target)?;
            continue;
        }
        remove(&target)?;
        copy(&source, &target)?;
    }
    Ok(())
}

/// Removes a file, link or whole folder; what is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    result.map_err(Error::io(format!("removing {}", path.display())))
}

/// Names in a folder, sorted.
pub fn entries(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let doing = || format!("listing {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(doing()))? {
        names.push(entry.map_err(Error::io(doing()))?.file_name());
    }
    names.sort();
    Ok(names)
}

/// Writes a file by temp → fsync → rename → fsync of its folder.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .map_err(Error::io(doing()))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(Error::io(doing()))?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Makes a folder's entries last.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(Error::io(format!("syncing {}", folder.display())))
}

fn make_node(to: &Path, meta: &Metadata) -> std::io::Result<()> {
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_fifo() => FileType::Fifo,
        () if kind.is_socket() => FileType::Socket,
        () if kind.is_char_device() => FileType::CharacterDevice,
        () => FileType::BlockDevice,
    };
    mknodat(CWD, to, kind, Mode::from_raw_mode(meta.mode()), meta.rdev())?;
    Ok(())
}

/// The owner goes first: a change of owner clears setuid bits and file capabilities.
fn copy_attributes(from: &Path, to: &Path, meta: &Metadata) -> Result<()> {
    let doing = || format!("setting owner and mode of {}", to.display());
    let owner = Uid::from_raw(meta.uid());
    let group = Gid::from_raw(meta.gid());
    chownat(CWD, to, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW).map_err(Error::io(doing()))?;
    if !meta.file_type().is_symlink() {
        fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))
            .map_err(Error::io(doing()))?;
    }
    copy_xattrs(from, to);
    let at = |seconds, nanoseconds: i64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as _ };
    let times = Timestamps {
        last_access: at(meta.atime(), meta.atime_nsec()),
        last_modification: at(meta.mtime(), meta.mtime_nsec()),
    };
    utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::io(doing()))
}

/// Best effort: a target without extended attributes still gets its files.
fn copy_xattrs(from: &Path, to: &Path) {
    let mut names = vec![0u8; 64 * 1024];
    let Ok(length) = llistxattr(from, &mut names[..]) else {
        return;
    };
    let names = names.get(..length).unwrap_or_default();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // An overlay's own marks mean nothing outside it.
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let mut value = vec![0u8; 64 * 1024];
        if let Ok(length) = lgetxattr(from, name, &mut value[..]) {
            let value = value.get(..length).unwrap_or_default();
            let _ = lsetxattr(to, name, value, XattrFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_merge_and_files_are_replaced() {
        let top = tempfile::tempdir().unwrap();
        let (a, b) = (top.path().join("a"), top.path().join("b"));
        fs::create_dir_all(a.join("ssh/x")).unwrap();
        fs::create_dir_all(b.join("ssh")).unwrap();
        write(&a.join("ssh/key"), b"new", 0o600).unwrap();
        write(&b.join("ssh/key"), b"old", 0o644).unwrap();
        write(&b.join("ssh/config"), b"kept", 0o644).unwrap();
        symlink("key", a.join("ssh/link")).unwrap();
        lay_over(&a, &b).unwrap();
        assert_eq!(fs::read(b.join("ssh/key")).unwrap(), b"new");
        assert_eq!(fs::metadata(b.join("ssh/key")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read(b.join("ssh/config")).unwrap(), b"kept");
        assert_eq!(fs::read_link(b.join("ssh/link")).unwrap(), Path::new("key"));
        assert!(b.join("ssh/x").is_dir());
        assert_eq!(entries(&b.join("ssh")).unwrap().len(), 4);
        remove(&b).unwrap();
        remove(&b).unwrap();
        assert!(!b.exists());
    }
}
