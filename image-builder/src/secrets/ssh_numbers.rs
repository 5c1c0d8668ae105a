//! A look at RSA keys before age reads them: age 0.12 panics on a number that is written as zeroes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// How the name of the key's kind stands before its numbers (RFC 4253, 6.6).
const KIND: &[u8] = b"\0\0\0\x07ssh-rsa";
/// A secret key has n, e, d, iqmp, p and q (OpenSSH, PROTOCOL.key); a public one the first two.
const MOST_NUMBERS: usize = 6;

/// Whether a key's body has an RSA number that no program writes: zero, in one or more bytes. What is no base64 has none.
pub fn has_zero(base64: &str) -> bool {
    // As age does it: up to what is no letter of base64, padding or not.
    let letter = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let letters: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).take_while(letter).collect();
    let Ok(bytes) = STANDARD_NO_PAD.decode(letters) else {
        return false;
    };
    let kinds = bytes.windows(KIND.len()).enumerate().filter(|(_, window)| *window == KIND);
    kinds
        .map(|(at, _)| numbers(bytes.get(at + KIND.len()..).unwrap_or_default()))
        .any(|mut numbers| numbers.any(|number| !number.is_empty() && number.iter().all(|byte| *byte == 0)))
}

/// The same, for an OpenSSH private key's file.
pub fn file_has_zero(file: &[u8]) -> bool {
    let text = String::from_utf8_lossy(file);
    let body: Vec<&str> = text.lines().skip(1).take_while(|line| !line.starts_with("-----")).collect();
    has_zero(&body.join(""))
}

/// SSH strings: a length in four bytes, big-endian, and that many bytes (RFC 4251, 5).
fn numbers(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let next = move || {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (number, tail) = tail.split_at_checked(length)?;
        rest = tail;
        Some(number)
    };
    std::iter::from_fn(next).take(MOST_NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(numbers: &[&[u8]]) -> String {
        let mut bytes = KIND.to_vec();
        for number in numbers {
            bytes.extend(u32::try_from(number.len()).unwrap().to_be_bytes());
            bytes.extend(*number);
        }
        STANDARD_NO_PAD.encode(bytes)
    }

    #[test]
    fn finds_numbers_of_zeroes_alone() {
        assert!(has_zero(&key(&[b"\x03", b"\0\0"])));
        assert!(has_zero(&key(&[b"\0"])));
        assert!(!has_zero(&key(&[b"\x03", b"", b"\0\x80"])));
        assert!(!has_zero("AAAA!"));
        assert!(has_zero(&format!("{}=, and more", key(&[b"\0"]))));
        let wrapped = key(&[b"\x03", b"\0"]);
        let (first, second) = wrapped.split_at(8);
        let file = format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{first}\n{second}\n-----END OPENSSH PRIVATE KEY-----\n"
        );
        assert!(file_has_zero(file.as_bytes()));
    }
}
