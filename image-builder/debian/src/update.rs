//! What an update of the lock may touch.

use std::collections::BTreeSet;

/// Which locked versions may move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UpdateScope {
    /// None: only what the lock lacks is resolved.
    #[default]
    Nothing,
    /// These packages, by name.
    Packages(BTreeSet<String>),
    /// All.
    Everything,
}
