//! Layers and the root overlay (kernel, `Documentation/filesystems/overlayfs.rst`).

use super::upper::Upper;
use crate::error::{Error, Result};
use crate::mounts::{self, Kind, Mount};
use crate::roots::Roots;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::{data, machine};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};
use std::path::{Path, PathBuf};

/// Mounts every layer of a generation, base first, straight from its file: the kernel reads EROFS
/// without a loop device.
pub fn mount_layers(roots: &Roots, folder: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>> {
    let below = roots.run.join(machine::LAYERS.trim_start_matches("/run/"));
    let mut mounted = Vec::new();
    for (number, layer) in manifest.layers.iter().enumerate() {
        let image = folder.join(data::LAYERS).join(format!("{}.erofs", layer.sha256));
        let size = std::fs::metadata(&image)
            .map_err(Error::io(format!("looking at the layer {}", image.display())))?
            .len();
        if size != layer.size {
            return Err(Error::Words(format!(
                "mounting the layer {}: it has {size} bytes and should have {}; choose an older entry, \
                 and deploy again",
                image.display(),
                layer.size
            )));
        }
        let target = below.join(number.to_string());
        let kind = Kind { name: "erofs", flags: MountFlags::RDONLY | MountFlags::NODEV, options: "" };
        Mount::new(&image, &target, kind)?.keep();
        mounted.push(target);
    }
    if mounted.is_empty() {
        return Err(Error::Words("the generation's manifest lists no layers; choose an older entry".into()));
    }
    Ok(mounted)
}

/// Mounts the root: the layers with `upper` over them.
pub fn mount_root(layers: &[PathBuf], upper: Option<&Upper>, root: &Path) -> Result<()> {
    let upper = upper.map(|upper| (upper, Writes::Volatile));
    mount(layers, upper, root)
}

/// Whether the overlay syncs its upper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Never synced, never used again.
    Volatile,
    /// The upper is in memory anyhow.
    Plain,
}

/// Mounts `layers` (lowest first) as an overlay on `target`.
pub fn mount(layers: &[PathBuf], upper: Option<(&Upper, Writes)>, target: &Path) -> Result<()> {
    mounts::make_folder(target)?;
    let doing = || format!("mounting the overlay on {}", target.display());
    let failed = |error: rustix::io::Errno| Error::io(doing())(error);
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    fsconfig_set_string(&fs, "source", "landfall").map_err(failed)?;
    // One at a time, top first: a long chain does not fit the single page of mount(2)'s options.
    for layer in layers.iter().rev() {
        fsconfig_set_string(&fs, "lowerdir+", layer).map_err(failed)?;
    }
    if let Some((upper, writes)) = upper {
        fsconfig_set_string(&fs, "upperdir", &upper.upper).map_err(failed)?;
        fsconfig_set_string(&fs, "workdir", &upper.work).map_err(failed)?;
        if writes == Writes::Volatile {
            fsconfig_set_flag(&fs, "volatile").map_err(failed)?;
        }
    }
    fsconfig_create(&fs).map_err(failed)?;
    let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(failed)?;
    move_mount(&mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(failed)
}
