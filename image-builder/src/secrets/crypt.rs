//! Encrypting and decrypting, with bounds on what outside bytes may cost.
//!
//! The format is age v1: <https://age-encryption.org/v1>.

use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{SecretSlice, SecretString};
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use super::{Recipient, SecretsError};

/// Largest secret. A certificate chain or a Wi-Fi profile is far below it.
pub const SECRET_LIMIT_BYTES: usize = 1024 * 1024;
/// Largest age file that is opened: the largest secret, armored, with many recipients.
pub const CIPHERTEXT_LIMIT_BYTES: u64 = 2 * 1024 * 1024;
/// Work for a passphrase of ours, as log2 of scrypt's N: about a second and 256 MiB.
pub const STICK_WORK_LOG2: u8 = 18;
/// Most work that a file may ask of its reader: 1 GiB of memory.
pub const MAX_WORK_LOG2: u8 = 20;

/// Encrypts to `recipients`, armored so that git can show and merge the file as text.
pub fn encrypt(plaintext: &[u8], recipients: &[Recipient], what: &str) -> Result<Vec<u8>, SecretsError> {
    if plaintext.len() > SECRET_LIMIT_BYTES {
        return Err(SecretsError::ValueTooLarge { what: what.to_string(), limit_bytes: SECRET_LIMIT_BYTES });
    }
    let encryptor = Encryptor::with_recipients(recipients.iter().map(Recipient::as_age))
        .map_err(|error| encrypting(what, &error))?;
    write_armored(encryptor, plaintext).map_err(|error| encrypting(what, &error))
}

/// Encrypts under a passphrase with the work factor of a stick.
pub fn encrypt_with_passphrase(
    plaintext: &[u8],
    passphrase: SecretString,
    what: &str,
) -> Result<Vec<u8>, SecretsError> {
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    // age would measure this computer instead; the stick is read by another one.
    recipient.set_work_factor(STICK_WORK_LOG2);
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|error| encrypting(what, &error))?;
    write_armored(encryptor, plaintext).map_err(|error| encrypting(what, &error))
}

fn write_armored(encryptor: Encryptor, plaintext: &[u8]) -> std::io::Result<Vec<u8>> {
    let armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut stream = encryptor.wrap_output(armored)?;
    stream.write_all(plaintext)?;
    stream.finish()?.finish()
}

/// Decrypts an age file, binary or armored, with any of `identities`.
pub fn decrypt(
    ciphertext: &[u8],
    identities: &[Box<dyn age::Identity + Send + Sync>],
    what: &str,
) -> Result<SecretSlice<u8>, SecretsError> {
    let identities = identities.iter().map(|identity| &**identity as &dyn age::Identity);
    open(ciphertext, identities, what)
}

/// Decrypts an age file that a passphrase protects; refuses one that asks for more work than
/// [`MAX_WORK_LOG2`].
pub fn decrypt_with_passphrase(
    ciphertext: &[u8],
    passphrase: SecretString,
    what: &str,
) -> Result<SecretSlice<u8>, SecretsError> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MAX_WORK_LOG2);
    open(ciphertext, std::iter::once(&identity as &dyn age::Identity), what)
}

/// True when the file is locked by a passphrase and not by keys.
pub fn needs_passphrase(ciphertext: &[u8]) -> bool {
    Decryptor::new(ArmoredReader::new(ciphertext)).is_ok_and(|file| file.is_scrypt())
}

fn open<'a>(
    ciphertext: &[u8],
    identities: impl Iterator<Item = &'a dyn age::Identity>,
    what: &str,
) -> Result<SecretSlice<u8>, SecretsError> {
    let decryptor =
        Decryptor::new(ArmoredReader::new(ciphertext)).map_err(|error| decrypting(what, &error))?;
    let stream = decryptor.decrypt(identities).map_err(|error| decrypting(what, &error))?;
    // A plaintext is always shorter than its file: with this room the buffer never moves, so no
    // copy of it stays behind in freed memory.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
    stream
        .take(SECRET_LIMIT_BYTES as u64 + 1)
        .read_to_end(&mut plaintext)
        .map_err(|_| SecretsError::Decrypt { what: what.to_string(), reason: DAMAGED.to_string() })?;
    if plaintext.len() > SECRET_LIMIT_BYTES {
        return Err(SecretsError::Decrypt {
            what: what.to_string(),
            reason: format!("it holds more than {SECRET_LIMIT_BYTES} bytes, which no secret does"),
        });
    }
    Ok(SecretSlice::from(plaintext.to_vec()))
}

const DAMAGED: &str = "the file is cut short or damaged; take it from git again";

fn encrypting(what: &str, error: &dyn std::fmt::Display) -> SecretsError {
    SecretsError::Encrypt { what: what.to_string(), reason: error.to_string() }
}

fn decrypting(what: &str, error: &DecryptError) -> SecretsError {
    let reason = match error {
        DecryptError::NoMatchingKeys => {
            "it is not encrypted to this key; ask an admin who can read it to run `landfall secret rekey`, or name another key with --identity FILE".to_string()
        }
        DecryptError::ExcessiveWork { required, .. } => format!(
            "it asks for scrypt work 2^{required}, more than the 2^{MAX_WORK_LOG2} that is accepted; it was not made by landfall"
        ),
        DecryptError::KeyDecryptionFailed => "the passphrase is wrong".to_string(),
        DecryptError::DecryptionFailed => {
            "the passphrase is wrong, or the file is damaged".to_string()
        }
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => {
            "it is not an age file, or it is cut short".to_string()
        }
        DecryptError::InvalidMac | DecryptError::Io(_) => DAMAGED.to_string(),
        other => other.to_string(),
    };
    SecretsError::Decrypt { what: what.to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    fn pair() -> (Recipient, Vec<Box<dyn age::Identity + Send + Sync>>) {
        let identity = age::x25519::Identity::generate();
        let recipient = Recipient::parse(&identity.to_public().to_string(), "test").unwrap();
        (recipient, vec![Box::new(identity)])
    }

    #[test]
    fn round_trip_is_armored() {
        let (recipient, identities) = pair();
        let file = encrypt(b"s3cret", &[recipient], "x").unwrap();
        assert!(file.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\n"));
        assert_eq!(decrypt(&file, &identities, "x").unwrap().expose_secret(), b"s3cret");
    }

    #[test]
    fn every_cut_of_a_file_is_an_error_and_shows_nothing() {
        let (recipient, identities) = pair();
        let file = encrypt(b"s3cret", &[recipient], "x").unwrap();
        let body = file.len() - "-----END AGE ENCRYPTED FILE-----\n".len();
        for length in 0..body {
            let error = decrypt(&file[..length], &identities, "x").unwrap_err();
            assert!(!error.to_string().contains("s3cret"));
        }
        for place in (0..body).step_by(7) {
            let mut changed = file.clone();
            changed[place] ^= 0x04;
            assert!(decrypt(&changed, &identities, "x").is_err(), "at {place}");
        }
    }

    #[test]
    fn another_key_is_refused_with_the_remedy() {
        let (recipient, _) = pair();
        let (_, strangers) = pair();
        let file = encrypt(b"s3cret", &[recipient], "secret wifi").unwrap();
        let error = decrypt(&file, &strangers, "secret wifi").unwrap_err().to_string();
        assert!(error.contains("secret wifi") && error.contains("rekey"), "{error}");
    }

    #[test]
    fn a_huge_work_factor_is_refused_before_any_work() {
        // 2^30 of scrypt would want 1 TiB; the header alone decides.
        let stanza = "age-encryption.org/v1\n-> scrypt c2FsdHNhbHRzYWx0c2FsdA 30\n\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        let mut file = stanza.as_bytes().to_vec();
        file.extend([0u8; 64]);
        let error = decrypt_with_passphrase(&file, SecretString::from("x"), "stick").unwrap_err().to_string();
        assert!(error.contains("2^30"), "{error}");
    }

    #[test]
    fn refuses_a_value_past_the_limit() {
        let (recipient, _) = pair();
        let large = vec![0u8; SECRET_LIMIT_BYTES + 1];
        assert!(matches!(encrypt(&large, &[recipient], "x"), Err(SecretsError::ValueTooLarge { .. })));
    }

    #[test]
    fn a_plaintext_never_shows_in_debug() {
        let (recipient, identities) = pair();
        let file = encrypt(b"s3cret", &[recipient], "x").unwrap();
        let plain = decrypt(&file, &identities, "x").unwrap();
        assert!(!format!("{plain:?}").contains("s3cret"));
        assert!(!format!("{plain:?}").contains("115"));
    }
}
