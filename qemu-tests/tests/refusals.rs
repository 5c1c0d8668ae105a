//! Every refusal that must work: each leaves the disks byte for byte as they were, says why on the console, and puts
//! a report on the stick. Booted without firmware, for none of this depends on it.

use landfall_qemu_tests::fixture::{Fixture, GUARDED};
use landfall_qemu_tests::guest::{Bus, Drive, Firmware, Guest, GuestConfig};
use landfall_qemu_tests::site::HOST;
use landfall_qemu_tests::{Result, image};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(300);

/// Kernel and initrd of the medium, for all tests of this file.
struct Bench {
    fixture: Fixture,
    kernel: PathBuf,
    initrd: PathBuf,
    options: String,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let fixture = Fixture::shared().expect("making the fixture");
        let folder = fixture.folder.join("boot");
        std::fs::create_dir_all(&folder).expect("creating a folder for the kernel");
        let (kernel, initrd) = image::boot_files(&fixture.medium, HOST, &folder).expect("taking the kernel");
        let options = image::unattended_options(&fixture.medium).expect("reading the boot entry");
        Bench { fixture, kernel, initrd, options }
    })
}

/// One guest to be, with its own copy of the stick.
struct Case {
    folder: TempDir,
    name: &'static str,
    stick: PathBuf,
    stick_bus: Bus,
    host: &'static str,
    unattended: bool,
    disks: Vec<PathBuf>,
    sector_bytes: u32,
}

impl Case {
    fn new(name: &'static str) -> Self {
        let bench = bench();
        let folder = tempfile::tempdir_in(&bench.fixture.folder).expect("creating a folder");
        let stick = folder.path().join("stick.img");
        image::copy(&bench.fixture.medium, &stick).expect("copying the stick");
        Self {
            folder,
            name,
            stick,
            stick_bus: Bus::UsbStick,
            host: HOST,
            unattended: false,
            disks: Vec::new(),
            sector_bytes: 512,
        }
    }

    fn disk(mut self, mib: u64) -> Self {
        let path = self.folder.path().join(format!("disk{}.img", self.disks.len()));
        image::blank(&path, mib << 20).expect("making a disk");
        self.disks.push(path);
        self
    }

    fn write(self, disk: usize, offset: u64, bytes: &[u8]) -> Self {
        let file = File::options().write(true).open(&self.disks[disk]).expect("opening the disk");
        file.write_all_at(bytes, offset).expect("writing to the disk");
        self
    }

    fn corrupt(self, path: &str, offset: u64) -> Self {
        image::corrupt(&self.stick, path, offset).expect("corrupting the stick");
        self
    }

    /// Boots it, expects a refusal for this `reason` and a prompt, and the disks as they were.
    fn refused(self, reason: &str) -> Result<()> {
        let before: Vec<String> =
            self.disks.iter().map(|disk| image::fingerprint(disk)).collect::<Result<_>>()?;
        let mut guest = Guest::start(&self.config())?;
        let line = guest.wait_for(&["LANDFALL REFUSED", "LANDFALL INSTALL done"], LIMIT)?;
        assert!(line.ends_with(&format!("LANDFALL REFUSED reason={reason}")), "{line}");
        guest.wait_for(&["LANDFALL PROMPT"], Duration::from_secs(60))?;
        assert!(guest.console().contains("What to do: "), "no remedy beside the sentinel");
        guest.pull_the_plug();
        for (disk, fingerprint) in self.disks.iter().zip(before) {
            assert_eq!(image::fingerprint(disk)?, fingerprint, "{} was written to", disk.display());
        }
        self.has_report(reason)
    }

    fn has_report(&self, reason: &str) -> Result<()> {
        let files = image::esp_files(&self.stick)?;
        let reports: Vec<_> =
            files.iter().filter(|(name, _)| name.to_lowercase().starts_with("reports/")).collect();
        let named = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(reason);
        assert!(
            reports.iter().any(|(_, bytes)| named(bytes)),
            "no report on the stick among {}",
            reports.len()
        );
        Ok(())
    }

    fn config(&self) -> GuestConfig {
        let bench = bench();
        let named =
            bench.options.replace(&format!("landfall.host={HOST}"), &format!("landfall.host={}", self.host));
        let kept = |word: &&str| self.unattended || !word.starts_with("landfall.unattended");
        let append = named.split(' ').filter(kept).collect::<Vec<_>>().join(" ");
        let (kernel, initrd) = (bench.kernel.clone(), bench.initrd.clone());
        let mut config = GuestConfig::new(self.name, Firmware::Kernel { kernel, initrd, append });
        let stick = Drive { bus: self.stick_bus, ..Drive::stick(&self.stick) };
        let disks = self.disks.iter().enumerate().map(|(at, disk)| Drive {
            sector_bytes: self.sector_bytes,
            ..Drive::disk(disk, &format!("DISK{at}"))
        });
        config.machine.drives = std::iter::once(stick).chain(disks).collect();
        config
    }
}

fn a_layer(medium: &Path) -> String {
    let names = image::data_names(medium, "landfall/layers").expect("listing the layers");
    format!("landfall/layers/{}", names.first().expect("a layer"))
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_where_there_is_no_disk() -> Result<()> {
    Case::new("refuses_no_disk").refused("no-disk-matches")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_where_two_disks_match() -> Result<()> {
    // A person who watches may choose between them.
    let case = Case { unattended: true, ..Case::new("refuses_two_disks") };
    case.disk(8192).disk(8192).refused("several-disks-match")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_where_the_only_disk_is_the_medium() -> Result<()> {
    let case = Case { stick_bus: Bus::Virtio, ..Case::new("refuses_only_medium") };
    case.refused("only-the-medium")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_a_disk_that_is_not_empty() -> Result<()> {
    let case = Case { host: GUARDED, ..Case::new("refuses_not_empty") };
    case.disk(8192).write(0, 3 << 20, b"somebody's data").refused("disk-not-empty")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_a_disk_that_is_too_small() -> Result<()> {
    Case::new("refuses_too_small").disk(700).refused("disk-too-small")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_a_corrupted_layer() -> Result<()> {
    let layer = a_layer(&bench().fixture.medium);
    Case::new("refuses_corrupted_layer").disk(8192).corrupt(&layer, 70_000).refused("layer-corrupt")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_a_corrupted_manifest() -> Result<()> {
    let manifest = format!("landfall/generations/{HOST}.toml");
    Case::new("refuses_corrupted_manifest").disk(8192).corrupt(&manifest, 100).refused("manifest-corrupt")
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_an_unknown_host() -> Result<()> {
    Case { host: "nobody", ..Case::new("refuses_unknown_host") }.disk(8192).refused("unknown-host")
}

/// Without firmware's help a guest passes for one that BIOS started.
#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn refuses_a_disk_that_bios_could_not_start() -> Result<()> {
    let case = Case { sector_bytes: 4096, ..Case::new("refuses_bios_sectors") };
    case.disk(8192).refused("bios-sector-size")
}

/// Two disks of one kind and size: the rule finds the same one by its serial number, whichever the kernel saw first.
#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn swapped_disks_are_told_apart() -> Result<()> {
    for (name, order) in [("swapped_not", [0, 1]), ("swapped", [1, 0])] {
        let case = Case { host: GUARDED, ..Case::new(name) }.disk(8192).disk(8192);
        let mut config = case.config();
        let disks = order.map(|at| Drive::disk(&case.disks[at], &format!("DISK{at}")));
        config.machine.drives = std::iter::once(Drive::stick(&case.stick)).chain(disks).collect();
        let mut guest = Guest::start(&config)?;
        let line = guest.wait_for(&["Target: ", "LANDFALL REFUSED"], LIMIT)?;
        let place = if order[0] == 0 { "/dev/vda" } else { "/dev/vdb" };
        assert!(line.contains(place) && line.contains("serial DISK0"), "{line}");
        guest.pull_the_plug();
    }
    Ok(())
}
