//! Where a rehearsal takes place: a folder with medium, disk, firmware's variables and TPM, and the
//! processes that make a machine of them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use landfall_disk::{DiskState, survey};
use landfall_qemu::{Display, Drive, Firmware, Machine, Tpm, find, quoted};

use super::shape::{Shape, Starts};
use super::smbios;

/// QEMU's windows, which are a package of their own.
const WINDOW: &str = "/usr/lib/x86_64-linux-gnu/qemu/ui-gtk.so";

/// Where the machine's picture goes. The serial console is the terminal's in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Nowhere.
    None,
    /// A window.
    Window,
}

/// Why a rehearsal did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// Programs or firmware.
    #[error(transparent)]
    Qemu(#[from] landfall_qemu::Error),
    /// The disk cannot be read.
    #[error(transparent)]
    Disk(#[from] landfall_disk::DiskError),
    /// A file or a program.
    #[error("{doing} {}", path.display())]
    Io {
        /// Gerund.
        doing: &'static str,
        /// File or program.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No window.
    #[error(
        "opening a window: QEMU says {0:?}; run this in a terminal of your desktop (DISPLAY or WAYLAND_DISPLAY lead \
         to it), or leave --window out: the terminal shows the same menu and questions"
    )]
    NoWindow(String),
    /// QEMU did not run the machine.
    #[error("running the machine: QEMU ended with {0}; what it said stands above")]
    Ended(ExitStatus),
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RehearsalError {
    let path = path.to_owned();
    move |source| RehearsalError::Io { doing, path, source }
}

/// A machine to be.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Holds all of it.
    pub folder: &'a Path,
    /// What the machine is like.
    pub shape: &'a Shape,
    /// Where its picture goes.
    pub picture: Picture,
}

impl Stage<'_> {
    /// The medium's place.
    pub fn medium(&self) -> PathBuf {
        self.folder.join("medium.img")
    }

    /// The disk's place.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.img")
    }

    /// Says what this computer lacks, before anything is built.
    ///
    /// # Errors
    /// With the one command that brings all of it.
    pub fn check(&self) -> Result<(), RehearsalError> {
        let wanted = [
            ("qemu-system-x86_64", "qemu-system-x86", true),
            ("/usr/share/OVMF/OVMF_VARS_4M.ms.fd", "ovmf", self.shape.starts != Starts::Bios),
            ("swtpm", "swtpm", self.shape.tpm),
            (WINDOW, "qemu-system-gui", self.picture == Picture::Window),
        ];
        let missing = wanted.iter().filter(|(name, _, needed)| *needed && find(name).is_none());
        let (names, packages): (Vec<&str>, Vec<&str>) =
            missing.map(|(name, package, _)| (*name, *package)).unzip();
        match names.is_empty() {
            true if self.picture == Picture::Window => try_window(),
            true => Ok(()),
            false => Err(landfall_qemu::Error::missing(&names.join(", "), &packages.join(" ")).into()),
        }
    }

    /// Makes the blank disk.
    ///
    /// # Errors
    /// If one is there already, or it cannot be made.
    pub fn make_disk(&self) -> Result<(), RehearsalError> {
        let path = self.disk();
        let made = File::options().write(true).create_new(true).open(&path);
        made.and_then(|file| file.set_len(self.shape.disk_bytes)).map_err(io("making the disk", &path))
    }

    /// Runs the machine from the medium until it restarts or powers off; says whether the disk is a
    /// finished machine then.
    ///
    /// # Errors
    /// If QEMU does not run it, or the disk cannot be read.
    pub fn install(&self) -> Result<bool, RehearsalError> {
        self.run(vec![Drive::stick(&self.medium()), self.target()], &["-no-reboot"])?;
        let path = self.disk();
        let mut disk = File::open(&path).map_err(io("opening", &path))?;
        Ok(matches!(survey(&mut disk, 512)?.state, DiskState::Done(_)))
    }

    /// Runs the machine from its own disk until it is powered off.
    ///
    /// # Errors
    /// If QEMU does not run it.
    pub fn boot(&self) -> Result<(), RehearsalError> {
        self.run(vec![self.target()], &[])
    }

    fn target(&self) -> Drive {
        Drive::new(&self.disk(), self.shape.bus, &self.shape.disk_serial)
    }

    fn run(&self, drives: Vec<Drive>, extra: &[&str]) -> Result<(), RehearsalError> {
        let _tpm = self.start_tpm()?;
        let mut machine = self.machine()?;
        machine.drives = drives;
        machine.extra.extend(extra.iter().map(|word| (*word).to_owned()));
        let program = qemu()?;
        let status =
            Command::new(&program).args(machine.arguments()?).status().map_err(io("starting", &program))?;
        match status.success() {
            true => Ok(()),
            false => Err(RehearsalError::Ended(status)),
        }
    }

    fn machine(&self) -> Result<Machine, RehearsalError> {
        let variables = self.folder.join("firmware-variables.fd");
        let firmware = match self.shape.starts {
            Starts::SecureBoot => Firmware::SecureBoot { variables },
            Starts::Uefi => Firmware::Uefi { variables },
            Starts::Bios => Firmware::Bios,
        };
        let mut machine = Machine::new(firmware);
        machine.display = match self.picture {
            Picture::None => Display::None,
            Picture::Window => Display::Window,
        };
        machine.tpm = self.shape.tpm.then(|| self.tpm());
        if self.shape.laptop {
            let table = self.folder.join("notebook.smbios");
            std::fs::write(&table, smbios::notebook()).map_err(io("writing", &table))?;
            machine.smbios.push(format!("file={}", quoted(&table)));
        }
        let words: String = self
            .shape
            .words
            .iter()
            .map(|(name, value)| format!(",{name}={}", value.replace(',', ",,")))
            .collect();
        if !words.is_empty() {
            machine.smbios.push(format!("type=1{words}"));
        }
        // Closed: a rehearsal must not join the tailnet in its machine's place.
        let net = ["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net"];
        machine.extra.extend(net.iter().chain(&["-serial", "mon:stdio"]).map(|word| (*word).to_owned()));
        Ok(machine)
    }

    fn tpm(&self) -> Tpm {
        Tpm { state: self.folder.join("tpm"), socket: self.folder.join("tpm.socket") }
    }

    fn start_tpm(&self) -> Result<Option<Running>, RehearsalError> {
        if !self.shape.tpm {
            return Ok(None);
        }
        let tpm = self.tpm();
        std::fs::create_dir_all(&tpm.state).map_err(io("making", &tpm.state))?;
        let program = find("swtpm").ok_or_else(|| landfall_qemu::Error::missing("swtpm", "swtpm"))?;
        let child = Command::new(&program)
            .args(tpm.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(io("starting", &program))?;
        let running = Running(child);
        // QEMU does not wait for the socket.
        for _ in 0..100 {
            if tpm.socket.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(Some(running))
    }
}

fn qemu() -> Result<PathBuf, RehearsalError> {
    find("qemu-system-x86_64")
        .ok_or_else(|| landfall_qemu::Error::missing("qemu-system-x86_64", "qemu-system-x86").into())
}

/// Opens a window for a moment. Only QEMU's own try tells: a variable may name a desktop that is gone, or one that is
/// another user's.
fn try_window() -> Result<(), RehearsalError> {
    let program = qemu()?;
    let mut child = Command::new(&program)
        .args("-machine none -nodefaults -monitor stdio -display".split(' '))
        .arg(Display::Window.word())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io("starting", &program))?;
    if let Some(mut monitor) = child.stdin.take() {
        // Gone already, if there is no window; its status says that.
        let _ = monitor.write_all(b"quit\n");
    }
    let ended = child.wait_with_output().map_err(io("waiting for", &program))?;
    window(ended.status.success(), &String::from_utf8_lossy(&ended.stderr))
}

fn window(opened: bool, said: &str) -> Result<(), RehearsalError> {
    match opened {
        true => Ok(()),
        false => Err(RehearsalError::NoWindow(said.lines().last().unwrap_or_default().trim().to_owned())),
    }
}

/// A process that is gone when this is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_does_not_open_is_said_with_what_serves_instead() {
        // As the QEMU of Debian says it without a desktop.
        let said = "Gtk-WARNING **: cannot open display: :1\ngtk initialization failed\n";
        let error = window(false, said).unwrap_err().to_string();
        assert!(error.contains("\"gtk initialization failed\"") && error.contains("--window"), "{error}");
        // Libraries warn on desktops where all is well.
        assert!(window(true, said).is_ok());
    }
}
