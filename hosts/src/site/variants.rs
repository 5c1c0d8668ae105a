//! The variants of a host whose slots wait for the hardware: one merged host per set of profiles
//! that its rules can yield.

use super::graph::{self, SLOTS};
use super::{Location, Problem, Problems, Resolved, Site};
use crate::host::{Host, ProfileLayer};
use crate::profiles::{self, Profiles, Set};
use std::collections::{BTreeMap, BTreeSet};

/// More sets than this make a medium that nobody wants to wait for.
pub const MOST: usize = 8;

impl Site {
    /// Every merged host that `name` can be: one where its file or its facts fill all slots, else
    /// one per set of profiles, in order of the sets.
    ///
    /// # Errors
    /// What is wrong with any of them, or that there are more than [`MOST`].
    pub fn variants(&self, name: &str) -> Result<Vec<Resolved>, Problems> {
        // With an empty slot a host may lack what each profile brings, so its errors count for less
        // than those of its variants.
        let slots = self.profiles(name);
        if slots.is_empty() {
            return Ok(vec![self.resolve(name)?]);
        }
        let sets = profiles::sets(&slots);
        if sets.is_empty() || sets.len() > MOST {
            return Err(Problems(vec![self.sets_problem(name, &sets)]));
        }
        let mut variants = Vec::new();
        let mut problems = Vec::new();
        for set in &sets {
            match self.resolve_with(name, Some(set)) {
                Ok(mut resolved) => {
                    let implied = resolved.host.implied_packages();
                    resolved.host.packages.extend(implied.into_iter().map(str::to_owned));
                    resolved.host.variant = Some(profiles::set_name(set));
                    variants.push((set, resolved));
                }
                Err(found) => problems.extend(found.0),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems).tidy());
        }
        let (sets, mut variants): (Vec<&Set>, Vec<Resolved>) = variants.into_iter().unzip();
        if let Some(problem) = one_kernel(name, &variants) {
            return Err(Problems(vec![problem]));
        }
        split_packages(&sets, &mut variants);
        Ok(variants)
    }

    /// The slots of a host that wait for the hardware, with the profiles that may fill them.
    pub fn profiles(&self, name: &str) -> BTreeMap<String, Profiles> {
        let Some(ix) = self.files.hosts.get(name).copied() else { return BTreeMap::new() };
        let given = graph::Given { facts: self.facts.get(name), pins: None };
        let auto = graph::of_host(&self.files, ix, given).auto;
        auto.into_iter().map(|slot| (slot.to_owned(), graph::profiles_of(&self.files, slot))).collect()
    }

    /// Profiles by their bare names, each in the slot that has a module of that name.
    ///
    /// # Errors
    /// In words, if there is no such module, or two want one slot.
    pub fn pins(&self, names: &[&str]) -> Result<Set, String> {
        let mut set = Set::new();
        for name in names {
            let slots = SLOTS.iter().filter(|slot| self.files.find(&format!("{slot}/{name}")).is_some());
            let slot = match slots.collect::<Vec<_>>().as_slice() {
                [slot] => (**slot).to_owned(),
                [] => {
                    let known =
                        SLOTS.iter().flat_map(|slot| graph::profiles_of(&self.files, slot).into_keys());
                    let known: Vec<String> = known.collect();
                    return Err(format!("there is no profile \"{name}\"; there are {}", known.join(", ")));
                }
                _ => return Err(format!("\"{name}\" is the name of modules in several slots; rename one")),
            };
            if set.insert(slot.clone(), Some((*name).to_owned())).is_some() {
                return Err(format!("two profiles want the slot `{slot}`; name one"));
            }
        }
        Ok(set)
    }

    fn sets_problem(&self, name: &str, sets: &[Set]) -> Problem {
        let at = Location { file: format!("hosts/{name}.toml"), line: 1, col: 1 };
        if sets.is_empty() {
            let remedy = "write device = \"NAME\", or give the site a module in device/ with a [match]";
            return Problem::error(at, "no profile can fill the slots that this host leaves open", remedy);
        }
        let names: Vec<String> = sets.iter().map(profiles::set_name).collect();
        let message = format!(
            "the rules of this host's profiles can yield {} sets, and {MOST} are the most that one medium holds: {}",
            sets.len(),
            names.join(", ")
        );
        let remedy = format!(
            "pin a slot (device = \"NAME\" or gpu = \"NAME\"), or pin the machine: landfall host add {name} --report FILE"
        );
        Problem::error(at, message, remedy)
    }
}

/// The variants of a host stand on one base, and that has the kernel.
fn one_kernel(name: &str, variants: &[Resolved]) -> Option<Problem> {
    let kernels: BTreeSet<&Option<String>> = variants.iter().map(|one| &one.host.kernel.package).collect();
    let at = Location { file: format!("hosts/{name}.toml"), line: 1, col: 1 };
    let message = "the profiles of this host name different kernels";
    let remedy = "write kernel.package here, or pin the device";
    (kernels.len() > 1).then(|| Problem::error(at, message, remedy))
}

/// What all variants have stays in the layers that they share; the rest is their profiles'. A set
/// stands on the layers of the smaller one that it extends, so that `laptop+nvidia` adds to `laptop`.
fn split_packages(sets: &[&Set], variants: &mut [Resolved]) {
    let desktop = shared(variants, |host| &host.desktop_packages);
    let packages = shared(variants, |host| &host.packages);
    for Resolved { host, .. } in variants.iter_mut() {
        let own = host.desktop_packages.difference(&desktop).chain(host.packages.difference(&packages));
        let layer =
            ProfileLayer { set: host.variant.clone().unwrap_or_default(), packages: own.cloned().collect() };
        host.profile_layers = vec![layer];
        host.desktop_packages.clone_from(&desktop);
        host.packages.clone_from(&packages);
    }
    let whole: Vec<Host> = variants.iter().map(|one| one.host.clone()).collect();
    for (set, variant) in sets.iter().zip(variants) {
        let smaller = sets.iter().zip(&whole).filter(|(other, _)| extends(set, other));
        let lower = smaller.map(|(_, host)| host).find(|lower| is_part(lower, &variant.host));
        let lower = lower.and_then(|lower| lower.profile_layers.first());
        if let (Some(lower), Some(layer)) = (lower, variant.host.profile_layers.first_mut()) {
            layer.packages.retain(|package| !lower.packages.contains(package));
            variant.host.profile_layers.insert(0, lower.clone());
        }
    }
}

/// A set has all profiles of a smaller one, which has some.
fn extends(set: &Set, smaller: &Set) -> bool {
    let same = |(slot, name): (&String, &Option<String>)| name.is_none() || set.get(slot) == Some(name);
    set != smaller && smaller.values().any(Option::is_some) && smaller.iter().all(same)
}

/// All that one variant's profiles bring, another's bring alike.
fn is_part(lower: &Host, upper: &Host) -> bool {
    let packages =
        |host: &Host| host.profile_layers.first().map(|layer| layer.packages.clone()).unwrap_or_default();
    let upper_packages = packages(upper);
    let alike = |name: &String| {
        let name = super::merge::package_name(name);
        lower.recommends_of.contains(name) == upper.recommends_of.contains(name)
    };
    packages(lower).iter().all(|package| upper_packages.contains(package) && alike(package))
}

/// Packages that every variant has, each with or without its Recommends in all of them alike.
fn shared(variants: &[Resolved], of: fn(&Host) -> &BTreeSet<String>) -> BTreeSet<String> {
    let Some(first) = variants.first() else { return BTreeSet::new() };
    let recommends =
        |host: &Host, package: &str| host.recommends_of.contains(super::merge::package_name(package));
    let alike = |package: &&String| {
        let same = |one: &Resolved| {
            of(&one.host).contains(*package)
                && recommends(&one.host, package) == recommends(&first.host, package)
        };
        variants.iter().all(same)
    };
    of(&first.host).iter().filter(alike).cloned().collect()
}
