//! Packages that no archive of the site has. The lock and the cached indices that it names know
//! them; the network is never asked, so without those nothing is said.

use landfall_debian::cache::Cache;
use landfall_hosts::lock::{FILE_NAME, Lock};
use landfall_hosts::site::problem::suggest;
use landfall_hosts::site::{Location, Problem, Site};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Errors for packages that the site's archives do not have.
pub(super) fn unknown_packages(site: &Site, dir: &Path, cache: &Cache) -> Vec<Problem> {
    let lock = std::fs::read_to_string(dir.join(FILE_NAME)).ok().and_then(|text| Lock::parse(&text).ok());
    let Some(lock) = lock else { return Vec::new() };
    let locked: BTreeSet<&str> = lock.packages.keys().map(|key| key.name.as_str()).collect();
    let mut asked: BTreeMap<String, Location> = site.packages();
    asked.retain(|name, _| !locked.contains(name.as_str()));
    // What is locked exists; the indices are large, and read for a new name alone.
    if asked.is_empty() {
        return Vec::new();
    }
    let known = if knows_every_archive(&lock, site) { names(&lock, &cache.indices()) } else { None };
    let Some(known) = known else { return Vec::new() };
    asked
        .into_iter()
        .filter(|(name, _)| !known.contains(name))
        .map(|(name, at)| {
            let remedy = match suggest(&name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "the site's archives do not have it: name another, or its [apt.NAME]".into(),
            };
            Problem::error(at, format!("there is no package \"{name}\""), remedy)
        })
        .collect()
}

/// The lock was made with every repository that the site has now: a new one may have the package.
fn knows_every_archive(lock: &Lock, site: &Site) -> bool {
    let hosts = site.hosts().into_iter().filter_map(|name| site.variants(name).ok()).flatten();
    let has = |prefix: String| lock.suites.keys().any(|key| key.starts_with(&prefix));
    hosts.into_iter().all(|resolved| {
        let sources = &resolved.host.sources;
        let suites = sources.extra_suites.iter().chain([&sources.suite]);
        sources.apt.keys().all(|name| has(format!("{name}/")))
            && suites.into_iter().all(|suite| lock.suites.contains_key(&format!("debian/{suite}")))
    })
}

/// Names of every package in the indices of the lock's suites; none unless all are cached.
fn names(lock: &Lock, indices: &Path) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    if lock.suites.is_empty() {
        return None;
    }
    let releases = releases(indices);
    for suite in lock.suites.values() {
        let release = releases.get(&suite.inrelease)?;
        let mut found = false;
        for word in String::from_utf8_lossy(release).split_whitespace().filter(|word| is_sha256(word)) {
            let Ok(text) = std::fs::read(indices.join(format!("{word}.Packages"))) else { continue };
            found = true;
            for line in String::from_utf8_lossy(&text).lines() {
                add(line, &mut names);
            }
        }
        if !found {
            return None;
        }
    }
    Some(names)
}

/// Every cached InRelease by the hash of its bytes, which is how the lock names it.
fn releases(indices: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(indices).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "InRelease"))
        .filter_map(|path| std::fs::read(path).ok())
        .map(|bytes| (hex(&Sha256::digest(&bytes)), bytes))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_sha256(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// deb822 `Package:` and `Provides:`; apt installs a virtual package that one package provides.
fn add(line: &str, names: &mut BTreeSet<String>) {
    if let Some(name) = line.strip_prefix("Package: ") {
        names.insert(name.trim().to_owned());
    } else if let Some(provides) = line.strip_prefix("Provides: ") {
        let provided = provides.split(',').filter_map(|item| item.split_whitespace().next());
        names.extend(provided.map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_what_they_provide_are_known() {
        let mut names = BTreeSet::new();
        for line in ["Package: exim4", "Provides: mail-transport-agent (= 1), x", "Depends: y"] {
            add(line, &mut names);
        }
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["exim4", "mail-transport-agent", "x"]);
    }
}
