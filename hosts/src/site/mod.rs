//! A site: the folder of host definitions that a person writes. Loading reads every file once;
//! resolving merges the files of one host; checking tells everything that is wrong, at once.

pub mod check;
mod declared;
pub mod finish;
pub mod graph;
pub mod json_schema;
pub mod load;
pub mod merge;
pub mod problem;
pub mod schema;
pub mod shape;
pub mod starter;
pub mod text;
pub mod tree;
pub mod validate;
mod variants;
pub mod why;

pub use merge::{Effect, Provenance, Setting};
pub use problem::{Location, Problem, Problems, Severity};

use crate::buildable::{NotBuildable, not_buildable};
use crate::host::Host;
use crate::profiles::Set;
use crate::rule::{FactMap, FactValue};
use load::{Files, SITE};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tree::{Folder, Tree};

/// A site whose files were read.
pub struct Site {
    tree: Box<dyn Tree + Send + Sync>,
    files: Files,
    facts: BTreeMap<String, FactMap>,
    problems: Vec<Problem>,
}

/// One merged host.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The host.
    pub host: Host,
    /// Who set what.
    pub provenance: Provenance,
    /// Warnings and notes.
    pub notes: Vec<Problem>,
    /// The files that took part, weak to strong.
    pub files: Vec<String>,
    /// Modules of other repositories that it asks for; nothing can build them yet.
    pub foreign: Vec<String>,
    /// Slots that wait for facts.
    pub auto: BTreeSet<&'static str>,
}

impl Resolved {
    /// Everything that the host asks for and nothing builds: its keys, and modules of inputs.
    pub fn not_buildable(&self) -> Vec<NotBuildable> {
        let inputs = self.foreign.iter().map(|module| NotBuildable {
            key: vec!["imports".into(), module.clone()],
            why: "inputs are not fetched; copy the module into this site".into(),
        });
        not_buildable(&self.host).into_iter().chain(inputs).collect()
    }
}

/// Read the site in `dir`.
pub fn load(dir: &Path) -> Result<Site, Problems> {
    Site::read(Box::new(Folder(dir.to_owned())))
}

impl Site {
    /// Read a site from any tree.
    pub fn read(tree: Box<dyn Tree + Send + Sync>) -> Result<Self, Problems> {
        let files = load::read(tree.as_ref()).map_err(|problem| Problems(vec![problem]))?;
        let broken = files.all.get(SITE).is_some_and(|file| {
            file.problems.iter().any(Problem::is_error) && file.root.get("schema").is_none()
        });
        if broken {
            let problems = files.all.into_iter().next().map(|file| file.problems);
            return Err(Problems(problems.unwrap_or_default()));
        }
        let mut site = Self { tree, files, facts: BTreeMap::new(), problems: Vec::new() };
        site.read_facts();
        Ok(site)
    }

    fn read_facts(&mut self) {
        let names: Vec<String> = self.files.hosts.keys().cloned().collect();
        for name in names {
            let path = format!("facts/{name}.json");
            if self.tree.stands(&path).is_none() {
                continue;
            }
            let read = self.tree.read(&path).map_err(|error| error.to_string());
            match read.and_then(|text| facts(&text)) {
                Ok(facts) => {
                    self.facts.insert(name, facts);
                }
                Err(error) => self.problems.push(Problem::error(
                    Location { file: path, ..Location::default() },
                    format!("reading the facts of {name}: {error}"),
                    "write it anew from the stick's report: landfall host add --report",
                )),
            }
        }
    }

    /// Names of all hosts, sorted.
    pub fn hosts(&self) -> Vec<&str> {
        self.files.hosts.keys().map(String::as_str).collect()
    }

    /// What `facts/HOST.json` says of a host's machine.
    pub fn facts(&self, host: &str) -> Option<&FactMap> {
        self.facts.get(host)
    }

    /// The site's files.
    pub fn tree(&self) -> &(dyn Tree + Send + Sync) {
        self.tree.as_ref()
    }

    /// `[admins]`: name → recipient.
    pub fn admins(&self) -> BTreeMap<String, String> {
        let table = self.site_key("admins").and_then(|node| node.table());
        table
            .into_iter()
            .flatten()
            .filter_map(|(name, entry)| Some((name.clone(), entry.node.text()?.to_owned())))
            .collect()
    }

    /// `[signing] keys`.
    pub fn signing_keys(&self) -> Vec<String> {
        let keys = self.site_key("signing").and_then(|node| node.get("keys"));
        keys.and_then(|entry| entry.node.list())
            .unwrap_or_default()
            .iter()
            .filter_map(|node| node.text().map(str::to_owned))
            .collect()
    }

    fn site_key(&self, key: &str) -> Option<&text::Node> {
        self.files.all.get(SITE)?.root.get(key).map(|entry| &entry.node)
    }

    /// Merge one host. Warnings and notes do not stop it; they are in the result. Slots that wait
    /// for the hardware stay empty; [`Site::variants`] fills them.
    pub fn resolve(&self, name: &str) -> Result<Resolved, Problems> {
        self.resolve_with(name, None)
    }

    /// Merge one host with some slots filled as `pins` says.
    pub fn resolve_with(&self, name: &str, pins: Option<&Set>) -> Result<Resolved, Problems> {
        let Some(ix) = self.files.hosts.get(name).copied() else {
            return Err(Problems(vec![self.unknown_host(name)]));
        };
        let file = &self.files.all[ix];
        let given = graph::Given { facts: self.facts.get(name), pins };
        let graph = graph::of_host(&self.files, ix, given);
        let mut problems = self.problems.clone();
        let taking_part = graph.order.iter().chain([&SITE]);
        for ix in taking_part {
            problems.extend(self.files.all[*ix].problems.iter().cloned());
        }
        problems.extend(graph.problems.iter().cloned());
        let merged = merge::merge(&self.files, &graph, &file.name);
        problems.extend(merged.problems.iter().cloned());
        let around =
            finish::Around { name, site: &self.files.all[SITE].root, host: &file.root, graph: &graph };
        let host = match finish::host(&merged, &around) {
            Ok(host) => host,
            Err(message) => {
                if !problems.iter().any(Problem::is_error) {
                    problems.push(Problem::error(file.at(0), message, ""));
                }
                return Err(Problems(problems).tidy());
            }
        };
        let mut provenance = merged.provenance;
        self.note_unmerged(ix, &mut provenance);
        let mut resolved = Resolved {
            host,
            provenance,
            notes: Vec::new(),
            files: graph.order.iter().map(|ix| self.files.all[*ix].name.clone()).collect(),
            foreign: graph.foreign.iter().cloned().collect(),
            auto: graph.auto.clone(),
        };
        // What a file that is no TOML says is not known, so nothing is missed in it either.
        if !graph.order.iter().any(|ix| self.files.all[*ix].broken) {
            problems.extend(check::host(self, &mut resolved, &file.name));
        }
        let problems = Problems(problems).tidy();
        if problems.has_errors() {
            return Err(problems);
        }
        resolved.notes = problems.0;
        Ok(resolved)
    }

    /// Who set the keys that only `site.toml` or the host's file may say.
    fn note_unmerged(&self, host: load::FileIx, provenance: &mut Provenance) {
        let site = ["suite", "components", "extra_suites", "mirror"];
        let own = ["device", "desktop", "gpu", "hostname", "arch", "match"];
        let keys = site.iter().map(|key| (SITE, *key)).chain(own.iter().map(|key| (host, *key)));
        for (ix, key) in keys {
            let file = &self.files.all[ix];
            if let Some(entry) = file.root.get(key) {
                let at = file.at(entry.node.at);
                let setting = Setting { at, value: entry.node.plain(), effect: Effect::Set };
                provenance.insert(vec![key.to_owned()], vec![setting]);
            }
        }
    }

    fn unknown_host(&self, name: &str) -> Problem {
        let remedy = match problem::suggest(name, self.hosts()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("hosts of this site: {}", self.hosts().join(", ")),
        };
        let at = Location { file: format!("hosts/{name}.toml"), ..Location::default() };
        Problem::error(at, format!("the site has no host `{name}`"), remedy)
    }

    /// Everything that is wrong with the site and each of its hosts.
    pub fn check(&self) -> Vec<Problem> {
        check::site(self)
    }

    /// Every package that some host asks for by name, without architecture and suite, and the
    /// first place that asks. Single `.deb`s of the site are their own answer and left out.
    pub fn packages(&self) -> BTreeMap<String, Location> {
        let mut found = BTreeMap::new();
        for resolved in self.hosts().into_iter().filter_map(|name| self.variants(name).ok()).flatten() {
            for (path, settings) in &resolved.provenance {
                let [list, package] = path.as_slice() else { continue };
                let name = package.split(':').next().unwrap_or_default();
                let asks = matches!(list.as_str(), "packages" | "recommends_of");
                let set = settings.iter().find(|setting| setting.effect == Effect::Set);
                if let (true, Some(setting)) = (asks && !resolved.host.sources.debs.contains_key(name), set) {
                    found.entry(name.to_owned()).or_insert_with(|| setting.at.clone());
                }
            }
        }
        found
    }

    /// The hosts that read a secret: those whose merged settings refer to it or expose it.
    pub fn secret_readers(&self, secret: &str) -> BTreeSet<String> {
        self.hosts()
            .into_iter()
            .filter(|name| {
                let variants = self.variants(name).unwrap_or_default();
                variants.iter().any(|one| one.host.secrets.contains_key(secret))
            })
            .map(str::to_owned)
            .collect()
    }
}

/// `facts/HOST.json`: facts by name at the top or under `facts`, each one value or a list.
fn facts(text: &str) -> Result<FactMap, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let top = json.get("facts").unwrap_or(&json);
    let object = top.as_object().ok_or("it is not a JSON object")?;
    let mut facts = FactMap::new();
    for (key, value) in object {
        let one = std::slice::from_ref(value);
        let list = value.as_array().map_or(one, Vec::as_slice);
        let values: Vec<FactValue> = list.iter().filter_map(fact).collect();
        if !values.is_empty() {
            facts.insert(key.clone(), values);
        }
    }
    // The probe's own JSON says these two in other words.
    if !facts.contains_key("virtual") && object.contains_key("hypervisor") {
        let is_virtual = facts.contains_key("hypervisor");
        facts.insert("virtual".into(), vec![FactValue::Flag(is_virtual)]);
    }
    if let (Some(bytes), false) = (facts.get("memory_bytes").cloned(), facts.contains_key("memory")) {
        facts.insert("memory".into(), bytes);
    }
    Ok(facts)
}

fn fact(value: &serde_json::Value) -> Option<FactValue> {
    match value {
        serde_json::Value::Bool(flag) => Some(FactValue::Flag(*flag)),
        serde_json::Value::Number(number) => number.as_i64().map(FactValue::Number),
        serde_json::Value::String(text) => Some(FactValue::Text(text.clone())),
        _ => None,
    }
}
