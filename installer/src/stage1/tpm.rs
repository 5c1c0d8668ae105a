//! Opening the data partition by the TPM, and sealing its key again where what starts has changed.

use super::data::Found;
use super::unlock::Typed;
use crate::context::Context;
use crate::error::Result;
use crate::install::encrypt;
use crate::install::prompt::Question;
use crate::luks::{Opened, Sealing, Token, Volume};
use age::secrecy::{ExposeSecret, SecretString};
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::cmdline;
use landfall_measure::TpmSlot;

/// Why there is none to ask.
const NO_TPM: &str = "this machine shows none of version 2 that can be used; it may be off in the firmware, or \
                      the machine was started in BIOS mode";

/// What came of asking the TPM.
pub enum Tried {
    /// It opened the volume.
    Opened(Opened),
    /// It should have, with this slot, and did not.
    Failed(TpmSlot),
    /// It was not asked.
    Nothing,
}

/// Opens the volume by the TPM, where it is sealed to this start. Whatever fails here is said, and a
/// passphrase or recovery key must do.
pub fn open(context: &Context, found: &Found, volume: &Volume) -> Result<Tried> {
    let consoles = &context.consoles;
    // Without it on the command line the volume could be anybody's.
    if context.cmdline.get(cmdline::VOLUME).is_none() {
        return Ok(Tried::Nothing);
    }
    let token = match Token::read(&context.roots, volume) {
        Ok(Some(token)) if !token.header.slots.is_empty() => token,
        Ok(Some(_)) => return Ok(Tried::Nothing),
        Ok(None) => {
            consoles.say(format!("The TPM is not asked: {NO_TPM}."));
            return Ok(Tried::Nothing);
        }
        Err(error) => {
            consoles.say(format!("The TPM is not asked: {}.", error.chain()));
            return Ok(Tried::Nothing);
        }
    };
    let Some(slot) = token.opens() else {
        consoles.sentinel("UNLOCK locked", &[]);
        consoles.say(
            "The TPM keeps the key of this disk: firmware, boot programs, kernel, initrd or command line \
             are not the ones that it was sealed to. If nobody changed them, do not type anything: what \
             asks you may not be your system.",
        );
        return Ok(Tried::Nothing);
    };
    if slot.pin {
        return ask(context, found, volume, slot);
    }
    Ok(match volume.open_by_token(slot.token, None)? {
        Ok(opened) => Tried::Opened(opened),
        Err(why) => {
            consoles.say(format!("The TPM does not open this disk: {why}."));
            Tried::Failed(slot.clone())
        }
    })
}

/// Asks for the PIN until it is right, or until nothing is typed.
fn ask(context: &Context, found: &Found, volume: &Volume, slot: &TpmSlot) -> Result<Tried> {
    let consoles = &context.consoles;
    let mut tried = Tried::Nothing;
    loop {
        let question = Question::secret(consoles.list());
        consoles.sentinel("UNLOCK pin", &[("disk", found.disk.name.as_str())]);
        let words =
            format!("PIN of {} (Enter alone: passphrase or recovery key instead):", found.disk.line());
        let Some(pin) = question.answer(&words) else {
            return Ok(tried);
        };
        if pin.expose_secret().is_empty() {
            return Ok(tried);
        }
        match volume.open_by_token(slot.token, Some(&pin))? {
            Ok(opened) => return Ok(Tried::Opened(opened)),
            Err(why) => {
                consoles.sentinel("UNLOCK wrong", &[]);
                consoles.say(format!("That PIN does not open it. {}", wrong(&why)));
                tried = Tried::Failed(slot.clone());
            }
        }
    }
}

/// TPM 2.0 Part 2, 6.6.3: TPM_RC_LOCKOUT is 0x921.
fn wrong(said: &str) -> &'static str {
    if said.contains("0x921") || said.contains("0x00000921") || said.to_lowercase().contains("lockout") {
        "The TPM has had too many wrong ones and refuses all for a while, often hours; use the passphrase \
         or recovery key."
    } else {
        "A wrong one counts towards the TPM's lockout: after some it refuses all for a while."
    }
}

/// After a passphrase or recovery key: seals to what starts now, where no slot is or the TPM failed
/// with it. Its failure keeps nobody from their machine.
pub fn seal_again(context: &Context, typed: &Typed, manifest: &Manifest) {
    let ways = manifest.install.encrypt.iter().flat_map(|spec| &spec.unlock);
    for pin in ways.filter_map(|way| way.tpm_pin()) {
        match seal(context, typed, pin) {
            Ok(Some(words)) => context.consoles.say(words),
            Ok(None) => {}
            Err(error) => context.consoles.say(format!(
                "The key was not sealed to the TPM: {}. It will be asked for again.",
                error.chain()
            )),
        }
    }
}

fn seal(context: &Context, typed: &Typed, pin: bool) -> Result<Option<&'static str>> {
    let Some(token) = Token::read(&context.roots, &typed.volume)? else {
        return Ok(Some("Nothing is sealed: there is no TPM."));
    };
    let failed = typed.failed.as_ref().filter(|slot| slot.pin == pin);
    if failed.is_none() && token.header.has(&token.now, pin) {
        return Ok(None);
    }
    if context.cmdline.get(cmdline::VOLUME).is_none() {
        return Ok(Some(
            "Nothing is sealed: this boot entry does not say which volume is the machine's own.",
        ));
    }
    let secure = landfall_probe::firmware::secure_boot(&context.roots.hardware()) == Some(true);
    if !pin && !secure {
        return Ok(Some(
            "Nothing is sealed: Secure Boot is off, and without it the TPM alone protects too little.",
        ));
    }
    let new = match pin.then(|| new_pin(context)) {
        Some(None) => return Ok(Some("Nothing is sealed: no PIN was typed.")),
        Some(pin) => pin,
        None => None,
    };
    let sealing = Sealing { roots: &context.roots, volume: &typed.volume, key: &typed.key };
    sealing.add(&token.now, new.as_ref())?;
    if let Some(slot) = failed {
        typed.volume.wipe(slot.keyslot)?;
    }
    context.consoles.sentinel("UNLOCK sealed", &[]);
    Ok(Some("The disk's key is sealed to the TPM again, to what has just started."))
}

/// Typed twice: the TPM does not tell the old one.
fn new_pin(context: &Context) -> Option<SecretString> {
    let consoles = &context.consoles;
    loop {
        let question = Question::secret(consoles.list());
        consoles.sentinel("UNLOCK newpin", &[]);
        let first =
            question.answer("PIN to seal the disk's key with, from now on (Enter alone: do not seal):")?;
        if first.expose_secret().is_empty() {
            return None;
        }
        if let Err(why) = encrypt::fits_as_pin(&first) {
            consoles.print(&format!("That will not do: {why}."));
            continue;
        }
        let question = Question::secret(consoles.list());
        consoles.sentinel("UNLOCK newpin", &[("again", "yes")]);
        let second = question.answer("The same once more:")?;
        if first.expose_secret() == second.expose_secret() {
            return Some(first);
        }
        consoles.print("The two are not the same. Once more:");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockout_is_told_apart_from_a_wrong_pin() {
        assert!(wrong("Esys Finish ErrorCode (0x00000921)").contains("recovery key"));
        assert!(wrong("Esys Finish ErrorCode (0x0000098e)").contains("counts towards"));
    }
}
