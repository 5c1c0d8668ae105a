//! The admin's own key: found, and unlocked once.

use std::fmt;
use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::crypt::{decrypt_with_passphrase, needs_passphrase};
use super::files::read_bounded;
use super::{Prompt, SecretsError, ssh_numbers};

/// Largest key file that is read.
const KEY_FILE_LIMIT_BYTES: u64 = 64 * 1024;

/// Keys that can decrypt, and the file that they came from. Its `Debug` shows the file alone.
pub struct AdminIdentities {
    source: PathBuf,
    keys: Vec<Box<dyn age::Identity + Send + Sync>>,
}

impl fmt::Debug for AdminIdentities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminIdentities").field("source", &self.source).finish_non_exhaustive()
    }
}

impl AdminIdentities {
    /// Opens the key file that `find` chose; a key under a passphrase is unlocked here, once.
    pub fn load(path: &Path, prompt: &dyn Prompt) -> Result<Self, SecretsError> {
        let bytes = Zeroizing::new(read_bounded(path, KEY_FILE_LIMIT_BYTES)?);
        let keys = parse(path, &bytes, prompt)?;
        Ok(Self { source: path.to_path_buf(), keys })
    }

    /// Identities from text already in memory, for a host's own key.
    pub fn from_text(text: &SecretString, name: &Path) -> Result<Self, SecretsError> {
        Ok(Self { source: name.to_path_buf(), keys: parse_plain(name, text.expose_secret().as_bytes())? })
    }

    /// The file that the keys came from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    pub(crate) fn keys(&self) -> &[Box<dyn age::Identity + Send + Sync>] {
        &self.keys
    }
}

/// Where an admin's key may be; the caller says where home is.
#[derive(Debug, Clone)]
pub struct KeyPlaces {
    /// `--identity FILE`: then nothing else is looked at.
    pub explicit: Option<PathBuf>,
    /// The user's configuration folder (`~/.config`).
    pub config: Option<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
}

impl KeyPlaces {
    /// The places of the user who runs this program.
    pub fn of_user(explicit: Option<PathBuf>) -> Self {
        let folder = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = folder("HOME");
        Self {
            explicit,
            config: folder("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|h| h.join(".config"))),
            home,
        }
    }

    /// The file that `--identity` names, else `landfall/identity.txt` in the configuration
    /// folder, else `~/.ssh/id_ed25519`.
    pub fn find(&self) -> Result<PathBuf, SecretsError> {
        if let Some(path) = &self.explicit {
            return Ok(path.clone());
        }
        let places: Vec<PathBuf> = [
            self.config.as_ref().map(|c| c.join("landfall/identity.txt")),
            self.home.as_ref().map(|h| h.join(".ssh/id_ed25519")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let Some(found) = places.iter().find(|path| path.is_file()) {
            return Ok(found.clone());
        }
        let tried: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        Err(SecretsError::NoAdminKey {
            tried: if tried.is_empty() {
                "any known place ($HOME is not set)".to_string()
            } else {
                tried.join(" or ")
            },
        })
    }
}

fn parse(
    path: &Path,
    bytes: &[u8],
    prompt: &dyn Prompt,
) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>, SecretsError> {
    if bytes.starts_with(b"-----BEGIN OPENSSH") || bytes.starts_with(b"-----BEGIN RSA") {
        return parse_ssh(path, bytes, prompt);
    }
    if bytes.starts_with(b"age-encryption.org/") || bytes.starts_with(b"-----BEGIN AGE") {
        if !needs_passphrase(bytes) {
            return Err(bad(path, "it is encrypted to a key, and not under a passphrase"));
        }
        let what = format!("the passphrase of {}", path.display());
        let plain = decrypt_with_passphrase(bytes, prompt.ask(&what)?, &path.display().to_string())?;
        return parse_plain(path, plain.expose_secret());
    }
    parse_plain(path, bytes)
}

fn parse_plain(path: &Path, bytes: &[u8]) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>, SecretsError> {
    let file = age::IdentityFile::from_buffer(bytes).map_err(|error| {
        // age names the line's number and never its content.
        bad(
            path,
            &format!("{error}; it must be an age identity (AGE-SECRET-KEY-1…) or an OpenSSH private key"),
        )
    })?;
    let keys = file.into_identities().map_err(|error| bad(path, &error.to_string()))?;
    if keys.is_empty() {
        return Err(bad(path, "it holds no key; make one with `age-keygen`"));
    }
    Ok(keys)
}

fn parse_ssh(
    path: &Path,
    bytes: &[u8],
    prompt: &dyn Prompt,
) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>, SecretsError> {
    if ssh_numbers::file_has_zero(bytes) {
        return Err(bad(path, "one of its numbers is zero"));
    }
    let name = Some(path.display().to_string());
    let identity = age::ssh::Identity::from_buffer(bytes, name)
        .map_err(|_| bad(path, "it is not a whole OpenSSH private key"))?;
    match identity {
        key @ age::ssh::Identity::Unencrypted(_) => Ok(vec![Box::new(key)]),
        age::ssh::Identity::Encrypted(locked) => {
            let what = format!("the passphrase of {}", path.display());
            let key = locked.decrypt(prompt.ask(&what)?).map_err(|_| bad(path, "the passphrase is wrong"))?;
            Ok(vec![Box::new(age::ssh::Identity::from(key))])
        }
        age::ssh::Identity::Unsupported(_) => {
            Err(bad(path, "this kind of SSH key cannot decrypt; ssh-ed25519 and ssh-rsa can"))
        }
    }
}

fn bad(path: &Path, reason: &str) -> SecretsError {
    SecretsError::BadIdentityFile { path: path.to_path_buf(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::crypt::{decrypt, encrypt, encrypt_with_passphrase};
    use crate::secrets::{Nobody, Recipient};

    struct Says(&'static str);

    impl Prompt for Says {
        fn ask(&self, _: &str) -> Result<SecretString, SecretsError> {
            Ok(SecretString::from(self.0))
        }
        fn ask_new(&self, what: &str) -> Result<SecretString, SecretsError> {
            self.ask(what)
        }
    }

    fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn looks_in_order_and_names_the_places() {
        let home = tempfile::tempdir().unwrap();
        let mut places = KeyPlaces {
            explicit: None,
            config: Some(home.path().join(".config")),
            home: Some(home.path().to_path_buf()),
        };
        let error = places.find().unwrap_err().to_string();
        assert!(error.contains("identity.txt") && error.contains("id_ed25519"), "{error}");
        let ssh = write(home.path(), ".ssh/id_ed25519", b"x");
        assert_eq!(places.find().unwrap(), ssh);
        let own = write(home.path(), ".config/landfall/identity.txt", b"x");
        assert_eq!(places.find().unwrap(), own);
        places.explicit = Some(PathBuf::from("elsewhere"));
        assert_eq!(places.find().unwrap(), PathBuf::from("elsewhere"));
    }

    #[test]
    fn opens_plain_and_locked_age_identities() {
        let folder = tempfile::tempdir().unwrap();
        let identity = age::x25519::Identity::generate();
        let recipient = Recipient::parse(&identity.to_public().to_string(), "t").unwrap();
        let text = identity.to_string();
        let plain = write(folder.path(), "plain", text.expose_secret().as_bytes());
        let locked =
            encrypt_with_passphrase(text.expose_secret().as_bytes(), SecretString::from("pw"), "t").unwrap();
        let locked = write(folder.path(), "locked", &locked);
        let secret = encrypt(b"v", &[recipient], "s").unwrap();
        for (path, prompt) in [(&plain, &Nobody as &dyn Prompt), (&locked, &Says("pw"))] {
            let admin = AdminIdentities::load(path, prompt).unwrap();
            assert_eq!(decrypt(&secret, admin.keys(), "s").unwrap().expose_secret(), b"v");
            assert!(!format!("{admin:?}").contains("AGE-SECRET"));
        }
        assert!(AdminIdentities::load(&locked, &Says("no")).is_err());
        assert!(matches!(AdminIdentities::load(&locked, &Nobody), Err(SecretsError::NoTerminal { .. })));
    }

    #[test]
    fn hostile_key_files_are_errors_that_show_no_content() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("empty", &b""[..]),
            ("noise", b"\xff\xfe\x00hunter2"),
            ("line", b"hunter2\n"),
            ("ssh-cut", b"-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n"),
            ("age-cut", b"age-encryption.org/v1\n-> scrypt"),
        ] {
            let path = write(folder.path(), name, bytes);
            let error = AdminIdentities::load(&path, &Nobody).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let large = write(folder.path(), "large", &vec![b'#'; 70_000]);
        assert!(AdminIdentities::load(&large, &Nobody).is_err());
    }
}
