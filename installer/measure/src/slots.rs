//! Key slots of a LUKS2 volume that a TPM opens, as the tokens of `systemd-cryptenroll(1)` describe them, and what
//! of the volume's header must not change under a key that comes without a person.

use crate::digest::Digest;
use crate::predict::{PCRS, Pcrs};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The type of the tokens of `systemd-cryptenroll`.
const TOKEN: &str = "systemd-tpm2";

/// A key slot that the TPM opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmSlot {
    /// Number of its token.
    pub token: u32,
    /// Number of its key slot.
    pub keyslot: u32,
    /// The TPM wants a PIN, too.
    pub pin: bool,
    /// The PCRs that it is sealed to.
    pub pcrs: Vec<u32>,
    /// The policy that the TPM checks.
    pub policy: Digest,
}

impl TpmSlot {
    /// Whether it opens while the PCRs are these.
    pub fn opens_at(&self, pcrs: &Pcrs) -> bool {
        self.pcrs == PCRS && self.policy == pcrs.policy(self.pin)
    }
}

/// Why a header cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the LUKS2 header cannot be read: {0}")]
pub struct BadHeader(&'static str);

/// What is read of a volume's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Hash of the volume's key's own digest and of how the data is encrypted. It is measured with the command
    /// line: else a volume of somebody else's making, with a slot for this very TPM, would be started in the
    /// place of the machine's own, and what is on it could ask the TPM for the machine's key. New key slots do
    /// not change it.
    pub identity: Digest,
    /// How each of its segments is encrypted, as cryptsetup(8) names it; what is not has its segment's type.
    pub ciphers: Vec<String>,
    /// Slots that the TPM opens, by token.
    pub slots: Vec<TpmSlot>,
}

#[derive(Deserialize)]
struct Metadata {
    tokens: BTreeMap<u32, Value>,
    segments: Map<String, Value>,
    digests: BTreeMap<String, Map<String, Value>>,
    config: Map<String, Value>,
}

/// A token of ours; the fields are those of systemd 257, whose older forms are not made here.
#[derive(Deserialize)]
struct Token {
    keyslots: Vec<String>,
    #[serde(rename = "tpm2-pcrs")]
    pcrs: Vec<u32>,
    #[serde(rename = "tpm2-policy-hash")]
    policy: String,
    #[serde(rename = "tpm2-pin", default)]
    pin: bool,
}

impl Header {
    /// Parses what `cryptsetup luksDump --dump-json-metadata` prints.
    ///
    /// # Errors
    /// If it is no LUKS2 metadata. A token that is not understood is left out.
    pub fn parse(json: &str) -> Result<Self, BadHeader> {
        let metadata: Metadata =
            serde_json::from_str(json).map_err(|_| BadHeader("it is no LUKS2 metadata"))?;
        let slots = metadata.tokens.iter().filter_map(|(number, token)| slot(*number, token)).collect();
        let ciphers = metadata.segments.values().map(cipher).collect();
        Ok(Self { ciphers, identity: identity(metadata)?, slots })
    }

    /// The slot that opens while the PCRs are these; one that asks for no PIN before others.
    pub fn opens_at(&self, pcrs: &Pcrs) -> Option<&TpmSlot> {
        let open = self.slots.iter().filter(|slot| slot.opens_at(pcrs));
        open.min_by_key(|slot| slot.pin)
    }

    /// Whether one opens while the PCRs are these, with a PIN or without.
    pub fn has(&self, pcrs: &Pcrs, pin: bool) -> bool {
        self.slots.iter().any(|slot| slot.pin == pin && slot.opens_at(pcrs))
    }

    /// Slots sealed to our PCRs that no start of `wanted` opens any more. Slots that somebody sealed to others
    /// are theirs.
    pub fn spent(&self, wanted: &[Pcrs]) -> Vec<u32> {
        let ours = self.slots.iter().filter(|slot| slot.pcrs == PCRS);
        ours.filter(|slot| !wanted.iter().any(|pcrs| slot.opens_at(pcrs))).map(|slot| slot.keyslot).collect()
    }
}

fn slot(number: u32, token: &Value) -> Option<TpmSlot> {
    if token.get("type")?.as_str()? != TOKEN {
        return None;
    }
    let token = Token::deserialize(token).ok()?;
    let [keyslot] = token.keyslots.as_slice() else { return None };
    Some(TpmSlot {
        token: number,
        keyslot: keyslot.parse().ok()?,
        pin: token.pin,
        pcrs: token.pcrs,
        policy: Digest::parse(&token.policy)?,
    })
}

/// LUKS2 On-Disk Format Specification 1.1.3, 3.3.
fn cipher(segment: &Value) -> String {
    let text = |key: &str| segment.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "crypt" => text("encryption").to_owned(),
        other => other.to_owned(),
    }
}

fn identity(mut metadata: Metadata) -> Result<Digest, BadHeader> {
    for digest in metadata.digests.values_mut() {
        digest.remove("keyslots");
    }
    let requirements = metadata.config.remove("requirements").unwrap_or_default();
    // Maps of serde_json are sorted by their keys, so that the same header gives the same bytes.
    let text = serde_json::to_string(&(metadata.segments, metadata.digests, requirements))
        .map_err(|_| BadHeader("its parts cannot be written"))?;
    Ok(Digest::of(text.as_bytes()))
}

/// Arguments of `systemd-cryptenroll(1)` that seal a new key slot of the volume on `device` to `pcrs`. What opens
/// the volume, and the PIN, are the caller's to add: neither may stand in an argument.
pub fn enrol_arguments(device: &str, pcrs: &Pcrs, pin: bool) -> Vec<String> {
    vec![
        "--tpm2-device=auto".to_owned(),
        format!("--tpm2-pcrs={}", pcrs.argument()),
        format!("--tpm2-with-pin={}", if pin { "yes" } else { "no" }),
        // Neither is ours, and either, found by chance, would make another policy.
        "--tpm2-pcrlock=".to_owned(),
        "--tpm2-public-key=".to_owned(),
        device.to_owned(),
    ]
}

/// Credentials that `systemd-cryptenroll` takes in place of questions (systemd-cryptenroll(1), CREDENTIALS).
pub mod credential {
    /// The PIN of a new slot.
    pub const NEW_PIN: &str = "cryptenroll.new-tpm2-pin";
    /// The PIN of the slot that opens the volume.
    pub const PIN: &str = "cryptenroll.tpm2-pin";
    /// A passphrase or recovery key that opens the volume.
    pub const PASSPHRASE: &str = "cryptenroll.passphrase";
}
