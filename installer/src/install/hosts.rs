//! Which of the medium's hosts this machine is.

use super::medium::Medium;
use super::refusal::Refusal;
use crate::bytes;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::probe::Machine;
use landfall_hosts::manifest::{FORMAT, Manifest};
use landfall_hosts::paths::data;
use landfall_hosts::rule::{self, FactMap, Rule};
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
    /// A person must say which.
    Ask(Undecided),
}

/// Hosts among which nothing decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Their names.
    pub names: Vec<String>,
    /// The rules of all of them fit the machine; else no rule on the medium does.
    pub matching: bool,
}

/// Command line, else the one whose `match` fits the machine, else the only one, else a question.
pub fn choose(context: &Context, medium: &Medium, machine: &Machine) -> std::result::Result<Choice, Refusal> {
    if let Some(name) = context.cmdline.host() {
        return Ok(Choice::One(Box::new(read(medium, name)?)));
    }
    let mut hosts = Vec::new();
    for name in medium.index.hosts.keys() {
        hosts.push(read(medium, name)?);
    }
    let rules: Vec<Option<&Rule>> =
        hosts.iter().map(|host| host.manifest.install.match_rule.as_ref()).collect();
    let fitting = fitting(&rules, &machine.facts());
    let mut fitting: Vec<Chosen> = fitting.into_iter().filter_map(|at| hosts.get(at).cloned()).collect();
    let matching = !fitting.is_empty();
    if !matching {
        fitting = hosts;
    }
    let names = || fitting.iter().map(|host| host.manifest.host.clone()).collect();
    match fitting.as_slice() {
        [] => Err(Refusal::new(
            "no-host",
            "this medium holds no host at all",
            "build it again with the host's name: landfall build HOST --out IMAGE",
        )),
        [only] => Ok(Choice::One(Box::new(only.clone()))),
        _ => Ok(Choice::Ask(Undecided { names: names(), matching })),
    }
}

/// Which of the rules fit, by their place.
fn fitting(rules: &[Option<&Rule>], facts: &FactMap) -> Vec<usize> {
    let fits = |rule: &Option<&Rule>| rule.is_some_and(|rule| rule::matches(rule, facts).matches);
    rules.iter().enumerate().filter(|(_, rule)| fits(rule)).map(|(at, _)| at).collect()
}

impl Undecided {
    /// The refusal where nobody can be asked: with the machine's own words for a host's file.
    pub fn refusal(&self, machine: &Machine) -> Refusal {
        let names = self.names.join(", ");
        let (slug, message) = if self.matching {
            ("several-hosts-match", format!("the [match] rules of several hosts fit this machine: {names}"))
        } else {
            (
                "no-host-matches",
                format!("no host of this medium has a [match] rule that fits this machine: {names}"),
            )
        };
        Refusal::new(
            slug,
            message,
            format!(
                "give the host that this machine shall be a rule that fits no other, in hosts/HOST.toml, and \
                 build the medium again; or choose an entry of the boot menu that names a host. One of these \
                 lines is enough:\n[match]\n{}",
                pasteable(machine)
            ),
        )
    }
}

/// The facts of a machine as lines of a host's file, the best first.
fn pasteable(machine: &Machine) -> String {
    let kind = [("vendor", &machine.vendor), ("product", &machine.product)];
    let kind = kind.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
    let lines = machine.unique().into_iter().map(|(key, value)| (key, value, ""));
    let lines = lines.chain(kind.map(|(key, value)| (key, value, "  # others may have the same")));
    lines.map(|(key, value, note)| format!("{key} = {}{note}\n", toml::Value::String(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            vendor: Some("Maker".into()),
            product: Some("X \"1\"".into()),
            serial: Some("PF3ABCDE".into()),
            uuid: Some("4c4c4544-0042-1010-8051-b4c04f4d3132".into()),
            ..Machine::default()
        }
    }

    #[test]
    fn rules_that_fit_are_found_by_their_place() {
        let facts = machine().facts();
        let [this, other, kind] = ["serial = 'PF3ABCDE'", "serial = 'Z'", "vendor = 'Mak*'"]
            .map(|text| toml::from_str::<Rule>(text).unwrap());
        assert_eq!(fitting(&[None, Some(&other), Some(&this)], &facts), [2]);
        assert_eq!(fitting(&[Some(&kind), None, Some(&this)], &facts), [0, 2]);
        assert!(fitting(&[Some(&other), None], &facts).is_empty() && fitting(&[], &facts).is_empty());
    }

    #[test]
    fn a_refusal_has_lines_to_paste() {
        let two = |matching| Undecided { names: vec!["a".into(), "b".into()], matching };
        assert_eq!(two(true).refusal(&machine()).slug, "several-hosts-match");
        let refusal = two(false).refusal(&machine());
        assert_eq!(refusal.slug, "no-host-matches");
        assert!(refusal.message.contains("a, b"), "{}", refusal.message);
        let pasted = refusal.remedy.split_once("[match]\n").unwrap().1;
        for line in pasted.lines() {
            let rule: Rule = toml::from_str(line).unwrap();
            assert!(rule::matches(&rule, &machine().facts()).matches, "{line}");
        }
        assert_eq!(pasted.lines().count(), 4);
        assert!(pasted.starts_with("serial = \"PF3ABCDE\"\n"), "{pasted}");
    }
}
