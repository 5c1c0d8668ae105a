//! The firmware's log of what it measured (TCG PC Client Platform Firmware Profile 1.06, 10: "Event Logging",
//! crypto agile form), as the kernel shows it in `binary_bios_measurements`.

use crate::digest::{Digest, LEN};

/// TPM_ALG_SHA256 (TCG Algorithm Registry).
const SHA256: u16 = 0x000b;
/// An entry that was never extended into a PCR.
const EV_NO_ACTION: u32 = 0x0000_0003;
/// An EFI program that was started: the loader, the kernel.
const EV_EFI_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
/// Signature of the first entry's data in this form.
const SPEC_ID: &[u8] = b"Spec ID Event03\0";
/// The log is a page or ten; what is larger is none.
const MOST_BYTES: usize = 4 << 20;
/// Hash algorithms of one TPM.
const MOST_ALGORITHMS: usize = 16;
/// The PCR of programs that the firmware starts.
const PROGRAMS: u32 = 4;

/// Why a log cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the firmware's log of measurements cannot be read: {0}")]
pub struct BadLog(&'static str);

/// One entry, of the SHA-256 bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    pcr: u32,
    kind: u32,
    digest: Digest,
}

/// The entries that were extended, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog(Vec<Event>);

impl EventLog {
    /// Parses the log's bytes.
    ///
    /// # Errors
    /// If it is cut short, is of the older form without SHA-256, or is no log at all.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadLog> {
        if bytes.len() > MOST_BYTES {
            return Err(BadLog("it is too long"));
        }
        let mut rest = Rest(bytes);
        let sizes = header(&mut rest)?;
        let mut events = Vec::new();
        while !rest.0.is_empty() {
            let event = event(&mut rest, &sizes)?;
            if event.kind != EV_NO_ACTION {
                events.push(event);
            }
        }
        Ok(Self(events))
    }

    /// What a PCR must be if the log is true. PCR 0 may start otherwise (StartupLocality) and is no
    /// part of this.
    pub fn replay(&self, pcr: u32) -> Digest {
        Digest::after(self.0.iter().filter(|event| event.pcr == pcr).map(|event| event.digest))
    }

    /// What stands in PCR 4 before the first program: which actions the firmware took until then. A
    /// machine whose first boot entry leads nowhere has more of it.
    pub fn before_programs(&self) -> Vec<Digest> {
        self.programs_pcr().take_while(|event| !event.is_program()).map(|event| event.digest).collect()
    }

    /// All that PCR 4 has from the first program on; on a chain that is known, one per program.
    pub fn programs(&self) -> Vec<Digest> {
        self.programs_pcr().skip_while(|event| !event.is_program()).map(|event| event.digest).collect()
    }

    fn programs_pcr(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().filter(|event| event.pcr == PROGRAMS)
    }
}

impl Event {
    fn is_program(&self) -> bool {
        self.kind == EV_EFI_BOOT_SERVICES_APPLICATION
    }
}

/// The first entry has the older form, and says which digests the others carry and how long they are.
fn header(rest: &mut Rest<'_>) -> Result<Vec<(u16, usize)>, BadLog> {
    let (_pcr, kind) = (rest.u32()?, rest.u32()?);
    rest.take(20)?;
    let len = rest.length()?;
    let mut data = Rest(rest.take(len)?);
    if kind != EV_NO_ACTION || data.take(SPEC_ID.len())? != SPEC_ID {
        return Err(BadLog("it is not of the form that has SHA-256"));
    }
    // platformClass, two versions, errata, uintnSize.
    data.take(8)?;
    let count = data.length()?;
    if count > MOST_ALGORITHMS {
        return Err(BadLog("it names too many hash algorithms"));
    }
    (0..count).map(|_| Ok((data.u16()?, usize::from(data.u16()?)))).collect()
}

fn event(rest: &mut Rest<'_>, sizes: &[(u16, usize)]) -> Result<Event, BadLog> {
    let (pcr, kind) = (rest.u32()?, rest.u32()?);
    let mut digest = None;
    let count = rest.length()?;
    if count > MOST_ALGORITHMS {
        return Err(BadLog("an entry has too many hashes"));
    }
    for _ in 0..count {
        let algorithm = rest.u16()?;
        let known = sizes.iter().find(|(id, _)| *id == algorithm);
        let (_, len) = known.ok_or(BadLog("an entry has a hash that the log's head does not name"))?;
        let bytes = rest.take(*len)?;
        if algorithm == SHA256 {
            digest = <[u8; LEN]>::try_from(bytes).ok().map(Digest);
        }
    }
    let len = rest.length()?;
    rest.take(len)?;
    let digest = digest.ok_or(BadLog("an entry has no SHA-256; the firmware's SHA-256 bank may be off"))?;
    Ok(Event { pcr, kind, digest })
}

/// What is not read yet; all numbers are little-endian.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BadLog> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(BadLog("it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, BadLog> {
        let bytes = self.take(2)?.try_into().map_err(|_| BadLog("it is cut short"))?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn u32(&mut self) -> Result<u32, BadLog> {
        let bytes = self.take(4)?.try_into().map_err(|_| BadLog("it is cut short"))?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn length(&mut self) -> Result<usize, BadLog> {
        usize::try_from(self.u32()?).map_err(|_| BadLog("a length is too large"))
    }
}
