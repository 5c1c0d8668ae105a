//! Errors of the running machine: what was being done, to what, why it failed, what to do now.

use std::io;
use std::path::Path;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done. No text in here ever holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, as a gerund with its object.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("reading {what}: {why}")]
    Bad {
        /// The file or its kind.
        what: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A program could not be started or ended badly.
    #[error("{doing}: {program} {how}")]
    Program {
        /// What was being done.
        doing: String,
        /// The program's name.
        program: &'static str,
        /// How it ended, with the end of what it said.
        how: String,
    },
    /// Something that must not be done was asked for.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// The same for what `rustix` returns.
    pub fn errno(doing: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let doing = doing.into();
        move |errno| Self::Io { doing, source: errno.into() }
    }

    /// Wraps an I/O error on `path`; `verb` is a gerund.
    pub fn at(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("{verb} {}", path.display()))
    }

    /// A file that does not hold what it should.
    pub fn bad(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Bad { what: what.into(), why: why.into() }
    }

    /// True when the cause is that a file is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
