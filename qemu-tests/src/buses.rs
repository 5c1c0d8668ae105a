//! An install on a disk of some bus and sector size, judged by the disk that it leaves.

use crate::direct::{LIMIT, Stick};
use crate::error::{Error, Result};
use crate::guest::{Bus, Drive, Guest};
use crate::image;
use crate::rehearsal::{Machine, Shape, Starts, TARGET_BYTES};
use crate::site::HOST;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use toml::{Table, Value};

/// Of the swap partition that the variant asks for.
const SWAP_BYTES: u64 = 256 << 20;
/// Linux swap, as the UEFI table of types has it.
const SWAP_TYPE: &str = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F";

/// A disk on each bus, named by its serial number, and its sectors.
const BUSES: [(&str, Bus, u32); 5] = [
    ("SEENVIRTIO", Bus::Virtio, 512),
    ("SEENSATA", Bus::Sata, 512),
    ("SEENNVME", Bus::Nvme, 4096),
    ("SEENUSB", Bus::UsbDisk, 512),
    ("SEENCARD", Bus::SdCard, 512),
];
/// What is said of each. A card's serial number is QEMU's.
const SEEN: [&str; 6] = [
    "virtio, serial SEENVIRTIO",
    "sata, serial SEENSATA",
    "nvme, serial SEENNVME",
    "usb, serial SEENUSB",
    "usb, serial SEENUAS",
    "/dev/mmcblk0 (",
];

/// A medium whose host takes the machine's only disk, whatever its bus.
fn stick() -> Result<&'static Stick> {
    static STICK: OnceLock<std::result::Result<Stick, String>> = OnceLock::new();
    let made = STICK.get_or_init(|| make().map_err(|error| error.to_string()));
    made.as_ref().map_err(|error| Error::Unexpected(error.clone()))
}

fn make() -> Result<Stick> {
    Stick::make("buses", |site| {
        site.edit(&format!("hosts/{HOST}.toml"), |host| {
            let any = Table::from_iter([("size".to_owned(), Value::from("8G.."))]);
            let disk = Table::from_iter([
                ("match".to_owned(), Value::Table(any)),
                ("existing".to_owned(), "refuse".into()),
                ("swap".to_owned(), "partition:256Mi".into()),
            ]);
            host.insert("disk".into(), Value::Table(disk));
        })
    })
}

/// Shows a machine with a disk on each bus to the installer, which may choose none of them and lists them all.
pub fn all_are_seen() -> Result<()> {
    let stick = stick()?;
    let shape = Shape { starts: Starts::Uefi, ..Shape::default() };
    let machine = Machine::shaped(&stick.fixture, "every_bus", shape)?;
    let blank = |name: &str| -> Result<PathBuf> {
        let path = machine.folder().join(name);
        image::blank(&path, TARGET_BYTES)?;
        Ok(path)
    };
    let mut drives = Vec::new();
    for (name, bus, sector_bytes) in BUSES {
        drives.push(Drive { sector_bytes, ..Drive::new(&blank(name)?, bus, name) });
    }
    // USB attached SCSI, as fast USB disks have it.
    let words = [
        "-drive".to_owned(),
        format!("if=none,id=uas,format=raw,cache=unsafe,file={}", blank("SEENUAS")?.display()),
        "-device".to_owned(),
        "usb-uas,id=uas0,bus=xhci.0".to_owned(),
        "-device".to_owned(),
        "scsi-hd,bus=uas0.0,drive=uas,serial=SEENUAS".to_owned(),
    ];
    let mut guest = stick.start_beside(&machine, (&machine.stick, drives), &words, "seen")?;
    let line = guest.wait_for(&["LANDFALL REFUSED", "LANDFALL INSTALL", "LANDFALL PROMPT"], LIMIT)?;
    let console = guest.console();
    assert!(line.contains("several-disks-match"), "{line}\n{console}");
    for disk in SEEN {
        assert!(console.contains(disk), "{disk} is missing:\n{console}");
    }
    Ok(())
}

/// Installs on a blank disk of that shape and starts the machine from it by its firmware, up to its own root.
pub fn installs_on_and_starts(name: &str, bus: Bus, sector_bytes: u32) -> Result<()> {
    let machine = installed(name, bus, sector_bytes)?;
    let mut config = machine.config("start");
    config.machine.drives = vec![machine.target()];
    let mut guest = Guest::start(&config)?;
    let line = guest.wait_for(&["(generation 1).", "LANDFALL PROMPT", "LANDFALL FAILED"], LIMIT)?;
    assert!(line.contains("Starting"), "{line}");
    Ok(())
}

/// Installs on a blank disk of that shape.
pub fn installs_on(name: &str, bus: Bus, sector_bytes: u32) -> Result<()> {
    installed(name, bus, sector_bytes).map(drop)
}

/// Checks, too, what stands on the disk: table, marker, filesystems, swap, and the kernel on the ESP.
fn installed(name: &str, bus: Bus, sector_bytes: u32) -> Result<Machine> {
    let stick = stick()?;
    let shape = Shape { starts: Starts::Uefi, bus, sector_bytes, tpm: false };
    let machine = Machine::shaped(&stick.fixture, name, shape)?;
    stick.install(&machine, &machine.stick, "install")?;
    judge(&machine.disk, sector_bytes)?;
    Ok(machine)
}

fn judge(disk: &Path, sector_bytes: u32) -> Result<()> {
    image::check(disk)?;
    let table = image::table(disk)?;
    assert_eq!(table.sector_bytes, u64::from(sector_bytes));
    let [bios, esp, data, swap] = table.partitions.as_slice() else {
        return Err(Error::Unexpected(format!("{} has {:?}", disk.display(), table.partitions)));
    };
    assert!(bios.name.starts_with("landfall-done-"), "{}", bios.name);
    assert_eq!((esp.length, swap.length, swap.kind.as_str()), (1 << 30, SWAP_BYTES, SWAP_TYPE));
    assert_eq!(data.offset + data.length, swap.offset);
    let files = image::esp_files(disk)?;
    assert!(files.iter().any(|(name, _)| name.ends_with("/vmlinuz")), "no kernel on the ESP");
    assert_eq!(image::bytes(disk, swap.offset + 4086, 10)?, b"SWAPSPACE2");
    Ok(())
}
