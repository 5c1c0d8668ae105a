//! The hash of a boot entry's initrds, as the kernel measures them: joined, each beginning at a multiple of 4.

use crate::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// Where each initrd begins: systemd-boot and the kernel's stub pad to the unit of a cpio's header.
const ALIGN: u64 = 4;

/// Hashes initrds one after the other, without holding one in memory.
#[derive(Debug, Default)]
pub struct Initrds {
    hash: Sha256,
    len: u64,
}

impl Initrds {
    /// Adds the next initrd.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn add(&mut self, mut initrd: impl Read) -> io::Result<()> {
        let padding = self.len.next_multiple_of(ALIGN) - self.len;
        self.take(&[0; ALIGN as usize][..padding as usize]);
        let mut buffer = vec![0; 1 << 16];
        loop {
            match initrd.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => self.take(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// The hash of all of them.
    pub fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_padded_and_the_end_is_not() {
        let mut initrds = Initrds::default();
        for part in [b"abcde".as_slice(), b"fghi", b"j"] {
            initrds.add(part).unwrap();
        }
        assert_eq!(initrds.finish(), Digest::of(b"abcde\0\0\0fghij"));
    }

    #[test]
    fn an_initrd_that_cannot_be_read_is_an_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the stick is gone"))
            }
        }
        assert!(Initrds::default().add(Broken).is_err());
    }
}
