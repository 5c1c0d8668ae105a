//! PCI functions, from `/sys/bus/pci/devices` (kernel, `Documentation/ABI/testing/sysfs-bus-pci`).

use crate::read;
use crate::roots::Roots;
use serde::{Deserialize, Serialize};

/// A PCI function. Ids are four lower-case hex digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PciDevice {
    /// Domain, bus, device and function: `0000:01:00.0`.
    pub slot: String,
    /// Maker of the chip.
    pub vendor: String,
    /// Chip.
    pub device: String,
    /// Class, subclass and interface, six hex digits.
    pub class: String,
    /// Maker of the card or board.
    pub subsystem_vendor: Option<String>,
    /// Card or board.
    pub subsystem_device: Option<String>,
    /// The kernel driver that has it.
    pub driver: Option<String>,
    /// The firmware drew on it; known of display devices alone.
    pub boot_vga: Option<bool>,
}

impl PciDevice {
    /// Class and subclass, the four digits that say what it is.
    pub fn kind(&self) -> &str {
        self.class.get(..4).unwrap_or_default()
    }

    /// `vendor:device`.
    pub fn id(&self) -> String {
        format!("{}:{}", self.vendor, self.device)
    }

    /// A display device: VGA, XGA, 3D or other.
    pub fn is_display(&self) -> bool {
        self.class.starts_with("03")
    }
}

/// All functions by slot; `None` where the kernel has no PCI.
pub fn list(roots: &Roots) -> Option<Vec<PciDevice>> {
    let folder = roots.sys.join("bus/pci/devices");
    if !folder.is_dir() {
        return None;
    }
    let one = |slot: String| {
        let at = folder.join(&slot);
        let id = |name: &str| read::text(&at.join(name)).and_then(|text| hex(&text, 4));
        let driver = std::fs::read_link(at.join("driver")).ok();
        Some(PciDevice {
            vendor: id("vendor")?,
            device: id("device")?,
            class: read::text(&at.join("class")).and_then(|text| hex(&text, 6)).unwrap_or_default(),
            subsystem_vendor: id("subsystem_vendor"),
            subsystem_device: id("subsystem_device"),
            driver: driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned())),
            boot_vga: read::number(&at.join("boot_vga")).map(|flag| flag == 1),
            slot,
        })
    };
    Some(read::names(&folder).into_iter().filter_map(one).collect())
}

/// The kernel writes `0x` and lower-case digits; anything else is no id.
fn hex(text: &str, digits: usize) -> Option<String> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let good = !text.is_empty() && text.len() <= digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| format!("{:0>digits$}", text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hex_or_nothing() {
        assert_eq!(hex("0x10DE", 4).as_deref(), Some("10de"));
        assert_eq!(hex("0x3", 6).as_deref(), Some("000003"));
        for bad in ["", "0x", "0x12345", "0xzz", "-1", "ü"] {
            assert_eq!(hex(bad, 4), None, "{bad}");
        }
    }

    #[test]
    fn a_class_cut_short_is_no_kind() {
        let device = PciDevice { class: "03".into(), ..PciDevice::default() };
        assert_eq!(device.kind(), "");
        assert!(PciDevice { class: "030é".into(), ..PciDevice::default() }.kind().is_empty());
    }
}
