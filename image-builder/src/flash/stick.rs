//! What the writer asks of a stick. Tests stand a failing one behind it.

use std::fmt;
use std::io;

/// A whole disk that is open for writing. Reads come from the device, past every cache.
pub trait Stick: fmt::Debug {
    /// How messages call it.
    fn name(&self) -> &str;
    /// Its size.
    fn len_bytes(&self) -> u64;
    /// Reads from `at`; may read less than asked for.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes at `at`; may write less than asked for.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once everything written so far has reached the device.
    fn flush(&self) -> io::Result<()>;
    /// Whether the piece of hardware that was opened is still there under its name.
    fn presence(&self) -> Presence;
}

/// What stands under a stick's name now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The stick that was opened.
    Same,
    /// Nothing.
    Gone,
    /// Another disk.
    Another,
}
