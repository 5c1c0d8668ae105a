//! Installs on the buses and sector sizes that real machines have.

use landfall_qemu_tests::Result;
use landfall_qemu_tests::buses::{all_are_seen, installs_on, installs_on_and_starts};
use landfall_qemu_tests::guest::Bus;

/// As the NVMe disks of today are.
#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_4kn_nvme_disk_is_installed_and_starts() -> Result<()> {
    installs_on_and_starts("nvme_4kn", Bus::Nvme, 4096)
}

mod long {
    use super::*;

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_disk_on_every_bus_is_seen() -> Result<()> {
        all_are_seen()
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_sata_disk_is_installed() -> Result<()> {
        installs_on("sata", Bus::Sata, 512)
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_card_in_an_sd_controller_is_installed() -> Result<()> {
        installs_on("sd_card", Bus::SdCard, 512)
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_usb_disk_that_is_not_removable_is_installed() -> Result<()> {
        installs_on("usb_disk", Bus::UsbDisk, 512)
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_4kn_virtio_disk_is_installed() -> Result<()> {
        installs_on("virtio_4kn", Bus::Virtio, 4096)
    }
}
