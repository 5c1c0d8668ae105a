//! Stage 1: mount a generation and switch root; or start a host from the medium on a tmpfs.

mod boot_info;
mod clock;
mod data;
mod etc;
mod keep;
mod overlay;
mod rescue;
mod reserve;
mod swap;
mod switch;
mod tpm;
mod trial;
mod units;
mod unlock;
mod upper;
mod var;
mod whole;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::watchdog::Watchdog;
use landfall_hosts::machine::Machine;
use landfall_hosts::paths::machine;
use std::path::{Path, PathBuf};

pub use clock::{not_before, now};
pub use data::{STATE_FORMAT, check as check_data};
pub use reserve::set_aside;
pub use swap::{make as make_swap, seen as swap_seen};
pub use trial::run_try;
pub use unlock::as_typed;

/// Where the new root is put together.
const SYSROOT: &str = "/sysroot";

/// Starts the generation that the command line names. Ends in user space, or in words.
pub fn run_boot(context: &Context, watchdog: Option<Watchdog>) {
    match boot(context, watchdog) {
        Ok(never) => match never {},
        Err(error) => rescue::give_up(context, &error),
    }
}

fn boot(context: &Context, watchdog: Option<Watchdog>) -> Result<std::convert::Infallible> {
    let roots = &context.roots;
    let found = data::find(context)?;
    whole::check(&found.disk)?;
    swap::resume(context, &found);
    let unlocked = unlock::device(context, &found)?;
    let folder = data::mount(context, &unlocked.device)?;
    let number = context.cmdline.generation().ok_or_else(|| {
        Error::Words("the command line names no landfall.generation; choose another boot entry".into())
    })?;
    let manifest = data::manifest(&folder, number)?;
    unlocked.seal_again(context, &manifest);
    clock::not_before(context, manifest.epoch);
    data::note_format(context, &folder);
    reserve::balance(context, &folder);
    let layers = overlay::mount_layers(roots, &folder, &manifest)?;
    let upper = upper::fresh(&folder)?;
    let root = PathBuf::from(SYSROOT);
    overlay::mount_root(&layers, Some(&upper), &root)?;
    etc::mount(roots, &layers, &folder, &root)?;
    var::mount(context, &folder, &root)?;
    let settings = settings(&root);
    keep::mount(context, &folder, &root, &settings)?;
    swap::prepare(context, &folder, &found, settings.swap);
    let esp = units::write(context, &found)?;
    boot_info::write(context, &found, number, esp)?;
    context.consoles.say(format!("Starting {} (generation {number}).", manifest.host));
    hand_over(context, watchdog);
    switch::into(roots, &root)
}

/// User space arms the watchdog again if the host wants it.
fn hand_over(context: &Context, watchdog: Option<Watchdog>) {
    context.hotplug.stop();
    if let Some(watchdog) = watchdog {
        watchdog.disarm();
    }
}

/// What the host layer says; a host without it has only defaults.
fn settings(root: &Path) -> Machine {
    let path = root.join(machine::MACHINE_TOML.trim_start_matches('/'));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    toml::from_str(&text).unwrap_or_default()
}
