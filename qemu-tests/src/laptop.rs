//! A guest that passes for a laptop of metal: its firmware says so, its kernel finds a battery, and its processor
//! does not admit to a hypervisor.

use crate::error::{Doing, Result};
use crate::process::run;
use crate::tools;
use landfall_qemu::{Machine, quoted};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An AC adapter and a battery, as a laptop's firmware has them (ACPI 6.5, 10.2 and 10.3).
const BATTERY: &str = r#"
DefinitionBlock ("", "SSDT", 2, "LNDFLL", "LAPTOP", 1)
{
    Scope (\_SB)
    {
        Device (ADP0)
        {
            Name (_HID, "ACPI0003")
            Method (_PSR, 0) { Return (One) }
            Method (_PCL, 0) { Return (Package () { \_SB }) }
        }
        Device (BAT0)
        {
            Name (_HID, EisaId ("PNP0C0A"))
            Name (_UID, Zero)
            Method (_STA, 0) { Return (0x1F) }
            Method (_BIF, 0)
            {
                Return (Package () { One, 5000, 4800, One, 12000, 500, 200, 10, 10, "MODEL", "1", "LION", "LANDFALL" })
            }
            Method (_BST, 0) { Return (Package () { Zero, Zero, 4000, 12000 }) }
        }
    }
}
"#;

/// SMBIOS type 0 (SMBIOS 3.7, 7.1). QEMU's own says "virtual machine" in its characteristics, which systemd asks.
const FIRMWARE: &[u8] = &[
    0, 24, 0x00, 0x00, // type, length, handle
    1, 2, 0x00, 0xe8, 3, 0, // vendor, version, segment, date, size
    0x08, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x08, // no characteristics, but UEFI
    1, 0, 0xff, 0xff, // release of the system's firmware, none of the controller's
    b'L', b'E', b'N', b'O', b'V', b'O', 0, // vendor
    b'N', b'1', b'L', b'E', b'T', b'0', b'0', b'W', 0, // version
    b'0', b'1', b'/', b'0', b'1', b'/', b'2', b'0', b'2', b'4', 0, 0, // date
];

/// SMBIOS type 3 (SMBIOS 3.7, 7.4), whose chassis type QEMU takes from a file alone: 10, a notebook.
const NOTEBOOK: &[u8] = &[
    3, 22, 0x00, 0x03, // type, length, handle
    1, 10, 0, 0, 0, // manufacturer, chassis type, version, serial, asset tag
    3, 3, 3, 2, // states of boot-up, supply and heat are safe, no security
    0, 0, 0, 0, 0, 1, 0, 0, 0, // OEM, height, power cords, contained elements, SKU
    b'L', b'E', b'N', b'O', b'V', b'O', 0, 0,
];

/// Turns a machine into a laptop; the tables are made in `folder`.
pub fn become_laptop(machine: &mut Machine, folder: &Path) -> Result<()> {
    tools::ensure(&[tools::Need::Laptop])?;
    for (name, table) in [("firmware.bin", FIRMWARE), ("chassis.bin", NOTEBOOK)] {
        let path = folder.join(name);
        std::fs::write(&path, table).doing("writing", &path)?;
        machine.smbios.push(format!("file={}", quoted(&path)));
    }
    machine.cpu_flags.push("-hypervisor".into());
    machine.acpi_tables.push(compile(folder)?);
    machine.smbios.extend([
        "type=1,manufacturer=LENOVO,product=20XXCTO1WW,version=ThinkPad,serial=PF3ABCDE".into(),
        "type=2,manufacturer=LENOVO,product=20XXCTO1WW".into(),
    ]);
    Ok(())
}

fn compile(folder: &Path) -> Result<PathBuf> {
    let source = folder.join("battery.asl");
    std::fs::write(&source, BATTERY).doing("writing", &source)?;
    let table = folder.join("battery.aml");
    run(Command::new(tools::program("iasl")?).arg("-p").arg(&table).arg(&source))?;
    Ok(table)
}
