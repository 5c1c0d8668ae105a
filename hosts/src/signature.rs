//! Checking a site's signature: detached minisign signatures over a manifest's exact bytes.
//!
//! Formats: <https://jedisct1.github.io/minisign/#signature-format>. Only prehashed (`ED`)
//! signatures are taken, which is all that minisign has made since 2020. Signing is the builder's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};

/// A signature file has four lines; the comments are all that can grow.
const SIGNATURE_LIMIT_BYTES: usize = 4096;
/// Bytes of a decoded public key: algorithm 2, key id 8, key 32.
const PUBLIC_KEY_BYTES: usize = 42;

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The site trusts no key.
    #[error(
        "checking a signature: the site names no key; `landfall new` makes one, its public half stands in site.toml as `[signing] keys`"
    )]
    NoKeys,
    /// A trusted key does not parse.
    #[error("reading the signing key {0:?}: it is not the base64 line of a minisign public key (RW…)")]
    BadKey(String),
    /// The signature does not parse.
    #[error("reading a signature: it is not a minisign signature file, or it is cut short")]
    BadSignature,
    /// None of the keys made it.
    #[error(
        "checking a signature: no key of the site made it over these bytes; take the files from where they were built again, or refuse them"
    )]
    NotTrusted,
}

/// A signature that was checked: who made it and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key that made it, as it stands in `[signing] keys`.
    pub key: String,
    /// The comment that is part of what was signed.
    pub comment: String,
}

/// Checks `signature` (a `.minisig` file's text) over `message` with any of `keys` (the base64
/// lines of minisign public keys).
///
/// # Errors
/// When there is no key, one does not parse, the signature does not parse, or no key made it.
pub fn verify(keys: &[String], message: &[u8], signature: &str) -> Result<Verified, SignatureError> {
    if keys.is_empty() {
        return Err(SignatureError::NoKeys);
    }
    let parsed: Vec<PublicKey> = keys.iter().map(|key| parse_key(key)).collect::<Result<_, _>>()?;
    if signature.len() > SIGNATURE_LIMIT_BYTES {
        return Err(SignatureError::BadSignature);
    }
    let signature = Signature::decode(signature).map_err(|_| SignatureError::BadSignature)?;
    keys.iter()
        .zip(parsed)
        .find(|(_, key)| key.verify(message, &signature, false).is_ok())
        .map(|(text, _)| Verified {
            key: text.trim().to_string(),
            comment: signature.trusted_comment().to_string(),
        })
        .ok_or(SignatureError::NotTrusted)
}

/// The id of a public key as minisign prints it: 16 upper-case hex digits.
///
/// # Errors
/// When the key does not parse.
pub fn key_id(key: &str) -> Result<String, SignatureError> {
    parse_key(key)?;
    let bytes = STANDARD.decode(key.trim()).map_err(|_| bad_key(key))?;
    let id: [u8; 8] = bytes.get(2..10).and_then(|id| id.try_into().ok()).ok_or_else(|| bad_key(key))?;
    Ok(format!("{:016X}", u64::from_le_bytes(id)))
}

fn parse_key(key: &str) -> Result<PublicKey, SignatureError> {
    let text = key.trim();
    // base64 of 42 bytes; anything longer is not looked at.
    if text.len() != PUBLIC_KEY_BYTES.div_ceil(3) * 4 {
        return Err(bad_key(key));
    }
    PublicKey::from_base64(text).map_err(|_| bad_key(key))
}

fn bad_key(key: &str) -> SignatureError {
    SignatureError::BadKey(key.chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with minisign 0.11: `minisign -G -W`, then `printf manifest | minisign -S -t host=vm`.
    const KEY: &str = "RWTb96uAXUwoYpr9JDql7W4zUPy2gdbDNWGW43NomiB6ZNmj3QZTb/DV";
    const OTHER: &str = "RWRNvXgmy79olpbC1+kZNuXBMNWjRjy5QLoUkzJ3ibXoGpjk6C8VDSTT";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\nRUTb96uAXUwoYl6rj/wY9jP99owG8CWa1f7Z8jeNdhdgXMDgSPMK5OVUPEroOfaJFv0JDxX8427K158y7YIKY7m07MSOrWiljQI=\ntrusted comment: host=vm\nX+F6gARcnmtHFPe6eQGb/rn/BAVJbY3OncgX/HjaQBovsJtsuXRCDXTo34E8WmR+EdNLTOXgW6OeFD4rZdphBg==\n";

    fn keys(list: &[&str]) -> Vec<String> {
        list.iter().map(|k| (*k).to_string()).collect()
    }

    #[test]
    fn takes_what_stock_minisign_made() {
        let seen = verify(&keys(&[OTHER, KEY]), b"manifest", SIGNATURE).unwrap();
        assert_eq!(seen.key, KEY);
        assert_eq!(seen.comment, "host=vm");
        assert_eq!(key_id(KEY).unwrap(), "62284C5D80ABF7DB");
    }

    #[test]
    fn refuses_other_bytes_other_keys_and_no_keys() {
        let check = |list: &[&str], message: &[u8]| verify(&keys(list), message, SIGNATURE);
        assert_eq!(check(&[KEY], b"Manifest"), Err(SignatureError::NotTrusted));
        assert_eq!(check(&[OTHER], b"manifest"), Err(SignatureError::NotTrusted));
        assert_eq!(check(&[], b"manifest"), Err(SignatureError::NoKeys));
    }

    #[test]
    fn every_changed_byte_of_a_signature_but_its_first_line_is_refused() {
        let start = SIGNATURE.find('\n').unwrap() + 1;
        for place in start..SIGNATURE.len() {
            let mut bytes = SIGNATURE.as_bytes().to_vec();
            bytes[place] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(verify(&keys(&[KEY]), b"manifest", &text).is_err(), "at {place}");
        }
        for end in 0..SIGNATURE.trim_end().len() {
            assert!(verify(&keys(&[KEY]), b"manifest", &SIGNATURE[..end]).is_err());
        }
    }

    #[test]
    fn hostile_keys_and_signatures_are_errors() {
        for bad in ["", "RWQ", "untrusted comment: x", &"A".repeat(56), &"R".repeat(100_000), "ÄÖ"] {
            assert!(verify(&keys(&[bad]), b"manifest", SIGNATURE).is_err(), "{bad}");
            assert!(key_id(bad).is_err());
        }
        for bad in ["", "\n\n\n\n", "a\nb\nc\nd", &"x".repeat(100_000), "a\nRUQ=\ntrusted comment: é\nx"] {
            assert_eq!(verify(&keys(&[KEY]), b"manifest", bad), Err(SignatureError::BadSignature));
        }
    }
}
