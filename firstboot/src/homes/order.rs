//! What passes between root, who knows what is declared, and the child that works as the user: an
//! order on the child's stdin (one line of JSON, then the files' bytes), an answer on its stdout.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything of a home must fit; pictures belong into a package.
pub const LIMIT_BYTES: u64 = 256 * 1024 * 1024;

/// path → group → key → value; no value takes the key away.
pub type Ini = BTreeMap<String, BTreeMap<String, BTreeMap<String, Option<String>>>>;

/// What the child does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// `$HOME`.
    pub home: String,
    /// Today, for the names of files that are kept aside.
    pub date: String,
    /// A folder whose files are put into a new home.
    pub skeleton: Option<String>,
    /// Declared files; their bytes follow in this order.
    pub files: Vec<FileOrder>,
    /// Declared links: path → target.
    pub links: BTreeMap<String, String>,
    /// Declared keys.
    pub ini: Ini,
    /// What was applied before.
    pub record: Record,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileOrder {
    /// Below `$HOME`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// What was applied to a home; root keeps it in the state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// 1.
    pub schema: u32,
    /// The skeleton was put in.
    pub skeleton: bool,
    /// path → sha256 of what was written.
    pub files: BTreeMap<String, String>,
    /// path → target.
    pub links: BTreeMap<String, String>,
    /// Folders that were made for them.
    pub folders: BTreeSet<String>,
    /// path → group → key → what was set and what stood there.
    pub ini: BTreeMap<String, BTreeMap<String, BTreeMap<String, IniKey>>>,
    /// dconf keys that were set, by their full path.
    pub dconf: BTreeMap<String, String>,
}

/// A key that was set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IniKey {
    /// The value that was set; none if the key was taken away.
    pub applied: Option<String>,
    /// What the user had there.
    pub before: Option<String>,
}

/// What the child says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The new record.
    pub record: Record,
    /// For the journal.
    pub notes: Vec<String>,
    /// What went wrong.
    pub problems: Vec<String>,
}

/// The order and the files' bytes as they go over the pipe.
pub fn encode(order: &Order, contents: &[impl AsRef<[u8]>]) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(order)
        .map_err(|error| Error::Refused(format!("ordering a home's files: {error}")))?;
    bytes.push(b'\n');
    for content in contents {
        bytes.extend_from_slice(content.as_ref());
    }
    Ok(bytes)
}

/// The order and each file's bytes.
pub fn decode(bytes: &[u8]) -> Result<(Order, Vec<&[u8]>)> {
    let bad = |why: &str| Error::bad("the order for a home", why);
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| bad("it is cut short"))?;
    let (line, mut rest) = bytes.split_at(end + 1);
    let order: Order = serde_json::from_slice(line).map_err(|error| bad(&error.to_string()))?;
    let mut contents = Vec::new();
    for file in &order.files {
        let size = usize::try_from(file.size).map_err(|_| bad("a size is no size"))?;
        let (content, after) = rest.split_at_checked(size).ok_or_else(|| bad("a file is cut short"))?;
        contents.push(content);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(bad("something stands behind the last file"));
    }
    Ok((order, contents))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(sizes: &[u64]) -> Order {
        let file = |size: &u64| FileOrder { path: "a".into(), mode: 0o644, size: *size };
        Order { files: sizes.iter().map(file).collect(), ..Order::default() }
    }

    #[test]
    fn goes_over_and_comes_back() {
        let sent = order(&[3, 0, 1]);
        let bytes = encode(&sent, &[&b"on\n"[..], b"", b"x"]).unwrap();
        let (got, contents) = decode(&bytes).unwrap();
        assert_eq!(got, sent);
        assert_eq!(contents, [&b"on\n"[..], b"", b"x"]);
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        let bytes = encode(&order(&[3]), &[b"abc"]).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(decode(&encode(&order(&[3]), &[b"abcd"]).unwrap()).is_err());
        assert!(decode(&encode(&order(&[u64::MAX]), &[b"abcd"]).unwrap()).is_err());
        assert!(decode(b"{}\n").is_err());
    }
}
