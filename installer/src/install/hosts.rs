//! Which of the medium's hosts this machine is.

use super::medium::Medium;
use super::refusal::Refusal;
use crate::bytes;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::probe::Machine;
use landfall_hosts::manifest::{FORMAT, Manifest};
use landfall_hosts::paths::data;
use landfall_hosts::rule;
use sha2::{Digest, Sha256};
use std::path::Path;

/// A host whose manifest was checked against the medium's index.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Parsed.
    pub manifest: Manifest,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// The detached signature, where there is one.
    pub signature: Option<Vec<u8>>,
}

/// Reads and checks the manifest of `host`.
pub fn read(medium: &Medium, host: &str) -> std::result::Result<Chosen, Refusal> {
    let Some(wanted) = medium.index.hosts.get(host) else {
        return Err(unknown(medium, host));
    };
    manifest(&medium.folder, host, wanted)
}

/// Reads the manifest that stands under `host` on the medium in `folder`, whose sha256 must be
/// `wanted`.
pub fn manifest(folder: &Path, host: &str, wanted: &str) -> std::result::Result<Chosen, Refusal> {
    let corrupt = |why: String| {
        Refusal::new(
            "manifest-corrupt",
            format!("the medium's manifest of {host} is damaged: {why}"),
            "write the medium again; if it happens again, the stick is bad",
        )
    };
    let path = folder.join(data::GENERATIONS).join(format!("{host}.toml"));
    let bytes = std::fs::read(&path).map_err(|error| corrupt(format!("reading it: {error}")))?;
    let found = bytes::hex(&Sha256::digest(&bytes));
    if found != wanted {
        return Err(corrupt(format!("its sha256 is {found}, and the index says {wanted}")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| corrupt(error.to_string()))?;
    let manifest: Manifest = toml::from_str(text).map_err(|error| corrupt(error.message().to_owned()))?;
    if manifest.format > FORMAT {
        return Err(Refusal::new(
            "manifest-newer",
            format!("the manifest of {host} has format {}, this /init reads {FORMAT}", manifest.format),
            "build the medium again: its initrd is older than its content",
        ));
    }
    let signature = std::fs::read(path.with_extension("toml.minisig")).ok();
    Ok(Chosen { manifest, bytes, signature })
}

fn unknown(medium: &Medium, host: &str) -> Refusal {
    let names: Vec<&str> = medium.index.hosts.keys().map(String::as_str).collect();
    Refusal::new(
        "unknown-host",
        format!("this medium has no host {host:?}; it has {}", names.join(", ")),
        "choose another entry of the boot menu, or build a medium with that host",
    )
}

/// The host that the command line names, or the medium's only one.
pub fn named_or_only(context: &Context, medium: &Medium) -> Result<Chosen> {
    let names: Vec<&String> = medium.index.hosts.keys().collect();
    let name = match (context.cmdline.host(), names.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only.as_str(),
        (None, _) => return Err(Error::Words("the boot entry names no host".into())),
    };
    read(medium, name).map_err(|refusal| Error::Words(format!("{}. {}", refusal.message, refusal.remedy)))
}

/// What could be said without asking anyone.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// This one.
    One(Box<Chosen>),
    /// One of these, and a person must say which.
    Ask(Vec<String>),
}

/// Command line, else the one whose `match` fits the machine, else the only one, else a question.
pub fn choose(context: &Context, medium: &Medium, machine: &Machine) -> std::result::Result<Choice, Refusal> {
    if let Some(name) = context.cmdline.host() {
        return Ok(Choice::One(Box::new(read(medium, name)?)));
    }
    let facts = machine.facts();
    let mut matching = Vec::new();
    for name in medium.index.hosts.keys() {
        let chosen = read(medium, name)?;
        let rule = chosen.manifest.install.match_rule.as_ref();
        if rule.is_some_and(|rule| rule::matches(rule, &facts).matches) {
            matching.push(chosen);
        }
    }
    let all = || medium.index.hosts.keys().cloned().collect::<Vec<_>>();
    match (matching.len(), medium.index.hosts.len()) {
        (1, _) => Ok(matching.pop().map_or(Choice::Ask(all()), |one| Choice::One(Box::new(one)))),
        (0, 0) => Err(Refusal::new(
            "no-host",
            "this medium holds no host at all",
            "build it again with the host's name: landfall build HOST --out IMAGE",
        )),
        (0, 1) => {
            let only = all().pop().unwrap_or_default();
            Ok(Choice::One(Box::new(read(medium, &only)?)))
        }
        (0, _) => Ok(Choice::Ask(all())),
        _ => Ok(Choice::Ask(matching.into_iter().map(|chosen| chosen.manifest.host).collect())),
    }
}
