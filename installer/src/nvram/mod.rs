//! The firmware's variables: boot entries and what the boot loader says.

mod boot_order;
mod load_option;
mod vars;

pub use boot_order::{Target, put_first};
pub use load_option::LoadOption;
pub use vars::Vars;

use crate::error::Result;
use crate::roots::Roots;

/// Vendor GUID of the boot loader interface
/// (<https://systemd.io/BOOT_LOADER_INTERFACE/>).
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// A text variable of the boot loader.
pub fn loader_text(roots: &Roots, name: &str) -> Option<String> {
    let bytes = Vars::open(roots).read(name, LOADER)?;
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    let text = String::from_utf16_lossy(&units);
    (!text.is_empty()).then_some(text)
}

/// Removes a variable of the boot loader; one that is not there is fine.
pub fn clear_loader(roots: &Roots, name: &str) -> Result<()> {
    Vars::open(roots).remove(name, LOADER)
}
