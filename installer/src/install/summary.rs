//! What a person reads before the point of no return, and the words that confirm it.

use super::encrypt;
use super::plan::Plan;
use super::swap;
use crate::bytes::human;
use crate::probe::{Disk, Machine};
use landfall_hosts::manifest::Manifest;
use std::fmt::Write;

/// What will happen, line by line.
pub fn text(manifest: &Manifest, plan: &Plan, machine: &Machine) -> String {
    let profiles = manifest.profiles.join(", ");
    let rows = [
        ("Host", manifest.host.clone()),
        ("Profile", if profiles.is_empty() { "none".into() } else { profiles }),
        ("Disk", plan.disk.line()),
        ("To be lost", lost(plan)),
        ("Encryption", encrypt::words(manifest.install.encrypt.as_ref())),
        ("Swap", swap::words(manifest, &plan.swap)),
        ("Firmware", firmware(machine)),
        ("To be copied", human(plan.layer_bytes)),
    ];
    let mut text = String::from("\nThis will be done:\n");
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<13} {value}");
    }
    text.push_str("Nothing has been written yet.");
    text
}

fn lost(plan: &Plan) -> String {
    match &plan.earlier {
        None => plan.content.words(),
        Some(earlier) => format!(
            "the system of {} (generation {} and older). /home, /var, the kept paths and the machine's \
             identity stay",
            earlier.state.seed.host, earlier.state.seed.generation
        ),
    }
}

fn firmware(machine: &Machine) -> String {
    let name = if machine.firmware == "uefi" { "UEFI" } else { "BIOS" };
    match machine.secure_boot {
        Some(true) => format!("{name}, Secure Boot on"),
        Some(false) => format!("{name}, Secure Boot off"),
        None => name.to_owned(),
    }
}

/// What may be typed to go on: the disk's own serial number, where it has one, or `yes`.
pub fn confirming_words(disk: &Disk) -> Vec<String> {
    let serial = disk.serial.iter().map(|serial| serial.trim().to_owned());
    serial.filter(|serial| !serial.is_empty()).chain(["yes".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_a_serial_is_confirmed_by_yes_alone() {
        assert_eq!(confirming_words(&Disk::default()), ["yes"]);
        let blank = Disk { serial: Some("  ".into()), ..Disk::default() };
        assert_eq!(confirming_words(&blank), ["yes"]);
        let named = Disk { serial: Some("S1 ".into()), ..Disk::default() };
        assert_eq!(confirming_words(&named), ["S1", "yes"]);
    }
}
