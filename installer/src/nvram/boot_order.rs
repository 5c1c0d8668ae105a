//! Our boot entry: one, first, and the stale ones gone.

use super::{LoadOption, Vars};
use crate::error::{Error, Result};
use crate::roots::Roots;

/// Vendor GUID of the firmware's own variables.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// What the firmware's menu shows.
const DESCRIPTION: &str = "Landfall";

/// The file that the firmware shall start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Partition number of the ESP.
    pub partition: u32,
    /// Its first sector.
    pub first_lba: u64,
    /// Its sectors.
    pub sectors: u64,
    /// Its PARTUUID as in the GPT.
    pub guid: [u8; 16],
}

/// Writes our entry, puts it first in the order, and removes entries of ours whose partition is
/// not among `present`. Gives the entry's number.
pub fn put_first(roots: &Roots, target: &Target, present: &[[u8; 16]]) -> Result<u16> {
    let vars = Vars::open(roots);
    let order = order(&vars);
    let ours = ours(&vars);
    let stale: Vec<u16> = ours
        .iter()
        .filter(|(_, option)| option.guid == target.guid || !present.contains(&option.guid))
        .map(|(number, _)| *number)
        .collect();
    let number = stale.first().copied().map_or_else(|| free(&vars), Ok)?;
    let option = LoadOption {
        description: DESCRIPTION.into(),
        partition: target.partition,
        first_lba: target.first_lba,
        sectors: target.sectors,
        guid: target.guid,
        file: "\\EFI\\BOOT\\BOOTX64.EFI".into(),
    };
    vars.write(&name(number), GLOBAL, &option.encode())?;
    let rest = order.iter().copied().filter(|other| *other != number && !stale.contains(other));
    let order: Vec<u8> = std::iter::once(number).chain(rest).flat_map(u16::to_le_bytes).collect();
    vars.write("BootOrder", GLOBAL, &order)?;
    // After the order no longer names them: a power cut must not leave a hole in it.
    for gone in stale.iter().filter(|other| **other != number) {
        vars.remove(&name(*gone), GLOBAL)?;
    }
    Ok(number)
}

fn order(vars: &Vars) -> Vec<u16> {
    let bytes = vars.read("BootOrder", GLOBAL).unwrap_or_default();
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn name(number: u16) -> String {
    format!("Boot{number:04X}")
}

/// The numbers of all `Boot####` variables.
fn numbers(vars: &Vars) -> Vec<u16> {
    let mut numbers: Vec<u16> = vars
        .names(GLOBAL)
        .iter()
        .filter_map(|name| name.strip_prefix("Boot"))
        .filter(|digits| digits.len() == 4)
        .filter_map(|digits| u16::from_str_radix(digits, 16).ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

fn ours(vars: &Vars) -> Vec<(u16, LoadOption)> {
    numbers(vars)
        .into_iter()
        .filter_map(|number| Some((number, LoadOption::decode(&vars.read(&name(number), GLOBAL)?)?)))
        .filter(|(_, option)| option.description == DESCRIPTION)
        .collect()
}

fn free(vars: &Vars) -> Result<u16> {
    let taken = numbers(vars);
    (0..=u16::MAX).find(|number| !taken.contains(number)).ok_or_else(|| {
        Error::Words(
            "writing a boot entry: the firmware has no free number; remove old entries in its setup".into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NEW: [u8; 16] = [7; 16];
    const OTHER: [u8; 16] = [9; 16];

    fn target() -> Target {
        Target { partition: 2, first_lba: 4096, sectors: 1000, guid: NEW }
    }

    fn entry(description: &str, guid: [u8; 16]) -> Vec<u8> {
        let option = LoadOption {
            description: description.into(),
            partition: 1,
            first_lba: 1,
            sectors: 2,
            guid,
            file: "\\x".into(),
        };
        option.encode()
    }

    fn firmware() -> (tempfile::TempDir, Roots, Vars) {
        let top = tempfile::tempdir().unwrap();
        let roots = Roots::under(top.path());
        fs::create_dir_all(top.path().join("sys/firmware/efi/efivars")).unwrap();
        let vars = Vars::open(&roots);
        (top, roots, vars)
    }

    #[test]
    fn first_in_order_and_stale_ones_gone() {
        let (_top, roots, vars) = firmware();
        vars.write("Boot0000", GLOBAL, &entry("Windows", [1; 16])).unwrap();
        vars.write("Boot0001", GLOBAL, &entry("Landfall", [2; 16])).unwrap();
        vars.write("Boot0003", GLOBAL, &entry("Landfall", [3; 16])).unwrap();
        vars.write("Boot0004", GLOBAL, &entry("Landfall", OTHER)).unwrap();
        vars.write("BootOrder", GLOBAL, &[0, 0, 1, 0, 3, 0, 4, 0]).unwrap();
        assert_eq!(put_first(&roots, &target(), &[NEW, OTHER]).unwrap(), 1);
        assert_eq!(order(&vars), [1, 0, 4]);
        assert_eq!(numbers(&vars), [0, 1, 4]);
        assert_eq!(put_first(&roots, &target(), &[NEW, OTHER]).unwrap(), 1);
        assert_eq!(order(&vars), [1, 0, 4]);
    }

    #[test]
    fn an_empty_or_broken_firmware() {
        let (_top, roots, vars) = firmware();
        assert!(!vars.present());
        vars.write("Boot0000", GLOBAL, &[1, 2, 3]).unwrap();
        vars.write("BootOrder", GLOBAL, &[5]).unwrap();
        assert_eq!(put_first(&roots, &target(), &[]).unwrap(), 1);
        assert_eq!(order(&vars), [1]);
    }
}
