//! What a machine is.
//!
//! Data flows one way: sysfs, procfs and CPUID → facts ([`Machine`], pure data) → what they say
//! ([`Answer`]). Reading never fails: a source that is missing leaves its facts unknown.

pub mod answer;
pub mod bytes;
pub mod chipset;
pub mod cpu;
pub mod disks;
pub mod firmware;
pub mod form;
pub mod machine;
pub mod names;
pub mod numbers;
pub mod nvidia;
pub mod pci;
pub mod pci_names;
pub mod power;
mod read;
pub mod roots;
pub mod silicon;
pub mod tried;
mod unique;
pub mod virt;

pub use answer::Answer;
pub use disks::{Disk, Partition};
pub use machine::Machine;
pub use pci::PciDevice;
pub use roots::Roots;
