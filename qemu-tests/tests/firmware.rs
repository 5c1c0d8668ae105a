//! The firmware of the harness itself: a test that passes without Secure Boot would prove nothing.

use landfall_qemu_tests::guest::{Drive, Firmware, Guest, GuestConfig};
use landfall_qemu_tests::process::run;
use landfall_qemu_tests::tools::{Need, ensure};
use std::process::Command;
use std::time::Duration;

/// A PE image that nobody signed is refused before it runs.
#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn firmware_refuses_an_unsigned_program() {
    ensure(&[Need::Qemu]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stick = folder.path().join("stick");
    std::fs::File::create(&stick).unwrap().set_len(64 << 20).unwrap();
    run(Command::new("mkfs.vfat").arg("-F32").arg(&stick)).unwrap();
    put_unsigned_program(&stick);
    let boot = Firmware::SecureBoot { variables: folder.path().join("vars") };
    let mut config = GuestConfig::new("firmware_refuses_an_unsigned_program", boot);
    config.machine.drives = vec![Drive::stick(&stick)];
    let mut guest = Guest::start(&config).unwrap();
    guest.wait_for(&["Access Denied"], Duration::from_secs(120)).unwrap();
}

fn put_unsigned_program(stick: &std::path::Path) {
    let file = std::fs::File::options().read(true).write(true).open(stick).unwrap();
    let filesystem = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap();
    let folder = filesystem.root_dir().create_dir("EFI").unwrap().create_dir("BOOT").unwrap();
    let mut program = folder.create_file("BOOTX64.EFI").unwrap();
    std::io::Write::write_all(&mut program, &tiny_pe()).unwrap();
}

/// The least that the loader takes for an EFI application: DOS and PE headers and one section of `ret`.
fn tiny_pe() -> Vec<u8> {
    let mut image = vec![0u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0\x64\x86\x01\0");
    put(0x54, &[0xf0, 0, 0x22, 0]);
    put(0x58, &[0x0b, 0x02]);
    put(0x68, &0x1000u32.to_le_bytes());
    put(0x78, &0x1000u32.to_le_bytes());
    put(0x7c, &0x200u32.to_le_bytes());
    put(0x90, &0x2000u32.to_le_bytes());
    put(0x94, &0x200u32.to_le_bytes());
    put(0x9c, &[10, 0]);
    put(0xc4, &16u32.to_le_bytes());
    put(0x148, b".text\0\0\0");
    put(0x150, &0x10u32.to_le_bytes());
    put(0x154, &0x1000u32.to_le_bytes());
    put(0x158, &0x200u32.to_le_bytes());
    put(0x15c, &0x200u32.to_le_bytes());
    put(0x16c, &0x6000_0020u32.to_le_bytes());
    put(0x200, &[0x31, 0xc0, 0xc3]);
    image
}
