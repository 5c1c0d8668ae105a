//! Progress as typed events; text and bars are only a view of them.

/// What a long operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Fetching indices and packages.
    Download,
    /// Extracting packages.
    Unpack,
    /// Running packages' scripts.
    Configure,
    /// Making layer images.
    Pack,
    /// Writing the medium or the disk.
    Write,
    /// Checking hashes.
    Verify,
}

/// One step of progress.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A task begins; `total` is in bytes where [`Task`] moves bytes, else in items; 0 is unknown.
    Begin {
        /// Which.
        task: Task,
        /// What it is about ("layer base").
        what: String,
        /// How much there is to do.
        total: u64,
    },
    /// So much more is done.
    Advance {
        /// Which.
        task: Task,
        /// Same unit as the total.
        by: u64,
    },
    /// The task is done.
    End {
        /// Which.
        task: Task,
    },
    /// Something worth a line of its own.
    Note(String),
}

/// Where events go. Shared between threads, so it takes `&self`.
pub trait Progress: Sync {
    /// Takes one event; must not fail.
    fn event(&self, event: Event);
}

/// Drops every event.
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event) {}
}
