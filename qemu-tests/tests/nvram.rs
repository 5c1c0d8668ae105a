//! A machine without Secure Boot whose firmware refuses boot entries: the install says so in its report and goes on,
//! and the disk starts all the same.

use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::guest::Guest;
use landfall_qemu_tests::rehearsal::{Installed, Machine, Shape, Starts};
use landfall_qemu_tests::{Error, Result, image, nvram};
use std::sync::OnceLock;
use std::time::Duration;

struct Story {
    installed: Result<Installed>,
    report: Result<String>,
    started: Result<String>,
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| tell().expect("making the fixture"))
}

fn tell() -> Result<Story> {
    let fixture = Fixture::shared()?;
    let machine = Machine::shaped(&fixture, "nvram", Shape { starts: Starts::Uefi, ..Shape::default() })?;
    // The machine's own copy is made with its command line.
    machine.config("variables").machine.arguments()?;
    nvram::lock_boot_order(&machine.folder().join("variables"))?;
    let installed = machine.install();
    let after = |look: fn(&Machine) -> Result<String>| match &installed {
        Ok(_) => look(&machine),
        Err(_) => Err(Error::unexpected("the install failed")),
    };
    let (report, started) = (after(report), after(start));
    Ok(Story { installed, report, started })
}

fn report(machine: &Machine) -> Result<String> {
    let files = image::esp_files(&machine.stick)?;
    let found = files.into_iter().find(|(name, _)| name.to_lowercase().starts_with("reports/"));
    let (_, bytes) = found.ok_or_else(|| Error::unexpected("the stick has no report"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn start(machine: &Machine) -> Result<String> {
    let mut config = machine.config("start");
    config.machine.drives = vec![machine.target()];
    let mut guest = Guest::start(&config)?;
    let line = guest.wait_for(&["LANDFALL STAGE1"], Duration::from_secs(300))?;
    guest.pull_the_plug();
    Ok(line)
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_firmware_that_refuses_boot_entries_does_not_fail_an_install() {
    let installed = story().installed.as_ref().unwrap();
    eprintln!("/init after {:.0} s, installed after {:.0} s", installed.stage1_seconds, installed.seconds);
    let warning = "Warning: writing the firmware variable BootOrder";
    assert!(installed.console.contains(warning), "{}", installed.console);
    let report = story().report.as_ref().unwrap();
    assert!(report.contains(warning) && report.contains("\"outcome\": \"done\""), "{report}");
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_machine_whose_firmware_refused_the_entry_starts_by_the_fallback_path() {
    let line = story().started.as_ref().unwrap();
    assert!(line.contains("mode=boot"), "{line}");
}
