//! (i): what a boot loader reads of a medium of an encrypted host, beside the aims.

use super::{Bench, say};
use crate::error::{Error, Result};
use crate::image;
use crate::site::HOST;
use landfall_hosts::manifest::Manifest;

/// Name of the initrd, and the most that it should have, in bytes. Microcode is the processor's maker's own.
const AIMS: [(&str, u64); 2] = [("initrd", 12_000_000), ("unlock", 10_000_000)];

/// Sizes from the manifest, which the installer holds against the files.
pub(super) fn initrds(bench: &Bench) -> Result<()> {
    let medium = &bench.encrypted()?.medium;
    let text = image::data_file(medium, &format!("landfall/generations/{HOST}.toml"))?;
    let manifest: Manifest = toml::from_str(&String::from_utf8_lossy(&text))
        .map_err(|error| Error::Unexpected(format!("reading the manifest: {error}")))?;
    let mut against = Vec::new();
    for (name, aim) in AIMS {
        let blob = manifest.initrds.iter().find(|blob| blob.name == name);
        let blob = blob.ok_or_else(|| Error::Unexpected(format!("the manifest has no {name}")))?;
        against.push(format!("{name} {} of {} at most", megabytes(blob.size), megabytes(aim)));
    }
    let raw: Vec<String> = std::iter::once(&manifest.kernel)
        .chain(&manifest.initrds)
        .map(|blob| format!("{} {} bytes", blob.name, blob.size))
        .collect();
    say('i', &against.join(", "), &raw.join(", "));
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
