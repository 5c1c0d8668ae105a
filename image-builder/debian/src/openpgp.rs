//! Who signed an archive's InRelease: OpenPGP clearsigned text (RFC 9580, chapter 7).
//!
//! The `pgp` crate checks signatures; which key may sign, until when, and what text was signed is
//! decided here. Only the text that was hashed is ever returned.

use crate::clock::UnixSeconds;
use crate::error::{Error, Result};
use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, PacketTrait, Signature, SignatureType};
use pgp::types::{KeyDetails, KeyVersion};

/// Debian's own InRelease files have 140 KB; whatever is larger than this is not one.
pub const MAX_CLEARSIGNED_BYTES: u64 = 4 << 20;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// The certificates that may sign one archive.
#[derive(Debug, Clone)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Debian's archive keys, from this program.
    ///
    /// # Errors
    /// If the embedded files are not what [`crate::keys`] says they are.
    pub fn debian() -> Result<Self> {
        let mut certificates = Vec::new();
        for armored in crate::keys::DEBIAN {
            certificates.extend(Self::parse("Debian's archive keys", armored.as_bytes())?.certificates);
        }
        certificates.retain(|certificate| {
            let fingerprint = hex_upper(certificate.fingerprint().as_bytes());
            crate::keys::DEBIAN_FINGERPRINTS.contains(&fingerprint.as_str())
        });
        Ok(Self { certificates })
    }

    /// The certificates of a key file, armored or binary; `what` names it in errors.
    ///
    /// # Errors
    /// If it holds no certificate.
    pub fn parse(what: &str, bytes: &[u8]) -> Result<Self> {
        let wrong = |reason: String| {
            Error::parse(
                what,
                format!("{reason}; expected an OpenPGP public key, as `gpg --export --armor` writes it"),
            )
        };
        let certificates = match std::str::from_utf8(bytes) {
            Ok(text) if text.trim_start().starts_with("-----BEGIN PGP") => armored_blocks(text)
                .map(|block| {
                    let (certificates, _) = SignedPublicKey::from_armor_many(block.as_bytes())?;
                    certificates.collect::<std::result::Result<Vec<_>, _>>()
                })
                .collect::<std::result::Result<Vec<_>, _>>()
                .map(|blocks| blocks.into_iter().flatten().collect()),
            _ => SignedPublicKey::from_bytes_many(bytes)
                .and_then(|certificates| certificates.collect::<std::result::Result<Vec<_>, _>>()),
        };
        let certificates: Vec<_> = certificates.map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("no key in it".into()));
        }
        Ok(Self { certificates })
    }

    /// Fingerprints of the primary keys, upper-case hex.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(|certificate| hex_upper(certificate.fingerprint().as_bytes())).collect()
    }

    /// Checks clearsigned text and returns what was signed.
    ///
    /// One valid signature by a key of this ring is enough: Debian signs with the old and the new
    /// release's keys. A key counts if it was valid when it signed and is neither expired nor
    /// revoked now.
    ///
    /// # Errors
    /// If the form is wrong, or no signature is valid; the reason lists why each did not count.
    pub fn verify(&self, what: &str, clearsigned: &[u8], now: UnixSeconds) -> Result<String> {
        let untrusted = |reason: String, remedy: &str| Error::Untrusted {
            what: what.to_owned(),
            reason,
            remedy: remedy.to_owned(),
        };
        let message = Clearsigned::parse(clearsigned).map_err(|reason| {
            untrusted(
                reason,
                "the mirror did not send an InRelease file (a login page of a network, perhaps); try again, or set another [mirror] in site.toml",
            )
        })?;
        let mut reasons = Vec::new();
        for signature in &message.signatures {
            match self.check(signature, &message, now) {
                Ok(()) => return Ok(message.text),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(untrusted(
            format!("no valid signature: {}", reasons.join("; ")),
            "the mirror may be damaged or dishonest: set another [mirror] in site.toml, or, for a foreign repository, check its `key`",
        ))
    }

    fn check(
        &self,
        signature: &Signature,
        message: &Clearsigned,
        now: UnixSeconds,
    ) -> std::result::Result<(), String> {
        let made = strong_enough(signature)?;
        if made.0 > now.0 + CLOCK_SKEW_SECONDS {
            return Err(format!("a signature is dated {made}, in the future of this computer's clock"));
        }
        if signature
            .signature_expiration_time()
            .is_some_and(|life| life.as_secs() != 0 && made.0 + i64::from(life.as_secs()) < now.0)
        {
            return Err("a signature has expired".into());
        }
        let mut reason = format!("key {} is not one of the allowed ones", issuer(signature));
        for certificate in &self.certificates {
            for key in Signer::of(certificate) {
                if key.verify(signature, message.hashed.as_bytes()) {
                    match key.usable(certificate, made, now) {
                        Ok(()) => return Ok(()),
                        Err(why) => reason = why,
                    }
                } else if issuer_matches(signature, &key) {
                    reason = format!("the signature by {} does not match the text", key.name());
                }
            }
        }
        Err(reason)
    }
}

/// A mirror's clock, or this computer's, may be off by this much.
const CLOCK_SKEW_SECONDS: i64 = 24 * 3600;

/// The primary key, or a subkey, of a certificate.
enum Signer<'a> {
    Primary(&'a SignedPublicKey),
    Subkey(&'a SignedPublicSubKey),
}

impl<'a> Signer<'a> {
    fn of(certificate: &'a SignedPublicKey) -> impl Iterator<Item = Self> {
        std::iter::once(Self::Primary(certificate)).chain(certificate.public_subkeys.iter().map(Self::Subkey))
    }

    fn verify(&self, signature: &Signature, text: &[u8]) -> bool {
        match self {
            Self::Primary(key) => signature.verify(&key.primary_key, text).is_ok(),
            Self::Subkey(key) => signature.verify(&key.key, text).is_ok(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Primary(key) => hex_upper(key.fingerprint().as_bytes()),
            Self::Subkey(key) => hex_upper(key.key.fingerprint().as_bytes()),
        }
    }

    /// Whether the key may sign archives, when it did and now.
    fn usable(
        &self,
        certificate: &SignedPublicKey,
        made: UnixSeconds,
        now: UnixSeconds,
    ) -> std::result::Result<(), String> {
        let primary = &certificate.primary_key;
        if certificate
            .details
            .revocation_signatures
            .iter()
            .any(|revocation| revocation.verify_key(primary).is_ok())
        {
            return Err(format!("key {} is revoked", hex_upper(primary.fingerprint().as_bytes())));
        }
        let certification = primary_certification(certificate)
            .ok_or_else(|| format!("key {} has no valid self-signature", self.name()))?;
        in_time(primary, certification, made, now)?;
        match self {
            Self::Primary(_) => may_sign(certification, &self.name()),
            Self::Subkey(subkey) => {
                let binding = subkey_binding(certificate, subkey)?;
                in_time(&subkey.key, binding, made, now)?;
                may_sign(binding, &self.name())
            }
        }
    }
}

/// The newest valid self-signature that says what a key may do: over a user id for a key of
/// version 4, over the key itself for one of version 6 (RFC 9580, 10.1).
fn primary_certification(certificate: &SignedPublicKey) -> Option<&Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate
        .details
        .direct_signatures
        .iter()
        .filter(|signature| signature.verify_key(primary).is_ok());
    let users = certificate.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|signature| {
            signature.is_certification()
                && signature.verify_certification(primary, user.id.tag(), &user.id).is_ok()
        })
    });
    let direct = direct.max_by_key(|signature| created(signature));
    let user = users.max_by_key(|signature| created(signature));
    if primary.version() == KeyVersion::V6 { direct } else { user.or(direct) }
}

/// The newest valid binding of a subkey; a revoked one, or one that does not bind back, is none.
fn subkey_binding<'a>(
    certificate: &SignedPublicKey,
    subkey: &'a SignedPublicSubKey,
) -> std::result::Result<&'a Signature, String> {
    let primary = &certificate.primary_key;
    let valid = || {
        subkey
            .signatures
            .iter()
            .filter(|signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok())
    };
    let name = hex_upper(subkey.key.fingerprint().as_bytes());
    if valid().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(format!("key {name} is revoked"));
    }
    valid()
        .filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding))
        .filter(|signature| {
            signature
                .embedded_signature()
                .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok())
        })
        .max_by_key(|signature| created(signature))
        .ok_or_else(|| format!("key {name} is not bound to its certificate as a signing key"))
}

fn in_time(
    key: &impl KeyDetails,
    binding: &Signature,
    made: UnixSeconds,
    now: UnixSeconds,
) -> std::result::Result<(), String> {
    let name = hex_upper(key.fingerprint().as_bytes());
    let born = i64::from(key.created_at().as_secs());
    if made.0 < born {
        return Err(format!("key {name} is younger than what it signed"));
    }
    let life = binding.key_expiration_time().map_or(0, |life| i64::from(life.as_secs()));
    let end = UnixSeconds(born + life);
    if life != 0 && now >= end {
        return Err(format!("key {name} expired at {end}; a newer landfall may know its successor"));
    }
    Ok(())
}

fn may_sign(binding: &Signature, name: &str) -> std::result::Result<(), String> {
    if binding.key_flags().sign() { Ok(()) } else { Err(format!("key {name} is not a signing key")) }
}

/// Digests that can be forged do not count (apt's own policy, APT::Hashes::SHA1::Weak).
fn strong_enough(signature: &Signature) -> std::result::Result<UnixSeconds, String> {
    let strong = matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    );
    if !strong {
        return Err(format!("a signature uses {:?}, which is too weak", signature.hash_alg()));
    }
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err("a signature is not one over a text".into());
    }
    created(signature).ok_or_else(|| "a signature has no date".into())
}

fn created(signature: &Signature) -> Option<UnixSeconds> {
    signature.created().map(|time| UnixSeconds(i64::from(time.as_secs())))
}

fn issuer(signature: &Signature) -> String {
    if let Some(fingerprint) = signature.issuer_fingerprint().first() {
        return hex_upper(fingerprint.as_bytes());
    }
    signature.issuer_key_id().first().map_or_else(|| "without a name".into(), |id| hex_upper(id.as_ref()))
}

fn issuer_matches(signature: &Signature, key: &Signer<'_>) -> bool {
    key.name().ends_with(&issuer(signature))
}

/// A clearsigned message taken apart.
struct Clearsigned {
    /// The signed text, dash-escapes undone, lines ending in `\n`.
    text: String,
    /// The same as it is hashed: lines end in CR LF, blanks at their end gone, no line break
    /// after the last (RFC 9580, 7.2).
    hashed: String,
    signatures: Vec<Signature>,
}

impl Clearsigned {
    /// Strict: nothing before the message, nothing after the signature, no header but `Hash`.
    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        if bytes.len() as u64 > MAX_CLEARSIGNED_BYTES {
            return Err("it is far too large".into());
        }
        let all = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
        let mut lines = all.split('\n').map(|line| line.trim_end_matches('\r'));
        if lines.next() != Some(BEGIN_MESSAGE) {
            return Err("it is not clearsigned text".into());
        }
        loop {
            match lines.next() {
                Some("") => break,
                Some(header) if header.starts_with("Hash: ") => {}
                _ => return Err("its signed message has a wrong header".into()),
            }
        }
        let (mut text, mut hashed) = (String::new(), String::new());
        let armor_start = loop {
            let line = lines.next().ok_or("it is cut short: the signature is missing")?;
            if line == BEGIN_SIGNATURE {
                break line;
            }
            let line = match line.strip_prefix("- ") {
                Some(escaped) => escaped,
                None if line.starts_with('-') => return Err("a line of it is not dash-escaped".into()),
                None => line,
            };
            let line = line.trim_end_matches([' ', '\t', '\r']);
            if !text.is_empty() {
                hashed.push_str("\r\n");
            }
            hashed.push_str(line);
            text.push_str(line);
            text.push('\n');
        };
        let mut armor = format!("{armor_start}\n");
        let mut ended = false;
        for line in lines {
            if ended && !line.trim().is_empty() {
                return Err("something stands after its signature".into());
            }
            ended |= line == END_SIGNATURE;
            armor.push_str(line);
            armor.push('\n');
        }
        if !ended {
            return Err("it is cut short: its signature does not end".into());
        }
        Ok(Self { text, hashed, signatures: signatures(&armor)? })
    }
}

fn signatures(armor: &str) -> std::result::Result<Vec<Signature>, String> {
    let damaged = |error: pgp::errors::Error| format!("its signature is damaged ({error})");
    let mut dearmor = pgp::armor::Dearmor::new(armor.as_bytes());
    dearmor.read_header().map_err(damaged)?;
    let mut found = Vec::new();
    for packet in PacketParser::new(std::io::BufReader::new(dearmor)) {
        match packet.map_err(damaged)? {
            Packet::Signature(signature) => found.push(signature),
            _ => return Err("its signature block holds something else".into()),
        }
    }
    if found.is_empty() {
        return Err("it has no signature".into());
    }
    Ok(found)
}

/// The armored blocks of a file that may hold several.
fn armored_blocks(text: &str) -> impl Iterator<Item = &str> {
    const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find("-----BEGIN PGP")?;
        let block = rest.get(start..)?;
        let end = block.find(END).map_or(block.len(), |end| end + END.len());
        rest = block.get(end..)?;
        block.get(..end)
    })
}

fn hex_upper(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests;
