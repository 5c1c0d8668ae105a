//! One error type.

use std::path::Path;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a machine cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("{doing}")]
    Io {
        /// A gerund with its object.
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A program or a firmware file is not on this computer.
    #[error("{tool} is missing: {remedy}")]
    Missing {
        /// What.
        tool: String,
        /// The one command that brings it.
        remedy: String,
    },
}

impl Error {
    pub(crate) fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Io { doing, source }
    }

    /// A program or file that Debian's `package` brings.
    pub fn missing(tool: &str, package: &str) -> Self {
        Self::Missing { tool: tool.to_owned(), remedy: format!("run  sudo apt-get install {package}") }
    }
}
