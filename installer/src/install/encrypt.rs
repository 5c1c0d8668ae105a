//! The target's encryption: which keys it gets, and who learns them. Settled before the first
//! write; no key is ever said, logged or put into a report in the clear.

use super::dialogue::{Dialogue, Reply};
use super::hosts::Chosen;
use super::identity::Identity;
use super::refusal::Refusal;
use super::way::Went;
use crate::console::Kind as ConsoleKind;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::luks::{self, Opened, RecoveryKey, Volume};
use crate::mounts::{Kind, Mount};
use age::secrecy::{ExposeSecret, SecretString};
use landfall_hosts::host::Unlock;
use landfall_hosts::manifest::{EncryptSpec, LayerKind};
use landfall_hosts::paths::{data, machine};
use rustix::mount::MountFlags;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// Fewer characters than this are no passphrase.
const LEAST_CHARACTERS: usize = 8;
/// The TPM slows guessing down, so that fewer characters than a passphrase's are a PIN.
const LEAST_OF_PIN: usize = 4;
/// More than a passphrase may have, and a ciphertext of one.
const MOST_BYTES: u64 = 512;
const MOST_CIPHERTEXT_BYTES: u64 = 64 * 1024;
/// A person types this when the recovery key is on paper.
const WRITTEN: &str = "written";
const ABOUT_THE_KEY: [&str; 5] = [
    "The recovery key of this disk, shown",
    "this once. It opens the disk without",
    "the passphrase, and goes with the",
    "installation that begins now:",
    "",
];
/// Line of a screen's code beside which the words begin.
const WORDS_FROM_LINE: usize = 7;
/// Bounds of what one attempt at the passphrase may cost, in KiB.
const MEMORY_KIB: std::ops::RangeInclusive<u64> = 32 * 1024..=1024 * 1024;

/// Something that a person types at each start of the machine.
struct Word {
    /// The refusal where nobody is there and no secret will do.
    slug: &'static str,
    /// Its key in `disk.encrypt`, and what it is called.
    key: &'static str,
    question: &'static str,
    least: usize,
    of: fn(&EncryptSpec) -> Option<&String>,
}

const PASSPHRASE: Word = Word {
    slug: "no-passphrase",
    key: "passphrase",
    question: "A new passphrase for this disk, typed at every start of the machine",
    least: LEAST_CHARACTERS,
    of: |spec| spec.passphrase.as_ref(),
};
const PIN: Word = Word {
    slug: "no-pin",
    key: "pin",
    question: "A new PIN for this disk, typed at every start; letters are welcome",
    least: LEAST_OF_PIN,
    of: |spec| spec.pin.as_ref(),
};
/// The TPM does not tell the old one, and a slot for another start needs it anew.
const PIN_OF_KEPT: Word =
    Word { question: "The PIN of this disk from now on, typed at every start; the old one will do", ..PIN };

/// The keys of a disk that is going to be encrypted.
#[derive(Debug)]
pub struct Keys {
    /// Typed at each boot, where the host says so.
    pub passphrase: Option<SecretString>,
    /// Typed at each boot beside the TPM, where the host says so.
    pub pin: Option<SecretString>,
    /// Opens the disk when all else fails.
    pub recovery: RecoveryKey,
}

/// The keys of a volume that stays as it is.
#[derive(Debug)]
pub struct Kept {
    /// One that opens it.
    pub key: SecretString,
    /// Typed at each boot beside the TPM, where the host says so.
    pub pin: Option<SecretString>,
}

/// What the keys are settled from.
pub struct Ask<'a> {
    /// Consoles, drivers.
    pub context: &'a Context,
    /// The host.
    pub chosen: &'a Chosen,
    /// The medium's data partition.
    pub medium: &'a Path,
    /// The host's identity.
    pub identity: Option<&'a Identity>,
}

impl Ask<'_> {
    /// The keys of the host's disk; none where it is not encrypted. With nobody there the
    /// passphrase is the host's secret.
    pub fn keys(&self, dialogue: &mut Dialogue<'_>) -> std::result::Result<(Option<Keys>, Went), Refusal> {
        let Some(spec) = &self.chosen.manifest.install.encrypt else {
            return Ok((None, Went::Silent));
        };
        self.can_unlock()?;
        let recovery = RecoveryKey::random().map_err(|error| failed(&error))?;
        let [asks, asks_pin] = [Unlock::Passphrase, Unlock::Tpm2Pin].map(|way| spec.unlock.contains(&way));
        if dialogue.is_unattended() {
            // Refused here, not after the disk was written.
            sealed(&recovery, &spec.admins)?;
            let named = |word: &Word, asks: bool| asks.then(|| self.named(spec, word)).transpose();
            let (passphrase, pin) = (named(&PASSPHRASE, asks)?, named(&PIN, asks_pin)?);
            return Ok((Some(Keys { passphrase, pin, recovery }), Went::Silent));
        }
        let Reply::Given(passphrase) = typed_if(asks, dialogue, &PASSPHRASE) else {
            return Ok((None, Went::Back));
        };
        let Reply::Given(pin) = typed_if(asks_pin, dialogue, &PIN) else {
            return Ok((None, Went::Back));
        };
        Ok(match show(dialogue, &recovery) {
            Reply::Given(()) => (Some(Keys { passphrase, pin, recovery }), Went::Answered),
            Reply::Back => (None, Went::Back),
        })
    }

    /// The PIN that the TPM gets for a volume that is kept, where the host asks for one.
    pub fn pin_of_kept(
        &self,
        dialogue: &mut Dialogue<'_>,
    ) -> std::result::Result<(Option<SecretString>, Went), Refusal> {
        let spec = self.chosen.manifest.install.encrypt.as_ref();
        let Some(spec) = spec.filter(|spec| spec.unlock.contains(&Unlock::Tpm2Pin)) else {
            return Ok((None, Went::Silent));
        };
        if dialogue.is_unattended() {
            return Ok((Some(self.named(spec, &PIN_OF_KEPT)?), Went::Silent));
        }
        Ok(match typed(dialogue, &PIN_OF_KEPT) {
            Reply::Given(pin) => (Some(pin), Went::Answered),
            Reply::Back => (None, Went::Back),
        })
    }

    /// A refusal where the boot entry that was chosen brought no programs to unlock with.
    pub fn can_unlock(&self) -> std::result::Result<(), Refusal> {
        luks::carried().map_err(|error| self.without_programs(&error))
    }

    fn without_programs(&self, error: &Error) -> Refusal {
        let host = &self.chosen.manifest.host;
        Refusal::new(
            "nothing-to-encrypt-with",
            format!("the disk of {host} is an encrypted one, and {}", error.chain()),
            format!(
                "restart, and choose the entry of {host} in the medium's menu: each entry brings its own programs"
            ),
        )
    }

    /// The passphrase that the host's secret holds.
    pub fn named_passphrase(&self, spec: &EncryptSpec) -> std::result::Result<SecretString, Refusal> {
        self.named(spec, &PASSPHRASE)
    }

    /// What the host's secret says, where nobody is there to type it.
    fn named(&self, spec: &EncryptSpec, word: &Word) -> std::result::Result<SecretString, Refusal> {
        let host = &self.chosen.manifest.host;
        let (slug, key) = (word.slug, word.key);
        let refused = |why: String| {
            Refusal::new(
                slug,
                format!("the disk of {host} is an encrypted one, nobody is watching, and {why}"),
                format!(
                    "in hosts/{host}.toml name a secret, disk.encrypt.{key} = {{ secret = \"NAME\" }}, set \
                     it with landfall secret set NAME, and build the medium again; or choose the attended entry"
                ),
            )
        };
        let name = (word.of)(spec).ok_or_else(|| refused(format!("no {key} is named")))?;
        let identity =
            self.identity.ok_or_else(|| refused("the medium carries no identity to open it with".into()))?;
        let ciphertext = self.ciphertext(name).map_err(|error| refused(error.chain()))?;
        let text = decrypted(&ciphertext, identity.text())
            .map_err(|why| refused(format!("the secret {name} does not open: {why}")))?;
        fit(&text, word).map_err(|why| refused(format!("the secret {name} is no {key}: {why}")))?;
        Ok(text)
    }

    /// Ciphertexts are in the host layer, which was verified before.
    fn ciphertext(&self, name: &str) -> Result<Vec<u8>> {
        let layers = &self.chosen.manifest.layers;
        let layer = layers.iter().find(|layer| layer.kind == LayerKind::Host);
        let layer = layer.ok_or_else(|| Error::Words("the medium has no layer of this host".into()))?;
        let image = self.medium.join(data::LAYERS).join(format!("{}.erofs", layer.sha256));
        let folder = self.context.roots.run.join("landfall/host-layer");
        let kind = Kind { name: "erofs", flags: MountFlags::RDONLY | MountFlags::NODEV, options: "" };
        let mount = Mount::new(&image, &folder, kind)?;
        let below = machine::CIPHERTEXTS.trim_start_matches('/');
        let path = folder.join(below).join(format!("{name}.age"));
        let doing = || format!("reading the ciphertext {}", path.display());
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(Error::io(doing()))?;
        file.take(MOST_CIPHERTEXT_BYTES).read_to_end(&mut bytes).map_err(Error::io(doing()))?;
        mount.close()?;
        Ok(bytes)
    }
}

fn failed(error: &Error) -> Refusal {
    Refusal::new("no-random-numbers", error.chain(), "try again; restart the machine if it stays so")
}

/// Whether it will do as a PIN.
pub fn fits_as_pin(text: &SecretString) -> std::result::Result<(), String> {
    fit(text, &PIN)
}

/// What can be typed at the next boot.
fn fit(text: &SecretString, word: &Word) -> std::result::Result<(), String> {
    let text = text.expose_secret();
    if text.chars().count() < word.least {
        return Err(format!("it has fewer than {} characters", word.least));
    }
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    match text.chars().any(char::is_control) {
        true => Err("it has characters that nobody can type".into()),
        false => Ok(()),
    }
}

fn decrypted(ciphertext: &[u8], identity: &str) -> std::result::Result<SecretString, String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let lines = identity.lines().filter(|line| line.starts_with("AGE-SECRET-KEY-1"));
    let identities: Vec<age::x25519::Identity> = lines.filter_map(|line| line.trim().parse().ok()).collect();
    let identities = identities.iter().map(|identity| identity as &dyn age::Identity);
    let armored = age::armor::ArmoredReader::new(ciphertext);
    let decryptor = age::Decryptor::new(armored).map_err(|error| words(&error))?;
    let reader = decryptor.decrypt(identities).map_err(|error| words(&error))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize + 2));
    // A line break at the end is an editor's, not the passphrase's.
    reader.take(MOST_BYTES + 2).read_to_end(&mut bytes).map_err(|error| words(&error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is no text".to_owned())?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn typed_if(asks: bool, dialogue: &mut Dialogue<'_>, word: &Word) -> Reply<Option<SecretString>> {
    if !asks {
        return Reply::Given(None);
    }
    match typed(dialogue, word) {
        Reply::Given(text) => Reply::Given(Some(text)),
        Reply::Back => Reply::Back,
    }
}

fn typed(dialogue: &mut Dialogue<'_>, word: &Word) -> Reply<SecretString> {
    loop {
        let Reply::Given(text) = dialogue.new_secret(word.key, word.question) else {
            return Reply::Back;
        };
        match fit(&text, word) {
            Ok(()) => return Reply::Given(text),
            Err(why) => dialogue.consoles().print(&format!("That will not do: {why}.")),
        }
    }
}

/// Shows the recovery key once, on the console that has the dialogue and nowhere else.
fn show(dialogue: &mut Dialogue<'_>, recovery: &RecoveryKey) -> Reply<()> {
    dialogue.show(&|kind| page(recovery, kind));
    let question = format!("Type {WRITTEN} when you have it on paper or in a password store, or back");
    let reply = dialogue.typed("recovery-key", &question, |line| line == WRITTEN);
    dialogue.clear();
    match reply {
        Reply::Given(_) => Reply::Given(()),
        Reply::Back => Reply::Back,
    }
}

/// On a screen the words stand beside the code, so that all of it fits where 25 lines do.
fn page(recovery: &RecoveryKey, kind: ConsoleKind) -> Vec<String> {
    let mut code = recovery.qr(kind == ConsoleKind::Serial);
    let words = ABOUT_THE_KEY.iter().map(|line| (*line).to_owned()).chain(recovery.lines());
    match kind {
        ConsoleKind::Serial => code.extend(words),
        ConsoleKind::Screen => {
            let middle = code.iter_mut().skip(WORDS_FROM_LINE);
            middle.zip(words).for_each(|(line, words)| *line = format!("{line}  {words}"));
        }
    }
    code
}

/// The recovery key for the report: armored age, to the admins alone.
pub fn sealed(recovery: &RecoveryKey, admins: &[String]) -> std::result::Result<String, Refusal> {
    let parsed = admins.iter().filter_map(|text| recipient(text));
    let recipients: Vec<Box<dyn age::Recipient>> = parsed.collect();
    let refused = |why: String| {
        Refusal::new(
            "recovery-key-for-nobody",
            format!("the recovery key cannot be encrypted to the site's admins: {why}"),
            "name an admin with an age1… or ssh key in site.toml ([admins]) and build the medium again",
        )
    };
    let by_reference = recipients.iter().map(|recipient| &**recipient);
    let encryptor =
        age::Encryptor::with_recipients(by_reference).map_err(|error| refused(error.to_string()))?;
    let mut text = Vec::new();
    let secret = recovery.secret().expose_secret().as_bytes();
    let written =
        age::armor::ArmoredWriter::wrap_output(&mut text, age::armor::Format::AsciiArmor).and_then(|armor| {
            let mut writer = encryptor.wrap_output(armor)?;
            std::io::Write::write_all(&mut writer, secret)?;
            writer.finish()?.finish().map(drop)
        });
    written.map_err(|error| refused(error.to_string()))?;
    String::from_utf8(text).map_err(|error| refused(error.to_string()))
}

/// Recipients of plugins need their plugin, which a medium does not have.
fn recipient(text: &str) -> Option<Box<dyn age::Recipient>> {
    if let Ok(key) = text.parse::<age::x25519::Recipient>() {
        return Some(Box::new(key));
    }
    text.parse::<age::ssh::Recipient>().ok().map(|key| Box::new(key) as Box<dyn age::Recipient>)
}

/// Encrypts a new data partition and opens it.
pub fn format(context: &Context, device: &Path, keys: &Keys) -> Result<Opened> {
    luks::prepare(context);
    let volume = Volume::on(device);
    volume.format(&keys.recovery)?;
    if let Some(passphrase) = &keys.passphrase {
        let text = std::fs::read_to_string(context.roots.proc.join("meminfo")).unwrap_or_default();
        volume.add_passphrase(&keys.recovery, passphrase, memory_kib(&text))?;
    }
    let opened = volume.open(keys.recovery.secret())?;
    opened.ok_or_else(|| Error::Words("the new volume does not open with the key it was made with".into()))
}

/// A quarter of the memory: the same machine must be able to hash it again in stage 1, whose own
/// files are in memory, too (proc_meminfo(5)).
fn memory_kib(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    (kib / 4).clamp(*MEMORY_KIB.start(), *MEMORY_KIB.end())
}

/// What a summary says.
pub fn words(spec: Option<&EncryptSpec>) -> String {
    let Some(spec) = spec else {
        return "none".into();
    };
    let ways: Vec<&str> = spec.unlock.iter().map(|way| way.word()).collect();
    format!("LUKS2, opened by {}, and by its recovery key", ways.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn the_passphrase_is_the_secret_without_its_line_break() {
        let identity = age::x25519::Identity::generate();
        let text = identity.to_string();
        let sealed = age::encrypt_and_armor(&identity.to_public(), b"zwei yaks\n").unwrap();
        let opened = decrypted(sealed.as_bytes(), &format!("# made\n{}\n", text.expose_secret())).unwrap();
        assert_eq!(opened.expose_secret(), "zwei yaks");
        let other = age::x25519::Identity::generate();
        assert!(decrypted(sealed.as_bytes(), other.to_string().expose_secret()).is_err());
        assert!(decrypted(b"noise", text.expose_secret()).is_err());
        assert!(decrypted(sealed.as_bytes(), "").is_err());
    }

    #[test]
    fn a_passphrase_can_be_typed() {
        assert!(fit(&secret("straße 1"), &PASSPHRASE).is_ok());
        assert!(fit(&secret("1234"), &PIN).is_ok() && fit(&secret("123"), &PIN).is_err());
        for bad in ["", "short", "two\nlines of it", &"x".repeat(600)] {
            assert!(fit(&secret(bad), &PASSPHRASE).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_recovery_key_is_for_the_admins_alone() {
        let key = RecoveryKey::random().unwrap();
        let admin = age::x25519::Identity::generate();
        let text = sealed(&key, &["age1plugin1xxx".into(), admin.to_public().to_string()]).unwrap();
        assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
        assert!(!text.contains(key.secret().expose_secret()));
        let opened = decrypted(text.as_bytes(), admin.to_string().expose_secret()).unwrap();
        assert_eq!(opened.expose_secret(), key.secret().expose_secret());
        assert_eq!(sealed(&key, &["age1plugin1xxx".into()]).unwrap_err().slug, "recovery-key-for-nobody");
        assert_eq!(sealed(&key, &[]).unwrap_err().slug, "recovery-key-for-nobody");
    }

    #[test]
    fn small_machines_can_unlock_again() {
        assert_eq!(memory_kib("MemTotal:      500000 kB\nMemFree: 1 kB\n"), 125_000);
        assert_eq!(memory_kib("MemTotal:    33554432 kB\n"), 1024 * 1024);
        assert_eq!(memory_kib("nonsense"), 32 * 1024);
    }

    #[test]
    fn the_page_of_the_recovery_key_fits_on_a_screen() {
        let key = RecoveryKey::random().unwrap();
        let page = page(&key, ConsoleKind::Screen);
        // Two more lines: the sentinel and the question.
        assert!(page.len() <= 23 && page.iter().all(|line| line.chars().count() <= 80));
        let serial = super::page(&key, ConsoleKind::Serial);
        for line in key.lines() {
            assert!(page.iter().any(|shown| shown.ends_with(&line)) && serial.contains(&line));
        }
    }
}
