//! System users and groups keep one id for ever, whatever order packages' scripts run in.
//!
//! The scripts make their users as they always do (with homes and shells: an entry put there
//! beforehand would keep `adduser` from making the home). Afterwards the ids of names that are new
//! in the layer become the ledger's, in the password files and on every file of the layer; names
//! that the ledger lacks are added to it.

use crate::error::{Error, Result};
use crate::scrub::rewrite;
use landfall_hosts::lock::{FIRST_SYSTEM_ID, IdLedger, LAST_SYSTEM_ID};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// A name that a build added to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewId {
    /// `user` or `group`.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// Its id from now on.
    pub id: u32,
}

/// How ids of one layer change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    uids: BTreeMap<u32, u32>,
    gids: BTreeMap<u32, u32>,
}

/// Makes a layer's ids the ledger's; `parent` holds the password files below it.
pub fn settle(tree: &Path, parent: &Path, ledger: &mut IdLedger) -> Result<Vec<NewId>> {
    let mut new = Vec::new();
    let mut changes = Changes::default();
    for (file, kind, map) in
        [("etc/passwd", "user", &mut changes.uids), ("etc/group", "group", &mut changes.gids)]
    {
        let path = tree.join(file);
        if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let now = names(&fs::read_to_string(&path).map_err(Error::io("reading", &path))?);
        let before = names(&fs::read_to_string(parent.join(file)).unwrap_or_default());
        let names = now.into_iter().filter(|(name, _)| !before.contains_key(name)).collect();
        let known = if kind == "user" { &mut ledger.users } else { &mut ledger.groups };
        *map = assign(kind, &names, known, &mut new)?;
    }
    if !changes.uids.is_empty() || !changes.gids.is_empty() {
        rewrite_files(tree, &changes)?;
        change_owners(tree, &changes, &mut BTreeSet::new())?;
    }
    Ok(new)
}

/// The system names of a passwd(5) or group(5) text with their ids.
pub fn system_names(text: &str) -> BTreeMap<String, u32> {
    let system = |id: &u32| (FIRST_SYSTEM_ID..=LAST_SYSTEM_ID).contains(id);
    names(text).into_iter().filter(|(_, id)| system(id)).collect()
}

/// `name → id` of passwd(5) or group(5): both have the id in the third field.
fn names(text: &str) -> BTreeMap<String, u32> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((name, fields.nth(1)?.parse().ok()?))
        })
        .collect()
}

/// The ids that change, old → new.
fn assign(
    kind: &'static str,
    names: &BTreeMap<String, u32>,
    ledger: &mut BTreeMap<String, u32>,
    new: &mut Vec<NewId>,
) -> Result<BTreeMap<u32, u32>> {
    let mut changes = BTreeMap::new();
    for (name, &id) in names {
        if !(FIRST_SYSTEM_ID..=LAST_SYSTEM_ID).contains(&id) {
            continue;
        }
        let wanted = match ledger.get(name) {
            Some(&known) => known,
            None => {
                let taken: BTreeSet<u32> = ledger.values().copied().collect();
                let free = std::iter::once(id)
                    .chain(FIRST_SYSTEM_ID..=LAST_SYSTEM_ID)
                    .find(|id| !taken.contains(id));
                let id = free.ok_or_else(|| {
                    Error::refused(
                        format!("giving the system {kind} {name} an id"),
                        "all of 100–999 are in the lock's [ids]; a name there that no package makes any more must go",
                    )
                })?;
                ledger.insert(name.clone(), id);
                new.push(NewId { kind, name: name.clone(), id });
                id
            }
        };
        if wanted != id {
            changes.insert(id, wanted);
        }
    }
    Ok(changes)
}

/// The third field of passwd and group, and passwd's fourth.
fn rewrite_files(tree: &Path, changes: &Changes) -> Result<()> {
    for (file, third, fourth) in
        [("etc/passwd", &changes.uids, Some(&changes.gids)), ("etc/group", &changes.gids, None)]
    {
        let path = tree.join(file);
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let text = fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        rewrite(&path, &with_ids(&text, third, fourth), &metadata)?;
    }
    Ok(())
}

fn with_ids(text: &str, third: &BTreeMap<u32, u32>, fourth: Option<&BTreeMap<u32, u32>>) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
        for (index, map) in [(2, Some(third)), (3, fourth)] {
            let (Some(field), Some(map)) = (fields.get_mut(index), map) else { continue };
            if let Some(id) = field.parse().ok().and_then(|id: u32| map.get(&id)) {
                *field = id.to_string();
            }
        }
        out.push_str(&fields.join(":"));
        out.push('\n');
    }
    out
}

/// Each inode once: a second name of a file would map its new id again.
fn change_owners(place: &Path, changes: &Changes, seen: &mut BTreeSet<(u64, u64)>) -> Result<()> {
    let metadata = fs::symlink_metadata(place).map_err(Error::io("reading", place))?;
    let first = metadata.is_dir() || metadata.nlink() < 2 || seen.insert((metadata.dev(), metadata.ino()));
    let uid = changes.uids.get(&metadata.uid());
    let gid = changes.gids.get(&metadata.gid());
    if first && (uid.is_some() || gid.is_some()) {
        change_owner(place, &metadata, uid.copied(), gid.copied())?;
    }
    if metadata.is_dir() {
        let list = fs::read_dir(place).map_err(Error::io("listing", place))?;
        for entry in list {
            let entry = entry.map_err(Error::io("listing", place))?;
            change_owners(&entry.path(), changes, seen)?;
        }
    }
    Ok(())
}

/// chown(2) drops set-id bits and capabilities; both come back.
fn change_owner(place: &Path, metadata: &fs::Metadata, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let mut buffer = [0_u8; 64];
    let capability = rustix::fs::lgetxattr(place, "security.capability", &mut buffer).unwrap_or(0);
    lchown(place, uid, gid).map_err(Error::io("owning", place))?;
    if metadata.file_type().is_symlink() {
        return Ok(());
    }
    let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777);
    fs::set_permissions(place, mode).map_err(Error::io("setting the mode of", place))?;
    match buffer.get(..capability) {
        Some(value) if !value.is_empty() => {
            rustix::fs::lsetxattr(place, "security.capability", value, rustix::fs::XattrFlags::empty())
                .map_err(|errno| Error::io("setting capabilities of", place)(errno.into()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_get_their_id_and_new_ones_are_added() {
        let mut ledger = BTreeMap::from([("sshd".to_owned(), 105), ("polkitd".to_owned(), 996)]);
        let mut new = Vec::new();
        let names = BTreeMap::from([
            ("sshd".to_owned(), 100),
            ("fresh".to_owned(), 105),
            ("polkitd".to_owned(), 996),
            ("daemon".to_owned(), 1),
            ("nobody".to_owned(), 65534),
        ]);
        let changes = assign("user", &names, &mut ledger, &mut new).unwrap();
        assert_eq!(changes, BTreeMap::from([(100, 105), (105, 100)]));
        assert_eq!(new, [NewId { kind: "user", name: "fresh".into(), id: 100 }]);
    }

    #[test]
    fn ids_in_the_files_change_at_once_not_in_turn() {
        let uids = BTreeMap::from([(100, 105), (105, 100)]);
        let gids = BTreeMap::from([(100, 101)]);
        let text = "a:x:100:100::/:/\nb:x:105:65534::/:/\n\nbroken\n";
        assert_eq!(with_ids(text, &uids, Some(&gids)), "a:x:105:101::/:/\nb:x:100:65534::/:/\n\nbroken\n");
    }

    #[test]
    fn owners_change_and_modes_stay() {
        let dir = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: changing owners needs root");
            return;
        }
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::write(tree.join("etc/passwd"), "root:x:0:0::/:/\nx:x:100:101::/:/\n").unwrap();
        fs::write(tree.join("etc/group"), "root:x:0:\nx:x:101:\n").unwrap();
        let file = tree.join("agent");
        fs::write(&file, "").unwrap();
        fs::hard_link(&file, tree.join("again")).unwrap();
        lchown(&file, Some(100), Some(101)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o2755)).unwrap();
        let mut ledger = IdLedger { users: [("x".into(), 101)].into(), groups: [("x".into(), 100)].into() };
        let new = settle(&tree, dir.path(), &mut ledger).unwrap();
        assert!(new.is_empty());
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (101, 100, 0o2755));
        assert_eq!(
            fs::read_to_string(tree.join("etc/passwd")).unwrap(),
            "root:x:0:0::/:/\nx:x:101:100::/:/\n"
        );
    }
}
