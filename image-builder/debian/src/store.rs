//! From the lock to files: where each origin's packages are, and having them in the cache.

use crate::archive::Found;
use crate::cache::{Cache, replace_file};
use crate::error::{Error, Result};
use crate::fetch::{Download, Fetcher, Kept, lacking};
use crate::initramfs;
use landfall_hosts::event::Progress;
use landfall_hosts::lock::{Lock, LockedPackage, PackageKey};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Origin of Debian's archive in the lock.
pub const DEBIAN: &str = "debian";
/// Origin of Debian's security archive.
pub const SECURITY: &str = "security";
/// Origin of single `.deb`s (`[debs.NAME]`).
pub const SINGLE: &str = "deb";
/// Origin of the package that this program brings itself.
pub const BUILT_IN: &str = "landfall";

/// Where origins are today: base URIs by the lock's names, and URLs of single packages.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Origin → base URI.
    pub bases: BTreeMap<String, String>,
    /// Name in `[debs]` → URL.
    pub singles: BTreeMap<String, String>,
}

/// Packages in the cache.
pub struct Store<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// How files come.
    pub fetcher: &'a Fetcher,
    /// Where they come from; asked only when something must be fetched.
    pub origins: &'a dyn Fn() -> Result<Origins>,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

/// What the lock says of a package that an archive has.
pub(crate) fn locked(found: &Found<'_>) -> Result<LockedPackage> {
    let pooled = found.pooled()?;
    Ok(LockedPackage {
        origin: found.suite.repository.origin.clone(),
        path: pooled.path,
        size: pooled.size,
        sha256: pooled.sha256,
    })
}

impl Store<'_> {
    /// The files of these packages, every one checked against the lock; fetched where the cache
    /// lacks them. `what` names them to whoever watches.
    ///
    /// # Errors
    /// If one cannot be had; a package that the mirror dropped names the remedy.
    pub fn provide<'k>(
        &self,
        what: &str,
        lock: &Lock,
        keys: impl Iterator<Item = &'k PackageKey>,
    ) -> Result<BTreeMap<PackageKey, PathBuf>> {
        let mut files = BTreeMap::new();
        let mut kept = Vec::new();
        for key in keys {
            let package = lock
                .packages
                .get(key)
                .ok_or_else(|| Error::parse("the lock", format!("it does not describe {key}")))?;
            let path = self.cache.deb(&package.sha256);
            files.insert(key.clone(), path.clone());
            if package.origin == BUILT_IN {
                self.built_in(key, package)?;
            } else {
                kept.push(Kept { path, size: package.size, sha256: package.sha256.clone() });
            }
        }
        let lacking = lacking(&kept, self.progress)?;
        if lacking.is_empty() {
            return Ok(files);
        }
        let origins = (self.origins)()?;
        let mut downloads = BTreeMap::new();
        for (key, path) in files.iter().filter(|(_, path)| lacking.contains(*path)) {
            let Some(package) = lock.packages.get(key) else { continue };
            let url = url(&origins, key, package)?;
            let (size, sha256) = (Some(package.size), package.sha256.clone());
            // Two keys may share one file.
            downloads.insert(path.clone(), Download { url, to: path.clone(), size, sha256 });
        }
        let downloads: Vec<_> = downloads.into_values().collect();
        self.fetcher.all(what, &downloads, self.progress).map_err(|error| gone(lock, error, &downloads))?;
        Ok(files)
    }

    /// Our own package is constant, so it is written rather than fetched.
    fn built_in(&self, key: &PackageKey, package: &LockedPackage) -> Result<()> {
        let bytes = initramfs::deb();
        if crate::hash::sha256(&bytes) != package.sha256 {
            return Err(Error::Untrusted {
                what: key.to_string(),
                reason: "the lock was made by a landfall that brings another version of it".into(),
                remedy: format!("run `landfall lock --update {}`", key.name),
            });
        }
        let file = self.cache.deb(&package.sha256);
        if std::fs::read(&file).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        replace_file(&file, &bytes)
    }
}

/// Where a package is today.
fn url(origins: &Origins, key: &PackageKey, package: &LockedPackage) -> Result<String> {
    let unknown = |what: String| {
        Error::parse(
            "the lock",
            format!(
                "{key} comes from {what}, which the site does not declare any more; declare it again, or run `landfall lock`"
            ),
        )
    };
    if package.origin == SINGLE {
        return origins
            .singles
            .get(&package.path)
            .cloned()
            .ok_or_else(|| unknown(format!("[debs.{}]", package.path)));
    }
    let base =
        origins.bases.get(&package.origin).ok_or_else(|| unknown(format!("[apt.{}]", package.origin)))?;
    Ok(format!("{base}/{}", escaped(&package.path)))
}

/// Pool paths hold `+`, `~` and `:`, which some servers want escaped (RFC 3986, 3.3 allows them
/// plain; `%` and blanks it does not).
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'+' | b'~' | b':' | b'=' | b'@' | b',' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A file that a mirror dropped is a package that moved on: says so, with the remedy.
fn gone(lock: &Lock, error: Error, downloads: &[Download]) -> Error {
    let Error::Fetch { url, reason, .. } = &error else { return error };
    if !error.is_missing() {
        return error;
    }
    let sha256 = downloads.iter().find(|download| download.url == *url).map(|download| &download.sha256);
    let key = lock.packages.iter().find(|(_, package)| Some(&package.sha256) == sha256).map(|(key, _)| key);
    match key {
        Some(key) => Error::Gone {
            package: key.to_string(),
            name: key.name.clone(),
            url: url.clone(),
            reason: reason.clone(),
        },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::testing::{Answer, Quiet, Server};
    use std::fs;

    const BYTES: &[u8] = b"a package";

    fn lock(origin: &str, sha256: String) -> Lock {
        let mut lock = Lock::default();
        let package = LockedPackage {
            origin: origin.into(),
            path: "pool/t+1~x.deb".into(),
            size: BYTES.len() as u64,
            sha256,
        };
        lock.packages.insert("tool:amd64=1".parse().expect("a key"), package);
        lock
    }

    fn provide(lock: &Lock, cache: &Cache, server: &Server) -> Result<BTreeMap<PackageKey, PathBuf>> {
        let origins = || {
            let bases = [(DEBIAN.to_owned(), server.base.clone())].into();
            Ok(Origins { bases, ..Origins::default() })
        };
        let store = Store { cache, fetcher: &Fetcher::default(), origins: &origins, progress: &Quiet };
        store.provide("packages of a test", lock, lock.packages.keys())
    }

    #[test]
    fn a_package_is_fetched_once_and_then_needs_no_network() {
        let (folder, server) = (tempfile::tempdir().expect("a folder"), Server::new());
        let cache = Cache::new(folder.path());
        server.file("pool/t+1~x.deb", BYTES);
        let lock = lock(DEBIAN, sha256(BYTES));
        let file = provide(&lock, &cache, &server).expect("fetched").into_values().next().expect("a file");
        assert_eq!(fs::read(&file).expect("read"), BYTES);
        server.put("pool/t+1~x.deb", Answer::Status(503));
        provide(&lock, &cache, &server).expect("from the cache");
        assert_eq!(server.seen().len(), 1);
        // A damaged one is fetched again.
        fs::write(&file, b"a pakcage").expect("written");
        server.file("pool/t+1~x.deb", BYTES);
        provide(&lock, &cache, &server).expect("fetched again");
        assert_eq!(fs::read(&file).expect("read"), BYTES);
    }

    #[test]
    fn what_the_mirror_dropped_names_the_remedy() {
        let (folder, server) = (tempfile::tempdir().expect("a folder"), Server::new());
        let lock = lock(DEBIAN, sha256(BYTES));
        let words = provide(&lock, &Cache::new(folder.path()), &server).expect_err("gone").to_string();
        for told in ["tool:amd64=1", server.base.as_str(), "landfall lock --update tool"] {
            assert!(words.contains(told), "{told}: {words}");
        }
    }

    #[test]
    fn an_origin_that_the_site_dropped_is_told() {
        let (folder, server) = (tempfile::tempdir().expect("a folder"), Server::new());
        for (origin, told) in [("other", "[apt.other]"), (SINGLE, "[debs.pool/t+1~x.deb]")] {
            let lock = lock(origin, sha256(BYTES));
            let words = provide(&lock, &Cache::new(folder.path()), &server).expect_err("unknown").to_string();
            assert!(words.contains(told), "{words}");
        }
    }

    #[test]
    fn our_own_package_is_written_and_another_version_of_it_is_refused() {
        let (folder, server) = (tempfile::tempdir().expect("a folder"), Server::new());
        let cache = Cache::new(folder.path());
        let own = lock(BUILT_IN, sha256(&initramfs::deb()));
        let file = provide(&own, &cache, &server).expect("written").into_values().next().expect("a file");
        assert_eq!(fs::read(file).expect("read"), initramfs::deb());
        assert!(provide(&lock(BUILT_IN, sha256(BYTES)), &cache, &server).is_err());
    }

    #[test]
    fn paths_are_escaped_for_urls() {
        assert_eq!(escaped("pool/g/g++ 1~2%.deb"), "pool/g/g++%201~2%25.deb");
    }
}
