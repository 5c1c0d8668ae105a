//! An installation by hand: a person at the serial line chooses, goes back, confirms, and reads the report. Booted by
//! UEFI, past the boot menu, for none of this depends on it.

use landfall_qemu_tests::fixture::{Fixture, GUARDED};
use landfall_qemu_tests::guest::{Drive, Firmware, Guest, GuestConfig};
use landfall_qemu_tests::site::HOST;
use landfall_qemu_tests::{Result, image, nvram};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);
const DOWN: &str = "\u{1b}[B";
const UP: &str = "\u{1b}[A";

/// The person, and what is before them.
struct Person {
    guest: Guest,
    disks: Vec<PathBuf>,
    before: Vec<String>,
}

impl Person {
    /// Waits for a question, and for every disk to be as it was: nothing is written while something is asked.
    fn is_asked(&mut self, step: &str) -> Result<()> {
        let wanted = format!("LANDFALL PROMPT step={step}");
        let line = self.guest.wait_for(&["LANDFALL PROMPT", "LANDFALL REFUSED"], LIMIT)?;
        assert!(line.ends_with(&wanted), "{line} came where {wanted} should");
        for (disk, before) in self.disks.iter().zip(&self.before) {
            assert_eq!(image::fingerprint(disk)?, *before, "{} was written to", disk.display());
        }
        Ok(())
    }

    /// Presses these keys, and then Enter.
    fn answers(&mut self, keys: &str) -> Result<()> {
        self.guest.type_line(keys)
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_person_chooses_goes_back_and_confirms() -> Result<()> {
    let fixture = Fixture::shared()?;
    let folder = tempfile::tempdir_in(&fixture.folder).expect("creating a folder");
    let place = |name: &str| folder.path().join(name);
    let (stick, target, other) = (place("stick.img"), place("target.img"), place("windows.img"));
    image::copy(&fixture.medium, &stick)?;
    image::blank(&target, 8192 << 20)?;
    image::windows(&other, 8192 << 20)?;
    let before = [&other, &target].map(|disk| image::fingerprint(disk));
    let before = before.into_iter().collect::<Result<Vec<_>>>()?;
    let config = config(&fixture, folder.path(), [&stick, &other, &target])?;
    let variables = place("variables");
    // The machine's own copy is made with its command line.
    config.machine.arguments()?;
    nvram::add_windows(&variables, &image::partition(&other, 1)?)?;
    let entry = nvram::boot_entries(&variables)?;
    let mut person =
        Person { guest: Guest::start(&config)?, disks: vec![other.clone(), target.clone()], before };

    person.is_asked("console")?;
    person.answers("")?;
    person.is_asked("host")?;
    assert!(GUARDED < HOST, "the list is sorted");
    person.answers(DOWN)?;
    person.is_asked("disk")?;
    assert!(person.guest.console().contains("Windows"), "the list says what a disk holds");
    // From the first line upwards is the last one: back.
    person.answers(UP)?;
    person.is_asked("host")?;
    person.answers(DOWN)?;
    person.is_asked("disk")?;
    person.answers(DOWN)?;
    person.is_asked("confirm")?;
    person.answers("no")?;
    person.is_asked("confirm")?;
    person.answers("back")?;
    person.is_asked("disk")?;
    person.answers(DOWN)?;
    person.is_asked("confirm")?;
    person.answers("TARGET")?;
    person.guest.wait_for(&["LANDFALL INSTALL done"], LIMIT)?;
    person.guest.wait_for_power_off(Duration::from_secs(60))?;

    assert_eq!(image::fingerprint(&other)?, person.before[0], "the disk beside the target was written to");
    let entries = nvram::boot_entries(&variables)?;
    assert_eq!(entries.first().map(nvram::Variable::description).as_deref(), Some("Landfall"));
    assert!(entries.contains(&entry[0]), "the boot entry of Windows is gone: {entries:?}");
    image::check(&target)?;
    let summary = person.guest.console();
    for words in ["This will be done:", "To be lost", "serial TARGET"] {
        assert!(summary.contains(words), "{words:?} was not shown");
    }
    tells_of_it(&fixture, &stick)
}

/// The stick's newest report, as a page.
fn tells_of_it(fixture: &Fixture, stick: &Path) -> Result<()> {
    let page = fixture.site.run(&["report", &stick.display().to_string()])?;
    let headline = format!("{HOST}: installed on /dev/vd");
    for words in [headline.as_str(), "serial TARGET", "Windows", "to copy", "verify", "Host: vm"] {
        assert!(page.contains(words), "{words:?} is not in {page}");
    }
    Ok(())
}

/// The attended entry, started by the firmware itself.
fn config(fixture: &Fixture, folder: &Path, drives: [&PathBuf; 3]) -> Result<GuestConfig> {
    let (kernel, initrd) = image::boot_files(&fixture.medium, HOST, folder)?;
    let options = image::unattended_options(&fixture.medium)?;
    let attended = options
        .split(' ')
        .filter(|word| !word.starts_with("landfall.unattended") && !word.starts_with("landfall.host"));
    let append = attended.collect::<Vec<_>>().join(" ");
    let firmware = Firmware::Uefi { variables: folder.join("variables") };
    let mut config = GuestConfig::new("interactive", firmware);
    let [stick, other, target] = drives;
    config.machine.drives =
        vec![Drive::stick(stick), Drive::disk(other, "OTHER"), Drive::disk(target, "TARGET")];
    let words = ["-kernel", &kernel.display().to_string(), "-initrd", &initrd.display().to_string()];
    config.machine.extra = words.map(str::to_owned).to_vec();
    config.machine.extra.extend(["-append".to_owned(), append]);
    Ok(config)
}
