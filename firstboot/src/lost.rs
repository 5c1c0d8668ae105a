//! What the wipe at boot took: earlier uppers of the root overlay, listed, brought back, and
//! deleted when they are old.

use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::roots::Roots;
use landfall_hosts::paths::data;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// So many boots back can be looked at.
const KEPT_BOOTS: usize = 5;
/// Longest list that is printed of one boot.
const MOST_FILES: usize = 10_000;

/// Lines `BOOT /path`, the latest boot first.
pub fn list(roots: &Roots) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for boot in boots(roots)? {
        let name = boot.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut found = Vec::new();
        walk(&boot.join("upper"), Path::new("/"), &mut found);
        found.sort();
        lines.extend(found.iter().map(|path| format!("{name} {}", path.display())));
    }
    Ok(lines)
}

/// Brings a path back from the latest boot that has it; says from which.
pub fn restore(roots: &Roots, path: &Path) -> Result<String> {
    let below = path
        .strip_prefix("/")
        .ok()
        .filter(|below| below.components().all(|part| matches!(part, Component::Normal(_))))
        .filter(|below| !below.as_os_str().is_empty())
        .ok_or_else(|| Error::Refused(format!("{} is no plain absolute path", path.display())))?;
    for boot in boots(roots)? {
        let source = boot.join("upper").join(below);
        let Ok(about) = fs::symlink_metadata(&source) else {
            continue;
        };
        if is_whiteout(&about) {
            continue;
        }
        let target = roots.path(path);
        if fs::symlink_metadata(&target).is_ok() {
            return Err(Error::Refused(format!("{} is there; move it away first", path.display())));
        }
        copy(&source, &target)?;
        return Ok(boot.file_name().unwrap_or_default().to_string_lossy().into_owned());
    }
    Err(Error::Refused(format!(
        "no earlier boot has {}; `landfall-machine lost` lists what there is",
        path.display()
    )))
}

/// Deletes what is older than the boots that are kept.
pub fn prune(roots: &Roots) -> Result<String> {
    let old: Vec<PathBuf> = boots(roots)?.into_iter().skip(KEPT_BOOTS).collect();
    for boot in &old {
        fs::remove_dir_all(boot).map_err(Error::at("removing", boot))?;
    }
    Ok(match old.len() {
        0 => "nothing is old".into(),
        count => format!("{count} old boots' changes were deleted"),
    })
}

/// The latest first: stage 1 names them by time.
fn boots(roots: &Roots) -> Result<Vec<PathBuf>> {
    let folder = roots.data(data::LOST);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::at("reading", &folder)(error)),
    };
    let mut boots: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    boots.sort();
    boots.reverse();
    Ok(boots)
}

/// Overlayfs marks a deleted file by a character device 0/0 (the kernel's overlayfs document).
fn is_whiteout(about: &fs::Metadata) -> bool {
    about.file_type().is_char_device() && about.rdev() == 0
}

fn walk(folder: &Path, path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if found.len() >= MOST_FILES {
            return;
        }
        let Ok(about) = entry.metadata() else {
            continue;
        };
        let path = path.join(entry.file_name());
        if about.is_dir() {
            walk(&entry.path(), &path, found);
        } else if !is_whiteout(&about) {
            found.push(path);
        }
    }
}

fn copy(source: &Path, target: &Path) -> Result<()> {
    let about = fs::symlink_metadata(source).map_err(Error::at("looking at", source))?;
    if let Some(parent) = target.parent() {
        files::make_folder(parent, 0o755)?;
    }
    let access = Access { uid: about.uid(), gid: about.gid(), mode: about.mode() & 0o7777 };
    if about.is_dir() {
        files::make_folder(target, access.mode)?;
        files::give(target, access.uid, access.gid)?;
        let entries = fs::read_dir(source).map_err(Error::at("reading", source))?;
        for entry in entries.flatten() {
            copy(&entry.path(), &target.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if about.is_symlink() {
        let link = fs::read_link(source).map_err(Error::at("reading", source))?;
        return files::replace_link(target, &link);
    }
    if !about.is_file() {
        return Ok(());
    }
    fs::copy(source, target).map_err(Error::at("copying", source))?;
    files::give(target, access.uid, access.gid)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(access.mode);
    fs::set_permissions(target, mode).map_err(Error::at("changing the mode of", target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(boots: &[&str]) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        for boot in boots {
            let folder = roots.data(data::LOST).join(boot).join("upper/usr/local/bin");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("tool"), *boot).unwrap();
        }
        (dir, roots)
    }

    #[test]
    fn lists_and_brings_back_the_latest() {
        let (_dir, roots) = world(&["2026-01-01", "2026-01-02"]);
        let listed = list(&roots).unwrap();
        assert_eq!(listed, ["2026-01-02 /usr/local/bin/tool", "2026-01-01 /usr/local/bin/tool"]);
        let path = Path::new("/usr/local/bin/tool");
        assert_eq!(restore(&roots, path).unwrap(), "2026-01-02");
        assert_eq!(fs::read_to_string(roots.path(path)).unwrap(), "2026-01-02");
        assert!(restore(&roots, path).is_err(), "what is there is not overwritten");
    }

    #[test]
    fn paths_that_reach_out_are_refused() {
        let (_dir, roots) = world(&["a"]);
        for path in ["", "/", "usr/x", "/../x", "/usr/../../x", "/nowhere"] {
            assert!(restore(&roots, Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn old_boots_are_deleted() {
        let (_dir, roots) = world(&["1", "2", "3", "4", "5", "6", "7"]);
        prune(&roots).unwrap();
        assert_eq!(boots(&roots).unwrap().len(), KEPT_BOOTS);
        assert!(!roots.data(data::LOST).join("2").exists());
    }

    #[test]
    fn a_machine_that_lost_nothing_says_so() {
        let (_dir, roots) = world(&[]);
        assert!(list(&roots).unwrap().is_empty());
    }
}
