//! Faults of hardware: each ends in a report in words, or in a good machine; never in a panic, and never in silence.

use landfall_qemu::quoted;
use landfall_qemu_tests::direct::Stick;
use landfall_qemu_tests::guest::{Drive, Guest};
use landfall_qemu_tests::power_cut::{Judge, Left};
use landfall_qemu_tests::rehearsal::{Machine, TARGET_SERIAL};
use landfall_qemu_tests::site::HOST;
use landfall_qemu_tests::{Result, image};
use serde_json::json;
use std::sync::OnceLock;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(90);
/// MiB of memory of a machine that has little: less than the layers take.
const LOW_MIB: u32 = 512;
/// Flushes of an install before its layers are copied, and a few more.
const FLUSHES: u32 = 10;
/// How any attempt ends.
const ENDS: [&str; 3] = ["LANDFALL INSTALL done", "LANDFALL REFUSED", "LANDFALL FAILED"];

fn stick() -> &'static Stick {
    static STICK: OnceLock<Stick> = OnceLock::new();
    STICK.get_or_init(|| Stick::shared().expect("making the fixture"))
}

fn machine(name: &str) -> Result<Machine> {
    Machine::new(&stick().fixture, name)
}

/// The usual two drives.
fn both(machine: &Machine) -> Vec<Drive> {
    vec![Drive::stick(&machine.stick), machine.target()]
}

/// A drive whose requests fail by the rules of QEMU's `blkdebug`.
fn failing(drive: Drive, index: usize, rules: &[String]) -> Drive {
    let node = Drive::node(index);
    let image = quoted(&drive.image);
    let file = format!("driver=file,node-name={node}-file,cache.no-flush=on,discard=unmap,filename={image}");
    let debug = format!("driver=blkdebug,node-name={node}-debug,image={node}-file,{}", rules.join(","));
    let raw = format!("driver=raw,node-name={node},file={node}-debug,discard=unmap");
    Drive { blockdevs: vec![file, debug, raw], ..drive }
}

/// Waits for a stop of this kind and its prompt; what was said until then.
fn stopped(guest: &mut Guest, wanted: &str) -> Result<String> {
    let line = guest.wait_for(&ENDS, LIMIT)?;
    assert!(line.contains(wanted), "{line}");
    guest.wait_for(&["LANDFALL PROMPT"], SHORT)?;
    let said = guest.console();
    assert!(said.contains("What to do: "), "no remedy beside the sentinel");
    assert!(!said.contains("defect of its own"), "a panic");
    Ok(said)
}

/// The reports on the machine's stick.
fn reports(machine: &Machine) -> Result<Vec<String>> {
    let files = image::esp_files(&machine.stick)?;
    let reports = files.into_iter().filter(|(name, _)| name.to_lowercase().starts_with("reports/"));
    Ok(reports.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).collect())
}

fn has_report(machine: &Machine, word: &str) -> Result<()> {
    let reports = reports(machine)?;
    assert!(reports.iter().any(|report| report.contains(word)), "no report on the stick with {word}");
    Ok(())
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_medium_with_read_errors_is_refused_before_the_first_write() -> Result<()> {
    let machine = machine("faults_read")?;
    let layers = image::data_names(&machine.stick, "landfall/layers")?;
    let layer = format!("landfall/layers/{}", layers.first().expect("a layer"));
    let sector = image::data_place(&machine.stick, &layer, 5 << 20)? / 512;
    let rules = [format!(
        "inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.errno=5,inject-error.0.sector={sector}"
    )];
    let before = image::fingerprint(&machine.disk)?;
    let drives = vec![failing(Drive::stick(&machine.stick), 0, &rules), machine.target()];
    let mut guest = Guest::start(&stick().config(&machine, "install", drives))?;
    let said = stopped(&mut guest, "REFUSED reason=layer-corrupt")?;
    assert!(said.contains("Input/output error"), "the kernel's own words");
    guest.pull_the_plug();
    assert_eq!(image::fingerprint(&machine.disk)?, before, "the target was written to");
    has_report(&machine, "layer-corrupt")
}

/// Numbers of errors (errno(3)).
const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// All writes fail with that error once so many flushes were asked for.
fn dies_after(flushes: u32, errno: u32) -> Vec<String> {
    let count = |at: u32| {
        let next = at + 1;
        format!(
            "set-state.{at}.event=flush_to_disk,set-state.{at}.state={next},set-state.{at}.new_state={}",
            next + 1
        )
    };
    let error = format!(
        "inject-error.0.event=flush_to_disk,inject-error.0.iotype=write,inject-error.0.errno={errno}"
    );
    (0..flushes).map(count).chain([format!("{error},inject-error.0.state={}", flushes + 1)]).collect()
}

/// The stick would install this disk again, whatever its host says about existing data.
fn half_done(machine: &Machine) -> Result<()> {
    let blank = machine.folder().join("blank.img");
    image::blank(&blank, landfall_qemu_tests::rehearsal::TARGET_BYTES)?;
    let judge = Judge::new(&stick().fixture.medium, HOST, &blank)?;
    assert_eq!(judge.content(&machine.disk)?, Left::Half);
    Ok(())
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_target_that_stops_taking_writes_is_a_failure_in_words() -> Result<()> {
    let machine = machine("faults_write")?;
    let disk = failing(machine.target(), 1, &dies_after(FLUSHES, EIO));
    let drives = vec![Drive::stick(&machine.stick), disk];
    let mut guest = Guest::start(&stick().config(&machine, "install", drives))?;
    let said = stopped(&mut guest, "FAILED step=")?;
    let why = ["Input/output error", "Read-only file system"];
    assert!(why.iter().any(|why| said.contains(why)), "{said}");
    guest.pull_the_plug();
    has_report(&machine, "\"failed\"")?;
    half_done(&machine)
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_target_that_is_full_is_a_failure_in_words() -> Result<()> {
    let machine = machine("faults_full")?;
    let mut config = stick().config(&machine, "install", vec![Drive::stick(&machine.stick)]);
    // Only a SCSI disk says that it is full; and QEMU is to tell its guest, where it would wait for room.
    let disk = format!("scsi-hd,drive={},serial={TARGET_SERIAL},werror=report", Drive::node(1));
    let nodes = failing(machine.target(), 1, &dies_after(FLUSHES, ENOSPC)).blockdevs;
    let words = nodes.iter().flat_map(|node| ["-blockdev", node]);
    let words = words.chain(["-device", "virtio-scsi-pci", "-device", &disk]);
    config.machine.extra.extend(words.map(str::to_owned));
    let mut guest = Guest::start(&config)?;
    let said = stopped(&mut guest, "FAILED step=")?;
    assert!(said.contains("The kernel said: critical space allocation error, dev sda"), "{said}");
    assert!(said.contains("less room than it says"), "{said}");
    guest.pull_the_plug();
    has_report(&machine, "\"failed\"")?;
    half_done(&machine)
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_stick_that_is_pulled_while_it_is_copied_is_a_failure_in_words() -> Result<()> {
    let machine = machine("faults_pulled")?;
    let mut config = stick().config(&machine, "install", both(&machine));
    // So little that the layers do not stay in memory after the check.
    config.machine.memory_mib = LOW_MIB;
    let mut guest = Guest::start(&config)?;
    guest.wait_for(&["Copying layers"], LIMIT)?;
    guest.monitor("device_del", json!({ "id": Drive::device_id(0) }))?;
    let said = stopped(&mut guest, "FAILED step=copying_layers")?;
    assert!(said.contains("The report could not be saved"), "{said}");
    guest.pull_the_plug();
    half_done(&machine)
}

/// Those that take longer.
mod long {
    use super::*;

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_stick_that_is_pulled_while_it_is_checked_is_a_refusal_in_words() -> Result<()> {
        let machine = machine("faults_pulled_early")?;
        let before = image::fingerprint(&machine.disk)?;
        let mut guest = Guest::start(&stick().config(&machine, "install", both(&machine)))?;
        guest.wait_for(&["Checking the medium"], LIMIT)?;
        guest.monitor("device_del", json!({ "id": Drive::device_id(0) }))?;
        stopped(&mut guest, "REFUSED reason=")?;
        guest.pull_the_plug();
        assert_eq!(image::fingerprint(&machine.disk)?, before, "the target was written to");
        Ok(())
    }

    /// Installs on a machine that differs from the usual one, and has the disk judged.
    fn installs(machine: &Machine, memory_mib: u32, clock: &str) -> Result<()> {
        let mut config = stick().config(machine, "install", both(machine));
        config.machine.memory_mib = memory_mib;
        config.machine.clock = Some(clock.into());
        let mut guest = Guest::start(&config)?;
        let line = guest.wait_for(&ENDS, LIMIT)?;
        assert!(line.contains("INSTALL done"), "{line}");
        guest.wait_for_power_off(SHORT)?;
        image::check(&machine.disk)?;
        has_report(machine, "\"outcome\": \"done\"")
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn half_a_gigabyte_of_memory_and_a_clock_in_1970_are_enough() -> Result<()> {
        installs(&machine("faults_1970")?, LOW_MIB, "1970-01-01T00:00:10")
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_clock_that_passes_the_end_of_32_bits_does_no_harm() -> Result<()> {
        // 2^31 seconds after 1970 are over at 03:14:08.
        installs(&machine("faults_2038")?, 2048, "2038-01-19T03:13:50")
    }
}
