//! Fuzz targets: hostile trees of sysfs and procfs, and facts from a file.

use landfall_fuzz::target;
use landfall_probe::pci_names::{self, PciNames};
use landfall_probe::{Answer, Machine, Roots, disks, machine};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Most entries of one tree: each costs system calls.
const MAX_ENTRIES: usize = 120;

/// Where `name` may stand: inside the tree, whatever it says.
fn inside(top: &Path, name: &[u8]) -> Option<PathBuf> {
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !name.as_os_str().is_empty() && !name.as_os_str().as_bytes().contains(&0))
        .then(|| top.join(name))
}

/// Lays a tree: lines of `path`, a tab and the content; with `->` for the tab, a link. A content
/// may have `\n` in it.
fn lay(top: &Path, input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n').take(MAX_ENTRIES) {
        let link = line.windows(2).position(|pair| pair == b"->");
        let tab = line.iter().position(|byte| *byte == b'\t');
        let (end, next) = match (link, tab) {
            (Some(link), _) => (link, link + 2),
            (None, Some(tab)) => (tab, tab + 1),
            (None, None) => continue,
        };
        let Some(path) = line.get(..end).and_then(|name| inside(top, name)) else {
            continue;
        };
        let _ = path.parent().map(std::fs::create_dir_all);
        let content = line.get(next..).unwrap_or_default();
        let _ = if link.is_some() {
            // Never out of the tree: it shall be hostile to the probe alone.
            let to = Path::new(std::ffi::OsStr::from_bytes(content));
            match to.is_absolute() {
                true => continue,
                false => std::os::unix::fs::symlink(to, &path),
            }
        } else {
            let content = String::from_utf8_lossy(content).replace("\\n", "\n");
            std::fs::write(&path, content)
        };
    }
}

fn answer(machine: &Machine, names: &PciNames) {
    // It tries every shipped rule.
    let answer = Answer::of(machine, &|device| names.of(device));
    serde_json::to_string(&answer).expect("an answer is JSON");
    for device in machine.devices() {
        let _ = pci_names::class(device);
    }
}

#[test]
fn tree() {
    target!("tree", |bytes: &[u8]| {
        let top = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        lay(top.path(), bytes);
        let roots = Roots::under(top.path());
        let machine = machine::probe(&roots);
        answer(&machine, &PciNames::of_system(top.path()));
        for disk in disks::list(&roots) {
            let _ = (disk.facts(), disk.line(), disk.has_identity());
            assert!(disk.is_same(&disk));
        }
        // What a report says of a machine is what the machine said.
        let json = serde_json::to_string(&machine).expect("facts are JSON");
        assert_eq!(serde_json::from_str::<Machine>(&json).expect("our own JSON"), machine);
    });
}

#[test]
fn facts() {
    let names = PciNames::of_system(Path::new("/nowhere"));
    target!("facts", |bytes: &[u8]| {
        if let Ok(mut machine) = serde_json::from_slice::<Machine>(bytes) {
            machine.derive();
            answer(&machine, &names);
        }
    });
}
