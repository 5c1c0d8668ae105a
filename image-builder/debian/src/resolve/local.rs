//! Packages that no archive has any more, or never had, as apt sees them.

use crate::archive::Archive;
use crate::cache::Cache;
use crate::deb;
use crate::deb822::Paragraph;
use crate::error::{Error, Result};
use crate::packages::{Package, newest};
use crate::solver::{LocalPackage, RECOMMENDS_PREFIX, RECOMMENDS_SECTION};
use crate::store::BUILT_IN;
use crate::{hash, initramfs};
use landfall_hosts::lock::{Lock, LockedPackage, PackageKey};
use std::path::Path;

impl LocalPackage {
    pub(super) fn is(&self, key: &PackageKey) -> bool {
        self.locked.as_ref().is_some_and(|(own, _)| own == key)
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.locked.as_ref().is_some_and(|(own, _)| own.name == name)
    }

    /// A single `.deb` that is in the cache.
    ///
    /// # Errors
    /// If it is no package.
    pub fn from_deb(file: &Path, origin: &str, path: &str, sha256: &str) -> Result<Self> {
        let control = deb::read_control(file)?;
        let key = Package::new(Paragraph::new(&control)).key()?;
        let size = std::fs::metadata(file).map_err(Error::io("reading", file))?.len();
        let package = LockedPackage {
            origin: origin.to_owned(),
            path: path.to_owned(),
            size,
            sha256: sha256.to_owned(),
        };
        Ok(Self { control, locked: Some((key, package)) })
    }
}

/// The package that this program brings.
pub(super) fn built_in() -> Result<LocalPackage> {
    let bytes = initramfs::deb();
    let key = PackageKey::new(initramfs::NAME, "all", initramfs::VERSION)?;
    let package = LockedPackage {
        origin: BUILT_IN.to_owned(),
        path: format!("{}_{}_all.deb", initramfs::NAME, initramfs::VERSION),
        size: bytes.len() as u64,
        sha256: hash::sha256(&bytes),
    };
    Ok(LocalPackage { control: initramfs::control().to_owned(), locked: Some((key, package)) })
}

/// A package that stands for "this one, with its Recommends": it depends on the package, and
/// repeats its Recommends in the one section from which apt installs them.
pub(super) fn recommends_of(name: &str, archive: &Archive) -> Result<LocalPackage> {
    let native = archive.arches.first().map_or("amd64", String::as_str);
    let candidates = archive.candidates(name, native).map(|found| found.package);
    let package = newest(candidates)
        .ok_or_else(|| Error::parse("recommends_of", format!("no archive has a package `{name}`")))?;
    let recommends = package.field("Recommends").replace('\n', " ");
    let mut control = format!(
        "Package: {RECOMMENDS_PREFIX}{name}\nVersion: 1\nArchitecture: all\nMaintainer: landfall\n\
         Section: {RECOMMENDS_SECTION}\nDescription: {name} with its Recommends\nDepends: {name}\n"
    );
    if !recommends.is_empty() {
        control.push_str(&format!("Recommends: {recommends}\n"));
    }
    // apt passes over a package without a file.
    control.push_str(&format!("Filename: none.deb\nSize: 1\nSHA256: {}\n", "0".repeat(64)));
    Ok(LocalPackage { control, locked: None })
}

/// A locked package whose file the cache still has, though the mirror dropped it.
pub(super) fn from_cache(lock: &Lock, key: &PackageKey, cache: &Cache) -> Result<LocalPackage> {
    let gone = || gone(std::slice::from_ref(key));
    let locked = lock.packages.get(key).ok_or_else(gone)?;
    let file = cache.deb(&locked.sha256);
    if !file.exists() {
        return Err(gone());
    }
    Ok(LocalPackage { control: deb::read_control(&file)?, locked: Some((key.clone(), locked.clone())) })
}

/// Locked versions that no mirror and no cache has.
pub(super) fn gone(keys: &[PackageKey]) -> Error {
    let list =
        |show: fn(&PackageKey) -> String, between| keys.iter().map(show).collect::<Vec<_>>().join(between);
    Error::Unsolvable {
        layer: "the locked layers".into(),
        reason: format!(
            "no archive has {} any more, nor has the cache; run `landfall lock --update {}`",
            list(ToString::to_string, ", "),
            list(|key| key.name.clone(), " ")
        ),
    }
}

/// dpkg's status of what the layers below have (Debian policy, appendix on `Status`:
/// `install ok installed`).
pub(super) fn status(
    lock: &Lock,
    installed: &[PackageKey],
    archive: &Archive,
    cache: &Cache,
) -> Result<String> {
    let mut status = String::new();
    for key in installed {
        let control = match archive.exact(key) {
            Some(found) => found.package.paragraph().text().to_owned(),
            None if key.name == initramfs::NAME => initramfs::control().to_owned(),
            None => from_cache(lock, key, cache)?.control,
        };
        status.push_str("Status: install ok installed\n");
        status.push_str(control.trim_end());
        status.push_str("\n\n");
    }
    Ok(status)
}
