//! The key of an encrypted disk whose state is kept: the host's secret where nobody is there, else
//! what a person types. Nothing is formatted where none of them opens it.

use super::look::{Holds, holds};
use crate::error::Error;
use crate::install::dialogue::{Dialogue, Reply};
use crate::install::encrypt::Ask;
use crate::install::identity;
use crate::install::plan::Plan;
use crate::install::refusal::Refusal;
use crate::luks::{self, CIPHER, Volume};
use crate::probe::Disk;
use crate::stage1::as_typed;
use age::secrecy::{ExposeSecret, SecretString};
use landfall_hosts::manifest::EncryptSpec;
use landfall_measure::Header;

/// The key that opens the state on the plan's disk; none where it lies there in the clear.
pub fn key(
    ask: &Ask<'_>,
    plan: &Plan,
    dialogue: &mut Dialogue<'_>,
) -> Result<Reply<Option<SecretString>>, Refusal> {
    let manifest = &ask.chosen.manifest;
    let partition = match holds(&plan.disk) {
        Ok((partition, Holds::Volume)) => partition,
        // What is no state either is said by whoever looks into it.
        _ => return Ok(Reply::Given(None)),
    };
    let spec = manifest.install.encrypt.as_ref().ok_or_else(|| unasked(&plan.disk))?;
    ask.can_unlock()?;
    luks::prepare(ask.context);
    let volume = Volume::on(&partition.path);
    let header = volume.header().map_err(|error| locked(&manifest.host, &error.chain()))?;
    is_secret(&plan.disk, &header)?;
    match dialogue.is_unattended() {
        true => named(ask, spec, &volume, dialogue).map(|key| Reply::Given(Some(key))),
        false => {
            explain(spec, dialogue);
            typed(&plan.disk, &volume, dialogue)
        }
    }
}

fn unasked(disk: &Disk) -> Refusal {
    Refusal::new(
        "state-encrypted",
        format!("the state on {} is encrypted, and the host asks for a plain disk", disk.line()),
        "set [disk] encrypt as it was when the machine was installed and build the medium again; or set \
         existing = \"wipe\" if all of it may go",
    )
}

/// A header is not signed, and its keys open a volume that encrypts nothing as well: whoever had the disk in hand
/// could have put a state of their own there, for the new system to start with.
fn is_secret(disk: &Disk, header: &Header) -> Result<(), Refusal> {
    if header.ciphers == [CIPHER] {
        return Ok(());
    }
    Err(Refusal::new(
        "state-encrypted-otherwise",
        format!(
            "the volume on {} is encrypted by {}, and a Landfall makes {CIPHER}: somebody has changed it",
            disk.line(),
            header.ciphers.join(" and ")
        ),
        "if you did not encrypt it anew yourself, trust nothing that is on it; save what you need from another \
         system, set existing = \"wipe\", and install the machine anew",
    ))
}

/// The key from the host's secret, which the medium's bare identity opens.
fn named(
    ask: &Ask<'_>,
    spec: &EncryptSpec,
    volume: &Volume,
    dialogue: &mut Dialogue<'_>,
) -> Result<SecretString, Refusal> {
    let host = &ask.chosen.manifest.host;
    if spec.passphrase.is_none() {
        return Err(locked(host, "its host names no secret that opens it, and nobody is there to ask"));
    }
    let (identity, _) = identity::take(dialogue, ask.medium, host, true)?;
    let key = Ask { identity: identity.as_ref(), ..*ask }.named_passphrase(spec)?;
    match of_the_volume(volume, &key) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(locked(host, "what the host's secret holds is not one of its keys")),
        Err(error) => Err(locked(host, &error.chain())),
    }
}

/// The TPM is no way in: it opens the disk for the machine's own start, and this is the medium's.
fn locked(host: &str, why: &str) -> Refusal {
    Refusal::new(
        "state-locked",
        format!("the state of {host} is on an encrypted disk that cannot be opened: {why}"),
        format!(
            "choose the attended entry of the boot menu and type the disk's passphrase or recovery key; or put \
             one of them into a secret with landfall secret set NAME, name it in hosts/{host}.toml, \
             disk.encrypt.passphrase = {{ secret = \"NAME\" }}, and build the medium again"
        ),
    )
}

/// The key as its slot has it; none where it opens nothing.
fn of_the_volume(volume: &Volume, key: &SecretString) -> Result<Option<SecretString>, Error> {
    as_typed(key, |key| Ok(volume.knows(key)?.then(|| key.clone())))
}

/// Whoever has a PIN, or never had to type anything, would else wonder.
fn explain(spec: &EncryptSpec, dialogue: &Dialogue<'_>) {
    if spec.unlock.iter().any(|way| way.tpm_pin().is_some()) {
        dialogue.consoles().print(
            "The machine's TPM opens this disk for the machine's own system alone, with a PIN or without, and not \
             for the installer.",
        );
    }
}

fn typed(
    disk: &Disk,
    volume: &Volume,
    dialogue: &mut Dialogue<'_>,
) -> Result<Reply<Option<SecretString>>, Refusal> {
    let question =
        format!("Passphrase or recovery key of {}, whose state stays (Enter alone: back):", disk.line());
    loop {
        let typed = dialogue.secret("unlock", &question);
        if typed.expose_secret().is_empty() {
            return Ok(Reply::Back);
        }
        match of_the_volume(volume, &typed) {
            Ok(Some(key)) => return Ok(Reply::Given(Some(key))),
            Ok(None) => dialogue.consoles().print("That does not open it."),
            Err(error) => dialogue.consoles().print(&error.chain()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::install::hosts::Chosen;
    use crate::install::plan::tests::manifest;
    use crate::luks::RecoveryKey;
    use crate::tools;
    use landfall_hosts::host::{Existing, Unlock};
    use std::path::Path;

    #[test]
    fn with_nobody_there_a_disk_of_the_tpm_needs_a_secret_that_opens_it_and_a_pin() {
        let top = tempfile::tempdir().unwrap();
        let context = Context::under(top.path(), "landfall.unattended=1");
        let manifest = manifest("transport = 'virtio'", Existing::KeepState);
        let mut chosen = Chosen { manifest, bytes: vec![], signature: None };
        let slugs = |chosen: &Chosen| {
            let ask = Ask { context: &context, chosen, medium: top.path(), identity: None };
            let mut dialogue = Dialogue::new(&context);
            let spec = chosen.manifest.install.encrypt.as_ref().unwrap();
            let key = named(&ask, spec, &Volume::on(Path::new("/no/such")), &mut dialogue).unwrap_err();
            for words in ["recovery key", "hosts/vm.toml", "disk.encrypt.passphrase"] {
                assert!(key.slug != "state-locked" || key.remedy.contains(words), "{}", key.remedy);
            }
            (key.slug, ask.pin_of_kept(&mut dialogue).map(|(pin, _)| pin.is_some()).map_err(|no| no.slug))
        };
        let mut spec = EncryptSpec { unlock: vec![Unlock::Tpm2], ..EncryptSpec::default() };
        chosen.manifest.install.encrypt = Some(spec.clone());
        assert_eq!(slugs(&chosen), ("state-locked", Ok(false)));
        spec.unlock = vec![Unlock::Tpm2Pin];
        chosen.manifest.install.encrypt = Some(spec.clone());
        assert_eq!(slugs(&chosen), ("state-locked", Err("no-pin")));
        // Named, and the medium has no identity that opens it.
        spec.passphrase = Some("disk".into());
        chosen.manifest.install.encrypt = Some(spec);
        assert_eq!(slugs(&chosen), ("no-passphrase", Err("no-pin")));
        context.hotplug.stop();
    }

    #[test]
    fn a_volume_that_is_no_secret_is_refused() {
        let of = |segments: &str| {
            let json = format!(r#"{{"tokens":{{}},"segments":{{{segments}}},"digests":{{}},"config":{{}}}}"#);
            is_secret(&Disk::default(), &Header::parse(&json).unwrap()).map_err(|refusal| refusal.slug)
        };
        let crypt = |cipher: &str| format!(r#"{{"type":"crypt","encryption":"{cipher}"}}"#);
        let (good, refused) = (crypt(CIPHER), Err("state-encrypted-otherwise"));
        assert_eq!(of(&format!(r#""0":{good}"#)), Ok(()));
        assert_eq!(of(&format!(r#""0":{}"#, crypt("cipher_null-ecb"))), refused);
        assert_eq!(of(r#""0":{"type":"linear"}"#), refused);
        assert_eq!(of(&format!(r#""0":{good},"1":{{"type":"linear"}}"#)), refused);
        assert_eq!(of(""), refused);
    }

    #[test]
    fn a_secret_may_hold_the_recovery_key_in_any_form() {
        if tools::find("cryptsetup").is_none() {
            eprintln!("not tested: this computer has no cryptsetup");
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(32 << 20).unwrap();
        let (volume, recovery) = (Volume::on(file.path()), RecoveryKey::random().unwrap());
        volume.format(&recovery).unwrap();
        assert!(is_secret(&Disk::default(), &volume.header().unwrap()).is_ok());
        let text = recovery.secret().expose_secret();
        let typed = SecretString::from(text.replace('-', " ").to_uppercase());
        let key = of_the_volume(&volume, &typed).unwrap().unwrap();
        assert_eq!(key.expose_secret(), text);
        let other = SecretString::from("quite another".to_owned());
        assert!(of_the_volume(&volume, &other).unwrap().is_none());
    }
}
