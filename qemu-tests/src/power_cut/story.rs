//! One install over somebody's Windows, with the writes of both drives.

use super::judge::{Judge, Left};
use crate::direct::Stick;
use crate::error::{Doing, Error, Result};
use crate::guest::{Drive, Guest, GuestConfig};
use crate::image;
use crate::rehearsal::{Machine, TARGET_BYTES};
use crate::site::HOST;
use crate::write_log::{Cut, Replay, WriteLog, logged};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);
const FIRST_BOOT_LIMIT: Duration = Duration::from_secs(600);

/// Flash is written by pages, and ext4 counts on a block for its superblock, whose checksum is its last word.
const FLASH_PAGE_BYTES: u64 = 4096;

/// One install, and what it wrote.
pub struct Story {
    /// The medium that it was made from.
    pub medium: Stick,
    /// The target as it was before.
    pub old: PathBuf,
    /// The target's writes.
    pub target_log: WriteLog,
    /// The stick's writes.
    pub stick_log: WriteLog,
    machine: Machine,
}

impl Story {
    /// Installs; `name` names the logs.
    pub fn record(name: &str) -> Result<Self> {
        let medium = Stick::shared()?;
        let machine = Machine::new(&medium.fixture, name)?;
        let old = machine.folder().join("old.img");
        image::windows(&old, TARGET_BYTES)?;
        image::copy(&old, &machine.disk)?;
        let [stick_log, target_log] = ["stick.log", "target.log"].map(|name| machine.folder().join(name));
        let stick = logged(Drive::stick(&machine.stick), &stick_log, 0)?;
        machine.install_on(vec![stick, logged(machine.target(), &target_log, 1)?])?;
        let (mut stick_log, target_log) = (WriteLog::open(&stick_log)?, WriteLog::open(&target_log)?);
        stick_log.atom_bytes = FLASH_PAGE_BYTES;
        Ok(Self { medium, old, target_log, stick_log, machine })
    }

    /// A file that lives as long as the story.
    pub fn file(&self, name: &str) -> PathBuf {
        self.machine.folder().join(name)
    }

    /// Replays the target's log over `start` and shows `look` the disk at each of `cuts`, which stand in order.
    pub fn replay<'c, T>(
        &self,
        start: &Path,
        cuts: impl IntoIterator<Item = &'c Cut>,
        mut look: impl FnMut(&'c Cut, &Path) -> T,
    ) -> Result<Vec<T>> {
        let image = self.file("replayed.img");
        image::copy(start, &image)?;
        let mut replay = Replay::new(&self.target_log, &image)?;
        let seen = cuts.into_iter().map(|cut| replay.at(cut, || look(cut, &image))).collect::<Result<_>>()?;
        std::fs::remove_file(&image).doing("removing", &image)?;
        Ok(seen)
    }

    /// What each of `cuts` leaves of a target that was `start`; an error names every cut that leaves nothing good.
    pub fn judged(&self, start: &Path, cuts: Vec<Cut>) -> Result<Vec<(Left, Cut)>> {
        let judge = Judge::new(&self.medium.fixture.medium, HOST, start)?;
        let lefts = self.replay(start, &cuts, |cut, image| judge.target(&self.target_log, cut, image))?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (left, cut) in lefts.into_iter().zip(cuts) {
            match left {
                Ok(left) => good.push((left, cut)),
                Err(error) => bad.push(format!("{cut:?}: {error}")),
            }
        }
        match bad.is_empty() {
            true => Ok(good),
            false => Err(Error::Unexpected(format!("{} bad cuts:\n{}", bad.len(), bad.join("\n")))),
        }
    }

    /// A guest of the machine with the disk as a cut left it and no stick; nothing that it writes lasts.
    pub fn alone(&self, name: &str, image: &Path) -> GuestConfig {
        let mut config = self.machine.config(name);
        config.machine.drives = vec![self.cut_disk(image)];
        config
    }

    /// The same with the stick, whose kernel is started at once.
    pub fn beside_stick(&self, name: &str, image: &Path) -> GuestConfig {
        self.medium.config(&self.machine, name, self.both(image))
    }

    fn cut_disk(&self, image: &Path) -> Drive {
        Drive { image: image.to_path_buf(), scratch: true, ..self.machine.target() }
    }

    /// The stick is as it was: it is written to only once its target is finished.
    fn both(&self, image: &Path) -> Vec<Drive> {
        let stick = Drive { scratch: true, ..Drive::stick(&self.medium.fixture.medium) };
        vec![stick, self.cut_disk(image)]
    }

    /// The whole way from a cut to a machine that has started, in one guest: installed again where it is not finished.
    pub fn goes_on(&self, name: &str, image: &Path, left: Left) -> Result<()> {
        let mut config = self.alone(name, image);
        config.machine.drives = self.both(image);
        config.reboot_ends = false;
        let mut guest = Guest::start(&config)?;
        let finished = matches!(left, Left::Torn | Left::Whole);
        let wanted = if finished { "LANDFALL REFUSED reason=already-done" } else { "LANDFALL INSTALL done" };
        guest.wait_for(&[wanted], LIMIT)?;
        // Else the stick would be started again.
        guest.monitor("device_del", serde_json::json!({ "id": Drive::device_id(0) }))?;
        if finished {
            guest.monitor("system_reset", serde_json::json!({}))?;
        }
        guest.wait_for(&["LANDFALL FIRSTBOOT done"], FIRST_BOOT_LIMIT).map(drop)
    }
}
