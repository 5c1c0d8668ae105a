//! Enabling, disabling and masking units as systemctl(1) does: by links that the unit's
//! `[Install]` section (systemd.unit(5)) asks for.

use super::Layer;
use crate::error::Result;
use std::collections::BTreeSet;

const ADMIN: &str = "/etc/systemd/system";
/// Where units stand, strongest first (systemd.unit(5), "System Unit Search Path").
const FOLDERS: &[&str] = &[ADMIN, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];
/// What a unit's name can end in.
const SUFFIXES: &[&str] = &[
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

/// `NAME.service` unless another suffix stands there.
pub fn with_suffix(name: &str) -> String {
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

/// An `[Install]` section.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Install {
    /// Links in `TARGET.wants`.
    pub wanted_by: Vec<String>,
    /// Links in `TARGET.requires`.
    pub required_by: Vec<String>,
    /// Links in `TARGET.upholds`.
    pub upheld_by: Vec<String>,
    /// Further names.
    pub alias: Vec<String>,
    /// Units that are enabled with it.
    pub also: Vec<String>,
    /// Instance of a template that is enabled without one.
    pub default_instance: Option<String>,
}

impl Install {
    /// Reads a unit file; other sections, comments and unknown keys are passed over. An empty value
    /// clears what came before.
    pub fn parse(text: &str) -> Self {
        let mut install = Self::default();
        let mut inside = false;
        for line in joined(text) {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with('[') {
                inside = line == "[Install]";
                continue;
            }
            if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
                install.set(key.trim(), value.trim());
            }
        }
        install
    }

    fn set(&mut self, key: &str, value: &str) {
        let list = match key {
            "WantedBy" => &mut self.wanted_by,
            "RequiredBy" => &mut self.required_by,
            "UpheldBy" => &mut self.upheld_by,
            "Alias" => &mut self.alias,
            "Also" => &mut self.also,
            "DefaultInstance" => {
                self.default_instance = Some(value.to_owned()).filter(|value| !value.is_empty());
                return;
            }
            _ => return,
        };
        if value.is_empty() {
            list.clear();
        }
        list.extend(value.split_whitespace().map(str::to_owned));
    }
}

/// Lines, those that end in a backslash joined with the next.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(part);
            }
            None => lines.push(part.to_owned()),
        }
        open = more;
    }
    lines
}

/// The file of a unit: `getty@tty1.service` → `getty@.service`; with the instance, if it has one.
fn template(name: &str) -> (String, Option<String>) {
    let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, "service"));
    match stem.split_once('@') {
        Some((prefix, instance)) if !instance.is_empty() => {
            (format!("{prefix}@.{suffix}"), Some(instance.to_owned()))
        }
        _ => (name.to_owned(), None),
    }
}

/// systemd.unit(5), "Specifiers": those that make sense in an `[Install]` section.
fn specified(text: &str, name: &str, instance: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let prefix = stem.split_once('@').map_or(stem, |(prefix, _)| prefix);
    text.replace("%i", instance)
        .replace("%I", instance)
        .replace("%n", name)
        .replace("%N", stem)
        .replace("%p", prefix)
        .replace("%j", prefix.rsplit('-').next().unwrap_or(prefix))
}

/// A unit that was found.
struct Found {
    /// The name of its file, links followed.
    file: String,
    /// The folder of its file.
    folder: &'static str,
    text: String,
}

impl Layer<'_> {
    /// Whether a unit's file is there.
    pub(super) fn unit_exists(&self, name: &str) -> bool {
        self.unit(name).is_some()
    }

    fn unit(&self, name: &str) -> Option<Found> {
        let (mut file, _) = template(name);
        // An alias is a link to another unit's file; a chain of them is short.
        for _ in 0..8 {
            let folder = *FOLDERS.iter().find(|folder| {
                let path = format!("{folder}/{file}");
                self.tree.contains(&path) || self.below.exists(&path)
            })?;
            let path = format!("{folder}/{file}");
            let link = self.below.link(&path).filter(|_| self.tree.read(&path).is_none());
            match link.as_deref() {
                Some("/dev/null") => return None,
                Some(target) => {
                    let next = target.rsplit('/').next().unwrap_or(target).to_owned();
                    if next == file {
                        let text = self.current(&path);
                        return Some(Found { file, folder, text });
                    }
                    file = next;
                }
                None => {
                    let text = self.current(&path);
                    return Some(Found { file, folder, text });
                }
            }
        }
        None
    }

    /// `systemctl enable`.
    pub(super) fn enable(&mut self, name: &str) -> Result<()> {
        let mut done = BTreeSet::new();
        let mut queue = vec![name.to_owned()];
        while let Some(name) = queue.pop() {
            if !done.insert(name.clone()) {
                continue;
            }
            let Some(found) = self.unit(&name) else {
                return Err(self.unknown_unit(&name));
            };
            let install = Install::parse(&found.text);
            self.link(&name, &found, &install);
            queue.extend(install.also);
        }
        Ok(())
    }

    fn link(&mut self, name: &str, found: &Found, install: &Install) {
        let instance = match template(name) {
            (_, Some(instance)) => Some(instance),
            _ if found.file.contains("@.") => install.default_instance.clone(),
            _ => None,
        };
        let full = match &instance {
            Some(instance) => found.file.replacen("@.", &format!("@{instance}."), 1),
            None => found.file.clone(),
        };
        if full.contains("@.") {
            return;
        }
        let target = format!("{}/{}", found.folder, found.file);
        let fill = |text: &String| specified(text, &full, instance.as_deref().unwrap_or_default());
        for (list, kind) in [
            (&install.wanted_by, "wants"),
            (&install.required_by, "requires"),
            (&install.upheld_by, "upholds"),
        ] {
            for parent in list.iter().map(fill) {
                self.unit_link(&format!("{ADMIN}/{parent}.{kind}/{full}"), &target);
            }
        }
        for alias in install.alias.iter().map(fill) {
            self.unit_link(&format!("{ADMIN}/{alias}"), &target);
        }
    }

    fn unit_link(&mut self, path: &str, target: &str) {
        if self.below.link(path).as_deref() != Some(target) && path != target {
            self.tree.symlink(path, target);
        }
    }

    /// `systemctl disable`: hides the links of the layers below.
    pub(super) fn disable(&mut self, name: &str) -> Result<()> {
        let Some(found) = self.unit(name) else {
            return Err(self.unknown_unit(name));
        };
        let points_here = |layer: &Self, path: &str| {
            let target = layer.below.link(path).unwrap_or_default();
            target.rsplit('/').next() == Some(found.file.as_str())
        };
        for entry in self.below.list(ADMIN) {
            let path = format!("{ADMIN}/{entry}");
            if entry.ends_with(".wants") || entry.ends_with(".requires") || entry.ends_with(".upholds") {
                for unit in self.below.list(&path) {
                    let path = format!("{path}/{unit}");
                    if unit == name || unit == found.file || points_here(self, &path) {
                        self.tree.whiteout(&path);
                    }
                }
            } else if points_here(self, &path) && !path.ends_with(&found.file) {
                self.tree.whiteout(&path);
            }
        }
        Ok(())
    }

    /// `systemctl mask`.
    pub(super) fn mask(&mut self, name: &str) {
        self.tree.symlink(&format!("{ADMIN}/{name}"), "/dev/null");
    }

    fn unknown_unit(&self, name: &str) -> crate::error::Error {
        let stem = name.split(['.', '@']).next().unwrap_or(name);
        let near: BTreeSet<String> = FOLDERS
            .iter()
            .flat_map(|folder| self.below.list(folder))
            .filter(|unit| unit.contains(stem) && !unit.ends_with(".wants"))
            .collect();
        let near: Vec<String> = near.into_iter().take(8).collect();
        let reason = match near.is_empty() {
            true => {
                "no package of this host brings it (or it is masked); add the package, or take the unit out"
                    .to_owned()
            }
            false => format!("no package of this host brings it; there are: {}", near.join(", ")),
        };
        self.refused(&format!("unit {name}"), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_sections() {
        let text = "[Unit]\nWantedBy=not.here\n# WantedBy=comment\n[Install]\nWantedBy=a.target b.target\n\
            RequiredBy = c.target\nAlias=x.service\\\n  y.service\nAlso=z.socket\nDefaultInstance=tty1\nnonsense\n\
            [X]\nWantedBy=no.target\n";
        let install = Install::parse(text);
        assert_eq!(install.wanted_by, ["a.target", "b.target"]);
        assert_eq!(install.required_by, ["c.target"]);
        assert_eq!(install.alias, ["x.service", "y.service"]);
        assert_eq!(install.also, ["z.socket"]);
        assert_eq!(install.default_instance.as_deref(), Some("tty1"));
        assert_eq!(Install::parse("[Install]\nWantedBy=a\nWantedBy=\n"), Install::default());
        assert_eq!(Install::parse("\\"), Install::default());
    }

    #[test]
    fn names_and_templates() {
        assert_eq!(with_suffix("ssh"), "ssh.service");
        assert_eq!(with_suffix("fstrim.timer"), "fstrim.timer");
        assert_eq!(with_suffix("org.example"), "org.example.service");
        assert_eq!(template("getty@tty1.service"), ("getty@.service".into(), Some("tty1".into())));
        assert_eq!(template("ssh.service"), ("ssh.service".into(), None));
        assert_eq!(specified("dev-%i.device", "getty@tty1.service", "tty1"), "dev-tty1.device");
    }
}
