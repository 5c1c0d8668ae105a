//! Swap on the machine's own disk: a partition beside the data partition, or a file on it. A
//! machine that hibernated is woken before anything is mounted.

use super::data::Found;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::probe::Partition;
use crate::{mounts, tree};
use landfall_disk::{PAGE_BYTES, SwapSeen, swap_header, swap_seen};
use landfall_hosts::paths::{cmdline, data, machine};
use landfall_hosts::swap::Swap;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// A swap partition, and its PARTUUID.
#[derive(Debug, Clone)]
pub struct SwapPartition {
    /// The kernel's device.
    pub partition: Partition,
    /// PARTUUID.
    pub guid: String,
}

/// Wakes a machine that hibernated: then this does not come back. Stands before the first mount,
/// for the sleeping kernel believes its filesystems untouched.
///
/// Not on an encrypted machine, which has no swap partition: what slept there would be somebody
/// else's, and would wake as the system that the TPM opens the disk for.
pub fn resume(context: &Context, found: &Found) {
    let (false, Some(SwapPartition { partition, .. })) =
        (context.cmdline.flag(cmdline::ENCRYPTED), &found.swap)
    else {
        return;
    };
    let hibernated = seen(&partition.path) == SwapSeen::Hibernated;
    if hibernated {
        context.consoles.say("Waking the machine from hibernation.");
    }
    // Also names the place to hibernate to (kernel, Documentation/power/swsusp.rst).
    let told = std::fs::write(context.roots.sys.join("power/resume"), &partition.device);
    if !hibernated {
        return;
    }
    let why = told.err().map_or(String::new(), |error| format!(": {error}"));
    context.consoles.say(format!("The machine did not wake{why}. What was open is lost; it starts anew."));
    // Whatever was mounted from here on would be overwritten by a session that still woke later.
    if let Err(error) = make(&partition.path, partition.size_bytes) {
        context.consoles.say(error.chain());
    }
}

/// What the first page of a partition or file says of swap.
pub fn seen(path: &Path) -> SwapSeen {
    let mut page = [0u8; PAGE_BYTES];
    match File::open(path).and_then(|file| file.read_exact_at(&mut page, 0)) {
        Ok(()) => swap_seen(&page),
        Err(_) => SwapSeen::Other,
    }
}

/// Writes the first page of swap space: all that makes it swap.
pub fn make(path: &Path, bytes: u64) -> Result<()> {
    let doing = || format!("making swap of {}", path.display());
    let page = swap_header(bytes, crate::install::random()?);
    let file = OpenOptions::new().write(true).open(path).map_err(Error::io(doing()))?;
    file.write_all_at(&page, 0).and_then(|()| file.sync_all()).map_err(Error::io(doing()))
}

/// Brings the swap file to what the host says and has systemd use what there is. No boot fails for
/// want of swap.
pub fn prepare(context: &Context, folder: &Path, found: &Found, wanted: Swap) {
    let file = folder.join(data::SWAP);
    let made = match wanted {
        Swap::File(bytes) => file_of(&file, bytes).map(|()| true),
        _ => tree::remove(&file).map(|()| false),
    };
    let place = Path::new(machine::DATA).join(data::SWAP);
    let wants_partition = matches!(wanted, Swap::Partition(_) | Swap::PartitionOfMemory);
    let units: Vec<PathBuf> = match (made, &found.swap) {
        (Err(error), _) => {
            context.consoles.say(format!("The machine has no swap file: {}", error.chain()));
            Vec::new()
        }
        (Ok(true), _) => vec![place],
        (Ok(false), Some(swap)) if wants_partition => {
            vec![Path::new("/dev/disk/by-partuuid").join(&swap.guid)]
        }
        (Ok(false), _) => Vec::new(),
    };
    for what in units {
        if let Err(error) = unit(&context.roots.run, &what) {
            context.consoles.say(error.chain());
        }
    }
}

/// A file that is there in that size stays: its blocks are where the kernel wants them.
fn file_of(path: &Path, bytes: u64) -> Result<()> {
    let bytes = bytes / PAGE_BYTES as u64 * PAGE_BYTES as u64;
    let there = std::fs::metadata(path).is_ok_and(|meta| meta.len() == bytes);
    if there && seen(path) == SwapSeen::Swap(bytes) {
        return Ok(());
    }
    tree::remove(path)?;
    let doing = || format!("making the swap file {}", path.display());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(Error::io(doing()))?;
    // Swap takes no file with holes (swapon(8)).
    let allocated = fallocate(&file, FallocateFlags::empty(), 0, bytes);
    if let Err(error) = allocated {
        tree::remove(path)?;
        return Err(Error::io(doing())(error));
    }
    make(path, bytes)
}

fn unit(run: &Path, what: &Path) -> Result<()> {
    let units = run.join("systemd/system");
    let wants = units.join("swap.target.wants");
    mounts::make_folder(&wants)?;
    let name = format!("{}.swap", escaped(&what.to_string_lossy()));
    let text = format!(
        "[Unit]\nDescription=Swap on the machine's own disk\nBefore=swap.target\n\n\
         [Swap]\nWhat={}\nTimeoutSec=60\n",
        what.display()
    );
    tree::write(&units.join(&name), text.as_bytes(), 0o644)?;
    let link = wants.join(&name);
    tree::remove(&link)?;
    symlink(format!("../{name}"), &link).map_err(Error::io(format!("linking {}", link.display())))
}

/// A path as a unit's name (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
fn escaped(path: &str) -> String {
    let mut out = String::new();
    for (at, byte) in path.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => out.push('-'),
            b'.' if at == 0 => out.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => out.push(char::from(byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_units_are_systemds() {
        assert_eq!(escaped("/run/landfall/data/landfall/swap"), "run-landfall-data-landfall-swap");
        assert_eq!(escaped("/dev/disk/by-partuuid/ab-1"), "dev-disk-by\\x2dpartuuid-ab\\x2d1");
        assert_eq!(escaped("/.x y"), "\\x2ex\\x20y");
    }

    #[test]
    fn a_swap_file_is_made_once_and_again_for_another_size() {
        use std::os::unix::fs::MetadataExt;
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("swap");
        file_of(&path, (1 << 20) + 5).unwrap();
        let first = std::fs::metadata(&path).unwrap();
        assert_eq!((first.len(), first.mode() & 0o777, first.blocks()), (1 << 20, 0o600, 2048));
        assert_eq!(seen(&path), SwapSeen::Swap(1 << 20));
        file_of(&path, 1 << 20).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), first.ino());
        std::fs::write(&path, vec![0; 1 << 20]).unwrap();
        file_of(&path, 1 << 20).unwrap();
        assert_eq!(seen(&path), SwapSeen::Swap(1 << 20));
        file_of(&path, 2 << 20).unwrap();
        assert_eq!(seen(&path), SwapSeen::Swap(2 << 20));
    }

    #[test]
    fn systemd_is_told_of_what_there_is() {
        let run = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            unit(run.path(), Path::new("/dev/disk/by-partuuid/a-b")).unwrap();
        }
        let name = "dev-disk-by\\x2dpartuuid-a\\x2db.swap";
        let units = run.path().join("systemd/system");
        let text = std::fs::read_to_string(units.join("swap.target.wants").join(name)).unwrap();
        assert!(text.contains("What=/dev/disk/by-partuuid/a-b\n"), "{text}");
    }
}
