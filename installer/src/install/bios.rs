//! Starting by BIOS: whether this machine can start what would be installed, and GRUB on its disk.
//!
//! Every disk gets GRUB beside the EFI programs, whatever firmware it is installed from, so that a machine whose
//! firmware is switched later still starts.

use super::plan::Plan;
use super::refusal::Refusal;
use super::target::Target;
use crate::error::{Error, Result};
use crate::probe::{Disk, Machine};
use crate::sys;
use landfall_disk::{Bios, Layout, bios_can_start};
use landfall_hosts::manifest::{BlobRef, Manifest};
use std::path::Path;

/// Refuses a machine that could not start what would be installed. Asked last, for whoever mends
/// the rest first can use such a machine to do so.
pub fn firmware(machine: &Machine, manifest: &Manifest, disk: &Disk) -> std::result::Result<(), Refusal> {
    if machine.firmware == "uefi" {
        return match machine.uefi_bits {
            Some(32) => Err(Refusal::new(
                "firmware-32-bit",
                "this machine has a 32-bit UEFI, for which Debian has no signed boot programs",
                "switch the firmware to BIOS mode (often called CSM or legacy) if it has one, and start the \
                 medium again; else this machine cannot be installed",
            )),
            _ => Ok(()),
        };
    }
    if manifest.bios.is_none() {
        return Err(Refusal::new(
            "no-grub",
            "this machine was started in BIOS mode, and the medium has no GRUB for it",
            "build the medium again with this version of Landfall, or switch the firmware to UEFI",
        ));
    }
    if bios_can_start(disk.sector_bytes) {
        return Ok(());
    }
    Err(Refusal::new(
        "bios-sector-size",
        format!(
            "{} has sectors of {} bytes, and BIOS starts only disks with sectors of 512 bytes",
            disk.line(),
            disk.sector_bytes
        ),
        "switch the firmware to UEFI (often called CSM: off) and start the medium again, or install on a disk \
         with sectors of 512 bytes",
    ))
}

/// GRUB, ready for the target's disk.
#[derive(Debug)]
pub struct Grub {
    bios: Bios,
    layout: Layout,
}

impl Grub {
    /// Reads it from the medium's ESP, before the first write; none for a disk that no BIOS could start.
    pub fn take(manifest: &Manifest, medium_esp: &Path, plan: &Plan) -> Result<Option<Self>> {
        let Some(parts) = manifest.bios.as_ref().filter(|_| bios_can_start(plan.layout.sector_bytes)) else {
            return Ok(None);
        };
        let read = |blob: &BlobRef| {
            let path = medium_esp.join(blob.esp_path());
            std::fs::read(&path).map_err(Error::io(format!("reading {}", path.display())))
        };
        let bios =
            Bios::new(read(&parts.boot)?, read(&parts.core)?).map_err(Error::disk("preparing GRUB"))?;
        Ok(Some(Self { bios, layout: plan.layout }))
    }

    /// Puts it on the disk. It stands after everything that it starts: cut off before, a BIOS finds nothing here
    /// and goes on to the medium.
    pub fn put(&self, target: &Target) -> Result<()> {
        let doing = || format!("putting GRUB on {}", target.disk.path.display());
        let mut disk = target.open()?;
        self.bios.put_core(&mut disk, &self.layout).map_err(Error::disk(doing()))?;
        sys::flush_buffers(&disk).map_err(Error::io(doing()))?;
        if !self.bios.is_on(&mut disk, &self.layout).map_err(Error::disk(doing()))? {
            return Err(Error::Words(format!("{}: what was written does not read back", doing())));
        }
        self.bios.put_boot(&mut disk, &self.layout).map_err(Error::disk(doing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slug(firmware: &str, bits: Option<u32>, sector_bytes: u32, grub: bool) -> Option<&'static str> {
        let blob = BlobRef { name: String::new(), sha256: String::new(), size: 0 };
        let manifest = Manifest {
            bios: grub.then(|| landfall_hosts::manifest::BiosBoot { boot: blob.clone(), core: blob.clone() }),
            ..crate::install::plan::tests::manifest("", Default::default())
        };
        let machine = Machine { firmware: firmware.into(), uefi_bits: bits, ..Machine::default() };
        let disk = Disk { sector_bytes, ..Disk::default() };
        super::firmware(&machine, &manifest, &disk).err().map(|refusal| refusal.slug)
    }

    #[test]
    fn every_firmware_gets_its_answer() {
        assert_eq!(slug("uefi", Some(64), 512, true), None);
        assert_eq!(slug("uefi", Some(64), 4096, false), None);
        assert_eq!(slug("uefi", None, 4096, true), None);
        assert_eq!(slug("uefi", Some(32), 512, true), Some("firmware-32-bit"));
        assert_eq!(slug("bios", None, 512, true), None);
        assert_eq!(slug("bios", None, 512, false), Some("no-grub"));
        assert_eq!(slug("bios", None, 4096, true), Some("bios-sector-size"));
    }
}
