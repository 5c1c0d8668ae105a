//! The scenario matrix: firmware × bus × sector size × encryption. The rows are pairwise: every two values that can
//! stand together do so in one of them.

use crate::error::{Error, Result};
use crate::fixture::Fixture;
use crate::guest::{Bus, Guest};
use crate::process::run_with_input;
use crate::rehearsal::{Machine, Shape, Starts};
use crate::site::{HOST, Site};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the disk's secret holds; the guest's keyboard is its serial line.
const PASSPHRASE: &str = "rehearsal passphrase";
/// What the PIN's secret holds.
const PIN: &str = "rehearsal pin";
const LIMIT: Duration = Duration::from_secs(600);

/// How the data partition is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all.
    Plain,
    /// LUKS2, opened by a passphrase.
    Passphrase,
    /// LUKS2, opened by the TPM and a PIN.
    TpmPin,
    /// LUKS2, opened by the TPM alone.
    Tpm,
}

impl Encryption {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Passphrase, Self::TpmPin, Self::Tpm];

    /// The way to unlock as a host file names it, and the secrets that it takes.
    fn way(self) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
        match self {
            Self::Plain => None,
            Self::Passphrase => Some(("passphrase", &[("passphrase", PASSPHRASE)])),
            Self::TpmPin => Some(("tpm2+pin", &[("pin", PIN)])),
            Self::Tpm => Some(("tpm2", &[])),
        }
    }

    /// What the machine asks for as it starts, and what is typed then.
    fn question(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Plain | Self::Tpm => None,
            Self::Passphrase => Some(("LANDFALL UNLOCK ask", PASSPHRASE)),
            Self::TpmPin => Some(("LANDFALL UNLOCK pin", PIN)),
        }
    }
}

/// One scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Firmware.
    pub starts: Starts,
    /// The target's bus.
    pub bus: Bus,
    /// Bytes of the target's sectors.
    pub sector_bytes: u32,
    /// How it is encrypted.
    pub encryption: Encryption,
}

const fn row(starts: Starts, bus: Bus, sector_bytes: u32, encryption: Encryption) -> Row {
    Row { starts, bus, sector_bytes, encryption }
}

/// All rows.
pub const ROWS: [Row; 20] = [
    row(Starts::SecureBoot, Bus::Virtio, 512, Encryption::Tpm),
    row(Starts::SecureBoot, Bus::Virtio, 4096, Encryption::Plain),
    row(Starts::SecureBoot, Bus::Sata, 512, Encryption::Tpm),
    row(Starts::SecureBoot, Bus::Sata, 512, Encryption::TpmPin),
    row(Starts::SecureBoot, Bus::Nvme, 4096, Encryption::Tpm),
    row(Starts::SecureBoot, Bus::UsbDisk, 4096, Encryption::Passphrase),
    row(Starts::SecureBoot, Bus::UsbDisk, 4096, Encryption::Tpm),
    row(Starts::SecureBoot, Bus::SdCard, 512, Encryption::TpmPin),
    row(Starts::SecureBoot, Bus::SdCard, 512, Encryption::Tpm),
    row(Starts::Uefi, Bus::Virtio, 4096, Encryption::TpmPin),
    row(Starts::Uefi, Bus::Sata, 512, Encryption::Plain),
    row(Starts::Uefi, Bus::Nvme, 512, Encryption::Passphrase),
    row(Starts::Uefi, Bus::Nvme, 512, Encryption::TpmPin),
    row(Starts::Uefi, Bus::UsbDisk, 512, Encryption::TpmPin),
    row(Starts::Uefi, Bus::SdCard, 512, Encryption::Passphrase),
    row(Starts::Bios, Bus::Virtio, 512, Encryption::Passphrase),
    row(Starts::Bios, Bus::Sata, 512, Encryption::Passphrase),
    row(Starts::Bios, Bus::Nvme, 512, Encryption::Plain),
    row(Starts::Bios, Bus::UsbDisk, 512, Encryption::Plain),
    row(Starts::Bios, Bus::SdCard, 512, Encryption::Plain),
];

impl Row {
    /// Whether such a machine exists, and the site may ask for it.
    pub fn can_be(self) -> bool {
        let small_sectors = self.starts == Starts::Bios || matches!(self.bus, Bus::Sata | Bus::SdCard);
        match self.encryption {
            _ if small_sectors && self.sector_bytes != 512 => false,
            Encryption::Plain | Encryption::Passphrase => true,
            Encryption::TpmPin => self.starts != Starts::Bios,
            Encryption::Tpm => self.starts == Starts::SecureBoot,
        }
    }

    /// A name for logs and folders.
    pub fn name(self) -> String {
        format!("{:?}-{:?}-{}-{:?}", self.starts, self.bus, self.sector_bytes, self.encryption).to_lowercase()
    }

    /// Installs it unattended from the one medium of its encryption, and starts it from its own disk.
    ///
    /// # Errors
    /// If anything does not happen in time.
    pub fn play(self, end: &str) -> Result<()> {
        let fixture = medium(self.encryption)?;
        let tpm = matches!(self.encryption, Encryption::Tpm | Encryption::TpmPin);
        let shape = Shape { starts: self.starts, bus: self.bus, sector_bytes: self.sector_bytes, tpm };
        let machine = Machine::shaped(&fixture, &format!("matrix-{}", self.name()), shape)?;
        machine.install()?;
        let mut config = machine.config("start");
        config.machine.drives = vec![machine.target()];
        let mut guest = Guest::start(&config)?;
        if let Some((question, answer)) = self.encryption.question() {
            guest.wait_for(&[question], LIMIT)?;
            guest.type_line(answer)?;
        }
        let line = guest.wait_for(&[end, "LANDFALL UNLOCK ask", "LANDFALL UNLOCK wrong"], LIMIT)?;
        if line.contains("LANDFALL UNLOCK") {
            return Err(Error::unexpected("the machine asked for what it should not need"));
        }
        Ok(())
    }
}

/// The shared fixture with its host encrypted so; each is made once in a run.
fn medium(encryption: Encryption) -> Result<Fixture> {
    static MADE: Mutex<Vec<Encryption>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = Fixture::shared()?;
    let name = format!("matrix-{encryption:?}").to_lowercase();
    if made.contains(&encryption) {
        return Ok(shared.made_variant(&name));
    }
    let fixture = shared.variant(&name, &[HOST], |site| encrypt(site, encryption))?;
    made.push(encryption);
    Ok(fixture)
}

/// Writes the encryption into the host's file, and its secrets into the site.
fn encrypt(site: &Site, encryption: Encryption) -> Result<()> {
    site.edit(&format!("hosts/{HOST}.toml"), |host| {
        let any_disk: toml::Table =
            [("largest".to_owned(), toml::Value::Boolean(true))].into_iter().collect();
        crate::site::sub(host, "disk").insert("match".into(), any_disk.into());
        let Some((way, secrets)) = encryption.way() else { return };
        let encrypt = crate::site::sub(crate::site::sub(host, "disk"), "encrypt");
        encrypt.insert("unlock".into(), vec![way].into());
        for (name, _) in secrets {
            crate::site::sub(encrypt, name).insert("secret".into(), format!("disk-{name}").into());
        }
        for (name, _) in secrets {
            let secret = crate::site::sub(crate::site::sub(host, "secrets"), &format!("disk-{name}"));
            secret.insert("file".into(), format!("secrets/disk-{name}.age").into());
        }
    })?;
    for (name, value) in encryption.way().map_or(&[][..], |(_, secrets)| secrets) {
        let mut command = site.landfall(&["secret", "set", &format!("disk-{name}")]);
        run_with_input(&mut command, value.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [Starts; 3] = [Starts::SecureBoot, Starts::Uefi, Starts::Bios];
    const BUSES: [Bus; 5] = [Bus::Virtio, Bus::Sata, Bus::Nvme, Bus::UsbDisk, Bus::SdCard];

    /// Values of a row by their places.
    fn places(row: Row) -> [String; 4] {
        [
            format!("{:?}", row.starts),
            format!("{:?}", row.bus),
            format!("{}", row.sector_bytes),
            format!("{:?}", row.encryption),
        ]
    }

    fn pairs(row: Row) -> Vec<(usize, String, usize, String)> {
        let values = places(row);
        let mut out = Vec::new();
        for (one, first) in values.iter().enumerate() {
            for (other, second) in values.iter().enumerate().skip(one + 1) {
                out.push((one, first.clone(), other, second.clone()));
            }
        }
        out
    }

    #[test]
    fn every_pair_that_can_be_is_in_a_row() {
        let covered: Vec<_> = ROWS.into_iter().flat_map(pairs).collect();
        let mut scenarios = 0;
        for starts in STARTS {
            for bus in BUSES {
                for (sector_bytes, encryption) in
                    [512, 4096].into_iter().flat_map(|size| Encryption::ALL.map(|way| (size, way)))
                {
                    let row = Row { starts, bus, sector_bytes, encryption };
                    if row.can_be() {
                        scenarios += 1;
                        for pair in pairs(row) {
                            assert!(covered.contains(&pair), "no row has {pair:?}");
                        }
                    }
                }
            }
        }
        assert!(scenarios > ROWS.len());
        assert!(ROWS.into_iter().all(Row::can_be));
    }
}
