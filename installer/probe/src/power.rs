//! Power supplies, from `/sys/class/power_supply` (kernel, `Documentation/ABI/testing/
//! sysfs-class-power`).

use crate::read;
use crate::roots::Roots;
use serde::{Deserialize, Serialize};

/// What the kernel registers as a supply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supply {
    /// The kernel's name: `BAT0`, `AC`.
    pub name: String,
    /// `Battery`, `Mains`, `USB`, `UPS`, `Wireless`.
    pub kind: String,
    /// `System` or `Device`; many drivers leave it out.
    pub scope: Option<String>,
    /// It hangs on an input device or a radio.
    pub peripheral: bool,
}

impl Supply {
    /// A battery that feeds the machine, not a mouse or a pen.
    pub fn is_system_battery(&self) -> bool {
        self.kind == "Battery" && self.scope.as_deref() != Some("Device") && !self.peripheral
    }
}

/// All supplies by name; `None` where the kernel knows no such class.
pub fn list(roots: &Roots) -> Option<Vec<Supply>> {
    let folder = roots.sys.join("class/power_supply");
    if !folder.is_dir() {
        return None;
    }
    let one = |name: String| {
        let at = folder.join(&name);
        let real = std::fs::canonicalize(&at).unwrap_or_default();
        Some(Supply {
            kind: read::text(&at.join("type"))?,
            scope: read::text(&at.join("scope")),
            peripheral: is_peripheral(&name) || on_input_bus(&real.to_string_lossy()),
            name,
        })
    };
    Some(read::names(&folder).into_iter().filter_map(one).collect())
}

/// Names that the drivers of input devices give (kernel, `drivers/hid`, `drivers/input`,
/// `drivers/power/supply`): old ones set no scope. Radios' have their address in it.
fn is_peripheral(name: &str) -> bool {
    const PREFIXES: [&str; 13] = [
        "hid-",
        "hidpp_battery",
        "ps-controller-battery",
        "wacom_",
        "wiimote_battery",
        "steamdeck-controller",
        "gip",
        "xpadneo",
        "apple_mfi_fastcharge",
        "corsair-",
        "logitech",
        "steelseries_",
        "thunderstrike",
    ];
    const WORDS: [&str; 6] = ["controller", "mouse", "keyboard", "headset", "stylus", "gamepad"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || WORDS.iter().any(|word| name.to_ascii_lowercase().contains(word))
        || has_address(name)
}

/// Six pairs of hex digits with colons between them.
fn has_address(name: &str) -> bool {
    let address = |part: &[u8]| {
        let right = |(index, byte): (usize, &u8)| match index % 3 {
            2 => *byte == b':',
            _ => byte.is_ascii_hexdigit(),
        };
        part.iter().enumerate().all(right)
    };
    name.as_bytes().windows(17).any(address)
}

/// A HID device's folder is named `bus:vendor:product.instance` in hex (kernel,
/// `drivers/hid/hid-core.c`), and Bluetooth's stand below `/bluetooth/`.
fn on_input_bus(real: &str) -> bool {
    let hid = |part: &str| {
        let bytes = part.as_bytes();
        bytes.len() == 19 && [bytes.get(4), bytes.get(9)] == [Some(&b':'); 2] && bytes.get(14) == Some(&b'.')
    };
    real.contains("/bluetooth/") || real.split('/').any(hid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(name: &str, kind: &str, scope: Option<&str>) -> Supply {
        let peripheral = is_peripheral(name);
        Supply { name: name.into(), kind: kind.into(), scope: scope.map(str::to_owned), peripheral }
    }

    #[test]
    fn what_feeds_the_machine() {
        assert!(supply("BAT0", "Battery", None).is_system_battery());
        assert!(supply("axp288_fuel_gauge", "Battery", Some("System")).is_system_battery());
        assert!(!supply("AC", "Mains", None).is_system_battery());
        assert!(!supply("ups", "UPS", Some("System")).is_system_battery());
        assert!(!supply("hidpp_battery_0", "Battery", Some("Device")).is_system_battery());
        assert!(!supply("hid-0018:04F3:2A1C.0001-battery", "Battery", None).is_system_battery());
        for pad in ["nintendo_switch_controller_battery_1", "pad-a0:5a:5f:00:11:FF", "Wireless-Mouse"] {
            assert!(!supply(pad, "Battery", None).is_system_battery(), "{pad}");
        }
        assert!(supply("BAT-00:11:22", "Battery", None).is_system_battery());
    }

    #[test]
    fn folders_of_input_devices() {
        assert!(on_input_bus("/sys/devices/x/0018:04F3:2A1C.0001/power_supply/pen"));
        assert!(on_input_bus("/sys/devices/x/bluetooth/hci0/power_supply/pad"));
        assert!(!on_input_bus("/sys/devices/LNXSYSTM:00/PNP0C0A:00/power_supply/BAT0"));
        assert!(!on_input_bus(""));
    }
}
