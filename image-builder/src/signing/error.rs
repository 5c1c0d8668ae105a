//! What can go wrong with a signing key.

use thiserror::Error;

use crate::secrets::SecretsError;

/// An error of signing; none holds key material.
#[derive(Debug, Error)]
pub enum SigningError {
    /// The encrypted key could not be read or written.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// What was decrypted is no key.
    #[error("reading the signing key: {0}")]
    BadKey(&'static str),
    /// No random bytes.
    #[error("making a signing key: the system gave no random bytes: {0}")]
    Random(std::io::Error),
    /// The comment would break the file's lines.
    #[error("signing: the comment {0:?} has a line break or is longer than 1 KiB")]
    BadComment(String),
}
