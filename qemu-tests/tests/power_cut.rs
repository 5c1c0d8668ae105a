//! A power cut at any point of an install: afterwards the old disk is untouched, or the stick installs again, or the
//! machine is finished. Every write of one install is logged, and hundreds of its prefixes are judged.

use landfall_qemu_tests::guest::{Guest, GuestConfig};
use landfall_qemu_tests::power_cut::{Left, Spent, Story, stick};
use landfall_qemu_tests::rehearsal::TARGET_BYTES;
use landfall_qemu_tests::write_log::{Cut, Replay};
use landfall_qemu_tests::{Result, image};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

const CUTS: usize = 200;
const STICK_CUTS: usize = 40;
const SEED: u64 = 4;
const LIMIT: Duration = Duration::from_secs(900);

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| Story::record("power_cut").expect("recording an install"))
}

/// The cuts over the old disk, judged once for all tests.
fn judged() -> &'static [(Left, Cut)] {
    static JUDGED: OnceLock<Vec<(Left, Cut)>> = OnceLock::new();
    JUDGED.get_or_init(|| {
        let story = story();
        story.judged(&story.old, story.target_log.cuts(CUTS, SEED)).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn every_kind(seen: &[(Left, Cut)]) {
    let count = |wanted| seen.iter().filter(|(left, _)| *left == wanted).count();
    let [old, half, torn, whole] = [Left::Old, Left::Half, Left::Torn, Left::Whole].map(count);
    eprintln!("{} cuts: {old} old, {half} half done, {torn} torn at the end, {whole} finished", seen.len());
    assert!(old > 0 && half >= CUTS && torn > 0 && whole > 0, "a kind was not seen");
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_cut_leaves_the_old_disk_or_one_that_is_installed_again_or_a_machine() {
    every_kind(judged());
}

/// What is written does not depend on what was there.
#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_cut_leaves_no_disk_that_refuse_refuses_where_it_was_blank() -> Result<()> {
    let story = story();
    let blank = story.file("blank.img");
    image::blank(&blank, TARGET_BYTES)?;
    every_kind(&story.judged(&blank, story.target_log.cuts(CUTS, SEED + 1))?);
    Ok(())
}

/// Boots the disk as `cut` leaves it, until `line` is said.
fn booted(cut: &Cut, guest: impl Fn(&Path) -> GuestConfig, line: &str) -> Result<()> {
    let story = story();
    let boot = |_: &Cut, image: &Path| Guest::start(&guest(image))?.wait_for(&[line], LIMIT);
    story.replay(&story.old, [cut], boot)?.into_iter().try_for_each(|line| line.map(drop))
}

fn first_whole() -> &'static Cut {
    let found = judged().iter().find(|(left, _)| *left == Left::Whole);
    &found.expect("a finished machine").1
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_half_copied_disk_is_installed_again() -> Result<()> {
    let half: Vec<&Cut> =
        judged().iter().filter(|(left, _)| *left == Left::Half).map(|(_, cut)| cut).collect();
    let guest = |image: &Path| story().beside_stick("half", image);
    booted(half[half.len() / 2], guest, "LANDFALL INSTALL done")
}

/// Its boot files are all there.
#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_disk_that_lacks_only_its_mark_does_not_start_by_itself() -> Result<()> {
    let half = judged().iter().rev().find(|(left, _)| *left == Left::Half);
    let guest = |image: &Path| story().alone("last", image);
    booted(&half.expect("a half done disk").1, guest, "was broken off before its end")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_stick_that_could_not_mark_itself_leaves_its_machine_alone() -> Result<()> {
    let guest = |image: &Path| story().beside_stick("done", image);
    booted(first_whole(), guest, "LANDFALL REFUSED reason=already-done")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_disk_starts_from_its_first_moment_as_a_machine() -> Result<()> {
    booted(first_whole(), |image| story().alone("whole", image), "Starting vm (generation 1)")
}

/// What starts by itself, for either boot loader, and what does not.
const STARTS: [(&str, &str); 2] =
    [("loader/loader.conf", "timeout menu-force"), ("grub/start.cfg", "set timeout=-1")];

/// Of the files that start a stick only the choice of a default changes, and reports come.
fn still_starts(before: &[(String, Vec<u8>)], image: &Path, cut: &Cut) -> Result<()> {
    let now = image::esp_files(image)?;
    for (name, bytes) in before {
        let found = now.iter().find(|(other, _)| other == name).map(|(_, bytes)| bytes);
        let menu = STARTS.iter().find(|(path, _)| path == name).map(|(_, text)| *text);
        let text = String::from_utf8_lossy(found.map_or(&[][..], |bytes| bytes)).into_owned();
        let waits = menu.is_some_and(|menu| text.starts_with(menu));
        assert!(found == Some(bytes) || waits, "{cut:?}: {name} is not what it was");
    }
    Ok(())
}

/// Cuts over the whole length of an install, each followed to a machine that has started.
mod long {
    use super::*;

    const BOOTED: usize = 40;
    /// Most of each kind; the most interesting disks are half done, and they fill up what the others leave.
    const FEW: [(Left, usize); 3] = [(Left::Old, 2), (Left::Torn, 3), (Left::Whole, 3)];

    /// So many, spread evenly.
    fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
        let count = count.min(all.len());
        (0..count).map(move |at| &all[at * all.len() / count])
    }

    fn chosen() -> Vec<(Left, Cut)> {
        let (half, rest): (Vec<_>, Vec<_>) =
            judged().iter().cloned().partition(|(left, _)| *left == Left::Half);
        let mut chosen = Vec::new();
        for (kind, most) in FEW {
            let of_kind: Vec<_> = rest.iter().filter(|(left, _)| *left == kind).collect();
            chosen.extend(spread(&of_kind, most).map(|found| (*found).clone()));
        }
        let missing = BOOTED - chosen.len();
        chosen.extend(spread(&half, missing).cloned());
        chosen.sort_by_key(|(_, cut)| cut.at);
        chosen
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn forty_cuts_end_in_a_machine_that_starts() -> Result<()> {
        let (story, chosen) = (story(), chosen());
        assert_eq!(chosen.len(), BOOTED);
        let mut kinds = chosen.iter().map(|(left, _)| *left).enumerate();
        let cuts = chosen.iter().map(|(_, cut)| cut);
        let ends = story.replay(&story.old, cuts, |cut, image| {
            let (index, left) = kinds.next().expect("a kind for each cut");
            eprintln!("cut {index} of {BOOTED}: {left:?}, {cut:?}");
            story.goes_on(&format!("{index}"), image, left).inspect_err(|error| eprintln!("{error}"))
        })?;
        ends.into_iter().collect()
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_cut_while_the_stick_is_spent_leaves_it_whole() -> Result<()> {
        let story = story();
        let [image, scratch] = ["spent.img", "spent.data"].map(|name| story.file(name));
        image::copy(&story.medium.fixture.medium, &image)?;
        let before = image::esp_files(&image)?;
        let mut replay = Replay::new(&story.stick_log, &image)?;
        let mut seen = Vec::new();
        for cut in story.stick_log.cuts(STICK_CUTS, SEED) {
            replay.at(&cut, || -> Result<()> {
                seen.push(stick(&image, &scratch)?);
                still_starts(&before, &image, &cut)
            })??;
        }
        assert_eq!((seen.first(), seen.last()), (Some(&Spent::Pending), Some(&Spent::Done)));
        for file in [image, scratch] {
            std::fs::remove_file(&file).expect("removing a scratch image");
        }
        Ok(())
    }
}
