//! Which files make a host, and which of two files is the stronger.

use super::load::{DEFAULT, FileIx, Files, SITE};
use super::problem::Problem;
use crate::profiles::{self, Best, Profiles, Set};
use crate::rule::{FactMap, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// Tiers, weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Built in.
    Default,
    /// `common` of `site.toml` and what it imports.
    Common,
    /// What the host imports.
    Import,
    /// The host's own file.
    Host,
}

/// The slots, each with the host's key of the same name.
pub const SLOTS: [&str; 3] = ["device", "desktop", "gpu"];

/// The files of one host.
#[derive(Debug, Default)]
pub struct Graph {
    /// File → tier.
    pub tiers: BTreeMap<FileIx, Tier>,
    /// File → everything that it imports, directly or not.
    below: BTreeMap<FileIx, BTreeSet<FileIx>>,
    /// Weak to strong; equals by name, so that the order of imports never shows.
    pub order: Vec<FileIx>,
    /// Files of the desktop slot.
    pub desktop: BTreeSet<FileIx>,
    /// Slot → the module's name that fills it.
    pub slots: BTreeMap<&'static str, String>,
    /// Modules of other repositories that are asked for.
    pub foreign: BTreeSet<String>,
    /// Slots that wait for facts.
    pub auto: BTreeSet<&'static str>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Graph {
    /// `a` is stronger than `b`.
    pub fn stronger(&self, a: FileIx, b: FileIx) -> bool {
        match (self.tiers.get(&a), self.tiers.get(&b)) {
            (Some(x), Some(y)) if x != y => x > y,
            _ => a != b && self.below.get(&a).is_some_and(|below| below.contains(&b)),
        }
    }
}

/// What fills the slots that a host leaves to its hardware.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// The facts of the machine.
    pub facts: Option<&'a FactMap>,
    /// Profiles by slot, whatever the host's file and the facts say.
    pub pins: Option<&'a Set>,
}

/// Find the files of the host whose own file is `host`.
pub fn of_host(files: &Files, host: FileIx, given: Given<'_>) -> Graph {
    let mut graph = Graph::default();
    let chosen = choose_slots(files, host, given, &mut graph);
    let mut roots: BTreeSet<FileIx> = chosen.values().flatten().copied().collect();
    roots.extend(files.all[host].imports.iter().map(|(ix, _)| *ix));
    let common = files.all[SITE].imports.iter().map(|(ix, _)| *ix);
    let keep = Keep::new(files, &chosen);
    keep.reach(common, Tier::Common, &mut graph);
    keep.reach(roots.into_iter(), Tier::Import, &mut graph);
    graph.tiers.insert(DEFAULT, Tier::Default);
    graph.tiers.insert(host, Tier::Host);
    for ix in graph.tiers.keys() {
        graph.below.insert(*ix, files.below(*ix));
        graph.foreign.extend(files.all[*ix].foreign.iter().cloned());
    }
    graph.foreign.extend(files.all[SITE].foreign.iter().cloned());
    check_slots(files, host, &chosen, &mut graph);
    graph.order = order(files, &graph);
    graph
}

/// Weak to strong, and by name where neither is: a file stands after all that it imports.
fn order(files: &Files, graph: &Graph) -> Vec<FileIx> {
    let mut order: Vec<FileIx> = graph.tiers.keys().copied().collect();
    order.sort_by_key(|ix| {
        let tier = graph.tiers.get(ix).copied();
        let below = graph
            .below
            .get(ix)
            .map_or(0, |below| below.iter().filter(|b| graph.tiers.get(b) == graph.tiers.get(ix)).count());
        (tier, below, files.all[*ix].name.clone())
    });
    order
}

/// Slot → its module, `None` where the host wants it empty or it waits for facts. A slot that
/// the host does not name is absent.
type Chosen = BTreeMap<&'static str, Option<FileIx>>;

fn choose_slots(files: &Files, host: FileIx, given: Given<'_>, graph: &mut Graph) -> Chosen {
    let file = &files.all[host];
    let mut chosen = Chosen::new();
    for slot in SLOTS {
        let pin = given.pins.and_then(|pins| pins.get(slot));
        let said = file.word(slot);
        let (word, offset) = match (pin, said) {
            (Some(name), _) => (name.as_deref().unwrap_or("none"), said.map_or(0, |(_, at)| at)),
            (None, Some(said)) => said,
            (None, None) => continue,
        };
        let name = match (word, given.facts) {
            ("none", _) => None,
            ("auto", None) => {
                graph.auto.insert(slot);
                None
            }
            ("auto", Some(facts)) => match by_facts(files, slot, facts) {
                Ok(name) => name,
                Err((message, remedy)) => {
                    graph.problems.push(Problem::error(file.at(offset), message, remedy));
                    None
                }
            },
            (word, _) => Some(format!("{slot}/{word}")),
        };
        let ix = name.as_deref().and_then(|name| {
            let found = files.find(name);
            if found.is_none() {
                let problem = files.unknown_module(name, file.at(offset));
                graph.problems.push(problem);
            }
            found
        });
        if let (Some(name), Some(_)) = (name, ix) {
            let bare = name.trim_start_matches(slot).trim_start_matches('/');
            graph.slots.insert(slot, bare.to_owned());
        }
        chosen.insert(slot, ix);
    }
    chosen
}

/// The profile of a slot whose rule fits the facts best; else what is wrong, and the remedy.
fn by_facts(files: &Files, slot: &str, facts: &FactMap) -> Result<Option<String>, (String, String)> {
    match profiles::best(&profiles_of(files, slot), facts) {
        Best::One(name, _) => Ok(Some(format!("{slot}/{name}"))),
        Best::None if slot == profiles::NEEDED => Err((
            format!("the facts of this host fit no profile of the slot `{slot}`"),
            format!("write {slot} = \"NAME\" here, or a module in {slot}/ whose [match] fits"),
        )),
        Best::None => Ok(None),
        Best::Tie(names) => Err((
            format!("the facts of this host fit {} with equal rank", prefixed(slot, &names)),
            format!("write {slot} = \"NAME\" here, or change one `rank`"),
        )),
    }
}

fn prefixed(slot: &str, names: &[String]) -> String {
    names.iter().map(|name| format!("{slot}/{name}")).collect::<Vec<_>>().join(" and ")
}

/// The profiles of a slot, by their names in it: the site's modules, else the shipped ones.
pub fn profiles_of(files: &Files, slot: &str) -> Profiles {
    let names: BTreeSet<&str> = files
        .modules
        .keys()
        .map(|name| name.strip_prefix("builtin:").unwrap_or(name))
        .filter_map(|name| name.strip_prefix(slot)?.strip_prefix('/'))
        .collect();
    let one = |name: &str| {
        let ix = files.find(&format!("{slot}/{name}"))?;
        Some((name.to_owned(), profile(files, ix)?))
    };
    names.into_iter().filter_map(one).collect()
}

/// A module's rule, with its rank.
fn profile(files: &Files, ix: FileIx) -> Option<Rule> {
    files.all[ix].root.get("match")?.node.plain().try_into().ok()
}

/// Which modules stay: one that stands in a slot that the host fills otherwise does not.
struct Keep<'a> {
    files: &'a Files,
    /// Slot → the files that may stand in it.
    slots: BTreeMap<&'static str, BTreeSet<FileIx>>,
}

impl<'a> Keep<'a> {
    fn new(files: &'a Files, chosen: &Chosen) -> Self {
        let slots = chosen.iter().map(|(slot, ix)| {
            let mut stay: BTreeSet<FileIx> = ix.map(|ix| files.below(ix)).unwrap_or_default();
            stay.extend(*ix);
            (*slot, stay)
        });
        Self { files, slots: slots.collect() }
    }

    fn stays(&self, ix: FileIx) -> bool {
        let slot = self.files.all[ix].word("slot").map(|(slot, _)| slot);
        slot.and_then(|slot| self.slots.get(slot)).is_none_or(|stay| stay.contains(&ix))
    }

    /// Give a tier to everything that can be reached from `roots`; a later call is a stronger
    /// tier and wins.
    fn reach(&self, roots: impl Iterator<Item = FileIx>, tier: Tier, graph: &mut Graph) {
        let mut todo: Vec<FileIx> = roots.collect();
        let mut seen = BTreeSet::new();
        while let Some(ix) = todo.pop() {
            if !self.stays(ix) || !seen.insert(ix) {
                continue;
            }
            graph.tiers.insert(ix, tier);
            todo.extend(self.files.all[ix].imports.iter().map(|(i, _)| *i));
        }
    }
}

/// One module of each slot, bar those that it extends; and the host does not ask for two.
fn check_slots(files: &Files, host: FileIx, chosen: &Chosen, graph: &mut Graph) {
    let mut problems = Vec::new();
    let file = &files.all[host];
    for slot in SLOTS {
        let fills = |ix: FileIx| {
            files.all[ix].word("slot").map(|(s, _)| s) == Some(slot) || chosen.get(slot) == Some(&Some(ix))
        };
        let filling: Vec<FileIx> = graph.tiers.keys().copied().filter(|ix| fills(*ix)).collect();
        let tops: Vec<FileIx> = filling
            .iter()
            .copied()
            .filter(|ix| !filling.iter().any(|o| o != ix && files.below(*o).contains(ix)))
            .collect();
        if let [first, second, ..] = tops.as_slice() {
            let (a, b) = (&files.all[*first].name, &files.all[*second].name);
            let message = format!("{a} and {b} both stand in the slot `{slot}`");
            let remedy = format!("write {slot} = \"NAME\" in {}: it takes the other's place", file.name);
            problems.push(Problem::error(file.at(0), message, remedy));
        }
        if slot == "desktop" {
            for top in &tops {
                graph.desktop.insert(*top);
                graph.desktop.extend(files.below(*top));
            }
        }
        if let ([top], false) = (tops.as_slice(), graph.slots.contains_key(slot)) {
            let name = files.all[*top].name.trim_end_matches(".toml").to_owned();
            graph.slots.insert(slot, name);
        }
        for (ix, offset) in &file.imports {
            let replaced = chosen.contains_key(slot) && fills(*ix) && !graph.tiers.contains_key(ix);
            if replaced {
                let message = format!(
                    "this host imports {} and fills the slot `{slot}` otherwise",
                    files.all[*ix].name
                );
                let remedy = format!("keep one: the import, or the word after `{slot}`");
                problems.push(Problem::error(file.at(*offset), message, remedy));
            }
        }
        wrong_slot(files, host, slot, chosen, &mut problems);
    }
    graph.problems.extend(problems);
}

/// `desktop = "x"` names a module that says it is of another slot.
fn wrong_slot(files: &Files, host: FileIx, slot: &str, chosen: &Chosen, problems: &mut Vec<Problem>) {
    let Some(Some(ix)) = chosen.get(slot) else {
        return;
    };
    if let Some((other, offset)) = files.all[*ix].word("slot")
        && other != slot
    {
        let file = &files.all[*ix];
        let message =
            format!("this module is of the slot `{other}`, and {} uses it as `{slot}`", files.all[host].name);
        let remedy = format!("write slot = \"{slot}\"");
        problems.push(Problem::error(file.at(offset), message, remedy));
    }
}
