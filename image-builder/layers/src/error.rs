//! Why a layer could not be built.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Why a layer could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No namespaces on this computer.
    #[error(transparent)]
    Sandbox(#[from] crate::sandbox::SandboxError),
    /// A program in the build root failed.
    #[error("building layer {layer}: {source}")]
    Run {
        /// Which layer.
        layer: String,
        /// The program and what it said.
        source: Box<landfall_debian::run::RunError>,
    },
    /// A package cannot be read.
    #[error(transparent)]
    Debian(#[from] landfall_debian::Error),
    /// A tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] crate::tree::TreeError),
    /// A file operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// What was asked for cannot be.
    #[error("{doing}: {reason}")]
    Refused {
        /// What was being done, to what.
        doing: String,
        /// Why it cannot be, and what to do.
        reason: String,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A file operation that failed: `map_err(Error::io("opening", path))`.
    pub(crate) fn io(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{verb} {}", path.display());
        move |source| Self::Io { doing, source }
    }

    pub(crate) fn refused(doing: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused { doing: doing.into(), reason: reason.into() }
    }
}

/// Makes a directory with mode 0755 whatever the umask is: the mode ends up in an image.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir(path).map_err(Error::io("making", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(Error::io("setting the mode of", path))
}
