//! The host's keyboard layout on the console, before anything is asked.

use crate::context::Context;
use crate::tools;
use landfall_hosts::paths::initrd::KEYMAP;
use std::path::Path;

/// Loads the host's map, where the initrd has one and the machine a screen. A keyboard with the
/// kernel's own layout is better than none.
pub fn load(context: &Context) {
    let map = Path::new("/").join(KEYMAP);
    if !map.exists() || !context.roots.dev.join("tty0").exists() {
        return;
    }
    // Unicode: what the terminal hands on is UTF-8, as in the machine's own sessions.
    let loaded = tools::must("loadkeys", &["--quiet", "--unicode", &map.to_string_lossy()]);
    if let Err(error) = loaded {
        context.consoles.say(format!("Warning: the keyboard has the US layout: {}", error.chain()));
    }
}
