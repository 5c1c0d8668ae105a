//! `[state] keep`: paths of the site that survive the wipe at boot.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::{mounts, tree};
use landfall_hosts::machine::Machine;
use landfall_hosts::paths::data;
use rustix::mount::mount_bind;
use std::path::{Component, Path, PathBuf};

/// Binds every kept path. One that cannot be kept is said, and the machine boots on.
pub fn mount(context: &Context, folder: &Path, root: &Path, settings: &Machine) -> Result<()> {
    for path in &settings.keep {
        let Some(relative) = relative(path) else {
            context
                .consoles
                .say(format!("state.keep: {path} is no absolute path of its own; it is not kept"));
            continue;
        };
        if let Err(error) = one(folder, root, &relative) {
            context.consoles.say(format!("state.keep: {path} is not kept: {}", error.chain()));
        }
    }
    Ok(())
}

/// The path below a root, if it is one that can be bound: absolute, plain, not the root itself,
/// and not in a place that is persistent or in memory anyhow.
fn relative(path: &str) -> Option<PathBuf> {
    let path = Path::new(path).strip_prefix("/").ok()?;
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let first = path.components().next()?.as_os_str().to_str()?;
    let elsewhere = ["home", "var", "run", "proc", "sys", "dev", "efi"].contains(&first);
    (plain && !elsewhere).then(|| path.to_owned())
}

fn one(folder: &Path, root: &Path, relative: &Path) -> Result<()> {
    let kept = folder.join(data::KEEP).join(relative);
    let target = root.join(relative);
    if std::fs::symlink_metadata(&kept).is_err() {
        first_time(&target, &kept)?;
    }
    if kept.is_dir() {
        mounts::make_folder(&target)?;
    } else if !target.exists() {
        if let Some(parent) = target.parent() {
            mounts::make_folder(parent)?;
        }
        std::fs::File::create(&target).map_err(Error::io(format!("making {}", target.display())))?;
    }
    mount_bind(&kept, &target).map_err(Error::io(format!(
        "binding {} to {}",
        kept.display(),
        target.display()
    )))
}

/// Takes over what the image has there; a path that the image lacks becomes an empty folder.
fn first_time(image: &Path, kept: &Path) -> Result<()> {
    let parent = kept.parent().unwrap_or(Path::new("/"));
    mounts::make_folder(parent)?;
    if !image.exists() {
        return mounts::make_folder(kept);
    }
    let half = kept.with_file_name(".landfall-keep");
    tree::remove(&half)?;
    tree::copy(image, &half)?;
    std::fs::rename(&half, kept).map_err(Error::io(format!("putting {} in place", kept.display())))?;
    tree::sync_folder(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_their_own_are_kept() {
        assert_eq!(relative("/root"), Some("root".into()));
        assert_eq!(relative("/etc/ssh"), Some("etc/ssh".into()));
        for bad in ["", "/", "root", "/../x", "/a/../b", "/var/x", "/home", "/run/x"] {
            assert_eq!(relative(bad), None, "{bad}");
        }
    }
}
