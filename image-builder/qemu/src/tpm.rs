//! A TPM 2 by swtpm: the process is the caller's, the words are here.

use crate::{Words, quoted};
use std::path::{Path, PathBuf};

/// A TPM 2 that keeps its state in a folder.
#[derive(Debug, Clone)]
pub struct Tpm {
    /// What it remembers from one boot to the next.
    pub state: PathBuf,
    /// Where swtpm listens for QEMU.
    pub socket: PathBuf,
}

impl Tpm {
    /// The arguments of `swtpm` (swtpm(8)); it ends when QEMU closes the connection.
    pub fn arguments(&self) -> Vec<String> {
        let option = |name: &str, key: &str, path: &Path| format!("{name}{key}={}", path.display());
        let state = option("", "dir", &self.state);
        let control = option("type=unixio,", "path", &self.socket);
        ["socket", "--tpm2", "--tpmstate", &state, "--ctrl", &control, "--terminate"]
            .map(str::to_owned)
            .to_vec()
    }

    pub(crate) fn words(&self, words: &mut Words) {
        words.option("-chardev", &format!("socket,id=tpm,path={}", quoted(&self.socket)));
        words.option("-tpmdev", "emulator,id=tpm0,chardev=tpm");
        words.option("-device", "tpm-crb,tpmdev=tpm0");
    }
}
