//! The marker: partition 1's name says how far an installation came.
//!
//! `landfall-installing-<id>`: half done, a later run starts again. `landfall-keeping-<id>`: half
//! done over kept state, a later run resumes and never treats it as blank. `landfall-done-<id>`:
//! a finished machine. The longest fills the 36 UTF-16 units of the GPT name field exactly.

use std::fmt;
use std::str::FromStr;

use crate::error::{DiskError, Result};

/// Units in a GPT partition name (UEFI specification 2.10, table 5.6).
pub const NAME_UNITS: usize = 36;

/// How far an installation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The disk is being made new; what is on it is worth nothing.
    Installing,
    /// The disk is being made new around state that is kept.
    Keeping,
    /// The disk is a finished machine.
    Done,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Installing => "installing",
            Self::Keeping => "keeping",
            Self::Done => "done",
        }
    }
}

/// The number of one installation: eight random bytes, written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallId(pub [u8; 8]);

impl fmt::Display for InstallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for InstallId {
    type Err = DiskError;

    fn from_str(text: &str) -> Result<Self> {
        let plain = |c: &u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.as_bytes().iter().all(plain) {
            return Err(DiskError::BadText {
                what: "an install id",
                why: format!("{text:?} is not 16 lower-case hex digits"),
            });
        }
        let number = u64::from_str_radix(text, 16).unwrap_or_default();
        Ok(Self(number.to_be_bytes()))
    }
}

/// What partition 1's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// How far the installation came.
    pub phase: Phase,
    /// Which installation it was.
    pub id: InstallId,
}

impl Marker {
    /// Reads a partition's name; `None` when it is not a marker.
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("landfall-")?;
        let (word, id) = rest.split_once('-')?;
        let phase = [Phase::Installing, Phase::Keeping, Phase::Done]
            .into_iter()
            .find(|phase| phase.word() == word)?;
        Some(Self { phase, id: id.parse().ok()? })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "landfall-{}-{}", self.phase.word(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_goes_there_and_back_and_fits() {
        for phase in [Phase::Installing, Phase::Keeping, Phase::Done] {
            let marker = Marker { phase, id: InstallId([0, 1, 2, 0xab, 4, 5, 6, 0xff]) };
            let name = marker.to_string();
            assert!(name.len() <= NAME_UNITS, "{name}");
            assert_eq!(Marker::parse(&name), Some(marker));
        }
    }

    #[test]
    fn what_is_not_a_marker_is_none() {
        for name in [
            "",
            "landfall",
            "landfall-",
            "landfall-done",
            "landfall-done-",
            "landfall-done-00112233445566",
            "landfall-done-001122334455667788",
            "landfall-done-00112233445566ZZ",
            "landfall-done-00112233445566FF",
            "landfall-done-+011223344556677",
            "landfall-gone-0011223344556677",
            "EFI System Partition",
            "landfall-done-\u{e9}11223344556677",
        ] {
            assert_eq!(Marker::parse(name), None, "{name}");
        }
    }
}
