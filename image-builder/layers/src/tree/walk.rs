//! From a directory on disk to a sorted list of entries.

use super::{Content, Entry, Kind, OPAQUE, TreeError, Xattrs, io};
use rustix::fs::{FileType, lgetxattr, llistxattr};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Sources that are a second older than what was compiled from them. console-setup(8) compiles
/// again at every boot unless its result is the newer file, and clamping makes them equal.
const SOURCES: &[&[u8]] = &[b"etc/default/console-setup", b"etc/default/keyboard"];

/// Every entry below `root` (and the root itself, first), sorted, parents before children. Times
/// later than `epoch` become `epoch`: what a build wrote is as old as its newest package.
pub fn walk(root: &Path, epoch: u64) -> Result<Vec<Entry>, TreeError> {
    let mut walk = Walk { epoch, links: BTreeMap::new(), entries: Vec::new() };
    let metadata = std::fs::symlink_metadata(root).map_err(io(format!("reading {}", root.display())))?;
    walk.add(root, Vec::new(), &metadata)?;
    walk.directory(root, &[])?;
    Ok(walk.entries)
}

struct Walk {
    epoch: u64,
    links: BTreeMap<(u64, u64), Vec<u8>>,
    entries: Vec<Entry>,
}

impl Walk {
    fn directory(&mut self, place: &Path, path: &[u8]) -> Result<(), TreeError> {
        let doing = || io(format!("listing {}", place.display()));
        let mut names = std::fs::read_dir(place)
            .map_err(doing())?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(doing())?;
        names.sort();
        for name in names {
            let place = place.join(&name);
            let mut path = path.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
            let metadata =
                std::fs::symlink_metadata(&place).map_err(io(format!("reading {}", place.display())))?;
            self.add(&place, path.clone(), &metadata)?;
            if metadata.is_dir() {
                self.directory(&place, &path)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, place: &Path, path: Vec<u8>, metadata: &Metadata) -> Result<(), TreeError> {
        let device = metadata.rdev();
        let numbers = (rustix::fs::major(device), rustix::fs::minor(device));
        let kind = match FileType::from_raw_mode(metadata.mode()) {
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = std::fs::read_link(place).map_err(io(format!("reading {}", place.display())))?;
                Kind::Symlink(target.as_os_str().as_bytes().to_vec())
            }
            FileType::CharacterDevice => Kind::Character(numbers.0, numbers.1),
            FileType::BlockDevice => Kind::Block(numbers.0, numbers.1),
            FileType::Fifo => Kind::Fifo,
            // Sockets are made by running programs and belong in no image.
            FileType::Socket | FileType::Unknown => return Ok(()),
            FileType::RegularFile => Kind::File(Content::Disk(place.to_owned(), metadata.len())),
        };
        let whiteout = kind == Kind::Character(0, 0);
        let kind = self.first_name(kind, metadata, &path);
        let mode = if whiteout { 0 } else { metadata.mode() & 0o7777 };
        let xattrs =
            if whiteout || matches!(kind, Kind::HardLink(_)) { Xattrs::new() } else { xattrs(place)? };
        let latest =
            if SOURCES.contains(&path.as_slice()) { self.epoch.saturating_sub(1) } else { self.epoch };
        let mtime = u64::try_from(metadata.mtime()).unwrap_or(0).min(latest);
        self.entries.push(Entry {
            path,
            kind,
            mode,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime,
            xattrs,
        });
        Ok(())
    }

    /// Further names of a file are links to its first. Whiteouts are not: overlayfs links one
    /// device node to many names to save inodes, which has no meaning.
    fn first_name(&mut self, kind: Kind, metadata: &Metadata, path: &[u8]) -> Kind {
        if metadata.nlink() < 2 || matches!(kind, Kind::Directory | Kind::Character(0, 0)) {
            return kind;
        }
        match self.links.get(&(metadata.dev(), metadata.ino())) {
            Some(first) => Kind::HardLink(first.clone()),
            None => {
                self.links.insert((metadata.dev(), metadata.ino()), path.to_vec());
                kind
            }
        }
    }
}

/// The attributes that belong in an image.
pub(super) fn xattrs(place: &Path) -> Result<Xattrs, TreeError> {
    let doing = |errno: Errno| TreeError::Io {
        doing: format!("reading the attributes of {}", place.display()),
        source: errno.into(),
    };
    let mut names = vec![0_u8; 4096];
    let length = match llistxattr(place, &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(errno) => return Err(doing(errno)),
    };
    let mut found = Xattrs::new();
    for name in
        names.get(..length).unwrap_or_default().split(|&byte| byte == 0).filter(|name| !name.is_empty())
    {
        let Some(kept) = kept_name(name) else { continue };
        let mut value = vec![0_u8; 65536];
        let length = match lgetxattr(place, name, &mut value) {
            Ok(length) => length,
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(doing(errno)),
        };
        value.truncate(length);
        found.insert(kept.to_vec(), value);
    }
    Ok(found)
}

/// Overlayfs' own attributes are of the build's mount, but for opaque directories; an ordinary
/// user's mount writes the `user.` flavour, which the machine's mount would not read.
fn kept_name(name: &[u8]) -> Option<&[u8]> {
    match name {
        OPAQUE | b"user.overlay.opaque" => Some(OPAQUE),
        _ if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") => None,
        b"security.selinux" | b"security.ima" | b"security.evm" => None,
        _ => Some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn sorted_clamped_and_with_links() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("b")).unwrap();
        fs::write(at("b/z"), "one").unwrap();
        fs::hard_link(at("b/z"), at("a")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("b.link")).unwrap();
        let entries = walk(dir.path(), 1000).unwrap();
        let names: Vec<_> = entries.iter().map(|e| String::from_utf8_lossy(&e.path).into_owned()).collect();
        assert_eq!(names, ["", "a", "b", "b/z", "b.link"]);
        assert!(entries.iter().all(|entry| entry.mtime == 1000));
        assert_eq!(entries[3].kind, Kind::HardLink(b"a".to_vec()));
    }

    #[test]
    fn what_is_compiled_is_newer_than_its_source() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc/default", "etc/console-setup"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in ["etc/default/keyboard", "etc/console-setup/cached_setup_terminal.sh"] {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        let entries = walk(dir.path(), 1000).unwrap();
        let mtime = |path: &str| entries.iter().find(|e| e.path == path.as_bytes()).unwrap().mtime;
        assert!(mtime("etc/console-setup/cached_setup_terminal.sh") > mtime("etc/default/keyboard"));
    }

    #[test]
    fn both_flavours_of_opaque_become_one() {
        assert_eq!(kept_name(b"user.overlay.opaque"), Some(OPAQUE));
        assert_eq!(kept_name(b"trusted.overlay.opaque"), Some(OPAQUE));
        assert_eq!(kept_name(b"trusted.overlay.origin"), None);
        assert_eq!(kept_name(b"user.overlay.impure"), None);
        assert_eq!(kept_name(b"security.capability"), Some(b"security.capability".as_slice()));
        assert_eq!(kept_name(b"system.posix_acl_access"), Some(b"system.posix_acl_access".as_slice()));
        assert_eq!(kept_name(b"user.comment"), Some(b"user.comment".as_slice()));
    }
}
