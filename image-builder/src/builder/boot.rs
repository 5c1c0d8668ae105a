//! What boots a host: its kernel, initrd and microcode, and the EFI programs before them.

use super::BuildError;
use super::chain::holds_packages;
use crate::media::{
    Blob, EfiBlob, Grub, InitrdParts, MediaError, Trees, compose_initrd, compose_keymap, compose_unlock,
    early_cpio, find_efi, find_kernel,
};
use landfall_debian::cache::{Cache, replace_file};
use landfall_debian::hash;
use landfall_debian::tools::Tools;
use landfall_hosts::host::Host;
use landfall_layers::BuiltLayer;
use std::path::{Path, PathBuf};

/// Grows when an initrd of the same parts comes out otherwise, so that an old one is not reused.
const INITRD_RECIPE: u32 = 2;

/// What packages configure where nobody answers, and the kernel has built in.
const DEFAULT_KEYBOARD: &str = "us";

type Compose = fn(&InitrdParts<'_>) -> Result<Vec<u8>, MediaError>;

/// Name of the cpio that unlocks: for encrypted hosts alone.
const UNLOCK: &str = "unlock";

/// The initrds of a host in the order in which they are unpacked, a later one over an earlier.
const INITRDS: [(&str, Compose); 2] = [("initrd", compose_initrd), (UNLOCK, compose_unlock)];

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
    /// GRUB for BIOS.
    pub grub: Grub,
}

/// What every host's boot files are made from, beside its layers.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Programs.
    pub tools: &'a Tools,
    /// Keeps what was composed.
    pub cache: &'a Cache,
    /// The static `landfall-init`.
    pub init: &'a Path,
}

/// The boot files of a host with these layers, base first.
pub fn of_host(host: &Host, layers: &[BuiltLayer], from: Sources<'_>) -> Result<BootFiles, BuildError> {
    // What a host's own layer says never makes another initrd.
    let packages: Vec<BuiltLayer> =
        layers.iter().filter(|layer| holds_packages(layer.kind)).cloned().collect();
    let encrypted = host.disk.encrypt.is_some();
    let mut files = boot_files(&packages, from, encrypted)?;
    if !matches!(host.locale.keyboard.as_str(), "" | DEFAULT_KEYBOARD) {
        files.initrds.push(Blob::bytes("keymap", compose_keymap(&trees(layers))?));
    }
    Ok(files)
}

fn boot_files(packages: &[BuiltLayer], from: Sources<'_>, encrypted: bool) -> Result<BootFiles, BuildError> {
    let chain = trees(packages);
    let kernel = find_kernel(&chain)?;
    let mut initrds = Vec::new();
    if let Some(microcode) = early_cpio(&chain)? {
        initrds.push(Blob::bytes("microcode", microcode));
    }
    let parts = Parts { packages, from, release: &kernel.release };
    for (name, compose) in INITRDS.iter().filter(|(name, _)| *name != UNLOCK || encrypted) {
        initrds.push(Blob::file(name, &cached(&parts, &chain, (name, *compose))?)?);
    }
    let root = Trees::new(vec![from.tools.root.clone()]);
    let programs = find_efi(&root)?;
    Ok(BootFiles {
        kernel: Blob::file("vmlinuz", &kernel.vmlinuz)?,
        initrds,
        efi: programs.iter().map(EfiBlob::read).collect::<Result<_, _>>()?,
        grub: Grub::make(&root)?,
        release: kernel.release,
    })
}

/// The unpacked trees of layers, the upper-most first.
pub fn trees(layers: &[BuiltLayer]) -> Trees {
    Trees::new(layers.iter().rev().map(|layer| layer.tree.clone()).collect())
}

struct Parts<'a> {
    packages: &'a [BuiltLayer],
    from: Sources<'a>,
    release: &'a str,
}

/// An initrd, from the cache or composed and kept there.
fn cached(parts: &Parts<'_>, chain: &Trees, (name, compose): (&str, Compose)) -> Result<PathBuf, BuildError> {
    let Sources { tools, cache, init } = parts.from;
    let program = std::fs::read(init).map_err(BuildError::io("reading", init))?;
    let mut inputs = format!(
        "{name} {INITRD_RECIPE}\ninit {}\ntools {}\nkernel {}\n",
        hash::sha256(&program),
        tools.id,
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
    let tools = Trees::new(vec![tools.root.clone()]);
    let bytes = compose(&InitrdParts { init, chain, tools: &tools, release: parts.release })?;
    replace_file(&file, &bytes)?;
    Ok(file)
}
