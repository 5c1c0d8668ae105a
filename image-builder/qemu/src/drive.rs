//! Drives: a raw image on one of the buses that real machines have.

use crate::{Words, quoted};
use std::path::{Path, PathBuf};

/// How a drive is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk: `/dev/vda`.
    Virtio,
    /// SATA (AHCI): `/dev/sda`. Its sectors have 512 bytes, whatever is asked for.
    Sata,
    /// NVMe: `/dev/nvme0n1`.
    Nvme,
    /// A removable USB stick, started before all others.
    UsbStick,
    /// A USB disk that is not removable.
    UsbDisk,
    /// A card in an SD host controller: `/dev/mmcblk0`. Its size must be a power of two.
    SdCard,
}

/// A raw image as a drive.
#[derive(Debug, Clone)]
pub struct Drive {
    /// The raw image.
    pub image: PathBuf,
    /// How it is attached.
    pub bus: Bus,
    /// What the guest reads as its serial number; not on [`Bus::SdCard`].
    pub serial: String,
    /// Bytes of a logical sector: 512 or 4096.
    pub sector_bytes: u32,
    /// What stands between drive and image, as `-blockdev` options; the last is the drive's node and is
    /// named as [`Drive::node`] says. Empty: the image itself, whose flushes stay here.
    pub blockdevs: Vec<String>,
    /// What the guest writes goes to a temporary file, and is gone when it ends; not with `blockdevs`.
    pub scratch: bool,
}

impl Drive {
    /// A drive with sectors of 512 bytes.
    pub fn new(image: &Path, bus: Bus, serial: &str) -> Self {
        Self {
            image: image.to_path_buf(),
            bus,
            serial: serial.into(),
            sector_bytes: 512,
            blockdevs: Vec::new(),
            scratch: false,
        }
    }

    /// A virtio disk.
    pub fn disk(image: &Path, serial: &str) -> Self {
        Self::new(image, Bus::Virtio, serial)
    }

    /// A removable USB stick.
    pub fn stick(image: &Path) -> Self {
        Self::new(image, Bus::UsbStick, "LANDFALLSTICK")
    }

    /// The name of the block node of the drive that stands at `index` of its machine.
    pub fn node(index: usize) -> String {
        format!("d{index}")
    }

    /// The id of the device of the drive that stands at `index`, for QMP's `device_del`.
    pub fn device_id(index: usize) -> String {
        format!("drive{index}")
    }

    pub(crate) fn words(&self, words: &mut Words, index: usize) {
        let node = Self::node(index);
        if self.blockdevs.is_empty() {
            let file = quoted(&self.image);
            // The images are scratch files: a flush that reaches this computer's disk proves nothing more.
            let snapshot = if self.scratch { ",snapshot=on" } else { "" };
            let options =
                format!("if=none,id={node},format=raw,cache=unsafe,discard=unmap{snapshot},file={file}");
            words.option("-drive", &options);
        }
        for blockdev in &self.blockdevs {
            words.option("-blockdev", blockdev);
        }
        let (serial, id) = (&self.serial, Self::device_id(index));
        let sectors = match (self.bus, self.sector_bytes) {
            (Bus::Sata | Bus::SdCard, _) | (_, 512) => String::new(),
            (_, bytes) => format!(",logical_block_size={bytes},physical_block_size={bytes}"),
        };
        let device = match self.bus {
            Bus::Virtio => "virtio-blk-pci",
            Bus::Sata => "ide-hd",
            Bus::Nvme => "nvme",
            // As a person chooses the stick in the firmware's menu. A disk has to be found by what its
            // installer wrote into the firmware. (Index 0 is QEMU's own where it boots a kernel.)
            Bus::UsbStick => "usb-storage,bus=xhci.0,removable=on,bootindex=1",
            Bus::UsbDisk => "usb-storage,bus=xhci.0,removable=off",
            Bus::SdCard => {
                // Every such controller names its bus so, whatever its own id is.
                words.option("-device", "sdhci-pci");
                words.option("-device", &format!("sd-card,bus=sd-bus,drive={node},id={id}"));
                return;
            }
        };
        words.option("-device", &format!("{device},drive={node},id={id},serial={serial}{sectors}"));
    }
}
