//! A host's own key: `identities/HOST.pub` in the clear, `identities/HOST.age` to the admins.

use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::crypt::{self, CIPHERTEXT_LIMIT_BYTES};
use super::files::{self, MODE_PUBLIC};
use super::recipients::spellings;
use super::{AdminIdentities, Recipient, Record, SecretsError};

/// The folder of host identities in a site.
pub const IDENTITIES: &str = "identities";
const PUB_LIMIT_BYTES: u64 = 64 * 1024;
/// How the text of an X25519 identity starts (<https://age-encryption.org/v1>).
const SECRET_PREFIX: &str = "AGE-SECRET-KEY-1";

/// Refuses a name that could leave its folder or that no host can have (RFC 1123, one label).
pub fn check_host_name(name: &str) -> Result<(), SecretsError> {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if name.is_empty() || name.len() > 63 || !letters || name.starts_with('-') || name.ends_with('-') {
        return Err(SecretsError::BadName {
            name: name.chars().take(80).collect(),
            reason: "a host's name is 1 to 63 of a-z, 0-9 and -, and neither starts nor ends with -",
        });
    }
    Ok(())
}

/// The public half's place in a site.
pub fn public_path(site: &Path, host: &str) -> PathBuf {
    site.join(IDENTITIES).join(format!("{host}.pub"))
}

fn secret_name(host: &str) -> String {
    format!("{IDENTITIES}/{host}.age")
}

/// The secret half's place in a site.
pub fn secret_path(site: &Path, host: &str) -> PathBuf {
    site.join(secret_name(host))
}

/// Makes a host's identity: the secret half encrypted to all admins, then the public half.
///
/// Needs no admin's secret key: whoever can write to the site may add a host.
pub fn create(site: &Path, host: &str, admins: &[Recipient]) -> Result<Recipient, SecretsError> {
    check_host_name(host)?;
    for path in [public_path(site, host), secret_path(site, host)] {
        if path.exists() {
            return Err(SecretsError::Exists {
                path,
                remedy: format!(
                    "this host has its key already; `landfall host add {host} --replace` makes another"
                ),
            });
        }
    }
    replace(site, host, admins)
}

/// Makes a host's identity anew. The machine that has the old one reads nothing that is encrypted
/// from now on, until it gets the new one.
pub fn replace(site: &Path, host: &str, admins: &[Recipient]) -> Result<Recipient, SecretsError> {
    check_host_name(host)?;
    if admins.is_empty() {
        return Err(SecretsError::NoAdmins { what: format!("the identity of {host}") });
    }
    let identity = age::x25519::Identity::generate();
    let public = identity.to_public().to_string();
    let key = identity.to_string();
    let text = Zeroizing::new(format!("# host {host}\n# public key: {public}\n{}\n", key.expose_secret()));
    let file = crypt::encrypt(text.as_bytes(), admins, &format!("the identity of {host}"))?;
    // The secret half first: a public half alone would have secrets encrypted to a lost key.
    files::replace(&secret_path(site, host), &file, MODE_PUBLIC)?;
    let mut record = Record::load(site)?;
    record.note(site, &secret_name(host), &file, spellings(admins))?;
    files::replace(&public_path(site, host), format!("{public}\n").as_bytes(), MODE_PUBLIC)?;
    Recipient::parse(&public, host)
}

/// The host's public keys, newest first; none if the host has no identity yet.
pub fn public_keys(site: &Path, host: &str) -> Result<Vec<Recipient>, SecretsError> {
    check_host_name(host)?;
    let path = public_path(site, host);
    let Some(bytes) = files::read_optional(&path, PUB_LIMIT_BYTES)? else {
        return Ok(Vec::new());
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretsError::Format {
        path: path.clone(),
        reason: "it is not text; each line must be an age1… key".to_string(),
    })?;
    Recipient::parse_lines(text, &path.display().to_string())
}

/// Decrypts a host's identity with an admin's key: the `AGE-SECRET-KEY-1…` lines alone.
pub fn host_identity(site: &Path, host: &str, admin: &AdminIdentities) -> Result<SecretString, SecretsError> {
    check_host_name(host)?;
    let path = secret_path(site, host);
    let bytes = files::read_optional(&path, CIPHERTEXT_LIMIT_BYTES)?.ok_or_else(|| SecretsError::Format {
        path: path.clone(),
        reason: format!("it is not there; run `landfall host add {host}`"),
    })?;
    let what = format!("the identity of {host} ({})", path.display());
    let plain = crypt::decrypt(&bytes, admin.keys(), &what)?;
    key_lines(plain.expose_secret()).ok_or_else(|| SecretsError::Decrypt {
        what,
        reason: "it decrypts, and holds no age identity; make it anew with `landfall host rm` and `host add`"
            .to_string(),
    })
}

fn key_lines(plain: &[u8]) -> Option<SecretString> {
    let text = std::str::from_utf8(plain).ok()?;
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with(SECRET_PREFIX));
    let mut keys = Zeroizing::new(String::with_capacity(text.len() + 1));
    for line in lines {
        line.parse::<age::x25519::Identity>().ok()?;
        keys.push_str(line);
        keys.push('\n');
    }
    (!keys.is_empty()).then(|| SecretString::from(keys.as_str()))
}

/// Wraps a host's identity under a passphrase that is typed at the machine, for an attended stick.
pub fn wrap_identity_for_stick(
    identity: &SecretString,
    passphrase: SecretString,
) -> Result<Vec<u8>, SecretsError> {
    if passphrase.expose_secret().is_empty() {
        return Err(SecretsError::Encrypt {
            what: "the stick's identity".to_string(),
            reason: "the passphrase is empty; type one".to_string(),
        });
    }
    crypt::encrypt_with_passphrase(identity.expose_secret().as_bytes(), passphrase, "the stick's identity")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Nobody;

    fn admin(folder: &Path) -> (Recipient, AdminIdentities) {
        let identity = age::x25519::Identity::generate();
        let path = folder.join("admin.txt");
        std::fs::write(&path, identity.to_string().expose_secret()).unwrap();
        (
            Recipient::parse(&identity.to_public().to_string(), "sam").unwrap(),
            AdminIdentities::load(&path, &Nobody).unwrap(),
        )
    }

    #[test]
    fn creates_once_and_comes_back() {
        let site = tempfile::tempdir().unwrap();
        let keys = tempfile::tempdir().unwrap();
        let (recipient, admin) = admin(keys.path());
        let public = create(site.path(), "vm", std::slice::from_ref(&recipient)).unwrap();
        let secret = host_identity(site.path(), "vm", &admin).unwrap();
        let parsed: age::x25519::Identity = secret.expose_secret().trim().parse().unwrap();
        assert_eq!(parsed.to_public().to_string(), public.as_str());
        assert_eq!(public_keys(site.path(), "vm").unwrap()[0].as_str(), public.as_str());
        let again = create(site.path(), "vm", &[recipient]).unwrap_err();
        assert!(again.to_string().contains("--replace"));
        for file in ["vm.pub", "vm.age"] {
            let bytes = std::fs::read(site.path().join(IDENTITIES).join(file)).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("AGE-SECRET"));
        }
    }

    #[test]
    fn needs_an_admin_and_a_sane_name() {
        let site = tempfile::tempdir().unwrap();
        let keys = tempfile::tempdir().unwrap();
        let (recipient, admin) = admin(keys.path());
        assert!(matches!(create(site.path(), "vm", &[]), Err(SecretsError::NoAdmins { .. })));
        for bad in ["", "../x", "a/b", "A", "-a", "a-", "a.b", &"a".repeat(64)] {
            assert!(create(site.path(), bad, std::slice::from_ref(&recipient)).is_err(), "{bad}");
            assert!(host_identity(site.path(), bad, &admin).is_err());
        }
    }

    #[test]
    fn the_wrapped_identity_survives_the_padding_of_its_slot() {
        let identity = age::x25519::Identity::generate().to_string();
        let mut wrapped = wrap_identity_for_stick(&identity, SecretString::from("boat")).unwrap();
        assert!(wrapped.len() <= landfall_hosts::medium::IDENTITY_SIZE);
        wrapped.resize(landfall_hosts::medium::IDENTITY_SIZE, b'\n');
        let open = |word: &str| crypt::decrypt_with_passphrase(&wrapped, SecretString::from(word), "stick");
        assert_eq!(open("boat").unwrap().expose_secret(), identity.expose_secret().as_bytes());
        assert!(open("ship").is_err());
        assert!(wrap_identity_for_stick(&identity, SecretString::from("")).is_err());
    }

    #[test]
    fn a_host_file_that_is_no_identity_is_refused_without_its_text() {
        let site = tempfile::tempdir().unwrap();
        let keys = tempfile::tempdir().unwrap();
        let (recipient, admin) = admin(keys.path());
        for plain in ["hunter2", "AGE-SECRET-KEY-1HUNTER2", ""] {
            let file = crypt::encrypt(plain.as_bytes(), std::slice::from_ref(&recipient), "x").unwrap();
            files::replace(&secret_path(site.path(), "vm"), &file, MODE_PUBLIC).unwrap();
            let error = host_identity(site.path(), "vm", &admin).unwrap_err().to_string();
            assert!(!error.to_lowercase().contains("hunter2"), "{error}");
        }
        let none = host_identity(site.path(), "other", &admin).unwrap_err().to_string();
        assert!(none.contains("landfall host add other"), "{none}");
    }
}
