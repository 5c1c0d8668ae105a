//! A package's identity in the lock: `name:arch=version`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// `name:arch=version`, checked against Debian policy's character sets when parsed, so that it
/// can become part of a path or an argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageKey {
    /// Binary package's name.
    pub name: String,
    /// `amd64`, `i386`, `all`.
    pub arch: String,
    /// Debian version.
    pub version: String,
}

/// Why a text is no package key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no package of the form name:architecture=version ({reason})")]
pub struct KeyError {
    text: String,
    reason: &'static str,
}

impl PackageKey {
    /// Makes a key from its parts.
    ///
    /// # Errors
    /// If a part has characters that Debian does not allow there.
    pub fn new(name: &str, arch: &str, version: &str) -> Result<Self, KeyError> {
        let wrong = |reason| KeyError { text: format!("{name}:{arch}={version}"), reason };
        if !is_name(name) {
            return Err(wrong("the name"));
        }
        if !is_arch(arch) {
            return Err(wrong("the architecture"));
        }
        if !is_version(version) {
            return Err(wrong("the version"));
        }
        Ok(Self { name: name.to_owned(), arch: arch.to_owned(), version: version.to_owned() })
    }

    /// `name:arch`: two packages of one slot cannot be installed together.
    #[must_use]
    pub fn slot(&self) -> String {
        format!("{}:{}", self.name, self.arch)
    }
}

/// Debian policy 5.6.1, and capitals, which some foreign repositories use.
fn is_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))
}

fn is_arch(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Debian policy 5.6.12.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | ':' | '_'))
}

impl fmt::Display for PackageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.name, self.arch, self.version)
    }
}

impl FromStr for PackageKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let form = || KeyError { text: text.to_owned(), reason: "the form" };
        let (slot, version) = text.split_once('=').ok_or_else(form)?;
        let (name, arch) = slot.split_once(':').ok_or_else(form)?;
        Self::new(name, arch, version)
    }
}

impl Serialize for PackageKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PackageKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
