//! The variables of OVMF, in the file that is its flash: a firmware volume's header, a store's header, and
//! authenticated variables one behind another (EDK II, `MdeModulePkg/Include/Guid/VariableFormat.h`).

use crate::error::{Doing, Error, Result};
use crate::image::Partition;
use std::path::Path;

/// Where the first variable stands.
const FIRST: usize = 0x48 + 28;
/// Bytes of a variable's header, of which its name and its data follow.
const HEADER: usize = 60;
const START: [u8; 2] = [0xaa, 0x55];
/// A variable that is whole and was not replaced.
const LIVE: u8 = 0x3f;
/// Kept over a reset; seen by boot programs and the system.
const ATTRIBUTES: u32 = 7;
/// Kept over a reset; seen by boot programs alone.
const HIDDEN: u32 = 3;
/// 8be4df61-93ca-11d2-aa0d-00e098032b8c: the firmware's own variables.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its content.
    pub data: Vec<u8>,
}

/// The boot entry that Windows makes for a disk's ESP, and an order that starts it first.
pub fn add_windows(file: &Path, esp: &Partition) -> Result<()> {
    put(file, ATTRIBUTES, &[("Boot0077", windows(esp)?), ("BootOrder", vec![0x77, 0])])
}

/// An order of boot entries that refuses to be changed. A variable cannot be written with other attributes than it has
/// (UEFI 2.10, 8.2, `SetVariable`): not by the firmware itself, and not by Linux, to which it is read-only. The entry
/// that it names is not there.
pub fn lock_boot_order(file: &Path) -> Result<()> {
    put(file, HIDDEN, &[("BootOrder", vec![0, 0])])
}

fn put(file: &Path, attributes: u32, variables: &[(&str, Vec<u8>)]) -> Result<()> {
    let mut bytes = std::fs::read(file).doing("reading", file)?;
    for (name, data) in variables {
        add(&mut bytes, attributes, name, data)
            .ok_or_else(|| Error::Unexpected(format!("{} has no room for variables", file.display())))?;
    }
    std::fs::write(file, bytes).doing("writing", file)
}

/// The boot entries in the order in which the firmware tries them.
pub fn boot_entries(file: &Path) -> Result<Vec<Variable>> {
    let bytes = std::fs::read(file).doing("reading", file)?;
    let (all, _) = walk(&bytes);
    let named = |name: &str| all.iter().find(|variable| variable.name == name).cloned();
    let order = named("BootOrder").map(|order| order.data).unwrap_or_default();
    let numbers = order.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    Ok(numbers.filter_map(|number| named(&format!("Boot{number:04X}"))).collect())
}

impl Variable {
    /// What the firmware's menu shows, of a boot entry.
    pub fn description(&self) -> String {
        let units = self.data.get(6..).unwrap_or_default().chunks_exact(2);
        let units = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0);
        String::from_utf16_lossy(&units.collect::<Vec<_>>())
    }
}

/// The live variables, and where the next one would stand.
fn walk(bytes: &[u8]) -> (Vec<Variable>, usize) {
    let (mut found, mut at) = (Vec::new(), FIRST);
    let number = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map_or(0, |four| u32::from_le_bytes(four) as usize)
    };
    while bytes.get(at..at + 2) == Some(&START) {
        let (name, data) = (number(at + 36), number(at + 40));
        let begin = at + HEADER;
        let (Some(text), Some(content)) =
            (bytes.get(begin..begin + name), bytes.get(begin + name..begin + name + data))
        else {
            break;
        };
        if bytes.get(at + 2) == Some(&LIVE) {
            let units: Vec<u16> =
                text.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            let name = String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned();
            found.push(Variable { name, data: content.to_vec() });
        }
        at = (begin + name + data).next_multiple_of(4);
    }
    (found, at)
}

fn add(bytes: &mut [u8], attributes: u32, name: &str, data: &[u8]) -> Option<()> {
    let (_, at) = walk(bytes);
    let name = utf16(name);
    let mut variable = vec![START[0], START[1], LIVE, 0];
    variable.extend(attributes.to_le_bytes());
    variable.extend([0; 28]);
    variable.extend((name.len() as u32).to_le_bytes());
    variable.extend((data.len() as u32).to_le_bytes());
    variable.extend(GLOBAL);
    variable.extend(&name);
    variable.extend(data);
    let place = bytes.get_mut(at..at + variable.len())?;
    // Erased flash: anything else is another part of the file.
    place.iter().all(|byte| *byte == 0xff).then(|| place.copy_from_slice(&variable))
}

/// UEFI 2.10, 3.1.3 (load option) and 10.3.5 (hard drive and file of a device path).
fn windows(esp: &Partition) -> Result<Vec<u8>> {
    let mut drive = vec![4, 1, 42, 0];
    drive.extend(esp.number.to_le_bytes());
    drive.extend((esp.offset / 512).to_le_bytes());
    drive.extend((esp.length / 512).to_le_bytes());
    drive.extend(guid(&esp.guid)?);
    drive.extend([2, 2]);
    let file = utf16("\\EFI\\Microsoft\\Boot\\bootmgfw.efi");
    let mut path = drive;
    path.extend([4, 4]);
    path.extend((file.len() as u16 + 4).to_le_bytes());
    path.extend(file);
    path.extend([0x7f, 0xff, 4, 0]);
    let mut option = 1u32.to_le_bytes().to_vec();
    option.extend((path.len() as u16).to_le_bytes());
    option.extend(utf16("Windows Boot Manager"));
    option.extend(path);
    option.extend(b"WINDOWS\0");
    Ok(option)
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A GUID's bytes as they stand on disks: its first three numbers begin with their low bytes.
fn guid(text: &str) -> Result<[u8; 16]> {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let number = u128::from_str_radix(&hex, 16);
    let mut bytes = number.map_err(|_| Error::Unexpected(format!("{text} is no GUID")))?.to_be_bytes();
    bytes[0..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esp() -> Partition {
        Partition {
            number: 1,
            offset: 1 << 20,
            length: 64 << 20,
            name: String::new(),
            kind: String::new(),
            guid: "8be4df61-93ca-11d2-aa0d-00e098032b8c".into(),
        }
    }

    #[test]
    fn what_was_added_is_found_in_its_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut flash = vec![0xff; 4096];
        add(&mut flash, ATTRIBUTES, "Boot0001", &[1, 2, 3]).unwrap();
        std::fs::write(file.path(), &flash).unwrap();
        assert_eq!(boot_entries(file.path()).unwrap(), []);
        add_windows(file.path(), &esp()).unwrap();
        let entries = boot_entries(file.path()).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].description(), "Windows Boot Manager");
        assert_eq!(guid(&esp().guid).unwrap(), GLOBAL);
        // Replaced, as the firmware does it.
        let mut flash = std::fs::read(file.path()).unwrap();
        let (before, end) = walk(&flash);
        assert_eq!((before.len(), end % 4), (3, 0));
        flash[FIRST + 2] = LIVE & 0xfc;
        assert_eq!(walk(&flash).0.len(), 2);
        assert_eq!(add(&mut flash, ATTRIBUTES, "x", &[0; 4096]), None);
    }
}
