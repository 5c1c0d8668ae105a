//! The site's signing key and its signatures.
//!
//! A signature is a detached minisign file, so that stock `minisign -V` can check it too. The
//! secret half is a minisign secret key file without a password, kept in `signing/site.age`: age
//! protects it, to the admins. Formats: <https://jedisct1.github.io/minisign/>.
//!
//! Signatures are deterministic (plain Ed25519, a comment that the caller chooses and no time of
//! day): signing one manifest twice gives the same file, and so the same image.

mod error;
mod key;

use std::path::Path;

pub use error::SigningError;
pub use key::SigningKey;
pub use landfall_hosts::signature::{SignatureError, Verified, key_id, verify};

use crate::secrets::{
    self, AdminIdentities, CIPHERTEXT_LIMIT_BYTES, ExposeSecret, MODE_PUBLIC, Recipient, Record, SIGNING_KEY,
    SecretsError, spellings,
};

/// Makes the site's signing key, encrypted to the admins, and gives the public half for
/// `[signing] keys` in site.toml.
///
/// # Errors
/// When there is no admin, a key is already there, or it cannot be written.
pub fn create_site_key(site: &Path, admins: &[Recipient]) -> Result<String, SigningError> {
    let path = site.join(SIGNING_KEY);
    if admins.is_empty() {
        return Err(SecretsError::NoAdmins { what: SIGNING_KEY.to_string() }.into());
    }
    if path.exists() {
        let remedy = "its public half belongs into site.toml under [signing] keys".to_string();
        return Err(SecretsError::Exists { path, remedy }.into());
    }
    let key = SigningKey::generate()?;
    let file = secrets::encrypt(key.to_text().as_bytes(), admins, SIGNING_KEY)?;
    secrets::replace(&path, &file, MODE_PUBLIC)?;
    Record::load(site)?.note(site, SIGNING_KEY, &file, spellings(admins))?;
    Ok(key.public_text())
}

/// Opens the site's signing key with an admin's key; `None` if the site has none.
///
/// # Errors
/// When it cannot be decrypted or is no minisign key.
pub fn load_site_key(site: &Path, admin: &AdminIdentities) -> Result<Option<SigningKey>, SigningError> {
    let path = site.join(SIGNING_KEY);
    let Some(bytes) = secrets::read_optional(&path, CIPHERTEXT_LIMIT_BYTES)? else {
        return Ok(None);
    };
    let plain = secrets::decrypt(&bytes, admin.keys(), SIGNING_KEY)?;
    SigningKey::from_text(plain.expose_secret()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Nobody;

    #[test]
    fn a_site_key_signs_and_its_public_half_verifies() {
        let site = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        let admin = Recipient::parse(&identity.to_public().to_string(), "sam").unwrap();
        let public = create_site_key(site.path(), std::slice::from_ref(&admin)).unwrap();
        assert!(create_site_key(site.path(), &[admin]).is_err());
        let file = site.path().join("admin.txt");
        std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
        let keys = AdminIdentities::load(&file, &Nobody).unwrap();
        let key = load_site_key(site.path(), &keys).unwrap().unwrap();
        assert_eq!(key.public_text(), public);
        let one = key.sign(b"manifest", "host=vm serial=3").unwrap();
        assert_eq!(one, key.sign(b"manifest", "host=vm serial=3").unwrap());
        let seen = verify(&[public], b"manifest", &one).unwrap();
        assert_eq!(seen.comment, "host=vm serial=3");
        let stored = std::fs::read(site.path().join(SIGNING_KEY)).unwrap();
        assert!(stored.starts_with(b"-----BEGIN AGE"));
    }

    /// Says nothing where minisign is not installed; its own key files are read in `key.rs`.
    #[test]
    fn stock_minisign_accepts_a_signature() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        let (message, signature) = (folder.path().join("vm.toml"), folder.path().join("vm.toml.minisig"));
        std::fs::write(&message, b"manifest").unwrap();
        std::fs::write(&signature, key.sign(b"manifest", "host=vm").unwrap()).unwrap();
        let check = |key: &str| {
            let mut command = std::process::Command::new("minisign");
            command.args(["-V", "-q", "-P", key, "-m"]).arg(&message).arg("-x").arg(&signature);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status()
        };
        if let Ok(status) = check(&key.public_text()) {
            assert!(status.success());
            assert!(!check(&SigningKey::generate().unwrap().public_text()).unwrap().success());
        }
    }

    #[test]
    fn a_site_without_a_key_has_none_and_a_stranger_gets_none() {
        let site = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        let stranger = AdminIdentities::from_text(&identity.to_string(), Path::new("stranger")).unwrap();
        assert!(load_site_key(site.path(), &stranger).unwrap().is_none());
        let admin = age::x25519::Identity::generate().to_public().to_string();
        create_site_key(site.path(), &[Recipient::parse(&admin, "sam").unwrap()]).unwrap();
        assert!(load_site_key(site.path(), &stranger).is_err());
        assert!(create_site_key(site.path(), &[]).is_err());
    }
}
