//! Where the kernel's file systems stand: values, so that a recorded tree serves as well.

use std::path::{Path, PathBuf};

/// Where the hypervisor's CPUID signature comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// This processor's own.
    Processor,
    /// A file with its twelve bytes: a recorded tree says nothing of this processor.
    File(PathBuf),
}

/// The trees that the kernel fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// sysfs.
    pub sys: PathBuf,
    /// devtmpfs.
    pub dev: PathBuf,
    /// procfs.
    pub proc: PathBuf,
    /// The hypervisor's signature.
    pub signature: Signature,
}

impl Roots {
    /// The running machine's own.
    pub fn machine() -> Self {
        Self::below(Path::new("/"), Signature::Processor)
    }

    /// Those below `root`: a recorded tree, read alone.
    pub fn under(root: &Path) -> Self {
        Self::below(root, Signature::File(root.join("fake/cpuid_40000000")))
    }

    fn below(root: &Path, signature: Signature) -> Self {
        Self { sys: root.join("sys"), dev: root.join("dev"), proc: root.join("proc"), signature }
    }
}
