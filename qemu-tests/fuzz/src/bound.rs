//! A bound on the time of one input: a parser that hangs must end as a failed test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No parser needs a hundredth of this for the sizes that are fed; a busy computer may.
const LIMIT: Duration = Duration::from_secs(60);

/// The input that is being looked at, and since when.
type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

/// Watches one target from a thread of its own.
pub struct Watch(Current);

impl Watch {
    /// Begins to watch.
    pub fn new(name: &'static str) -> Self {
        let current = Current::default();
        let watched = Arc::downgrade(&current);
        std::thread::spawn(move || {
            while let Some(current) = watched.upgrade() {
                let locked = current.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((begun, bytes)) = locked.as_ref()
                    && begun.elapsed() > LIMIT
                {
                    let bytes = bytes.escape_ascii();
                    eprintln!("the fuzz target {name} hangs for {LIMIT:?} at the input b\"{bytes}\"");
                    std::process::abort();
                }
                drop(locked);
                drop(current);
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self(current)
    }

    /// Runs `work` on an input.
    pub fn over(&self, bytes: &[u8], work: impl FnOnce()) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), bytes.to_vec()));
        work();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
