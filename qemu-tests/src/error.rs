//! One error type: what was being done, to what, and what came back.

use std::path::Path;

/// The harness's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a step of the harness failed.
#[derive(thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// A gerund with its object.
        doing: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A program ended badly.
    #[error("{what} ended with {status}\n{output}")]
    Program {
        /// The command line.
        what: String,
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// Something did not happen in time.
    #[error("waited {seconds} s for {what}, in vain\n{tail}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// How long.
        seconds: u64,
        /// The end of the log that was watched.
        tail: String,
    },
    /// A program that must be there is not.
    #[error("{tool} is missing: {remedy}")]
    Missing {
        /// The program.
        tool: String,
        /// The one command that brings it.
        remedy: String,
    },
    /// An answer or a file is not what it must be.
    #[error("{0}")]
    Unexpected(String),
}

/// What a test that unwraps prints: the words, with their lines.
impl std::fmt::Debug for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self}")
    }
}

impl Error {
    /// An answer that is not what it must be.
    pub fn unexpected(text: impl Into<String>) -> Self {
        Self::Unexpected(text.into())
    }
}

impl From<landfall_qemu::Error> for Error {
    fn from(error: landfall_qemu::Error) -> Self {
        match error {
            landfall_qemu::Error::Io { doing, source } => Self::Io { doing, source },
            landfall_qemu::Error::Missing { tool, remedy } => Self::Missing { tool, remedy },
        }
    }
}

/// Puts what was being done into an [`std::io::Error`].
pub trait Doing<T> {
    /// `doing` is a gerund, `subject` the path it is done to.
    fn doing(self, doing: &str, subject: &Path) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, doing: &str, subject: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { doing: format!("{doing} {}", subject.display()), source })
    }
}

/// The last `lines` lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
