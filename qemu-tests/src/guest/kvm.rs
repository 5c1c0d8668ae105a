//! Whether KVM runs guests here. A `/dev/kvm` that opens proves nothing: nested and filtered ones create a machine
//! and even run a boot sector, and then no kernel boots. So the firmware that tests use must come up in it first.

use super::config::firmware;
use crate::process::Daemon;
use crate::tools;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What OVMF says when it has gone through real, protected, long and system management mode on all processors.
const FIRMWARE_IS_UP: &str = "BdsDxe";
/// KVM brings the firmware up in 2 to 4 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// QEMU's acceleration and processor. Nehalem: under TCG, newer models made programs die in AVX2 code.
pub fn acceleration() -> &'static [&'static str] {
    static WORKS: OnceLock<bool> = OnceLock::new();
    if *WORKS.get_or_init(kvm_works) {
        &["-accel", "kvm", "-cpu", "host"]
    } else {
        &["-accel", "tcg,thread=multi", "-cpu", "Nehalem"]
    }
}

fn kvm_works() -> bool {
    Path::new("/dev/kvm").exists() && firmware_comes_up().unwrap_or(false)
}

fn firmware_comes_up() -> Option<bool> {
    let folder = tempfile::tempdir().ok()?;
    let (code, template) = firmware().ok()?;
    let (variables, serial) = (folder.path().join("vars"), folder.path().join("serial"));
    std::fs::copy(template, &variables).ok()?;
    let words = [
        "-accel kvm -cpu host -smp 2 -machine q35,smm=on -m 512 -nodefaults -display none -no-reboot"
            .to_owned(),
        "-global driver=cfi.pflash01,property=secure,value=on".to_owned(),
        format!("-drive if=pflash,format=raw,unit=0,readonly=on,file={code}"),
        format!("-drive if=pflash,format=raw,unit=1,file={}", variables.display()),
        format!("-serial file:{}", serial.display()),
    ];
    let words: Vec<String> = words.iter().flat_map(|line| line.split(' ')).map(str::to_owned).collect();
    let qemu = tools::find("qemu-system-x86_64")?;
    let mut guest = Daemon::start(&qemu, &words, &folder.path().join("log")).ok()?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE && guest.ended().is_none() {
        if super::serial::read(&serial).contains(FIRMWARE_IS_UP) {
            return Some(true);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(false)
}
