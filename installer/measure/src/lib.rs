//! What a boot entry's start measures into the TPM, predicted before it; and disk keys that are sealed to it.
//!
//! Nothing here runs a program or opens a device: files come from roots that are values, and programs are run by
//! the caller's own registry.

mod digest;
mod entry;
mod event_log;
mod initrds;
mod machine;
mod pe;
mod predict;
mod slots;

pub use digest::Digest;
pub use entry::{Entry, EntryError, LOADER, loader};
pub use event_log::{BadLog, EventLog};
pub use initrds::Initrds;
pub use machine::{Foreseen, SECURITY, Tpm};
pub use pe::{NotPe, authenticode};
pub use predict::{Doubt, PCRS, Pcrs, Start, load_options, observed_before, plain_before, predict};
pub use slots::{BadHeader, Header, TpmSlot, credential, enrol_arguments};
