//! What the kernel says of errors while something is done. A file system that lost its disk says "Input/output error"
//! whatever the disk said; the kernel's log has that.

use crate::roots::Roots;
use rustix::fs::{OFlags, SeekFrom, seek};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// The least grave level that is an error (syslog(2)).
const ERROR: u32 = 3;
/// Longest record that the kernel hands out (`PRINTK_MESSAGE_MAX`).
const RECORD_BYTES: usize = 2048;
/// The first ones are the cause; what follows comes of them.
const MAX_ERRORS: usize = 3;
/// More records than a log can hold that grows while it is read.
const MAX_RECORDS: usize = 100_000;

/// The kernel's log from some moment on.
#[derive(Debug)]
pub struct KernelLog(Option<File>);

impl KernelLog {
    /// From now on. A log that cannot be read has no errors.
    pub fn follow(roots: &Roots) -> Self {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(roots.dev.join("kmsg")).ok();
        Self(file.filter(|file| seek(file, SeekFrom::End(0)).is_ok()))
    }

    /// The first errors since then that were not taken yet.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let Some(mut log) = self.0.as_ref() else {
            return errors;
        };
        let mut record = vec![0u8; RECORD_BYTES];
        for _ in 0..MAX_RECORDS {
            match log.read(&mut record) {
                Ok(0) => break,
                Ok(length) => {
                    let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                    errors.extend(error(&text).map(str::to_owned));
                }
                // Records that were overwritten meanwhile; the next read goes on behind them.
                Err(gap) if gap.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        errors.truncate(MAX_ERRORS);
        errors
    }
}

/// The message of a record of `/dev/kmsg` that is an error of the kernel: `level+facility,…;message`, with the
/// kernel's own facility, which is 0 (Documentation/ABI/testing/dev-kmsg).
fn error(record: &str) -> Option<&str> {
    let (prefix, message) = record.split_once(';')?;
    let level: u32 = prefix.split(',').next()?.parse().ok()?;
    (level <= ERROR).then(|| message.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_errors_of_the_kernel_count() {
        let full = "3,843,25516424,-;critical space allocation error, dev sda\n SUBSYSTEM=block\n";
        assert_eq!(error(full), Some("critical space allocation error, dev sda"));
        for other in ["4,1,2,-;a warning", "11,1,2,-;a daemon's error", "x,1;y", "3", ""] {
            assert_eq!(error(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_said_before_does_not_count() {
        let top = tempfile::tempdir().unwrap();
        let roots = Roots::under(top.path());
        assert!(KernelLog::follow(&roots).errors().is_empty());
        std::fs::create_dir(&roots.dev).unwrap();
        let mut file = File::create(roots.dev.join("kmsg")).unwrap();
        file.write_all(b"3,1,1,-;before\n").unwrap();
        let log = KernelLog::follow(&roots);
        file.write_all(b"3,2,2,-;after\n").unwrap();
        assert_eq!(log.errors(), ["after"]);
        assert!(log.errors().is_empty());
    }
}
