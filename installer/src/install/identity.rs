//! The host's age identity: bare on an unattended medium, else wrapped by a passphrase that is
//! asked before anything is written.

use super::dialogue::{Dialogue, Reply};
use super::refusal::Refusal;
use super::way::Went;
use age::DecryptError;
use age::secrecy::{ExposeSecret, SecretString};
use landfall_hosts::paths::data;
use std::fmt;
use std::io::Read;
use std::path::Path;

/// Passphrases that may be tried before the medium says what to do.
const TRIES: u32 = 3;
/// scrypt's work factor: what we write, and the most that is accepted (log2 of N).
const MAX_WORK_FACTOR: u8 = 20;
/// The text that every age X25519 identity has.
const MARK: &str = "AGE-SECRET-KEY-1";

/// An identity's text; never printed.
pub struct Identity(SecretString);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// What goes into the state.
    pub fn text(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The identity of `host`, if the medium has one. None is no error: the machine then has the one
/// that it `kept`, or waits for one.
pub fn take(
    dialogue: &mut Dialogue<'_>,
    folder: &Path,
    host: &str,
    kept: bool,
) -> Result<(Option<Identity>, Went), Refusal> {
    let read = |kind: &str| {
        let path = folder.join(data::IDENTITIES).join(format!("{host}.{kind}"));
        let bytes = std::fs::read(path).unwrap_or_default();
        let end = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
        bytes.get(..end).unwrap_or_default().to_vec()
    };
    let bare = read("key");
    if !bare.is_empty() {
        return Ok((Some(checked(bare, host)?), Went::Silent));
    }
    let wrapped = read("age");
    if wrapped.is_empty() {
        dialogue.consoles().say(match kept {
            true => "The machine keeps its identity.",
            false => "The medium carries no identity: the machine will wait for one.",
        });
        return Ok((None, Went::Silent));
    }
    if dialogue.is_unattended() && kept {
        dialogue.consoles().say("The medium's identity is locked: the machine keeps its own.");
        return Ok((None, Went::Silent));
    }
    if dialogue.is_unattended() {
        return Err(Refusal::new(
            "identity-locked",
            format!("the identity of {host} needs a passphrase, and nobody is there to type it"),
            "choose the attended entry of the boot menu, or flash the medium with --unattended",
        ));
    }
    ask(dialogue, &wrapped, host, kept)
}

fn checked(bytes: Vec<u8>, host: &str) -> Result<Identity, Refusal> {
    let damaged = || {
        Refusal::new(
            "identity-corrupt",
            format!("the identity of {host} on the medium is damaged"),
            "write the medium again",
        )
    };
    let text = String::from_utf8(bytes).map_err(|_| damaged())?;
    let good = text.lines().any(|line| line.trim().starts_with(MARK));
    if !good {
        return Err(damaged());
    }
    Ok(Identity(SecretString::from(format!("{}\n", text.trim()))))
}

fn ask(
    dialogue: &mut Dialogue<'_>,
    wrapped: &[u8],
    host: &str,
    kept: bool,
) -> Result<(Option<Identity>, Went), Refusal> {
    let without = match kept {
        true => "leave the machine the identity that it has",
        false => "install without it: the machine will wait for its identity",
    };
    let items = ["type its passphrase", without];
    let items = items.map(str::to_owned);
    let title = format!("The identity of {host} is locked by a passphrase");
    for _ in 0..TRIES {
        match dialogue.choose("identity", &title, &items) {
            Reply::Back => return Ok((None, Went::Back)),
            Reply::Given(0) => {}
            Reply::Given(_) => {
                dialogue.consoles().say(match kept {
                    true => "The machine keeps its identity.",
                    false => "Installing without an identity: the machine will wait for one.",
                });
                return Ok((None, Went::Answered));
            }
        }
        let passphrase = dialogue.secret("identity-passphrase", &format!("Passphrase of {host}'s identity:"));
        match unwrap(wrapped, passphrase, MAX_WORK_FACTOR) {
            Ok(bytes) => return Ok((Some(checked(bytes, host)?), Went::Answered)),
            Err(why) => dialogue.consoles().say(format!("That did not open it: {why}")),
        }
    }
    Err(Refusal::new(
        "identity-locked",
        format!("the identity of {host} was not opened"),
        "try again with the passphrase that was given when the medium was made, or flash it again",
    ))
}

/// Opens a wrapped identity. `max_work_factor` bounds what its header may ask of this machine: it is
/// scrypt's, as log2 of N.
///
/// # Errors
/// In words, if it is damaged, asks too much, or the passphrase is another.
pub fn unwrap(wrapped: &[u8], passphrase: SecretString, max_work_factor: u8) -> Result<Vec<u8>, String> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(max_work_factor);
    let armored = age::armor::ArmoredReader::new(wrapped);
    let decryptor = age::Decryptor::new(armored).map_err(|error| error.to_string())?;
    let mut reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(words)?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// age's own words shift by what the header asks for, and panic where that is more than 31 above the bound.
fn words(error: DecryptError) -> String {
    match error {
        DecryptError::ExcessiveWork { required, .. } => format!(
            "its passphrase asks for 2^{required} rounds of scrypt, more than landfall ever writes: it is \
             damaged or not from landfall, so flash the medium again"
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_identities_open_with_their_passphrase_alone() {
        let secret = |text: &str| SecretString::from(text.to_owned());
        let mut recipient = age::scrypt::Recipient::new(secret("right"));
        recipient.set_work_factor(10);
        let wrapped = age::encrypt(&recipient, b"# created\nAGE-SECRET-KEY-1ABC\n").unwrap();
        let opened = unwrap(&wrapped, secret("right"), MAX_WORK_FACTOR).unwrap();
        assert!(checked(opened, "vm").unwrap().text().contains(MARK));
        assert!(unwrap(&wrapped, secret("wrong"), MAX_WORK_FACTOR).is_err());
        assert!(unwrap(b"noise", secret("right"), MAX_WORK_FACTOR).is_err());
        let header = "age-encryption.org/v1\n-> scrypt bBjlhJVYZeE4aqUdmtRHfw 128\n";
        let body =
            "pkYlJFuNS8fAYjKHyxNqnVCZW4TQOZ3ZE0dRxKHwkzA\n--- Vn+54jqiiUCE+WZcEVY3f1sqHjlu/z1LCQ/T7Xm7qI0\n";
        let costly = format!("{header}{body}a nonce and a body");
        assert!(unwrap(costly.as_bytes(), secret("right"), 1).unwrap_err().contains("2^128"));
    }

    #[test]
    fn an_identity_is_never_printed() {
        let identity = checked(b"AGE-SECRET-KEY-1ABC".to_vec(), "vm").unwrap();
        assert_eq!(format!("{identity:?}"), "Identity(…)");
        assert_eq!(checked(b"hello".to_vec(), "vm").unwrap_err().slug, "identity-corrupt");
        assert_eq!(checked(vec![0xff; 40], "vm").unwrap_err().slug, "identity-corrupt");
    }
}
