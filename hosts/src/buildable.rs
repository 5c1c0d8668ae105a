//! What the schema knows and nothing builds yet. `check` notes it, `build` of such a host
//! refuses: a key is honoured or it is here, so that none is accepted and ignored.

use crate::host::Host;
use crate::swap::Swap;

/// A key that this host sets and nobody builds: its path, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotBuildable {
    /// Path of the key, as its parts.
    pub key: Vec<String>,
    /// What is missing, in words.
    pub why: String,
}

impl std::fmt::Display for NotBuildable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key =
            self.key.iter().fold(String::new(), |path, part| crate::site::validate::dotted(&path, part));
        write!(f, "not buildable yet: {key} ({})", self.why)
    }
}

/// One test of the table: the key, whether the host asks for it, why it cannot be built.
type Row = (&'static [&'static str], fn(&Host) -> bool, &'static str);

/// The table. A part of Landfall that learns to honour a key takes its line out.
const TABLE: &[Row] = &[
    (&["desktop"], |h| h.desktop.is_some(), "desktops are not built"),
    (&["boot", "splash"], |h| h.boot.splash, "plymouth is not in the initrd"),
    (&["theme"], |h| h.theme.gtk.is_some() || h.theme.cursor.is_some(), "themes come with desktops"),
    (&["disk", "swap"], bare_swap, "it would hold what the encrypted disk protects; use zram or file:SIZE"),
    (&["disk", "layout"], |h| h.disk.layout.is_some(), "there is one layout"),
    (&["updates", "auto"], updates, "nothing runs updates on a schedule"),
];

fn bare_swap(host: &Host) -> bool {
    let swap = crate::machine::swap(host);
    host.disk.encrypt.is_some() && matches!(swap, Swap::Partition(_) | Swap::PartitionOfMemory)
}

fn updates(host: &Host) -> bool {
    host.updates.auto.as_deref().is_some_and(|auto| auto != "none")
}

/// Why a file of the image would never be seen at `path`: the machine mounts something over it.
fn shadowed(path: &str) -> Option<&'static str> {
    let (top, _) = path.strip_prefix('/')?.split_once('/')?;
    match top {
        "home" => Some("homes are the machine's own; use [home.USER.files]"),
        "dev" | "efi" | "proc" | "run" | "sys" | "tmp" => Some("the machine mounts its own over that folder"),
        _ => None,
    }
}

/// Everything that this host asks for and nothing builds.
pub fn not_buildable(host: &Host) -> Vec<NotBuildable> {
    let mut found = Vec::new();
    let mut add = |key: &[&str], why: &str| {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        found.push(NotBuildable { key, why: why.to_owned() });
    };
    for (key, asks, why) in TABLE {
        if asks(host) {
            add(key, why);
        }
    }
    for (path, _) in host.mounts.iter().filter(|(_, mount)| mount.match_rule.is_some()) {
        add(&["mounts", path, "match"], "a rule names disks, not filesystems; use label or uuid");
    }
    for (name, secret) in &host.secrets {
        if secret.key.is_some() || !secret.file.ends_with(".age") {
            add(&["secrets", name, "file"], "sops files are not read; keep it in one .age file");
        }
    }
    if host.network.manager != "networkmanager" {
        for name in host.network.wifi.keys() {
            add(&["network", "wifi", name], "Wi-Fi needs network.manager = \"networkmanager\"");
        }
    }
    for (path, file) in &host.files {
        // Templates are made on the running machine, so those of /run are in time.
        if let Some(why) = shadowed(path).filter(|_| file.template.is_none() || !path.starts_with("/run/")) {
            add(&["files", path], why);
        }
    }
    for (user, home) in &host.home {
        for (path, _) in home.files.iter().filter(|(_, file)| file.template.is_some()) {
            add(&["home", user, "files", path, "template"], "templates are for [files] alone");
        }
    }
    for (user, _) in host.home.iter().filter(|(_, home)| !home.units.is_empty()) {
        add(&["home", user, "units"], "units of users are not laid down");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_nobody_would_see_are_named() {
        use crate::host::{File, Home};
        let text = || File { text: Some("x".into()), ..File::default() };
        let template = || File { template: Some("x".into()), ..File::default() };
        let mut host = Host::default();
        host.network.manager = "networkmanager".into();
        for (path, file) in [("/etc/a", text()), ("/run/b", template()), ("/homely/c", text())] {
            host.files.insert(path.into(), file);
        }
        assert_eq!(not_buildable(&host), []);
        host.files.insert("/home/ann/d".into(), text());
        host.files.insert("/run/e/f".into(), text());
        host.files.insert("/run/b/c".into(), template());
        let mut home = Home::default();
        home.files.insert(".netrc".into(), template());
        host.home.insert("ann".into(), home);
        let keys: Vec<Vec<String>> = not_buildable(&host).into_iter().map(|one| one.key).collect();
        assert_eq!(
            keys,
            [
                vec!["files", "/home/ann/d"],
                vec!["files", "/run/e/f"],
                vec!["home", "ann", "files", ".netrc", "template"],
            ]
        );
    }

    #[test]
    fn a_plain_host_is_buildable_and_each_wish_is_named() {
        let mut host = Host::default();
        host.network.manager = "networkmanager".into();
        assert_eq!(not_buildable(&host), []);
        host.disk.layout = Some("mirror".into());
        host.boot.splash = true;
        let text: Vec<String> = not_buildable(&host).iter().map(ToString::to_string).collect();
        assert!(text[0].starts_with("not buildable yet: boot.splash"), "{text:?}");
        assert!(text[1].starts_with("not buildable yet: disk.layout"), "{text:?}");
    }
}
