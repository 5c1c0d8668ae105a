//! From what a site says (suites, mirrors, foreign repositories) to archives that can be opened.

use crate::archive::{EXTRA_SUITE_PRIORITY, Repository};
use crate::error::{Error, Result};
use crate::mirrors::Mirrors;
use crate::openpgp::Keyring;
use crate::store::{BUILT_IN, DEBIAN, Origins, SECURITY, SINGLE};
use landfall_hosts::host::{AptRepository, Sources};
use std::fs;
use std::path::Path;

/// Suites that have no `-updates` and no security archive of their own.
const ROLLING: &[&str] = &["sid", "unstable", "experimental"];

/// Every suite that packages may come from, Debian's first.
///
/// # Errors
/// If a foreign repository's key file cannot be read, or a name is taken.
pub fn repositories(sources: &Sources, mirrors: &Mirrors, site: &Path) -> Result<Vec<Repository>> {
    let keyring = Keyring::debian()?;
    let components = components(&sources.components);
    let debian = |origin: &str, uri: &str, suite: &str, priority| Repository {
        origin: origin.to_owned(),
        uri: uri.to_owned(),
        suite: suite.to_owned(),
        components: components.clone(),
        keyring: keyring.clone(),
        priority,
    };
    let suite = &sources.suite;
    let mut all = vec![debian(DEBIAN, &mirrors.debian, suite, None)];
    if !ROLLING.contains(&suite.as_str()) {
        all.push(debian(DEBIAN, &mirrors.debian, &format!("{suite}-updates"), None));
        all.push(debian(SECURITY, &mirrors.security, &format!("{suite}-security"), None));
    }
    for extra in &sources.extra_suites {
        if !all.iter().any(|known| known.suite == *extra) {
            all.push(debian(DEBIAN, &mirrors.debian, extra, Some(EXTRA_SUITE_PRIORITY)));
        }
    }
    for (name, repository) in &sources.apt {
        all.push(foreign(name, repository, site)?);
    }
    Ok(all)
}

fn components(named: &[String]) -> Vec<String> {
    if named.is_empty() { vec!["main".to_owned()] } else { named.to_vec() }
}

fn foreign(name: &str, repository: &AptRepository, site: &Path) -> Result<Repository> {
    let what = format!("[apt.{name}]");
    if [DEBIAN, SECURITY, SINGLE, BUILT_IN].contains(&name) || name.contains('/') {
        return Err(Error::parse(what, "this name cannot be used; give the repository another"));
    }
    if !repository.uri.starts_with("http://") && !repository.uri.starts_with("https://") {
        return Err(Error::parse(
            what,
            format!("its uri `{}` is no http:// or https:// address", repository.uri),
        ));
    }
    let key = site.join(&repository.key);
    let bytes = fs::read(&key).map_err(Error::io("reading the key of a foreign repository,", &key))?;
    let suite = repository.suite.clone();
    let flat = suite.ends_with('/');
    Ok(Repository {
        origin: name.to_owned(),
        uri: repository.uri.trim_end_matches('/').to_owned(),
        components: if flat { Vec::new() } else { components(&repository.components) },
        suite,
        keyring: Keyring::parse(&key.display().to_string(), &bytes)?,
        priority: None,
    })
}

/// Where the lock's origins are.
#[must_use]
pub fn origins(sources: &Sources, mirrors: &Mirrors) -> Origins {
    let mut origins = Origins::default();
    origins.bases.insert(DEBIAN.to_owned(), mirrors.debian.clone());
    origins.bases.insert(SECURITY.to_owned(), mirrors.security.clone());
    for (name, repository) in &sources.apt {
        origins.bases.insert(name.clone(), repository.uri.trim_end_matches('/').to_owned());
    }
    for (name, single) in &sources.debs {
        origins.singles.insert(name.clone(), single.url.clone());
    }
    origins
}
