//! What can go wrong with a secret, in words that never repeat the secret.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// An error of the secrets module. No variant holds plaintext or key material.
#[derive(Debug, Error)]
pub enum SecretsError {
    /// A file could not be read.
    #[error("reading {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("writing {path}: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is larger than anything that belongs there.
    #[error("reading {path}: it is larger than {limit_bytes} bytes, which no file of this kind is; look at what was put there", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit that it passes.
        limit_bytes: u64,
    },
    /// A value to encrypt is larger than a secret may be.
    #[error("encrypting {what}: a secret holds at most {limit_bytes} bytes")]
    ValueTooLarge {
        /// Which secret.
        what: String,
        /// The limit that it passes.
        limit_bytes: usize,
    },
    /// A recipient cannot be used.
    #[error("reading the recipient of {owner}: {reason}")]
    BadRecipient {
        /// Whose recipient it is.
        owner: String,
        /// Why it is refused, with the remedy.
        reason: String,
    },
    /// Nobody to encrypt to.
    #[error(
        "encrypting {what}: site.toml names no admin; add a line such as `sam = \"age1…\"` under [admins]"
    )]
    NoAdmins {
        /// What was to be encrypted.
        what: String,
    },
    /// No admin key could be found.
    #[error("finding an admin's key: there is none at {tried}; name one with --identity FILE")]
    NoAdminKey {
        /// The places that were looked at.
        tried: String,
    },
    /// A key file holds no usable key.
    #[error("reading the key file {path}: {reason}", path = path.display())]
    BadIdentityFile {
        /// The file.
        path: PathBuf,
        /// Why it is refused, with the remedy.
        reason: String,
    },
    /// A passphrase is needed and nobody can be asked.
    #[error(
        "asking for {what}: there is nobody to ask here; name a key without a passphrase with --identity FILE, or pipe the value in"
    )]
    NoTerminal {
        /// What was to be asked.
        what: String,
    },
    /// Reading from the terminal failed.
    #[error("asking for {what}: {reason}")]
    Prompt {
        /// What was asked.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// age could not encrypt.
    #[error("encrypting {what}: {reason}")]
    Encrypt {
        /// What was to be encrypted.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// age could not decrypt.
    #[error("decrypting {what}: {reason}")]
    Decrypt {
        /// What was to be decrypted.
        what: String,
        /// Why it failed, with the remedy where there is one.
        reason: String,
    },
    /// A file of ours does not parse.
    #[error("reading {path}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why it is refused, with the remedy.
        reason: String,
    },
    /// A name that cannot be a file name or a host name.
    #[error("using the name {name:?}: {reason}")]
    BadName {
        /// The name as it was given.
        name: String,
        /// What a name may be.
        reason: &'static str,
    },
    /// Something that must be new is already there.
    #[error("making {path}: it is already there; {remedy}", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// A password could not be hashed.
    #[error("hashing the password: {reason}")]
    Hash {
        /// Why it failed.
        reason: String,
    },
    /// The editor failed or there is no safe place for its file.
    #[error("editing {what}: {reason}")]
    Edit {
        /// Which secret.
        what: String,
        /// Why it failed, with the remedy.
        reason: String,
    },
}
