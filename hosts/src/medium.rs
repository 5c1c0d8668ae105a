//! What a medium says of itself, what makes it unattended, and the seed that the installer leaves.

use crate::host::OnError;
use crate::manifest::LayerRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `landfall/medium.toml` on a medium's data partition: the index of its hosts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MediumIndex {
    /// 1.
    pub format: u32,
    /// Site id, as in the manifests.
    pub site: String,
    /// host → sha256 of the exact bytes of its manifest.
    pub hosts: BTreeMap<String, String>,
    /// All layers on the medium, each once.
    pub layers: Vec<LayerRef>,
}

/// `landfall/unattended.toml`: written after the deterministic build into a file whose place is
/// fixed and which is padded with newlines to [`UNATTENDED_SIZE`]. All newlines means attended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Unattended {
    /// 1.
    pub format: u32,
    /// 16 hex digits; new on each flash, so that a re-flashed stick installs again.
    pub install_id: String,
    /// Host that is installed with nobody watching; none on an attended stick.
    pub host: Option<String>,
    /// `pending`, then `done` once the target is finished; a done stick never wipes.
    pub state: String,
    /// The host's word, here too: something may be wrong before its manifest could be read.
    #[serde(default)]
    pub on_error: OnError,
}

/// Bytes of the fixed file that holds [`Unattended`].
pub const UNATTENDED_SIZE: usize = 4096;
/// Bytes of the fixed file that holds one identity, wrapped or bare, padded with newlines.
pub const IDENTITY_SIZE: usize = 4096;

/// `landfall/state/seed.toml` on the machine, 0600: what the installer hands over. No secret in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// 1.
    pub format: u32,
    /// The host's name in the site.
    pub host: String,
    /// Site id.
    pub site: String,
    /// 32 hex digits.
    pub machine_id: String,
    /// 16 hex digits.
    pub install_id: String,
    /// Number of the generation that was installed.
    pub generation: u64,
    /// Seconds since 1970 by the installer's clock.
    pub installed_at: u64,
}
