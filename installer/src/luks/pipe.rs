//! How a key reaches a program: through a pipe that only the child inherits, so that it stands in
//! no argument, no environment and no file.

use crate::error::{Error, Result};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::Write;
use std::process::Stdio;

/// What a pipe takes without a reader is 64 KiB (pipe(7)); a key is far below.
const MAX_KEY_BYTES: usize = 4096;

/// A pipe that holds a key until a child has read it.
pub struct KeyPipe {
    reader: OwnedFd,
}

impl KeyPipe {
    /// Puts `key` into a new pipe.
    pub fn new(key: &[u8]) -> Result<Self> {
        let doing = || "handing over a key".to_owned();
        if key.len() > MAX_KEY_BYTES {
            return Err(Error::Words(format!(
                "a key is longer than {MAX_KEY_BYTES} bytes; use a shorter one"
            )));
        }
        // Without O_CLOEXEC: the child opens it by its number.
        let (reader, writer) = pipe_with(PipeFlags::empty()).map_err(Error::io(doing()))?;
        std::fs::File::from(writer).write_all(key).map_err(Error::io(doing()))?;
        Ok(Self { reader })
    }

    /// The file that a child reads the key from, to its end.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.reader.as_raw_fd())
    }

    /// The pipe as a child's stdin.
    pub fn stdin(self) -> Stdio {
        self.reader.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_the_key_to_its_end_and_once() {
        let pipe = KeyPipe::new(b"a key\nof two lines").unwrap();
        let path = pipe.path();
        let read = |path: &str| std::process::Command::new("cat").arg(path).output().unwrap().stdout;
        assert_eq!(read(&path), b"a key\nof two lines");
        assert_eq!(read(&path), b"");
        assert!(KeyPipe::new(&[0; 5000]).is_err());
    }
}
