//! Small reads from sysfs: outside bytes, so short, trimmed and printable.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest attribute that is believed.
const MAX_BYTES: u64 = 4096;

/// The attribute's text; `None` where it is missing, empty or unreadable.
pub fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    clean(&bytes)
}

/// Printable text of raw bytes.
pub fn clean(bytes: &[u8]) -> Option<String> {
    let text: String =
        String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The attribute as a number.
pub fn number(path: &Path) -> Option<u64> {
    text(path)?.parse().ok()
}

/// Whether the attribute is `1`.
pub fn flag(path: &Path) -> bool {
    number(path) == Some(1)
}

/// Names of a folder's entries, sorted; none where it is missing.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
