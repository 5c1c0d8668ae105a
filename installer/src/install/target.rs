//! The target disk while it is written: table, partitions, file system.

use super::content;
use super::plan::Plan;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::mounts::{Kind, Mount};
use crate::probe::{Disk, Partition, disks};
use crate::{sys, table, tools};
use landfall_disk::{Guids, InstallId, Marker, Old, Phase, TableSeen, clear_boot, set_marker, write_new};
use landfall_hosts::paths::DATA_LABEL;
use landfall_measure::Digest;
use rustix::fs::OFlags;
use rustix::mount::MountFlags;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nodes of new partitions come with their uevents.
const WAIT: Duration = Duration::from_secs(20);

/// A target whose table was written.
#[derive(Debug)]
pub struct Target {
    /// The whole disk.
    pub disk: Disk,
    /// Its unique GUIDs.
    pub guids: Guids,
    /// Partition 2.
    pub esp: Partition,
    /// Partition 3.
    pub data: Partition,
    /// Identity of the encrypted volume on it, once there is one.
    pub volume: Option<Digest>,
}

/// The first write to the disk: the table, whose marker says that the disk is half done. From here
/// on a later run treats the disk as blank, whatever the host says about existing data.
pub fn partition(context: &Context, plan: &Plan, id: InstallId) -> Result<Target> {
    let random = super::random;
    let guids = Guids::random([random()?, random()?, random()?, random()?, random()?]);
    let marker = Marker { phase: Phase::Installing, id };
    let doing = || format!("partitioning {}", plan.disk.path.display());
    let mut file = exclusively(&plan.disk.path)?;
    still_planned(context, plan, &file)?;
    write_new(&mut file, &plan.layout, &guids, &marker.to_string(), Old::Unknown)
        .map_err(Error::disk(doing()))?;
    file.sync_all().map_err(Error::io(doing()))?;
    sys::reread_partitions(&file).map_err(Error::io(format!(
        "making the kernel read the new partitions of {}",
        plan.disk.path.display()
    )))?;
    drop(file);
    let name = &plan.disk.name;
    let sizes = [plan.layout.esp.len_bytes, plan.layout.data.len_bytes];
    let found = context.hotplug.wait_for(WAIT, || {
        let disk = disks::list(&context.roots).into_iter().find(|disk| disk.name == *name)?;
        let [esp, data] = [2, 3].map(|number| disk.partitions.iter().find(|p| p.number == number).cloned());
        let (esp, data) = (esp?, data?);
        let there = [esp.size_bytes, data.size_bytes] == sizes && esp.path.exists() && data.path.exists();
        there.then_some((disk, esp, data))
    });
    let (disk, esp, data) = found.ok_or_else(|| {
        Error::Words(format!("the kernel does not show the new partitions of {name}; restart and try again"))
    })?;
    Ok(Target { disk, guids, esp, data, volume: None })
}

/// Writes the table of a finished disk again where a power cut tore the very last write: its backup says that the
/// machine is finished, and neither the kernel nor every firmware reads that.
pub fn mend(disk: &Disk) -> Result<()> {
    let doing = || format!("mending the partition table of {}", disk.path.display());
    let TableSeen::Gpt(gpt) = table::read(disk)? else {
        return Ok(());
    };
    let marker = gpt.entries.first().and_then(|entry| Marker::parse(&entry.name));
    let Some(marker) = marker.filter(|marker| gpt.from_backup && marker.phase == Phase::Done) else {
        return Ok(());
    };
    let mut file = exclusively(&disk.path)?;
    set_marker(&mut file, disk.sector_bytes, &marker).map_err(Error::disk(doing()))?;
    file.sync_all().map_err(Error::io(doing()))?;
    // If not now, the kernel reads it at its next start.
    let _ = sys::reread_partitions(&file);
    Ok(())
}

/// The first write to a disk whose state is kept: the marker. Partitions stay as they are.
pub fn adopt(context: &Context, plan: &Plan, guids: Guids, id: InstallId) -> Result<Target> {
    let path = plan.disk.path.display();
    let marker = Marker { phase: Phase::Keeping, id };
    let mut file = exclusively(&plan.disk.path)?;
    still_planned(context, plan, &file)?;
    let doing = || format!("marking {path} as being kept");
    set_marker(&mut file, plan.disk.sector_bytes, &marker).map_err(Error::disk(doing()))?;
    file.sync_all().map_err(Error::io(doing()))?;
    let part = |number| {
        let found = plan.disk.partitions.iter().find(|partition| partition.number == number).cloned();
        found.ok_or_else(|| Error::Words(format!("the kernel shows no partition {number} of {path}")))
    };
    Ok(Target { disk: plan.disk.clone(), guids, esp: part(2)?, data: part(3)?, volume: None })
}

/// Between the plan and here lie a check of all layers and perhaps a passphrase: time enough to
/// plug disks in and out. Asked once the device is open, for from then on its name cannot pass to
/// another.
fn still_planned(context: &Context, plan: &Plan, file: &File) -> Result<()> {
    let planned = &plan.disk;
    let another = || {
        Error::Words(format!(
            "{} is not the disk that was planned any more: {}. Nothing was written; try again",
            planned.path.display(),
            planned.line()
        ))
    };
    let size = sys::size_bytes(file).map_err(Error::io(format!("measuring {}", planned.path.display())))?;
    let now = disks::list(&context.roots).into_iter().find(|disk| disk.name == planned.name);
    let now = now.filter(|now| now.is_same(planned) && size == planned.size_bytes).ok_or_else(another)?;
    // Hardware without a name of its own is known by its content.
    if now.has_identity() || content::look(&now) == plan.content { Ok(()) } else { Err(another()) }
}

/// `O_EXCL` on a device fails while anything has it mounted or in an array (open(2)).
fn exclusively(path: &Path) -> Result<File> {
    let flags = i32::try_from(OFlags::EXCL.bits()).unwrap_or(0);
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
        .map_err(Error::io(format!("opening {} for writing", path.display())))
}

impl Target {
    /// Makes the file system of the data partition, or of the volume on it, and mounts it.
    pub fn format(&self, context: &Context, on: &Path) -> Result<(Mount, PathBuf)> {
        let device = on.to_string_lossy();
        let uuid = landfall_disk::guid::random(super::random()?).to_string();
        // `lazy_*`: the kernel zeroes inode tables and journal in the background, once it runs.
        tools::must(
            "mke2fs",
            &[
                "-q",
                "-F",
                "-t",
                "ext4",
                "-b",
                "4096",
                "-m",
                "1",
                "-L",
                DATA_LABEL,
                "-U",
                &uuid,
                "-E",
                "lazy_itable_init=1,lazy_journal_init=1",
                &device,
            ],
        )?;
        let folder = context.roots.run.join("landfall/target");
        // Zeroing in the background would compete with the copy.
        let kind = Kind { name: "ext4", flags: MountFlags::NOATIME, options: "noinit_itable" };
        Ok((Mount::new(on, &folder, kind)?, folder))
    }

    /// Makes swap of partition 4, where the plan has one. systemd finds it by its PARTUUID.
    pub fn make_swap(&self) -> Result<()> {
        match self.disk.partitions.iter().find(|partition| partition.number == 4) {
            Some(swap) => crate::stage1::make_swap(&swap.path, swap.size_bytes),
            None => Ok(()),
        }
    }

    /// Opens the whole disk for writing, which no partition of it may be mounted for.
    pub fn open(&self) -> Result<File> {
        exclusively(&self.disk.path)
    }

    /// Makes BIOS pass this disk over, until GRUB is put on it again. Opened without `O_EXCL`, which
    /// this run's own mount of the data partition would refuse; no partition is in the first sector.
    pub fn hide_from_bios(&self) -> Result<()> {
        let doing = || format!("taking the boot code off {}", self.disk.path.display());
        let file = OpenOptions::new().read(true).write(true).open(&self.disk.path);
        clear_boot(&mut file.map_err(Error::io(doing()))?).map_err(Error::disk(doing()))
    }

    /// Opens the ESP's partition for the writer of FAT.
    pub fn open_esp(&self) -> Result<File> {
        exclusively(&self.esp.path)
    }

    /// The last write to the target: it is a finished machine.
    pub fn finish(&self, id: InstallId) -> Result<()> {
        let doing = || format!("marking {} as finished", self.disk.path.display());
        let mut file = self.open()?;
        sys::flush_buffers(&file).map_err(Error::io(doing()))?;
        let marker = Marker { phase: Phase::Done, id };
        set_marker(&mut file, self.disk.sector_bytes, &marker).map_err(Error::disk(doing()))?;
        file.sync_all().map_err(Error::io(doing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_disk::Layout;
    use std::os::unix::fs::FileExt;

    #[test]
    fn only_a_finished_disk_with_a_torn_table_is_mended() {
        let image = tempfile::NamedTempFile::new().unwrap();
        let size_bytes = 8 << 30;
        image.as_file().set_len(size_bytes).unwrap();
        let disk =
            Disk { path: image.path().to_path_buf(), size_bytes, sector_bytes: 512, ..Disk::default() };
        let layout = Layout::machine(size_bytes, 512).unwrap();
        let guids = Guids::derived(b"a test");
        for (phase, mended) in [(Phase::Installing, false), (Phase::Keeping, false), (Phase::Done, true)] {
            let name = Marker { phase, id: InstallId([7; 8]) }.to_string();
            write_new(&mut image.reopen().unwrap(), &layout, &guids, &name, Old::Unknown).unwrap();
            image.as_file().write_all_at(&[0; 512], 512).unwrap();
            mend(&disk).unwrap();
            let seen = table::gpt(&disk).unwrap();
            assert_eq!((!seen.from_backup, &seen.entries[0].name), (mended, &name));
        }
    }
}
