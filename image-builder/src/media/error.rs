//! Errors of composing a medium.

use std::io;
use std::path::Path;

/// Result of this module.
pub type Result<T> = std::result::Result<T, MediaError>;

/// Why a medium could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Reading or writing failed.
    #[error("{doing}")]
    Io {
        /// What was being done, as a gerund with its object.
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something that a medium needs is nowhere.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// What.
        what: String,
        /// What to do now.
        remedy: String,
    },
    /// Outside bytes that cannot be what they should be.
    #[error("reading {what}: {why}")]
    Bad {
        /// What was read.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A tool of the tools root failed.
    #[error("running {program}: it ended with {status}: {tail}")]
    Tool {
        /// Its name and what it was for.
        program: String,
        /// Exit status.
        status: String,
        /// The end of what it said.
        tail: String,
    },
    /// The layout or the ESP.
    #[error(transparent)]
    Disk(#[from] landfall_disk::DiskError),
}

impl MediaError {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// The same for a file.
    pub(crate) fn file(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("{doing} {}", path.display()))
    }

    /// Something is missing.
    pub(crate) fn missing(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Missing { what: what.into(), remedy: remedy.into() }
    }

    /// Outside bytes are wrong.
    pub(crate) fn bad(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Bad { what: what.into(), why: why.into() }
    }
}
