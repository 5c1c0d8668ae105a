//! The identities that an attended stick carries, wrapped by one passphrase.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use super::context::Context;
use super::failure::Failure;
use super::secret::IdentityArg;
use crate::secrets::{
    ExposeSecret, SecretString, Terminal, host_identity, secret_path, wrap_identity_for_stick,
};

/// Host → age file.
pub(super) type Carried = BTreeMap<String, Vec<u8>>;

/// Asks for the passphrase and wraps the identity of each host that has one.
pub(super) fn wrapped(
    site: &Path,
    hosts: &[String],
    key: &IdentityArg,
    context: &Context,
) -> Result<Carried, Failure> {
    let (with, without): (Vec<&String>, Vec<&String>) =
        hosts.iter().partition(|host| secret_path(site, host).exists());
    for host in without {
        context.say(format!(
            "{host} has no identity in the site: its machine will wait for one (`landfall host add {host}`)."
        ));
    }
    if with.is_empty() {
        return Ok(Carried::new());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Invalid(
            "nobody is there to type the passphrase that wraps the hosts' identities on the stick; \
             --no-identity leaves them out"
                .into(),
        ));
    }
    let Some(passphrase) = ask()? else {
        context.say("No identity goes onto the stick: the machine will wait for one.");
        return Ok(Carried::new());
    };
    let admin = key.load(&Terminal)?;
    let mut out = Carried::new();
    for host in with {
        let identity = host_identity(site, host, &admin)?;
        out.insert(host.clone(), wrap_identity_for_stick(&identity, passphrase.clone())?);
    }
    Ok(out)
}

fn ask() -> Result<Option<SecretString>, Failure> {
    let typed = dialoguer::Password::new()
        .with_prompt(
            "Passphrase for the machine's key on the stick; it is asked for at the install (empty: no key)",
        )
        .with_confirmation("again", "the two differ; once more")
        .allow_empty_password(true)
        .report(false)
        .interact()?;
    let typed = SecretString::from(typed);
    Ok(Some(typed).filter(|typed| !typed.expose_secret().is_empty()))
}
