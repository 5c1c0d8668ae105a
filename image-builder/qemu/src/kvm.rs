//! Whether KVM runs guests here. A `/dev/kvm` that opens proves nothing: nested and filtered ones create a machine
//! and even run a boot sector, and then no kernel boots. So OVMF must come up in it first.

use crate::firmware::secure;
use crate::programs::find;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What OVMF says when it has gone through real, protected, long and system management mode on all processors.
const FIRMWARE_IS_UP: &str = "BdsDxe";
/// KVM brings the firmware up in 2 to 4 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// QEMU's `-accel` and `-cpu`.
///
/// Under TCG both processors take turns in one thread: with a thread each, one may still run an `int3` that the
/// other has just patched away, and about one kernel in fifty dies as it starts ("Oops: int3"). Kernels boot as
/// fast. Nehalem: newer models made programs die in AVX2 code.
pub(crate) fn acceleration() -> [&'static str; 2] {
    static WORKS: OnceLock<bool> = OnceLock::new();
    if *WORKS.get_or_init(kvm_works) { ["kvm", "host"] } else { ["tcg,thread=single", "Nehalem"] }
}

fn kvm_works() -> bool {
    Path::new("/dev/kvm").exists() && firmware_comes_up().unwrap_or(false)
}

/// A guest that is gone when this is.
struct Trial(Child);

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn firmware_comes_up() -> Option<bool> {
    let folder = tempfile::tempdir().ok()?;
    let (code, template) = secure().ok()?;
    let (variables, serial) = (folder.path().join("vars"), folder.path().join("serial"));
    std::fs::copy(template, &variables).ok()?;
    let mut command = Command::new(find("qemu-system-x86_64")?);
    command.args("-accel kvm -cpu host -smp 2 -machine q35,smm=on -m 512 -nodefaults".split(' '));
    command.args("-display none -no-reboot".split(' '));
    command.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
    command.args(["-drive", &format!("if=pflash,format=raw,unit=0,readonly=on,file={code}")]);
    command.args(["-drive", &format!("if=pflash,format=raw,unit=1,file={}", variables.display())]);
    command.args(["-serial", &format!("file:{}", serial.display())]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guest = Trial(command.spawn().ok()?);
    let start = Instant::now();
    while start.elapsed() < PATIENCE && matches!(guest.0.try_wait(), Ok(None)) {
        let said = std::fs::read(&serial).unwrap_or_default();
        if String::from_utf8_lossy(&said).contains(FIRMWARE_IS_UP) {
            return Some(true);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(false)
}
