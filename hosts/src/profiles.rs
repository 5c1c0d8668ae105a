//! Profiles: modules with a `match` rule. One choice among them for the site (by a host's facts),
//! the probe and the installer, so that all three give the same answer.

use crate::rule::{self, Facts, Rule, Wanted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The profiles of one slot: name → rule, with `rank` among its keys.
pub type Profiles = BTreeMap<String, Rule>;

/// The slot that is never left empty: every machine is of some kind.
pub const NEEDED: &str = "device";

/// What a set without any profile is called.
const EMPTY: &str = "plain";

/// Of the profiles that fit, the highest rank takes the slot; 0 unless set.
pub fn rank(rule: &Rule) -> i64 {
    match rule.keys.get("rank") {
        Some(Wanted::Number(rank)) => *rank,
        _ => 0,
    }
}

/// Which profile of a slot fits best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Best {
    /// None fits.
    None,
    /// This one, and what decided it.
    One(String, Vec<String>),
    /// These, with equal rank.
    Tie(Vec<String>),
}

/// The profile of the highest rank whose rule fits the facts.
pub fn best(profiles: &Profiles, facts: &dyn Facts) -> Best {
    let mut top: Vec<(i64, &String, Vec<String>)> = Vec::new();
    for (name, rule) in profiles {
        let verdict = rule::matches(rule, facts);
        let rank = rank(rule);
        if !verdict.matches || top.first().is_some_and(|(highest, ..)| rank < *highest) {
            continue;
        }
        top.retain(|(other, ..)| *other == rank);
        top.push((rank, name, verdict.because));
    }
    match top.as_slice() {
        [] => Best::None,
        [(_, name, because)] => Best::One((*name).clone(), because.clone()),
        several => Best::Tie(several.iter().map(|(_, name, _)| (*name).clone()).collect()),
    }
}

/// Slot → the profile that fills it; `None` where the slot stays empty.
pub type Set = BTreeMap<String, Option<String>>;

/// A set's name on media and in locks: its profiles by slot, `laptop+nvidia`.
pub fn set_name(set: &Set) -> String {
    let names: Vec<String> = set.values().flatten().map(|name| name.replace('/', ".")).collect();
    if names.is_empty() { EMPTY.to_owned() } else { names.join("+") }
}

/// Name of a variant's manifest on a medium, without its ending: `HOST@SET`.
pub fn variant_name(host: &str, set: &str) -> String {
    format!("{host}@{set}")
}

/// The generations of a host whose profiles the installer chooses: what a manifest on a medium
/// says of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Variants {
    /// Set's name → sha256 of the exact bytes of its manifest, `HOST@SET.toml` beside this one.
    pub sets: BTreeMap<String, String>,
    /// Slot → its profiles.
    pub slots: BTreeMap<String, Profiles>,
}

/// Why no set could be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// No profile of this slot fits.
    Nothing(String),
    /// These of a slot fit with equal rank.
    Tie(String, Vec<String>),
    /// The medium was not built with this set.
    Unknown(String),
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing(slot) => write!(f, "no profile of the slot `{slot}` fits this machine"),
            Self::Tie(slot, names) => {
                write!(f, "{} fit this machine with equal rank in the slot `{slot}`", names.join(" and "))
            }
            Self::Unknown(set) => write!(f, "this machine needs the profiles {set}, which were not built"),
        }
    }
}

/// The set that fits a machine, and what decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Its name.
    pub set: String,
    /// One line per profile.
    pub because: Vec<String>,
}

impl Variants {
    /// The set that fits the facts.
    ///
    /// # Errors
    /// If a slot that is needed stays empty, two profiles tie, or there is no such set.
    pub fn choose(&self, facts: &dyn Facts) -> Result<Fit, Unfit> {
        let mut set = Set::new();
        let mut because = Vec::new();
        for (slot, profiles) in &self.slots {
            let name = match best(profiles, facts) {
                Best::One(name, lines) => {
                    because.push(format!("{name}: {}", lines.join(", ")));
                    Some(name)
                }
                Best::None if slot == NEEDED => return Err(Unfit::Nothing(slot.clone())),
                Best::None => None,
                Best::Tie(names) => return Err(Unfit::Tie(slot.clone(), names)),
            };
            set.insert(slot.clone(), name);
        }
        let name = set_name(&set);
        if self.sets.contains_key(&name) { Ok(Fit { set: name, because }) } else { Err(Unfit::Unknown(name)) }
    }
}

/// Every set that the profiles of some slots can yield. Sets whose rules contradict each other, and
/// profiles that a stronger one always beats, are left out.
pub fn sets(slots: &BTreeMap<String, Profiles>) -> Vec<Set> {
    let mut all = vec![Set::new()];
    for (slot, profiles) in slots {
        let mut choices: Vec<Option<&String>> =
            profiles.keys().filter(|name| can_win(profiles, name)).map(Some).collect();
        if slot != NEEDED {
            choices.insert(0, None);
        }
        let longer = all.iter().flat_map(|set| {
            choices.iter().map(|name| {
                let mut set = set.clone();
                set.insert(slot.clone(), name.cloned());
                set
            })
        });
        all = longer.filter(|set| is_possible(slots, set)).collect();
    }
    all
}

/// No other profile of the slot fits whenever this one does and is of higher rank.
fn can_win(profiles: &Profiles, name: &str) -> bool {
    let Some(own) = profiles.get(name) else { return false };
    !profiles.values().any(|other| rank(other) > rank(own) && implies(own, other))
}

/// Whether `other` surely holds where `rule` does. What cannot be told is no.
fn implies(rule: &Rule, other: &Rule) -> bool {
    let has = |(key, wanted): (&String, &Wanted)| key == "rank" || rule.keys.get(key) == Some(wanted);
    other.keys.iter().all(has)
        && (other.any.is_empty() || other.any == rule.any)
        && other.none.iter().all(|none| rule.none.contains(none))
}

fn is_possible(slots: &BTreeMap<String, Profiles>, set: &Set) -> bool {
    let mut flags: BTreeMap<&str, bool> = BTreeMap::new();
    let rules = set.iter().filter_map(|(slot, name)| slots.get(slot)?.get(name.as_ref()?));
    rules.flat_map(certain).all(|(key, flag)| *flags.entry(key).or_insert(flag) == flag)
}

/// Flags that surely have a value where the rule holds.
fn certain(rule: &Rule) -> impl Iterator<Item = (&str, bool)> {
    let single = |none: &&Rule| none.any.is_empty() && none.none.is_empty() && none.keys.len() == 1;
    let negated = rule.none.iter().filter(single).flat_map(flags).map(|(key, flag)| (key, !flag));
    flags(rule).chain(negated)
}

fn flags(rule: &Rule) -> impl Iterator<Item = (&str, bool)> {
    rule.keys.iter().filter_map(|(key, wanted)| match wanted {
        Wanted::Flag(flag) => Some((key.as_str(), *flag)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{FactMap, FactValue};

    fn profiles(all: &[(&str, &str)]) -> Profiles {
        all.iter().map(|(name, text)| ((*name).to_owned(), toml::from_str(text).unwrap())).collect()
    }

    fn slots() -> BTreeMap<String, Profiles> {
        let device = profiles(&[
            ("laptop", "battery = true\nnone = [{ virtual = true }]\nrank = 20"),
            ("desktop", "chassis = 'desktop'\nnone = [{ virtual = true }, { battery = true }]\nrank = 10"),
            ("vm", "virtual = true\nrank = 30"),
        ]);
        let gpu = profiles(&[
            ("nvidia", "gpu = '10de:*'\nrank = 10"),
            ("off", "gpu = '10de:*'\nbattery = true\nany = [{ gpu = '8086:*' }]"),
        ]);
        BTreeMap::from([("device".to_owned(), device), ("gpu".to_owned(), gpu)])
    }

    fn facts(flags: &[&str], texts: &[(&str, &str)]) -> FactMap {
        let flags = flags.iter().map(|key| ((*key).to_owned(), vec![FactValue::Flag(true)]));
        let texts =
            texts.iter().map(|(key, text)| ((*key).to_owned(), vec![FactValue::Text((*text).to_owned())]));
        flags.chain(texts).collect()
    }

    #[test]
    fn sets_that_can_be() {
        let names = |slots: &_| sets(slots).iter().map(set_name).collect::<Vec<_>>();
        let expected = ["desktop", "desktop+nvidia", "laptop", "laptop+nvidia", "vm", "vm+nvidia"];
        assert_eq!(names(&slots()), expected, "`off` is always beaten");
        let mut raised = slots();
        let off = raised.get_mut("gpu").unwrap().get_mut("off").unwrap();
        off.keys.insert("rank".into(), Wanted::Number(20));
        assert_eq!(names(&raised)[..3], ["desktop", "desktop+nvidia", "laptop"]);
        assert!(!names(&raised).contains(&"desktop+off".to_owned()), "a desktop has no battery");
        assert!(names(&raised).contains(&"laptop+off".to_owned()));
        assert_eq!(names(&BTreeMap::new()), ["plain"]);
    }

    #[test]
    fn every_machine_gets_a_set_that_was_foreseen() {
        let slots = slots();
        let all: BTreeMap<String, String> =
            sets(&slots).iter().map(|set| (set_name(set), String::new())).collect();
        let variants = Variants { sets: all, slots };
        let set = |facts: FactMap| variants.choose(&facts).map(|fit| fit.set);
        assert_eq!(set(facts(&["battery"], &[])), Ok("laptop".into()));
        assert_eq!(set(facts(&["battery"], &[("gpu", "10de:1eb8")])), Ok("laptop+nvidia".into()));
        assert_eq!(set(facts(&["battery", "virtual"], &[])), Ok("vm".into()));
        assert_eq!(set(facts(&[], &[("chassis", "desktop")])), Ok("desktop".into()));
        assert_eq!(set(facts(&[], &[])), Err(Unfit::Nothing("device".into())));
    }

    #[test]
    fn a_tie_and_a_set_that_is_not_there_are_refused() {
        let two =
            profiles(&[("a", "battery = true"), ("b", "battery = true"), ("c", "battery = true\nrank = -1")]);
        assert_eq!(best(&two, &facts(&["battery"], &[])), Best::Tie(vec!["a".into(), "b".into()]));
        let variants = Variants { slots: slots(), ..Variants::default() };
        assert_eq!(variants.choose(&facts(&["virtual"], &[])), Err(Unfit::Unknown("vm".into())));
    }

    #[test]
    fn variants_travel_as_toml() {
        let variants = Variants { sets: [("vm".to_owned(), "00".to_owned())].into(), slots: slots() };
        let text = toml::to_string(&variants).unwrap();
        assert_eq!(toml::from_str::<Variants>(&text).unwrap(), variants);
    }
}
