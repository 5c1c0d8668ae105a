//! Coldplug over sysfs, then uevents: drivers for what is there and for what comes late.

use super::Loader;
use crate::roots::Roots;
use crate::uevent::Listener;
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Drivers that probe slowly keep a thread waiting.
const THREADS: usize = 4;

/// Loads drivers in the background and tells who waits that a block device came.
#[derive(Debug, Clone)]
pub struct Hotplug {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    loader: Loader,
    stopped: AtomicBool,
    changes: Mutex<u64>,
    changed: Condvar,
}

impl Hotplug {
    /// Follows the kernel's events in a thread of its own. Listening begins before any walk, so that
    /// nothing falls between the two.
    pub fn start(roots: &Roots, loader: Loader) -> Self {
        let shared = Arc::new(Shared {
            loader,
            stopped: AtomicBool::new(false),
            changes: Mutex::new(0),
            changed: Condvar::new(),
        });
        let listener = Listener::open().ok();
        let hotplug = Self { shared };
        let background = hotplug.clone();
        let roots = roots.clone();
        std::thread::spawn(move || match listener {
            Some(listener) => background.listen(&listener),
            None => background.poll(&roots),
        });
        hotplug
    }

    /// Loads the drivers of everything that is there, and comes back when that is done.
    pub fn walk(&self, roots: &Roots) {
        let mut aliases = Vec::new();
        modaliases(&roots.sys.join("devices"), 0, &mut aliases);
        let mut seen = HashSet::new();
        aliases.retain(|alias| seen.insert(alias.clone()));
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Some(alias) = aliases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.load_alias(alias);
                    }
                });
            }
        });
        self.shared.changed.notify_all();
    }

    /// The same in the background: a boot goes on as soon as its own disk is there.
    pub fn walk_behind(&self, roots: &Roots) {
        let (hotplug, roots) = (self.clone(), roots.clone());
        std::thread::spawn(move || hotplug.walk(&roots));
    }

    /// Takes no further device: user space goes on from here.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }

    /// Loads a module by name or alias.
    pub fn load(&self, wanted: &str) -> crate::error::Result<()> {
        self.shared.loader.load(wanted)
    }

    fn load_alias(&self, alias: &str) {
        if !self.shared.stopped.load(Ordering::Relaxed) {
            self.shared.loader.load_alias(alias);
        }
    }

    /// Asks `found` again whenever a block device comes, until it gives a value or `limit` is over.
    pub fn wait_for<T>(&self, limit: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        loop {
            let seen = *lock(&self.shared.changes);
            if let Some(value) = found() {
                return Some(value);
            }
            let left = end.checked_duration_since(Instant::now())?;
            let changes = lock(&self.shared.changes);
            if *changes == seen {
                // A second at most: an event may have been lost in a burst.
                let pause = left.min(Duration::from_secs(1));
                let _unused = self.shared.changed.wait_timeout(changes, pause);
            }
        }
    }

    fn listen(&self, listener: &Listener) {
        loop {
            let Some(event) = listener.next(Duration::from_secs(3600)) else {
                continue;
            };
            if event.action == "add"
                && let Some(alias) = &event.modalias
            {
                self.load_alias(alias);
            }
            if event.subsystem == "block" {
                *lock(&self.shared.changes) += 1;
                self.shared.changed.notify_all();
            }
        }
    }

    fn poll(&self, roots: &Roots) {
        loop {
            std::thread::sleep(Duration::from_secs(2));
            self.walk(roots);
        }
    }
}

/// A panic in another thread does not make the value behind the lock wrong here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn modaliases(folder: &Path, depth: u32, out: &mut Vec<String>) {
    // sysfs is a tree of folders beside links; a recorded one may be hostile.
    if depth > 40 {
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            modaliases(&entry.path(), depth + 1, out);
        } else if kind.is_file()
            && entry.file_name() == "modalias"
            && let Ok(text) = std::fs::read_to_string(entry.path())
            && !text.trim().is_empty()
        {
            out.push(text.trim().to_owned());
        }
    }
}
