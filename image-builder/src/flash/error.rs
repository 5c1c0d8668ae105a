//! Why a stick could not be written, and what state it is in.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What befell a stick.
#[derive(Debug)]
pub enum Fault {
    /// It is not there any more.
    Gone,
    /// Another disk has its name.
    Changed,
    /// It takes no more bytes although it said that it has room.
    Full,
    /// What was read back is not what was written.
    Differs,
    /// The person stopped it.
    Interrupted,
    /// Any other error of the device.
    Failing(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("it was pulled out; plug it in and flash it again"),
            Self::Changed => f.write_str(
                "it is not the disk that was chosen: another one has its name now, and nothing was written \
                 to that one; flash again and look at the list of drives",
            ),
            Self::Full => f.write_str(
                "it is full before its end: it holds less than it says, as broken and faked sticks do; use \
                 another one",
            ),
            Self::Differs => f.write_str(
                "what was read back is not what was written: it is failing, or holds less than it says; use \
                 another one",
            ),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Failing(error) => {
                write!(f, "{error}; the stick or its port is failing: try another port, then another stick")
            }
        }
    }
}

/// Why a stick could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The image cannot be read.
    #[error("reading {}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The image is something else.
    #[error(
        "{}: it is no medium of Landfall ({why}); make one with `landfall build HOST… --out IMAGE`",
        path.display()
    )]
    NotAMedium {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The table for this stick cannot be made.
    #[error(transparent)]
    Table(#[from] landfall_disk::DiskError),
    /// The device cannot be opened.
    #[error("opening {}", path.display())]
    Open {
        /// The device.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody has the device open for himself.
    #[error(
        "{}: it is in use: a filesystem on it is mounted, or a program holds it. Unmount it in the file \
         manager or with `umount {}?*`, and flash again",
        path.display(), path.display()
    )]
    Busy {
        /// The device.
        path: PathBuf,
    },
    /// The stick failed.
    #[error("{doing} {stick}{}: {fault}{}", place(*at), state(*half))]
    Stick {
        /// Gerund.
        doing: &'static str,
        /// Which.
        stick: String,
        /// Where, in bytes; none where no place is meant.
        at: Option<u64>,
        /// What happened.
        fault: Fault,
        /// Whether something of it was written already.
        half: bool,
    },
}

fn place(at: Option<u64>) -> String {
    at.map_or(String::new(), |at| format!(" at byte {at}"))
}

fn state(half: bool) -> &'static str {
    match half {
        true => ". The stick is half written and starts no computer; flashing it again begins anew",
        false => ". Nothing was written to it",
    }
}
