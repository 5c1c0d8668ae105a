//! (e): an install by phase, plain and encrypted, beside dd.
//!
//! The phases are those of the report on the stick. dd runs where the installer ran: the medium's own kernel and
//! initrd, the stick on the same bus, a blank disk like the target, on the same bus and with the same cache mode. It
//! copies as many bytes as the copy phase did, from a partition that was read before, as verifying has read the
//! layers, and flushes them once. To the encrypted disk the same dd is compared: dd to the disk without encryption.

use super::{Bench, say};
use crate::error::{Doing, Error, Result};
use crate::flashing::copied;
use crate::guest::{Drive, Firmware, Guest, GuestConfig};
use crate::image;
use crate::rehearsal::{Machine, TARGET_BYTES};
use crate::shell;
use crate::site::HOST;
use landfall_hosts::report::InstallReport;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);
const MIB: u64 = 1 << 20;

/// `time.sh COUNT`, typed in the guest: its shell's line editor loses characters of long lines.
const SCRIPT: &str = "\
busybox dd if=/dev/sda3 of=/dev/null bs=1M count=$1 2> /dev/null
read begun rest < /proc/uptime
busybox dd if=/dev/sda3 of=/dev/vda bs=1M count=$1 conv=fsync 2> /dev/null
status=$?
read ended rest < /proc/uptime
echo \"COPIED $begun $ended rc=$status.\"
";

/// Both installs.
pub(super) fn by_phase(bench: &Bench) -> Result<()> {
    let (plain, _, _) = bench.machine()?;
    beside_dd("plain", plain)?;
    let encrypted = Machine::new(bench.encrypted()?, "bench-encrypted")?;
    encrypted.install()?;
    beside_dd("encrypted", &encrypted)
}

fn beside_dd(what: &str, machine: &Machine) -> Result<()> {
    let report = report(&machine.stick)?;
    let copy = report.phases.iter().find(|phase| phase.name == "copy");
    let copy = copy.ok_or_else(|| Error::unexpected("the installer's report has no phase named copy"))?;
    let dd = dd(machine, copy.bytes)?;
    let all: f64 = report.phases.iter().map(|phase| phase.seconds).sum();
    let head = format!(
        "install, {what}: its copy phase against dd {:.2}, all of it against dd {:.2}",
        copy.seconds / dd,
        all / dd
    );
    let phases: Vec<String> =
        report.phases.iter().map(|phase| format!("{} {:.1}", phase.name, phase.seconds)).collect();
    let rate = |seconds: f64| copy.bytes as f64 / seconds / 1e6;
    let raw = format!(
        "copy {:.1} s ({:.0} MB/s), dd {dd:.1} s ({:.0} MB/s), {:.0} MB each; all {all:.1} s:\n      {} s",
        copy.seconds,
        rate(copy.seconds),
        rate(dd),
        copy.bytes as f64 / 1e6,
        phases.join(", ")
    );
    say('e', &head, &raw);
    Ok(())
}

/// The report that the installer left on the stick.
fn report(stick: &Path) -> Result<InstallReport> {
    let files = image::esp_files(stick)?;
    let found = files.into_iter().find(|(name, _)| name.starts_with("reports/") && name.ends_with(".json"));
    let (name, bytes) =
        found.ok_or_else(|| Error::unexpected("the installer left no report on the stick"))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Unexpected(format!("reading {name}: {error}")))
}

/// Seconds of dd.
fn dd(machine: &Machine, bytes: u64) -> Result<f64> {
    let folder = machine.folder();
    let (blank, script) = (folder.join("dd.img"), folder.join("time.sh"));
    image::blank(&blank, TARGET_BYTES)?;
    std::fs::write(&script, SCRIPT).doing("writing", &script)?;
    let (kernel, initrd) = image::boot_files(&machine.stick, HOST, folder)?;
    shell::add_files(&initrd, &["bench"], &[("bench/time.sh".into(), script)])?;
    let append = shell::options(&machine.stick)?;
    let mut config = GuestConfig::new("bench-dd", Firmware::Kernel { kernel, initrd, append });
    config.machine.drives = vec![Drive::stick(&machine.stick), Drive { image: blank, ..machine.target() }];
    let mut guest = Guest::start(&config)?;
    shell::open(&mut guest)?;
    guest.type_line(&format!(". /bench/time.sh {}", bytes.div_ceil(MIB)))?;
    let line = guest.wait_for(&["COPIED "], LIMIT)?;
    copied(&line)
}
