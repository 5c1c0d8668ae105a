//! `landfall build`: from a site to a medium. Resolves what the lock lacks, builds the layers that
//! the cache lacks, and composes one image from them.

pub mod boot;
pub mod manifest;
pub mod requests;
pub mod version;

use std::path::{Path, PathBuf};

/// Why a build stopped.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Packages.
    #[error(transparent)]
    Debian(#[from] landfall_debian::Error),
    /// Layers.
    #[error(transparent)]
    Layers(#[from] landfall_layers::Error),
    /// The medium.
    #[error(transparent)]
    Media(#[from] crate::media::MediaError),
    /// Secrets and identities.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::SecretsError),
    /// Signatures.
    #[error(transparent)]
    Signing(#[from] crate::signing::SigningError),
    /// A file.
    #[error("{doing} {}", path.display())]
    Io {
        /// Gerund.
        doing: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl BuildError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
