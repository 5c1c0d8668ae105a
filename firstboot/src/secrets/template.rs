//! Files made from text with `${secret:NAME}` in it.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Secrets by name.
pub type Plain = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// Puts the secrets in. What a secret holds is never looked at again, so it cannot refer to
/// another one. A final newline of a secret is left out, for it stands in the middle of a line.
pub fn render(text: &str, secrets: &Plain) -> Result<Zeroizing<Vec<u8>>> {
    let room = text.len() + secrets.values().map(|secret| secret.len()).sum::<usize>() * 4;
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${secret:") {
        out.extend_from_slice(before.as_bytes());
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| Error::bad("a template", "a ${secret: has no closing brace; check the site"))?;
        let secret = secrets.get(name).ok_or_else(|| {
            Error::bad("a template", format!("its secret {name} could not be decrypted or is not declared"))
        })?;
        out.extend_from_slice(value(secret));
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// A secret without the newline that editors put at its end.
pub fn value(secret: &[u8]) -> &[u8] {
    let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
    secret.strip_suffix(b"\r").unwrap_or(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Plain {
        let plain = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        Plain::from([("a".into(), plain("one\n")), ("b".into(), plain("${secret:a}"))])
    }

    #[test]
    fn puts_secrets_in_once() {
        let text = render("x=${secret:a};y=${secret:b}$\n", &secrets()).unwrap();
        assert_eq!(*text, b"x=one;y=${secret:a}$\n");
    }

    #[test]
    fn refuses_what_is_open_or_unknown() {
        assert!(render("${secret:a", &secrets()).is_err());
        assert!(render("${secret:zz}", &secrets()).is_err());
        assert!(render("${secret:}", &secrets()).is_err());
    }
}
