//! The hardware watchdog: a kernel that hangs in the installer or in stage 1 restarts (kernel,
//! `Documentation/watchdog/watchdog-api.rst`).

use crate::roots::Roots;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Half of the shortest timeout that a driver has by default.
const EVERY: Duration = Duration::from_secs(10);
/// What disarms it before a close.
const MAGIC_CLOSE: &[u8] = b"V";

/// An armed watchdog that is fed from a thread of its own.
#[derive(Debug)]
pub struct Watchdog {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Arms the machine's first watchdog. None where there is none, or where it could not be
    /// disarmed again: user space has to want it, too.
    pub fn arm(roots: &Roots) -> Option<Self> {
        let nowayout = std::fs::read_to_string(roots.sys.join("class/watchdog/watchdog0/nowayout"));
        if nowayout.ok()?.trim() != "0" {
            return None;
        }
        let file = OpenOptions::new().write(true).open(roots.dev.join("watchdog0")).ok()?;
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || feed(&file, &stopped));
        Some(Self { stop, thread })
    }

    /// Disarms it, for who comes next to arm it again.
    pub fn disarm(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

fn feed(file: &File, stopped: &Receiver<()>) {
    let mut file = file;
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let _ = file.write_all(b"1");
    }
    let _ = file.write_all(MAGIC_CLOSE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_can_be_disarmed() {
        let top = tempfile::tempdir().unwrap();
        let roots = Roots::under(top.path());
        assert!(Watchdog::arm(&roots).is_none());
        let class = roots.sys.join("class/watchdog/watchdog0");
        std::fs::create_dir_all(&class).unwrap();
        std::fs::create_dir_all(&roots.dev).unwrap();
        std::fs::write(roots.dev.join("watchdog0"), "").unwrap();
        std::fs::write(class.join("nowayout"), "1\n").unwrap();
        assert!(Watchdog::arm(&roots).is_none());
        std::fs::write(class.join("nowayout"), "0\n").unwrap();
        Watchdog::arm(&roots).unwrap().disarm();
        assert_eq!(std::fs::read(roots.dev.join("watchdog0")).unwrap(), MAGIC_CLOSE);
    }
}
