//! Whether the disk is a finished machine: boot files stand on it before the rest is there.

use crate::error::{Error, Result};
use crate::probe::Disk;
use crate::table;
use landfall_disk::{Marker, Phase};

/// Refuses a disk whose installation was broken off. Where its state was being kept, the system that
/// the ESP names is whole, the old one or the new one ([`crate::install`]): whoever has lost the
/// medium still has their machine.
pub fn check(disk: &Disk) -> Result<()> {
    let name = table::gpt(disk).and_then(|gpt| gpt.entries.into_iter().next()).map(|entry| entry.name);
    match name.and_then(|name| Marker::parse(&name)).map(|marker| marker.phase) {
        None | Some(Phase::Done | Phase::Keeping) => Ok(()),
        Some(Phase::Installing) => Err(Error::Words(format!(
            "the installation of {} was broken off before its end. Start the installation medium again: it \
             begins anew",
            disk.line()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_disk::{Guids, InstallId, Layout, Old, write_new};

    #[test]
    fn no_disk_that_was_being_wiped_starts() {
        let image = tempfile::NamedTempFile::new().unwrap();
        let size_bytes = 8 << 30;
        image.as_file().set_len(size_bytes).unwrap();
        let disk =
            Disk { path: image.path().to_path_buf(), size_bytes, sector_bytes: 512, ..Disk::default() };
        check(&disk).unwrap();
        let layout = Layout::machine(size_bytes, 512).unwrap();
        let guids = Guids::derived(b"a test");
        for (phase, starts) in [(Phase::Installing, false), (Phase::Keeping, true), (Phase::Done, true)] {
            let name = Marker { phase, id: InstallId([7; 8]) }.to_string();
            write_new(&mut image.reopen().unwrap(), &layout, &guids, &name, Old::Zeroes).unwrap();
            assert_eq!(check(&disk).is_ok(), starts, "{name}");
        }
    }
}
