//! What the machine is: `landfall-probe` below the installer's roots.

use crate::roots::Roots;

pub use landfall_probe::{Disk, Machine, Partition};

/// Whole disks.
pub mod disks {
    use super::{Disk, Roots};

    /// All whole disks of the machine, by name.
    pub fn list(roots: &Roots) -> Vec<Disk> {
        landfall_probe::disks::list(&roots.hardware())
    }
}

/// The machine itself.
pub mod machine {
    use super::{Machine, Roots};

    /// Reads all facts.
    pub fn probe(roots: &Roots) -> Machine {
        landfall_probe::machine::probe(&roots.hardware())
    }
}
