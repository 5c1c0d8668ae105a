//! The root's upper directory: new at every boot, the old one set aside.

use super::clock;
use crate::error::{Error, Result};
use crate::{mounts, tree};
use landfall_hosts::paths::data;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The two folders that an overlay writes to; both must be on one file system.
#[derive(Debug, Clone)]
pub struct Upper {
    /// What was changed.
    pub upper: PathBuf,
    /// The kernel's own.
    pub work: PathBuf,
}

impl Upper {
    /// Makes both below `folder`. The upper's own mode becomes the mode of the overlay's top.
    pub fn make(folder: &Path) -> Result<Self> {
        let both = Self { upper: folder.join("upper"), work: folder.join("work") };
        mounts::make_folder(&both.upper)?;
        mounts::make_folder(&both.work)?;
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        mode(&both.upper, 0o755)
            .and_then(|()| mode(&both.work, 0o700))
            .map_err(Error::io(format!("making {}", folder.display())))?;
        Ok(both)
    }
}

/// Sets the last boot's upper aside and makes a new one. Deleting is left to the running machine:
/// a large upper must not hold up the boot.
pub fn fresh(folder: &Path) -> Result<Upper> {
    let current = folder.join(data::UPPER);
    let lost = folder.join(data::LOST);
    private_folder(&lost)?;
    if is_used(&current) {
        let target = free_name(&lost);
        fs::rename(&current, &target).map_err(Error::io(format!("setting {} aside", current.display())))?;
        // The kernel's work folder holds nothing that anyone could want back, and its mark would
        // refuse a second mount of a volatile upper.
        tree::remove(&target.join("work"))?;
    } else {
        tree::remove(&current)?;
    }
    private_folder(&current)?;
    Upper::make(&current)
}

fn is_used(current: &Path) -> bool {
    fs::read_dir(current.join("upper")).is_ok_and(|mut entries| entries.next().is_some())
}

/// The clock may stand still over reboots, so a name may be taken.
fn free_name(lost: &Path) -> PathBuf {
    let stamp = clock::stamp(clock::now());
    let mut name = lost.join(&stamp);
    let mut number = 1;
    while name.exists() {
        name = lost.join(format!("{stamp}-{number}"));
        number += 1;
    }
    name
}

/// Old files may be of any owner and mode, setuid ones too: only root comes to them.
fn private_folder(path: &Path) -> Result<()> {
    mounts::make_folder(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .map_err(Error::io(format!("setting the mode of {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_wipe_took_is_set_aside() {
        let top = tempfile::tempdir().unwrap();
        let first = fresh(top.path()).unwrap();
        assert_eq!(tree::entries(&top.path().join(data::LOST)).unwrap().len(), 0);
        for round in 1..=3 {
            fs::write(first.upper.join("file"), "x").unwrap();
            fs::create_dir_all(first.work.join("work/incompat/volatile")).unwrap();
            let again = fresh(top.path()).unwrap();
            assert!(tree::entries(&again.upper).unwrap().is_empty());
            assert!(tree::entries(&again.work).unwrap().is_empty());
            let lost = tree::entries(&top.path().join(data::LOST)).unwrap();
            assert_eq!(lost.len(), round);
        }
    }
}
