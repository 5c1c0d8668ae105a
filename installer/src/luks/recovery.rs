//! The recovery key, in the form of systemd-cryptenroll(1): 256 random bits as eight groups of
//! eight letters that stand at the same place on every keyboard ("modhex").

use crate::error::Result;
use age::secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// systemd's alphabet, `src/shared/recovery-key.c`: the value of a letter is its place.
const ALPHABET: &[u8; 16] = b"cbdefghijklnrtuv";
const BYTES: usize = 32;
/// Bytes in a group.
const GROUP: usize = 4;
/// 64 letters and 7 dashes.
const TEXT_BYTES: usize = BYTES * 2 + BYTES / GROUP - 1;

/// A recovery key. Its text, with dashes, is what the key slot holds; never printed by accident.
pub struct RecoveryKey(SecretString);

impl std::fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryKey(…)")
    }
}

impl RecoveryKey {
    /// A new one from the kernel's random numbers.
    pub fn random() -> Result<Self> {
        let bytes = Zeroizing::new(crate::install::random::<BYTES>()?);
        Ok(Self::of(&bytes))
    }

    fn of(bytes: &[u8; BYTES]) -> Self {
        let mut text = String::with_capacity(TEXT_BYTES);
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(ALPHABET.get(usize::from(nibble)).copied().unwrap_or_default()));
            }
        }
        Self(SecretString::from(text))
    }

    /// What a person typed, if it can be a recovery key: blanks, dashes and capitals do not count.
    pub fn typed(text: &str) -> Option<Self> {
        let letters = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-' | b'\t'));
        let letters: Zeroizing<Vec<u8>> = Zeroizing::new(letters.collect());
        let mut bytes = Zeroizing::new([0u8; BYTES]);
        if letters.len() != 2 * BYTES {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(letters.chunks(2)) {
            for letter in pair {
                let letter = letter.to_ascii_lowercase();
                let value = ALPHABET.iter().position(|known| *known == letter)?;
                *byte = (*byte << 4) | u8::try_from(value).ok()?;
            }
        }
        Some(Self::of(&bytes))
    }

    /// The text, with its dashes.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// The text in two lines of four groups.
    pub fn lines(&self) -> [String; 2] {
        let groups: Vec<&str> = self.0.expose_secret().split('-').collect();
        let (first, second) = groups.split_at(groups.len() / 2);
        [first.join("-"), second.join("-")]
    }

    /// The text as a QR code, line by line.
    pub fn qr(&self, as_text: bool) -> Vec<String> {
        super::qr::lines(self.0.expose_secret(), as_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_systemds() {
        let mut bytes = [0u8; BYTES];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(at * 8 + 1).unwrap();
        }
        let key = RecoveryKey::of(&bytes);
        let text = key.secret().expose_secret();
        assert!(text.starts_with("cbckbbbk-dbdkebek-"), "{text}");
        assert_eq!((text.len(), text.split('-').count()), (71, 8));
        assert_eq!(key.lines().join("-"), text);
    }

    #[test]
    fn typed_keys_are_read_whatever_their_dashes_and_capitals() {
        let key = RecoveryKey::random().unwrap();
        let text = key.secret().expose_secret();
        for typed in [text.to_owned(), text.to_uppercase(), text.replace('-', ""), text.replace('-', " ")] {
            assert_eq!(RecoveryKey::typed(&typed).unwrap().secret().expose_secret(), text, "{typed}");
        }
        for wrong in ["", "correct horse", &text[1..], &text.replace('-', "x"), "ä".repeat(64).as_str()] {
            assert!(RecoveryKey::typed(wrong).is_none(), "{wrong}");
        }
        assert_eq!(format!("{key:?}"), "RecoveryKey(…)");
        assert_ne!(RecoveryKey::random().unwrap().secret().expose_secret(), text);
    }
}
