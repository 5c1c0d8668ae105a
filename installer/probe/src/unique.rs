//! What tells one machine from all others.

use crate::machine::Machine;
use std::collections::BTreeSet;

/// What firmware says where nobody has written a serial number.
const FILLERS: &[&str] = &[
    "0",
    "123456789",
    "default string",
    "n/a",
    "na",
    "none",
    "not applicable",
    "not available",
    "not specified",
    "o.e.m.",
    "oem",
    "system serial number",
    "to be filled by o.e.m.",
    "unknown",
];
/// The UUID of a well-known firmware that was never given one.
const NO_UUID: &str = "03000200-0400-0500";

impl Machine {
    /// Keys of `match` and their values, each of which no other machine has; the best first.
    pub fn unique(&self) -> Vec<(&'static str, String)> {
        let serial = self.serial.as_ref().filter(|text| says_something(text));
        let uuid = self.uuid.as_ref().filter(|text| says_something(text));
        let wired = self.network.iter().filter(|nic| !nic.wireless).find_map(|nic| nic.mac.as_ref());
        let all = [("serial", serial), ("uuid", uuid), ("mac", wired)];
        all.into_iter().filter_map(|(key, value)| Some((key, value?.clone()))).collect()
    }
}

/// Firmware that nobody filled in says the same on every machine of its kind.
fn says_something(text: &str) -> bool {
    let word = text.trim().to_ascii_lowercase();
    let letters: BTreeSet<char> = word.chars().filter(char::is_ascii_alphanumeric).collect();
    letters.len() > 2 && !FILLERS.contains(&word.as_str()) && !word.starts_with(NO_UUID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Nic;

    #[test]
    fn fillers_name_no_machine() {
        let machine = |serial: &str, uuid: &str| Machine {
            serial: Some(serial.into()),
            uuid: Some(uuid.into()),
            ..Machine::default()
        };
        let kept = |serial: &str, uuid: &str| machine(serial, uuid).unique();
        assert_eq!(kept("PF3ABCDE", "ffffffff-ffff-ffff-ffff-ffffffffffff"), [("serial", "PF3ABCDE".into())]);
        assert_eq!(kept("To Be Filled By O.E.M.", "03000200-0400-0500-0006-000700080009"), []);
        let uuid = "4c4c4544-0042-1010-8051-b4c04f4d3132";
        assert_eq!(kept(" 0 ", uuid), [("uuid", uuid.to_owned())]);
    }

    #[test]
    fn a_radio_is_changed_too_easily_to_name_a_machine() {
        let nic = |wireless| Nic { mac: Some(format!("m-{wireless}")), wireless, ..Nic::default() };
        let machine = Machine { network: vec![nic(true), nic(false)], ..Machine::default() };
        assert_eq!(machine.unique(), [("mac", "m-false".to_owned())]);
        assert_eq!(Machine::default().unique(), []);
    }
}
