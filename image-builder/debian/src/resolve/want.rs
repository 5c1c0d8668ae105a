//! What a site writes in `packages`: apt's own syntax.

use crate::archive::Archive;
use crate::base::ESSENTIAL;
use crate::error::{Error, Result};
use crate::packages::relation_names;
use crate::solver::LocalPackage;
use std::collections::BTreeSet;

/// `name`, `name:arch`, `name/suite`, `name:arch/suite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want<'a> {
    /// The package.
    pub name: &'a str,
    /// Its architecture, if it is not the native one.
    pub arch: Option<&'a str>,
    /// The suite it must come from.
    pub suite: Option<&'a str>,
}

impl<'a> Want<'a> {
    /// Reads one entry; none if a part has characters that no package, architecture or suite has.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (rest, suite) = match text.split_once('/') {
            Some((rest, suite)) => (rest, Some(suite)),
            None => (text, None),
        };
        let (name, arch) = match rest.split_once(':') {
            Some((name, arch)) => (name, Some(arch)),
            None => (rest, None),
        };
        let word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))
        };
        let fine = word(name) && arch.is_none_or(word) && suite.is_none_or(word);
        fine.then_some(Self { name, arch, suite })
    }
}

/// What apt is told for one entry.
pub(super) fn expand(text: &str, archive: &Archive) -> Result<Vec<String>> {
    if text != ESSENTIAL {
        return Ok(vec![text.to_owned()]);
    }
    let native = archive.arches.first().map_or("amd64", String::as_str);
    let usual = archive.suites.iter().filter(|suite| suite.repository.priority.is_none());
    let names: BTreeSet<String> = usual
        .flat_map(|suite| &suite.indices)
        .filter(|index| index.arch == native || index.arch == "all")
        .flat_map(|index| index.packages.iter())
        .filter(|package| package.field("Essential") == "yes")
        .map(|package| package.name().to_owned())
        .collect();
    if names.is_empty() {
        return Err(Error::parse("the archive's indices", "no package is marked Essential"));
    }
    Ok(names.into_iter().collect())
}

/// Whether some archive could satisfy an entry; else why not, with a suggestion.
pub(super) fn check(
    text: &str,
    archive: &Archive,
    singles: &[LocalPackage],
) -> std::result::Result<(), String> {
    if text == ESSENTIAL {
        return Ok(());
    }
    let want = Want::parse(text).ok_or_else(|| {
        format!("`{text}` is no package in apt's syntax (name, name:architecture, name/suite)")
    })?;
    let native = archive.arches.first().map_or("amd64", String::as_str);
    let arch = want.arch.unwrap_or(native);
    if !archive.arches.iter().any(|known| known == arch) {
        return Err(format!(
            "`{text}`: the architecture {arch} is not one that Debian has packages for here"
        ));
    }
    if let Some(suite) = want.suite {
        let mut suites = archive.suites.iter();
        if !suites.any(|known| known.repository.suite == suite || known.release.is_called(suite)) {
            return Err(format!(
                "`{text}`: the site has no suite {suite}; add it to extra_suites in site.toml"
            ));
        }
        let here = archive.candidates(want.name, arch);
        let mut here = here
            .filter(|found| found.suite.repository.suite == suite || found.suite.release.is_called(suite));
        if here.next().is_none() {
            return Err(format!("`{text}`: the suite {suite} has no package {}", want.name));
        }
        return Ok(());
    }
    let local =
        want.name == crate::initramfs::NAME || singles.iter().any(|single| single.is_named(want.name));
    if local || archive.candidates(want.name, arch).next().is_some() || is_provided(archive, want.name) {
        return Ok(());
    }
    let hint = match nearest(archive, want.name) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; a component or a repository ([apt.NAME]) may be missing".to_owned(),
    };
    Err(format!("no archive of the site has a package `{}` for {arch}{hint}", want.name))
}

fn is_provided(archive: &Archive, name: &str) -> bool {
    archive.suites.iter().flat_map(|suite| &suite.indices).flat_map(|index| index.packages.iter()).any(
        |package| {
            let provides = package.field("Provides");
            provides.contains(name) && relation_names(provides).into_iter().flatten().any(|one| one == name)
        },
    )
}

/// The most similar name, if one is near enough to be a slip of the finger.
fn nearest(archive: &Archive, name: &str) -> Option<String> {
    let far = name.len() / 3 + 1;
    archive
        .suites
        .iter()
        .flat_map(|suite| &suite.indices)
        .flat_map(|index| index.packages.iter())
        .map(|package| package.name())
        .filter(|other| other.len().abs_diff(name.len()) <= far)
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= far.min(3))
        .min()
        .map(|(_, other)| other.to_owned())
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<u8> = right.bytes().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, a) in left.bytes().enumerate() {
        let mut corner = at;
        let mut before = at + 1;
        let mut next = vec![before];
        for (b, above) in right.iter().zip(row.iter().skip(1)) {
            let cost = (corner + usize::from(a != *b)).min(above + 1).min(before + 1);
            corner = *above;
            before = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Want, distance};

    #[test]
    fn apts_syntax_is_read() {
        let want = Want::parse("libasound2-plugins:i386").expect("a want");
        assert_eq!((want.name, want.arch, want.suite), ("libasound2-plugins", Some("i386"), None));
        let want = Want::parse("hyprland/trixie-backports").expect("a want");
        assert_eq!((want.name, want.arch, want.suite), ("hyprland", None, Some("trixie-backports")));
        assert!(Want::parse("g++").is_some());
        for text in ["", "-o", "--x", "a b", "a;b", "a/", "a:", "?x", "~n.*", "a=1", "../a", "a*"] {
            assert!(Want::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(distance("neovim", "neovim"), 0);
        assert_eq!(distance("noevim", "neovim"), 2);
        assert_eq!(distance("", "git"), 3);
        assert_eq!(distance("gitt", "git"), 1);
    }
}
