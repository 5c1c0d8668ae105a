//! The key of an encrypted disk whose state is kept: the host's secret where nobody is there, else
//! what a person types. Nothing is formatted where none of them opens it.

use super::look::{Holds, holds};
use crate::install::dialogue::{Dialogue, Reply};
use crate::install::encrypt::Ask;
use crate::install::identity;
use crate::install::plan::Plan;
use crate::install::refusal::Refusal;
use crate::luks::{self, Volume};
use crate::probe::Disk;
use crate::stage1::as_typed;
use age::secrecy::{ExposeSecret, SecretString};
use landfall_hosts::host::Unlock;
use landfall_hosts::manifest::EncryptSpec;

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
    match dialogue.is_unattended() {
        true => named(ask, spec, &volume, dialogue).map(|key| Reply::Given(Some(key))),
        false => typed(&plan.disk, &volume, dialogue),
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

/// The key from the host's secret, which the medium's bare identity opens.
fn named(
    ask: &Ask<'_>,
    spec: &EncryptSpec,
    volume: &Volume,
    dialogue: &mut Dialogue<'_>,
) -> Result<SecretString, Refusal> {
    let host = &ask.chosen.manifest.host;
    let locked = |why: String| {
        Refusal::new(
            "state-locked",
            format!("the state of {host} is on an encrypted disk that cannot be opened: {why}"),
            "choose the attended entry of the boot menu and type the disk's passphrase or recovery key",
        )
    };
    if !spec.unlock.contains(&Unlock::Passphrase) {
        return Err(locked("its host names no passphrase, and nobody is there to ask".into()));
    }
    let (identity, _) = identity::take(dialogue, ask.medium, host, true)?;
    let key = Ask { identity: identity.as_ref(), ..*ask }.named_passphrase(spec)?;
    match volume.knows(&key) {
        Ok(true) => Ok(key),
        Ok(false) => Err(locked("the passphrase of the host's secret is not one of its keys".into())),
        Err(error) => Err(locked(error.chain())),
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
        let opens = as_typed(&typed, |key| Ok(volume.knows(key)?.then(|| key.clone())));
        match opens {
            Ok(Some(key)) => return Ok(Reply::Given(Some(key))),
            Ok(None) => dialogue.consoles().print("That does not open it."),
            Err(error) => dialogue.consoles().print(&error.chain()),
        }
    }
}
