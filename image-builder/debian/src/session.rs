//! One site's view of Debian: mirrors, archives, tools, lock. What the build and `landfall lock`
//! call.
//!
//! Nothing is asked of the network before it is needed: with a complete lock and a full cache a
//! build works offline.

use crate::archive::{Archive, Freshness, Opener};
use crate::cache::Cache;
use crate::clock::UnixSeconds;
use crate::error::{Error, Result};
use crate::fetch::{Download, Fetcher};
use crate::mirrors::{self, Mirrors};
use crate::resolve::{Change, LayerRequest, Policy, Resolver, Want, is_complete};
use crate::solver::{LocalPackage, Pin};
use crate::store::{Origins, SINGLE, Store};
use crate::tools::{self, Tools};
use crate::update::UpdateScope;
use crate::{hash, sources};
use landfall_hosts::event::Progress;
use landfall_hosts::host::Sources;
use landfall_hosts::lock::{Lock, PackageKey};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Priority of a pin that names no other: above what is installed, below what is held.
const PIN_PRIORITY: i32 = 990;

/// Where a session finds things.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The site's folder; key files are relative to it.
    pub site: &'a Path,
    /// This computer's apt configuration (`/etc/apt`), for choosing a mirror.
    pub etc_apt: &'a Path,
    /// The cache's top folder.
    pub cache: &'a Path,
}

/// A site's view of Debian.
pub struct Session<'a> {
    sources: &'a Sources,
    places: Places<'a>,
    /// The site's `LANG`: its country's mirror is the last choice.
    locale: &'a str,
    arch: &'a str,
    progress: &'a dyn Progress,
    cache: Cache,
    fetcher: Fetcher,
    mirrors: OnceLock<Mirrors>,
}

impl<'a> Session<'a> {
    /// Opens nothing yet. `locale` is the site's `LANG`, `arch` Debian's name of the machine's
    /// architecture.
    #[must_use]
    pub fn new(
        sources: &'a Sources,
        places: Places<'a>,
        locale: &'a str,
        arch: &'a str,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            sources,
            places,
            locale,
            arch,
            progress,
            cache: Cache::new(places.cache),
            fetcher: Fetcher::default(),
            mirrors: OnceLock::new(),
        }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The mirrors, chosen when this is first called.
    ///
    /// # Errors
    /// If the site names one that cannot be used.
    pub fn mirrors(&self) -> Result<&Mirrors> {
        if let Some(mirrors) = self.mirrors.get() {
            return Ok(mirrors);
        }
        let (site, suite) = (&self.sources.mirror, &self.sources.suite);
        let chosen = mirrors::choose(site, self.places.etc_apt, self.locale, suite, &self.fetcher)?;
        Ok(self.mirrors.get_or_init(|| chosen))
    }

    /// Whether the lock says all that these layers need, so that nothing must be resolved.
    ///
    /// # Errors
    /// If the site's pins or single packages make no sense.
    pub fn is_complete(&self, lock: &Lock, requests: &[LayerRequest]) -> Result<bool> {
        let layers = is_complete(lock, requests, &self.policy()?);
        Ok(layers && lock.suite == self.sources.suite && tools::is_complete(lock))
    }

    /// Resolves what the lock lacks, and what `scope` lets move, into the lock. Without
    /// `refresh`, a mirror that does not answer is no error where the cache has the lock's state.
    ///
    /// # Errors
    /// If an archive cannot be trusted or reached, or packages do not go together.
    pub fn resolve(
        &self,
        lock: &mut Lock,
        requests: &[LayerRequest],
        scope: &UpdateScope,
        refresh: bool,
    ) -> Result<Vec<Change>> {
        if lock.suite != self.sources.suite {
            // Another release: nothing of the old one can be held but the ids on disks.
            *lock = Lock {
                suite: self.sources.suite.clone(),
                ids: std::mem::take(&mut lock.ids),
                ..Lock::default()
            };
        }
        let policy = self.policy()?;
        let archive = self.open(lock, requests, refresh)?;
        if !tools::is_complete(lock) || tools::touches(lock, scope) {
            let chosen = tools::choose(&archive)?;
            lock.tools = chosen.keys().cloned().collect();
            lock.packages.extend(chosen);
        }
        let tools = self.tools(lock)?;
        let resolver = Resolver {
            archive: &archive,
            tools: &tools,
            cache: &self.cache,
            policy: &policy,
            singles: self.singles()?,
        };
        let changes = resolver.resolve(lock, requests, scope)?;
        lock.prune();
        Ok(changes)
    }

    /// The tools root of the lock.
    ///
    /// # Errors
    /// If a package of it cannot be had.
    pub fn tools(&self, lock: &Lock) -> Result<Tools> {
        self.with_store(|store| Tools::provide(lock, store))
    }

    /// The files of a layer's packages, checked.
    ///
    /// # Errors
    /// If the lock has no such layer, or a package cannot be had.
    pub fn fetch(&self, lock: &Lock, layer: &str) -> Result<BTreeMap<PackageKey, PathBuf>> {
        let locked = lock.layers.get(layer).ok_or_else(|| {
            Error::parse("the lock", format!("it has no layer {layer}; run `landfall lock`"))
        })?;
        self.with_store(|store| store.provide(&format!("packages of {layer}"), lock, locked.packages.iter()))
    }

    fn with_store<T>(&self, work: impl FnOnce(&Store<'_>) -> Result<T>) -> Result<T> {
        let origins = || -> Result<Origins> { Ok(sources::origins(self.sources, self.mirrors()?)) };
        work(&Store {
            cache: &self.cache,
            fetcher: &self.fetcher,
            origins: &origins,
            progress: self.progress,
        })
    }

    fn open(&self, lock: &Lock, requests: &[LayerRequest], refresh: bool) -> Result<Archive> {
        let repositories = sources::repositories(self.sources, self.mirrors()?, self.places.site)?;
        let opener = Opener {
            cache: &self.cache,
            fetcher: &self.fetcher,
            progress: self.progress,
            now: UnixSeconds::now(),
        };
        let freshness = if refresh { Freshness::Refresh } else { Freshness::Locked(&lock.suites) };
        opener.open(&repositories, &architectures(self.arch, requests), freshness)
    }

    /// `[debs]`: fetched, as their control files must be read.
    fn singles(&self) -> Result<Vec<LocalPackage>> {
        let mut singles = Vec::new();
        for (name, single) in &self.sources.debs {
            let to = self.cache.deb(&single.sha256);
            if !to.exists() || hash::sha256_file(&to)? != single.sha256 {
                let download = Download {
                    url: single.url.clone(),
                    to: to.clone(),
                    size: None,
                    sha256: single.sha256.clone(),
                };
                self.fetcher.all(name, &[download], self.progress)?;
            }
            let package = LocalPackage::from_deb(&to, SINGLE, name, &single.sha256)?;
            if let Some((key, _)) = &package.locked
                && key.name != *name
            {
                return Err(Error::parse(
                    format!("[debs.{name}]"),
                    format!("the file is the package {0}; name the table [debs.{0}]", key.name),
                ));
            }
            singles.push(package);
        }
        Ok(singles)
    }

    fn policy(&self) -> Result<Policy> {
        let mut policy = Policy::default();
        for (package, value) in &self.sources.pin {
            policy.pins.push(pin(package, value)?);
        }
        for (name, single) in &self.sources.debs {
            if !hash::is_sha256(&single.sha256) {
                return Err(Error::parse(
                    format!("[debs.{name}]"),
                    "its sha256 is not 64 lower-case hex digits; `sha256sum FILE` prints it",
                ));
            }
            policy.singles.insert(name.clone(), single.sha256.clone());
        }
        Ok(policy)
    }
}

/// The native architecture first, then those that a package is asked for in.
#[must_use]
pub fn architectures(native: &str, requests: &[LayerRequest]) -> Vec<String> {
    let foreign: BTreeSet<&str> = requests
        .iter()
        .flat_map(|request| &request.packages)
        .filter_map(|text| Want::parse(text)?.arch)
        .filter(|arch| !["all", "any", native].contains(arch))
        .collect();
    std::iter::once(native).chain(foreign).map(str::to_owned).collect()
}

/// `[pin]`: `name = "VERSION"` (a glob is allowed), `name = PRIORITY`, or
/// `name = { version | suite | origin = "…", priority = N }`.
///
/// # Errors
/// If it is none of these.
pub fn pin(package: &str, value: &toml::Value) -> Result<Pin> {
    let wrong = |reason: &str| Error::parse(format!("[pin] {package}"), reason);
    let safe = |text: &str| !text.is_empty() && !text.contains(['\n', '\r']);
    if !safe(package) || package.contains(char::is_whitespace) {
        return Err(wrong("this is no package name"));
    }
    let priority = |value: &toml::Value| {
        value
            .as_integer()
            .and_then(|number| i32::try_from(number).ok())
            .filter(|number| (-1000..=1000).contains(number))
            .ok_or_else(|| wrong("a priority is a whole number from -1000 to 1000"))
    };
    let (what, priority) = match value {
        toml::Value::String(version) => (format!("version {version}"), PIN_PRIORITY),
        toml::Value::Integer(_) => ("version *".to_owned(), priority(value)?),
        toml::Value::Table(table) => {
            let mut what = None;
            let mut number = PIN_PRIORITY;
            for (key, value) in table {
                let text = || value.as_str().ok_or_else(|| wrong("its values are strings"));
                match key.as_str() {
                    "version" => what = Some(format!("version {}", text()?)),
                    "suite" => what = Some(format!("release n={}", text()?)),
                    "origin" => what = Some(format!("release o={}", text()?)),
                    "priority" => number = priority(value)?,
                    _ => return Err(wrong("it may have version, suite, origin and priority")),
                }
            }
            (what.ok_or_else(|| wrong("it needs version, suite or origin"))?, number)
        }
        _ => return Err(wrong("it is a version, a priority, or a table of them")),
    };
    if !safe(&what) {
        return Err(wrong("its values have one line"));
    }
    Ok(Pin { package: package.to_owned(), what, priority })
}

#[cfg(test)]
mod tests {
    use super::pin;

    #[test]
    fn pins_have_three_forms() {
        let parse = |text: &str| {
            let table: toml::Table = toml::from_str(text).expect("TOML");
            pin("git", &table["git"])
        };
        let version = parse("git = \"1:2.47*\"").expect("a pin");
        assert_eq!((version.what.as_str(), version.priority), ("version 1:2.47*", 990));
        let never = parse("git = -1").expect("a pin");
        assert_eq!((never.what.as_str(), never.priority), ("version *", -1));
        let suite = parse("git = { suite = \"trixie-backports\", priority = 600 }").expect("a pin");
        assert_eq!((suite.what.as_str(), suite.priority), ("release n=trixie-backports", 600));
        for wrong in
            ["git = true", "git = 5000", "git = { suit = \"x\" }", "git = {}", "git = \"1\\nPin: x\""]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
