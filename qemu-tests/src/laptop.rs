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
    let chassis = folder.join("chassis.bin");
    std::fs::write(&chassis, NOTEBOOK).doing("writing", &chassis)?;
    machine.cpu_flags.push("-hypervisor".into());
    machine.acpi_tables.push(compile(folder)?);
    machine.smbios.extend([
        "type=0,vendor=LENOVO,version=N1LET00W,date=01/01/2024".into(),
        "type=1,manufacturer=LENOVO,product=20XXCTO1WW,version=ThinkPad,serial=PF3ABCDE".into(),
        "type=2,manufacturer=LENOVO,product=20XXCTO1WW".into(),
        format!("file={}", quoted(&chassis)),
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
