//! PID 1: from an empty initramfs to one of the three modes.

use crate::cmdline::{Cmdline, Mode};
use crate::console::Consoles;
use crate::context::Context;
use crate::error::Result;
use crate::modules::{Loader, hotplug::Hotplug};
use crate::roots::Roots;
use crate::watchdog::Watchdog;
use crate::{ending, install, keyboard, mounts, stage1};

/// What a mount will ask the kernel for: it cannot ask for modules itself, having no modprobe.
const PRELOAD: [&str; 8] =
    ["fs-ext4", "fs-erofs", "fs-overlay", "fs-vfat", "nls_cp437", "nls_ascii", "nls_utf8", "efivarfs"];

/// The whole life of `/init`; comes back only when it is not PID 1.
pub fn pid1() {
    if std::process::id() != 1 {
        eprintln!("landfall-init is the /init of Landfall's initrd and runs as PID 1 only.");
        std::process::exit(2);
    }
    let roots = Roots::machine();
    let mounted = mounts::kernel_file_systems(&roots);
    let consoles = Consoles::open(&roots);
    let text = std::fs::read_to_string(roots.proc.join("cmdline")).unwrap_or_default();
    ending::hook_panics(&consoles, &text);
    if let Err(error) = mounted {
        consoles.say(format!("Landfall: {}", error.chain()));
    }
    let context = start(roots, consoles, &text);
    keyboard::load(&context);
    let watchdog = Watchdog::arm(&context.roots);
    let mode = context.cmdline.mode();
    context.consoles.sentinel("STAGE1", &[("mode", mode.word())]);
    match mode {
        Mode::Install => install::run(&context),
        Mode::Try => stage1::run_try(&context, watchdog),
        Mode::Boot => stage1::run_boot(&context, watchdog),
    }
}

fn start(roots: Roots, consoles: Consoles, cmdline_text: &str) -> Context {
    let cmdline = Cmdline::parse(cmdline_text);
    let hotplug = Hotplug::start(&roots, Loader::open(&roots, cmdline_text));
    match cmdline.mode() {
        // An installation looks at every disk, so all of them must be there.
        Mode::Install => {
            quiet_kernel(&roots);
            hotplug.walk(&roots);
        }
        Mode::Try | Mode::Boot => hotplug.walk_behind(&roots),
    }
    for wanted in PRELOAD {
        note(&consoles, hotplug.load(wanted));
    }
    if roots.sys.join("firmware/efi").exists() {
        note(&consoles, mounts::efivars(&roots));
    }
    Context { roots, cmdline, consoles, hotplug }
}

/// Only errors of the kernel come between the lines of an installation; the rest is in its log.
fn quiet_kernel(roots: &Roots) {
    let _ = std::fs::write(roots.proc.join("sys/kernel/printk"), "4\n");
}

fn note(consoles: &Consoles, result: Result<()>) {
    if let Err(error) = result {
        consoles.say(format!("Landfall: {}", error.chain()));
    }
}
