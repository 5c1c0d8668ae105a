//! `landfall flash` at work on real devices: a guest with emulated sticks, booted without firmware into the
//! installer's own shell.

use crate::error::{Doing, Error, Result};
use crate::fixture::Fixture;
use crate::guest::{Bus, Drive, Firmware, Guest, GuestConfig};
use crate::site::HOST;
use crate::{image, shell};
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(300);
/// The removable stick. The sizes tell the disks apart in the guest, whatever order the kernel found them in.
pub const STICK_MIB: u64 = 1000;
/// A disk that is not removable.
pub const OTHER_MIB: u64 = 1001;
/// A disk that fails while it is written.
pub const FAILING_MIB: u64 = 1002;
/// A disk that is too small.
pub const SMALL_MIB: u64 = 100;
/// Where the stick stands among the guest's drives.
const STICK: usize = 0;
/// Where the disk that is not removable stands.
const OTHER: usize = 2;
/// The serial number of the failing disk.
pub const FAILING_SERIAL: &str = "FAILING";
/// Protective MBR, header and entries.
const TABLE_BYTES: u64 = 34 * 512;

/// What is typed in the guest: the line editor of its shell loses characters of long lines.
const WORDS: &str = r#"
by_sectors() {
    for disk in /sys/block/sd*; do
        read sectors < $disk/size
        [ $sectors = $1 ] && echo /dev/${disk##*/}
    done
}
flash() {
    lib=/flash/lib
    $lib/ld-linux-x86-64.so.2 --library-path $lib /flash/landfall flash --image /dev/vda --yes --to $(by_sectors $1) $2 $3
    echo "FLASHED rc=$?."
}
appear() {
    while [ -z "$(by_sectors $1)" ]; do busybox sleep 1; done
    echo APPEARED
}
copy() {
    read begun rest < /proc/uptime
    busybox dd if=/dev/vda of=$(by_sectors $1) bs=1M conv=fsync 2> /dev/null
    status=$?
    read ended rest < /proc/uptime
    echo "COPIED $begun $ended rc=$status."
}
change() {
    echo changed | busybox dd of=/dev/vda bs=4096 seek=60000 conv=notrunc 2> /dev/null
    busybox sync
}
"#;

/// What one run of `landfall flash` ended with, and what it said.
#[derive(Debug)]
pub struct Flash {
    /// Exit status.
    pub status: String,
    /// All that the console showed.
    pub said: String,
}

/// A guest with four disks and an image to write, and the program that writes it.
pub struct Desk {
    /// The removable stick.
    pub stick: PathBuf,
    /// The disk that is not removable.
    pub other: PathBuf,
    /// The failing disk.
    pub failing: PathBuf,
    /// The small disk.
    pub small: PathBuf,
    /// The medium, `/dev/vda` in the guest.
    pub image: PathBuf,
    /// The guest.
    pub guest: Guest,
    /// Holds all of it.
    pub folder: TempDir,
}

impl Desk {
    /// A guest at the shell of the installer of the fixture's medium.
    pub fn set_up(fixture: &Fixture) -> Result<Self> {
        let folder = tempfile::tempdir_in(&fixture.folder).doing("creating a folder in", &fixture.folder)?;
        let at = |name: &str| folder.path().join(name);
        let [stick, other, failing, small, copy] =
            ["stick.img", "other.img", "failing.img", "small.img", "medium.img"].map(at);
        let sizes = [(&stick, STICK_MIB), (&other, OTHER_MIB), (&failing, FAILING_MIB), (&small, SMALL_MIB)];
        for (path, mib) in sizes {
            image::blank(path, mib << 20)?;
            let file = File::options().write(true).open(path).doing("opening", path)?;
            file.write_all_at(b"somebody's data", 70_000).doing("writing", path)?;
        }
        image::copy(&fixture.medium, &copy)?;
        let (kernel, initrd) = image::boot_files(&fixture.medium, HOST, folder.path())?;
        add_program(&initrd, &fixture.site.programs.join("landfall"))?;
        let firmware = Firmware::Kernel { kernel, initrd, append: shell::options(&fixture.medium)? };
        let mut config = GuestConfig::new("flash", firmware);
        config.machine.drives = vec![
            plain(STICK, Drive::stick(&stick)),
            Drive::disk(&copy, "IMAGE"),
            plain(OTHER, Drive::new(&other, Bus::UsbDisk, "OTHER")),
            failing_drive(&failing, 3, written_sector(&fixture.medium)?),
            Drive::new(&small, Bus::UsbDisk, "SMALL"),
        ];
        let mut guest = Guest::start(&config)?;
        shell::open(&mut guest)?;
        guest.type_line(". /flash/words; echo WORDS=$((1+1))")?;
        guest.wait_for(&["WORDS=2"], LIMIT)?;
        Ok(Self { stick, other, failing, small, image: copy, guest, folder })
    }

    /// Starts to flash the disk of that size; the result is for [`Self::end`].
    pub fn begin(&mut self, mib: u64, words: &str) -> Result<usize> {
        let from = self.guest.console().len();
        self.guest.type_line(&format!("flash {} {words}", mib << 11))?;
        Ok(from)
    }

    /// Waits until the flash that was begun has ended.
    pub fn end(&mut self, from: usize) -> Result<Flash> {
        let wanted: Vec<String> = (0..10).map(|status| format!("FLASHED rc={status}.")).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let line = self.guest.wait_for(&wanted, LIMIT)?;
        let status = line.rsplit('=').next().unwrap_or_default().trim_end_matches('.').to_owned();
        let said = self.guest.console().get(from..).unwrap_or_default().to_owned();
        eprintln!("--- status {status}\n{said}");
        Ok(Flash { status, said })
    }

    /// Flashes the disk of that size; `words` follow on the command line.
    pub fn flash(&mut self, mib: u64, words: &str) -> Result<Flash> {
        let from = self.begin(mib, words)?;
        self.end(from)
    }

    /// Seconds in which dd copies the image to the disk of that size and flushes it.
    pub fn dd(&mut self, mib: u64) -> Result<f64> {
        self.guest.type_line(&format!("copy {}", mib << 11))?;
        let line = self.guest.wait_for(&["COPIED "], LIMIT)?;
        copied(&line)
    }

    /// Pulls the stick out.
    pub fn pull(&mut self) -> Result<()> {
        self.guest.monitor("device_del", json!({ "id": Drive::device_id(STICK) })).map(drop)
    }

    /// Plugs the stick in again and waits until the guest has seen it.
    pub fn plug_in(&mut self) -> Result<()> {
        let (node, id) = (Drive::node(STICK), Drive::device_id(STICK));
        let arguments = json!({
            "driver": "usb-storage", "bus": "xhci.0", "removable": true, "serial": "AGAIN", "drive": node, "id": id
        });
        self.guest.monitor("device_add", arguments)?;
        self.guest.type_line(&format!("appear {}", STICK_MIB << 11))?;
        self.guest.wait_for(&["APPEARED"], LIMIT).map(drop)
    }

    /// Waits until the flash that was begun has written something.
    pub fn wait_for_writing(&mut self, from: usize) -> Result<()> {
        let start = Instant::now();
        // The bar's line does not end while it grows.
        while !self.guest.console().get(from..).is_some_and(|said| said.contains(" MiB/s ")) {
            if start.elapsed() > LIMIT {
                return Err(Error::unexpected("flash shows no rate"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What a change of a site is to an image: a few bytes, here in the guest's own drive.
    pub fn change_the_image(&mut self) -> Result<()> {
        self.guest.type_line("change; echo CHANGED=$((1+1))")?;
        self.guest.wait_for(&["CHANGED=2"], LIMIT).map(drop)
    }

    /// The stick is its image up to the end of the data partition, the table apart.
    ///
    /// # Errors
    /// If it is not.
    pub fn equal(&self) -> Result<()> {
        let data = image::partition(&self.image, 3)?;
        let (want, have) = (read(&self.image, &data)?, read(&self.stick, &data)?);
        match want == have {
            true => Ok(()),
            false => Err(Error::unexpected("the stick's bytes are not the image's")),
        }
    }
}

fn read(path: &Path, last: &image::Partition) -> Result<Vec<u8>> {
    let file = File::open(path).doing("opening", path)?;
    let mut bytes = vec![0u8; (last.offset + last.length - TABLE_BYTES) as usize];
    file.read_exact_at(&mut bytes, TABLE_BYTES).doing("reading", path)?;
    Ok(bytes)
}

/// A drive that flushes to this computer's disk as a real one does to its own. The stick's node outlives its device:
/// it is plugged in again.
fn plain(index: usize, drive: Drive) -> Drive {
    let file = json!({ "driver": "file", "filename": drive.image });
    let raw = json!({ "driver": "raw", "node-name": Drive::node(index), "file": file });
    Drive { blockdevs: vec![raw.to_string()], ..drive }
}

/// A disk that answers every write to one sector with an error (QEMU's blkdebug).
fn failing_drive(image: &Path, index: usize, sector: u64) -> Drive {
    let file = json!({ "driver": "file", "node-name": "bad-file", "filename": image });
    let error = json!({ "event": "none", "iotype": "write", "errno": 5, "sector": sector });
    let debug = json!({
        "driver": "blkdebug", "node-name": Drive::node(index), "image": "bad-file", "inject-error": [error]
    });
    let blockdevs = vec![file.to_string(), debug.to_string()];
    Drive { blockdevs, ..Drive::new(image, Bus::UsbDisk, FAILING_SERIAL) }
}

/// Seconds between the two times of a `COPIED` line.
pub(crate) fn copied(line: &str) -> Result<f64> {
    let mut times = line.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
    match (times.next(), times.next()) {
        (Some(begun), Some(ended)) if line.ends_with("rc=0.") => Ok(ended - begun),
        _ => Err(Error::Unexpected(format!("dd in the guest: {line}"))),
    }
}

/// A sector in the middle of an image that is not blank, and so is written.
fn written_sector(image: &Path) -> Result<u64> {
    let file = File::open(image).doing("opening", image)?;
    let data = image::partition(image, 3)?;
    let mut sector = [0u8; 512];
    let mut at = data.offset + data.length / 2 / 512 * 512;
    while sector.iter().all(|byte| *byte == 0) {
        at += 512;
        file.read_exact_at(&mut sector, at).doing("reading", image)?;
    }
    Ok(at / 512)
}

/// Adds the program and the libraries of this computer that it runs with to an initrd.
fn add_program(initrd: &Path, program: &Path) -> Result<()> {
    const LIBRARIES: [&str; 4] = [
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib/x86_64-linux-gnu/libgcc_s.so.1",
    ];
    let mut files = vec![("flash/landfall".to_owned(), program.to_owned())];
    for library in LIBRARIES {
        let name = library.rsplit('/').next().unwrap_or_default();
        files.push((format!("flash/lib/{name}"), library.into()));
    }
    let words = initrd.with_extension("words");
    std::fs::write(&words, WORDS).doing("writing", &words)?;
    files.push(("flash/words".to_owned(), words));
    shell::add_files(initrd, &["flash", "flash/lib"], &files)
}
