//! An Ed25519 key in minisign's file formats.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blake2::digest::consts::U32;
use blake2::{Blake2b, Blake2b512, Digest};
use ed25519_dalek::Signer;
use zeroize::Zeroizing;

use super::SigningError;

/// `Ed`: the algorithm's name in keys.
const KEY_ALGORITHM: &[u8; 2] = b"Ed";
/// `ED`: a signature over the BLAKE2b-512 hash of the message.
const PREHASHED: &[u8; 2] = b"ED";
/// No password on the key itself.
const KDF_NONE: &[u8; 2] = &[0, 0];
/// BLAKE2b-256 checksum.
const CHECKSUM_ALGORITHM: &[u8; 2] = b"B2";
/// Salt and limits of a password, all zero without one.
const KDF_BYTES: usize = 32 + 8 + 8;
/// Where the key id starts in a decoded secret key.
const ID_AT: usize = 6 + KDF_BYTES;
const SECRET_AT: usize = ID_AT + 8;
const CHECKSUM_AT: usize = SECRET_AT + 64;
const SECRET_FILE_BYTES: usize = CHECKSUM_AT + 32;
const COMMENT_LIMIT_BYTES: usize = 1024;

/// A site's signing key. Wiped on drop; its `Debug` shows the public half.
pub struct SigningKey {
    id: [u8; 8],
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public_text()).finish()
    }
}

impl SigningKey {
    /// A new key of the system's random bytes.
    pub fn generate() -> Result<Self, SigningError> {
        let mut seed = Zeroizing::new([0u8; 32]);
        let mut id = [0u8; 8];
        fill(&mut *seed)?;
        fill(&mut id)?;
        Ok(Self { id, key: ed25519_dalek::SigningKey::from_bytes(&seed) })
    }

    /// The public half: the base64 line of a minisign public key.
    pub fn public_text(&self) -> String {
        let mut bytes = Vec::with_capacity(42);
        bytes.extend_from_slice(KEY_ALGORITHM);
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(self.key.verifying_key().as_bytes());
        STANDARD.encode(bytes)
    }

    /// A `.minisig` file over `message`; `comment` is signed with it.
    pub fn sign(&self, message: &[u8], comment: &str) -> Result<String, SigningError> {
        if comment.len() > COMMENT_LIMIT_BYTES || comment.contains(['\n', '\r']) {
            return Err(SigningError::BadComment(comment.chars().take(80).collect()));
        }
        let signature = self.key.sign(&Blake2b512::digest(message)).to_bytes();
        let mut line = Vec::with_capacity(74);
        line.extend_from_slice(PREHASHED);
        line.extend_from_slice(&self.id);
        line.extend_from_slice(&signature);
        let mut both = signature.to_vec();
        both.extend_from_slice(comment.as_bytes());
        let global = self.key.sign(&both).to_bytes();
        Ok(format!(
            "untrusted comment: signature of a Landfall site\n{}\ntrusted comment: {comment}\n{}\n",
            STANDARD.encode(line),
            STANDARD.encode(global)
        ))
    }

    /// The minisign secret key file, without a password.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0u8; SECRET_FILE_BYTES]);
        bytes[0..2].copy_from_slice(KEY_ALGORITHM);
        bytes[2..4].copy_from_slice(KDF_NONE);
        bytes[4..6].copy_from_slice(CHECKSUM_ALGORITHM);
        bytes[ID_AT..SECRET_AT].copy_from_slice(&self.id);
        let pair = Zeroizing::new(self.key.to_keypair_bytes());
        bytes[SECRET_AT..CHECKSUM_AT].copy_from_slice(&*pair);
        let sum = checksum(&bytes[ID_AT..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&sum);
        let line = Zeroizing::new(STANDARD.encode(*bytes));
        Zeroizing::new(format!("untrusted comment: secret key of a Landfall site\n{}\n", *line))
    }

    /// Reads a minisign secret key file that has no password.
    pub(super) fn from_text(text: &[u8]) -> Result<Self, SigningError> {
        let bad = |reason| SigningError::BadKey(reason);
        let text = std::str::from_utf8(text).map_err(|_| bad("it is not text"))?;
        let line =
            text.lines().nth(1).ok_or(bad("it has no second line; it must be a minisign secret key file"))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(line.len()));
        STANDARD.decode_vec(line.trim(), &mut bytes).map_err(|_| bad("its second line is not base64"))?;
        let bytes: &[u8; SECRET_FILE_BYTES] =
            bytes.as_slice().try_into().map_err(|_| bad("it is not as long as a minisign secret key"))?;
        if &bytes[0..2] != KEY_ALGORITHM || &bytes[4..6] != CHECKSUM_ALGORITHM {
            return Err(bad("its algorithms are not minisign's"));
        }
        if &bytes[2..4] != KDF_NONE {
            return Err(bad("it has a password of its own; make it with `minisign -G -W`, age protects it"));
        }
        // minisign itself leaves the checksum of a key without a password at zero.
        let sum = &bytes[CHECKSUM_AT..];
        if sum.iter().any(|byte| *byte != 0) && checksum(&bytes[ID_AT..CHECKSUM_AT])[..] != *sum {
            return Err(bad("its checksum is wrong; the file is damaged"));
        }
        let mut id = [0u8; 8];
        id.copy_from_slice(&bytes[ID_AT..SECRET_AT]);
        let mut pair = Zeroizing::new([0u8; 64]);
        pair.copy_from_slice(&bytes[SECRET_AT..CHECKSUM_AT]);
        let key = ed25519_dalek::SigningKey::from_keypair_bytes(&pair)
            .map_err(|_| bad("its public half is not that of its secret half"))?;
        Ok(Self { id, key })
    }
}

fn checksum(id_and_key: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::new().chain_update(KEY_ALGORITHM).chain_update(id_and_key).finalize().into()
}

fn fill(mut bytes: &mut [u8]) -> Result<(), SigningError> {
    while !bytes.is_empty() {
        let got = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| SigningError::Random(errno.into()))?;
        bytes = bytes.get_mut(got..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with minisign 0.11: `minisign -G -W`. It signs nothing but this test.
    const STOCK: &str = "untrusted comment: minisign encrypted secret key\nRWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2/ergF1MKGIvLfaSLf3ojYTzSi9vsO0BsSe2GHPQDJE8vEBbB/VCzJr9JDql7W4zUPy2gdbDNWGW43NomiB6ZNmj3QZTb/DVAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    const STOCK_PUBLIC: &str = "RWTb96uAXUwoYpr9JDql7W4zUPy2gdbDNWGW43NomiB6ZNmj3QZTb/DV";

    #[test]
    fn reads_what_stock_minisign_made() {
        let key = SigningKey::from_text(STOCK.as_bytes()).unwrap();
        assert_eq!(key.public_text(), STOCK_PUBLIC);
        assert_eq!(SigningKey::from_text(key.to_text().as_bytes()).unwrap().public_text(), STOCK_PUBLIC);
        assert!(!format!("{key:?}").contains(&STOCK[60..80]));
    }

    #[test]
    fn every_cut_and_every_changed_letter_of_a_key_is_refused() {
        for end in 0..STOCK.trim_end().len() {
            assert!(SigningKey::from_text(&STOCK.as_bytes()[..end]).is_err());
        }
        let own = SigningKey::from_text(STOCK.as_bytes()).unwrap().to_text();
        let start = own.find('\n').unwrap() + 1;
        // The salt and limits of a password that is not there are not looked at.
        let used = |place: usize| place < start + 8 || place >= start + ID_AT.div_ceil(3) * 4;
        for place in (start..own.trim_end().len() - 2).filter(|place| used(*place)) {
            let mut bytes = own.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(SigningKey::from_text(&bytes).is_err(), "at {place}");
        }
        assert!(SigningKey::from_text(b"\xff\xfe\n\xff").is_err());
    }

    #[test]
    fn a_comment_cannot_break_the_lines() {
        let key = SigningKey::generate().unwrap();
        assert!(key.sign(b"m", "a\nb").is_err());
        assert!(key.sign(b"m", &"x".repeat(2000)).is_err());
    }
}
