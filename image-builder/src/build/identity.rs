//! Signatures on manifests, and the identity that an unattended medium carries.

use super::BuildError;
use crate::secrets::{AdminIdentities, KeyPlaces, Nobody};
use crate::signing::{SigningKey, load_site_key};
use landfall_hosts::manifest::Manifest;
use std::path::{Path, PathBuf};

/// The site's key, if it has one and this person can open it.
pub struct Signer {
    key: Option<SigningKey>,
}

impl Signer {
    /// Opens the site's signing key with the admin's key at hand. A build never asks: without a
    /// key that opens by itself the medium is unsigned, and `Err` of the pair says so.
    pub fn open(site: &Path, identity: Option<PathBuf>) -> (Self, Option<String>) {
        if !site.join(crate::secrets::SIGNING_KEY).exists() {
            return (Self { key: None }, None);
        }
        let opened = admin(identity).and_then(|admin| Ok(load_site_key(site, &admin)?));
        match opened {
            Ok(key) => (Self { key }, None),
            Err(error) => {
                let words = format!(
                    "the manifests are not signed, for the site's signing key does not open: {}",
                    crate::cli::failure::chain(&error)
                );
                (Self { key: None }, Some(words))
            }
        }
    }

    /// The signature over a manifest's exact bytes.
    ///
    /// # Errors
    /// If signing fails.
    pub fn sign(&self, manifest: &Manifest, bytes: &[u8]) -> Result<Option<Vec<u8>>, BuildError> {
        let Some(key) = &self.key else { return Ok(None) };
        let comment = format!("host={} serial={}", manifest.host, manifest.serial);
        Ok(Some(key.sign(bytes, &comment)?.into_bytes()))
    }
}

/// The admin's key, without asking anybody.
///
/// # Errors
/// If there is none, or it wants a passphrase.
pub fn admin(identity: Option<PathBuf>) -> Result<AdminIdentities, BuildError> {
    let file = KeyPlaces::of_user(identity).find()?;
    Ok(AdminIdentities::load(&file, &Nobody)?)
}
