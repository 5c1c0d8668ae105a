//! `/etc`: the image's own at every boot, with the machine's few persistent files laid over it.

use super::overlay::{self, Writes};
use super::upper::Upper;
use crate::error::Result;
use crate::mounts::{Kind, Mount};
use crate::roots::Roots;
use crate::tree;
use landfall_hosts::paths::{data, state};
use rustix::mount::MountFlags;
use std::path::{Path, PathBuf};

/// Mounts an overlay of the layers' own `/etc` over the root's. Its upper is in memory, and never
/// swapped out: it holds password hashes.
///
/// It stands on the layers and not on the root overlay, because overlays stack two deep at most.
pub fn mount(roots: &Roots, layers: &[PathBuf], data_folder: &Path, root: &Path) -> Result<()> {
    let memory = roots.run.join("landfall/etc");
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    // `noswap` came with Linux 6.4.
    let kind = Kind { name: "tmpfs", flags, options: "mode=700,noswap" };
    Mount::new(Path::new("tmpfs"), &memory, kind)?.keep();
    let upper = Upper::make(&memory)?;
    let lower: Vec<PathBuf> =
        layers.iter().map(|layer| layer.join("etc")).filter(|etc| etc.is_dir()).collect();
    let etc = root.join("etc");
    overlay::mount(&lower, Some((&upper, Writes::Plain)), &etc)?;
    let kept = data_folder.join(data::STATE).join(state::ETC);
    if kept.is_dir() {
        tree::lay_over(&kept, &etc)?;
    }
    Ok(())
}
