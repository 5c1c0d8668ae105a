//! A login password as crypt(5) wants it in shadow(5): yescrypt, Debian's default.

use age::secrecy::{ExposeSecret, SecretString};
use yescrypt::{PasswordHasher, Yescrypt};

use super::SecretsError;

/// Hashes with yescrypt's recommended cost (`$y$j9T$`, what Debian's passwd uses too) and a salt
/// of the system's random generator.
pub fn hash_password(password: &SecretString) -> Result<SecretString, SecretsError> {
    let refuse = |reason: &str| SecretsError::Hash { reason: reason.to_string() };
    let text = password.expose_secret();
    if text.is_empty() {
        return Err(refuse("it is empty; type one, or leave the user without a password"));
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err(refuse("it holds a line break, which nobody can type at a login prompt"));
    }
    let hash =
        Yescrypt::default().hash_password(text.as_bytes()).map_err(|error| refuse(&error.to_string()))?;
    Ok(SecretString::from(hash.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use yescrypt::PasswordVerifier;

    #[test]
    fn hashes_as_debian_does_and_never_twice_the_same() {
        let password = SecretString::from("correct horse");
        let one = hash_password(&password).unwrap();
        let two = hash_password(&password).unwrap();
        assert!(one.expose_secret().starts_with("$y$j9T$"));
        assert_ne!(one.expose_secret(), two.expose_secret());
        let verify = |text: &[u8]| Yescrypt::default().verify_password(text, one.expose_secret());
        assert!(verify(b"correct horse").is_ok());
        assert!(verify(b"wrong horse").is_err());
        // A colon or a line break would break shadow(5).
        assert!(!one.expose_secret().contains([':', '\n']));
    }

    #[test]
    fn refuses_what_cannot_be_typed() {
        for bad in ["", "a\nb", "a\0b"] {
            assert!(hash_password(&SecretString::from(bad)).is_err());
        }
    }
}
