//! What this computer uses its disks for: mounts and swap, followed down through mappings, arrays,
//! volumes, loop devices, files and overlays to the whole disks below them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use landfall_probe::{Disk, Roots};

/// Mount points without which this computer would not run.
const SYSTEM: [&str; 8] = ["/", "/boot", "/boot/efi", "/efi", "/etc", "/home", "/usr", "/var"];
/// Deeper than any stack of mappings; what is deeper goes in circles.
const MAX_DEPTH: u32 = 16;

/// One use of a disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// In words: `mounted at /home`, `swap`.
    pub what: String,
    /// The running system stands on it.
    pub system: bool,
}

/// Uses of each of `disks`, by name.
pub fn uses(roots: &Roots, disks: &[Disk]) -> BTreeMap<String, BTreeSet<Use>> {
    let text = |path: &str| std::fs::read_to_string(roots.proc.join(path)).unwrap_or_default();
    // Where this process is in a namespace of its own, the first process knows the others.
    let mounts: Vec<Mount> =
        ["self/mountinfo", "1/mountinfo"].iter().flat_map(|path| parse(&text(path))).collect();
    let below = Below { roots, disks, mounts: &mounts };
    let mut out: BTreeMap<String, BTreeSet<Use>> = BTreeMap::new();
    let mut add = |names: BTreeSet<String>, used: Use| {
        for name in names {
            out.entry(name).or_default().insert(used.clone());
        }
    };
    for mount in &mounts {
        let point = mount.point.to_string_lossy();
        let used = Use { what: format!("mounted at {point}"), system: SYSTEM.contains(&point.as_ref()) };
        add(below.mount(mount, 0), used);
    }
    // proc_swaps(5): the first field of each line but the first.
    for line in text("swaps").lines().skip(1) {
        let path = unescape(line.split_whitespace().next().unwrap_or_default());
        add(below.path(&path, 0), Use { what: "swap".to_owned(), system: true });
    }
    out
}

/// A line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: PathBuf,
    source: PathBuf,
    options: String,
}

fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ');
    let (device, point) = (front.nth(2)?.to_owned(), unescape(front.nth(1)?));
    let mut back = back.splitn(3, ' ');
    let source = unescape(back.nth(1)?);
    Some(Mount { device, point, source, options: back.next().unwrap_or_default().to_owned() })
}

/// Blanks and the like stand there as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('\\') {
        out.push_str(head);
        match tail.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                out.push('\\');
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    PathBuf::from(out)
}

/// Finds the whole disks below things.
struct Below<'a> {
    roots: &'a Roots,
    disks: &'a [Disk],
    mounts: &'a [Mount],
}

impl Below<'_> {
    fn mount(&self, mount: &Mount, depth: u32) -> BTreeSet<String> {
        if depth > MAX_DEPTH {
            return BTreeSet::new();
        }
        let mut found = BTreeSet::new();
        if let Some(name) = self.name_of(&mount.device) {
            found.extend(self.device(&name, depth + 1));
        } else if mount.source.is_absolute() {
            // btrfs has device numbers of its own, a filesystem in a file has none.
            found.extend(self.path(&mount.source, depth + 1));
        }
        for path in layers(&mount.options) {
            found.extend(self.path(&path, depth + 1));
        }
        found
    }

    /// A device node, or a file on some mount.
    fn path(&self, path: &Path, depth: u32) -> BTreeSet<String> {
        if depth > MAX_DEPTH {
            return BTreeSet::new();
        }
        if let Ok(node) = path.strip_prefix("/dev") {
            let node = self.roots.dev.join(node);
            let real = std::fs::canonicalize(&node).unwrap_or(node);
            let name = real.file_name().map(|name| name.to_string_lossy().into_owned());
            return name.map_or(BTreeSet::new(), |name| self.device(&name, depth + 1));
        }
        let holders = self.mounts.iter().filter(|mount| path.starts_with(&mount.point));
        let deepest = holders.max_by_key(|mount| mount.point.components().count());
        deepest.map_or(BTreeSet::new(), |mount| self.mount(mount, depth + 1))
    }

    /// A disk, a partition, or something that is made of others.
    fn device(&self, name: &str, depth: u32) -> BTreeSet<String> {
        if depth > MAX_DEPTH {
            return BTreeSet::new();
        }
        let owns = |disk: &&Disk| disk.name == name || disk.partitions.iter().any(|part| part.name == name);
        if let Some(disk) = self.disks.iter().find(owns) {
            return BTreeSet::from([disk.name.clone()]);
        }
        let folder = self.class().join(name);
        let mut found = BTreeSet::new();
        for slave in names(&folder.join("slaves")) {
            found.extend(self.device(&slave, depth + 1));
        }
        if let Ok(file) = std::fs::read_to_string(folder.join("loop/backing_file")) {
            found.extend(self.path(Path::new(file.trim_end_matches('\n')), depth + 1));
        }
        found
    }

    fn name_of(&self, device: &str) -> Option<String> {
        let is = |name: &String| {
            std::fs::read_to_string(self.class().join(name).join("dev"))
                .is_ok_and(|text| text.trim() == device)
        };
        names(&self.class()).into_iter().find(is)
    }

    fn class(&self) -> PathBuf {
        self.roots.sys.join("class/block")
    }
}

/// The folders that an overlay is made of (kernel, Documentation/filesystems/overlayfs.rst).
fn layers(options: &str) -> Vec<PathBuf> {
    let words = options.split(',').filter_map(|option| option.split_once('='));
    let folders =
        words.filter(|(key, _)| matches!(*key, "upperdir" | "workdir") || key.starts_with("lowerdir"));
    folders
        .flat_map(|(_, value)| value.split(':'))
        .filter(|path| path.starts_with('/'))
        .map(unescape)
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests;
