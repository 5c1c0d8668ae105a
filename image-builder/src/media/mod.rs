//! Composing a medium: the initrd, the ESP with its menu, the data partition, one image file.
//!
//! Everything is made from files that are already hashed and locked (layers, trees of unpacked
//! packages, our own static `/init`), and the same files give the same image, byte for byte.

mod compose;
mod cpio;
mod data;
mod draft;
mod elf;
mod error;
mod fill;
mod grub;
mod initrd;
mod kernel;
mod keymap;
mod menu;
mod microcode;
mod modules;
mod personalise;
mod place;
mod stamp;
mod tool;
mod trees;
mod unlock;

pub use compose::{Blob, EfiBlob, MediumHost, MediumSpec, compose};
pub use elf::{Needs, needs};
pub use error::{MediaError, Result};
pub use grub::Grub;
pub use initrd::{InitrdParts, compose_initrd};
pub use kernel::{EfiFile, Kernel, find_efi, find_kernel};
pub use keymap::compose_keymap;
pub use microcode::early_cpio;
pub use personalise::{Identity, Personal, personalise};
pub use trees::Trees;
pub use unlock::compose_unlock;
