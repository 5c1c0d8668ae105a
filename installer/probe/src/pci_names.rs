//! Names of PCI devices, from the `pci.ids` that the system has (pci-ids.ucw.cz; Debian's package
//! `pci.ids`): three megabytes that the installer does not carry.

use crate::pci::PciDevice;
use std::collections::BTreeMap;
use std::path::Path;

/// Where systems keep the list.
const PLACES: [&str; 2] = ["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"];

/// Names by `vendor` and by `vendor:device`.
#[derive(Debug, Clone, Default)]
pub struct PciNames(BTreeMap<String, String>);

impl PciNames {
    /// The list of the system below `root`; empty where it has none.
    pub fn of_system(root: &Path) -> Self {
        let read = |place: &&str| std::fs::read(root.join(place)).ok();
        let bytes = PLACES.iter().find_map(read).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// Vendors stand at the start of a line, devices behind a tab, subsystems behind two; classes
    /// come last, behind `C`.
    fn parse(text: &str) -> Self {
        let mut names = BTreeMap::new();
        let mut vendor: Option<String> = None;
        for line in text.lines() {
            if line.starts_with("\t\t") || line.starts_with('#') {
                continue;
            }
            let inner = line.strip_prefix('\t');
            let entry = inner.unwrap_or(line).split_once("  ").filter(|(id, _)| is_id(id));
            match (inner, entry, &vendor) {
                (None, Some((id, name)), _) => {
                    names.insert(id.to_owned(), name.trim().to_owned());
                    vendor = Some(id.to_owned());
                }
                (Some(_), Some((id, name)), Some(vendor)) => {
                    names.insert(format!("{vendor}:{id}"), name.trim().to_owned());
                }
                (None, None, _) if !line.is_empty() => vendor = None,
                _ => {}
            }
        }
        Self(names)
    }

    /// `NVIDIA Corporation TU104GL [Tesla T4]`.
    pub fn of(&self, device: &PciDevice) -> Option<String> {
        let vendor = self.0.get(&device.vendor)?;
        let name = self.0.get(&device.id());
        Some(name.map_or_else(|| vendor.clone(), |name| format!("{vendor} {name}")))
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
        let names = PciNames::parse(
            "# x\n10de  NVIDIA\n\t1eb8  TU104GL\n\t\t10de 12a2  T4\nC 03  Display\n\t00  VGA\n",
        );
        let device =
            |id: &str| PciDevice { vendor: "10de".into(), device: id.into(), ..PciDevice::default() };
        assert_eq!(names.of(&device("1eb8")).as_deref(), Some("NVIDIA TU104GL"));
        assert_eq!(names.of(&device("0000")).as_deref(), Some("NVIDIA"));
        assert_eq!(names.of(&PciDevice::default()), None);
    }

    #[test]
    fn noise_is_no_name() {
        for text in ["", "\t", "\t10de  x", "zzzz  x\n\t1234  y", "10de", "\0\u{fffd}\n\t\t\t"] {
            assert!(PciNames::parse(text).0.is_empty(), "{text:?}");
        }
    }
}
