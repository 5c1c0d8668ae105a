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
    BootEntry, EspTree, Extent, LOADER_CONF, Source, TRIES, machine_entry_path, machine_grub_cfg,
    machine_loader_conf, write_esp,
};
use landfall_hosts::grubenv::{GrubEnv, Tries};
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::{cmdline, grub};
use rustix::mount::MountFlags;
use std::path::Path;

/// Seconds that the machine's menu waits, where the host does not say.
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
    let entry = entry(target, manifest, number);
    let text = entry.render().map_err(Error::disk(doing()))?;
    tree.add(machine_entry_path(number), Source::Bytes(text.into_bytes()));
    let seconds = manifest.install.menu_seconds.unwrap_or(TIMEOUT_SECONDS);
    tree.add(LOADER_CONF, Source::Bytes(machine_loader_conf(seconds).into_bytes()));
    let menu = machine_grub_cfg(seconds, &[(number, entry)]).map_err(Error::disk(doing()))?;
    tree.add(grub::CFG, Source::Bytes(menu.into_bytes()));
    tree.add(grub::ENV, Source::Bytes(grub_env(number)?));
    Ok(tree)
}

/// The tries of the only generation, as GRUB counts them.
fn grub_env(number: u64) -> Result<Vec<u8>> {
    let mut env = GrubEnv::default();
    env.set_tries(number, Tries::Left(TRIES));
    env.render().ok_or_else(|| Error::Words("writing GRUB's environment: it does not fit its file".into()))
}

/// The boot entry of generation `number`, as it is written.
pub fn entry_text(target: &Target, manifest: &Manifest, number: u64) -> Result<String> {
    entry(target, manifest, number).render().map_err(Error::disk("writing the boot entry"))
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
    if let Some(volume) = &target.volume {
        options.push_str(&format!(" {}={volume}", cmdline::VOLUME));
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

/// Tells the firmware to start this disk first; BIOS cannot be told. A firmware that refuses finds the disk by its
/// fallback path, so this is only worth a warning.
pub fn announce(context: &Context, target: &Target) {
    if !context.roots.sys.join("firmware/efi").exists() {
        context.consoles.say(
            "This machine starts in BIOS mode. If it starts another system, choose this disk in the BIOS setup.",
        );
        return;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Disk, Partition};
    use landfall_disk::{Guids, Layout, MIB, Old, write_new};
    use std::os::unix::fs::symlink;

    const VENDOR: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

    /// A machine below `top`, and what it said while it announced a target that is whole.
    fn said(top: &Path) -> String {
        let image = top.join("disk");
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&image).unwrap();
        let layout = Layout::medium(64 * MIB, 64 * MIB);
        file.set_len(layout.disk_bytes).unwrap();
        let guids = Guids::derived(b"x");
        write_new(&mut &file, &layout, &guids, "x", Old::Zeroes).unwrap();
        let disk = Disk { path: image, sector_bytes: 512, ..Disk::default() };
        let esp = Partition { number: 2, size_bytes: layout.esp.len_bytes, ..Partition::default() };
        let target = Target { disk, guids, data: esp.clone(), esp, volume: None };
        let context = Context::under(top, "");
        announce(&context, &target);
        context.hotplug.stop();
        context.consoles.lines().join("\n")
    }

    fn variables(top: &Path) -> std::path::PathBuf {
        let folder = top.join("sys/firmware/efi/efivars");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_firmware_that_refuses_is_worth_a_warning_that_says_what_starts_instead() {
        let full = tempfile::tempdir().unwrap();
        // Every write to it fails, as on a full or locked store.
        symlink("/dev/full", variables(full.path()).join(format!("BootOrder-{VENDOR}"))).unwrap();
        let locked = tempfile::tempdir().unwrap();
        std::fs::create_dir(variables(locked.path()).join(format!("BootOrder-{VENDOR}"))).unwrap();
        let empty = tempfile::tempdir().unwrap();
        variables(empty.path());
        for top in [&full, &locked, &empty] {
            let said = said(top.path());
            assert!(said.contains("Warning: ") && said.contains("fallback path"), "{said}");
        }
    }

    #[test]
    fn a_bios_is_told_nothing_and_nobody_is_warned() {
        let top = tempfile::tempdir().unwrap();
        let said = said(top.path());
        assert!(said.contains("BIOS mode") && !said.contains("Warning"), "{said}");
    }
}
