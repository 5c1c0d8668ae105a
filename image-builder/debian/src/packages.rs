//! A Packages index in memory: the file's text, and where each package stands in it.

use crate::deb822::{Paragraph, paragraphs};
use crate::error::{Error, Result};
use crate::hash::is_sha256;
use crate::release::is_below;
use crate::version;
use landfall_hosts::lock::PackageKey;
use std::ops::Range;

/// The packages of one component and architecture.
#[derive(Debug, Default)]
pub struct Packages {
    text: String,
    /// Sorted by name.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: Range<usize>,
    paragraph: Range<usize>,
}

/// One package of an index.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    paragraph: Paragraph<'a>,
}

/// Where a package's file is and what its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooled {
    /// Below the archive's base URI.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
}

impl Packages {
    /// Finds the packages of an index; paragraphs without a name are passed over, as apt does.
    #[must_use]
    pub fn parse(text: String) -> Self {
        let mut entries = Vec::new();
        for (start, paragraph) in paragraphs(&text) {
            let Some(name) = paragraph.field("Package") else { continue };
            // `name` is a part of `text`, so its place follows from the addresses.
            let at = name.as_ptr() as usize - text.as_ptr() as usize;
            entries
                .push(Entry { name: at..at + name.len(), paragraph: start..start + paragraph.text().len() });
        }
        let name = |entry: &Entry| text.get(entry.name.clone()).unwrap_or_default();
        entries.sort_by(|left, right| name(left).cmp(name(right)));
        Self { text, entries }
    }

    /// The whole file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every package, by name.
    pub fn iter(&self) -> impl Iterator<Item = Package<'_>> {
        self.entries.iter().map(|entry| self.package(entry))
    }

    /// The packages of this name: several versions, where the archive keeps them.
    pub fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = Package<'a>> + use<'a> {
        let start = self.entries.partition_point(|entry| self.name(entry) < name);
        let name = name.to_owned();
        self.entries
            .iter()
            .skip(start)
            .take_while(move |entry| self.name(entry) == name)
            .map(|entry| self.package(entry))
    }

    fn name(&self, entry: &Entry) -> &str {
        self.text.get(entry.name.clone()).unwrap_or_default()
    }

    fn package(&self, entry: &Entry) -> Package<'_> {
        Package { paragraph: Paragraph::new(self.text.get(entry.paragraph.clone()).unwrap_or_default()) }
    }
}

impl<'a> Package<'a> {
    /// A package from a paragraph of its own (a control file).
    #[must_use]
    pub fn new(paragraph: Paragraph<'a>) -> Self {
        Self { paragraph }
    }

    /// The paragraph.
    #[must_use]
    pub fn paragraph(&self) -> Paragraph<'a> {
        self.paragraph
    }

    /// A field, empty if it is missing.
    #[must_use]
    pub fn field(&self, name: &str) -> &'a str {
        self.paragraph.field(name).unwrap_or_default()
    }

    /// `Package`.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.field("Package")
    }

    /// `Version`.
    #[must_use]
    pub fn version(&self) -> &'a str {
        self.field("Version")
    }

    /// `Architecture`.
    #[must_use]
    pub fn arch(&self) -> &'a str {
        self.field("Architecture")
    }

    /// Its key in the lock.
    ///
    /// # Errors
    /// If Debian does not allow such a name, architecture or version.
    pub fn key(&self) -> Result<PackageKey> {
        Ok(PackageKey::new(self.name(), self.arch(), self.version())?)
    }

    /// Where its file is.
    ///
    /// # Errors
    /// If the index does not say, or names a path outside the archive.
    pub fn pooled(&self) -> Result<Pooled> {
        let wrong = |what: &str| {
            Error::parse(
                format!("the index entry of {}", self.name()),
                format!("its {what} is missing or wrong"),
            )
        };
        // Flat repositories write `./name.deb`.
        let path = self.field("Filename").trim_start_matches("./");
        if path.is_empty() || !is_below(path) {
            return Err(wrong("Filename"));
        }
        let sha256 = self.field("SHA256");
        if !is_sha256(sha256) {
            return Err(wrong("SHA256"));
        }
        Ok(Pooled {
            path: path.to_owned(),
            size: self.field("Size").parse().map_err(|_| wrong("Size"))?,
            sha256: sha256.to_owned(),
        })
    }
}

/// The highest version among candidates.
pub fn newest<'a>(candidates: impl Iterator<Item = Package<'a>>) -> Option<Package<'a>> {
    candidates.max_by(|left, right| version::compare(left.version(), right.version()))
}

/// Names in a relation field, group by group: `a (>= 1) | b:any [amd64], c` → `[[a, b], [c]]`
/// (Debian policy 7.1). Versions are dropped: in a stable suite the newest of all suits all.
#[must_use]
pub fn relation_names(field: &str) -> Vec<Vec<&str>> {
    field
        .split(',')
        .map(|group| {
            group
                .split('|')
                .filter_map(|one| one.trim().split([' ', '(', '[', '<', ':', '\n', '\t']).next())
                .filter(|name| !name.is_empty())
                .collect::<Vec<_>>()
        })
        .filter(|group| !group.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Packages, newest, relation_names};

    const TEXT: &str = "Package: bb\nVersion: 1.9\nArchitecture: amd64\n\n\
        Package: aa\nVersion: 1\nArchitecture: all\nFilename: ./a.deb\nSize: 3\nSHA256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\n\
        Version: nameless\n\n\
        Package: bb\nVersion: 1.10\nArchitecture: amd64\nFilename: ../b.deb\n";

    #[test]
    fn packages_are_found_by_name() {
        let packages = Packages::parse(TEXT.to_owned());
        assert_eq!(packages.iter().count(), 3);
        assert_eq!(newest(packages.named("bb")).expect("bb").version(), "1.10");
        assert!(newest(packages.named("cc")).is_none());
        let a = newest(packages.named("aa")).expect("a");
        assert_eq!(a.key().expect("key").to_string(), "aa:all=1");
        assert_eq!(a.pooled().expect("pooled").path, "a.deb");
    }

    #[test]
    fn a_path_outside_the_archive_is_refused() {
        let packages = Packages::parse(TEXT.to_owned());
        assert!(newest(packages.named("bb")).expect("bb").pooled().is_err());
    }

    #[test]
    fn relations_come_apart() {
        assert_eq!(
            relation_names("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0,\n perl:any, , x [i386]"),
            vec![vec!["libc6"], vec!["debconf", "debconf-2.0"], vec!["perl"], vec!["x"]]
        );
        assert!(relation_names("").is_empty());
    }
}
