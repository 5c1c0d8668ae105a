//! The serial line: read from QEMU's log of it, written through its socket.

use crate::error::{Doing, Error, Result};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What no healthy boot says; waiting on after it would only cost time.
const BAD_SIGNS: &[&str] = &[
    "Kernel panic - not syncing",
    "LANDFALL FAILED",
    "LANDFALL HEALTH state=bad",
    "Security Violation",
    "emergency mode",
];

/// The reader's place in the log, and the way to type.
pub struct Serial {
    log: PathBuf,
    socket: PathBuf,
    stream: Option<UnixStream>,
    /// Bytes of the log that earlier matches have used up.
    seen: usize,
}

impl Serial {
    pub fn new(log: &Path, socket: &Path) -> Self {
        Self { log: log.to_path_buf(), socket: socket.to_path_buf(), stream: None, seen: 0 }
    }

    /// The next whole line that has one of `wanted` in it.
    pub fn next_match(&mut self, wanted: &[&str]) -> Option<String> {
        let text = read(&self.log);
        let rest = text.get(self.seen..)?;
        let mut at = self.seen;
        for line in rest.split_inclusive('\n') {
            at += line.len();
            if line.ends_with('\n') && wanted.iter().any(|word| line.contains(word)) {
                self.seen = at;
                return Some(line.trim_end().to_owned());
            }
        }
        None
    }

    /// A sign of failure that stands after the last match.
    pub fn bad_sign(&self) -> Option<String> {
        let text = read(&self.log);
        let rest = text.get(self.seen..)?;
        let line = rest.lines().find(|line| BAD_SIGNS.iter().any(|sign| line.contains(sign)))?;
        Some(line.to_owned())
    }

    pub fn write(&mut self, text: &str) -> Result<()> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.socket)?,
        };
        let stream = self.stream.insert(stream);
        let written = stream.write_all(text.as_bytes());
        written.map_err(|source| Error::Io { doing: "typing on the serial line".into(), source })
    }
}

/// What the guest says comes here, too. Unread, it would fill the socket, and QEMU would wait for ever.
fn connect(socket: &Path) -> Result<UnixStream> {
    let doing = "connecting to the serial line";
    let stream = UnixStream::connect(socket).doing(doing, socket)?;
    let mut said = stream.try_clone().doing(doing, socket)?;
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    Ok(stream)
}

/// The log without carriage returns and terminal escapes, which systemd and progress bars sprinkle in.
pub fn read(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {}
            '\u{1b}' => skip_escape(&mut characters),
            other => out.push(other),
        }
    }
    out
}

/// ECMA-48 control sequences: `[`, parameters, and a final letter; other escapes are one more character.
fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if characters.next() != Some('[') {
        return;
    }
    while let Some(character) = characters.peek() {
        if !(' '..='~').contains(character) {
            return;
        }
        let last = ('@'..='~').contains(character);
        characters.next();
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_matched_once_and_without_escapes() {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), "\u{1b}[0;32mLANDFALL\u{1b}[0m ONE\r\nLANDFALL ONE\nLANDFALL TW").unwrap();
        let mut serial = Serial::new(log.path(), Path::new("/nowhere"));
        assert_eq!(serial.next_match(&["LANDFALL ONE"]).as_deref(), Some("LANDFALL ONE"));
        assert_eq!(serial.next_match(&["LANDFALL ONE"]).as_deref(), Some("LANDFALL ONE"));
        assert_eq!(serial.next_match(&["LANDFALL"]), None, "a line that has not ended yet");
    }
}
