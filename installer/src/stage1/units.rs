//! What stage 1 tells systemd: the ESP's mount, and which disk the root is on.

use super::data::Found;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::{mounts, tree};
use landfall_hosts::paths::machine;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The root overlay writes to this mount to the very end. Taking it off at shutdown can only fail;
/// systemd's last step remounts it read-only, and it is clean.
const HELD: &str = "run-landfall-data.mount";
/// Without default dependencies a mount does not conflict with umount.target (systemd.mount(5)).
const STAYS: &str = "[Unit]\nDefaultDependencies=no\n";

/// Writes the ESP's mount unit and the link that names the disk behind the root. Gives back the
/// ESP's PARTUUID.
pub fn write(context: &Context, found: &Found) -> Result<Option<String>> {
    let systemd = context.roots.run.join("systemd");
    let units = systemd.join("system");
    mounts::make_folder(&units)?;
    // An overlay has no device of its own; systemd's tools look here for one
    // (systemd-volatile-root.service(8)).
    let device = format!("/dev/block/{}", found.partition.device);
    link(&device, &systemd.join("volatile-root"))?;
    let held = units.join(format!("{HELD}.d"));
    mounts::make_folder(&held)?;
    tree::write(&held.join("50-landfall.conf"), STAYS.as_bytes(), 0o644)?;
    let Some(esp) = &found.esp_guid else {
        context.consoles.say("The disk has no EFI system partition; /efi stays empty.");
        return Ok(None);
    };
    tree::write(&units.join("efi.mount"), efi_mount(esp).as_bytes(), 0o644)?;
    // systemd-gpt-auto-generator would put an automount with a time-out over it.
    link("/dev/null", &units.join("efi.automount"))?;
    let wants = units.join("local-fs.target.requires");
    mounts::make_folder(&wants)?;
    link("../efi.mount", &wants.join("efi.mount"))?;
    Ok(Some(esp.clone()))
}

fn link(target: &str, at: &Path) -> Result<()> {
    tree::remove(at)?;
    symlink(target, at).map_err(Error::io(format!("linking {}", at.display())))
}

/// Not `nofail`: the blessing of a boot would then run before the mount.
fn efi_mount(partuuid: &str) -> String {
    let place = machine::ESP;
    format!(
        "[Unit]\n\
         Description=EFI system partition\n\
         Documentation=man:landfall-machine(8)\n\
         Before=local-fs.target\n\
         \n\
         [Mount]\n\
         What=/dev/disk/by-partuuid/{partuuid}\n\
         Where={place}\n\
         Type=vfat\n\
         Options=ro,nodev,nosuid,noexec,umask=0077\n"
    )
}
