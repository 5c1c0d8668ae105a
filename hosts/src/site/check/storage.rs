//! What a host says of disks: which one it may use, further mounts, swap.

use super::{Check, path};
use crate::host::{Encrypt, Existing, Unlock};
use crate::machine;
use crate::mounts;
use crate::site::Resolved;
use crate::swap::Swap;

impl Check<'_> {
    pub(super) fn storage(&mut self, resolved: &Resolved) {
        let host = &resolved.host;
        if !resolved.provenance.contains_key(&path(&["disk", "match"])) {
            let message = "this host does not say which disk it may use".to_owned();
            let remedy = "write [disk] match = { serial = \"…\" }; `landfall probe --json` lists disks";
            self.error(resolved, &["disk"], message, remedy);
        }
        self.mounts(resolved);
        if let Some(encrypt) = &host.disk.encrypt {
            self.encryption(resolved, encrypt);
        }
        self.hibernation(resolved);
    }

    /// What an install with nobody watching would lack.
    fn encryption(&mut self, resolved: &Resolved, encrypt: &Encrypt) {
        let words =
            [("passphrase", Unlock::Passphrase, &encrypt.passphrase), ("pin", Unlock::Tpm2Pin, &encrypt.pin)];
        for (key, way, secret) in words {
            if encrypt.unlock.contains(&way) && secret.is_none() {
                let message =
                    format!("an install with nobody watching has no {key} for the disk of this host");
                let remedy = format!(
                    "name one: disk.encrypt.{key} = {{ secret = \"NAME\" }}; an attended install asks"
                );
                self.note(resolved, &["disk", "encrypt"], message, remedy);
            }
        }
        // The TPM opens the disk for the machine's own start, and not for a medium's.
        let asks = encrypt.unlock.contains(&Unlock::Passphrase);
        let keeps = resolved.host.disk.existing == Existing::KeepState;
        if keeps && !asks && encrypt.passphrase.is_none() {
            let message =
                "an install with nobody watching cannot open the disk of this host to keep its state";
            let remedy = "put the disk's recovery key into a secret and name that: disk.encrypt.passphrase = \
                          { secret = \"NAME\" }; an attended install asks";
            self.note(resolved, &["disk", "encrypt"], message.to_owned(), remedy);
        }
    }

    fn mounts(&mut self, resolved: &Resolved) {
        for (place, what) in &resolved.host.mounts {
            let named = [what.label.is_some(), what.uuid.is_some(), what.match_rule.is_some()];
            if named.iter().filter(|set| **set).count() != 1 {
                let message = format!("the mount {place} must say one of label, uuid and match");
                self.error(resolved, &["mounts", place], message, "say which filesystem it is");
            }
            if let Some(why) = mounts::refused(&resolved.host, place) {
                let message = format!("nothing can be mounted at {place}: {why}");
                self.error(resolved, &["mounts", place], message, "name another folder, such as /srv/media");
            }
        }
    }

    /// A locked-down kernel does not hibernate (kernel_lockdown(7)), and Debian's is locked down by
    /// Secure Boot.
    fn hibernation(&mut self, resolved: &Resolved) {
        let host = &resolved.host;
        if machine::swap(host) == Swap::PartitionOfMemory {
            let message = "hibernation works with Secure Boot off alone".to_owned();
            let remedy = "switch Secure Boot off in the firmware before the machine is installed, or choose \
                          swap = \"zram\"";
            self.note(resolved, &["disk", "swap"], message, remedy);
        }
        let words = ["resume=", "resume_offset="];
        for word in host.kernel.params.iter().filter(|word| words.iter().any(|start| word.starts_with(start)))
        {
            let message = format!("{word}: the machine resumes from its own swap partition without it");
            let remedy = "take it out, and write [disk] swap = \"partition:ram\"";
            self.note(resolved, &["kernel", "params", word], message, remedy);
        }
    }
}
