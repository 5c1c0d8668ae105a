//! Comparing trees file by file: two builds of one chain, or a chain and another tool's root.

use crate::error::{Error, Result};
use crate::tree::{Content, Entry, Kind, OPAQUE, walk};
use landfall_debian::hash;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Entries by path, as a machine sees them.
pub type Flat = BTreeMap<Vec<u8>, Entry>;

/// What differs at one path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Relative to the root.
    pub path: String,
    /// `only left`, `owner 0:0 against 0:42` …
    pub what: String,
}

/// What trees, the topmost first, come to under an overlay: whiteouts and opaque directories
/// have done their work and are gone.
pub fn flatten(trees: &[PathBuf]) -> Result<Flat> {
    let mut flat = Flat::new();
    for tree in trees.iter().rev() {
        let entries = walk(tree, u64::MAX)?;
        for mut entry in entries {
            let opaque = entry.xattrs.remove(OPAQUE).is_some();
            let replaced = flat
                .get(&entry.path)
                .is_some_and(|old| (old.kind == Kind::Directory) != (entry.kind == Kind::Directory));
            if opaque || replaced || entry.is_whiteout() {
                remove_below(&mut flat, &entry.path);
            }
            if entry.is_whiteout() {
                flat.remove(&entry.path);
            } else {
                flat.insert(entry.path.clone(), entry);
            }
        }
    }
    Ok(flat)
}

fn remove_below(flat: &mut Flat, path: &[u8]) {
    let prefix = [path, b"/"].concat();
    flat.retain(|other, _| !other.starts_with(&prefix));
}

/// Every difference in owner, mode, attributes, kind and content. Dates are not compared: they
/// are clamped. Which of a file's names is the first does not matter either.
pub fn compare(left: &Flat, right: &Flat) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for (path, entry) in left {
        match right.get(path) {
            None => found.push(difference(path, "only left".to_owned())),
            Some(other) => {
                for what in differences((left, entry), (right, other))? {
                    found.push(difference(path, what));
                }
            }
        }
    }
    let only_right = right.keys().filter(|path| !left.contains_key(*path));
    found.extend(only_right.map(|path| difference(path, "only right".to_owned())));
    found.sort();
    Ok(found)
}

fn difference(path: &[u8], what: String) -> Difference {
    Difference { path: String::from_utf8_lossy(path).into_owned(), what }
}

/// The entry that a hard link is another name of.
fn target<'a>(flat: &'a Flat, entry: &'a Entry) -> &'a Entry {
    match &entry.kind {
        Kind::HardLink(first) => flat.get(first).unwrap_or(entry),
        _ => entry,
    }
}

fn differences((left, one): (&Flat, &Entry), (right, other): (&Flat, &Entry)) -> Result<Vec<String>> {
    let (one, other) = (target(left, one), target(right, other));
    let mut found = Vec::new();
    if (one.uid, one.gid) != (other.uid, other.gid) {
        found.push(format!("owner {}:{} against {}:{}", one.uid, one.gid, other.uid, other.gid));
    }
    if one.mode != other.mode && !matches!(one.kind, Kind::Symlink(_)) {
        found.push(format!("mode {:04o} against {:04o}", one.mode, other.mode));
    }
    if one.xattrs != other.xattrs {
        let names = |entry: &Entry| {
            entry.xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
        };
        found.push(format!("attributes {:?} against {:?}", names(one), names(other)));
    }
    match (&one.kind, &other.kind) {
        (Kind::File(one), Kind::File(other)) => {
            if one.size() != other.size() || content_hash(one)? != content_hash(other)? {
                found.push(format!("content of {} bytes against {}", one.size(), other.size()));
            }
        }
        (one, other) if one == other => {}
        (one, other) => found.push(format!("{} against {}", words(one), words(other))),
    }
    Ok(found)
}

fn words(kind: &Kind) -> String {
    match kind {
        Kind::Symlink(target) => format!("a link to {}", String::from_utf8_lossy(target)),
        Kind::File(content) => format!("a file of {} bytes", content.size()),
        other => format!("{other:?}"),
    }
}

fn content_hash(content: &Content) -> Result<String> {
    Ok(match content {
        Content::Memory(bytes) => hash::sha256(bytes),
        Content::Disk(path, _) => hash::sha256_file(path).map_err(Error::from)?,
    })
}

/// A difference that is meant, and why.
#[derive(Debug)]
pub struct Accepted {
    /// A path, or a folder with all that is in it if it ends in `/`. `*` matches within a name.
    pub path: &'static str,
    /// Why it is right that they differ.
    pub reason: &'static str,
}

/// Differences that no line of `accepted` covers.
pub fn unexplained(found: Vec<Difference>, accepted: &[Accepted]) -> Vec<Difference> {
    let covers = |accepted: &Accepted, path: &str| match accepted.path.strip_suffix('/') {
        Some(folder) => path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => crate::scrub::glob(accepted.path, path),
    };
    found.into_iter().filter(|one| !accepted.iter().any(|accepted| covers(accepted, &one.path))).collect()
}

/// The differences between two trees on disk, for a test that builds twice.
pub fn compare_trees(left: &Path, right: &Path) -> Result<Vec<Difference>> {
    compare(&flatten(&[left.to_owned()])?, &flatten(&[right.to_owned()])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn differences_are_named_and_explained() {
        let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [&left, &right] {
            fs::create_dir(root.path().join("var")).unwrap();
            fs::write(root.path().join("same"), "x").unwrap();
        }
        fs::write(left.path().join("changed"), "1").unwrap();
        fs::write(right.path().join("changed"), "2").unwrap();
        fs::write(left.path().join("var/log"), "").unwrap();
        fs::write(right.path().join("more"), "").unwrap();
        let found = compare_trees(left.path(), right.path()).unwrap();
        let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["changed", "more", "var/log"]);
        let accepted = [Accepted { path: "var/", reason: "logs" }, Accepted { path: "mo*", reason: "x" }];
        assert_eq!(unexplained(found, &accepted).len(), 1);
    }
}
