//! Key slots that the TPM opens: made by systemd-cryptenroll(1), opened through its token by
//! cryptsetup(8).

use super::cryptsetup::Volume;
use super::pipe::KeyPipe;
use crate::error::{Error, Result};
use crate::mounts::{Kind, Mount, make_folder};
use crate::roots::Roots;
use crate::{tools, tree};
use age::secrecy::{ExposeSecret, SecretString};
use landfall_measure::{Header, Pcrs, SECURITY, Tpm, TpmSlot, credential, enrol_arguments};
use rustix::mount::MountFlags;
use std::path::{Path, PathBuf};

/// A volume's header, the machine's TPM, and what its PCRs are now.
#[derive(Debug)]
pub struct Token {
    /// The header.
    pub header: Header,
    /// The present values.
    pub now: Pcrs,
}

impl Token {
    /// Reads both; none where the machine has no TPM 2 that can be
    /// used.
    pub fn read(roots: &Roots, volume: &Volume) -> Result<Option<Self>> {
        let Some(tpm) = Tpm::find(&roots.sys) else {
            return Ok(None);
        };
        let now = tpm.now().map_err(Error::Words)?;
        Ok(Some(Self { header: volume.header()?, now }))
    }

    /// The slot that this start opens.
    pub fn opens(&self) -> Option<&TpmSlot> {
        self.header.opens_at(&self.now)
    }
}

/// Sealing a further key slot.
pub struct Sealing<'a> {
    /// Where secrets stand in memory for as long as a program runs.
    pub roots: &'a Roots,
    /// The volume.
    pub volume: &'a Volume,
    /// What opens it.
    pub key: &'a SecretString,
}

impl Sealing<'_> {
    /// Adds a slot that opens while the PCRs are `pcrs`, with a PIN where one is given.
    pub fn add(&self, pcrs: &Pcrs, pin: Option<&SecretString>) -> Result<()> {
        let key = KeyPipe::new(self.key.expose_secret().as_bytes())?;
        let pin = pin.map(|pin| Credential::new(self.roots, credential::NEW_PIN, pin)).transpose()?;
        let device = self.volume.path().to_string_lossy();
        let mut arguments = vec![format!("--unlock-key-file={}", key.path())];
        arguments.extend(enrol_arguments(&device, pcrs, pin.is_some()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let credentials = pin.as_ref().map(|pin| pin.folder.as_path());
        let secrets = tools::Secrets { stdin: None, credentials };
        let ended = tools::run_with("systemd-cryptenroll", &arguments, secrets)?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(Error::Program {
                program: format!("systemd-cryptenroll {device}"),
                why: tools::tail(&ended.output),
            }),
        }
    }
}

/// A credential in a file of the initrd's memory, which is never swapped; its folder goes with the value.
struct Credential {
    folder: PathBuf,
}

impl Credential {
    fn new(roots: &Roots, name: &str, secret: &SecretString) -> Result<Self> {
        let folder = roots.run.join("landfall/credentials");
        make_folder(&folder)?;
        let credential = Self { folder };
        tree::write(&credential.folder.join(name), secret.expose_secret().as_bytes(), 0o600)?;
        Ok(credential)
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        // With its folder: a write that failed halfway leaves a file of another name.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Mounts securityfs, which has the firmware's log of measurements; it may be there already.
pub fn securityfs(roots: &Roots) -> Result<Option<Mount>> {
    let target = roots.sys.join(SECURITY);
    if target.join("tpm0").exists() {
        return Ok(None);
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let kind = Kind { name: "securityfs", flags, options: "" };
    Mount::new(Path::new("securityfs"), &target, kind).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_the_owners_alone_and_goes_with_its_value() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        let secret = SecretString::from("1234 geheim".to_owned());
        let credential = Credential::new(&roots, credential::NEW_PIN, &secret).unwrap();
        let file = credential.folder.join("cryptenroll.new-tpm2-pin");
        assert_eq!(std::fs::read(&file).unwrap(), b"1234 geheim");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let folder = credential.folder.clone();
        drop(credential);
        assert!(!folder.exists());
    }
}
