//! The last steps of stage 1: hand the kernel's file systems over, give the memory of the initrd
//! back, and become the machine's init.

use crate::error::{Error, Result};
use crate::mounts;
use crate::roots::Roots;
use rustix::mount::mount_move;
use std::convert::Infallible;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// In the order in which they are tried.
const INITS: [&str; 2] = ["/usr/lib/systemd/systemd", "/sbin/init"];

/// Makes `root` the root and runs its init in place of this program.
pub fn into(roots: &Roots, root: &Path) -> Result<Infallible> {
    let init = INITS
        .iter()
        .find(|init| root.join(init.trim_start_matches('/')).exists())
        .ok_or_else(|| Error::Words("the generation has no init program; choose an older entry".into()))?;
    for (from, name) in [(&roots.dev, "dev"), (&roots.proc, "proc"), (&roots.sys, "sys"), (&roots.run, "run")]
    {
        let to = root.join(name);
        mounts::make_folder(&to)?;
        mount_move(from, &to).map_err(Error::io(format!("moving {} to {}", from.display(), to.display())))?;
    }
    let doing = || format!("changing to the root {}", root.display());
    std::env::set_current_dir(root).map_err(Error::io(doing()))?;
    empty_initramfs(root);
    mount_move(".", "/").map_err(Error::io(doing()))?;
    rustix::process::chroot(".").map_err(Error::io(doing()))?;
    std::env::set_current_dir("/").map_err(Error::io(doing()))?;
    let error = Command::new(init).exec();
    Err(Error::io(format!("running {init}"))(error))
}

/// Deletes what the initrd unpacked, which is memory. Only what is on its own file system, and
/// never the new root below it.
fn empty_initramfs(root: &Path) {
    let Ok(top) = std::fs::metadata("/") else {
        return;
    };
    remove_below(Path::new("/"), top.dev(), root);
}

fn remove_below(folder: &Path, device: u64, root: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(meta) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if meta.dev() != device || path == root {
            continue;
        }
        if meta.is_dir() {
            remove_below(&path, device, root);
            let _ = std::fs::remove_dir(&path);
        } else {
            let _ = std::fs::remove_file(&path);
        }
    }
}
