//! Where the kernel's file systems stand: values, so that a test or a recorded tree serves as well.

use std::path::{Path, PathBuf};

/// The trees that the kernel fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// sysfs.
    pub sys: PathBuf,
    /// devtmpfs.
    pub dev: PathBuf,
    /// procfs.
    pub proc: PathBuf,
    /// The tmpfs that goes on to the running system.
    pub run: PathBuf,
    /// Kernel modules' folder, without the release.
    pub modules: PathBuf,
}

impl Roots {
    /// The running machine's own.
    pub fn machine() -> Self {
        Self::under(Path::new("/"))
    }

    /// Those below `root`: a recorded tree.
    pub fn under(root: &Path) -> Self {
        Self {
            sys: root.join("sys"),
            dev: root.join("dev"),
            proc: root.join("proc"),
            run: root.join("run"),
            modules: root.join("usr/lib/modules"),
        }
    }

    /// Those that tell the hardware. A recorded tree says nothing of this processor.
    pub fn hardware(&self) -> landfall_probe::Roots {
        let own = landfall_probe::Roots::machine();
        match self.sys.parent() {
            Some(root) if self.sys != own.sys => landfall_probe::Roots::under(root),
            _ => own,
        }
    }
}
