//! A machine in QEMU, as a command line: what `landfall run` rehearses on and what the tests boot.
//!
//! Policy stays with the callers: they choose the shape, the network and the consoles, and they own
//! the processes.

mod drive;
mod error;
mod firmware;
mod kvm;
mod machine;
mod programs;
mod tpm;

pub use drive::{Bus, Drive};
pub use error::{Error, Result};
pub use firmware::Firmware;
pub use machine::{Display, Machine};
pub use programs::find;
pub use tpm::Tpm;

use std::path::Path;

/// A path as a value in one of QEMU's options: they split at commas, and a comma in a value is doubled.
pub fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// QEMU's command line while it grows.
#[derive(Debug, Default)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl Words {
    pub(crate) fn option(&mut self, name: &str, value: &str) {
        self.0.extend([name.to_owned(), value.to_owned()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(quoted(Path::new("/a,b")), "/a,,b");
    }
}
