//! The one disk layout of media and machines: GPT, ESP, boot entries.
//!
//! Used by the image builder and by the installer. Nothing here opens a device, runs a tool or
//! decides whether a disk may be written: callers hand in what is open and already decided.

mod bios;
mod device;
mod edges;
mod entry;
mod error;
mod esp;
mod fat;
mod grub;
pub mod guid;
mod layout;
mod marker;
mod read;
mod refit;
mod signature;
mod survey;
mod swap;
mod systems;
pub mod types;
mod write;

pub use bios::{Bios, bios_can_start, clear_boot};
pub use device::Disk;
pub use entry::{
    BootEntry, ENTRIES, LOADER_CONF, TRIES, machine_entry_path, machine_loader_conf, medium_loader_conf,
};
pub use error::{DiskError, Result};
pub use esp::{EspFile, EspTree, LABEL, Source, write_esp};
pub use fat::{Fat, FatEntry};
pub use grub::{GrubEntry, machine_grub_cfg, medium_grub_cfg, medium_grub_start};
pub use layout::{
    ALIGN_BYTES, BIOS_BYTES, Extent, Layout, MACHINE_DATA_MIN_BYTES, MACHINE_ESP_BYTES, MEDIUM_ESP_MIN_BYTES,
    MIB, TAIL_BYTES,
};
pub use marker::{InstallId, Marker, Phase};
pub use read::{Entry, Gpt, MbrEntry, TableSeen, read_table};
pub use refit::{Ends, refit, unfinished};
pub use signature::{Signature, probe};
pub use survey::{DiskState, PartitionSeen, Survey, survey};
pub use swap::{PAGE_BYTES, SWAP_LABEL, SwapSeen, swap_header, swap_seen};
pub use write::{Guids, Old, set_marker, write_new};
