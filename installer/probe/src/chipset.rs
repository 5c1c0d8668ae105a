//! Intel's chipsets for mobile machines, by the LPC bridge: the same silicon for desks has other ids.
//!
//! Boxes at desks use mobile chipsets too, so this tells only where nothing better does. AMD's
//! bridge has one id in all machines.

use crate::pci::PciDevice;

/// Ranges of ids, and the step between them: LPC and eSPI bridges of vendor 8086 in pci.ids
/// (2023.04.11). Arrow and Lunar Lake are newer; their bridges are known from machines (7702, a807),
/// and Intel gives each family 32 ids.
const MOBILE: &[(u16, u16, usize)] = &[
    // ICH2-M to ICH4-M.
    (0x244c, 0x244c, 1),
    (0x248c, 0x248c, 1),
    (0x24cc, 0x24cc, 1),
    // ICH6-M to ICH9-M.
    (0x2641, 0x2641, 1),
    (0x27b9, 0x27bd, 4),
    (0x2811, 0x2815, 4),
    (0x2917, 0x2919, 2),
    // Series 5 and 6: odd ids are mobile.
    (0x3b01, 0x3b0f, 2),
    (0x1c41, 0x1c4f, 2),
    // HM67 again.
    (0x1c59, 0x1c59, 1),
    // Series 7: QM77 to HM70.
    (0x1e55, 0x1e5e, 1),
    // Series 8: odd ids; the LP chips of series 8 and 9 stand beside U processors.
    (0x8c41, 0x8c4f, 2),
    // HM97 and QM97.
    (0x8cc3, 0x8cc5, 2),
    (0x9c40, 0x9c47, 1),
    (0x9cc0, 0x9ccf, 1),
    // Series 100 and 200: HM170, CM236, QM170, HM175 to CM238; LP.
    (0xa14d, 0xa14e, 1),
    (0xa150, 0xa150, 1),
    (0xa152, 0xa154, 1),
    (0x9d40, 0x9d5f, 1),
    // Series 300: QM370 to CM246; LP.
    (0xa30c, 0xa30e, 1),
    (0x9d80, 0x9d9f, 1),
    // Series 400: QM480 to WM490; LP of Comet and Ice Lake.
    (0x068c, 0x068e, 1),
    (0x0280, 0x029f, 1),
    (0x3480, 0x349f, 1),
    // Series 500: WM590 to HM570; LP of Tiger Lake.
    (0x4389, 0x438b, 1),
    (0xa080, 0xa09f, 1),
    // P and U of Alder and Raptor Lake.
    (0x5180, 0x519f, 1),
    // Meteor, Arrow (H and U) and Lunar Lake.
    (0x7e00, 0x7e1f, 1),
    (0x7700, 0x771f, 1),
    (0xa800, 0xa81f, 1),
];

/// The bridge to the slow devices of a mobile chipset.
pub fn mobile(devices: &[PciDevice]) -> Option<&PciDevice> {
    devices.iter().find(|device| {
        let id = u16::from_str_radix(&device.device, 16).unwrap_or_default();
        device.kind() == "0601" && device.vendor == "8086" && is_mobile(id)
    })
}

fn is_mobile(id: u16) -> bool {
    MOBILE.iter().any(|(first, last, step)| (*first..=*last).step_by(*step).any(|mobile| mobile == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobile_chipsets_and_those_for_desks() {
        // ICH9-M, QM57, HM65, HM77, QM87, HM97, U of Broadwell and Kaby Lake, CM238, HM370, WM490, Tiger Lake
        // LP, Raptor Lake P.
        let mobile = [
            0x2919, 0x3b07, 0x1c49, 0x1e57, 0x8c4f, 0x8cc3, 0x9cc3, 0x9d4e, 0xa154, 0xa30d, 0x068e, 0xa082,
            0x519d,
        ];
        // ICH7, P55, Z68, Z77, Z87, Z97, Z170, H270, Z390, Q470, Z590, Z690, Z790, C621.
        let desk = [
            0x27b8, 0x3b02, 0x1c44, 0x1e44, 0x8c44, 0x8cc4, 0xa145, 0xa2c4, 0xa305, 0x0687, 0x4385, 0x7a84,
            0x7a04, 0xa1c1,
        ];
        assert!(mobile.into_iter().all(is_mobile) && !desk.into_iter().any(is_mobile));
    }

    #[test]
    fn only_the_bridge_of_intel_counts() {
        let device = |vendor: &str, device: &str, class: &str| PciDevice {
            vendor: vendor.into(),
            device: device.into(),
            class: class.into(),
            ..PciDevice::default()
        };
        assert!(mobile(&[device("8086", "9d4e", "060100")]).is_some());
        assert!(mobile(&[device("8086", "9d4e", "0c0500")]).is_none());
        assert!(mobile(&[device("1022", "9d4e", "060100"), device("8086", "zz", "060100")]).is_none());
    }
}
