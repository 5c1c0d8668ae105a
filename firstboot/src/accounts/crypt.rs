//! What a password hash looks like: `crypt(5)` of libxcrypt.

/// Prefixes of methods that are not broken, from crypt(5): yescrypt, gost-yescrypt, scrypt,
/// bcrypt, sha512crypt, sha256crypt.
const PREFIXES: &[&str] = &["$y$", "$gy$", "$7$", "$2b$", "$2a$", "$2y$", "$6$", "$5$"];
/// crypt(5): CRYPT_OUTPUT_SIZE is 384 with the NUL.
const MAX_CHARS: usize = 383;
/// The shortest of these methods is far longer.
const MIN_CHARS: usize = 20;

/// True when `text` is a whole hash by a method that is not broken. A plain password never is, so
/// one that was stored by mistake does not become a hash that matches nothing.
pub fn is_hash(text: &str) -> bool {
    let Some(prefix) = PREFIXES.iter().find(|prefix| text.starts_with(**prefix)) else {
        return false;
    };
    let rest = &text[prefix.len()..];
    let size = (MIN_CHARS..=MAX_CHARS).contains(&text.len());
    // crypt(5): printable ASCII without blanks and `:;*!\`.
    let characters = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b":;*!\\".contains(&byte));
    let parts = rest.split('$').all(|part| !part.is_empty());
    let salted = prefix.starts_with("$2") || rest.contains('$');
    size && characters && parts && salted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_whole_hashes() {
        for hash in [
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
            "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
            "$2b$12$WApznUPhDubN0oeveSXHp.Rk0rMOpfnKU7qUOfsPFwwMqc6zZsQZe",
        ] {
            assert!(is_hash(hash), "{hash}");
        }
    }

    #[test]
    fn refuses_passwords_broken_methods_and_lines() {
        for text in [
            "",
            "hunter2",
            "$",
            "$y$",
            "$y$j9T$short",
            "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
            "rEK1ecacw.7.c",
            "$6$saltsalt$aaaaaaaaaaaaaaaaaaaa:0:0:99999:7:::",
            "$6$saltsalt$aaaaaaaaaaaaaaaaaaaa\nroot::0:",
            "$6$saltsalt$$aaaaaaaaaaaaaaaaaaaa",
            "!$6$saltsalt$aaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(!is_hash(text), "{text:?}");
        }
        assert!(!is_hash(&format!("$6$salt${}", "a".repeat(1000))));
    }
}
