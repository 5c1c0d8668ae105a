//! `landfall.lock`: what every layer is made of, to the byte.
//!
//! TOML, sorted, one package a line, never a mirror's host: the same lock serves any mirror. The
//! writer is byte-stable (same value, same bytes), so a diff of the lock is what changed.

mod key;
mod read;
mod write;

pub use key::{KeyError, PackageKey};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The format that this code writes, and the highest that it reads.
pub const FORMAT: u32 = 1;
/// The lock's file name in a site.
pub const FILE_NAME: &str = "landfall.lock";
/// First id that packages may be given (Debian policy 9.2.2: dynamically allocated system ids).
pub const FIRST_SYSTEM_ID: u32 = 100;
/// Last id that packages may be given (999 is the end of Debian policy's range for `adduser --system`).
pub const LAST_SYSTEM_ID: u32 = 999;

/// The lock of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// Debian's suite, `trixie`.
    pub suite: String,
    /// The archive's state that the packages were resolved from; key: `origin/suite`.
    pub suites: BTreeMap<String, LockedSuite>,
    /// Every package that a layer or the tools root names.
    pub packages: BTreeMap<PackageKey, LockedPackage>,
    /// The tools root: programs that build, run from a folder of their own.
    pub tools: BTreeSet<PackageKey>,
    /// Layers by name: `base`, or `HOST/desktop`, `HOST/packages`, `HOST/profile…`.
    pub layers: BTreeMap<String, LockedLayer>,
    /// System users and groups, append-only.
    pub ids: IdLedger,
}

/// One InRelease file that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSuite {
    /// sha256 of the InRelease file, hex.
    pub inrelease: String,
    /// Its `Date`, RFC 3339 in UTC.
    pub date: String,
}

/// Where a package's bytes come from and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// `debian`, `security`, the name of an `[apt.NAME]`, `deb` for a `[debs.NAME]`, or
    /// `landfall` for the package that Landfall itself brings.
    pub origin: String,
    /// Path below the origin's base URI; the name in `[debs]` for origin `deb`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// One layer: what was asked for and what that came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LockedLayer {
    /// The layer below, by name; none for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Digest of what the layers below have ([`Lock::below`]); another one means: resolve again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
    /// What the site asked for, in apt's own syntax, sorted; a change means: resolve again.
    pub wants: BTreeSet<String>,
    /// What this layer adds (or replaces) above its parents.
    pub packages: BTreeSet<PackageKey>,
    /// What this layer takes away from its parents, `name:arch`.
    pub removes: BTreeSet<String>,
}

/// System user and group names with the id that each keeps for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdLedger {
    /// User → uid.
    pub users: BTreeMap<String, u32>,
    /// Group → gid.
    pub groups: BTreeMap<String, u32>,
}

/// Why an id cannot stand in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A name has another id already.
    #[error("{kind} {name} has id {has} in the lock and cannot become {wanted}: ids are never changed")]
    Changed {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Its id in the ledger.
        has: u32,
        /// The id that was wanted.
        wanted: u32,
    },
    /// An id belongs to another name.
    #[error("{kind} id {id} belongs to {owner} in the lock, so {name} cannot have it: ids are never reused")]
    Taken {
        /// `user` or `group`.
        kind: &'static str,
        /// The name that wanted it.
        name: String,
        /// The id.
        id: u32,
        /// Who has it.
        owner: String,
    },
    /// Outside 100–999.
    #[error("{kind} {name} has id {id}, outside {FIRST_SYSTEM_ID}–{LAST_SYSTEM_ID}, the range of system ids")]
    Range {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The id.
        id: u32,
    },
}

impl IdLedger {
    /// Records a user; true if it is new.
    ///
    /// # Errors
    /// If the name has another id, the id another name, or the id is out of range.
    pub fn add_user(&mut self, name: &str, uid: u32) -> Result<bool, LedgerError> {
        add(&mut self.users, "user", name, uid)
    }

    /// Records a group; true if it is new.
    ///
    /// # Errors
    /// As [`IdLedger::add_user`].
    pub fn add_group(&mut self, name: &str, gid: u32) -> Result<bool, LedgerError> {
        add(&mut self.groups, "group", name, gid)
    }
}

fn add(
    map: &mut BTreeMap<String, u32>,
    kind: &'static str,
    name: &str,
    id: u32,
) -> Result<bool, LedgerError> {
    if let Some(&has) = map.get(name) {
        if has == id {
            return Ok(false);
        }
        return Err(LedgerError::Changed { kind, name: name.to_owned(), has, wanted: id });
    }
    if !(FIRST_SYSTEM_ID..=LAST_SYSTEM_ID).contains(&id) {
        return Err(LedgerError::Range { kind, name: name.to_owned(), id });
    }
    if let Some((owner, _)) = map.iter().find(|(_, taken)| **taken == id) {
        return Err(LedgerError::Taken { kind, name: name.to_owned(), id, owner: owner.clone() });
    }
    map.insert(name.to_owned(), id);
    Ok(true)
}

/// Why a lock cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Not TOML, or not this schema; the text has line and column.
    #[error(
        "reading the lock: {0}; restore {FILE_NAME} from the site's history, or make it again with `landfall lock`"
    )]
    Syntax(String),
    /// Written by a newer Landfall.
    #[error(
        "reading the lock: its format is {found}, this landfall reads up to {FORMAT}; use a newer landfall"
    )]
    Newer {
        /// The format found.
        found: u32,
    },
    /// It contradicts itself.
    #[error(
        "reading the lock: {what}; restore {FILE_NAME} from the site's history, or make it again with `landfall lock`"
    )]
    Inconsistent {
        /// What is wrong.
        what: String,
    },
}

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// If it is not TOML of this format, or names a package that it does not describe.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        read::parse(text)
    }

    /// The lock's text: the same lock always gives the same bytes.
    #[must_use]
    pub fn to_text(&self) -> String {
        write::to_text(self)
    }

    /// The chain of a layer, lowest first, ending with `name`.
    ///
    /// # Errors
    /// If a layer of the chain is missing, or a layer stands above itself.
    pub fn chain(&self, name: &str) -> Result<Vec<&str>, LockError> {
        let mut chain = Vec::new();
        let mut next = Some(name);
        while let Some(current) = next {
            let (key, layer) = self
                .layers
                .get_key_value(current)
                .ok_or_else(|| LockError::Inconsistent { what: format!("there is no layer {current}") })?;
            if chain.contains(&key.as_str()) {
                return Err(LockError::Inconsistent { what: format!("layer {current} stands above itself") });
            }
            chain.push(key.as_str());
            next = layer.parent.as_deref();
        }
        chain.reverse();
        Ok(chain)
    }

    /// What is installed once every layer of the chain up to `name` is there: `name:arch` → key.
    ///
    /// # Errors
    /// As [`Lock::chain`].
    pub fn installed(&self, name: &str) -> Result<BTreeMap<String, &PackageKey>, LockError> {
        let mut installed = BTreeMap::new();
        for layer in self.chain(name)? {
            let Some(layer) = self.layers.get(layer) else {
                continue;
            };
            for gone in &layer.removes {
                installed.remove(gone);
            }
            for key in &layer.packages {
                installed.insert(key.slot(), key);
            }
        }
        Ok(installed)
    }

    /// Digest of what is installed below a layer with this parent; none for the first layer.
    ///
    /// # Errors
    /// As [`Lock::chain`].
    pub fn below(&self, parent: Option<&str>) -> Result<Option<String>, LockError> {
        let Some(parent) = parent else { return Ok(None) };
        let mut hasher = Sha256::new();
        for key in self.installed(parent)?.into_values() {
            hasher.update(format!("{key}\n"));
        }
        // Enough to tell two states apart; nobody gains by a collision in a file of one's own.
        Ok(Some(hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Drops packages that no layer and no tool names.
    pub fn prune(&mut self) {
        let used: BTreeSet<&PackageKey> =
            self.layers.values().flat_map(|layer| layer.packages.iter()).chain(self.tools.iter()).collect();
        let unused: Vec<PackageKey> =
            self.packages.keys().filter(|key| !used.contains(key)).cloned().collect();
        for key in unused {
            self.packages.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
