//! Whom a file is encrypted to: admins of site.toml and the lines of identities/HOST.pub.

use std::collections::BTreeSet;
use std::fmt;

use super::{SecretsError, ssh_numbers};

/// Longest recipient text that is looked at: an ssh-rsa key of 16384 bits is below 3 KiB.
const RECIPIENT_LIMIT_BYTES: usize = 4096;

/// A public key that age can encrypt to.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Recipient {
    /// Parses `age1…`, `ssh-ed25519 AAAA… [comment]` or `ssh-rsa AAAA… [comment]`.
    ///
    /// `owner` names whose key it is, for the error text.
    pub fn parse(text: &str, owner: &str) -> Result<Self, SecretsError> {
        let refuse = |reason: &str| SecretsError::BadRecipient {
            owner: owner.to_string(),
            reason: reason.to_string(),
        };
        if text.len() > RECIPIENT_LIMIT_BYTES {
            return Err(refuse("it is longer than any public key"));
        }
        // The comment of an SSH key is not part of the key: two spellings must compare equal.
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        match words.as_slice() {
            [first, ..] if first.starts_with("AGE-SECRET-KEY-") => Err(refuse(
                "this is a secret key; take it out of the file at once, make a new one with age-keygen, and put the public half (age1…) here",
            )),
            [first] if first.starts_with("age1") => first
                .parse()
                .map(|key| Self {
                    text: (*first).to_string(),
                    key: Key::Age(key),
                })
                .map_err(|_| refuse("it is not an age X25519 public key (mistyped, or a plugin's, which is not supported yet)")),
            [kind @ ("ssh-ed25519" | "ssh-rsa"), data] => {
                if ssh_numbers::has_zero(data) {
                    return Err(refuse("one of its numbers is zero; copy the one line of the .pub file"));
                }
                let text = format!("{kind} {data}");
                match text.parse() {
                    Ok(key) => Ok(Self {
                        text,
                        key: Key::Ssh(key),
                    }),
                    Err(_) => Err(refuse("it is not a whole OpenSSH public key; copy the one line of the .pub file")),
                }
            }
            _ => Err(refuse(
                "it must be `age1…`, `ssh-ed25519 AAAA…` or `ssh-rsa AAAA…` (other SSH key types cannot decrypt)",
            )),
        }
    }

    /// Parses every line of a recipients file (`identities/HOST.pub`); `#` starts a comment.
    pub fn parse_lines(text: &str, owner: &str) -> Result<Vec<Self>, SecretsError> {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| Self::parse(line, owner))
            .collect()
    }

    /// The key in its one spelling, without a comment.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn as_age(&self) -> &dyn age::Recipient {
        match &self.key {
            Key::Age(key) => key,
            Key::Ssh(key) => key,
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The sorted spellings of a list of recipients, duplicates gone.
pub fn spellings(recipients: &[Recipient]) -> BTreeSet<String> {
    recipients.iter().map(|r| r.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    #[test]
    fn parses_age_and_ssh_keys() {
        let age = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(Recipient::parse(&age, "sam").unwrap().as_str(), age);
        let with_comment = format!("  {SSH} sam@laptop of work ");
        assert_eq!(Recipient::parse(&with_comment, "sam").unwrap().as_str(), SSH);
    }

    #[test]
    fn refuses_what_cannot_decrypt_and_never_repeats_a_secret_key() {
        for bad in [
            "",
            "age1",
            "age1qqqq",
            "ssh-ed25519",
            "ssh-ed25519 !!!!",
            "ssh-rsa AAAAB3NzaC1yc2EAAAABAAAAAQA=",
            "ssh-dss AAAA",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNh",
            &"age1".repeat(4000),
        ] {
            assert!(Recipient::parse(bad, "sam").is_err(), "{bad}");
        }
        let secret = "AGE-SECRET-KEY-1QQQQ";
        let error = Recipient::parse(secret, "sam").unwrap_err().to_string();
        assert!(!error.contains("QQQQ"), "{error}");
        assert!(error.contains("secret key"));
    }

    #[test]
    fn reads_the_lines_of_a_pub_file() {
        let new = age::x25519::Identity::generate().to_public().to_string();
        let text = format!("# host vm\n{new}\n\n{SSH} old\n");
        let all = Recipient::parse_lines(&text, "vm").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].as_str(), new);
        assert!(Recipient::parse_lines("nonsense\n", "vm").is_err());
    }
}
