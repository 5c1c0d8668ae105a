//! From what a site says (suites, mirrors, foreign repositories) to archives that can be opened.

use crate::archive::{EXTRA_SUITE_PRIORITY, Repository, suite_key};
use crate::error::{Error, Result};
use crate::mirrors::Mirrors;
use crate::openpgp::Keyring;
use crate::store::{BUILT_IN, DEBIAN, Origins, SECURITY, SINGLE};
use landfall_hosts::host::{AptRepository, Sources};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The keys in the lock (`origin/suite`) of every suite of a site.
#[must_use]
pub fn suite_keys(sources: &Sources) -> BTreeSet<String> {
    let debian = debian_suites(sources).into_iter().map(|(origin, suite, _)| (origin.to_owned(), suite));
    let foreign = sources.apt.iter().map(|(name, repository)| (name.clone(), repository.suite.clone()));
    debian.chain(foreign).map(|(origin, suite)| suite_key(&origin, &suite)).collect()
}

/// Debian's suites of a site: origin, suite, priority.
fn debian_suites(sources: &Sources) -> Vec<(&'static str, String, Option<i32>)> {
    let suite = &sources.suite;
    let mut all = vec![(DEBIAN, suite.clone(), None)];
    if !ROLLING.contains(&suite.as_str()) {
        all.push((DEBIAN, format!("{suite}-updates"), None));
        all.push((SECURITY, format!("{suite}-security"), None));
    }
    for extra in &sources.extra_suites {
        if !all.iter().any(|(_, known, _)| known == extra) {
            all.push((DEBIAN, extra.clone(), Some(EXTRA_SUITE_PRIORITY)));
        }
    }
    all
}

/// Suites that have no `-updates` and no security archive of their own.
const ROLLING: &[&str] = &["sid", "unstable", "experimental"];

/// Every suite that packages may come from, Debian's first.
///
/// # Errors
/// If a foreign repository's key file cannot be read, or a name is taken.
pub fn repositories(sources: &Sources, mirrors: &Mirrors, site: &Path) -> Result<Vec<Repository>> {
    let keyring = Keyring::debian()?;
    let components = components(&sources.components);
    let debian = |(origin, suite, priority): (&str, String, Option<i32>)| Repository {
        origin: origin.to_owned(),
        uri: if origin == SECURITY { mirrors.security.clone() } else { mirrors.debian.clone() },
        suite,
        components: components.clone(),
        keyring: keyring.clone(),
        priority,
    };
    let mut all: Vec<Repository> = debian_suites(sources).into_iter().map(debian).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Signer;
    use std::collections::BTreeMap;

    fn mirrors() -> Mirrors {
        Mirrors {
            debian: "http://m.example/debian".into(),
            security: "http://s.example/security".into(),
            chosen_by: "a test",
        }
    }

    fn sources() -> Sources {
        Sources {
            suite: "trixie".into(),
            extra_suites: vec!["trixie-backports".into()],
            ..Sources::default()
        }
    }

    fn with_foreign(repository: AptRepository) -> Sources {
        Sources { apt: BTreeMap::from([("other".to_owned(), repository)]), ..sources() }
    }

    #[test]
    fn a_stable_suite_comes_with_its_updates_and_security() {
        let all = repositories(&sources(), &mirrors(), Path::new("/nonexistent")).expect("repositories");
        let keys: Vec<(String, Option<i32>)> =
            all.iter().map(|repository| (repository.key(), repository.priority)).collect();
        let expected = [
            ("debian/trixie", None),
            ("debian/trixie-updates", None),
            ("security/trixie-security", None),
            ("debian/trixie-backports", Some(100)),
        ];
        assert_eq!(keys, expected.map(|(key, priority)| (key.to_owned(), priority)));
        assert_eq!(all[2].folder(), "http://s.example/security/dists/trixie-security");
        assert_eq!(suite_keys(&sources()), all.iter().map(Repository::key).collect());
        let rolling = Sources { suite: "sid".into(), ..Sources::default() };
        assert_eq!(suite_keys(&rolling), ["debian/sid".to_owned()].into());
    }

    #[test]
    fn a_foreign_repository_has_its_own_key() {
        let site = tempfile::tempdir().expect("a folder");
        let signer = Signer::new(1_700_000_000);
        fs::write(site.path().join("k.asc"), signer.armored()).expect("written");
        let repository = AptRepository {
            uri: "https://o.example/deb/".into(),
            suite: "stable".into(),
            components: Vec::new(),
            key: "k.asc".into(),
        };
        let sources = with_foreign(repository.clone());
        let all = repositories(&sources, &mirrors(), site.path()).expect("repositories");
        let other = all.last().expect("the foreign one");
        assert_eq!((other.key().as_str(), other.components.len()), ("other/stable", 1));
        assert_eq!(other.folder(), "https://o.example/deb/dists/stable");
        assert_eq!(other.keyring.fingerprints().len(), 1);
        assert_eq!(origins(&sources, &mirrors()).bases["other"], "https://o.example/deb");
        for wrong in [
            AptRepository { key: "none.asc".into(), ..repository.clone() },
            AptRepository { uri: "ftp://o.example".into(), ..repository.clone() },
        ] {
            assert!(repositories(&with_foreign(wrong), &mirrors(), site.path()).is_err());
        }
        let taken = Sources { apt: BTreeMap::from([("debian".to_owned(), repository)]), ..self::sources() };
        let words = repositories(&taken, &mirrors(), site.path()).expect_err("taken").to_string();
        assert!(words.contains("[apt.debian]"), "{words}");
    }
}
