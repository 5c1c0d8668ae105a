//! Secrets of a site: age files that the admins and the hosts which use them can read.
//!
//! Nobody keeps a list of readers: they follow from the merged hosts. Plaintext lives in types
//! that are wiped on drop and hide themselves from `Debug`; it passes through files, pipes and
//! memory, never through arguments, the environment or an error text.

mod crypt;
mod editor;
mod error;
mod files;
pub mod host_identity;
mod identities;
mod password;
mod prompt;
pub mod readers;
mod recipients;
mod record;
mod ssh_numbers;
mod store;

pub use age::secrecy::{ExposeSecret, SecretSlice, SecretString};
pub(crate) use crypt::{CIPHERTEXT_LIMIT_BYTES, decrypt, encrypt};
pub use crypt::{MAX_WORK_LOG2, SECRET_LIMIT_BYTES, STICK_WORK_LOG2};
pub use editor::edit;
pub use error::SecretsError;
pub(crate) use files::{MODE_PUBLIC, read_bounded, read_optional, replace};
pub use host_identity::{host_identity, secret_path, wrap_identity_for_stick};
pub use identities::{AdminIdentities, KeyPlaces};
pub use password::hash_password;
pub use prompt::{Nobody, Prompt, Terminal};
pub use recipients::Recipient;
pub(crate) use recipients::spellings;
pub use record::{RECORD, Record, Standing};
pub use store::{Rekeyed, SIGNING_KEY, SecretFile, Status, Store, is_foreign};
