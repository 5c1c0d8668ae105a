//! The machine's ESP: programs, kernel, initrds, the boot entry; written, read back, announced to
//! the firmware.

use super::hash::From;
use super::progress::Bar;
use super::target::Target;
use super::verify;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::mounts::{Kind, Mount};
use crate::{nvram, sys, table};
use landfall_disk::{
    BootEntry, EspTree, Extent, LOADER_CONF, Source, machine_entry_path, machine_loader_conf, write_esp,
};
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::cmdline;
use rustix::mount::MountFlags;
use std::path::Path;

/// Seconds that the machine's menu waits.
const TIMEOUT_SECONDS: u32 = 3;
/// The command line gets this where the host says nothing: a kernel that stops must not stay so.
const PANIC: &str = "panic=30";

/// Writes the ESP from the medium's, which is mounted at `medium`, and checks every file of it.
pub fn write(
    context: &Context,
    target: &Target,
    manifest: &Manifest,
    medium: &Path,
    number: u64,
) -> Result<()> {
    let tree = tree(target, manifest, medium, number)?;
    let doing = || format!("writing the EFI system partition {}", target.esp.path.display());
    let file = target.open_esp()?;
    let at = Extent { start_bytes: 0, len_bytes: target.esp.size_bytes };
    write_esp(&file, at, target.disk.sector_bytes, &tree).map_err(Error::disk(doing()))?;
    file.sync_all().map_err(Error::io(doing()))?;
    sys::flush_buffers(&file).map_err(Error::io(doing()))?;
    drop(file);
    check(context, target, manifest)
}

fn tree(target: &Target, manifest: &Manifest, medium: &Path, number: u64) -> Result<EspTree> {
    let mut tree = EspTree { volume_id: u32::from_le_bytes(super::random()?), ..EspTree::default() };
    for file in verify::esp_files(manifest, Path::new("")) {
        let path = file.path.to_string_lossy().into_owned();
        // A manifest may name one content twice.
        if !tree.files.iter().any(|known| known.path == path) {
            tree.add(path, Source::File(medium.join(&file.path)));
        }
    }
    let doing = || "writing the boot entry".to_owned();
    let text = entry(target, manifest, number).render().map_err(Error::disk(doing()))?;
    tree.add(machine_entry_path(number), Source::Bytes(text.into_bytes()));
    tree.add(LOADER_CONF, Source::Bytes(machine_loader_conf(TIMEOUT_SECONDS).into_bytes()));
    Ok(tree)
}

fn entry(target: &Target, manifest: &Manifest, number: u64) -> BootEntry {
    let mut options = format!(
        "{}=boot {}={number} {}={} {}",
        cmdline::MODE,
        cmdline::GENERATION,
        cmdline::DATA,
        target.guids.data,
        manifest.cmdline
    );
    if manifest.install.encrypt.is_some() {
        options.push_str(&format!(" {}=1", cmdline::ENCRYPTED));
    }
    if !manifest.cmdline.split_whitespace().any(|word| word.starts_with("panic=")) {
        options.push(' ');
        options.push_str(PANIC);
    }
    BootEntry {
        title: format!("{} (generation {number})", manifest.host),
        sort_key: "landfall".into(),
        version: number.to_string(),
        linux: manifest.kernel.esp_path(),
        initrds: manifest.initrds.iter().map(|blob| blob.esp_path()).collect(),
        options: options.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Reads every file back through the kernel's own FAT, from the disk.
fn check(context: &Context, target: &Target, manifest: &Manifest) -> Result<()> {
    let folder = context.roots.run.join("landfall/target-esp");
    let kind = Kind { name: "vfat", flags: MountFlags::RDONLY | MountFlags::NODEV, options: "" };
    let mount = Mount::new(&target.esp.path, &folder, kind)?;
    let files = verify::esp_files(manifest, &folder);
    let bar = Bar::begin(&context.consoles, "Reading the EFI system partition back", verify::bytes(&files));
    let wrong = verify::all(&files, From::Cache, &bar);
    drop(bar);
    mount.close()?;
    match wrong {
        None => Ok(()),
        Some(wrong) => Err(Error::Words(format!(
            "what was written to {} does not read back: {}",
            target.esp.path.display(),
            wrong.words()
        ))),
    }
}

/// Tells the firmware to start this disk first. A firmware that refuses finds the disk by its
/// fallback path, so this is only worth a warning.
pub fn announce(context: &Context, target: &Target) {
    let result = announced(context, target);
    if let Err(error) = result {
        context.consoles.say(format!(
            "Warning: {}. The machine still starts by the disk's fallback path; if it starts another \
             system, choose this disk in the firmware's boot order.",
            error.chain()
        ));
    }
}

fn announced(context: &Context, target: &Target) -> Result<()> {
    if !nvram::Vars::open(&context.roots).present() {
        return Err(Error::Words("the firmware shows no variables, so it got no boot entry".into()));
    }
    let sector = u64::from(target.disk.sector_bytes.max(1));
    let gpt =
        table::gpt(&target.disk).ok_or_else(|| Error::Words("the new table does not read back".into()))?;
    let esp = gpt.entries.iter().find(|entry| entry.number == target.esp.number);
    let first_lba = esp.map_or(0, |entry| entry.first_lba);
    let option = nvram::Target {
        partition: target.esp.number,
        first_lba,
        sectors: target.esp.size_bytes / sector,
        guid: target.guids.esp.to_bytes_le(),
    };
    let mut present = vec![option.guid];
    for disk in crate::probe::disks::list(&context.roots) {
        let entries = table::gpt(&disk).map(|gpt| gpt.entries).unwrap_or_default();
        present.extend(entries.iter().map(|entry| entry.guid.to_bytes_le()));
    }
    let number = nvram::put_first(&context.roots, &option, &present)?;
    context.consoles.say(format!("The firmware starts this disk first (Boot{number:04X})."));
    Ok(())
}
