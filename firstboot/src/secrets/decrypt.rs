//! Opening age files, <https://age-encryption.org/v1>, with bounds on what outside bytes may cost.

use super::identity::Keys;
use crate::error::{Error, Result};
use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor};
use std::io::Read;
use zeroize::Zeroizing;

/// Largest secret; a certificate chain is far below it.
pub const SECRET_LIMIT_BYTES: u64 = 1024 * 1024;

/// Opens a binary or armored age file with any of the keys.
pub fn decrypt(ciphertext: &[u8], keys: &Keys, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    let fail = |error: DecryptError| Error::bad(format!("the secret {name}"), words(&error));
    let file = Decryptor::new(ArmoredReader::new(ciphertext)).map_err(fail)?;
    if file.is_scrypt() {
        return Err(Error::bad(
            format!("the secret {name}"),
            "it is locked by a passphrase; store it with `landfall secret set`",
        ));
    }
    let stream = file.decrypt(keys.iter().map(|key| &**key as &dyn age::Identity)).map_err(fail)?;
    // A plaintext is shorter than its file: with this room the buffer never moves.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(ciphertext.len() + 1));
    stream
        .take(SECRET_LIMIT_BYTES + 1)
        .read_to_end(&mut plaintext)
        .map_err(|_| Error::bad(format!("the secret {name}"), DAMAGED))?;
    if plaintext.len() as u64 > SECRET_LIMIT_BYTES {
        return Err(Error::bad(
            format!("the secret {name}"),
            format!("it holds more than {SECRET_LIMIT_BYTES} bytes, which no secret does"),
        ));
    }
    Ok(plaintext)
}

const DAMAGED: &str = "the file is cut short or damaged; deploy the machine again";

fn words(error: &DecryptError) -> &'static str {
    match error {
        DecryptError::NoMatchingKeys => {
            "it is not encrypted to this machine; run `landfall secret rekey` in the site and deploy"
        }
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => {
            "it is not an age file, or it is cut short"
        }
        _ => DAMAGED,
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity;
    use super::*;
    use age::secrecy::ExposeSecret;

    fn pair() -> (age::x25519::Recipient, Keys) {
        let key = age::x25519::Identity::generate();
        let keys = identity::parse(key.to_string().expose_secret().as_bytes(), "it").unwrap();
        (key.to_public(), keys)
    }

    #[test]
    fn opens_both_forms() {
        let (to, keys) = pair();
        let binary = age::encrypt(&to, b"s3cret").unwrap();
        let armored = age::encrypt_and_armor(&to, b"s3cret").unwrap();
        assert_eq!(*decrypt(&binary, &keys, "x").unwrap(), b"s3cret");
        assert_eq!(*decrypt(armored.as_bytes(), &keys, "x").unwrap(), b"s3cret");
    }

    #[test]
    fn every_cut_and_every_change_is_an_error() {
        let (to, keys) = pair();
        let file = age::encrypt(&to, b"s3cret").unwrap();
        for length in 0..file.len() {
            assert!(decrypt(&file[..length], &keys, "x").is_err(), "{length}");
        }
        for place in (0..file.len()).step_by(5) {
            let mut changed = file.clone();
            changed[place] ^= 0x04;
            assert!(decrypt(&changed, &keys, "x").is_err(), "at {place}");
        }
    }

    #[test]
    fn a_stranger_and_a_passphrase_are_refused_with_the_remedy() {
        let (to, _) = pair();
        let (_, strangers) = pair();
        let file = age::encrypt(&to, b"s3cret").unwrap();
        let error = decrypt(&file, &strangers, "wifi").unwrap_err().to_string();
        assert!(error.contains("wifi") && error.contains("rekey"), "{error}");
        let scrypt = "age-encryption.org/v1\n-> scrypt c2FsdHNhbHRzYWx0c2FsdA 30\n\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        assert!(decrypt(scrypt.as_bytes(), &strangers, "x").is_err());
    }
}
