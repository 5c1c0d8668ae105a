//! What the installer leaves on the data partition beside the layers.

use super::hosts::Chosen;
use super::identity::Identity;
use crate::error::{Error, Result};
use crate::stage1::STATE_FORMAT;
use crate::{mounts, tree};
use landfall_hosts::medium::Seed;
use landfall_hosts::paths::{data, state};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes the folders of a machine's data partition that are missing.
pub fn folders(folder: &Path) -> Result<()> {
    for (path, mode) in [
        (data::LAYERS, 0o755),
        (data::GENERATIONS, 0o755),
        (data::STATE, 0o700),
        (data::UPPER, 0o700),
        (data::LOST, 0o700),
        (data::HOME, 0o755),
        (data::VAR, 0o755),
        (data::KEEP, 0o755),
    ] {
        let path = folder.join(path);
        // What is there already is its owner's to open or close.
        if path.is_dir() {
            continue;
        }
        mounts::make_folder(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .map_err(Error::io(format!("setting the mode of {}", path.display())))?;
    }
    Ok(())
}

/// Writes manifest, seed, machine-id and identity. Nothing secret is in the seed.
pub fn write(folder: &Path, chosen: &Chosen, seed: &Seed, identity: Option<&Identity>) -> Result<()> {
    let generations = folder.join(data::GENERATIONS);
    let manifest = generations.join(format!("{}.toml", seed.generation));
    tree::write(&manifest, &chosen.bytes, 0o644)?;
    if let Some(signature) = &chosen.signature {
        tree::write(&manifest.with_extension("toml.minisig"), signature, 0o644)?;
    }
    let top = folder.join(data::STATE);
    tree::write(&top.join(state::FORMAT), format!("{STATE_FORMAT}\n").as_bytes(), 0o644)?;
    let text = toml::to_string(seed).map_err(|error| Error::parse("the seed", error))?;
    tree::write(&top.join(state::SEED), text.as_bytes(), 0o600)?;
    let etc = top.join(state::ETC);
    mounts::make_folder(&etc)?;
    tree::write(&etc.join("machine-id"), format!("{}\n", seed.machine_id).as_bytes(), 0o444)?;
    if let Some(identity) = identity {
        tree::write(&top.join(state::IDENTITY), identity.text().as_bytes(), 0o600)?;
    }
    Ok(())
}
