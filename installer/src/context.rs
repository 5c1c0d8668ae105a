//! What every part of a run needs.

use crate::cmdline::Cmdline;
use crate::console::Consoles;
use crate::modules::hotplug::Hotplug;
use crate::roots::Roots;

/// The running `/init`.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where the kernel's file systems are.
    pub roots: Roots,
    /// The kernel command line.
    pub cmdline: Cmdline,
    /// Where words go.
    pub consoles: Consoles,
    /// Drivers and late devices.
    pub hotplug: Hotplug,
}

#[cfg(test)]
impl Context {
    /// A machine whose file systems are below `top`.
    pub(crate) fn under(top: &std::path::Path, cmdline: &str) -> Self {
        let roots = Roots::under(top);
        Self {
            cmdline: Cmdline::parse(cmdline),
            consoles: Consoles::open(&roots),
            hotplug: Hotplug::start(&roots, crate::modules::Loader::open(&roots, "")),
            roots,
        }
    }
}
