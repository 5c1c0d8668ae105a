//! A tree in memory with explicit owners: what the host layer is made of, whoever builds it.

use super::{Content, Entry, Kind, TreeError, Xattrs, io};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

/// Entries by path; directories on the way are made as needed.
#[derive(Debug, Clone)]
pub struct MemTree {
    entries: BTreeMap<Vec<u8>, Entry>,
    mtime: u64,
}

/// Owner, group and mode of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Meta {
    /// root:root with this mode.
    pub const fn root(mode: u32) -> Self {
        Self { uid: 0, gid: 0, mode }
    }
}

impl MemTree {
    /// An empty tree whose entries are as old as `mtime`.
    pub fn new(mtime: u64) -> Self {
        let mut tree = Self { entries: BTreeMap::new(), mtime };
        tree.insert(Vec::new(), Kind::Directory, Meta::root(0o755));
        tree
    }

    fn insert(&mut self, path: Vec<u8>, kind: Kind, meta: Meta) {
        let entry = Entry {
            path: path.clone(),
            kind,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime: self.mtime,
            xattrs: Xattrs::new(),
        };
        self.entries.insert(path, entry);
    }

    fn add(&mut self, path: &str, kind: Kind, meta: Meta) {
        let path = path.trim_matches('/').as_bytes().to_vec();
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let parent = path[..at].to_vec();
            if !self.entries.contains_key(&parent) {
                self.insert(parent, Kind::Directory, Meta::root(0o755));
            }
        }
        self.insert(path, kind, meta);
    }

    /// A file; an earlier one of that name is replaced.
    pub fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>, meta: Meta) {
        self.add(path, Kind::File(Content::Memory(bytes.into())), meta);
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.add(path, Kind::Symlink(target.as_bytes().to_vec()), Meta::root(0o777));
    }

    /// A directory with an owner and mode of its own.
    pub fn directory(&mut self, path: &str, meta: Meta) {
        self.add(path, Kind::Directory, meta);
    }

    /// Hides what lower layers have at `path`.
    pub fn whiteout(&mut self, path: &str) {
        self.add(path, Kind::Character(0, 0), Meta::root(0));
    }

    /// The bytes of a file of this tree.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        match &self.entries.get(path.trim_matches('/').as_bytes())?.kind {
            Kind::File(Content::Memory(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Whether the tree has anything at `path`.
    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path.trim_matches('/').as_bytes())
    }

    /// Everything, parents before children, in the order in which [`super::walk`] sorts.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries.values().cloned().collect();
        entries.sort_by(|a, b| {
            let parts = |entry: &Entry| -> Vec<Vec<u8>> {
                entry.path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect()
            };
            parts(a).cmp(&parts(b))
        });
        entries
    }

    /// Takes owner and mode of directories that stand in `lower` already (topmost first): a layer
    /// that puts a file into a directory must not change the directory.
    pub fn adopt_directories(&mut self, lower: &[&Path]) -> Result<(), TreeError> {
        use std::os::unix::fs::MetadataExt;
        for entry in self.entries.values_mut() {
            if entry.kind != Kind::Directory || (entry.uid, entry.gid, entry.mode) != (0, 0, 0o755) {
                continue;
            }
            let relative = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
            let found = lower.iter().find_map(|tree| fs::symlink_metadata(tree.join(relative)).ok());
            if let Some(metadata) = found.filter(fs::Metadata::is_dir) {
                entry.mode = metadata.mode() & 0o7777;
                entry.uid = metadata.uid();
                entry.gid = metadata.gid();
            }
        }
        Ok(())
    }

    /// Lays the tree out on disk, for a person who looks into the cache and for layers above.
    pub fn unpack(&self, root: &Path) -> Result<(), TreeError> {
        for entry in self.entries() {
            let place = root.join(std::ffi::OsStr::from_bytes(&entry.path));
            let doing = || io(format!("writing {}", place.display()));
            match &entry.kind {
                Kind::Directory if entry.path.is_empty() => {}
                Kind::Directory => fs::create_dir(&place).map_err(doing())?,
                Kind::File(Content::Memory(bytes)) => fs::write(&place, bytes).map_err(doing())?,
                Kind::Symlink(target) => {
                    symlink(std::ffi::OsStr::from_bytes(target), &place).map_err(doing())?;
                }
                Kind::Character(0, 0) => {
                    let mode = rustix::fs::Mode::empty();
                    rustix::fs::mknodat(
                        rustix::fs::CWD,
                        &place,
                        rustix::fs::FileType::CharacterDevice,
                        mode,
                        0,
                    )
                    .map_err(|errno| doing()(errno.into()))?;
                    continue;
                }
                _ => continue,
            }
            lchown(&place, Some(entry.uid), Some(entry.gid)).map_err(doing())?;
            if !matches!(entry.kind, Kind::Symlink(_)) {
                fs::set_permissions(&place, fs::Permissions::from_mode(entry.mode)).map_err(doing())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_come_first_and_keep_their_owner() {
        let lower = tempfile::tempdir().unwrap();
        fs::create_dir(lower.path().join("root")).unwrap();
        fs::set_permissions(lower.path().join("root"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut tree = MemTree::new(5);
        tree.file("/root/a/b", "x", Meta::root(0o600));
        tree.file("/root.txt", "x", Meta::root(0o600));
        tree.whiteout("/gone");
        tree.adopt_directories(&[lower.path()]).unwrap();
        let entries = tree.entries();
        let names: Vec<_> = entries.iter().map(|e| String::from_utf8_lossy(&e.path).into_owned()).collect();
        assert_eq!(names, ["", "gone", "root", "root/a", "root/a/b", "root.txt"]);
        assert_eq!(entries[2].mode, 0o700);
        assert!(entries[1].is_whiteout());
    }
}
