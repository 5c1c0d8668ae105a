//! Mounts that end with their value, and the ones that the kernel's file systems need.

use crate::error::{Error, Result};
use crate::roots::Roots;
use rustix::fs::syncfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A mount that is taken off when the value goes.
#[derive(Debug)]
pub struct Mount {
    target: Option<PathBuf>,
}

impl Mount {
    /// Mounts `source` on `target`, which is made if it is missing.
    pub fn new(source: &Path, target: &Path, kind: Kind<'_>) -> Result<Self> {
        make_folder(target)?;
        let doing = || format!("mounting {} on {}", source.display(), target.display());
        let data = CString::new(kind.options).map_err(|_| Error::Words(doing()))?;
        mount(source, target, kind.name, kind.flags, data.as_c_str())
            .map_err(|error| Error::io(doing())(error))?;
        Ok(Self { target: Some(target.to_owned()) })
    }

    /// Leaves the mount in place for ever.
    pub fn keep(mut self) {
        self.target = None;
    }

    /// Takes it off now, saying why where that fails. What waits to be written goes first: a disk that does not take
    /// it is an error of syncfs(2), and none of umount(2).
    pub fn close(mut self) -> Result<()> {
        let Some(target) = self.target.take() else {
            return Ok(());
        };
        let written = File::open(&target).and_then(|folder| Ok(syncfs(folder)?));
        unmount(&target, UnmountFlags::empty())
            .map_err(Error::io(format!("unmounting {}", target.display())))?;
        written.map_err(Error::io(format!("writing out {}", target.display())))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(target) = &self.target {
            let _ = unmount(target, UnmountFlags::DETACH);
        }
    }
}

/// What is mounted.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'a> {
    /// File system.
    pub name: &'a str,
    /// Flags of mount(2).
    pub flags: MountFlags,
    /// Its own options.
    pub options: &'a str,
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(Error::io(format!("making {}", path.display())))
}

/// Mounts proc, sysfs, devtmpfs and `/run`. One that is there already stays.
pub fn kernel_file_systems(roots: &Roots) -> Result<()> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV;
    let table: [(&Path, &str, MountFlags, &str); 4] = [
        (&roots.proc, "proc", quiet | MountFlags::NOEXEC, ""),
        (&roots.sys, "sysfs", quiet | MountFlags::NOEXEC, ""),
        (&roots.dev, "devtmpfs", MountFlags::NOSUID, "mode=755"),
        (&roots.run, "tmpfs", quiet, "mode=755,size=20%"),
    ];
    for (target, name, flags, options) in table {
        let kind = Kind { name, flags, options };
        match Mount::new(Path::new(name), target, kind) {
            Ok(mount) => mount.keep(),
            Err(Error::Io { source, .. }) if source.raw_os_error() == Some(16) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Mounts the firmware's variables.
pub fn efivars(roots: &Roots) -> Result<()> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let kind = Kind { name: "efivarfs", flags: quiet, options: "" };
    let mount = Mount::new(Path::new("efivarfs"), &roots.sys.join("firmware/efi/efivars"), kind)?;
    mount.keep();
    Ok(())
}
