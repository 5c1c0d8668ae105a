//! What can go wrong between an archive and a resolved package, always with a remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of this computer.
    #[error("{doing} {path}: {source}")]
    Io {
        /// Gerund: "opening", "writing".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be had from a server.
    #[error("fetching {url}: {reason}; {remedy}")]
    Fetch {
        /// What was fetched.
        url: String,
        /// Why it failed.
        reason: String,
        /// What to do now.
        remedy: String,
    },
    /// Bytes came, but not the ones that were promised.
    #[error("checking {what}: {reason}; {remedy}")]
    Untrusted {
        /// File or archive.
        what: String,
        /// What is wrong with it.
        reason: String,
        /// What to do now.
        remedy: String,
    },
    /// Something could not be parsed.
    #[error("reading {what}: {reason}")]
    Parse {
        /// Which file, which place.
        what: String,
        /// What is wrong there.
        reason: String,
    },
    /// What a layer asks for cannot be installed.
    #[error("resolving the packages of {layer}: {reason}")]
    Unsolvable {
        /// The layer.
        layer: String,
        /// What the solver said, and what to do.
        reason: String,
    },
    /// No mirror is known.
    #[error("choosing a Debian mirror: {0}")]
    Mirror(String),
    /// A package of the lock cannot be had any more.
    #[error(
        "fetching {package} from {url}: {reason}; run `landfall lock --update {name}` to move to a version that the mirror has, or put the file into the cache"
    )]
    Gone {
        /// The package's key.
        package: String,
        /// Its bare name.
        name: String,
        /// Where it was looked for.
        url: String,
        /// What the server said.
        reason: String,
    },
    /// The lock.
    #[error(transparent)]
    Lock(#[from] landfall_hosts::lock::LockError),
    /// A package with a name, architecture or version that Debian does not allow.
    #[error(transparent)]
    Key(#[from] landfall_hosts::lock::KeyError),
}

/// How an error says that a server answered and does not have the file.
pub(crate) const MISSING: &str = "the server has no such file";

/// This crate's results.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: an error at a file.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn parse(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Parse { what: what.into(), reason: reason.to_string() }
    }

    /// Whether the server said that the file does not exist (and not that it could not answer).
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Fetch { reason, .. } if reason.starts_with(MISSING))
    }
}
