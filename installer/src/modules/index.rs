//! The index files that depmod writes (modules.dep(5), depmod(8)).

use super::{glob, normal};
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// One module: its file and what it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// File below the release's folder.
    pub path: PathBuf,
    /// Names to load before it, the first needed first.
    pub needs: Vec<String>,
}

/// What depmod knows of one kernel release.
#[derive(Debug, Default)]
pub struct Index {
    modules: HashMap<String, Module>,
    builtin: HashSet<String>,
    /// Patterns by the bus before their first colon; plain names under themselves.
    aliases: HashMap<String, Vec<(String, String)>>,
    soft: HashMap<String, (Vec<String>, Vec<String>)>,
}

impl Index {
    /// Reads the files in `folder`; only `modules.dep` must be there.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join("modules.dep");
        let dep = std::fs::read_to_string(&file).map_err(Error::io(format!("reading {}", file.display())))?;
        let optional = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        Ok(Self::parse(
            &dep,
            &optional("modules.alias"),
            &optional("modules.softdep"),
            &optional("modules.builtin"),
        ))
    }

    /// Takes the text of the four files; lines that make no sense are passed over.
    pub fn parse(dep: &str, alias: &str, softdep: &str, builtin: &str) -> Self {
        let mut index = Self { builtin: builtin.lines().filter_map(name_of).collect(), ..Self::default() };
        dep.lines().for_each(|line| index.take_dep(line));
        alias.lines().for_each(|line| index.take_alias(line));
        softdep.lines().for_each(|line| index.take_soft(line));
        index
    }

    fn take_dep(&mut self, line: &str) {
        let Some((path, needs)) = line.split_once(':') else {
            return;
        };
        let Some(name) = name_of(path) else {
            return;
        };
        // depmod writes the nearest first; what is deepest must be loaded first.
        let needs = needs.split_whitespace().rev().filter_map(name_of).collect();
        let path = PathBuf::from(path.trim());
        self.modules.insert(name, Module { path, needs });
    }

    fn take_alias(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("alias"), Some(pattern), Some(name)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let name = normal(name);
        // A full alias file beside a few modules is the rule in an initrd.
        if self.modules.contains_key(&name) || self.builtin.contains(&name) {
            let entry = self.aliases.entry(bus(pattern).to_owned()).or_default();
            entry.push((pattern.to_owned(), name));
        }
    }

    fn take_soft(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(name)) = (words.next(), words.next()) else {
            return;
        };
        let (pre, post) = self.soft.entry(normal(name)).or_default();
        let mut into = None;
        for word in words {
            match word {
                "pre:" => into = Some(true),
                "post:" => into = Some(false),
                word => match into {
                    Some(true) => pre.push(word.to_owned()),
                    Some(false) => post.push(word.to_owned()),
                    None => {}
                },
            }
        }
    }

    /// The module of that name, if this release has it as a file.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.get(name)
    }

    /// Whether it is part of the kernel itself.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
    }

    /// What is wanted before and after a module, as names or aliases.
    pub fn soft(&self, name: &str) -> Option<&(Vec<String>, Vec<String>)> {
        self.soft.get(name)
    }

    /// The modules that a name or a modalias stands for, in the order of the files.
    pub fn resolve(&self, wanted: &str) -> Vec<String> {
        let name = normal(wanted);
        if self.modules.contains_key(&name) || self.builtin.contains(&name) {
            return vec![name];
        }
        let Some(candidates) = self.aliases.get(bus(wanted)) else {
            return Vec::new();
        };
        let mut found: Vec<String> = Vec::new();
        for (pattern, name) in candidates {
            if !found.contains(name) && glob::matches(pattern.as_bytes(), wanted.as_bytes()) {
                found.push(name.clone());
            }
        }
        found
    }
}

/// `kernel/fs/ext4/ext4.ko.xz` → `ext4`.
fn name_of(path: &str) -> Option<String> {
    let file = path.trim().rsplit('/').next()?;
    let (stem, _) = file.split_once(".ko")?;
    (!stem.is_empty()).then(|| normal(stem))
}

/// The part before the first colon, and before a star in it: patterns of ACPI are `acpi*:…`.
fn bus(alias: &str) -> &str {
    let bus = alias.split_once(':').map_or(alias, |(bus, _)| bus);
    bus.split('*').next().unwrap_or(bus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        Index::parse(
            "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\n\
             kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\n\
             kernel/crypto/crc32c_generic.ko.xz:\nkernel/d/usb-storage.ko.xz:\n",
            "# comment\nalias fs-ext4 ext4\nalias crypto-crc32c crc32c_generic\n\
             alias usb:v*ic08isc06ip50in* usb_storage\nalias pci:v* not_here\n",
            "softdep ext4 pre: crypto-crc32c post: zz\n",
            "kernel/drivers/virtio/virtio.ko\n",
        )
    }

    #[test]
    fn names_aliases_and_needs() {
        let index = sample();
        assert_eq!(index.resolve("fs-ext4"), ["ext4"]);
        assert_eq!(index.resolve("usb-storage"), ["usb_storage"]);
        assert_eq!(index.resolve("usb:v0ic08isc06ip50in00"), ["usb_storage"]);
        assert!(index.resolve("pci:v1").is_empty());
        assert!(index.is_builtin("virtio"));
        let ext4 = index.module("ext4").unwrap();
        assert_eq!(ext4.needs, ["crc16", "jbd2"]);
        assert_eq!(index.soft("ext4").unwrap().0, ["crypto-crc32c"]);
        assert_eq!(index.soft("ext4").unwrap().1, ["zz"]);
    }

    #[test]
    fn patterns_with_a_star_in_the_bus() {
        let index =
            Index::parse("kernel/drivers/acpi/battery.ko:\n", "alias acpi*:PNP0C0A:* battery\n", "", "");
        assert_eq!(index.resolve("acpi:PNP0C0A:"), ["battery"]);
        assert!(index.resolve("acpi:PNP0C0B:").is_empty());
    }

    #[test]
    fn hostile_lines_are_passed_over() {
        let index = Index::parse(
            ":\n:::\nno colon\n/.ko:\n\0.ko: \0\n",
            "alias\nalias x\nalias * ext4\n",
            "softdep\nsoftdep x pre:\nsoftdep y z\n",
            "\n/\n",
        );
        assert!(index.resolve("").is_empty());
        assert!(index.resolve("x").is_empty());
    }
}
