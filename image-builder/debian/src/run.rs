//! The narrow trait by which this crate runs programs inside a root that is a plain directory
//! tree. How that is done (namespaces, as root or as an ordinary user) is the caller's business.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The directories that make up a root.
#[derive(Debug, Clone, Default)]
pub struct RootDirs {
    /// Read-only trees, the topmost first. At least one.
    pub lower: Vec<PathBuf>,
    /// Where changes go; without one they vanish with the command.
    pub upper: Option<PathBuf>,
}

/// A file or directory of the computer that shows inside the root.
#[derive(Debug, Clone)]
pub struct Bind {
    /// Outside.
    pub source: PathBuf,
    /// Absolute path inside; made if it is missing.
    pub target: PathBuf,
    /// Whether programs inside may write to it.
    pub writable: bool,
}

/// One program to run inside a root.
#[derive(Debug, Default)]
pub struct RootCommand {
    /// Program (looked up in the root's own `PATH`) and arguments.
    pub argv: Vec<OsString>,
    /// Added to the fixed, clean environment.
    pub env: Vec<(OsString, OsString)>,
    /// Binds, in order.
    pub binds: Vec<Bind>,
    /// Working directory inside; `/` if empty.
    pub cwd: PathBuf,
    /// Standard input; empty if none.
    pub stdin: Option<OwnedFd>,
    /// Standard output and error are appended here, and its tail goes into an error. Without one
    /// a temporary file serves.
    pub log: Option<PathBuf>,
    /// Standard output is returned instead of logged.
    pub capture: bool,
}

/// Why a program could not be run, or that it failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It ran and failed.
    #[error("running {program} in the build root: it ended with {status}\n{tail}")]
    Failed {
        /// The command line, shortened.
        program: String,
        /// `exit status 100` or `signal 9`.
        status: String,
        /// Last lines of its output.
        tail: String,
    },
    /// It could not be started.
    #[error("{doing}: {source}{hint}")]
    Setup {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
        /// What to do now; empty or starts with a newline.
        hint: String,
    },
}

/// Runs programs inside roots.
pub trait RunInRoot: Sync {
    /// Runs one program to its end; returns its standard output if that was asked for.
    fn run(&self, dirs: &RootDirs, command: RootCommand) -> Result<Vec<u8>, RunError>;
}
