//! `secrets/recipients.toml`: whom each encrypted file is for.
//!
//! An age file does not name its X25519 recipients, so nobody can tell from the file alone
//! whether a host that joined yesterday can read it. Landfall writes that down when it encrypts,
//! beside the hash of the bytes it wrote: a file changed by another program has another hash, and
//! then its recipients count as unknown. The record holds public keys alone. It decides nothing
//! about who *can* read, only whether `landfall secret rekey` has work to do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SecretsError;
use super::files::{self, MODE_PUBLIC};

/// The record's place in a site.
pub const RECORD: &str = "secrets/recipients.toml";
const FORMAT: u32 = 1;
const LIMIT_BYTES: u64 = 8 * 1024 * 1024;
const HEADING: &str = "# Written by landfall: an age file does not say whom it is encrypted to, so it stands here.\n\
# Nothing in it is secret. After a merge conflict take either side and run `landfall secret rekey`.\n";

/// What is known of every encrypted file, by its path in the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    #[serde(default)]
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sha256: String,
    recipients: BTreeSet<String>,
}

/// How a file's recipients compare with those that it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The file is not there yet.
    Absent,
    /// Its recipients are the wanted ones.
    Equal,
    /// They differ.
    Differs {
        /// Should read it and cannot.
        missing: BTreeSet<String>,
        /// Can read it and should not.
        extra: BTreeSet<String>,
    },
    /// It was not written by landfall, or was changed since.
    Unknown,
}

impl Default for Record {
    fn default() -> Self {
        Self { format: FORMAT, files: BTreeMap::new() }
    }
}

impl Record {
    /// Reads the record of a site; a site without one has an empty record.
    pub fn load(site: &Path) -> Result<Self, SecretsError> {
        let path = site.join(RECORD);
        let Some(bytes) = files::read_optional(&path, LIMIT_BYTES)? else {
            return Ok(Self::default());
        };
        let refuse = |reason: String| SecretsError::Format { path: path.clone(), reason };
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| refuse("it is not UTF-8 text; take it from git again".to_string()))?;
        let record: Self = toml::from_str(text).map_err(|error| {
            refuse(format!("{error}; take it from git again, or remove it and run `landfall secret rekey`"))
        })?;
        if record.format > FORMAT {
            return Err(refuse(format!(
                "its format is {}, and this landfall knows up to {FORMAT}; use a newer landfall",
                record.format
            )));
        }
        Ok(record)
    }

    /// Notes that `ciphertext` was written to `file` for `recipients`, and stores the record.
    pub fn note(
        &mut self,
        site: &Path,
        file: &str,
        ciphertext: &[u8],
        recipients: BTreeSet<String>,
    ) -> Result<(), SecretsError> {
        let entry = Entry { sha256: sha256_hex(ciphertext), recipients };
        self.files.insert(file.to_string(), entry);
        self.store(site)
    }

    /// Forgets a file that is gone, and stores the record.
    pub fn forget(&mut self, site: &Path, file: &str) -> Result<(), SecretsError> {
        if self.files.remove(file).is_some() {
            self.store(site)?;
        }
        Ok(())
    }

    /// Compares a file's recipients with the wanted ones.
    pub fn standing(&self, file: &str, ciphertext: Option<&[u8]>, wanted: &BTreeSet<String>) -> Standing {
        let Some(ciphertext) = ciphertext else {
            return Standing::Absent;
        };
        match self.files.get(file) {
            Some(entry) if entry.sha256 == sha256_hex(ciphertext) => {
                let missing: BTreeSet<_> = wanted.difference(&entry.recipients).cloned().collect();
                let extra: BTreeSet<_> = entry.recipients.difference(wanted).cloned().collect();
                if missing.is_empty() && extra.is_empty() {
                    Standing::Equal
                } else {
                    Standing::Differs { missing, extra }
                }
            }
            _ => Standing::Unknown,
        }
    }

    fn store(&self, site: &Path) -> Result<(), SecretsError> {
        let path = site.join(RECORD);
        // One recipient a line: two people who each add a host merge without a conflict.
        let body = toml::to_string_pretty(self)
            .map_err(|error| SecretsError::Format { path: path.clone(), reason: error.to_string() })?;
        files::replace(&path, format!("{HEADING}{body}").as_bytes(), MODE_PUBLIC)
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_string()).collect()
    }

    #[test]
    fn tells_equal_differing_unknown_and_absent_apart() {
        let site = tempfile::tempdir().unwrap();
        let mut record = Record::load(site.path()).unwrap();
        record.note(site.path(), "secrets/a.age", b"one", set(&["sam", "vm"])).unwrap();
        let record = Record::load(site.path()).unwrap();
        let standing = |bytes, wanted: &[&str]| record.standing("secrets/a.age", bytes, &set(wanted));
        assert_eq!(standing(Some(b"one"), &["vm", "sam"]), Standing::Equal);
        assert_eq!(
            standing(Some(b"one"), &["sam", "laptop"]),
            Standing::Differs { missing: set(&["laptop"]), extra: set(&["vm"]) }
        );
        assert_eq!(standing(Some(b"two"), &["sam", "vm"]), Standing::Unknown);
        assert_eq!(standing(None, &["sam"]), Standing::Absent);
        assert_eq!(record.standing("secrets/b.age", Some(b"one"), &set(&["sam"])), Standing::Unknown);
    }

    #[test]
    fn is_sorted_one_recipient_a_line() {
        let site = tempfile::tempdir().unwrap();
        let mut record = Record::default();
        record.note(site.path(), "b", b"x", set(&["z", "y"])).unwrap();
        record.note(site.path(), "a", b"x", set(&["z"])).unwrap();
        let text = std::fs::read_to_string(site.path().join(RECORD)).unwrap();
        let y = text.find("\"y\"").unwrap();
        assert!(y < text.rfind("\"z\"").unwrap());
        assert!(text.find("[files.a]").unwrap() < text.find("[files.b]").unwrap());
        record.forget(site.path(), "a").unwrap();
        assert!(!std::fs::read_to_string(site.path().join(RECORD)).unwrap().contains("files.a"));
    }

    #[test]
    fn hostile_records_are_errors_with_a_remedy() {
        let site = tempfile::tempdir().unwrap();
        std::fs::create_dir(site.path().join("secrets")).unwrap();
        for bad in [
            &b"format = 2"[..],
            b"format = 1\nsurprise = 1",
            b"<<<<<<< HEAD\nformat = 1",
            b"\xff\xfe",
            b"",
            b"format = 1\n[files.a]\nsha256 = 3\nrecipients = []",
        ] {
            std::fs::write(site.path().join(RECORD), bad).unwrap();
            assert!(Record::load(site.path()).is_err());
        }
    }
}
