//! NVIDIA's GPUs: whether there is one, and which driver suits it.

use crate::pci::PciDevice;
use serde::{Deserialize, Serialize};

/// NVIDIA's PCI vendor id.
const VENDOR: &str = "10de";
/// TU102, the first chip with the GSP that the open kernel modules need (NVIDIA's
/// open-gpu-kernel-modules, "Compatible GPUs"): Turing and all later ones.
const FIRST_TURING: u16 = 0x1e00;
/// GM108, the first Maxwell: the oldest family that Debian 13's `nvidia-driver` (550) drives.
const FIRST_MAXWELL: u16 = 0x1340;

/// Which driver suits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// The kernel's own: chips that NVIDIA's current driver has dropped.
    Nouveau,
    /// NVIDIA's closed kernel module.
    Proprietary,
    /// NVIDIA's open kernel module.
    Open,
}

/// What is known of NVIDIA's GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nvidia {
    /// There is at least one.
    pub present: bool,
    /// What suits the newest.
    pub driver: Option<Driver>,
}

/// Looks for display devices of NVIDIA's: its network cards, bridges and sound are none.
pub fn find(devices: &[PciDevice]) -> (Nvidia, Vec<String>) {
    let gpus: Vec<&PciDevice> = devices.iter().filter(|d| d.vendor == VENDOR && d.is_display()).collect();
    let driver = gpus.iter().filter_map(|gpu| u16::from_str_radix(&gpu.device, 16).ok()).map(suits).max();
    let because = gpus.iter().map(|gpu| format!("{} is {} of class {}", gpu.slot, gpu.id(), gpu.class));
    let because: Vec<String> = because.collect();
    let none = || vec!["no display device of vendor 10de".to_owned()];
    (Nvidia { present: !gpus.is_empty(), driver }, if because.is_empty() { none() } else { because })
}

fn suits(device: u16) -> Driver {
    match device {
        // GA100 and later Turing have ids of their own above these.
        FIRST_TURING.. => Driver::Open,
        FIRST_MAXWELL.. => Driver::Proprietary,
        _ => Driver::Nouveau,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(device: &str, class: &str) -> PciDevice {
        PciDevice {
            vendor: VENDOR.into(),
            device: device.into(),
            class: class.into(),
            ..PciDevice::default()
        }
    }

    #[test]
    fn the_newest_chip_decides() {
        let found = |devices: &[PciDevice]| find(devices).0;
        assert_eq!(found(&[gpu("1eb8", "030200")]).driver, Some(Driver::Open));
        assert_eq!(found(&[gpu("1c03", "030000")]).driver, Some(Driver::Proprietary));
        assert_eq!(found(&[gpu("0ffd", "030000")]).driver, Some(Driver::Nouveau));
        assert_eq!(found(&[gpu("1180", "030000"), gpu("2204", "030000")]).driver, Some(Driver::Open));
    }

    #[test]
    fn what_is_no_gpu() {
        assert!(!find(&[gpu("0fbc", "040300"), gpu("1ad8", "0c8000")]).0.present);
        let mut other = gpu("008e", "030200");
        other.vendor = "1414".into();
        assert!(!find(&[other]).0.present);
        assert!(!find(&[]).0.present);
        let odd = find(&[gpu("zzzz", "030000")]).0;
        assert!(odd.present && odd.driver.is_none());
    }
}
