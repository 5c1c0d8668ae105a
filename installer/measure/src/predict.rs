//! What a boot entry's start will have measured when its kernel runs. Verified on guests against the PCRs
//! themselves; `fixtures/` has one of them.

use crate::digest::Digest;
use crate::event_log::EventLog;
use std::fmt::Write as _;

/// The PCRs that a key is sealed to, in order: the programs, Secure Boot's state and keys, the initrds, the
/// command line. 7, 9 and 12 alone are not enough: an older kernel of Debian's measures no initrd, and who
/// runs it can extend PCR 9 to whatever is wanted. PCR 4 names the kernel.
pub const PCRS: [u32; 4] = [4, 7, 9, 12];

/// What the firmware notes before it starts the first program, where nothing went wrong before: the event's
/// text (TCG PC Client Platform Firmware Profile 1.06, 10.4.5) and the separator's data.
const CALLING: &[u8] = b"Calling EFI Application from Boot Option";
const SEPARATOR: [u8; 4] = [0; 4];

/// Values of [`PCRS`], in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pcrs(pub [Digest; PCRS.len()]);

impl Pcrs {
    /// PCR and value, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, Digest)> {
        PCRS.into_iter().zip(self.0)
    }

    /// As `systemd-cryptenroll --tpm2-pcrs=` takes values that are not the present ones.
    pub fn argument(&self) -> String {
        let mut out = String::new();
        for (pcr, value) in self.pairs() {
            let plus = if out.is_empty() { "" } else { "+" };
            // Writing to a String cannot fail.
            let _ = write!(out, "{plus}{pcr}:sha256={value}");
        }
        out
    }

    /// The digest of a policy that asks for these values, and for a PIN if `pin`: what stands in the
    /// token of a slot that is sealed to them (TPM 2.0 Part 3, 23.7 `TPM2_PolicyPCR` and 23.17
    /// `TPM2_PolicyAuthValue`).
    pub fn policy(&self, pin: bool) -> Digest {
        // One selection: TPM_ALG_SHA256, three bytes of bits.
        let mut selection = vec![0, 0, 0, 1, 0, 0x0b, 3, 0, 0, 0];
        for pcr in PCRS {
            if let Some(byte) = selection.get_mut(7 + pcr as usize / 8) {
                *byte |= 1 << (pcr % 8);
            }
        }
        let values: Vec<u8> = self.0.iter().flat_map(|value| value.0).collect();
        let command: u32 = 0x0000_017f;
        let mut input = Digest::ZERO.0.to_vec();
        input.extend(command.to_be_bytes());
        input.extend(selection);
        input.extend(Digest::of(&values).0);
        let policy = Digest::of(&input);
        if !pin {
            return policy;
        }
        let command: u32 = 0x0000_016b;
        Digest::of(&[policy.0.as_slice(), &command.to_be_bytes()].concat())
    }
}

/// What starts with a boot entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Authenticode hashes of shim, systemd-boot and the kernel.
    pub programs: [Digest; 3],
    /// Load options of the kernel, from [`load_options`].
    pub options: Vec<u8>,
    /// From [`crate::Initrds`].
    pub initrds: Digest,
}

/// Predicts the PCRs of a start: `before` is what PCR 4 gets before the first program, `secure_boot` is
/// PCR 7, which does not change as long as the same signers' programs start.
pub fn predict(start: &Start, before: &[Digest], secure_boot: Digest) -> Pcrs {
    let options = Digest::of(&start.options);
    Pcrs([
        Digest::after(before.iter().chain(&start.programs).copied()),
        secure_boot,
        // The kernel's stub measures its options there too, and before the initrds.
        Digest::after([options, start.initrds]),
        Digest::after([options]),
    ])
}

/// The load options that systemd-boot 257 gives the kernel for a type 1 entry: initrds in the order of the file,
/// as the firmware writes paths, then the entry's options; UTF-16 with a final NUL. `initrds` have forward
/// slashes and no leading one.
pub fn load_options(initrds: &[String], options: &str) -> Vec<u8> {
    let mut words: Vec<String> =
        initrds.iter().map(|path| format!("initrd=\\{}", path.replace('/', "\\"))).collect();
    words.push(options.to_owned());
    words.join(" ").encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// What PCR 4 gets before the first program, on a machine whose first boot entry starts.
pub fn plain_before() -> [Digest; 2] {
    [Digest::of(CALLING), Digest::of(&SEPARATOR)]
}

/// Why this machine's firmware cannot be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Entries are missing from the log.
    #[error("its log of measurements does not give the TPM's own value")]
    LogUntrue,
    /// It started something else, or measures it otherwise.
    #[error("it did not measure the loader in the way that is known")]
    OtherPrograms,
}

/// What PCR 4 got before the first program in this very boot, if the log is true and the firmware measured
/// shim and systemd-boot as a prediction would: then it will measure the next start in the same way.
///
/// # Errors
/// If the machine cannot be predicted.
pub fn observed_before(
    log: &EventLog,
    programs_pcr: Digest,
    loader: [Digest; 2],
) -> Result<Vec<Digest>, Doubt> {
    if log.replay(4) != programs_pcr {
        return Err(Doubt::LogUntrue);
    }
    if !log.programs().starts_with(&loader) {
        return Err(Doubt::OtherPrograms);
    }
    Ok(log.before_programs())
}
