//! Whole disks and their partitions, from `/sys/class/block` (kernel,
//! `Documentation/ABI/stable/sysfs-block`).

use super::read;
use crate::roots::Roots;
use landfall_hosts::rule::{FactMap, FactValue};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Sizes in sysfs are in units of 512 bytes, whatever the disk's sectors are.
const SYSFS_SECTOR_BYTES: u64 = 512;

/// A whole disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// The kernel's name: `sda`, `nvme0n1`.
    pub name: String,
    /// The device node.
    pub path: PathBuf,
    /// Bytes.
    pub size_bytes: u64,
    /// Logical sector size.
    pub sector_bytes: u32,
    /// As the disk says.
    pub model: Option<String>,
    /// As the disk says.
    pub serial: Option<String>,
    /// World-wide name.
    pub wwn: Option<String>,
    /// `nvme`, `virtio`, `usb`, `sata`, `scsi`, `mmc`, `other`.
    pub transport: String,
    /// The kernel says that its medium can be taken out.
    pub removable: bool,
    /// Cannot be written.
    pub read_only: bool,
    /// What holds it or one of its partitions: arrays, volume groups, mappings.
    pub holders: Vec<String>,
    /// Partitions that the kernel sees.
    pub partitions: Vec<Partition>,
}

/// A partition that the kernel sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Partition {
    /// Its number.
    pub number: u32,
    /// The kernel's name: `sda1`.
    pub name: String,
    /// The device node.
    pub path: PathBuf,
    /// `major:minor`.
    pub device: String,
    /// Bytes.
    pub size_bytes: u64,
}

/// All whole disks of the machine, by name. Loop devices, RAM disks, mappings, arrays, optical and
/// floppy drives are none, and neither is a card reader without a card.
pub fn list(roots: &Roots) -> Vec<Disk> {
    let class = roots.sys.join("class/block");
    read::names(&class)
        .iter()
        .filter(|name| is_disk(name))
        .filter_map(|name| one(roots, &class, name))
        .collect()
}

fn is_disk(name: &str) -> bool {
    const NOT: [&str; 9] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];
    // An eMMC's boot and replay-protected areas are devices of their own, and not disks.
    let emmc_area = name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    !NOT.iter().any(|prefix| name.starts_with(prefix)) && !emmc_area
}

fn one(roots: &Roots, class: &Path, name: &str) -> Option<Disk> {
    let folder = class.join(name);
    // Partitions stand in the same class, and NVMe's hidden multipath legs have no node.
    if folder.join("partition").exists() || read::flag(&folder.join("hidden")) {
        return None;
    }
    let size_bytes = read::number(&folder.join("size"))?.checked_mul(SYSFS_SECTOR_BYTES)?;
    if size_bytes == 0 {
        return None;
    }
    let real = std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
    let partitions = partitions(roots, &folder, name);
    let sector = read::number(&folder.join("queue/logical_block_size")).unwrap_or(512);
    Some(Disk {
        name: name.to_owned(),
        path: roots.dev.join(name),
        size_bytes,
        sector_bytes: u32::try_from(sector).ok()?,
        model: model(&folder, name),
        serial: serial(&folder, &real),
        wwn: read::text(&folder.join("wwid")).or_else(|| read::text(&folder.join("device/wwid"))),
        transport: transport(name, &real.to_string_lossy()).to_owned(),
        removable: read::flag(&folder.join("removable")),
        read_only: read::flag(&folder.join("ro")),
        holders: holders(class, name, &partitions),
        partitions,
    })
}

/// Cards and eMMCs have a product name there (kernel, `Documentation/driver-api/mmc/mmc-dev-attrs.rst`).
fn model(folder: &Path, name: &str) -> Option<String> {
    let file = if name.starts_with("mmcblk") { "device/name" } else { "device/model" };
    read::text(&folder.join(file))
}

fn partitions(roots: &Roots, folder: &Path, disk: &str) -> Vec<Partition> {
    let mut found: Vec<Partition> = read::names(folder)
        .into_iter()
        .filter(|name| name.starts_with(disk))
        .filter_map(|name| {
            let part = folder.join(&name);
            Some(Partition {
                number: u32::try_from(read::number(&part.join("partition"))?).ok()?,
                path: roots.dev.join(&name),
                device: read::text(&part.join("dev"))?,
                size_bytes: read::number(&part.join("size"))?.checked_mul(SYSFS_SECTOR_BYTES)?,
                name,
            })
        })
        .collect();
    found.sort_by_key(|partition| partition.number);
    found
}

fn holders(class: &Path, disk: &str, partitions: &[Partition]) -> Vec<String> {
    let mut all = read::names(&class.join(disk).join("holders"));
    for partition in partitions {
        all.extend(read::names(&class.join(&partition.name).join("holders")));
    }
    all.sort();
    all.dedup();
    all
}

fn transport(name: &str, real: &str) -> &'static str {
    let has = |part: &str| real.contains(part);
    match () {
        () if name.starts_with("nvme") => "nvme",
        () if name.starts_with("mmcblk") => "mmc",
        () if has("/usb") => "usb",
        () if has("/virtio") => "virtio",
        () if has("/ata") => "sata",
        () if has("/host") => "scsi",
        () => "other",
    }
}

fn serial(folder: &Path, real: &Path) -> Option<String> {
    let direct = ["serial", "device/serial"].iter().find_map(|name| read::text(&folder.join(name)));
    direct.or_else(|| vpd_serial(&folder.join("device/vpd_pg80"))).or_else(|| usb_serial(real))
}

/// SCSI's "unit serial number" page: four bytes of header, the last of them the length (SPC-4,
/// 7.8.15).
fn vpd_serial(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    read::clean(bytes.get(4..4_usize.checked_add(length)?)?)
}

/// A USB bridge's own serial number stands in the folder of the USB device, some levels up.
fn usb_serial(real: &Path) -> Option<String> {
    real.ancestors()
        .take(12)
        .filter(|folder| folder.join("idVendor").exists())
        .find_map(|folder| read::text(&folder.join("serial")))
}

impl Disk {
    /// What a `disk` rule may ask.
    pub fn facts(&self) -> FactMap {
        let mut facts = FactMap::new();
        let texts = [
            ("model", &self.model),
            ("serial", &self.serial),
            ("wwn", &self.wwn),
            ("transport", &Some(self.transport.clone())),
            ("path", &Some(self.path.to_string_lossy().into_owned())),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                facts.insert(key.to_owned(), vec![FactValue::Text(value.clone())]);
            }
        }
        let size = i64::try_from(self.size_bytes).unwrap_or(i64::MAX);
        facts.insert("size".into(), vec![FactValue::Number(size)]);
        facts.insert("removable".into(), vec![FactValue::Flag(self.removable)]);
        facts
    }

    /// Whether `other`, seen at another time under the same name, is the same piece of hardware.
    /// Names are given in the order of appearance, so a replugged disk may have another's.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.is_same_hardware(other)
    }

    /// Whether `other` is the same piece of hardware, under whichever name, as far as hardware
    /// tells. Where it has no serial number, another of its kind is no other.
    pub fn is_same_hardware(&self, other: &Self) -> bool {
        let who = |disk: &Self| {
            (
                (disk.size_bytes, disk.sector_bytes, disk.transport.clone()),
                (disk.model.clone(), disk.serial.clone(), disk.wwn.clone()),
            )
        };
        who(self) == who(other)
    }

    /// Whether the hardware itself tells it from another of its kind.
    pub fn has_identity(&self) -> bool {
        self.serial.is_some() || self.wwn.is_some()
    }

    /// One line for people: `/dev/sda (QEMU HARDDISK, 8 GiB, sata, serial X)`.
    pub fn line(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.model.clone());
        words.push(crate::bytes::human(self.size_bytes));
        words.push(self.transport.clone());
        words.extend(self.serial.as_ref().map(|serial| format!("serial {serial}")));
        if self.removable {
            words.push("removable".into());
        }
        if self.read_only {
            words.push("read-only".into());
        }
        format!("{} ({})", self.path.display(), words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_disk_with_partitions() {
        let top = tempfile::tempdir().unwrap();
        let disk = "sys/class/block/vda";
        for (name, value) in [
            ("size", "16777216\n"),
            ("ro", "0\n"),
            ("removable", "0\n"),
            ("serial", "target\n"),
            ("queue/logical_block_size", "512\n"),
            ("vda3/partition", "3\n"),
            ("vda3/dev", "254:3\n"),
            ("vda3/size", "2048\n"),
        ] {
            put(top.path(), &format!("{disk}/{name}"), value.as_bytes());
        }
        put(top.path(), "sys/class/block/loop0/size", b"8\n");
        put(top.path(), "sys/class/block/vda3/partition", b"3\n");
        let disks = list(&Roots::under(top.path()));
        assert_eq!(disks.len(), 1);
        assert_eq!(disks[0].size_bytes, 8 << 30);
        assert_eq!(disks[0].serial.as_deref(), Some("target"));
        assert_eq!(disks[0].partitions[0].device, "254:3");
        assert!(disks[0].line().contains("8 GiB"));
    }

    /// As a laptop with an eMMC shows itself: its boot areas and the protected one are no disks.
    #[test]
    fn an_emmc_is_one_disk() {
        let top = tempfile::tempdir().unwrap();
        let disk = "sys/class/block/mmcblk0";
        for (name, value) in [
            ("size", "122142720\n"),
            ("ro", "0\n"),
            ("removable", "0\n"),
            ("queue/logical_block_size", "512\n"),
            ("device/name", "DF4064\n"),
            ("device/serial", "0x1a2b3c4d\n"),
            ("device/type", "MMC\n"),
            ("mmcblk0boot0/size", "8192\n"),
            ("mmcblk0p3/partition", "3\n"),
            ("mmcblk0p3/dev", "179:3\n"),
            ("mmcblk0p3/size", "2048\n"),
        ] {
            put(top.path(), &format!("{disk}/{name}"), value.as_bytes());
        }
        for (area, size) in [("boot0", "8192\n"), ("boot1", "8192\n"), ("rpmb", "32768\n")] {
            put(top.path(), &format!("{disk}{area}/size"), size.as_bytes());
            put(top.path(), &format!("{disk}{area}/ro"), b"1\n");
        }
        put(top.path(), "sys/class/block/mmcblk0p3/partition", b"3\n");
        let disks = list(&Roots::under(top.path()));
        let [emmc] = disks.as_slice() else { panic!("{disks:?}") };
        assert_eq!((emmc.transport.as_str(), emmc.removable), ("mmc", false));
        assert_eq!((emmc.model.as_deref(), emmc.serial.as_deref()), (Some("DF4064"), Some("0x1a2b3c4d")));
        let partitions: Vec<(u32, &str)> =
            emmc.partitions.iter().map(|part| (part.number, part.name.as_str())).collect();
        assert_eq!(partitions, [(3, "mmcblk0p3")]);
    }

    #[test]
    fn another_disk_of_the_same_name_is_told_apart() {
        let planned = Disk { name: "sdb".into(), size_bytes: 8, serial: Some("A".into()), ..Disk::default() };
        let with_partitions = Disk { partitions: vec![Partition::default()], ..planned.clone() };
        assert!(planned.is_same(&with_partitions));
        assert!(!planned.is_same(&Disk { serial: Some("B".into()), ..planned.clone() }));
        assert!(!planned.is_same(&Disk { serial: None, ..planned.clone() }));
        assert!(!planned.is_same(&Disk { size_bytes: 9, ..planned.clone() }));
        let renamed = Disk { name: "sdz".into(), path: "/dev/sdz".into(), ..planned.clone() };
        assert!(planned.is_same_hardware(&renamed) && !planned.is_same(&renamed));
        assert!(!planned.is_same_hardware(&Disk { serial: Some("B".into()), ..renamed }));
        assert!(planned.has_identity() && !Disk::default().has_identity());
    }

    #[test]
    fn hostile_attributes_are_no_disk_or_plain_text() {
        let top = tempfile::tempdir().unwrap();
        put(top.path(), "sys/class/block/sda/size", b"99999999999999999999999\n");
        put(top.path(), "sys/class/block/sdb/size", b"\xff\xfe");
        put(top.path(), "sys/class/block/sdc/size", b"18446744073709551615\n");
        put(top.path(), "sys/class/block/sdd/size", b"16\n");
        put(top.path(), "sys/class/block/sdd/device/model", b"a\x1b[31m\xff\nb\n");
        put(top.path(), "sys/class/block/sdd/device/vpd_pg80", b"\0\x80\xff\xffshort");
        let disks = list(&Roots::under(top.path()));
        assert_eq!(disks.len(), 1);
        assert_eq!(disks[0].serial, None);
        assert!(!disks[0].model.as_ref().unwrap().contains('\x1b'));
    }

    #[test]
    fn transports() {
        assert_eq!(transport("sda", "/sys/devices/pci0/usb1/1-1/host0/x"), "usb");
        assert_eq!(transport("sda", "/sys/devices/pci0/ata1/host0/x"), "sata");
        assert_eq!(transport("vda", "/sys/devices/pci0/virtio3/block/vda"), "virtio");
        assert_eq!(transport("nvme0n1", "/x"), "nvme");
    }
}
