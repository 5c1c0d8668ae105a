//! What a host lays into its users' homes: trees, files and links, with `*` spread over everybody
//! who has a login shell. Deciding needs the site's files; copying is the host layer's work.

use crate::host::{File, GitIdentity, Home, Host};
use crate::machine::MachineHome;
use crate::site::tree::{Found, Tree};
use std::collections::BTreeMap;

/// Where a file's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file of the site.
    Site(String),
    /// This text.
    Text(String),
    /// A symbolic link to this target.
    Link(String),
}

/// One file of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeFile {
    /// Its bytes.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
}

/// Files by their path below `$HOME`.
pub type HomeFiles = BTreeMap<String, HomeFile>;

const MODE: u32 = 0o644;
const MODE_PROGRAM: u32 = 0o755;

/// Files of every home of the host, by user. Only homes that have some are in it.
///
/// # Errors
/// When a tree of the site cannot be listed.
pub fn of_host(host: &Host, tree: &dyn Tree) -> std::io::Result<BTreeMap<String, HomeFiles>> {
    let mut homes = BTreeMap::new();
    for user in host.users.keys() {
        let mut files = HomeFiles::new();
        for home in parts(host, user) {
            lay_trees(home, tree, &mut files)?;
            lay_made(home, &mut files);
            for (path, file) in &home.files {
                files.insert(path.clone(), declared(file));
            }
        }
        if !files.is_empty() {
            homes.insert(user.clone(), files);
        }
    }
    Ok(homes)
}

/// Settings of every home, by user: what [`crate::machine::from_host`] tells the machine.
pub fn settings(host: &Host, files: &BTreeMap<String, HomeFiles>) -> BTreeMap<String, MachineHome> {
    let mut homes = BTreeMap::new();
    for user in host.users.keys() {
        let mut home = MachineHome::default();
        for part in parts(host, user) {
            add_settings(part, &mut home);
        }
        for (path, file) in files.get(user).into_iter().flatten() {
            match &file.content {
                Content::Link(target) => {
                    home.links.insert(path.clone(), target.clone());
                }
                Content::Site(_) | Content::Text(_) => {
                    home.files.insert(path.clone(), format!("{:04o}", file.mode));
                }
            }
        }
        if home != MachineHome::default() {
            homes.insert(user.clone(), home);
        }
    }
    homes
}

/// `*` first, so that what is said of one user is the stronger.
fn parts<'a>(host: &'a Host, user: &str) -> impl Iterator<Item = &'a Home> {
    let logs_in = host.users.get(user).is_some_and(|user| {
        let program = user.shell.rsplit('/').next().unwrap_or_default();
        !matches!(program, "nologin" | "false")
    });
    let everybody = host.home.get("*").filter(|_| logs_in);
    everybody.into_iter().chain(host.home.get(user))
}

fn lay_trees(home: &Home, tree: &dyn Tree, files: &mut HomeFiles) -> std::io::Result<()> {
    for folder in &home.trees {
        for Found { path, program, link } in tree.below(folder)? {
            let content = match link {
                Some(target) => Content::Link(target),
                None => Content::Site(format!("{folder}/{path}")),
            };
            let mode = if program { MODE_PROGRAM } else { MODE };
            files.insert(path, HomeFile { content, mode });
        }
    }
    Ok(())
}

/// Files that are made of settings: the session's environment and what starts with it.
fn lay_made(home: &Home, files: &mut HomeFiles) {
    if !home.env.is_empty() {
        // environment.d(5): one assignment a line; a dollar sign would expand.
        let quote = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        let lines = home.env.iter().map(|(key, value)| format!("{key}=\"{}\"\n", quote(value)));
        let content = Content::Text(lines.collect());
        files.insert(".config/environment.d/50-landfall.conf".into(), HomeFile { content, mode: MODE });
    }
    for name in &home.autostart {
        let file = format!("{}.desktop", name.trim_end_matches(".desktop"));
        let content = Content::Link(format!("/usr/share/applications/{file}"));
        files.insert(format!(".config/autostart/{file}"), HomeFile { content, mode: MODE });
    }
}

fn declared(file: &File) -> HomeFile {
    let content = match (&file.link, &file.source) {
        (Some(target), _) => Content::Link(target.clone()),
        (None, Some(source)) => Content::Site(source.clone()),
        (None, None) => Content::Text(file.text.clone().unwrap_or_default()),
    };
    let mode = file.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
    HomeFile { content, mode: mode.unwrap_or(MODE) }
}

fn add_settings(part: &Home, home: &mut MachineHome) {
    for (path, groups) in &part.ini {
        let file = home.ini.entry(path.clone()).or_default();
        for (group, keys) in groups {
            let merged = file.entry(group.clone()).or_default();
            merged.extend(keys.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    for (directory, keys) in &part.dconf {
        let merged = home.dconf.entry(directory.clone()).or_default();
        merged.extend(keys.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let mut add = |path: &str, group: &str, key: &str, value: String| {
        let file = home.ini.entry(path.into()).or_default();
        file.entry(group.into()).or_default().insert(key.into(), toml::Value::String(value));
    };
    for (mime, desktop) in &part.default_apps {
        add(".config/mimeapps.list", "Default Applications", mime, desktop.clone());
    }
    if let Some(GitIdentity { name, email }) = &part.git {
        add(".config/git/config", "user", "name", git_value(name));
        add(".config/git/config", "user", "email", git_value(email));
    }
}

/// git-config(1), Values: quotes keep `#` and `;` from starting a comment.
fn git_value(value: &str) -> String {
    if value.contains(['#', ';', '"', '\\']) || value.trim() != value {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::User;
    use crate::site::tree::Memory;

    fn host() -> Host {
        let user = |shell: &str| User { uid: 1000, shell: shell.into(), ..User::default() };
        let mut host = Host::default();
        host.users.insert("sam".into(), user("/bin/bash"));
        host.users.insert("robot".into(), user("/usr/sbin/nologin"));
        host
    }

    #[test]
    fn everybody_is_everybody_who_logs_in_and_one_user_is_stronger() {
        let mut host = host();
        let ini = |value: bool| {
            let keys = BTreeMap::from([("SingleClick".to_owned(), toml::Value::Boolean(value))]);
            BTreeMap::from([(".config/kdeglobals".to_owned(), BTreeMap::from([("KDE".to_owned(), keys)]))])
        };
        host.home.insert("*".into(), Home { ini: ini(false), ..Home::default() });
        host.home.insert("sam".into(), Home { ini: ini(true), ..Home::default() });
        let homes = settings(&host, &BTreeMap::new());
        assert!(!homes.contains_key("robot"));
        assert_eq!(homes["sam"].ini, ini(true));
    }

    #[test]
    fn trees_are_laid_over_each_other_and_files_over_trees() {
        let mut host = host();
        let file = File { text: Some("mine".into()), mode: Some("0600".into()), ..File::default() };
        let home = Home {
            trees: vec!["home/a".into(), "home/b".into()],
            files: BTreeMap::from([(".x".into(), file)]),
            git: Some(GitIdentity { name: "S # E".into(), email: "s@e".into() }),
            ..Home::default()
        };
        host.home.insert("sam".into(), home);
        let tree = Memory::new([("home/a/.x", ""), ("home/a/y/z", ""), ("home/b/y/z", "")]);
        let files = of_host(&host, &tree).unwrap();
        assert_eq!(files["sam"]["y/z"].content, Content::Site("home/b/y/z".into()));
        assert_eq!(files["sam"][".x"].mode, 0o600);
        let homes = settings(&host, &files);
        assert_eq!(homes["sam"].files[".x"], "0600");
        let user = &homes["sam"].ini[".config/git/config"]["user"];
        assert_eq!(user["name"].as_str(), Some("\"S # E\""));
    }

    #[test]
    fn a_missing_tree_is_an_error() {
        let mut host = host();
        let home = Home { trees: vec!["home/none".into()], ..Home::default() };
        host.home.insert("sam".into(), home);
        assert!(of_host(&host, &Memory::default()).is_err());
    }
}
