//! Secrets at every boot: opened into memory, given to their owners, put into the password file,
//! templates and Wi-Fi. What cannot be opened is said and left out; nothing here stops a boot.

pub mod decrypt;
pub mod identity;
pub mod store;
pub mod template;
pub mod wifi;

use crate::accounts::shadow::{self, Hashes};
use crate::accounts::{Accounts, crypt};
use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::machine;
use crate::roots::Roots;
use crate::systemd::{Systemctl, Systemd};
use crate::tools::{Call, Commands, Tool};
use identity::Keys;
use landfall_hosts::machine::{Machine, MachineSecret};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use store::Store;
use template::{Plain, value};
use zeroize::Zeroizing;

/// The folder of rendered templates that must not touch a disk, inside the secrets' filesystem.
const TEMPLATES: &str = ".templates";

/// How the last run went: names and reasons, never a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// 1.
    pub schema: u32,
    /// Set while nothing can be opened for want of an identity.
    pub waiting: Option<String>,
    /// Secrets that are in place.
    pub ready: BTreeSet<String>,
    /// What failed, in words.
    pub problems: Vec<String>,
}

impl Status {
    /// True when all that is declared is in place.
    pub fn is_good(&self) -> bool {
        self.waiting.is_none() && self.problems.is_empty()
    }

    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(error.to_string());
                None
            }
        }
    }
}

/// Everything that a run needs.
pub struct Job<'a> {
    /// Where things stand.
    pub roots: &'a Roots,
    /// What is declared.
    pub machine: &'a Machine,
    /// Programs.
    pub commands: &'a dyn Commands,
    /// Where the new set goes.
    pub store: &'a dyn Store,
}

impl Job<'_> {
    /// Runs it all and records how it went.
    pub fn run(&self) -> Status {
        let mut status = Status { schema: 1, ..Status::default() };
        // First of all: whatever fails below, people can log in as they last could.
        let restored = self.restore_passwords();
        status.note(restored);
        match identity::load(self.roots, self.commands) {
            Ok(Some(keys)) => self.with_keys(&keys, &mut status),
            Ok(None) if self.machine.secrets.is_empty() => {}
            Ok(None) => status.waiting = Some("waiting for an identity".into()),
            Err(error) => status.problems.push(error.to_string()),
        }
        let recorded = self.record(&status);
        status.note(recorded);
        status
    }

    fn with_keys(&self, keys: &Keys, status: &mut Status) {
        let plain = self.open_all(keys, status);
        let published = self.publish(&plain, status);
        if let Some(changed) = status.note(published) {
            self.restart(&changed, status);
        }
        let set = self.set_passwords(&plain, status);
        status.note(set);
        let wifi = wifi::apply(self.roots, self.machine, &plain);
        if status.note(wifi) == Some(true) {
            self.reload_network();
        }
    }

    fn open_all(&self, keys: &Keys, status: &mut Status) -> Plain {
        let mut plain = Plain::new();
        for name in self.machine.secrets.keys() {
            let opened = files::read(&self.roots.ciphertext(name))
                .and_then(|ciphertext| decrypt::decrypt(&ciphertext, keys, name));
            if let Some(secret) = status.note(opened) {
                status.ready.insert(name.clone());
                plain.insert(name.clone(), secret);
            }
        }
        plain
    }

    /// Fills and publishes a set; returns the secrets that differ from those before it.
    fn publish(&self, plain: &Plain, status: &mut Status) -> Result<BTreeSet<String>> {
        let place = self.roots.secrets();
        if self.machine.secrets.is_empty() && !place.exists() {
            return Ok(BTreeSet::new());
        }
        let accounts = Accounts::load(self.roots)?;
        let set = self.store.begin()?;
        let folder = set.folder();
        let mut changed = BTreeSet::new();
        for (name, declared) in &self.machine.secrets {
            let old = files::read(&place.join(name)).ok();
            // One that cannot be opened today keeps what it was, where there was something.
            let Some(secret) = plain.get(name).or(old.as_ref()) else {
                continue;
            };
            let written = access(declared, &accounts)
                .and_then(|access| files::write_new(&folder.join(name), secret, access));
            if status.note(written).is_some() && old.as_ref().is_some_and(|old| old != secret) {
                changed.insert(name.clone());
            }
        }
        let direct = self.render_templates(plain, &accounts, &folder, status);
        set.publish(&place)?;
        self.place_templates(direct, status);
        self.link(status);
        Ok(changed)
    }

    /// Templates under /etc and /run, which are in memory, are returned; all others are rendered
    /// into the secrets' filesystem, so that no plaintext reaches a disk.
    fn render_templates(
        &self,
        plain: &Plain,
        accounts: &Accounts,
        folder: &Path,
        status: &mut Status,
    ) -> Vec<(PathBuf, Zeroizing<Vec<u8>>, Access)> {
        let mut direct = Vec::new();
        for (path, template) in &self.machine.templates {
            let rendered = template::render(&template.text, plain)
                .map_err(|error| Error::Refused(format!("writing {path}: {error}")));
            let owned = accounts.owner(&template.owner, &template.group).and_then(|(uid, gid)| {
                let mode = machine::mode(&template.mode, 0o600)?;
                Ok(Access { uid, gid, mode })
            });
            let (Some(bytes), Some(access)) = (status.note(rendered), status.note(owned)) else {
                continue;
            };
            if in_memory(path) {
                direct.push((self.roots.path(path), bytes, access));
                continue;
            }
            let below = folder.join(TEMPLATES);
            let written = files::make_folder(&below, 0o751)
                .and_then(|()| files::write_new(&below.join(flat(path)), &bytes, access));
            status.note(written);
        }
        direct
    }

    fn place_templates(&self, direct: Vec<(PathBuf, Zeroizing<Vec<u8>>, Access)>, status: &mut Status) {
        for (path, bytes, access) in direct {
            let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
            let placed =
                files::make_folder(&folder, 0o755).and_then(|()| files::replace(&path, &bytes, access));
            status.note(placed);
        }
        for path in self.machine.templates.keys().filter(|path| !in_memory(path)) {
            let target = Path::new(landfall_hosts::paths::machine::SECRETS).join(TEMPLATES).join(flat(path));
            let placed = link_at(&self.roots.path(path), &target);
            status.note(placed);
        }
    }

    fn link(&self, status: &mut Status) {
        for (name, declared) in &self.machine.secrets {
            if let Some(link) = &declared.link {
                let target = Path::new(landfall_hosts::paths::machine::SECRETS).join(name);
                let linked = link_at(&self.roots.path(link), &target);
                status.note(linked);
            }
        }
    }

    fn restart(&self, changed: &BTreeSet<String>, status: &mut Status) {
        let systemd = Systemctl(self.commands);
        let units: BTreeSet<&String> = self
            .machine
            .secrets
            .iter()
            .filter(|(name, _)| changed.contains(*name))
            .flat_map(|(_, secret)| &secret.restart)
            .collect();
        for unit in units {
            let restarted = systemd.restart(unit);
            status.note(restarted);
        }
    }

    fn reload_network(&self) {
        // Before NetworkManager runs there is nothing to tell; it reads the files when it starts.
        if self.commands.has(Tool::Nmcli) && self.roots.run("NetworkManager/NetworkManager.pid").exists() {
            let args = ["connection", "reload"];
            let _ = self.commands.run(&Call::new(Tool::Nmcli, &args));
        }
    }

    /// The hashes of users who still have a password secret, as they last worked.
    fn restore_passwords(&self) -> Result<()> {
        let mut kept = shadow::kept(self.roots)?;
        kept.retain(|user, _| self.password_secret(user).is_some());
        shadow::apply(self.roots, &kept).map(drop)
    }

    fn password_secret(&self, user: &str) -> Option<&String> {
        self.machine.users.get(user)?.password.as_ref()
    }

    fn set_passwords(&self, plain: &Plain, status: &mut Status) -> Result<()> {
        let mut hashes = shadow::kept(self.roots).unwrap_or_default();
        hashes.retain(|user, _| self.password_secret(user).is_some());
        for user in self.machine.users.keys() {
            let Some(secret) = self.password_secret(user).and_then(|name| plain.get(name)) else {
                continue;
            };
            match hash(secret) {
                Some(hash) => drop(hashes.insert(user.clone(), hash)),
                None => status.problems.push(shadow::not_a_hash(user).to_string()),
            }
        }
        self.apply_each(&hashes, status)
    }

    /// One user who is wrong must not keep the others out.
    fn apply_each(&self, hashes: &Hashes, status: &mut Status) -> Result<()> {
        let mut good = Hashes::new();
        for (user, hash) in hashes {
            let one = Hashes::from([(user.clone(), hash.clone())]);
            let applied = shadow::apply(self.roots, &one);
            if status.note(applied).is_some() {
                good.extend(one);
            }
        }
        shadow::keep(self.roots, &good)
    }

    fn record(&self, status: &Status) -> Result<()> {
        let text = serde_json::to_vec_pretty(status)
            .map_err(|error| Error::Refused(format!("recording the secrets' status: {error}")))?;
        let path = self.roots.secrets_status();
        files::make_folder(path.parent().unwrap_or(Path::new("/")), 0o755)?;
        files::replace(&path, &text, Access { mode: 0o644, ..me() })
    }
}

/// Root on a machine; the person who runs the tests elsewhere.
fn me() -> Access {
    Access { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw(), mode: 0o600 }
}

fn access(declared: &MachineSecret, accounts: &Accounts) -> Result<Access> {
    let (uid, gid) = accounts.owner(&declared.owner, &declared.group)?;
    let mode = machine::mode(&declared.mode, 0o400)?;
    Ok(Access { uid, gid, mode })
}

fn hash(secret: &[u8]) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(value(secret)).ok()?;
    crypt::is_hash(text).then(|| Zeroizing::new(text.to_owned()))
}

fn in_memory(path: &str) -> bool {
    path.starts_with("/etc/") || path.starts_with("/run/")
}

fn flat(path: &str) -> String {
    path.trim_start_matches('/').replace('_', "__").replace('/', "_s")
}

fn link_at(path: &Path, target: &Path) -> Result<()> {
    files::make_folder(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    files::replace_link(path, target)
}

/// How the run of this boot went; none if there was none.
pub fn status(roots: &Roots) -> Option<Status> {
    let text = fs::read_to_string(roots.secrets_status()).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests;
