//! Progress of dpkg, read from its log while it runs.

use landfall_hosts::event::{Event, Progress, Task};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(100);

/// Runs `work` while what dpkg says in `log` becomes progress: `total` packages to unpack and to
/// configure.
pub fn watched<T>(
    log: &Path,
    (what, total): (&str, u64),
    progress: &dyn Progress,
    work: impl FnOnce() -> T,
) -> T {
    for task in [Task::Unpack, Task::Configure] {
        progress.event(Event::Begin { task, what: what.to_owned(), total });
    }
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| follow(log, &done, progress));
        // Also when `work` panics: the scope would wait for ever.
        let _stop = Stop(&done);
        work()
    });
    for task in [Task::Unpack, Task::Configure] {
        progress.event(Event::End { task });
    }
    result
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn follow(log: &Path, done: &AtomicBool, progress: &dyn Progress) {
    let mut file = None;
    let mut lines = Lines::default();
    loop {
        let last = done.load(Ordering::Acquire);
        file = file.or_else(|| File::open(log).ok());
        if let Some(file) = &mut file {
            let mut bytes = Vec::new();
            // A log that cannot be read costs the bar, not the build.
            let _ = file.read_to_end(&mut bytes);
            let (unpacked, configured) = lines.count(&bytes);
            for (task, by) in [(Task::Unpack, unpacked), (Task::Configure, configured)] {
                if by > 0 {
                    progress.event(Event::Advance { task, by });
                }
            }
        }
        if last {
            return;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Whole lines out of a stream that comes in pieces.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn count(&mut self, bytes: &[u8]) -> (u64, u64) {
        self.rest.extend_from_slice(bytes);
        let end = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        let mut counts = (0, 0);
        for line in whole.split(|&byte| byte == b'\n') {
            counts.0 += u64::from(line.starts_with(b"Unpacking "));
            counts.1 += u64::from(line.starts_with(b"Setting up "));
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Mutex;

    struct Sum(Mutex<Vec<(Task, u64)>>);

    impl Progress for Sum {
        fn event(&self, event: Event) {
            if let Event::Advance { task, by } = event {
                self.0.lock().unwrap().push((task, by));
            }
        }
    }

    #[test]
    fn lines_are_counted_once_and_only_when_whole() {
        let mut lines = Lines::default();
        assert_eq!(lines.count(b"Unpacking a (1) ...\nUnpack"), (1, 0));
        assert_eq!(lines.count(b"ing b (1) ...\nSetting up a (1) ...\n"), (1, 1));
        assert_eq!(lines.count(b""), (0, 0));
    }

    #[test]
    fn what_is_written_last_still_counts() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let sum = Sum(Mutex::new(Vec::new()));
        watched(&log, ("layer x", 2), &sum, || {
            let mut file = File::create(&log).unwrap();
            file.write_all(b"Unpacking a ...\nSetting up a ...\nSetting up b ...\n").unwrap();
        });
        let events = sum.0.into_inner().unwrap();
        let total = |task| events.iter().filter(|(one, _)| *one == task).map(|(_, by)| by).sum::<u64>();
        assert_eq!((total(Task::Unpack), total(Task::Configure)), (1, 2));
    }
}
