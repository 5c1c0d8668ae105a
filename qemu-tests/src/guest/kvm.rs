//! Whether KVM runs guests here. A `/dev/kvm` that opens proves nothing: nested and filtered ones create
//! a machine and then fail to run it, so a guest of ten bytes is booted first.

use crate::process::Daemon;
use crate::tools;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// `mov dx, 0xf4; mov al, 0x10; out dx, al; hlt; jmp $-1` at the start of a boot sector.
const PROGRAM: &[u8] = &[0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4, 0xeb, 0xfd];
/// isa-debug-exit ends QEMU with `value << 1 | 1`.
const EXPECTED: &str = "exit status: 33";

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
    Path::new("/dev/kvm").exists() && boot_sector_runs().unwrap_or(false)
}

fn boot_sector_runs() -> Option<bool> {
    let folder = tempfile::tempdir().ok()?;
    let image = folder.path().join("sector");
    let mut sector = PROGRAM.to_vec();
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    std::fs::write(&image, sector).ok()?;
    let qemu = tools::find("qemu-system-x86_64")?;
    let words = ["-accel", "kvm", "-cpu", "host", "-nodefaults", "-display", "none", "-no-reboot"];
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.extend(["-device".into(), "isa-debug-exit,iobase=0xf4,iosize=4".into()]);
    words.extend(["-drive".into(), format!("if=ide,format=raw,readonly=off,file={}", image.display())]);
    let mut guest = Daemon::start(&qemu, &words, &folder.path().join("log")).ok()?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if let Some(ended) = guest.ended() {
            return Some(ended.to_string().contains(EXPECTED));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}
