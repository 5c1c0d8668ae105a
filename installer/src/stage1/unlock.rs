//! Opening the encrypted data partition: asked for on every console, as often as it takes.

use super::data::Found;
use super::tpm::{self, Tried};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::install::prompt::Question;
use crate::luks::{self, Opened, RecoveryKey, Volume};
use age::secrecy::{ExposeSecret, SecretString};
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::cmdline;
use landfall_measure::TpmSlot;
use std::path::PathBuf;
use std::time::Duration;

/// Slips that cost no pause.
const FREE_SLIPS: u32 = 3;
/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(60);

/// The device that holds the file system: the partition itself, or what unlocking it gives.
///
/// The command line says which, not the disk: a plain partition that someone put in the place of
/// the encrypted one would else be started unasked.
pub fn device(context: &Context, found: &Found) -> Result<Unlocked> {
    let Some(volume) = volume(context, found)? else {
        return Ok(Unlocked { device: found.partition.path.clone(), typed: None });
    };
    let failed = match tpm::open(context, found, &volume)? {
        Tried::Opened(opened) => {
            context.consoles.sentinel("UNLOCK done", &[("by", "tpm2")]);
            return Ok(Unlocked { device: opened.keep(), typed: None });
        }
        Tried::Failed(slot) => Some(slot),
        Tried::Nothing => None,
    };
    let (opened, key) = ask(context, found, &volume)?;
    context.consoles.sentinel("UNLOCK done", &[("by", "key")]);
    Ok(Unlocked { device: opened.keep(), typed: Some(Typed { volume, key, failed }) })
}

/// Where the data partition's file system is, and what was typed for it.
pub struct Unlocked {
    /// The device that holds the file system.
    pub device: PathBuf,
    typed: Option<Typed>,
}

/// What a person opened the volume with.
pub struct Typed {
    /// The volume.
    pub volume: Volume,
    /// Its key.
    pub key: SecretString,
    /// A slot that the TPM should have opened, and did not.
    pub failed: Option<TpmSlot>,
}

impl Unlocked {
    /// Seals to the TPM what was typed, where the host wants that and no slot opens; then it is
    /// forgotten.
    pub fn seal_again(self, context: &Context, manifest: &Manifest) {
        if let Some(typed) = self.typed {
            tpm::seal_again(context, &typed, manifest);
        }
    }
}

/// The volume on the data partition; none where the machine is not encrypted.
pub fn volume(context: &Context, found: &Found) -> Result<Option<Volume>> {
    if !context.cmdline.flag(cmdline::ENCRYPTED) {
        return Ok(None);
    }
    luks::prepare(context);
    let volume = Volume::on(&found.partition.path);
    if !volume.is_there()? {
        return Err(Error::Words(format!(
            "{} of {} is not encrypted, and this boot entry is for an encrypted disk: it was replaced or \
             damaged. Restore a backup of its LUKS header from the medium's shell, or install again",
            found.partition.path.display(),
            found.disk.line()
        )));
    }
    if let Some(wanted) = context.cmdline.get(cmdline::VOLUME) {
        known(wanted, &volume.header()?.identity.to_string(), found)?;
    }
    Ok(Some(volume))
}

/// Somebody's own volume, to which they know a passphrase, would be started by the very programs that
/// the TPM gives this machine's key to, and could then ask for it.
fn known(wanted: &str, identity: &str, found: &Found) -> Result<()> {
    if wanted == identity {
        return Ok(());
    }
    Err(Error::Words(format!(
        "the encrypted volume on {} of {} is not the one that this boot entry was made for: it was replaced or \
         encrypted anew. If you did that yourself, write {}={identity} into the boot entry from the \
         medium's shell; its key is then asked for once",
        found.partition.path.display(),
        found.disk.line(),
        cmdline::VOLUME,
    )))
}

/// There is no last try: whoever wants to guess can take the disk elsewhere, and whoever mistypes
/// must not have to restart.
fn ask(context: &Context, found: &Found, volume: &Volume) -> Result<(Opened, SecretString)> {
    let consoles = &context.consoles;
    let mut slips = 0;
    loop {
        let name = found.disk.name.as_str();
        let question = Question::secret(consoles.list());
        consoles.sentinel("UNLOCK ask", &[("disk", name), ("slips", &slips.to_string())]);
        let words = format!("Passphrase or recovery key of {}:", found.disk.line());
        let typed = question.answer(&words).ok_or_else(no_console)?;
        if typed.expose_secret().is_empty() {
            continue;
        }
        consoles.print("Opening the disk …");
        let open = |key: &SecretString| Ok(volume.open(key)?.map(|opened| (opened, key.clone())));
        if let Some(opened) = as_typed(&typed, open)? {
            return Ok(opened);
        }
        slips += 1;
        consoles.sentinel("UNLOCK wrong", &[("slips", &slips.to_string())]);
        consoles.print("That does not open it.");
        std::thread::sleep(pause(slips));
    }
}

/// Asks once for a key, to prove that whoever is here may see what is on the disk.
pub fn is_owner(context: &Context, volume: &Volume) -> Result<bool> {
    let question = Question::secret(context.consoles.list());
    context.consoles.sentinel("PROMPT", &[("step", "rescue")]);
    let words = "Passphrase or recovery key of this disk, for a shell:";
    let typed = question.answer(words).ok_or_else(no_console)?;
    let knows = |key: &SecretString| Ok(volume.knows(key)?.then_some(()));
    Ok(!typed.expose_secret().is_empty() && as_typed(&typed, knows)?.is_some())
}

fn no_console() -> Error {
    Error::Words("the disk is encrypted, and there is no console to ask for its passphrase on".into())
}

/// What was typed, as it is and as a recovery key in its own form.
pub fn as_typed<T>(
    typed: &SecretString,
    mut try_key: impl FnMut(&SecretString) -> Result<Option<T>>,
) -> Result<Option<T>> {
    // The recovery key first: its slot takes no time.
    if let Some(recovery) = RecoveryKey::typed(typed.expose_secret())
        && let Some(opened) = try_key(recovery.secret())?
    {
        return Ok(Some(opened));
    }
    try_key(typed)
}

fn pause(slips: u32) -> Duration {
    match slips.checked_sub(FREE_SLIPS) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1u64 << more.min(6)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let seconds: Vec<u64> = (1..=12).map(|slips| pause(slips).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[test]
    fn a_typed_recovery_key_is_tried_in_its_own_form_and_then_as_it_is() {
        let key = RecoveryKey::random().unwrap();
        let text = key.secret().expose_secret();
        let typed = SecretString::from(text.replace('-', " ").to_uppercase());
        let mut tried = Vec::new();
        let none = as_typed(&typed, |key| {
            tried.push(key.expose_secret().to_owned());
            Ok(None::<()>)
        });
        assert!(none.unwrap().is_none());
        assert_eq!(tried, [text.to_owned(), typed.expose_secret().to_owned()]);
        let mut tries = 0;
        let word = SecretString::from("a word".to_owned());
        as_typed(&word, |_| {
            tries += 1;
            Ok(Some(()))
        })
        .unwrap();
        assert_eq!(tries, 1);
    }
}
