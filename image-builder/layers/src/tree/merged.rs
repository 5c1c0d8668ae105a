//! Looking into several trees as the machine's overlay will show them.

use super::{OPAQUE, walk};
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Trees, topmost first, seen as one.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    trees: Vec<PathBuf>,
}

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

impl Merged {
    /// Trees, topmost first.
    pub fn new(trees: Vec<PathBuf>) -> Self {
        Self { trees }
    }

    /// The trees.
    pub fn trees(&self) -> &[PathBuf] {
        &self.trees
    }

    /// What stands at `path`, links in its last part not followed.
    pub fn find(&self, path: &str) -> Option<(PathBuf, Metadata)> {
        let parts = self.resolve(path, false)?;
        self.stands(&parts)
    }

    /// Whether something stands at `path`.
    pub fn exists(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The bytes of the file at `path`, through links.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let (place, metadata) = self.stands(&self.resolve(path, true)?)?;
        if metadata.is_file() { fs::read(place).ok() } else { None }
    }

    /// The text of the file at `path`; empty if there is none.
    pub fn text(&self, path: &str) -> String {
        self.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The target of the symbolic link at `path`.
    pub fn link(&self, path: &str) -> Option<String> {
        let (place, metadata) = self.find(path)?;
        if !metadata.is_symlink() {
            return None;
        }
        fs::read_link(place).ok()?.into_os_string().into_string().ok()
    }

    /// Names in the directory at `path`, sorted.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Some(parts) = self.resolve(path, true) else { return Vec::new() };
        let mut names = BTreeSet::new();
        for tree in &self.trees {
            let place = tree.join(&parts);
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                if let Ok(name) = entry.file_name().into_string() {
                    names.insert(name);
                }
            }
        }
        let shown = |name: &String| self.stands(&parts.join(name)).is_some();
        names.into_iter().filter(shown).collect()
    }

    /// A path without links in it (but for its last part, if that is not to be followed).
    fn resolve(&self, path: &str, last: bool) -> Option<PathBuf> {
        let mut left: Vec<std::ffi::OsString> = parts(Path::new(path));
        left.reverse();
        let mut done = PathBuf::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let here = done.join(&part);
            let link = match self.stands(&here) {
                Some((place, metadata)) if metadata.is_symlink() && (last || !left.is_empty()) => {
                    fs::read_link(place).ok()
                }
                _ => None,
            };
            let Some(target) = link else {
                done = here;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            if target.is_absolute() {
                done = PathBuf::new();
            }
            left.extend(parts(&target).into_iter().rev());
        }
        Some(done)
    }

    /// The topmost tree's entry, unless a whiteout or an opaque directory above hides it.
    fn stands(&self, path: &Path) -> Option<(PathBuf, Metadata)> {
        for tree in &self.trees {
            let mut place = tree.clone();
            let mut opaque = false;
            let mut found = fs::symlink_metadata(&place).ok();
            for part in path.components() {
                place.push(part);
                found = fs::symlink_metadata(&place).ok();
                match &found {
                    Some(metadata) if is_whiteout(metadata) => return None,
                    Some(metadata) if metadata.is_dir() => opaque |= is_opaque(&place),
                    Some(_) => {}
                    None => break,
                }
            }
            if let Some(metadata) = found {
                return Some((place, metadata));
            }
            if opaque {
                return None;
            }
        }
        None
    }
}

fn parts(path: &Path) -> Vec<std::ffi::OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn is_opaque(place: &Path) -> bool {
    walk::xattrs(place).is_ok_and(|xattrs| xattrs.get(OPAQUE).is_some_and(|value| value == b"y"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_topmost_tree_wins_and_links_stay_inside() {
        let (top, bottom) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (root, file, text) in
            [(&top, "usr/lib/a", "top"), (&bottom, "usr/lib/a", "bottom"), (&bottom, "usr/lib/b", "b")]
        {
            let place = root.path().join(file);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        symlink("/usr/lib", bottom.path().join("lib")).unwrap();
        symlink("../../../../etc/passwd", bottom.path().join("usr/lib/out")).unwrap();
        symlink("loop", bottom.path().join("loop")).unwrap();
        let merged = Merged::new(vec![top.path().into(), bottom.path().into()]);
        assert_eq!(merged.text("/lib/a"), "top");
        assert_eq!(merged.text("/lib/b"), "b");
        assert_eq!(merged.list("/lib"), ["a", "b", "out"]);
        assert_eq!(merged.read("/lib/out"), None);
        assert_eq!(merged.read("/loop"), None);
        assert_eq!(merged.link("/lib").as_deref(), Some("/usr/lib"));
    }

    #[test]
    fn whiteouts_and_opaque_directories_hide() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: whiteouts need root");
            return;
        }
        let (top, bottom) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["gone", "dir/inside"] {
            let place = bottom.path().join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, "x").unwrap();
        }
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, top.path().join("gone"), kind, rustix::fs::Mode::empty(), 0)
            .unwrap();
        fs::create_dir(top.path().join("dir")).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(top.path().join("dir"), "user.overlay.opaque", b"y", flags).is_err() {
            eprintln!("SKIPPED: no extended attributes here");
            return;
        }
        let merged = Merged::new(vec![top.path().into(), bottom.path().into()]);
        assert!(!merged.exists("gone") && !merged.exists("dir/inside") && merged.exists("dir"));
        assert_eq!(merged.list("/"), ["dir"]);
    }
}
