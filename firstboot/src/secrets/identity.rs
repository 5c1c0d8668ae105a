//! The machine's age identity: bare until first boot seals it, then a `systemd-creds` blob.

use crate::error::{Error, Result};
use crate::files;
use crate::roots::Roots;
use crate::tools::{Call, Commands, Tool};
use std::io::BufReader;
use std::time::Duration;
use zeroize::Zeroizing;

/// The name that the sealed blob is bound to, so that no other credential can stand in for it.
const CREDENTIAL: &str = "landfall-identity";
/// A TPM may take its time, and at early boot it may still be busy.
const TPM_LIMIT: Duration = Duration::from_secs(45);
/// Most keys that one machine has at a time; two while rotating.
const MAX_KEYS: usize = 16;

/// Keys that open this machine's secrets.
pub type Keys = Vec<Box<dyn age::Identity + Send + Sync>>;

/// The machine's keys; none while it waits for an identity.
pub fn load(roots: &Roots, commands: &dyn Commands) -> Result<Option<Keys>> {
    // The bare one is newer when both are there: an installer or a deploy put it down, unsealed yet.
    let bare = roots.identity_bare();
    match files::read(&bare) {
        Ok(text) => return parse(&text, "the machine's identity").map(Some),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    if !roots.identity_sealed().exists() {
        return Ok(None);
    }
    let text = unseal(roots, commands)?;
    parse(&text, "the machine's sealed identity").map(Some)
}

/// Parses `AGE-SECRET-KEY` lines; <https://age-encryption.org/v1>, and the comments that
/// `age-keygen` writes.
pub fn parse(text: &[u8], what: &str) -> Result<Keys> {
    let file = age::IdentityFile::from_buffer(BufReader::new(text)).map_err(|_| {
        Error::bad(what, "it is not an age identity; install the machine again or give it a new one")
    })?;
    let keys =
        file.into_identities().map_err(|_| Error::bad(what, "its keys cannot be used on a machine"))?;
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(Error::bad(what, format!("it holds {} keys; one is enough", keys.len())));
    }
    Ok(keys)
}

/// Seals the bare identity, proves that the blob opens, and only then erases the bare one.
/// Returns how it is bound now, or none if there was nothing to seal.
pub fn seal(roots: &Roots, commands: &dyn Commands) -> Result<Option<&'static str>> {
    let bare = roots.identity_bare();
    let text = match files::read(&bare) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    parse(&text, "the machine's identity")?;
    let key = binding(commands);
    let blob = encrypt(&text, key, commands)?;
    let again = decrypt(&blob, commands)?;
    if *again != *text {
        return Err(Error::Refused(
            "sealing the identity: what was sealed does not open to the same bytes; the bare identity is kept".into(),
        ));
    }
    files::replace(&roots.identity_sealed(), &blob, files::Access::ROOT_ONLY)?;
    files::erase(&bare)?;
    Ok(Some(key))
}

/// `systemd-creds has-tpm2` succeeds only with firmware, driver and libraries all there.
fn binding(commands: &dyn Commands) -> &'static str {
    let asked = commands.run(&Call::new(Tool::SystemdCreds, &["has-tpm2", "--quiet"]));
    if asked.is_ok_and(|finished| finished.code == Some(0)) { "host+tpm2" } else { "host" }
}

fn encrypt(text: &[u8], key: &str, commands: &dyn Commands) -> Result<Zeroizing<Vec<u8>>> {
    let (name, with) = (format!("--name={CREDENTIAL}"), format!("--with-key={key}"));
    let mut args = vec!["encrypt", name.as_str(), with.as_str()];
    if key == "host+tpm2" {
        // systemd-creds(1): empty binds to no PCR, so a firmware update does not lose the identity.
        args.push("--tpm2-pcrs=");
    }
    args.extend(["-", "-"]);
    let call = Call::new(Tool::SystemdCreds, &args);
    commands.check(&call.stdin(text).limit(TPM_LIMIT), "sealing the identity")
}

fn decrypt(blob: &[u8], commands: &dyn Commands) -> Result<Zeroizing<Vec<u8>>> {
    let name = format!("--name={CREDENTIAL}");
    let args = ["decrypt", name.as_str(), "-", "-"];
    let call = Call::new(Tool::SystemdCreds, &args);
    commands.check(&call.stdin(blob).limit(TPM_LIMIT), "opening the sealed identity")
}

fn unseal(roots: &Roots, commands: &dyn Commands) -> Result<Zeroizing<Vec<u8>>> {
    let blob = files::read(&roots.identity_sealed())?;
    decrypt(&blob, commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{Finished, fake};
    use age::secrecy::ExposeSecret;

    /// Seals by reversing, so that a test sees whether the blob or the text was stored.
    fn creds(code: i32) -> fake::FakeCommands {
        let mut commands = fake::FakeCommands::default();
        commands.answers.push(Box::new(move |call| {
            let mut bytes = call.stdin.unwrap_or_default().to_vec();
            if call.args.first() == Some(&"decrypt") && code != 0 {
                bytes.push(b'x');
            }
            bytes.reverse();
            Some(Finished { code: Some(0), stdout: Zeroizing::new(bytes), stderr: String::new() })
        }));
        commands
    }

    fn machine_with_bare() -> (tempfile::TempDir, Roots, String) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        std::fs::create_dir_all(roots.state("")).unwrap();
        let key = age::x25519::Identity::generate().to_string();
        // As the medium's fixed file leaves it: padded with newlines.
        let text = format!("# made by a test\n{}\n\n\n\n", key.expose_secret());
        std::fs::write(roots.identity_bare(), &text).unwrap();
        (dir, roots, text)
    }

    #[test]
    fn sealing_takes_the_bare_one_away_and_the_blob_opens() {
        let (_dir, roots, text) = machine_with_bare();
        let commands = creds(0);
        assert!(load(&roots, &commands).unwrap().is_some());
        assert_eq!(seal(&roots, &commands).unwrap(), Some("host+tpm2"));
        assert!(!roots.identity_bare().exists());
        assert_ne!(std::fs::read(roots.identity_sealed()).unwrap(), text.as_bytes());
        assert_eq!(load(&roots, &commands).unwrap().unwrap().len(), 1);
        assert_eq!(seal(&roots, &commands).unwrap(), None);
        assert!(commands.calls.borrow().iter().all(|call| !call.contains("AGE-SECRET")));
    }

    #[test]
    fn a_blob_that_does_not_open_keeps_the_bare_one() {
        let (_dir, roots, _) = machine_with_bare();
        assert!(seal(&roots, &creds(1)).is_err());
        assert!(roots.identity_bare().exists());
        assert!(!roots.identity_sealed().exists());
    }

    #[test]
    fn without_any_identity_it_waits() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        assert!(load(&roots, &creds(0)).unwrap().is_none());
    }

    #[test]
    fn hostile_identities_are_refused_without_showing_them() {
        for text in [
            &b""[..],
            b"\n\n\n",
            b"AGE-SECRET-KEY-1NOTAKEY",
            b"\xff\xfe",
            b"-----BEGIN OPENSSH PRIVATE KEY-----",
        ] {
            let error = parse(text, "it").err().unwrap().to_string();
            assert!(!error.contains("NOTAKEY"), "{error}");
        }
    }
}
