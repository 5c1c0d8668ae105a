//! `landfall flash` itself, writing real devices. Its story is told once; what was seen is judged by tests of
//! their own.

use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::flashing::{
    Desk, FAILING_MIB, FAILING_SERIAL, Flash, OTHER_MIB, SMALL_MIB, STICK_MIB,
};
use landfall_qemu_tests::guest::{Drive, Firmware, Guest, GuestConfig};
use landfall_qemu_tests::{Error, Result, image};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Story {
    not_removable: Flash,
    small: Flash,
    failing: Flash,
    failing_name: String,
    first: Flash,
    again: Flash,
    equal: std::result::Result<(), String>,
    checked: std::result::Result<(), String>,
    pulled: Flash,
    pulled_name: String,
    others_untouched: bool,
    stage1: std::result::Result<String, String>,
}

fn tell() -> Result<Story> {
    let mut desk = Desk::set_up(&Fixture::shared()?)?;
    let before = [image::fingerprint(&desk.other)?, image::fingerprint(&desk.small)?];
    let not_removable = desk.flash(OTHER_MIB, "")?;
    let small = desk.flash(SMALL_MIB, "--serial SMALL")?;
    let failing = desk.flash(FAILING_MIB, &format!("--serial {FAILING_SERIAL}"))?;
    let from = desk.begin(STICK_MIB, "")?;
    desk.wait_for_writing(from)?;
    desk.pull()?;
    let pulled = desk.end(from)?;
    let words = |error: Error| error.to_string();
    let name = |path: &Path| image::partition(path, 1).map(|part| part.name).unwrap_or_else(words);
    let pulled_name = name(&desk.stick);
    desk.plug_in()?;
    let first = desk.flash(STICK_MIB, "")?;
    desk.change_the_image()?;
    let again = desk.flash(STICK_MIB, "")?;
    let (equal, checked) = (desk.equal().map_err(words), image::check(&desk.stick).map_err(words));
    let Desk { folder, guest, stick, other, failing: bad, small: tiny, .. } = desk;
    guest.pull_the_plug();
    Ok(Story {
        others_untouched: [image::fingerprint(&other)?, image::fingerprint(&tiny)?] == before,
        pulled_name,
        failing_name: name(&bad),
        stage1: boot(&stick, folder.path()).map_err(words),
        not_removable,
        small,
        failing,
        first,
        again,
        equal,
        checked,
        pulled,
    })
}

/// The stick starts by firmware, Secure Boot on, up to its own `/init`.
fn boot(stick: &Path, folder: &Path) -> Result<String> {
    let firmware = Firmware::SecureBoot { variables: folder.join("vars.fd") };
    let mut config = GuestConfig::new("flash-boot", firmware);
    config.machine.drives = vec![Drive::stick(stick)];
    let mut guest = Guest::start(&config)?;
    let line = guest.wait_for(&["LANDFALL STAGE1"], LIMIT)?;
    guest.pull_the_plug();
    Ok(line)
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| tell().expect("telling the story of the stick"))
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_flashed_stick_is_its_image_and_starts() {
    let story = story();
    assert_eq!(story.first.status, "0", "{}", story.first.said);
    assert!(story.first.said.contains("The stick may be taken out."), "{}", story.first.said);
    for judged in [&story.equal, &story.checked] {
        judged.as_ref().unwrap_or_else(|why| panic!("{why}"));
    }
    let line = story.stage1.as_ref().unwrap_or_else(|why| panic!("{why}"));
    assert!(line.contains("mode=install"), "{line}");
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_changed_block_is_all_that_is_written_again() {
    let again = &story().again;
    assert_eq!(again.status, "0", "{}", again.said);
    assert!(again.said.contains("Wrote 0.0 MB"), "{}", again.said);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_pulled_or_failing_stick_is_a_clear_error_and_starts_nothing() {
    let story = story();
    for (flash, words, name) in [
        (&story.pulled, "it was pulled out", &story.pulled_name),
        (&story.failing, "is failing: try another port", &story.failing_name),
    ] {
        assert_eq!(flash.status, "1", "{}", flash.said);
        assert!(flash.said.contains(words) && flash.said.contains("half written"), "{}", flash.said);
        assert_eq!(name, "landfall-flashing");
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_disk_that_is_not_meant_is_refused_and_untouched() {
    let story = story();
    for (flash, words) in [(&story.not_removable, "--serial"), (&story.small, "choose a larger drive")] {
        assert_eq!(flash.status, "3", "{}", flash.said);
        assert!(flash.said.contains(words), "{}", flash.said);
    }
    assert!(story.others_untouched);
}
