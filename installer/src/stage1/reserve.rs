//! The reserve: room that a full disk gives up so that the machine still boots, and that is set
//! aside again once there is room.

use crate::bytes::human;
use crate::context::Context;
use crate::error::{Error, Result};
use landfall_hosts::paths::data;
use rustix::fs::{FallocateFlags, fallocate, fsync, statvfs};
use std::fs::{File, OpenOptions};
use std::path::Path;

/// Size of the reserve.
pub const BYTES: u64 = 256 << 20;
/// Below this a boot gets the reserve: a new upper, `/etc`'s files and a journal need room.
const LOW_BYTES: u64 = 128 << 20;
/// Above this the reserve is made again.
const PLENTY_BYTES: u64 = 2 << 30;

/// What to do, from what is free and what is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    GiveUp,
    SetAside,
}

fn decide(free: u64, held: u64) -> Step {
    match (free, held) {
        (free, held) if free < LOW_BYTES && held > 0 => Step::GiveUp,
        (free, held) if free > PLENTY_BYTES && held < BYTES => Step::SetAside,
        _ => Step::Nothing,
    }
}

/// Gives the reserve up on a full disk, or sets it aside again. Neither may stop a boot.
pub fn balance(context: &Context, folder: &Path) {
    if let Err(error) = balanced(context, folder) {
        context.consoles.say(error.chain());
    }
}

fn balanced(context: &Context, folder: &Path) -> Result<()> {
    let stat = statvfs(folder).map_err(Error::io(format!("asking how full {} is", folder.display())))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let path = folder.join(data::RESERVE);
    let held = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    match decide(free, held) {
        Step::Nothing => Ok(()),
        Step::SetAside => set_aside(folder),
        Step::GiveUp => {
            let doing = || format!("giving up the reserve {}", path.display());
            let file = OpenOptions::new().write(true).open(&path).map_err(Error::io(doing()))?;
            file.set_len(0).map_err(Error::io(doing()))?;
            fsync(&file).map_err(Error::io(doing()))?;
            context.consoles.say(format!(
                "The disk is full: {} were left. The reserve of {} was given up for this boot; make room.",
                human(free),
                human(held)
            ));
            Ok(())
        }
    }
}

/// Sets room aside.
pub fn set_aside(folder: &Path) -> Result<()> {
    let path = folder.join(data::RESERVE);
    let doing = || format!("setting room aside in {}", path.display());
    let file = File::create(&path).map_err(Error::io(doing()))?;
    fallocate(&file, FallocateFlags::empty(), 0, BYTES).map_err(Error::io(doing()))?;
    file.sync_all().map_err(Error::io(doing()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_up_when_low_and_taken_back_when_plenty() {
        assert_eq!(decide(0, BYTES), Step::GiveUp);
        assert_eq!(decide(0, 0), Step::Nothing);
        assert_eq!(decide(LOW_BYTES, BYTES), Step::Nothing);
        assert_eq!(decide(PLENTY_BYTES, 0), Step::Nothing);
        assert_eq!(decide(PLENTY_BYTES + 1, 0), Step::SetAside);
        assert_eq!(decide(u64::MAX, BYTES), Step::Nothing);
    }
}
