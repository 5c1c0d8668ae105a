//! Signatures on manifests, and the identity that an unattended medium carries.

use super::{BuildError, BuildPlaces};
use crate::media::{Identity, Personal, personalise};
use crate::secrets::{AdminIdentities, ExposeSecret, KeyPlaces, Nobody, host_identity};
use crate::signing::{SigningKey, load_site_key};
use landfall_hosts::host::OnError;
use landfall_hosts::lock::Lock;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::medium::Unattended;
use std::collections::BTreeMap;
use std::io::Read;
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

/// The host that a medium installs with nobody watching.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched<'a> {
    /// Its name.
    pub host: &'a str,
    /// What becomes of a refusal or a failure.
    pub on_error: OnError,
}

/// Makes a composed medium install a host by itself: a new install id, and the host's identity,
/// bare, in its one named file.
///
/// # Errors
/// If the identity cannot be opened or the image cannot be written.
pub fn make_unattended(
    places: &BuildPlaces,
    lock: &Lock,
    image: &Path,
    unwatched: Unwatched<'_>,
    identity: Option<PathBuf>,
) -> Result<(), BuildError> {
    let secret = host_identity(&places.site, unwatched.host, &admin(identity)?)?;
    let identities = BTreeMap::from([(unwatched.host, Identity::Bare(secret.expose_secret()))]);
    put(places, lock, image, Some(unwatched), identities)
}

/// Gives a composed medium that a person starts a new install id, and what each host's identity is
/// there.
///
/// # Errors
/// If the image cannot be written.
pub fn make_attended(
    places: &BuildPlaces,
    lock: &Lock,
    image: &Path,
    identities: BTreeMap<&str, Identity<'_>>,
) -> Result<(), BuildError> {
    put(places, lock, image, None, identities)
}

fn put(
    places: &BuildPlaces,
    lock: &Lock,
    image: &Path,
    unwatched: Option<Unwatched<'_>>,
    identities: BTreeMap<&str, Identity<'_>>,
) -> Result<(), BuildError> {
    let mark = Unattended {
        format: 1,
        install_id: new_install_id()?,
        host: unwatched.map(|unwatched| unwatched.host.to_owned()),
        state: "pending".to_owned(),
        on_error: unwatched.map(|unwatched| unwatched.on_error).unwrap_or_default(),
    };
    Ok(personalise(image, &places.tools(lock), &Personal { unattended: &mark, identities })?)
}

/// 16 hex digits that nobody can guess or repeat.
fn new_install_id() -> Result<String, BuildError> {
    let mut bytes = [0_u8; 8];
    let path = Path::new("/dev/urandom");
    let mut random = std::fs::File::open(path).map_err(BuildError::io("opening", path))?;
    random.read_exact(&mut bytes).map_err(BuildError::io("reading", path))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The admin's key, without asking anybody.
///
/// # Errors
/// If there is none, or it wants a passphrase.
pub fn admin(identity: Option<PathBuf>) -> Result<AdminIdentities, BuildError> {
    let file = KeyPlaces::of_user(identity).find()?;
    Ok(AdminIdentities::load(&file, &Nobody)?)
}
