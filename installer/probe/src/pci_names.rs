//! Names of PCI devices, from the `pci.ids` that the system has (pci-ids.ucw.cz; Debian's package
//! `pci.ids`): three megabytes that the installer does not carry.

use crate::pci::PciDevice;
use std::collections::BTreeMap;
use std::path::Path;

/// Where systems keep the list.
const PLACES: [&str; 2] = ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"];

/// The text of the list, and where each vendor stands in it. A machine has some forty functions and the list as many
/// thousand lines, so only vendors are told apart beforehand.
#[derive(Debug, Clone, Default)]
pub struct PciNames {
    text: String,
    vendors: BTreeMap<String, usize>,
}

impl PciNames {
    /// The list of the system below `root`; empty where it has none.
    pub fn of_system(root: &Path) -> Self {
        let read = |place: &&str| std::fs::read(root.join(place)).ok();
        let bytes = PLACES.iter().find_map(read).unwrap_or_default();
        Self::new(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Vendors stand at the start of a line, devices behind a tab, subsystems behind two; classes come last, behind `C`.
    fn new(text: String) -> Self {
        let mut vendors = BTreeMap::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if let Some((id, _)) = line.split_once("  ").filter(|(id, _)| is_id(id)) {
                vendors.insert(id.to_owned(), at);
            }
            at += line.len();
        }
        Self { text, vendors }
    }

    /// `NVIDIA Corporation TU104GL [Tesla T4]`.
    pub fn of(&self, device: &PciDevice) -> Option<String> {
        let entry = self.text.get(*self.vendors.get(&device.vendor)?..)?;
        let mut lines = entry.lines();
        let (_, vendor) = lines.next()?.split_once("  ")?;
        let mut devices = lines.take_while(|line| line.is_empty() || line.starts_with(['\t', '#']));
        let prefix = format!("\t{}  ", device.device);
        let name = devices.find_map(|line| line.strip_prefix(&prefix));
        let name = name.map(|name| format!("{} {}", vendor.trim(), name.trim()));
        Some(name.unwrap_or_else(|| vendor.trim().to_owned()))
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a class is, for people (PCI Code and ID Assignment Specification).
pub fn class(device: &PciDevice) -> &'static str {
    match device.kind() {
        "0300" => "VGA",
        "0302" => "3D controller",
        "0380" => "display",
        "0200" => "Ethernet",
        "0280" => "network",
        "0106" => "SATA",
        "0107" => "SAS",
        "0104" => "RAID",
        "0108" => "NVMe",
        "0403" | "0401" => "sound",
        "0c03" => "USB",
        _ => "device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_vendors_and_devices() {
        let names = PciNames::new(
            "# x\n1022  AMD\n\t1eb9  Other\n10de  NVIDIA\n# y\n\n\t1eb8  TU104GL\n\t\t10de 12a2  T4\nC 03  Display\n\t00  VGA\n"
                .to_owned(),
        );
        let device =
            |id: &str| PciDevice { vendor: "10de".into(), device: id.into(), ..PciDevice::default() };
        assert_eq!(names.of(&device("1eb8")).as_deref(), Some("NVIDIA TU104GL"));
        assert_eq!(names.of(&device("0000")).as_deref(), Some("NVIDIA"));
        assert_eq!(names.of(&device("1eb9")).as_deref(), Some("NVIDIA"), "another maker's");
        assert_eq!(names.of(&PciDevice::default()), None);
    }

    #[test]
    fn noise_is_no_name() {
        let device =
            |vendor: &str| PciDevice { vendor: vendor.into(), device: "1234".into(), ..PciDevice::default() };
        for text in ["", "\t", "\t10de  x", "zzzz  x\n\t1234  y", "10de", "\0\u{fffd}\n\t\t\t"] {
            for vendor in ["10de", "zzzz", "", "\n"] {
                assert_eq!(PciNames::new(text.to_owned()).of(&device(vendor)), None, "{text:?}, {vendor:?}");
            }
        }
    }
}
