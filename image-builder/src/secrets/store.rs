//! The secrets of a site: read, written, listed, and encrypted anew when their readers change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use age::secrecy::{ExposeSecret, SecretSlice};

use super::crypt::{self, CIPHERTEXT_LIMIT_BYTES};
use super::files::{self, MODE_PUBLIC};
use super::recipients::spellings;
use super::record::{Record, Standing};
use super::{AdminIdentities, Recipient, SecretsError, host_identity};

/// Place of the site's signing key, encrypted to the admins.
pub const SIGNING_KEY: &str = "signing/site.age";

/// One encrypted file of a site and the hosts that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Path in the site.
    pub file: String,
    /// Names in `[secrets]` that stand in this file.
    pub names: BTreeSet<String>,
    /// Hosts whose merged config refers to one of them.
    pub hosts: BTreeSet<String>,
}

/// What is known of one file.
#[derive(Debug, Clone)]
pub struct Status {
    /// The file and its readers.
    pub secret: SecretFile,
    /// How its recipients stand.
    pub standing: Standing,
    /// Hosts that should read it and have no identity yet.
    pub without_identity: BTreeSet<String>,
}

/// What a rekey did.
#[derive(Debug, Default)]
pub struct Rekeyed {
    /// Files that were encrypted anew.
    pub changed: Vec<String>,
    /// Files whose recipients were right already.
    pub equal: Vec<String>,
    /// Files that do not exist yet.
    pub absent: Vec<String>,
    /// Files in a format that is not encrypted anew here (sops).
    pub foreign: Vec<String>,
    /// Files that lost a reader: who could read them may have kept a copy.
    pub withdrawn: Vec<String>,
    /// Files that could not be encrypted anew, and why; the others were.
    pub failed: Vec<(String, SecretsError)>,
}

/// The encrypted files of one site.
#[derive(Debug)]
pub struct Store {
    site: PathBuf,
    admins: Vec<Recipient>,
}

impl Store {
    /// A site's store. Without admins nothing can be encrypted, and that is an error here.
    pub fn new(site: &Path, admins: Vec<Recipient>) -> Result<Self, SecretsError> {
        if admins.is_empty() {
            return Err(SecretsError::NoAdmins { what: "a secret".to_string() });
        }
        Ok(Self { site: site.to_path_buf(), admins })
    }

    /// The admins' public keys.
    pub fn admins(&self) -> &[Recipient] {
        &self.admins
    }

    /// Encrypts `plaintext` into the secret's file for the admins and its hosts.
    pub fn write(&self, secret: &SecretFile, plaintext: &[u8]) -> Result<(), SecretsError> {
        let path = self.path(&secret.file)?;
        let (recipients, _) = self.readers(&secret.hosts)?;
        let file = crypt::encrypt(plaintext, &recipients, &secret.file)?;
        self.put(&path, &secret.file, &file, &recipients)
    }

    /// True when the file is there, whoever can read it.
    pub fn exists(&self, file: &str) -> Result<bool, SecretsError> {
        Ok(self.ciphertext(file)?.is_some())
    }

    /// Decrypts a secret's file.
    pub fn read(&self, file: &str, admin: &AdminIdentities) -> Result<SecretSlice<u8>, SecretsError> {
        let bytes = self.ciphertext(file)?.ok_or_else(|| SecretsError::Format {
            path: self.site.join(file),
            reason: "it is not there yet; make it with `landfall secret set NAME`".to_string(),
        })?;
        crypt::decrypt(&bytes, admin.keys(), file)
    }

    /// How each file's recipients compare with its readers.
    pub fn status(&self, secrets: &[SecretFile]) -> Result<Vec<Status>, SecretsError> {
        let record = Record::load(&self.site)?;
        secrets
            .iter()
            .map(|secret| {
                let (recipients, without_identity) = self.readers(&secret.hosts)?;
                let bytes = self.ciphertext(&secret.file)?;
                let wanted = spellings(&recipients);
                Ok(Status {
                    secret: secret.clone(),
                    standing: record.standing(&secret.file, bytes.as_deref(), &wanted),
                    without_identity,
                })
            })
            .collect()
    }

    /// Makes the recipients of all files equal to their readers; identities and the signing key
    /// belong to the admins alone. `unlock` is called once, and only if a file must be opened.
    pub fn rekey(
        &self,
        secrets: &[SecretFile],
        unlock: impl FnOnce() -> Result<AdminIdentities, SecretsError>,
    ) -> Result<Rekeyed, SecretsError> {
        let mut all = secrets.to_vec();
        all.extend(self.admins_only()?);
        let mut done = Rekeyed::default();
        let mut stale = Vec::new();
        for status in self.status(&all)? {
            let file = status.secret.file.clone();
            match status.standing {
                Standing::Absent => done.absent.push(file),
                Standing::Equal => done.equal.push(file),
                _ if is_foreign(&file) => done.foreign.push(file),
                _ => stale.push(status),
            }
        }
        if stale.is_empty() {
            return Ok(done);
        }
        let admin = unlock()?;
        for status in stale {
            let file = status.secret.file.clone();
            // One file that this admin cannot open must not keep the others from their readers.
            if let Err(error) = self.encrypt_anew(&status.secret, &admin) {
                done.failed.push((file, error));
                continue;
            }
            if matches!(&status.standing, Standing::Differs { extra, .. } if !extra.is_empty()) {
                done.withdrawn.push(file.clone());
            }
            done.changed.push(file);
        }
        Ok(done)
    }

    fn encrypt_anew(&self, secret: &SecretFile, admin: &AdminIdentities) -> Result<(), SecretsError> {
        let plain = self.read(&secret.file, admin)?;
        self.write(secret, plain.expose_secret())
    }

    /// Takes a file out of the site and out of the record.
    pub fn remove(&self, file: &str) -> Result<(), SecretsError> {
        let path = self.path(file)?;
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(SecretsError::Write { path, source });
            }
            _ => {}
        }
        Record::load(&self.site)?.forget(&self.site, file)
    }

    /// The recipients for a set of hosts, and the hosts that have no identity yet.
    fn readers(&self, hosts: &BTreeSet<String>) -> Result<(Vec<Recipient>, BTreeSet<String>), SecretsError> {
        let mut by_text: BTreeMap<String, Recipient> =
            self.admins.iter().map(|r| (r.as_str().to_string(), r.clone())).collect();
        let mut without = BTreeSet::new();
        for host in hosts {
            let keys = host_identity::public_keys(&self.site, host)?;
            if keys.is_empty() {
                without.insert(host.clone());
            }
            by_text.extend(keys.into_iter().map(|r| (r.as_str().to_string(), r)));
        }
        Ok((by_text.into_values().collect(), without))
    }

    fn admins_only(&self) -> Result<Vec<SecretFile>, SecretsError> {
        let alone = |file: String| SecretFile { file, names: BTreeSet::new(), hosts: BTreeSet::new() };
        let mut files = Vec::new();
        if self.site.join(SIGNING_KEY).exists() {
            files.push(alone(SIGNING_KEY.to_string()));
        }
        let folder = self.site.join(host_identity::IDENTITIES);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
            Err(source) => {
                return Err(SecretsError::Read { path: folder, source });
            }
        };
        for entry in entries {
            let name = entry.map_err(|source| SecretsError::Read { path: folder.clone(), source })?;
            if let Some(name) = name.file_name().to_str().filter(|n| n.ends_with(".age")) {
                files.push(alone(format!("{}/{name}", host_identity::IDENTITIES)));
            }
        }
        files.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(files)
    }

    fn ciphertext(&self, file: &str) -> Result<Option<Vec<u8>>, SecretsError> {
        files::read_optional(&self.path(file)?, CIPHERTEXT_LIMIT_BYTES)
    }

    fn put(
        &self,
        path: &Path,
        file: &str,
        bytes: &[u8],
        recipients: &[Recipient],
    ) -> Result<(), SecretsError> {
        files::replace(path, bytes, MODE_PUBLIC)?;
        Record::load(&self.site)?.note(&self.site, file, bytes, spellings(recipients))
    }

    /// A path in the site, and never outside of it.
    fn path(&self, file: &str) -> Result<PathBuf, SecretsError> {
        let relative = Path::new(file);
        let inside =
            !file.is_empty() && relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(SecretsError::BadName {
                name: file.to_string(),
                reason: "a secret's file is a path inside the site, such as secrets/wifi.age",
            });
        }
        Ok(self.site.join(relative))
    }
}

/// True for files that are encrypted by another program, sops, value by value.
pub fn is_foreign(file: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|end| file.ends_with(end))
}

#[cfg(test)]
mod tests;
