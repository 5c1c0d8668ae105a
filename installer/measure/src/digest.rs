//! SHA-256 digests and the one operation of a PCR.

use sha2::{Digest as _, Sha256};
use std::fmt;

/// Bytes of a SHA-256.
pub const LEN: usize = 32;

/// A SHA-256, or the value of a PCR of that bank.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; LEN]);

impl Digest {
    /// What a PCR is at power-on.
    pub const ZERO: Self = Self([0; LEN]);

    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A PCR of this value after `event` was extended into it (TPM 2.0 Part 1, 17.2): the hash of both.
    #[must_use]
    pub fn extended(self, event: Self) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(event.0);
        Self(hash.finalize().into())
    }

    /// A PCR after all of `events`, from power-on.
    pub fn after(events: impl IntoIterator<Item = Self>) -> Self {
        events.into_iter().fold(Self::ZERO, Self::extended)
    }

    /// Reads 64 hex digits of either case, with blanks around them.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.len() != 2 * LEN {
            return None;
        }
        let mut out = [0; LEN];
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            let digit = |c: u8| char::from(c).to_digit(16);
            *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
        }
        Some(Self(out))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways_and_nothing_else_is_taken() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(Digest::parse(&format!("{}\n", text.to_uppercase())), Some(digest));
        for bad in ["", "ab", &text[1..], &text.replace('b', "g"), &"é".repeat(32)] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }
}
