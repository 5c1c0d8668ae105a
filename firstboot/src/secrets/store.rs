//! The filesystem in memory that holds decrypted secrets: filled while nobody sees it, then put in
//! place whole, so that a reader finds the old set or the new one and never a mixture.

use crate::error::{Error, Result};
use crate::files;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where a new set is written and how it is put in place.
pub trait Store {
    /// A new, empty set.
    fn begin(&self) -> Result<Box<dyn Set>>;
}

/// A set that is being filled.
pub trait Set {
    /// The folder to fill.
    fn folder(&self) -> PathBuf;
    /// Puts it in place of the one before.
    fn publish(self: Box<Self>, at: &Path) -> Result<()>;
}

/// ramfs(5 of the kernel's Documentation/filesystems/ramfs-rootfs-initramfs.rst): never swapped.
pub struct Ramfs;

struct RamfsSet(OwnedFd);

impl Store for Ramfs {
    fn begin(&self) -> Result<Box<dyn Set>> {
        let fail = || Error::errno("making a filesystem in memory for secrets");
        let context = fsopen("ramfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail())?;
        // Others may pass through, to reach a file that is theirs; they may not list.
        fsconfig_set_string(&context, "mode", "0751").map_err(fail())?;
        fsconfig_create(&context).map_err(fail())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(fail())?;
        Ok(Box::new(RamfsSet(mount)))
    }
}

impl Set for RamfsSet {
    fn folder(&self) -> PathBuf {
        // proc(5): the only way to give ordinary file calls a mount that has no place yet.
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    fn publish(self: Box<Self>, at: &Path) -> Result<()> {
        files::make_folder(at, 0o751)?;
        let fail = || Error::errno(format!("mounting secrets at {}", at.display()));
        if !is_mount_point(at)? {
            return move_to(&self.0, at, MoveMountFlags::empty()).map_err(fail());
        }
        // Under the old one first: when that goes, the new one is there in the same instant.
        match move_to(&self.0, at, MoveMountFlags::MOVE_MOUNT_BENEATH) {
            Ok(()) => unmount(at, UnmountFlags::DETACH).map_err(fail()),
            // Kernels before 6.5 cannot; on top is as atomic, and the old one stays below.
            Err(_) => move_to(&self.0, at, MoveMountFlags::empty()).map_err(fail()),
        }
    }
}

fn move_to(mount: &OwnedFd, at: &Path, flags: MoveMountFlags) -> rustix::io::Result<()> {
    let flags = flags | MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount, "", rustix::fs::CWD, at, flags)
}

fn is_mount_point(path: &Path) -> Result<bool> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let about = statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE)
        .map_err(Error::errno(format!("looking at {}", path.display())))?;
    Ok(about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
pub mod fake {
    //! A set in an ordinary folder.

    use super::*;

    /// Fills a folder beside the place, then swaps the two.
    pub struct Folder(pub PathBuf);

    impl Store for Folder {
        fn begin(&self) -> Result<Box<dyn Set>> {
            let _ = std::fs::remove_dir_all(&self.0);
            files::make_folder(&self.0, 0o751)?;
            Ok(Box::new(Self(self.0.clone())))
        }
    }

    impl Set for Folder {
        fn folder(&self) -> PathBuf {
            self.0.clone()
        }

        fn publish(self: Box<Self>, at: &Path) -> Result<()> {
            let _ = std::fs::remove_dir_all(at);
            std::fs::rename(&self.0, at).map_err(Error::at("replacing", at))
        }
    }
}
