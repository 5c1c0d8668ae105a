//! What the machine is: pure data, read from sysfs and procfs below given roots.

pub mod disks;
pub mod machine;
mod read;

pub use disks::{Disk, Partition};
pub use machine::Machine;
