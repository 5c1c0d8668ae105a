//! The site's `landfall.lock` on disk: read once, written only when it changed.

use super::BuildError;
use landfall_debian::cache::replace_file;
use landfall_debian::clock::UnixSeconds;
use landfall_debian::resolve::{Change, LayerRequest};
use landfall_debian::session::Session;
use landfall_debian::update::UpdateScope;
use landfall_hosts::lock::{FILE_NAME, IdLedger, Lock};
use std::path::{Path, PathBuf};

/// The lock and its file.
pub struct LockFile {
    path: PathBuf,
    text: String,
    /// What the file says, with what was added since.
    pub lock: Lock,
}

impl LockFile {
    /// Reads a site's lock; a site without one has an empty lock.
    ///
    /// # Errors
    /// If it cannot be read or is no lock.
    pub fn open(site: &Path) -> Result<Self, BuildError> {
        let path = site.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(BuildError::io("reading", &path)(error)),
        };
        let lock = if text.is_empty() { Lock::default() } else { Lock::parse(&text)? };
        Ok(Self { path, text, lock })
    }

    /// Resolves what the lock lacks, and writes it.
    ///
    /// # Errors
    /// If something is lacking and `locked` says that the lock may not change, or it cannot be
    /// resolved.
    pub fn complete(
        &mut self,
        session: &Session<'_>,
        requests: &[LayerRequest],
        locked: bool,
    ) -> Result<Vec<Change>, BuildError> {
        if session.is_complete(&self.lock, requests)? {
            return Ok(Vec::new());
        }
        if locked {
            return Err(BuildError::Locked(format!(
                "{} does not have all that these hosts ask for, and --locked forbids to resolve it; run `landfall lock` and commit the lock",
                self.path.display()
            )));
        }
        let changes = session.resolve(&mut self.lock, requests, &UpdateScope::Nothing, false)?;
        self.save()?;
        Ok(changes)
    }

    /// Takes over a ledger that grew.
    ///
    /// # Errors
    /// If the lock cannot be written.
    pub fn take_ids(&mut self, ledger: IdLedger) -> Result<(), BuildError> {
        self.lock.ids = ledger;
        self.save()
    }

    /// Writes the lock if it differs from what its file says.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&mut self) -> Result<(), BuildError> {
        let text = self.lock.to_text();
        if text != self.text {
            replace_file(&self.path, text.as_bytes())?;
            self.text = text;
        }
        Ok(())
    }

    /// Newest Release date in the lock, seconds since 1970.
    pub fn epoch(&self) -> u64 {
        let dates = self.lock.suites.values().filter_map(|suite| UnixSeconds::parse_rfc3339(&suite.date));
        dates.map(|date| date.0.max(0) as u64).max().unwrap_or(0)
    }
}
