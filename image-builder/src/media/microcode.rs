//! Microcode in front of the initrd, where the kernel looks before anything is unpacked
//! (Linux, Documentation/arch/x86/microcode.rst): an uncompressed cpio with one file per vendor.

use std::ffi::OsStr;

use super::cpio::{Cpio, Kind};
use super::error::{MediaError, Result};
use super::trees::Trees;

/// Folder of the firmware tree, which of its files count, and the name the kernel looks for.
const VENDORS: [(&str, &str); 2] = [
    ("usr/lib/firmware/amd-ucode", "AuthenticAMD.bin"),
    ("usr/lib/firmware/intel-ucode", "GenuineIntel.bin"),
];

/// The early cpio for the microcode packages in `trees`; `None` where there are none.
pub fn early_cpio(trees: &Trees) -> Result<Option<Vec<u8>>> {
    let mut blobs = Vec::new();
    for (dir, name) in VENDORS {
        let mut joined = Vec::new();
        for (file, path) in trees.list(dir)? {
            if is_microcode(dir, &file) {
                let bytes = std::fs::read(&path).map_err(MediaError::file("reading", &path))?;
                joined.extend_from_slice(&bytes);
            }
        }
        if !joined.is_empty() {
            blobs.push((name, joined));
        }
    }
    if blobs.is_empty() {
        return Ok(None);
    }
    let made = |error| MediaError::io("composing the microcode cpio")(error);
    let mut cpio = Cpio::new(Vec::new());
    for dir in ["kernel", "kernel/x86", "kernel/x86/microcode"] {
        cpio.add(dir, 0o755, Kind::Directory).map_err(made)?;
    }
    for (name, bytes) in &blobs {
        let path = format!("kernel/x86/microcode/{name}");
        cpio.add(&path, 0o644, Kind::File(bytes)).map_err(made)?;
    }
    cpio.finish(512).map(Some).map_err(made)
}

/// AMD's files are containers `*.bin`; Intel's are named family-model-stepping.
fn is_microcode(dir: &str, name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    if dir.ends_with("amd-ucode") {
        return name.ends_with(".bin");
    }
    // Debian names `.initramfs` what may only be loaded this early (intel-microcode's README).
    let stem = name.strip_suffix(".initramfs").unwrap_or(&name);
    stem.len() == 8 && stem.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
}
