//! The settings layer: what small tools make of a host's locale, keyboard, certificates and
//! databases. They run inside the root, and only where the host differs from what packages made.

use crate::error::{Error, Result};
use crate::host::keyboard_file;
use crate::sandbox::Sandbox;
use crate::tree::Merged;
use landfall_debian::hash;
use landfall_debian::run::{RootCommand, RootDirs, RunInRoot};
use landfall_hosts::host::Host;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a settings layer is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsSpec {
    /// Locales to generate; glibc has `C`, `POSIX` and `C.UTF-8` built in.
    pub locales: BTreeSet<String>,
    /// `gb`, `de(nodeadkeys)`.
    pub keyboard: String,
    /// The site's files that tools compile: certificates, dconf and hwdb sources.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Folders whose files a tool reads, the tool, and its program.
const TOOLS: &[(&str, &[&str])] = &[
    ("/usr/local/share/ca-certificates/", &["update-ca-certificates"]),
    ("/etc/dconf/db/", &["dconf", "update"]),
    ("/etc/udev/hwdb.d/", &["systemd-hwdb", "update"]),
];

/// Packages that hold what locale-gen and setupcon are and read.
const READ: &[&str] = &[
    "console-setup",
    "console-setup-linux",
    "kbd",
    "keyboard-configuration",
    "libc-bin",
    "libc6",
    "locales",
    "locales-all",
    "perl-base",
    "xkb-data",
];

/// What packages configure where nobody answers.
const DEFAULT_KEYBOARD: &str = "us";

impl SettingsSpec {
    /// What a host asks for. Files with secrets are made on the machine and never come here.
    pub fn of_host(host: &Host, site: &Path) -> Result<Self> {
        let all = std::iter::once(&host.locale.lang).chain(host.locale.formats.values());
        let built_in = |name: &str| matches!(name, "" | "C" | "POSIX" | "C.UTF-8" | "C.utf8");
        let mut files = BTreeMap::new();
        let read_by_tools = |path: &str| TOOLS.iter().any(|(folder, _)| path.starts_with(folder));
        for (path, file) in host.files.iter().filter(|(path, _)| read_by_tools(path)) {
            let bytes = match (&file.text, &file.source) {
                (Some(text), _) => text.clone().into_bytes(),
                (None, Some(source)) => {
                    let source = site.join(source);
                    fs::read(&source).map_err(Error::io("reading", &source))?
                }
                (None, None) => continue,
            };
            files.insert(path.clone(), bytes);
        }
        Ok(Self {
            locales: all.filter(|name| !built_in(name)).cloned().collect(),
            keyboard: host.locale.keyboard.clone(),
            files,
        })
    }

    fn other_keyboard(&self) -> bool {
        !self.keyboard.is_empty() && self.keyboard != DEFAULT_KEYBOARD
    }

    /// Nothing differs from what packages made.
    pub fn is_empty(&self) -> bool {
        self.locales.is_empty() && !self.other_keyboard() && self.files.is_empty()
    }

    /// Whether the tools read what one of these packages brings. The site's own files are compiled
    /// together with those of any package.
    pub fn reads_packages(&self, names: &BTreeSet<String>) -> bool {
        !self.files.is_empty() || READ.iter().any(|name| names.contains(*name))
    }

    /// The part of the layer's id that is its own.
    pub fn canonical(&self) -> String {
        let mut text = format!("locales {:?}\nkeyboard {:?}\n", self.locales, self.keyboard);
        for (path, bytes) in &self.files {
            text.push_str(&format!("file {path:?} {}\n", hash::sha256(bytes)));
        }
        text
    }
}

/// One settings layer in the making.
pub struct Settings<'a> {
    /// How programs run.
    pub sandbox: &'a Sandbox,
    /// What it is.
    pub spec: &'a SettingsSpec,
    /// Trees below, topmost first.
    pub parents: &'a [PathBuf],
    /// The layer's own tree.
    pub tree: &'a Path,
    /// Where programs write.
    pub log: &'a Path,
}

impl Settings<'_> {
    /// Makes the tree.
    pub fn run(&self) -> Result<()> {
        let below = Merged::new(self.parents.to_vec());
        if !self.spec.locales.is_empty() {
            let text = locale_gen(&self.spec.locales, &below.text("/usr/share/i18n/SUPPORTED"))?;
            self.write("/etc/locale.gen", text.as_bytes())?;
            self.command(&["locale-gen"])?;
        }
        if self.spec.other_keyboard() {
            self.write("/etc/default/keyboard", keyboard_file(&self.spec.keyboard).as_bytes())?;
            if below.exists("/usr/bin/setupcon") {
                self.command(&["setupcon", "--save-only"])?;
            }
        }
        for (folder, tool) in TOOLS {
            let files: Vec<_> = self.spec.files.iter().filter(|(path, _)| path.starts_with(folder)).collect();
            for (path, bytes) in &files {
                self.write(path, bytes)?;
            }
            if !files.is_empty() {
                self.command(tool)?;
            }
        }
        Ok(())
    }

    /// Writes through the root, so that directories on the way keep owner and mode.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let staged = self.log.with_extension("staged");
        fs::write(&staged, bytes).map_err(Error::io("writing", &staged))?;
        let stdin = fs::File::open(&staged).map_err(Error::io("opening", &staged))?;
        let script = "mkdir -p \"${1%/*}\" && cat >\"$1\"";
        self.run_with(&["sh", "-c", script, "sh", path], Some(stdin))
    }

    fn command(&self, argv: &[&str]) -> Result<()> {
        self.run_with(argv, None)
    }

    fn run_with(&self, argv: &[&str], stdin: Option<fs::File>) -> Result<()> {
        let dirs = RootDirs { lower: self.parents.to_vec(), upper: Some(self.tree.to_owned()) };
        let command = RootCommand {
            argv: argv.iter().map(Into::into).collect(),
            stdin: stdin.map(Into::into),
            log: Some(self.log.to_owned()),
            ..RootCommand::default()
        };
        let run = self.sandbox.run(&dirs, command);
        run.map(drop).map_err(|source| Error::Run { layer: "settings".into(), source: Box::new(source) })
    }
}

/// locale.gen(5): each locale with its character set, as glibc's list of supported ones has it.
fn locale_gen(locales: &BTreeSet<String>, supported: &str) -> Result<String> {
    let mut text = String::new();
    for name in locales {
        let line = supported.lines().find(|line| line.split_whitespace().next() == Some(name));
        let Some(line) = line else {
            let language = name.split(['_', '.']).next().unwrap_or(name);
            let near: Vec<&str> = supported
                .lines()
                .filter_map(|line| line.split_whitespace().next())
                .filter(|known| known.starts_with(language) && known.contains("UTF-8"))
                .take(8)
                .collect();
            let reason = match near.is_empty() {
                true => "glibc has none of that name; write it as in `en_GB.UTF-8`".to_owned(),
                false => format!("glibc has none of that name; there are {}", near.join(", ")),
            };
            return Err(Error::refused(format!("generating the locale {name}"), reason));
        };
        text.push_str(line.trim());
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::host::File;

    const SUPPORTED: &str = "en_DK.UTF-8 UTF-8\nen_GB ISO-8859-1\nen_GB.UTF-8 UTF-8\n";

    #[test]
    fn locales_come_with_their_character_set() {
        let names = ["en_GB.UTF-8".to_owned(), "en_DK.UTF-8".to_owned()].into();
        assert_eq!(locale_gen(&names, SUPPORTED).unwrap(), "en_DK.UTF-8 UTF-8\nen_GB.UTF-8 UTF-8\n");
        let error = locale_gen(&["en_XX.UTF-8".to_owned()].into(), SUPPORTED).unwrap_err().to_string();
        assert!(error.contains("en_GB.UTF-8"), "{error}");
    }

    #[test]
    fn a_host_like_the_packages_needs_no_layer() {
        let mut host = Host::default();
        host.locale.lang = "C.UTF-8".into();
        host.locale.keyboard = "us".into();
        host.files.insert("/etc/motd".into(), File { text: Some("x".into()), ..File::default() });
        let spec = SettingsSpec::of_host(&host, Path::new("/nowhere")).unwrap();
        assert!(spec.is_empty());
        host.files
            .insert("/etc/udev/hwdb.d/x.hwdb".into(), File { text: Some("x".into()), ..File::default() });
        assert!(!SettingsSpec::of_host(&host, Path::new("/nowhere")).unwrap().is_empty());
    }
}
