//! `/var`: persistent, seeded once per top path from the image; a package manager's state stays
//! the image's.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::{mounts, tree};
use landfall_hosts::paths::{IMAGE_OWNED_VAR, data, state};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, mount_bind, move_mount, open_tree};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Folders of `/var` whose entries belong to one package each.
const SHARED: [&str; 6] = ["lib", "cache", "log", "spool", "opt", "local"];
/// A copy that a power cut broke off.
const HALF: &str = ".landfall-seed";
/// systemd's stamp of what `/var` was last brought up to (systemd-update-done.service(8)).
const STAMP: &str = ".updated";

/// Seeds what is new, binds the data partition's `/var`, and the image's own folders over it.
pub fn mount(context: &Context, folder: &Path, root: &Path) -> Result<()> {
    let image = root.join("var");
    let persistent = folder.join(data::VAR);
    let home = folder.join(data::HOME);
    mounts::make_folder(&persistent)?;
    mounts::make_folder(&home)?;
    let record = folder.join(data::STATE).join(state::VAR_SEEDED);
    let seeded = seed(&image, &persistent, &record)?;
    if seeded > 0 {
        context.consoles.say(format!("Seeded {seeded} folders of /var from the image."));
    }
    stamp(&image, &persistent)?;
    let owned = clone_owned(&image)?;
    bind(&persistent, &image)?;
    for (name, tree) in owned {
        put_owned(&image.join(&name), &tree)?;
    }
    bind(&home, &root.join("home"))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mounts::make_folder(target)?;
    mount_bind(source, target).map_err(Error::io(format!(
        "binding {} to {}",
        source.display(),
        target.display()
    )))
}

/// Copies the top paths of the image's `/var` that no boot has seeded yet, and records each once
/// it stands whole. Says how many were copied.
fn seed(image: &Path, persistent: &Path, record: &Path) -> Result<usize> {
    let text = std::fs::read_to_string(record).unwrap_or_default();
    let mut done: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let half = persistent.join(HALF);
    tree::remove(&half)?;
    let mut copied = 0;
    for path in top_paths(image)? {
        let Some(key) = path.to_str() else {
            continue;
        };
        if done.contains(key) || IMAGE_OWNED_VAR.contains(&key) {
            continue;
        }
        if seed_one(image, persistent, &path, &half)? {
            copied += 1;
        }
        done.insert(key.to_owned());
    }
    if copied > 0 || text.lines().count() != done.len() {
        let text: String = done.iter().map(|key| format!("{key}\n")).collect();
        // The copies first: a record must never say more than the disk holds.
        rustix::fs::sync();
        tree::write(record, text.as_bytes(), 0o600)?;
    }
    Ok(copied)
}

/// The stamp is the image's: what the image already did is not done again on the machine.
fn stamp(image: &Path, persistent: &Path) -> Result<()> {
    let (from, to) = (image.join(STAMP), persistent.join(STAMP));
    if !from.exists() {
        return Ok(());
    }
    tree::remove(&to)?;
    tree::copy(&from, &to)
}

/// The shared folders' entries, and all other entries of `/var` whole.
fn top_paths(image: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    if !image.is_dir() {
        return Ok(paths);
    }
    for name in tree::entries(image)? {
        let shared = SHARED.iter().any(|shared| OsStr::new(shared) == name);
        let path = image.join(&name);
        if shared && path.is_dir() && !path.is_symlink() {
            paths.push(PathBuf::from(&name));
            paths.extend(tree::entries(&path)?.into_iter().map(|entry| Path::new(&name).join(entry)));
        } else {
            paths.push(PathBuf::from(&name));
        }
    }
    Ok(paths)
}

/// Whether something was copied. What is there already, made by a service or by hand, stays.
fn seed_one(image: &Path, persistent: &Path, path: &Path, half: &Path) -> Result<bool> {
    let (from, to) = (image.join(path), persistent.join(path));
    let shared = path.components().count() == 1 && SHARED.iter().any(|name| Path::new(name) == path);
    if shared {
        // Only the folder itself, with its owner and mode: its entries are keys of their own.
        if !to.exists() {
            tree::copy_folder(&from, &to)?;
        }
        return Ok(false);
    }
    if std::fs::symlink_metadata(&to).is_ok() {
        return Ok(false);
    }
    tree::copy(&from, half)?;
    std::fs::rename(half, &to).map_err(Error::io(format!("putting {} in place", to.display())))?;
    Ok(true)
}

/// Holds the image's own folders by detached mounts, for once `/var` is bound over them they are
/// out of reach.
fn clone_owned(image: &Path) -> Result<Vec<(String, OwnedFd)>> {
    let mut owned = Vec::new();
    for name in IMAGE_OWNED_VAR {
        let path = image.join(name);
        if !path.is_dir() {
            continue;
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, &path, flags)
            .map_err(Error::io(format!("holding the image's {}", path.display())))?;
        owned.push(((*name).to_owned(), tree));
    }
    Ok(owned)
}

fn put_owned(target: &Path, tree: &OwnedFd) -> Result<()> {
    mounts::make_folder(target)?;
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(Error::io(format!("putting the image's own folder on {}", target.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_top_path_is_seeded_once() {
        let top = tempfile::tempdir().unwrap();
        let (image, data) = (top.path().join("image"), top.path().join("data"));
        let record = top.path().join("seeded");
        for folder in ["lib/one", "lib/dpkg/info", "cache/apt", "log", "tmp"] {
            fs::create_dir_all(image.join(folder)).unwrap();
        }
        fs::write(image.join("lib/one/file"), "1").unwrap();
        std::os::unix::fs::symlink("/run", image.join("run")).unwrap();
        fs::create_dir_all(data.join("lib")).unwrap();
        assert_eq!(seed(&image, &data, &record).unwrap(), 3);
        assert!(data.join("lib/one/file").exists());
        assert!(data.join("run").is_symlink());
        assert!(!data.join("lib/dpkg").exists());
        // What the machine changed or removed is never brought back.
        fs::remove_dir_all(data.join("lib/one")).unwrap();
        fs::create_dir_all(image.join("lib/two")).unwrap();
        fs::create_dir_all(data.join(HALF)).unwrap();
        assert_eq!(seed(&image, &data, &record).unwrap(), 1);
        assert!(!data.join("lib/one").exists());
        assert!(data.join("lib/two").exists());
        assert!(!data.join(HALF).exists());
    }
}
