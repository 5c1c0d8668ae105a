//! Errors of the installer: what was being done, to what, why it failed.

use std::error::Error as StdError;
use std::fmt::Write;
use std::io;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{doing}")]
    Io {
        /// A gerund with its object: "opening /dev/sda".
        doing: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk's layout could not be read or written.
    #[error("{doing}")]
    Disk {
        /// A gerund with its object.
        doing: String,
        /// What the layout code said.
        #[source]
        source: landfall_disk::DiskError,
    },
    /// A file does not parse.
    #[error("reading {what}: {why}")]
    Parse {
        /// Which file.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A program of the initrd failed.
    #[error("running {program}: {why}")]
    Program {
        /// Its name and first arguments.
        program: String,
        /// Its exit status and the last lines it wrote.
        why: String,
    },
    /// Said whole, with what to do now.
    #[error("{0}")]
    Words(String),
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub fn io<S: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(S) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source: source.into() }
    }

    /// A file that does not parse.
    pub fn parse(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Parse { what: what.into(), why: why.to_string() }
    }

    /// Wraps an error of the disk layout.
    pub fn disk(doing: impl Into<String>) -> impl FnOnce(landfall_disk::DiskError) -> Self {
        let doing = doing.into();
        move |source| Self::Disk { doing, source }
    }

    /// The whole chain on one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(error) = next {
            let _ = write!(text, ": {error}");
            next = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_one_line() {
        let error = Error::io("opening /dev/sda")(io::Error::from_raw_os_error(2));
        assert_eq!(error.chain(), "opening /dev/sda: No such file or directory (os error 2)");
    }
}
