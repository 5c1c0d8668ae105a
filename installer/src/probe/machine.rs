//! The machine itself: DMI, firmware, memory, TPM, PCI, network cards, battery.

use super::read;
use crate::roots::Roots;
use landfall_hosts::rule::{FactMap, FactValue};
use serde::Serialize;
use std::path::Path;

/// Facts of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// 1.
    pub schema: u32,
    /// Debian's name of the architecture.
    pub arch: String,
    /// DMI's system vendor.
    pub vendor: Option<String>,
    /// DMI's product name.
    pub product: Option<String>,
    /// DMI's product serial.
    pub serial: Option<String>,
    /// DMI's product UUID.
    pub uuid: Option<String>,
    /// Form, from DMI's chassis type: `laptop`, `desktop` …
    pub chassis: Option<String>,
    /// `uefi` or `bios`.
    pub firmware: String,
    /// Whether Secure Boot is enforced; unknown on BIOS.
    pub secure_boot: Option<bool>,
    /// A TPM 2.0.
    pub tpm2: bool,
    /// A system battery.
    pub battery: bool,
    /// The hypervisor, by `systemd-detect-virt`'s names.
    pub hypervisor: Option<String>,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// PCI devices as `vendor:device`.
    pub pci: Vec<String>,
    /// Hardware addresses of physical network cards.
    pub mac: Vec<String>,
}

/// Reads all facts below the roots.
pub fn probe(roots: &Roots) -> Machine {
    let dmi = roots.sys.join("class/dmi/id");
    let field = |name: &str| read::text(&dmi.join(name));
    Machine {
        schema: 1,
        arch: "amd64".into(),
        vendor: field("sys_vendor"),
        product: field("product_name"),
        serial: field("product_serial"),
        uuid: field("product_uuid"),
        chassis: field("chassis_type").and_then(|kind| chassis(&kind)),
        firmware: if roots.sys.join("firmware/efi").exists() { "uefi" } else { "bios" }.into(),
        secure_boot: secure_boot(roots),
        tpm2: read::text(&roots.sys.join("class/tpm/tpm0/tpm_version_major")).as_deref() == Some("2"),
        battery: battery(roots),
        hypervisor: hypervisor(field("sys_vendor"), field("product_name")),
        memory_bytes: memory(roots),
        pci: pci(roots),
        mac: mac(roots),
    }
}

/// SMBIOS 3.7, table 17: the types that say what kind of machine it is.
fn chassis(kind: &str) -> Option<String> {
    let name = match kind.trim().parse::<u8>().ok()? {
        3..=7 | 13 | 35 | 36 => "desktop",
        8 | 9 => "laptop",
        10 => "notebook",
        14 => "notebook",
        11 => "handheld",
        17 | 23 | 28 | 29 => "server",
        30 => "tablet",
        31 => "convertible",
        32 => "detachable",
        _ => return None,
    };
    Some(name.into())
}

/// The variable has four bytes of attributes and then 1 or 0 (UEFI specification 2.10, 3.3).
fn secure_boot(roots: &Roots) -> Option<bool> {
    let name = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let bytes = std::fs::read(roots.sys.join(name)).ok()?;
    bytes.get(4).map(|value| *value == 1)
}

/// A battery of the system, not of a mouse or headset (kernel, `sysfs-class-power`: `scope`).
fn battery(roots: &Roots) -> bool {
    let class = roots.sys.join("class/power_supply");
    read::names(&class).iter().any(|name| {
        let supply = class.join(name);
        read::text(&supply.join("type")).as_deref() == Some("Battery")
            && read::text(&supply.join("scope")).as_deref() != Some("Device")
    })
}

/// From DMI alone: what the hypervisors that people install on call themselves.
fn hypervisor(vendor: Option<String>, product: Option<String>) -> Option<String> {
    const NAMES: [(&str, &str); 8] = [
        ("QEMU", "qemu"),
        ("KVM", "kvm"),
        ("VMware", "vmware"),
        ("innotek GmbH", "oracle"),
        ("VirtualBox", "oracle"),
        ("Xen", "xen"),
        ("Parallels", "parallels"),
        ("Virtual Machine", "microsoft"),
    ];
    let text = [vendor.unwrap_or_default(), product.unwrap_or_default()].join(" ");
    NAMES.iter().find(|(mark, _)| text.contains(mark)).map(|(_, name)| (*name).to_owned())
}

fn memory(roots: &Roots) -> u64 {
    let text = std::fs::read_to_string(roots.proc.join("meminfo")).unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        let rest = line.strip_prefix("MemTotal:")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    kib.unwrap_or(0).saturating_mul(1024)
}

fn pci(roots: &Roots) -> Vec<String> {
    let folder = roots.sys.join("bus/pci/devices");
    let id = |path: &Path| read::text(path).map(|id| id.trim_start_matches("0x").to_owned());
    let mut ids: Vec<String> = read::names(&folder)
        .iter()
        .filter_map(|slot| {
            let device = folder.join(slot);
            Some(format!("{}:{}", id(&device.join("vendor"))?, id(&device.join("device"))?))
        })
        .collect();
    ids.sort();
    ids
}

fn mac(roots: &Roots) -> Vec<String> {
    let class = roots.sys.join("class/net");
    let real = |name: &&String| class.join(name).join("device").exists();
    read::names(&class)
        .iter()
        .filter(real)
        .filter_map(|name| read::text(&class.join(name).join("address")))
        .collect()
}

impl Machine {
    /// What a host's or profile's rule may ask.
    pub fn facts(&self) -> FactMap {
        let text = |value: &str| FactValue::Text(value.to_owned());
        let optional = |value: &Option<String>| value.iter().map(|value| text(value)).collect();
        let memory = i64::try_from(self.memory_bytes).unwrap_or(i64::MAX);
        let all = |list: &[String]| list.iter().map(|value| text(value)).collect();
        FactMap::from([
            ("vendor".into(), optional(&self.vendor)),
            ("product".into(), optional(&self.product)),
            ("serial".into(), optional(&self.serial)),
            ("uuid".into(), optional(&self.uuid)),
            ("chassis".into(), optional(&self.chassis)),
            ("hypervisor".into(), optional(&self.hypervisor)),
            ("firmware".into(), vec![text(&self.firmware)]),
            ("virtual".into(), vec![FactValue::Flag(self.hypervisor.is_some())]),
            ("tpm2".into(), vec![FactValue::Flag(self.tpm2)]),
            ("battery".into(), vec![FactValue::Flag(self.battery)]),
            ("memory".into(), vec![FactValue::Number(memory)]),
            ("pci".into(), all(&self.pci)),
            ("mac".into(), all(&self.mac)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_laptop() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path();
        put(root, "sys/class/dmi/id/sys_vendor", b"LENOVO\n");
        put(root, "sys/class/dmi/id/chassis_type", b"10\n");
        put(root, "sys/class/power_supply/BAT0/type", b"Battery\n");
        put(root, "sys/bus/pci/devices/0000:00:02.0/vendor", b"0x8086\n");
        put(root, "sys/bus/pci/devices/0000:00:02.0/device", b"0x9a49\n");
        put(root, "proc/meminfo", b"MemTotal:       16000 kB\nMemFree: 1 kB\n");
        let secure = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
        put(root, secure, &[6, 0, 0, 0, 1]);
        let machine = probe(&Roots::under(root));
        assert_eq!(machine.chassis.as_deref(), Some("notebook"));
        assert!(machine.battery);
        assert_eq!(machine.pci, ["8086:9a49"]);
        assert_eq!(machine.memory_bytes, 16_384_000);
        assert_eq!(machine.secure_boot, Some(true));
        assert_eq!(machine.firmware, "uefi");
        assert_eq!(machine.hypervisor, None);
    }

    #[test]
    fn a_mouse_is_no_laptop_and_noise_is_nothing() {
        let top = tempfile::tempdir().unwrap();
        let root = top.path();
        put(root, "sys/class/power_supply/mouse/type", b"Battery\n");
        put(root, "sys/class/power_supply/mouse/scope", b"Device\n");
        put(root, "sys/class/dmi/id/chassis_type", b"9999999\n");
        put(root, "sys/class/dmi/id/sys_vendor", b"\0\0\x07");
        put(root, "proc/meminfo", b"MemTotal: lots\n");
        let machine = probe(&Roots::under(root));
        assert!(!machine.battery);
        assert_eq!(machine.chassis, None);
        assert_eq!(machine.vendor, None);
        assert_eq!(machine.memory_bytes, 0);
    }
}
