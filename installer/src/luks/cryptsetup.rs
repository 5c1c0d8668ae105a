//! cryptsetup(8), called with keys that come through pipes.

use super::pipe::KeyPipe;
use super::recovery::RecoveryKey;
use crate::error::{Error, Result};
use crate::tools;
use age::secrecy::{ExposeSecret, SecretString};
use landfall_measure::Header;
use std::path::{Path, PathBuf};

/// Name of the opened volume, below `/dev/mapper`.
const NAME: &str = "landfall";
/// How the data of every volume that is made here is encrypted.
pub const CIPHER: &str = "aes-xts-plain64";
/// Key slot of the passphrase.
const PASSPHRASE_SLOT: &str = "0";
/// Key slot of the recovery key.
const RECOVERY_SLOT: &str = "1";
/// How long an attempt may take on this machine, in milliseconds.
const HASH_MS: &str = "2000";
/// cryptsetup(8), RETURN CODES: no permission, which is a wrong passphrase.
const WRONG_KEY: i32 = 2;

/// A partition that is, or becomes, a LUKS2 volume.
#[derive(Debug, Clone)]
pub struct Volume {
    device: PathBuf,
}

/// An opened volume; closed when the value goes.
#[derive(Debug)]
pub struct Opened {
    path: Option<PathBuf>,
}

impl Volume {
    /// The volume on a partition; nothing is read yet.
    pub fn on(device: &Path) -> Self {
        Self { device: device.to_owned() }
    }

    /// Whether the partition has a LUKS2 header.
    pub fn is_there(&self) -> Result<bool> {
        let ended = tools::run("cryptsetup", &["isLuks", "--type", "luks2", &self.device()])?;
        Ok(ended.code == Some(0))
    }

    /// Makes the volume anew, with the recovery key as its only key.
    ///
    /// Sectors of 4096 bytes: partitions are aligned to them, and they are what the file system
    /// writes.
    pub fn format(&self, recovery: &RecoveryKey) -> Result<()> {
        let key = pipe(recovery.secret())?;
        let mut arguments = vec!["luksFormat", "--batch-mode", "--type", "luks2"];
        arguments.extend(["--cipher", CIPHER, "--key-size", "512", "--hash", "sha256"]);
        arguments.extend(["--sector-size", "4096", "--key-slot", RECOVERY_SLOT]);
        // What systemd-cryptenroll takes for recovery keys: no hash makes 256 random bits safer.
        arguments.extend(["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]);
        let (from, device) = (key.path(), self.device());
        arguments.extend(["--key-file", &from, &device]);
        tools::must("cryptsetup", &arguments).map(drop)
    }

    /// Adds the passphrase, hashed by argon2id with at most `memory_kib`.
    pub fn add_passphrase(
        &self,
        recovery: &RecoveryKey,
        passphrase: &SecretString,
        memory_kib: u64,
    ) -> Result<()> {
        let (key, new) = (pipe(recovery.secret())?, pipe(passphrase)?);
        let memory = memory_kib.to_string();
        let mut arguments = vec!["luksAddKey", "--batch-mode", "--key-slot", PASSPHRASE_SLOT];
        arguments.extend(["--pbkdf", "argon2id", "--pbkdf-memory", &memory, "--iter-time", HASH_MS]);
        let (from, device, to) = (key.path(), self.device(), new.path());
        arguments.extend(["--key-file", &from, &device, &to]);
        tools::must("cryptsetup", &arguments).map(drop)
    }

    /// Opens it. None where the key is not one of its keys.
    ///
    /// Discards pass: they show which blocks are unused, and keep flash from wearing out.
    pub fn open(&self, key: &SecretString) -> Result<Option<Opened>> {
        self.opened(&["open", "--type", "luks2", "--allow-discards"], key)
    }

    /// Opens it so that nothing can be written to it. None where the key is not one of its keys.
    pub fn open_for_reading(&self, key: &SecretString) -> Result<Option<Opened>> {
        self.opened(&["open", "--type", "luks2", "--readonly"], key)
    }

    fn opened(&self, arguments: &[&str], key: &SecretString) -> Result<Option<Opened>> {
        let opens = self.try_key(arguments, key, &[NAME])?;
        Ok(opens.then(|| Opened { path: Some(Path::new("/dev/mapper").join(NAME)) }))
    }

    /// Whether the key is one of its keys.
    pub fn knows(&self, key: &SecretString) -> Result<bool> {
        self.try_key(&["open", "--type", "luks2", "--test-passphrase"], key, &[])
    }

    /// Opens it by one of its tokens, with a PIN where the token wants one. What the program said,
    /// where it does not open.
    pub fn open_by_token(
        &self,
        token: u32,
        pin: Option<&SecretString>,
    ) -> Result<std::result::Result<Opened, String>> {
        let stdin = pin.map(pipe).transpose()?.map(KeyPipe::stdin);
        let (number, device) = (token.to_string(), self.device());
        let mut arguments = vec!["open", "--type", "luks2", "--allow-discards", "--token-only"];
        arguments.extend(["--token-id", &number, "--tries", "1", &device, NAME]);
        let secrets = tools::Secrets { stdin, credentials: None };
        let ended = tools::run_with("cryptsetup", &arguments, secrets)?;
        Ok(match ended.code {
            Some(0) => Ok(Opened { path: Some(Path::new("/dev/mapper").join(NAME)) }),
            _ => Err(tools::tail(&ended.output)),
        })
    }

    /// What its header says of slots for the TPM, and of the volume itself.
    pub fn header(&self) -> Result<Header> {
        let device = self.device();
        let json = tools::must("cryptsetup", &["luksDump", "--dump-json-metadata", &device])?;
        Header::parse(&json).map_err(|error| Error::parse(device, error))
    }

    /// Removes a key slot and its token.
    pub fn wipe(&self, keyslot: u32) -> Result<()> {
        let (slot, device) = (format!("--wipe-slot={keyslot}"), self.device());
        tools::must("systemd-cryptenroll", &[&slot, &device]).map(drop)
    }

    /// The partition's device.
    pub fn path(&self) -> &Path {
        &self.device
    }

    fn try_key(&self, arguments: &[&str], key: &SecretString, last: &[&str]) -> Result<bool> {
        let pipe = pipe(key)?;
        let (from, device) = (pipe.path(), self.device());
        let mut arguments = arguments.to_vec();
        arguments.extend(["--key-file", &from, &device]);
        arguments.extend(last);
        let ended = tools::run("cryptsetup", &arguments)?;
        match ended.code {
            Some(0) => Ok(true),
            Some(WRONG_KEY) => Ok(false),
            _ => Err(Error::Program {
                program: format!("cryptsetup open {device}"),
                why: tools::tail(&ended.output),
            }),
        }
    }

    fn device(&self) -> String {
        self.device.to_string_lossy().into_owned()
    }
}

fn pipe(key: &SecretString) -> Result<KeyPipe> {
    KeyPipe::new(key.expose_secret().as_bytes())
}

impl Opened {
    /// The device that holds the file system.
    pub fn path(&self) -> PathBuf {
        self.path.clone().unwrap_or_default()
    }

    /// Leaves it open for the machine's whole run.
    pub fn keep(mut self) -> PathBuf {
        self.path.take().unwrap_or_default()
    }

    /// Closes it now, saying why where that fails.
    pub fn close(mut self) -> Result<()> {
        match self.path.take() {
            Some(_) => tools::must("cryptsetup", &["close", NAME]).map(drop),
            None => Ok(()),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.path.is_some() {
            let _ = tools::run("cryptsetup", &["close", NAME]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a file, which cryptsetup takes like a device for everything but opening.
    #[test]
    fn a_volume_has_a_slot_for_each_key_and_knows_no_other() {
        if tools::find("cryptsetup").is_none() {
            eprintln!("not tested: this computer has no cryptsetup");
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(32 << 20).unwrap();
        let volume = Volume::on(file.path());
        assert!(!volume.is_there().unwrap());
        let recovery = RecoveryKey::random().unwrap();
        let secret = |text: &str| SecretString::from(text.to_owned());
        volume.format(&recovery).unwrap();
        volume.add_passphrase(&recovery, &secret("ein paß-wort, yz"), 32 * 1024).unwrap();
        assert!(volume.is_there().unwrap());
        assert!(volume.knows(&secret("ein paß-wort, yz")).unwrap());
        assert!(volume.knows(recovery.secret()).unwrap());
        assert!(!volume.knows(&secret("ein pass-wort, yz")).unwrap());
        let absent = Volume::on(Path::new("/no/such")).knows(recovery.secret()).unwrap_err().chain();
        assert!(
            absent.contains("/no/such") && !absent.contains(recovery.secret().expose_secret()),
            "{absent}"
        );
    }
}
