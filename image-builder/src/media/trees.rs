//! A merged, read-only view of a chain of unpacked layers, without mounting anything.
//!
//! The upper-most tree that has a path wins; a whiteout (character device 0/0) hides it in the
//! trees below, an opaque directory hides all below it
//! (Linux, Documentation/filesystems/overlayfs.rst).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::error::{MediaError, Result};

/// Links that are followed before a path counts as a loop, as in the kernel.
const MAX_LINKS: usize = 40;
/// How overlayfs marks an opaque directory, with and without privileges.
const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// A chain of unpacked trees, the upper-most first.
#[derive(Clone, Debug)]
pub struct Trees {
    trees: Vec<PathBuf>,
}

impl Trees {
    /// A view of `trees`, the upper-most first.
    pub fn new(trees: Vec<PathBuf>) -> Self {
        Self { trees }
    }

    /// The file of the computer that is `path` in the view, all links followed inside the view.
    pub fn find(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        self.resolve(path.as_ref(), 0).map(|(_, host)| host)
    }

    /// The first of `paths` that exists.
    pub fn find_any<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Option<PathBuf> {
        paths.into_iter().find_map(|path| self.find(path))
    }

    /// Names in the directory `path` and their files, merged over all trees, in order of names.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<BTreeMap<OsString, PathBuf>> {
        let mut names = BTreeMap::new();
        let Some((inside, _)) = self.resolve(path.as_ref(), 0) else {
            return Ok(names);
        };
        let mut hidden = std::collections::BTreeSet::new();
        for tree in &self.trees {
            let dir = tree.join(&inside);
            match self.here(tree, &inside) {
                Here::Nothing => continue,
                Here::Hidden => break,
                Here::File(meta) if !meta.is_dir() => break,
                Here::File(_) => {}
            }
            let reading = || MediaError::file("listing", &dir);
            for entry in std::fs::read_dir(&dir).map_err(reading())? {
                let entry = entry.map_err(reading())?;
                let meta = entry.metadata().map_err(reading())?;
                if is_whiteout(&meta) {
                    hidden.insert(entry.file_name());
                } else if !hidden.contains(&entry.file_name()) {
                    names.entry(entry.file_name()).or_insert(entry.path());
                }
            }
            if is_opaque(&dir) {
                break;
            }
        }
        Ok(names)
    }

    /// Follows `path` from the view's root; returns it without links, and the file.
    fn resolve(&self, path: &Path, links: usize) -> Option<(PathBuf, PathBuf)> {
        if links > MAX_LINKS {
            return None;
        }
        let mut inside = PathBuf::new();
        let mut parts = path.components();
        while let Some(part) = parts.next() {
            match part {
                Component::Normal(name) => inside.push(name),
                Component::ParentDir => {
                    inside.pop();
                    continue;
                }
                _ => continue,
            }
            let host = self.lookup(&inside)?;
            let meta = host.symlink_metadata().ok()?;
            if meta.file_type().is_symlink() {
                let target = std::fs::read_link(&host).ok()?;
                let base = inside.parent().unwrap_or(Path::new("")).to_owned();
                let next = match target.strip_prefix("/") {
                    Ok(absolute) => absolute.to_owned(),
                    Err(_) => base.join(target),
                };
                return self.resolve(&next.join(parts.as_path()), links + 1);
            }
        }
        let host = self.lookup(&inside)?;
        Some((inside, host))
    }

    /// The upper-most file at a path whose folders are no links.
    fn lookup(&self, inside: &Path) -> Option<PathBuf> {
        for tree in &self.trees {
            match self.here(tree, inside) {
                Here::Nothing => continue,
                Here::Hidden => return None,
                Here::File(_) => return Some(tree.join(inside)),
            }
        }
        None
    }

    /// What one tree says of a path: not there, there, or "and not below either".
    fn here(&self, tree: &Path, inside: &Path) -> Here {
        let mut at = tree.to_owned();
        let mut opaque = false;
        let whole = tree.join(inside);
        for part in inside.components() {
            at.push(part);
            match at.symlink_metadata() {
                Ok(meta) if is_whiteout(&meta) => return Here::Hidden,
                Ok(meta) if at == whole => return Here::File(meta),
                Ok(meta) if meta.is_dir() => opaque = opaque || is_opaque(&at),
                // A folder of the trees below is a file or a link here: nothing of it shows.
                Ok(_) => return Here::Hidden,
                Err(_) if opaque => return Here::Hidden,
                Err(_) => return Here::Nothing,
            }
        }
        match at.symlink_metadata() {
            Ok(meta) => Here::File(meta),
            Err(_) => Here::Nothing,
        }
    }
}

enum Here {
    Nothing,
    Hidden,
    File(Metadata),
}

fn is_whiteout(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn is_opaque(dir: &Path) -> bool {
    let mut value = [0u8; 4];
    OPAQUE.iter().any(|name| {
        rustix::fs::lgetxattr(dir, *name, &mut value[..]).is_ok_and(|len| value.get(..len) == Some(b"y"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(trees: &Trees, path: &str) -> Option<String> {
        trees.find(path).map(|p| std::fs::read_to_string(p).unwrap())
    }

    #[test]
    fn the_upper_most_tree_wins_and_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let (top, base) = (dir.path().join("top"), dir.path().join("base"));
        put(&base, "usr/lib/a", "base a");
        put(&base, "usr/lib/b", "base b");
        put(&top, "usr/lib/a", "top a");
        symlink("usr/lib", base.join("lib")).unwrap();
        symlink("/usr/lib/b", base.join("usr/absolute")).unwrap();
        symlink("../../../../usr/lib/a", base.join("usr/up")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        let trees = Trees::new(vec![top.clone(), base]);
        assert_eq!(read(&trees, "lib/a").as_deref(), Some("top a"));
        assert_eq!(read(&trees, "/lib/b").as_deref(), Some("base b"));
        assert_eq!(read(&trees, "usr/absolute").as_deref(), Some("base b"));
        assert_eq!(read(&trees, "usr/up").as_deref(), Some("top a"));
        assert_eq!(read(&trees, "loop"), None);
        assert_eq!(read(&trees, "usr/lib/c"), None);
        let names = trees.list("lib").unwrap();
        assert_eq!(names.len(), 2);
        assert!(names[&OsString::from("a")].starts_with(top));
    }
}
