//! Whether a drive may be written. Pure: everything was read before.

use landfall_probe::bytes::human;

use super::drives::Drive;
use super::wanted::SECTOR_BYTES;

/// Larger than this is no stick that a person would install from by intent (2 TB, as they are sold).
const LARGE_BYTES: u64 = 2_000_000_000_000;

/// Why a drive is not written just so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// In words, with the remedy.
    pub why: String,
    /// A person who types the drive's serial number means this very drive.
    pub serial_overrides: bool,
}

/// Everything that speaks against writing `need_bytes` to a drive.
pub fn objections(drive: &Drive, need_bytes: u64) -> Vec<Objection> {
    let disk = &drive.disk;
    let mut out = Vec::new();
    let mut never = |why: String| out.push(Objection { why, serial_overrides: false });
    let systems: Vec<&str> =
        drive.uses.iter().filter(|used| used.system).map(|used| used.what.as_str()).collect();
    if !systems.is_empty() {
        never(format!("this computer runs from it ({}); choose another drive", systems.join(", ")));
    } else if !drive.uses.is_empty() {
        let uses: Vec<&str> = drive.uses.iter().map(|used| used.what.as_str()).collect();
        never(format!("it is {}; unmount it first", uses.join(", ")));
    }
    if !disk.holders.is_empty() {
        let remedy = "take it out of its array, volume group or mapping first";
        never(format!("{} holds it; {remedy}", disk.holders.join(", ")));
    }
    if disk.read_only {
        never("it is read-only; move its write-protect switch".to_owned());
    }
    if disk.sector_bytes != SECTOR_BYTES {
        let words = "a medium starts from drives with sectors of 512 bytes alone; choose another drive";
        never(format!("its sectors have {} bytes, and {words}", disk.sector_bytes));
    }
    if disk.size_bytes < need_bytes {
        never(format!(
            "it holds {}, and the medium needs {}; choose a larger drive",
            human(disk.size_bytes),
            human(need_bytes)
        ));
    }
    let mut unless_typed = |why: String| out.push(Objection { why, serial_overrides: true });
    if !disk.removable {
        unless_typed("it is no removable drive".to_owned());
    }
    if disk.size_bytes > LARGE_BYTES {
        unless_typed(format!("it is larger than a stick ({})", human(disk.size_bytes)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::Use;
    use landfall_probe::Disk;

    fn stick() -> Drive {
        let disk = Disk {
            name: "sdb".into(),
            size_bytes: 32 << 30,
            sector_bytes: 512,
            removable: true,
            ..Disk::default()
        };
        Drive { disk, ..Drive::default() }
    }

    fn with(change: impl FnOnce(&mut Drive)) -> Vec<Objection> {
        let mut drive = stick();
        change(&mut drive);
        objections(&drive, 1 << 30)
    }

    #[test]
    fn a_stick_is_welcome() {
        assert_eq!(objections(&stick(), 1 << 30), []);
    }

    #[test]
    fn what_is_never_written_and_what_a_typed_serial_opens() {
        let used = |what: &str, system| Use { what: what.into(), system };
        let cases = [
            (with(|drive| drive.uses.extend([used("mounted at /", true)])), "runs from it", false),
            (with(|drive| drive.uses.extend([used("mounted at /media/x", false)])), "unmount", false),
            (with(|drive| drive.disk.holders.push("md0".into())), "md0", false),
            (with(|drive| drive.disk.read_only = true), "write-protect", false),
            (with(|drive| drive.disk.sector_bytes = 4096), "4096", false),
            (with(|drive| drive.disk.size_bytes = 1 << 20), "larger drive", false),
            (with(|drive| drive.disk.removable = false), "no removable", true),
            (with(|drive| drive.disk.size_bytes = LARGE_BYTES + 512), "larger than a stick", true),
        ];
        for (found, words, overrides) in cases {
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].why.contains(words), "{found:?}");
            assert_eq!(found[0].serial_overrides, overrides, "{words}");
        }
        assert!(with(|drive| drive.disk.size_bytes = LARGE_BYTES).is_empty());
    }
}
