//! A machine's shape.

use crate::error::Result;
use crate::{Drive, Firmware, Tpm, Words, kvm, quoted};
use std::path::PathBuf;

/// Where a machine's picture goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Display {
    /// Nowhere; it has a graphics card all the same.
    #[default]
    None,
    /// A window of this computer's desktop.
    Window,
}

impl Display {
    /// As `-display` takes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Window => "gtk",
        }
    }
}

/// A machine's shape. Network, consoles and control sockets are added by whoever starts it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// Added to the processor's model, as `-hypervisor`.
    pub cpu_flags: Vec<String>,
    /// What starts it.
    pub firmware: Firmware,
    /// A stick is started before any disk.
    pub drives: Vec<Drive>,
    /// A TPM 2.
    pub tpm: Option<Tpm>,
    /// What it says of itself: values of `-smbios`, as `type=1,manufacturer=LENOVO`.
    pub smbios: Vec<String>,
    /// Compiled ACPI tables that are added to its own.
    pub acpi_tables: Vec<PathBuf>,
    /// The date at power-on, as `-rtc base=` takes it; now, if none.
    pub clock: Option<String>,
    /// Where its picture goes.
    pub display: Display,
    /// Further words of the command line.
    pub extra: Vec<String>,
}

impl Machine {
    /// A machine of the usual size with nothing attached.
    pub fn new(firmware: Firmware) -> Self {
        Self {
            memory_mib: 2048,
            cpus: 2,
            cpu_flags: Vec::new(),
            firmware,
            drives: Vec::new(),
            tpm: None,
            smbios: Vec::new(),
            acpi_tables: Vec::new(),
            clock: None,
            display: Display::None,
            extra: Vec::new(),
        }
    }

    /// QEMU's arguments. Makes the firmware's variables where the machine has none yet.
    ///
    /// # Errors
    /// If this computer lacks the firmware, or its variables cannot be written.
    pub fn arguments(&self) -> Result<Vec<String>> {
        let mut words = Words::default();
        words.option("-machine", self.firmware.machine());
        self.processor(&mut words);
        words.option("-m", &self.memory_mib.to_string());
        words.0.push("-nodefaults".into());
        words.option("-display", self.display.word());
        for device in ["virtio-vga", "virtio-rng-pci", "qemu-xhci,id=xhci"] {
            words.option("-device", device);
        }
        self.firmware.words(&mut words)?;
        for value in &self.smbios {
            words.option("-smbios", value);
        }
        for table in &self.acpi_tables {
            words.option("-acpitable", &format!("file={}", quoted(table)));
        }
        if let Some(clock) = &self.clock {
            words.option("-rtc", &format!("base={clock}"));
        }
        if let Some(tpm) = &self.tpm {
            tpm.words(&mut words);
        }
        for (index, drive) in self.drives.iter().enumerate() {
            drive.words(&mut words, index);
        }
        words.0.extend(self.extra.iter().cloned());
        Ok(words.0)
    }

    fn processor(&self, words: &mut Words) {
        let [acceleration, model] = kvm::acceleration();
        words.option("-accel", acceleration);
        let flags: String = self.cpu_flags.iter().map(|flag| format!(",{flag}")).collect();
        words.option("-cpu", &format!("{model}{flags}"));
        words.option("-smp", &self.cpus.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bus;
    use std::path::Path;

    fn words(change: impl FnOnce(&mut Machine)) -> String {
        let mut machine = Machine::new(Firmware::Bios);
        change(&mut machine);
        machine.arguments().unwrap().join(" ")
    }

    #[test]
    fn large_sectors_are_asked_of_buses_that_have_them() {
        let drives = |bus, sector_bytes| {
            words(|machine| {
                machine.drives = vec![Drive { sector_bytes, ..Drive::new(Path::new("i"), bus, "S") }];
            })
        };
        assert!(drives(Bus::Nvme, 4096).contains("nvme,drive=d0,id=drive0,serial=S,logical_block_size=4096"));
        for (bus, sector) in [(Bus::Nvme, 512), (Bus::Sata, 4096), (Bus::SdCard, 4096)] {
            assert!(!drives(bus, sector).contains("logical_block_size"));
        }
    }

    #[test]
    fn nodes_of_the_caller_take_the_place_of_the_image() {
        let text = words(|machine| {
            let mut drive = Drive::disk(Path::new("i"), "S");
            drive.blockdevs = vec!["driver=null-co,node-name=d0".into()];
            machine.drives = vec![drive];
        });
        assert!(text.contains("-blockdev driver=null-co,node-name=d0"));
        assert!(!text.contains("if=none"));
    }
}
