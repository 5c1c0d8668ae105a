//! Boot counting, <https://uapi-group.org/specifications/specs/boot_loader_specification/#boot-counting>:
//! `NAME+LEFT.conf` and `NAME+LEFT-DONE.conf`.

use super::{boot_info, grub, loader_text};
use crate::roots::Roots;
use landfall_hosts::paths;
use serde::{Deserialize, Serialize};
use std::fs;

/// Tries of the entry that was booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Tries that are left.
    pub left: u32,
    /// Tries that were made, this boot included.
    pub done: u32,
    /// The tries that were given are used up and more: every entry has failed before.
    pub exhausted: bool,
}

/// The tries of the running entry; none if it is not counted.
///
/// It must be read before anything blesses the entry: a blessed one has no count any more, and
/// what happened before cannot be seen then.
pub fn read(roots: &Roots, tries: u32) -> Option<Count> {
    parse(&path(roots)?, tries)
}

/// What systemd-boot says, or what stage 1 heard of GRUB.
fn path(roots: &Roots) -> Option<String> {
    loader_text(roots, "LoaderBootCountPath").or_else(|| boot_info(roots)?.boot_count_path)
}

/// Parses the variable's path. On the last try it says `+0-N` as well; only more tries than were
/// given mean that it is exhausted (`+0-4` for 3).
pub fn parse(path: &str, tries: u32) -> Option<Count> {
    let (_, counters) = stem(path)?.rsplit_once('+')?;
    let (left, done) = match counters.split_once('-') {
        Some((left, done)) => (digits(left)?, digits(done)?),
        None => (digits(counters)?, 0),
    };
    Some(Count { left, done, exhausted: left == 0 && done > tries })
}

/// True when the loader has something else to start: another entry that is good or has tries left.
/// Where that cannot be seen, it is taken to be so.
pub fn has_alternative(roots: &Roots, tries: u32) -> bool {
    if !super::is_uefi(roots) {
        return grub::has_alternative(roots);
    }
    let entries = roots.path(paths::machine::ESP).join("loader/entries");
    let Ok(entries) = fs::read_dir(entries) else {
        return true;
    };
    let running = path(roots).unwrap_or_default();
    let running = id(&running);
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .into_iter()
        .filter(|name| name.ends_with(".conf"))
        .any(|name| id(&name) != running && parse(&name, tries).is_none_or(|count| count.left > 0))
}

/// The entry's name, whatever its tries.
fn id(path: &str) -> Option<&str> {
    let stem = stem(path)?;
    match stem.rsplit_once('+') {
        Some((id, _)) if parse(path, TRIES).is_some() => Some(id),
        _ => Some(stem),
    }
}

fn stem(path: &str) -> Option<&str> {
    let name = path.rsplit(['\\', '/']).next()?;
    ["conf", "efi"].iter().find_map(|end| name.strip_suffix(end)?.strip_suffix('.'))
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The tries that Landfall's writers give an entry.
pub const TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str) -> Option<(u32, u32, bool)> {
        parse(path, TRIES).map(|count| (count.left, count.done, count.exhausted))
    }

    #[test]
    fn reads_what_the_loader_writes() {
        let entries = "\\loader\\entries\\";
        assert_eq!(count(&format!("{entries}landfall-1+2-1.conf")), Some((2, 1, false)));
        assert_eq!(count(&format!("{entries}landfall-1+0-3.conf")), Some((0, 3, false)));
        assert_eq!(count(&format!("{entries}landfall-1+0-4.conf")), Some((0, 4, true)));
        assert_eq!(count("/loader/entries/a+b+3.conf"), Some((3, 0, false)));
    }

    #[test]
    fn refuses_what_is_no_count() {
        for path in [
            "",
            "landfall-1.conf",
            "a+.conf",
            "a+1-.conf",
            "a+-1.conf",
            "a+x.conf",
            "a+1-2-3.conf",
            "a+99999999999999.conf",
            "a+3.conf\\b",
            "a+3",
            "a+3conf",
            "a++3",
        ] {
            assert_eq!(count(path), None, "{path}");
        }
    }
}
