//! The lock's strict reader.

use super::{FORMAT, IdLedger, Lock, LockError, LockedLayer, LockedPackage, LockedSuite, PackageKey};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The format alone, so that a newer lock is refused in words and not by its first new key.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[allow(dead_code, reason = "read by Header")]
    format: u32,
    suite: String,
    #[serde(default)]
    suites: BTreeMap<String, LockedSuite>,
    #[serde(default)]
    ids: IdLedger,
    #[serde(default)]
    tools: Tools,
    #[serde(default)]
    layers: BTreeMap<String, LockedLayer>,
    #[serde(default)]
    packages: BTreeMap<PackageKey, LockedPackage>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tools {
    packages: BTreeSet<PackageKey>,
}

pub(super) fn parse(text: &str) -> Result<Lock, LockError> {
    let syntax = |error: toml::de::Error| LockError::Syntax(error.to_string().trim().to_owned());
    let header: Header = toml::from_str(text).map_err(syntax)?;
    if header.format > FORMAT {
        return Err(LockError::Newer { found: header.format });
    }
    let document: Document = toml::from_str(text).map_err(syntax)?;
    let lock = Lock {
        suite: document.suite,
        suites: document.suites,
        packages: document.packages,
        tools: document.tools.packages,
        layers: document.layers,
        ids: document.ids,
    };
    check(&lock)?;
    Ok(lock)
}

fn check(lock: &Lock) -> Result<(), LockError> {
    let inconsistent = |what: String| Err(LockError::Inconsistent { what });
    for (key, package) in &lock.packages {
        if !is_sha256(&package.sha256) {
            return inconsistent(format!("package {key} has no valid sha256"));
        }
        let unsafe_path = package.path.starts_with('/')
            || package.path.split('/').any(|part| part.is_empty() || part == "..");
        if unsafe_path {
            return inconsistent(format!(
                "package {key} has the path `{}`, which is not one below its archive",
                package.path
            ));
        }
    }
    for (name, suite) in &lock.suites {
        if !is_sha256(&suite.inrelease) {
            return inconsistent(format!("suite {name} has no valid sha256"));
        }
    }
    for key in &lock.tools {
        if !lock.packages.contains_key(key) {
            return inconsistent(format!("the tools name {key}, which is not in [packages]"));
        }
    }
    for (name, layer) in &lock.layers {
        for key in &layer.packages {
            if !lock.packages.contains_key(key) {
                return inconsistent(format!("layer {name} names {key}, which is not in [packages]"));
            }
        }
        lock.chain(name)?;
    }
    check_ids(lock)
}

/// Entering every id again into an empty ledger finds whatever a hand or a merge has broken.
fn check_ids(lock: &Lock) -> Result<(), LockError> {
    let mut again = IdLedger::default();
    let broken = |error: super::LedgerError| LockError::Inconsistent { what: error.to_string() };
    for (name, id) in &lock.ids.users {
        again.add_user(name, *id).map_err(broken)?;
    }
    for (name, id) in &lock.ids.groups {
        again.add_group(name, *id).map_err(broken)?;
    }
    Ok(())
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
