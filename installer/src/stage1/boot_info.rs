//! What stage 1 tells user space about this boot.

use super::data::Found;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::{nvram, tree};
use landfall_hosts::machine::BootInfo;
use landfall_hosts::paths::{cmdline, machine};

/// Writes `boot.toml`. The boot counter's path is read here, before anything can bless the entry:
/// afterwards the evidence that all tries had failed is gone.
pub fn write(context: &Context, found: &Found, generation: u64, esp: Option<String>) -> Result<()> {
    let loader = |name| nvram::loader_text(&context.roots, name);
    let info = BootInfo {
        format: 1,
        mode: "boot".into(),
        generation: Some(generation),
        data: Some(found.data_guid.clone()),
        esp,
        disk: Some(found.disk.path.to_string_lossy().into_owned()),
        encrypted: context.cmdline.flag(cmdline::ENCRYPTED),
        entry: loader("LoaderEntrySelected"),
        boot_count_path: count_path(context),
    };
    // A default that someone chose in the menu would pin an entry past its tries.
    if let Err(error) = nvram::clear_loader(&context.roots, "LoaderEntryDefault") {
        context.consoles.say(error.chain());
    }
    put(context, &info)
}

/// The name of the running entry's file with its tries; none where it is not counted. GRUB says its
/// tries on the command line, and they are put into the same form.
pub fn count_path(context: &Context) -> Option<String> {
    let grub = || {
        let (generation, tries) = (context.cmdline.generation()?, context.cmdline.tries()?);
        Some(format!("landfall-{generation}+{tries}.conf"))
    };
    nvram::loader_text(&context.roots, "LoaderBootCountPath").or_else(grub)
}

/// Writes it to its place in `/run`.
pub fn put(context: &Context, info: &BootInfo) -> Result<()> {
    let path = context.roots.run.join(machine::BOOT_INFO.trim_start_matches("/run/"));
    if let Some(folder) = path.parent() {
        crate::mounts::make_folder(folder)?;
    }
    let text = toml::to_string(info).map_err(|error| Error::parse("the boot's description", error))?;
    tree::write(&path, text.as_bytes(), 0o644)
}
