//! Where things stand. The only file with literal paths of a machine; tests give a folder instead.

use landfall_hosts::paths::{data, machine, state};
use std::path::{Path, PathBuf};

/// Every place that this crate reads or writes.
#[derive(Debug, Clone)]
pub struct Roots {
    root: PathBuf,
}

impl Roots {
    /// The running machine.
    pub fn system() -> Self {
        Self::under("/")
    }

    /// A tree that looks like a machine.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// An absolute path of the machine, below the root.
    pub fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.root.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// `/etc`.
    pub fn etc(&self, below: &str) -> PathBuf {
        self.path("/etc").join(below)
    }

    /// `/run`.
    pub fn run(&self, below: &str) -> PathBuf {
        self.path("/run").join(below)
    }

    /// `/proc`.
    pub fn proc(&self, below: &str) -> PathBuf {
        self.path("/proc").join(below)
    }

    /// `/sys`.
    pub fn sys(&self, below: &str) -> PathBuf {
        self.path("/sys").join(below)
    }

    /// `/dev`.
    pub fn dev(&self, below: &str) -> PathBuf {
        self.path("/dev").join(below)
    }

    /// The data partition.
    pub fn data(&self, below: &str) -> PathBuf {
        self.path(machine::DATA).join(below)
    }

    /// The machine's state on the data partition.
    pub fn state(&self, below: &str) -> PathBuf {
        self.data(data::STATE).join(below)
    }

    /// The bare identity, until it is sealed.
    pub fn identity_bare(&self) -> PathBuf {
        self.state(state::IDENTITY)
    }

    /// The identity, sealed with `systemd-creds`.
    pub fn identity_sealed(&self) -> PathBuf {
        self.state(state::IDENTITY_SEALED)
    }

    /// The last good shadow entries.
    pub fn shadow_kept(&self) -> PathBuf {
        self.state("shadow-last-good")
    }

    /// Records of what was applied to homes.
    pub fn home_records(&self) -> PathBuf {
        self.state("homes")
    }

    /// How the last boot went.
    pub fn boot_report(&self) -> PathBuf {
        self.state("boot-report.json")
    }

    /// The early secrets step's own record of this boot.
    pub fn secrets_status(&self) -> PathBuf {
        self.path(machine::DATA).parent().map(|run| run.join("secrets-status.json")).unwrap_or_default()
    }

    /// What the host layer tells the machine.
    pub fn machine_toml(&self) -> PathBuf {
        self.path(machine::MACHINE_TOML)
    }

    /// The ciphertext of a secret.
    pub fn ciphertext(&self, name: &str) -> PathBuf {
        self.path(machine::CIPHERTEXTS).join(format!("{name}.age"))
    }

    /// The files laid into a user's home.
    pub fn home_files(&self, user: &str) -> PathBuf {
        self.path(machine::HOMES).join(user)
    }

    /// Where decrypted secrets are mounted.
    pub fn secrets(&self) -> PathBuf {
        self.path(machine::SECRETS)
    }

    /// EFI variables.
    pub fn efivars(&self) -> PathBuf {
        self.sys("firmware/efi/efivars")
    }
}
