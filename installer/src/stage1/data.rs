//! The data partition: find it by its PARTUUID, check it, mount it.

use super::swap::SwapPartition;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::mounts::{Kind, Mount};
use crate::probe::{Disk, Partition, disks};
use crate::{table, tools};
use landfall_disk::{Gpt, types};
use landfall_hosts::manifest::{FORMAT, Manifest};
use landfall_hosts::paths::{cmdline, data, machine, state};
use rustix::mount::MountFlags;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a disk may take to appear: USB enclosures that spin up need half a minute.
const WAIT: Duration = Duration::from_secs(60);
/// How long it is waited for without a word.
const PATIENCE: Duration = Duration::from_secs(5);
/// The state's format that this stage 1 knows.
pub const STATE_FORMAT: u64 = 1;

/// The data partition and the disk that it is on.
#[derive(Debug, Clone)]
pub struct Found {
    /// The whole disk.
    pub disk: Disk,
    /// The data partition.
    pub partition: Partition,
    /// PARTUUID of the data partition.
    pub data_guid: String,
    /// PARTUUID of the disk's ESP, if it has one.
    pub esp_guid: Option<String>,
    /// The disk's swap partition, if it has one.
    pub swap: Option<SwapPartition>,
}

/// Waits for the partition that the command line names.
pub fn find(context: &Context) -> Result<Found> {
    let wanted = context.cmdline.data().ok_or_else(|| {
        Error::Words(format!("the command line names no {}; choose another boot entry", cmdline::DATA))
    })?;
    let look = || look(context, &wanted);
    if let Some(found) = context.hotplug.wait_for(PATIENCE, look) {
        return Ok(found);
    }
    context.consoles.say(format!("Waiting for the disk with partition {wanted} …"));
    context.hotplug.wait_for(WAIT, look).ok_or_else(|| {
        Error::Words(format!(
            "finding the data partition {wanted}: no disk has it after {} seconds; seen were: {}. \
             Check that the machine's own disk is connected and shown by the firmware",
            WAIT.as_secs(),
            seen(context)
        ))
    })
}

/// The same without waiting.
pub fn now(context: &Context) -> Option<Found> {
    look(context, &context.cmdline.data()?)
}

fn look(context: &Context, wanted: &str) -> Option<Found> {
    disks::list(&context.roots).into_iter().find_map(|disk| on_disk(disk, wanted))
}

fn seen(context: &Context) -> String {
    let lines: Vec<String> = disks::list(&context.roots).iter().map(Disk::line).collect();
    if lines.is_empty() { "no disks at all".into() } else { lines.join("; ") }
}

fn on_disk(disk: Disk, wanted: &str) -> Option<Found> {
    let gpt: Gpt = table::gpt(&disk)?;
    let entry = gpt.entries.iter().find(|entry| entry.guid.to_string() == wanted)?;
    let esp = gpt.entries.iter().find(|entry| entry.type_guid == types::ESP);
    let partition = table::device(&disk, entry)?.clone();
    let swap = gpt.entries.iter().find(|entry| entry.type_guid == types::SWAP).and_then(|entry| {
        let partition = table::device(&disk, entry)?.clone();
        Some(SwapPartition { partition, guid: entry.guid.to_string() })
    });
    let esp_guid = esp.map(|esp| esp.guid.to_string());
    Some(Found { partition, data_guid: wanted.to_owned(), esp_guid, swap, disk })
}

/// Checks and mounts it at its place for the machine's whole run.
pub fn mount(context: &Context, device: &Path) -> Result<PathBuf> {
    check(context, device)?;
    let folder = context.roots.run.join(machine::DATA.trim_start_matches("/run/"));
    let kind = Kind { name: "ext4", flags: MountFlags::NOATIME, options: "" };
    Mount::new(device, &folder, kind)?.keep();
    Ok(folder)
}

/// Replays the journal of a data partition and repairs what can be repaired without asking.
pub fn check(context: &Context, device: &Path) -> Result<()> {
    let ended = tools::run("e2fsck", &["-p", &device.to_string_lossy()])?;
    // e2fsck(8): 0 clean, 1 corrected, 2 corrected and would restart if it were mounted.
    match ended.code {
        Some(0) => Ok(()),
        Some(1 | 2) => {
            context.consoles.say(format!("The file system was repaired: {}", tools::tail(&ended.output)));
            Ok(())
        }
        _ => Err(Error::Program {
            program: format!("e2fsck -p {}", device.display()),
            why: format!(
                "it cannot repair the file system by itself: {}. Start the medium and run e2fsck \
                 from its shell",
                tools::tail(&ended.output)
            ),
        }),
    }
}

/// The generation's manifest.
pub fn manifest(folder: &Path, number: u64) -> Result<Manifest> {
    let path = folder.join(data::GENERATIONS).join(format!("{number}.toml"));
    let text = std::fs::read_to_string(&path).map_err(Error::io(format!("reading {}", path.display())))?;
    let manifest: Manifest =
        toml::from_str(&text).map_err(|error| Error::parse(path.display().to_string(), error.message()))?;
    if manifest.format > FORMAT {
        return Err(Error::parse(
            path.display().to_string(),
            format!(
                "its format is {}, and this stage 1 reads {FORMAT} at most; choose a newer entry",
                manifest.format
            ),
        ));
    }
    Ok(manifest)
}

/// Says when the state is newer than this generation. It is mounted all the same, and never
/// migrated down.
pub fn note_format(context: &Context, folder: &Path) {
    let path = folder.join(data::STATE).join(state::FORMAT);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match text.trim().parse::<u64>() {
        Ok(format) if format > STATE_FORMAT => context.consoles.say(format!(
            "The machine's state has format {format}, which is newer than this generation knows \
             ({STATE_FORMAT}). It is used as it is."
        )),
        _ => {}
    }
}
