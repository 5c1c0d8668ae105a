//! What a chain needs to know of each package, read from the package itself.

use crate::error::{Error, Result};
use landfall_debian::deb;
use landfall_debian::deb822::Paragraph;
use landfall_debian::packages::relation_names;
use landfall_hosts::lock::PackageKey;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One locked package with its file.
#[derive(Debug, Clone)]
pub struct Package {
    /// Name, architecture, version.
    pub key: PackageKey,
    /// Hex, as in the lock.
    pub sha256: String,
    /// The `.deb`, whose hash was checked.
    pub file: PathBuf,
}

/// Groups of names of which one must be there.
pub type Relations = Vec<Vec<String>>;

/// What a package says of itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The package.
    pub package: Package,
    /// `Essential: yes`.
    pub essential: bool,
    /// Must be configured before this one is unpacked.
    pub pre_depends: Relations,
    /// Must be configured before this one is.
    pub depends: Relations,
    /// Names that it answers to, its own included.
    pub provides: BTreeSet<String>,
    /// When it was made, in seconds since 1970.
    pub made: u64,
}

impl Facts {
    /// Reads a package's control file.
    pub fn read(package: &Package) -> Result<Self> {
        let text = deb::read_control(&package.file)?;
        let control = Paragraph::new(&text);
        let relations = |field: &str| -> Relations {
            relation_names(control.field(field).unwrap_or_default())
                .into_iter()
                .map(|group| group.into_iter().map(str::to_owned).collect())
                .collect()
        };
        let mut provides: BTreeSet<String> = relations("Provides").into_iter().flatten().collect();
        provides.insert(package.key.name.clone());
        Ok(Self {
            package: package.clone(),
            essential: control.field("Essential") == Some("yes"),
            pre_depends: relations("Pre-Depends"),
            depends: relations("Depends"),
            provides,
            made: made(&package.file)?,
        })
    }
}

/// The date of a `.deb`'s first member. dpkg-deb writes the changelog's date there
/// (deb(5); `SOURCE_DATE_EPOCH`), so a layer's age follows from its packages alone.
fn made(file: &Path) -> Result<u64> {
    let mut head = [0_u8; 8 + 60];
    File::open(file).and_then(|mut file| file.read_exact(&mut head)).map_err(Error::io("reading", file))?;
    let date = head.get(8 + 16..8 + 28).and_then(|field| std::str::from_utf8(field).ok());
    Ok(date.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}

/// The essential packages and all that they need, by index.
pub fn essential_closure(facts: &[Facts]) -> BTreeSet<usize> {
    let essential = (0..facts.len()).filter(|&index| facts.get(index).is_some_and(|one| one.essential));
    closure(facts, essential.collect())
}

/// `start` and all that it depends on.
pub fn closure(facts: &[Facts], start: Vec<usize>) -> BTreeSet<usize> {
    let providers = providers(facts);
    let mut found: BTreeSet<usize> = start.iter().copied().collect();
    let mut queue = start;
    while let Some(one) = queue.pop().and_then(|index| facts.get(index)) {
        for group in one.pre_depends.iter().chain(&one.depends) {
            let chosen = group.iter().find_map(|name| providers.get(name.as_str()));
            for &index in chosen.into_iter().flatten() {
                if found.insert(index) {
                    queue.push(index);
                }
            }
        }
    }
    found
}

fn providers(facts: &[Facts]) -> BTreeMap<&str, Vec<usize>> {
    let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, one) in facts.iter().enumerate() {
        for name in &one.provides {
            providers.entry(name).or_default().push(index);
        }
    }
    providers
}

/// One call of `dpkg --unpack`, and what must be configured before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Configured first: what this batch's Pre-Depends need.
    pub configure: BTreeSet<usize>,
    /// Then unpacked.
    pub unpack: BTreeSet<usize>,
}

/// Splits packages so that Pre-Depends hold (Debian policy 7.2) with as few calls as can be.
pub fn batches(facts: &[Facts], done: &BTreeSet<usize>) -> Vec<Batch> {
    let providers = providers(facts);
    let mut unpacked = done.clone();
    let mut configured = done.clone();
    let mut batches = Vec::new();
    while unpacked.len() < facts.len() {
        let left: Vec<usize> = (0..facts.len()).filter(|index| !unpacked.contains(index)).collect();
        let needs = |index: usize, have: &BTreeSet<usize>| -> Vec<usize> {
            let groups = facts.get(index).map_or(&[][..], |one| &one.pre_depends);
            let missing = groups.iter().filter_map(|group| {
                let all: Vec<usize> =
                    group.iter().filter_map(|name| providers.get(name.as_str())).flatten().copied().collect();
                // Nobody here provides it: a layer below does.
                (!all.is_empty() && !all.iter().any(|one| have.contains(one))).then(|| all[0])
            });
            missing.collect()
        };
        let ready = |have: &BTreeSet<usize>| -> BTreeSet<usize> {
            left.iter().copied().filter(|&index| needs(index, have).is_empty()).collect()
        };
        let mut batch = Batch { unpack: ready(&configured), ..Batch::default() };
        if batch.unpack.is_empty() || !batches.is_empty() {
            // What can be had by configuring packages that are unpacked already.
            let wanted: Vec<usize> = left
                .iter()
                .flat_map(|&index| needs(index, &configured))
                .filter(|one| unpacked.contains(one))
                .collect();
            batch.configure = closure(facts, wanted).difference(&configured).copied().collect();
            batch.configure.retain(|one| unpacked.contains(one));
            configured.extend(&batch.configure);
            batch.unpack =
                left.iter().copied().filter(|&index| needs(index, &configured).is_empty()).collect();
        }
        if batch.unpack.is_empty() {
            // A circle of Pre-Depends: dpkg is told to go on.
            batch.unpack = left.into_iter().collect();
        }
        unpacked.extend(&batch.unpack);
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, pre: &[&str], depends: &[&str]) -> Facts {
        let groups = |names: &[&str]| names.iter().map(|name| vec![(*name).to_owned()]).collect();
        Facts {
            package: Package {
                key: PackageKey::new(name, "amd64", "1").unwrap(),
                sha256: String::new(),
                file: PathBuf::new(),
            },
            essential: name == "base-files",
            pre_depends: groups(pre),
            depends: groups(depends),
            provides: [name.to_owned()].into(),
            made: 0,
        }
    }

    #[test]
    fn pre_depends_make_batches() {
        let all = [
            facts("app", &["helper"], &[]),
            facts("helper", &[], &["library"]),
            facts("library", &[], &[]),
            facts("top", &["app"], &[]),
            facts("other", &["in-the-layer-below"], &[]),
        ];
        let batches = batches(&all, &BTreeSet::new());
        let unpack: Vec<Vec<usize>> = batches.iter().map(|b| b.unpack.iter().copied().collect()).collect();
        let configure: Vec<Vec<usize>> =
            batches.iter().map(|b| b.configure.iter().copied().collect()).collect();
        assert_eq!(unpack, [vec![1, 2, 4], vec![0], vec![3]]);
        assert_eq!(configure, [vec![], vec![1, 2], vec![0]]);
    }

    #[test]
    fn a_circle_of_pre_depends_ends() {
        let all = [facts("aa", &["bb"], &[]), facts("bb", &["aa"], &[])];
        assert_eq!(batches(&all, &BTreeSet::new()).len(), 1);
    }

    #[test]
    fn essential_brings_what_it_needs() {
        let all = [
            facts("base-files", &["awk"], &["libc"]),
            facts("awk", &[], &[]),
            facts("libc", &[], &[]),
            facts("vim", &[], &["libc"]),
        ];
        assert_eq!(essential_closure(&all), [0, 1, 2].into());
    }
}
