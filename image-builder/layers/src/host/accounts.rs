//! Users and groups: passwd(5), group(5), shadow(5), gshadow(5), subuid(5).

use super::Layer;
use crate::error::Result;
use crate::tree::{Merged, Meta};
use std::collections::BTreeMap;

/// Subordinate ids of a user start at 100000 + 65536 · (uid − 1000).
const SUBIDS_START: u32 = 100_000;
const SUBIDS_COUNT: u32 = 65_536;
const FIRST_USER: u32 = 1000;

/// The password files of the layers below, with what the host adds.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    files: BTreeMap<&'static str, Vec<Vec<String>>>,
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
const SHADOW: &str = "/etc/shadow";
const GSHADOW: &str = "/etc/gshadow";

impl Accounts {
    /// Reads the files of the layers below.
    pub fn read(below: &Merged) -> Self {
        let parse = |path: &'static str| {
            let lines = below.text(path);
            let lines = lines.lines().filter(|line| !line.is_empty());
            (path, lines.map(|line| line.split(':').map(str::to_owned).collect()).collect())
        };
        Self { files: [PASSWD, GROUP, SHADOW, GSHADOW].map(parse).into() }
    }

    fn lines(&mut self, file: &'static str) -> &mut Vec<Vec<String>> {
        self.files.entry(file).or_default()
    }

    fn id(&self, file: &str, name: &str) -> Option<u32> {
        let line =
            self.files.get(file)?.iter().find(|line| line.first().is_some_and(|first| first == name))?;
        line.get(2)?.parse().ok()
    }

    /// A user's id.
    pub fn uid(&self, name: &str) -> Option<u32> {
        self.id(PASSWD, name)
    }

    /// A group's id.
    pub fn gid(&self, name: &str) -> Option<u32> {
        self.id(GROUP, name)
    }

    fn group_names(&self) -> Vec<&str> {
        let lines = self.files.get(GROUP).map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter_map(|line| line.first().map(String::as_str)).collect()
    }

    /// Replaces the line of that name, or adds one.
    fn set(&mut self, file: &'static str, fields: &[&str]) {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let lines = self.lines(file);
        match lines.iter_mut().find(|line| line.first() == fields.first()) {
            Some(line) => *line = fields,
            None => lines.push(fields),
        }
    }

    /// The last field of group and gshadow is the list of members.
    fn join(&mut self, group: &str, user: &str) {
        for file in [GROUP, GSHADOW] {
            let line =
                self.lines(file).iter_mut().find(|line| line.first().is_some_and(|name| name == group));
            if let Some(members) = line.and_then(|line| line.get_mut(3)) {
                let mut all: Vec<&str> = members.split(',').filter(|name| !name.is_empty()).collect();
                if !all.contains(&user) {
                    all.push(user);
                }
                *members = all.join(",");
            }
        }
    }

    fn text(&self, file: &str) -> String {
        let lines = self.files.get(file).map(Vec::as_slice).unwrap_or_default();
        lines.iter().map(|line| line.join(":") + "\n").collect()
    }
}

impl Layer<'_> {
    pub(super) fn accounts(&mut self) -> Result<()> {
        let spec = self.spec;
        let days = (spec.epoch / 86400).to_string();
        let mut subids = String::new();
        for (name, user) in &spec.host.users {
            let what = format!("user {name}");
            let taken = self.accounts.uid(name).is_some_and(|uid| uid != user.uid);
            // `sudo` or `docker` as a user's name would take over that group and its number.
            if self.accounts.gid(name).is_some_and(|gid| gid != user.uid) {
                let reason = "a group of the system has that name already; choose another name for the user";
                return Err(self.refused(&what, reason));
            }
            if taken || user.uid < FIRST_USER || user.uid > 59_999 {
                return Err(self.refused(
                    &what,
                    format!("uid {} is no free uid of 1000–59999; choose another", user.uid),
                ));
            }
            if user.full_name.contains([':', '\n', ',']) || user.shell.contains([':', '\n']) {
                return Err(self
                    .refused(&what, "its full name or shell has a colon, comma or line break; take it out"));
            }
            let shell = if user.shell.is_empty() { "/bin/bash" } else { &user.shell };
            if !self.below.exists(shell) {
                let reason = format!(
                    "no package of this host brings its shell {shell}; add one, or choose another shell"
                );
                return Err(self.refused(&what, reason));
            }
            let id = user.uid.to_string();
            let home = format!("/home/{name}");
            self.accounts.set(PASSWD, &[name, "x", &id, &id, &user.full_name, &home, shell]);
            self.accounts.set(GROUP, &[name, "x", &id, ""]);
            // `!*` matches no password: the machine takes the hash from a secret.
            self.accounts.set(SHADOW, &[name, "!*", &days, "0", "99999", "7", "", "", ""]);
            self.accounts.set(GSHADOW, &[name, "!*", "", ""]);
            let start = SUBIDS_START + SUBIDS_COUNT * (user.uid - FIRST_USER);
            subids.push_str(&format!("{name}:{start}:{SUBIDS_COUNT}\n"));
        }
        self.memberships()?;
        self.write_accounts(&subids);
        self.ssh_keys();
        Ok(())
    }

    fn memberships(&mut self) -> Result<()> {
        let spec = self.spec;
        for (name, user) in &spec.host.users {
            for group in &user.groups {
                if self.accounts.gid(group).is_none() {
                    let known = self.accounts.group_names().join(", ");
                    let reason = format!(
                        "no package of this host makes the group {group}; add the package, or take the group out. There are: {known}"
                    );
                    return Err(self.refused(&format!("user {name}"), reason));
                }
                self.accounts.join(group, name);
            }
        }
        Ok(())
    }

    fn write_accounts(&mut self, subids: &str) {
        let shadow = self.accounts.gid("shadow").unwrap_or(42);
        let secret = Meta { uid: 0, gid: shadow, mode: 0o640 };
        for (file, meta) in
            [(PASSWD, Meta::root(0o644)), (GROUP, Meta::root(0o644)), (SHADOW, secret), (GSHADOW, secret)]
        {
            let text = self.accounts.text(file);
            self.tree.file(file, text, meta);
        }
        self.text("/etc/subuid", subids);
        self.text("/etc/subgid", subids);
    }

    /// Keys stand in the image, not in homes: they hold from the first boot on, whatever is in
    /// the home (sshd_config(5), AuthorizedKeysFile).
    fn ssh_keys(&mut self) {
        let spec = self.spec;
        let users = spec.host.users.iter().filter(|(_, user)| !user.ssh_keys.is_empty());
        for (name, user) in users {
            let keys: String = user.ssh_keys.iter().map(|key| format!("{key}\n")).collect();
            self.text(&format!("/etc/ssh/authorized_keys.d/{name}"), keys);
        }
        if self.tree.contains("/etc/ssh/authorized_keys.d") {
            let text = "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\n";
            self.text("/etc/ssh/sshd_config.d/50-landfall.conf", text);
        }
    }
}
