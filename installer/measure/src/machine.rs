//! The running machine's TPM, as the kernel shows it in sysfs and securityfs.

use crate::digest::Digest;
use crate::entry::{Entry, loader};
use crate::event_log::EventLog;
use crate::predict::{PCRS, Pcrs, observed_before, plain_before, predict};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Below sysfs: what only a start by UEFI has.
const UEFI: &str = "firmware/efi";
/// Below sysfs: the TPMs.
const TPMS: &str = "class/tpm";
/// Below sysfs: securityfs, where the firmware's logs are.
pub const SECURITY: &str = "kernel/security";

/// A TPM 2 with its SHA-256 bank on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tpm {
    values: PathBuf,
    log: PathBuf,
}

impl Tpm {
    /// The machine's TPM 2, if it has one that can be used; `sys` is where sysfs is mounted.
    ///
    /// None of a machine that was started by BIOS: there nothing measures kernel, initrds and command line,
    /// and a key that is sealed to their PCRs is sealed to nothing.
    pub fn find(sys: &Path) -> Option<Self> {
        if !sys.join(UEFI).is_dir() {
            return None;
        }
        let mut names: Vec<_> = fs::read_dir(sys.join(TPMS)).ok()?.flatten().map(|e| e.file_name()).collect();
        names.sort();
        names.into_iter().find_map(|name| {
            let folder = sys.join(TPMS).join(&name);
            let major = fs::read_to_string(folder.join("tpm_version_major")).ok()?;
            let values = folder.join("pcr-sha256");
            let log = sys.join(SECURITY).join(&name).join("binary_bios_measurements");
            (major.trim() == "2" && values.is_dir()).then_some(Self { values, log })
        })
    }

    /// A PCR's present value.
    ///
    /// # Errors
    /// In words, if the kernel does not show it.
    pub fn pcr(&self, number: u32) -> Result<Digest, String> {
        let path = self.values.join(number.to_string());
        let text =
            fs::read_to_string(&path).map_err(|error| format!("reading {}: {error}", path.display()))?;
        Digest::parse(&text).ok_or_else(|| format!("reading {}: it is no SHA-256", path.display()))
    }

    /// The firmware's log.
    ///
    /// # Errors
    /// In words, if the kernel does not show it, or it does not parse.
    pub fn log(&self) -> Result<EventLog, String> {
        let doing = || format!("reading {}", self.log.display());
        let bytes = fs::read(&self.log).map_err(|error| format!("{}: {error}", doing()))?;
        EventLog::parse(&bytes).map_err(|error| format!("{}: {error}", doing()))
    }

    /// What a key would be sealed to now: the values that this very boot's start has given.
    ///
    /// # Errors
    /// As [`Tpm::pcr`].
    pub fn now(&self) -> Result<Pcrs, String> {
        let [a, b, c, d] = PCRS.map(|number| self.pcr(number));
        Ok(Pcrs([a?, b?, c?, d?]))
    }
}

/// What an entry's start will give on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// What it may be: by what a firmware does whose first boot entry starts, and by what this one did in
    /// this very boot. They differ where it tried something else before.
    pub starts: Vec<Pcrs>,
    /// Why neither is sure, in words.
    pub doubt: Option<String>,
}

impl Tpm {
    /// Predicts the start of an entry whose files are on the ESP that is mounted at `esp`, and from which
    /// this boot came. The firmware's log is in securityfs, which must be mounted.
    ///
    /// # Errors
    /// In words, if a file of the entry, or the TPM, cannot be read.
    pub fn foresee(&self, esp: &Path, entry: &Entry) -> Result<Foreseen, String> {
        let start = entry.start(esp).map_err(|error| chain(&error))?;
        let secure_boot = self.pcr(7)?;
        let plain = plain_before().to_vec();
        let (before, doubt) = match self.before(esp) {
            Ok(seen) if seen == plain => (vec![plain], None),
            Ok(seen) => (vec![plain, seen], None),
            Err(why) => (vec![plain], Some(why)),
        };
        let starts = before.iter().map(|before| predict(&start, before, secure_boot)).collect();
        Ok(Foreseen { starts, doubt })
    }

    fn before(&self, esp: &Path) -> Result<Vec<Digest>, String> {
        let log = self.log()?;
        let loader = loader(esp).map_err(|error| chain(&error))?;
        observed_before(&log, self.pcr(4)?, loader).map_err(|doubt| doubt.to_string())
    }
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_from_a_tpm_2_alone() {
        let sys = tempfile::tempdir().unwrap();
        let (folder, uefi) = (sys.path().join(TPMS).join("tpm0"), sys.path().join(UEFI));
        fs::create_dir_all(&uefi).unwrap();
        assert_eq!(Tpm::find(sys.path()), None);
        fs::create_dir_all(folder.join("pcr-sha256")).unwrap();
        fs::write(folder.join("tpm_version_major"), "1\n").unwrap();
        assert_eq!(Tpm::find(sys.path()), None);
        fs::write(folder.join("tpm_version_major"), "2\n").unwrap();
        fs::remove_dir(&uefi).unwrap();
        assert_eq!(Tpm::find(sys.path()), None, "started by BIOS");
        fs::create_dir_all(&uefi).unwrap();
        let tpm = Tpm::find(sys.path()).unwrap();
        assert!(tpm.now().unwrap_err().contains("pcr-sha256/4"));
        for (number, byte) in PCRS.iter().zip(["0A", "0b", "0c", "0d"]) {
            fs::write(folder.join("pcr-sha256").join(number.to_string()), format!("{}\n", byte.repeat(32)))
                .unwrap();
        }
        assert_eq!(tpm.now().unwrap(), Pcrs([10, 11, 12, 13].map(|byte| Digest([byte; 32]))));
        assert!(tpm.log().is_err());
    }
}
