//! What is wrong with a merged host, and with a site as a whole.

mod storage;

use super::finish::secret_references;
use super::problem::{Location, Problem, suggest};
use super::tree::Stands;
use super::{Problems, Resolved, Site};
use crate::host::{File, Host, User};
use crate::lock::{self, Lock};
use std::collections::{BTreeMap, BTreeSet};

/// Every problem of the site, of every host, once.
pub fn site(site: &Site) -> Vec<Problem> {
    let mut problems = site.problems.clone();
    for file in &site.files.all {
        problems.extend(file.problems.iter().cloned());
    }
    let mut read: BTreeSet<String> = BTreeSet::new();
    let mut all_resolve = true;
    for name in site.hosts() {
        match site.variants(name) {
            Ok(variants) => {
                for resolved in variants {
                    read.extend(resolved.host.secrets.into_keys());
                    problems.extend(resolved.notes);
                }
            }
            Err(found) => {
                all_resolve = false;
                problems.extend(found.0);
            }
        }
    }
    // A host that does not merge may be the reader, so nothing can be said while one does not.
    if all_resolve {
        problems.extend(unread_secrets(site, &read));
    }
    if site.hosts().is_empty() {
        let at = Location { file: "hosts".into(), ..Location::default() };
        problems.push(Problem::error(at, "the site has no host", "write hosts/NAME.toml"));
    }
    problems.extend(no_admin(site));
    Problems(problems).tidy().0
}

fn no_admin(site: &Site) -> Option<Problem> {
    let at = Location { file: "site.toml".into(), line: 1, col: 1 };
    let remedy = "name a recipient: [admins] NAME = \"age1…\" (age-keygen), or your SSH public key";
    let message = "the site has no admin, so nobody could open its secrets";
    site.admins().is_empty().then(|| Problem::error(at, message, remedy))
}

/// Secrets that are declared and that no host may read.
fn unread_secrets(site: &Site, read: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in &site.files.all {
        let secrets = file.root.get("secrets").and_then(|entry| entry.node.table());
        for (name, entry) in secrets.into_iter().flatten() {
            if entry.node.table().is_some() && !read.contains(name) {
                let message = format!("no host may read the secret \"{name}\": none refers to it");
                let remedy = format!(
                    "refer to it with {{ secret = \"{name}\" }}, set `expose = true` on it, or take it out"
                );
                problems.push(Problem::error(file.at(entry.key_at), message, remedy));
            }
        }
    }
    problems
}

/// Problems of one merged host; also leaves only those secrets that it reads.
pub fn host(site: &Site, resolved: &mut Resolved, file: &str) -> Vec<Problem> {
    let mut check = Check { site, file, problems: Vec::new() };
    check.secrets(resolved);
    check.required(resolved);
    check.storage(resolved);
    check.files(resolved);
    check.packages(resolved);
    check.users(resolved);
    check.groups(resolved);
    check.login(resolved);
    check.names(resolved);
    check.not_buildable(resolved);
    check.problems
}

/// Groups that every Debian has: base-passwd's `group.master`, and what the base's packages make.
const BASE_GROUPS: &[&str] = &[
    "adm",
    "audio",
    "backup",
    "cdrom",
    "dialout",
    "dip",
    "disk",
    "fax",
    "floppy",
    "games",
    "input",
    "kmem",
    "kvm",
    "lp",
    "mail",
    "man",
    "netdev",
    "news",
    "operator",
    "plugdev",
    "proxy",
    "render",
    "root",
    "sasl",
    "shadow",
    "src",
    "staff",
    "sudo",
    "sys",
    "systemd-journal",
    "tape",
    "tty",
    "users",
    "utmp",
    "uucp",
    "video",
    "voice",
    "www-data",
];

struct Check<'a> {
    site: &'a Site,
    file: &'a str,
    problems: Vec<Problem>,
}

fn path(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

impl Check<'_> {
    /// Where the winning word on a path stands; the host's file where nobody said anything.
    fn at(&self, resolved: &Resolved, path: &[String]) -> Location {
        let mut path = path;
        while !path.is_empty() {
            let below = resolved
                .provenance
                .range(path.to_vec()..)
                .take_while(|(key, _)| key.starts_with(path))
                .flat_map(|(_, settings)| settings)
                .find(|setting| setting.at.file != "default");
            if let Some(setting) = below {
                return setting.at.clone();
            }
            path = path.split_last().map_or(&[], |(_, up)| up);
        }
        Location { file: self.file.to_owned(), line: 1, col: 1 }
    }

    fn error(&mut self, resolved: &Resolved, key: &[&str], message: String, remedy: impl Into<String>) {
        let at = self.at(resolved, &path(key));
        self.problems.push(Problem::error(at, message, remedy));
    }

    fn warning(&mut self, resolved: &Resolved, key: &[&str], message: String, remedy: impl Into<String>) {
        let at = self.at(resolved, &path(key));
        self.problems.push(Problem::warning(at, message, remedy));
    }

    fn note(&mut self, resolved: &Resolved, key: &[&str], message: String, remedy: impl Into<String>) {
        let at = self.at(resolved, &path(key));
        self.problems.push(Problem::note(at, message, remedy));
    }

    fn secrets(&mut self, resolved: &mut Resolved) {
        let references = secret_references(&resolved.host);
        let known: Vec<String> = resolved.host.secrets.keys().cloned().collect();
        for (name, places) in references.iter().filter(|(name, _)| !known.contains(name)) {
            let remedy = match suggest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("declare it: [secrets.{name}] file = \"secrets/{name}.age\""),
            };
            for place in places {
                let at = self.at(resolved, place);
                let message = format!("there is no secret \"{name}\"");
                self.problems.push(Problem::error(at, message, remedy.clone()));
            }
        }
        resolved.host.secrets.retain(|name, secret| secret.expose || references.contains_key(name));
        let mut problems = Vec::new();
        for (name, secret) in &resolved.host.secrets {
            let at = self.at(resolved, &path(&["secrets", name, "file"]));
            let (message, remedy) = if secret.file.is_empty() {
                let message = format!("the secret \"{name}\" has no file");
                (message, format!("write file = \"secrets/{name}.age\""))
            } else if !stays_inside(&secret.file) {
                continue;
            } else if self.site.tree.stands(&secret.file) != Some(Stands::File) {
                let message = format!("the file of the secret \"{name}\" is missing: {}", secret.file);
                (message, format!("write it: landfall secret set {name}"))
            } else {
                continue;
            };
            problems.push(Problem::error(at, message, remedy));
        }
        self.problems.extend(problems);
        let identity = format!("identities/{}.pub", resolved.host.name);
        if !resolved.host.secrets.is_empty() && self.site.tree.stands(&identity).is_none() {
            let at = Location { file: self.file.to_owned(), line: 1, col: 1 };
            let message = format!("this host reads secrets and has no identity: {identity} is missing");
            let remedy = format!("make it: landfall host add {}", resolved.host.name);
            self.problems.push(Problem::warning(at, message, remedy));
        }
    }

    /// Keys without which a named table means nothing.
    fn required(&mut self, resolved: &Resolved) {
        let host = &resolved.host;
        for (name, _) in host.network.wifi.iter().filter(|(_, wifi)| wifi.ssid.is_empty()) {
            let message = format!("the Wi-Fi network \"{name}\" has no ssid");
            self.error(resolved, &["network", "wifi", name], message, "write ssid = \"…\"");
        }
        for (name, repository) in &host.sources.apt {
            for (key, value) in
                [("uri", &repository.uri), ("suite", &repository.suite), ("key", &repository.key)]
            {
                if value.is_empty() {
                    let message = format!("the repository \"{name}\" has no {key}");
                    self.error(resolved, &["apt", name], message, format!("write {key} = \"…\""));
                }
            }
        }
        for (name, deb) in &host.sources.debs {
            if deb.url.is_empty() || deb.sha256.is_empty() {
                let message = format!("the package \"{name}\" needs both url and sha256");
                self.error(resolved, &["debs", name], message, "write both");
            }
        }
    }

    /// Files of the site that settings point at.
    fn files(&mut self, resolved: &Resolved) {
        let host = &resolved.host;
        for (name, file) in &host.files {
            self.one_content(resolved, &["files", name], file);
        }
        for (user, home) in &host.home {
            for (name, file) in &home.files {
                self.one_content(resolved, &["home", user, "files", name], file);
            }
            for tree in &home.trees {
                self.exists(resolved, &["home", user, "trees", tree], tree, Stands::Folder);
            }
        }
        for (name, unit) in &host.units {
            let key = ["units", name, "source"];
            if unit.text.is_some() == unit.source.is_some() {
                let message = format!("the unit \"{name}\" must say one of text and source");
                self.error(resolved, &["units", name], message, "give it a text");
            }
            if let Some(source) = &unit.source {
                self.exists(resolved, &key, source, Stands::File);
            }
        }
        for (name, repository) in host.sources.apt.iter().filter(|(_, r)| !r.key.is_empty()) {
            self.exists(resolved, &["apt", name, "key"], &repository.key, Stands::File);
        }
    }

    fn one_content(&mut self, resolved: &Resolved, key: &[&str], file: &File) {
        let said = [&file.source, &file.text, &file.template, &file.link];
        let name = key.last().copied().unwrap_or_default();
        if said.iter().filter(|content| content.is_some()).count() != 1 {
            let message = format!("the file {name} must say one of source, text, template and link");
            self.error(resolved, key, message, "keep one of them");
        }
        if let Some(source) = &file.source {
            let place: Vec<&str> = key.iter().copied().chain(["source"]).collect();
            self.exists(resolved, &place, source, Stands::File);
        }
    }

    fn exists(&mut self, resolved: &Resolved, key: &[&str], file: &str, wanted: Stands) {
        let what = match wanted {
            Stands::File => "file",
            Stands::Folder => "folder",
        };
        if !stays_inside(file) {
            return;
        }
        match self.site.tree.stands(file) {
            Some(stands) if stands == wanted => {}
            Some(_) => {
                let message = format!("{file} is not a {what}");
                self.error(resolved, key, message, format!("name a {what} of the site"));
            }
            None => {
                let message = format!("the {what} {file} is missing");
                self.error(resolved, key, message, format!("put it into the site, at {file}"));
            }
        }
    }

    /// Suites that packages name must be suites of the site.
    fn packages(&mut self, resolved: &Resolved) {
        let sources = &resolved.host.sources;
        let mut suites: Vec<&str> = vec![&sources.suite];
        suites.extend(sources.extra_suites.iter().map(String::as_str));
        suites.extend(sources.apt.values().map(|repository| repository.suite.as_str()));
        let host = &resolved.host;
        for package in host.packages.iter().chain(&host.desktop_packages) {
            let Some((name, suite)) = package.split_once('/') else {
                continue;
            };
            let is_package = super::shape::check(super::shape::Shape::Package, package).is_ok();
            if is_package && !suites.contains(&suite) {
                let message = format!("{package} is of a suite that the site does not have");
                let remedy = match suggest(suite, suites.iter().copied()) {
                    Some(near) => format!("did you mean {name}/{near}?"),
                    None => format!("add extra_suites = [\"{suite}\"] to site.toml"),
                };
                self.error(resolved, &["packages", name], message, remedy);
            }
        }
    }

    fn users(&mut self, resolved: &Resolved) {
        let host = &resolved.host;
        let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
        for (name, user) in &host.users {
            if name == "root" {
                let remedy = "declare a user of your own in the group sudo";
                self.error(resolved, &["users", name], "root is not a user of a site".into(), remedy);
            }
            if user.uid == 0 {
                let message = format!("the user {name} has no uid");
                let remedy = "write uid = 1000: it owns files for ever, so it is never chosen for you";
                self.error(resolved, &["users", name], message, remedy);
            } else if let Some(other) = owners.insert(user.uid, name) {
                let message = format!("the users {other} and {name} have the same uid, {}", user.uid);
                self.error(resolved, &["users", name, "uid"], message, "give each its own");
            }
        }
        for user in host.home.keys().filter(|user| *user != "*") {
            if !host.users.contains_key(user) {
                let message = format!("there is no user {user} for this home");
                let remedy = match suggest(user, host.users.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean home.{near}?"),
                    None => format!("declare [users.{user}], or say home.\"*\""),
                };
                self.error(resolved, &["home", user], message, remedy);
            }
        }
        if let Some(operator) = host.tailnet.as_ref().and_then(|tailnet| tailnet.operator.as_ref())
            && !host.users.contains_key(operator)
        {
            let message = format!("there is no user {operator} to operate the tailnet");
            self.error(resolved, &["tailnet", "operator"], message, "name a user of this host");
        }
    }

    /// Groups that neither Debian's base nor the lock's ledger has. A package that is not locked
    /// yet may still make one, so this is a warning; the build refuses what is not there.
    fn groups(&mut self, resolved: &Resolved) {
        let Ok(text) = self.site.tree.read(lock::FILE_NAME) else { return };
        let Ok(lock) = Lock::parse(&text) else { return };
        let users = &resolved.host.users;
        let known: BTreeSet<&str> = BASE_GROUPS
            .iter()
            .copied()
            .chain(lock.ids.groups.keys().map(String::as_str))
            .chain(users.keys().map(String::as_str))
            .collect();
        for (name, user) in users {
            for group in user.groups.iter().filter(|group| !known.contains(group.as_str())) {
                if let Some(near) = suggest(group, known.iter().copied()) {
                    let message = format!("no package that is locked makes the group {group}");
                    let remedy = format!("did you mean \"{near}\"?");
                    self.warning(resolved, &["users", name, "groups", group], message, remedy);
                }
            }
        }
    }

    /// Somebody must be able to log in, and somebody to become root.
    fn login(&mut self, resolved: &Resolved) {
        let host = &resolved.host;
        let enters = |user: &User| {
            can_log_in(user) && (user.password.is_some() || (!user.ssh_keys.is_empty() && runs_sshd(host)))
        };
        let place = if host.users.is_empty() { vec![] } else { vec!["users"] };
        if !host.users.values().any(enters) {
            let remedy = match host.users.values().any(|user| !user.ssh_keys.is_empty()) {
                true => "run sshd: packages = [\"openssh-server\"], or give a user a password",
                false => {
                    "give a user password = { secret = \"…\" }, or ssh_keys and packages = [\"openssh-server\"]"
                }
            };
            self.error(resolved, &place, "nobody could log in to this host".into(), remedy);
        } else if !host.users.values().any(|user| enters(user) && is_admin(user)) {
            let message = "nobody who can log in to this host may become root".into();
            self.error(resolved, &place, message, "put a user into the group \"sudo\"");
        }
    }

    /// Names that differ from what they stand beside.
    fn names(&mut self, resolved: &Resolved) {
        let host = &resolved.host;
        let said = resolved.provenance.contains_key(&path(&["hostname"]));
        if let Err(message) = super::shape::check(super::shape::Shape::Hostname, &host.hostname)
            && !said
        {
            let remedy = "rename the file, or write hostname = \"…\"";
            self.error(resolved, &[], format!("the host's name: {message}"), remedy);
        }
        for unit in host.services.enable.intersection(&host.services.disable) {
            let message = format!("the unit {unit} is both enabled and disabled");
            self.error(resolved, &["services", "disable", unit], message, "keep one of the two");
        }
        for unit in host.services.enable.intersection(&host.services.mask) {
            let message = format!("the unit {unit} is both enabled and masked");
            self.error(resolved, &["services", "mask", unit], message, "keep one of the two");
        }
        if host.tailnet.is_some()
            && !host.packages.iter().any(|p| super::merge::package_name(p) == "tailscale")
        {
            let message = "[tailnet] is set and the package tailscale is not installed".to_owned();
            self.warning(resolved, &["tailnet"], message, "add packages = [\"tailscale\"]");
        }
    }

    fn not_buildable(&mut self, resolved: &Resolved) {
        for found in resolved.not_buildable() {
            let at = self.at(resolved, &found.key);
            let remedy = format!("`landfall build {}` refuses until then", resolved.host.name);
            self.problems.push(Problem::note(at, found.to_string(), remedy));
        }
    }
}

/// Paths that lead out of the site were reported with their file, and are never looked at.
fn stays_inside(file: &str) -> bool {
    super::shape::check(super::shape::Shape::SitePath, file).is_ok()
}

fn can_log_in(user: &User) -> bool {
    !matches!(user.shell.rsplit('/').next(), Some("nologin" | "false"))
}

fn is_admin(user: &User) -> bool {
    user.groups.contains("sudo")
}

/// Debian's package enables ssh.service itself, so being installed is enough unless it is taken
/// out again.
fn runs_sshd(host: &Host) -> bool {
    let names = ["ssh", "ssh.service"];
    let off = names.iter().any(|n| host.services.disable.contains(*n) || host.services.mask.contains(*n));
    !off && host.packages.iter().any(|p| super::merge::package_name(p) == "openssh-server")
}
