//! The effects, in the order that makes a power cut harmless: before the first write the old disk
//! is untouched, then the marker says "half done" and the medium installs again, and the last
//! write says "done".

use super::attempt::Timed;
use super::bios::Grub;
use super::encrypt::{Kept, Keys};
use super::hash::From;
use super::hosts::Chosen;
use super::identity::Identity;
use super::medium::Medium;
use super::plan::Plan;
use super::progress::Bar;
use super::target::Target;
use super::verify::Wanted;
use super::{copy, encrypt, esp, keep, state, target, tpm, verify};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::luks::Opened;
use crate::mounts::Mount;
use crate::stage1::set_aside;
use age::secrecy::SecretString;
use landfall_disk::InstallId;
use landfall_hosts::medium::Seed;
use landfall_hosts::paths::data;
use std::path::{Path, PathBuf};

/// The number of the first generation of a machine.
pub const FIRST: u64 = 1;

/// Everything that was decided before the first write.
#[derive(Debug)]
pub struct Decided<'a> {
    /// Which host.
    pub chosen: &'a Chosen,
    /// Which disk.
    pub plan: &'a Plan,
    /// Which installation.
    pub id: InstallId,
    /// The host's identity.
    pub identity: Option<Identity>,
    /// The keys of the data partition that is kept, where it is encrypted.
    pub kept: Option<Kept>,
    /// The keys of the data partition, where it is to be encrypted.
    pub keys: Option<Keys>,
    /// What is handed to first boot.
    pub seed: Seed,
    /// Where the medium's ESP is mounted.
    pub medium_esp: PathBuf,
}

impl Decided<'_> {
    /// What opens the encrypted volume, and the PIN, for further slots.
    pub(super) fn to_seal(&self) -> Option<(&SecretString, Option<&SecretString>)> {
        let new = self.keys.as_ref().map(|keys| (keys.recovery.secret(), keys.pin.as_ref()));
        new.or_else(|| self.kept.as_ref().map(|kept| (&kept.key, kept.pin.as_ref())))
    }
}

/// A target that is complete but for its marker.
pub struct Written {
    /// The disk.
    pub target: Target,
    // In this order: what is mounted goes before the volume that it is on.
    pub(super) mount: Mount,
    pub(super) opened: Option<Opened>,
    pub(super) folder: PathBuf,
    pub(super) grub: Option<Grub>,
}

/// A step's name, and why it failed.
pub type StepError = (&'static str, Error);

pub(super) fn step<T>(name: &'static str, result: Result<T>) -> std::result::Result<T, StepError> {
    result.map_err(|error| (name, error))
}

/// Writes everything but the report and the last marker: on a new disk, or over the state of an earlier
/// Landfall.
pub fn write(
    context: &Context,
    medium: &Medium,
    decided: &Decided<'_>,
    timed: &mut Timed,
) -> std::result::Result<Written, StepError> {
    let grub = Grub::take(&decided.chosen.manifest, &decided.medium_esp, decided.plan);
    let grub = step("preparing GRUB", grub)?;
    let written = match &decided.plan.earlier {
        None => anew(context, medium, decided, timed)?,
        Some(earlier) => keep::replace((context, earlier), medium, decided, timed)?,
    };
    Ok(Written { grub, ..written })
}

fn anew(
    context: &Context,
    medium: &Medium,
    decided: &Decided<'_>,
    timed: &mut Timed,
) -> std::result::Result<Written, StepError> {
    let manifest = &decided.chosen.manifest;
    context.consoles.say(format!("Writing to {}.", decided.plan.disk.line()));
    let target = timed.run("partition", 0, || target::partition(context, decided.plan, decided.id));
    let mut target = step("partitioning", target)?;
    let keys = decided.keys.as_ref();
    let encrypt = |keys| timed.run("encrypt", 0, || encrypt::format(context, &target.data.path, keys));
    let opened = step("encrypting", keys.map(encrypt).transpose())?;
    target.volume = step("encrypting", tpm::identity(&target, manifest))?;
    let device = opened.as_ref().map_or_else(|| target.data.path.clone(), Opened::path);
    let formatted = timed.run("format", 0, || target.format(context, &device));
    let (mount, folder) = step("formatting", formatted)?;
    step("formatting", target.make_swap().and_then(|()| state::folders(&folder)))?;
    let from = verify::layers(manifest, &medium.folder);
    layers(context, (from, verify::layers(manifest, &folder)), &folder, timed)?;
    let from = &decided.medium_esp;
    let written = timed.run("esp", 0, || esp::write(context, &target, manifest, from, FIRST));
    step("writing the EFI system partition", written)?;
    let sealed = timed.run("seal", 0, || tpm::seal(context, &target, decided, FIRST));
    step("sealing the key to the TPM", sealed)?;
    let left = timed.run("seed", 0, || leave(&folder, decided));
    step("handing over", left)?;
    Ok(Written { target, mount, opened, folder, grub: None })
}

fn leave(folder: &Path, decided: &Decided<'_>) -> Result<()> {
    state::write(folder, decided.chosen, &decided.seed, decided.identity.as_ref())?;
    set_aside(folder)
}

/// Copies the layers and reads them back from the disk itself: what the page cache holds proves
/// nothing.
pub(super) fn layers(
    context: &Context,
    (from, to): (Vec<Wanted>, Vec<Wanted>),
    folder: &Path,
    timed: &mut Timed,
) -> std::result::Result<(), StepError> {
    let bytes = verify::bytes(&from);
    let copied = timed.run("copy", bytes, || {
        let bar = Bar::begin(&context.consoles, "Copying layers", bytes);
        copy::all(&from, &folder.join(data::LAYERS), &bar)
    });
    step("copying layers", copied)?;
    let wrong = timed.run("reread", bytes, || {
        let bar = Bar::begin(&context.consoles, "Reading the layers back", bytes);
        verify::all(&to, From::Disk, &bar)
    });
    match wrong {
        None => Ok(()),
        Some(wrong) => {
            let words = format!("what was written does not read back: {}", wrong.words());
            step("reading the layers back", Err(Error::Words(words)))
        }
    }
}

impl Written {
    /// Puts the report beside the state, takes the disk out of use, makes it one that BIOS starts,
    /// tells a firmware that can be told, and makes the very last write: the marker.
    pub fn finish(
        self,
        context: &Context,
        id: InstallId,
        report: &str,
    ) -> std::result::Result<(), StepError> {
        let path = self.folder.join(data::STATE).join(landfall_hosts::paths::state::INSTALL_REPORT);
        step("writing the report", crate::tree::write(&path, report.as_bytes(), 0o600))?;
        step("unmounting the target", self.mount.close())?;
        step("closing the encrypted volume", self.opened.map_or(Ok(()), Opened::close))?;
        let put = self.grub.map_or(Ok(()), |grub| grub.put(&self.target));
        step("putting GRUB on the disk", put)?;
        esp::announce(context, &self.target);
        step("finishing", self.target.finish(id))
    }
}
