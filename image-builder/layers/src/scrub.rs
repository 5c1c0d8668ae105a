//! What packages' scripts leave by chance, per machine or per build, and what becomes of it.
//!
//! Every rule stands in [`RULES`] with its reason; the test that builds twice names any file that
//! no rule covers.

use crate::error::{Error, Result};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes.
    Remove,
    /// What is in it goes; the directory stays.
    Clear,
    /// It stays, empty.
    Empty,
    /// Files below it go, directories stay.
    Files,
}

/// A path in a layer and why it cannot stay. `*` matches within one name.
#[derive(Debug)]
pub struct Rule {
    /// Relative to the root.
    pub path: &'static str,
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: &'static str,
}

const fn rule(path: &'static str, action: Action, reason: &'static str) -> Rule {
    Rule { path, action, reason }
}

/// The scrub list.
pub const RULES: &[Rule] = &[
    rule("dev", Action::Clear, "devtmpfs is mounted over it"),
    rule("proc", Action::Clear, "proc is mounted over it"),
    rule("sys", Action::Clear, "sysfs is mounted over it"),
    rule("run", Action::Clear, "a tmpfs is mounted over it"),
    rule("tmp", Action::Clear, "temporary by definition (FHS 3.18)"),
    rule("var/tmp", Action::Clear, "temporary by definition (FHS 5.15)"),
    rule("var/log", Action::Files, "logs of the build; systemd-tmpfiles makes wtmp, btmp and lastlog"),
    rule("var/cache/apt", Action::Files, "apt's parsed indices and archives"),
    rule("var/lib/apt/lists", Action::Files, "indices of the day of the build"),
    rule("var/lib/apt/periodic", Action::Clear, "stamps of the day of the build"),
    rule("var/cache/debconf/*-old", Action::Remove, "debconf's backup of its database"),
    rule("var/cache/ldconfig", Action::Clear, "ldconfig's cache holds inode numbers and change times"),
    rule("var/cache/man", Action::Files, "man-db's index is made again by its timer"),
    rule("var/cache/fontconfig", Action::Files, "holds modification times of the build"),
    rule("var/cache/*.bin", Action::Files, "private caches of programs"),
    rule("var/cache/debconf/tmp.ci", Action::Remove, "templates that apt extracts for a moment"),
    rule("var/lib/sgml-base/*.old", Action::Remove, "update-catalog's backup"),
    rule("var/lib/dpkg/*-old", Action::Remove, "dpkg's backup of its database"),
    rule("var/lib/dpkg/available", Action::Remove, "dselect's list; nothing else reads it"),
    rule("var/lib/dpkg/lock", Action::Remove, "lock file, made again when needed"),
    rule("var/lib/dpkg/lock-frontend", Action::Remove, "lock file, made again when needed"),
    rule("var/lib/dpkg/triggers/Lock", Action::Empty, "lock file"),
    rule("var/lib/dpkg/updates", Action::Clear, "dpkg's journal, merged into its status"),
    rule("etc/passwd-", Action::Remove, "backup of the password file"),
    rule("etc/group-", Action::Remove, "backup of the group file"),
    rule("etc/shadow-", Action::Remove, "backup of the shadow file"),
    rule("etc/gshadow-", Action::Remove, "backup of the shadow group file"),
    rule("etc/subuid-", Action::Remove, "backup of subuid"),
    rule("etc/subgid-", Action::Remove, "backup of subgid"),
    rule("etc/.pwd.lock", Action::Remove, "lock file of the password tools"),
    rule("etc/ld.so.cache~", Action::Remove, "ldconfig's temporary file"),
    rule("etc/ssh/ssh_host_*", Action::Remove, "made by chance; each machine makes its own at first boot"),
    rule("etc/ssl/private/ssl-cert-snakeoil.key", Action::Remove, "a private key made by chance"),
    rule("etc/ssl/certs/ssl-cert-snakeoil.pem", Action::Remove, "certificate of that key"),
    rule("etc/machine-id", Action::Empty, "each machine's own; the installer makes it"),
    rule("var/lib/dbus/machine-id", Action::Remove, "a link to /etc/machine-id is made by tmpfiles"),
    rule("var/lib/systemd/random-seed", Action::Remove, "a seed that is shared is none"),
    rule("var/lib/systemd/credential.secret", Action::Remove, "each machine's own key"),
    rule("var/lib/systemd/timers", Action::Clear, "stamps of timers"),
    rule("var/lib/systemd/timesync/clock", Action::Empty, "its date is what counts, and it is clamped"),
    rule("etc/hostname", Action::Remove, "the host layer writes it"),
    rule("etc/resolv.conf.dpkg-*", Action::Remove, "left over by a package's script"),
    rule("root/.bash_history", Action::Remove, "history of a shell"),
    rule("root/.wget-hsts", Action::Remove, "state of a download"),
    rule("usr/sbin/policy-rc.d", Action::Remove, "ours: keeps services from starting while building"),
    rule("var/lib/ucf/*.[0-9]", Action::Remove, "ucf's backups of its database"),
];

/// Applies every rule to a layer's upper tree, then sets dates of password changes.
pub fn scrub(tree: &Path, epoch: u64) -> Result<()> {
    for rule in RULES {
        for place in matches(tree, rule.path)? {
            apply(rule.action, &place)?;
        }
    }
    remove_dangling(&tree.join("etc/ssl/certs"))?;
    last_change(&tree.join("etc/shadow"), epoch)
}

fn apply(action: Action, place: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(place).map_err(Error::io("reading", place))?;
    match action {
        Action::Remove if metadata.is_dir() => remove_tree(place),
        Action::Remove if is_whiteout(&metadata) => Ok(()),
        Action::Remove => fs::remove_file(place).map_err(Error::io("removing", place)),
        Action::Empty if metadata.is_file() => fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(place)
            .map(drop)
            .map_err(Error::io("emptying", place)),
        Action::Clear if metadata.is_dir() => {
            for child in children(place)? {
                apply(Action::Remove, &child)?;
            }
            Ok(())
        }
        Action::Files if metadata.is_dir() => {
            for child in children(place)? {
                apply(Action::Files, &child)?;
            }
            Ok(())
        }
        Action::Files => apply(Action::Remove, place),
        Action::Empty | Action::Clear => Ok(()),
    }
}

/// A whiteout hides a file of a lower layer: it is a removal already.
fn is_whiteout(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn remove_tree(place: &Path) -> Result<()> {
    fs::remove_dir_all(place).map_err(Error::io("removing", place))
}

fn children(place: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(place).map_err(Error::io("listing", place))?;
    list.map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(Error::io("listing", place))
}

/// Paths of the tree that a pattern names. Links are not followed: a pattern that leads through
/// one names nothing.
fn matches(tree: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut places = vec![tree.to_owned()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for place in places {
            if !fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir()) {
                continue;
            }
            if !part.contains(['*', '[']) {
                let child = place.join(part);
                if fs::symlink_metadata(&child).is_ok() {
                    next.push(child);
                }
                continue;
            }
            next.extend(children(&place)?.into_iter().filter(|child| {
                child.file_name().and_then(|name| name.to_str()).is_some_and(|name| glob(part, name))
            }));
        }
        places = next;
    }
    places.sort();
    Ok(places)
}

/// `*` is any text, `[0-9]` a digit.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("[0-9]") {
        return name.starts_with(|c: char| c.is_ascii_digit()) && glob(rest, &name[1..]);
    }
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => (0..=name.len())
            .filter(|&at| name.is_char_boundary(at))
            .any(|at| glob(&pattern[1..], &name[at..])),
        Some(first) => name.strip_prefix(first).is_some_and(|rest| glob(&pattern[first.len_utf8()..], rest)),
    }
}

/// The hash links of a certificate that was removed.
fn remove_dangling(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for place in children(folder)? {
        let target = fs::read_link(&place).unwrap_or_default();
        if target == Path::new("ssl-cert-snakeoil.pem") {
            fs::remove_file(&place).map_err(Error::io("removing", &place))?;
        }
    }
    Ok(())
}

/// shadow(5), third field: days since 1970 of the last change, which the tools take from the clock.
fn last_change(shadow: &Path, epoch: u64) -> Result<()> {
    let Ok(metadata) = fs::symlink_metadata(shadow) else { return Ok(()) };
    if !metadata.is_file() {
        return Ok(());
    }
    let text = fs::read_to_string(shadow).map_err(Error::io("reading", shadow))?;
    rewrite(shadow, &with_last_change(&text, epoch / 86400), &metadata)
}

fn with_last_change(text: &str, days: u64) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        let days = days.to_string();
        if let Some(field) = fields.get_mut(2)
            && !field.is_empty()
        {
            *field = &days;
        }
        out.push_str(&fields.join(":"));
        out.push('\n');
    }
    out
}

/// Writes a file in place of another with its owner and mode.
pub(crate) fn rewrite(path: &Path, text: &str, like: &fs::Metadata) -> Result<()> {
    fs::write(path, text).map_err(Error::io("writing", path))?;
    std::os::unix::fs::lchown(path, Some(like.uid()), Some(like.gid())).map_err(Error::io("owning", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(like.mode() & 0o7777))
        .map_err(Error::io("setting the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        assert!(glob("ssh_host_*", "ssh_host_rsa_key.pub"));
        assert!(!glob("ssh_host_*", "sshd_config"));
        assert!(glob("*.[0-9]", "hashfile.3") && !glob("*.[0-9]", "hashfile.x"));
        assert!(glob("*-old", "status-old") && !glob("*-old", "status"));
        assert!(!glob("[0-9]", "é"));
    }

    #[test]
    fn what_is_of_this_build_goes_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let place = dir.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, "root:*:20000:0:99999:7:::\nx:!*::::::\n").unwrap();
        };
        for path in [
            "etc/ssh/ssh_host_rsa_key",
            "etc/ssh/sshd_config",
            "etc/machine-id",
            "var/log/apt/history.log",
            "var/lib/dpkg/status",
            "var/lib/dpkg/status-old",
            "run/x/y",
            "etc/shadow",
            "var/lib/ucf/hashfile.0",
        ] {
            put(path);
        }
        std::os::unix::fs::symlink("ssl-cert-snakeoil.pem", dir.path().join("etc/ssh/keep")).unwrap();
        scrub(dir.path(), 86400 * 3).unwrap();
        let there = |path: &str| dir.path().join(path).exists();
        assert!(!there("etc/ssh/ssh_host_rsa_key") && there("etc/ssh/sshd_config"));
        assert!(!there("var/lib/dpkg/status-old") && there("var/lib/dpkg/status"));
        assert!(there("var/log/apt") && !there("var/log/apt/history.log"));
        assert!(there("run") && !there("run/x") && !there("var/lib/ucf/hashfile.0"));
        assert_eq!(fs::read(dir.path().join("etc/machine-id")).unwrap(), b"");
        assert_eq!(
            fs::read_to_string(dir.path().join("etc/shadow")).unwrap(),
            "root:*:3:0:99999:7:::\nx:!*::::::\n"
        );
    }

    #[test]
    fn a_link_out_of_the_tree_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("run")).unwrap();
        scrub(dir.path(), 0).unwrap();
        assert!(outside.path().join("precious").exists());
    }

    #[test]
    fn every_rule_has_a_reason_and_a_relative_path() {
        assert!(RULES.iter().all(|rule| !rule.reason.is_empty() && !rule.path.starts_with('/')));
    }
}
