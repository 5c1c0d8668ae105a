//! What boots a host: its kernel, initrd and microcode, and the EFI programs before them.

use super::BuildError;
use crate::media::{Blob, EfiBlob, InitrdParts, Trees, compose_initrd, early_cpio, find_efi, find_kernel};
use landfall_debian::cache::{Cache, replace_file};
use landfall_debian::hash;
use landfall_debian::tools::Tools;
use landfall_layers::BuiltLayer;
use std::path::{Path, PathBuf};

/// Grows when an initrd of the same parts comes out otherwise, so that an old one is not reused.
const INITRD_RECIPE: u32 = 2;

/// The boot files of one host.
pub struct BootFiles {
    /// Kernel release.
    pub release: String,
    /// The signed kernel.
    pub kernel: Blob,
    /// `initrd` lines in order.
    pub initrds: Vec<Blob>,
    /// EFI programs.
    pub efi: Vec<EfiBlob>,
}

/// Finds and composes the boot files of a chain; `packages` are its layers that hold packages, base
/// first: what a host's own layer says never makes another initrd.
pub fn boot_files(
    packages: &[BuiltLayer],
    tools: &Tools,
    cache: &Cache,
    init: &Path,
) -> Result<BootFiles, BuildError> {
    let chain = trees(packages);
    let kernel = find_kernel(&chain)?;
    let mut initrds = Vec::new();
    if let Some(microcode) = early_cpio(&chain)? {
        initrds.push(Blob::bytes("microcode", microcode));
    }
    let parts = Parts { packages, tools, init, release: &kernel.release };
    initrds.push(Blob::file("initrd", &initrd(&parts, &chain, cache)?)?);
    let programs = find_efi(&Trees::new(vec![tools.root.clone()]))?;
    Ok(BootFiles {
        kernel: Blob::file("vmlinuz", &kernel.vmlinuz)?,
        initrds,
        efi: programs.iter().map(EfiBlob::read).collect::<Result<_, _>>()?,
        release: kernel.release,
    })
}

/// The unpacked trees of layers, the upper-most first.
pub fn trees(layers: &[BuiltLayer]) -> Trees {
    Trees::new(layers.iter().rev().map(|layer| layer.tree.clone()).collect())
}

struct Parts<'a> {
    packages: &'a [BuiltLayer],
    tools: &'a Tools,
    init: &'a Path,
    release: &'a str,
}

/// The initrd, from the cache or composed and kept there.
fn initrd(parts: &Parts<'_>, chain: &Trees, cache: &Cache) -> Result<PathBuf, BuildError> {
    let init = std::fs::read(parts.init).map_err(BuildError::io("reading", parts.init))?;
    let mut inputs = format!(
        "initrd {INITRD_RECIPE}\ninit {}\ntools {}\nkernel {}\n",
        hash::sha256(&init),
        parts.tools.id,
        parts.release
    );
    for layer in parts.packages {
        inputs.push_str(&format!("layer {}\n", layer.sha256));
    }
    let folder = cache.root().join("initrds");
    let file = folder.join(hash::sha256(inputs.as_bytes()));
    if file.is_file() {
        return Ok(file);
    }
    std::fs::create_dir_all(&folder).map_err(BuildError::io("making", &folder))?;
    let tools = Trees::new(vec![parts.tools.root.clone()]);
    let bytes =
        compose_initrd(&InitrdParts { init: parts.init, chain, tools: &tools, release: parts.release })?;
    replace_file(&file, &bytes)?;
    Ok(file)
}
