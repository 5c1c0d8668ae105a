//! The host layer: everything that a site says of one machine, in pure Rust, so that a changed
//! line costs less than a second.
//!
//! Nothing here runs a program, and owners are numbers in the image, so an ordinary user writes
//! the same bytes as root.

mod accounts;
mod apt;
mod files;
mod firewall;
mod ini;
mod kernel;
mod landfall;
mod locale;
mod mounts;
mod network;
mod services;
mod units;

pub use firewall::ruleset;
pub use locale::keyboard_file;
pub use units::Install;

use crate::error::{Error, Result};
use crate::tree::{MemTree, Merged, Meta};
use accounts::Accounts;
use landfall_hosts::homes::HomeFiles;
use landfall_hosts::host::Host;
use landfall_hosts::machine::Machine;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a host layer is made of.
#[derive(Debug, Clone, Default)]
pub struct HostSpec {
    /// The merged host.
    pub host: Host,
    /// The site's folder.
    pub site: PathBuf,
    /// Files of homes, by user.
    pub homes: BTreeMap<String, HomeFiles>,
    /// What the running machine is told.
    pub machine: Machine,
    /// Date of the layer: the newest of the lock, seconds since 1970.
    pub epoch: u64,
    /// Base URI of the archive that `apt` on the machine uses: the site's or a public one.
    pub mirror: String,
    /// Base URI of the security archive.
    pub security_mirror: String,
    /// Our static `landfall-machine`.
    pub machine_binary: PathBuf,
    /// Files taken over as they are: path on the machine → where the file is. What blesses a boot
    /// comes so, out of a package that cannot be installed (its script wants a mounted ESP).
    pub taken: BTreeMap<String, PathBuf>,
    /// Secret's name → age ciphertext.
    pub ciphertexts: BTreeMap<String, Vec<u8>>,
    /// The site's public signing keys.
    pub signing_keys: Vec<String>,
}

/// Makes the layer's tree on top of the trees below it.
pub fn host_tree(spec: &HostSpec, below: &Merged) -> Result<MemTree> {
    let accounts = Accounts::read(below);
    let mut layer = Layer { spec, below, accounts, tree: MemTree::new(spec.epoch) };
    layer.names();
    layer.mounts();
    layer.accounts()?;
    layer.locale()?;
    layer.kernel();
    layer.network()?;
    layer.apt()?;
    layer.landfall()?;
    layer.ini()?;
    layer.files()?;
    layer.services()?;
    layer.stamps();
    let trees: Vec<&std::path::Path> = below.trees().iter().map(PathBuf::as_path).collect();
    layer.tree.adopt_directories(&trees)?;
    Ok(layer.tree)
}

/// A host layer in the making.
struct Layer<'a> {
    spec: &'a HostSpec,
    below: &'a Merged,
    accounts: Accounts,
    tree: MemTree,
}

impl Layer<'_> {
    /// A root-owned, world-readable file.
    fn text(&mut self, path: &str, text: impl Into<String>) {
        self.tree.file(path, text.into(), Meta::root(0o644));
    }

    /// The text that stands at `path` so far, in this layer or below.
    fn current(&self, path: &str) -> String {
        match self.tree.read(path) {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => self.below.text(path),
        }
    }

    fn refused(&self, what: &str, reason: impl Into<String>) -> Error {
        Error::refused(format!("building the host layer of {}: {what}", self.spec.host.name), reason)
    }

    /// hostname(5) and hosts(5). 127.0.1.1 is Debian's address for the machine's own name
    /// (Debian Reference 5.1.1).
    fn names(&mut self) {
        let name = &self.spec.host.hostname;
        let hosts = format!(
            "127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
        );
        self.text("/etc/hostname", format!("{name}\n"));
        self.text("/etc/hosts", hosts);
    }

    /// ConditionNeedsUpdate (systemd.unit(5)) compares these with /usr: what the build has done
    /// is not done again at boot.
    fn stamps(&mut self) {
        let stamp = format!("# Made by Landfall's build.\nTIMESTAMP_NSEC={}000000000\n", self.spec.epoch);
        self.text("/etc/.updated", stamp.clone());
        self.text("/var/.updated", stamp);
        // The layer holds /usr, so /usr is as old as the stamps.
        self.tree.directory("/usr", Meta::root(0o755));
    }
}

#[cfg(test)]
mod tests;
