//! A host rehearsed in QEMU: a machine of its shape, its own medium, a blank disk.

mod shape;
mod smbios;
mod stage;

pub use shape::{Shape, Starts, Unlike, shape};
pub use stage::{Picture, RehearsalError, Stage};
