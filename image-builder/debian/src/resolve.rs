//! From what layers ask for to what the lock says they are made of.
//!
//! A layer is resolved again only if the lock does not have it, what it asks for changed, a layer
//! below changed, or an update was asked for; else every version that the lock has is held.

mod local;
mod want;

pub use want::Want;

use crate::archive::Archive;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::solver::{Answer, LocalPackage, Pin, Question, Solver};
use crate::store::SINGLE;
use crate::tools::Tools;
use crate::update::UpdateScope;
use landfall_hosts::lock::{Lock, LockedLayer, LockedPackage, PackageKey};
use std::collections::{BTreeMap, BTreeSet};

/// A layer to be resolved.
#[derive(Debug, Clone, Default)]
pub struct LayerRequest {
    /// Its name in the lock.
    pub name: String,
    /// The layer below; none for the first.
    pub parent: Option<String>,
    /// Packages in apt's own syntax: `name`, `name:i386`, `name/suite`; or
    /// [`crate::base::ESSENTIAL`].
    pub packages: BTreeSet<String>,
    /// Packages that come with their Recommends.
    pub recommends_of: BTreeSet<String>,
}

/// A package that changed in the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The layer.
    pub layer: String,
    /// `name:arch`.
    pub slot: String,
    /// The version before; none if it is new.
    pub from: Option<String>,
    /// The version now; none if it is gone.
    pub to: Option<String>,
}

/// What resolving needs beside the requests.
pub struct Resolver<'a> {
    /// Where packages may come from.
    pub archive: &'a Archive,
    /// Brings apt.
    pub tools: &'a Tools,
    /// Where packages are kept that a mirror may have dropped.
    pub cache: &'a Cache,
    /// The site's policy.
    pub policy: &'a Policy,
    /// The single `.deb`s of the policy, read.
    pub singles: Vec<LocalPackage>,
}

/// What a site says of versions, beside the names that layers ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Pins.
    pub pins: Vec<Pin>,
    /// Single `.deb`s: package → sha256.
    pub singles: BTreeMap<String, String>,
}

impl Policy {
    /// The pins that a layer heeds. The first layer is shared by hosts whose pins may differ, so
    /// it heeds only those of packages that it asks for by name.
    fn pins_of(&self, request: &LayerRequest) -> Vec<Pin> {
        let named = |pin: &&Pin| {
            request.parent.is_some() || pin.package.split(':').next().is_some_and(|name| request.names(name))
        };
        self.pins.iter().filter(named).cloned().collect()
    }
}

impl LayerRequest {
    fn names_a_suite(&self) -> bool {
        self.packages.iter().any(|text| Want::parse(text).is_some_and(|want| want.suite.is_some()))
    }

    fn names(&self, name: &str) -> bool {
        self.packages.iter().any(|text| Want::parse(text).is_some_and(|want| want.name == name))
    }
}

/// One layer under way.
struct Job<'a> {
    solver: &'a Solver<'a>,
    request: &'a LayerRequest,
    /// What the layers below have.
    parents: Vec<PackageKey>,
    /// What must stay.
    held: Vec<PackageKey>,
}

/// Whether the lock has these layers as they are asked for now, so that nothing needs resolving.
#[must_use]
pub fn is_complete(lock: &Lock, requests: &[LayerRequest], policy: &Policy) -> bool {
    requests.iter().all(|request| {
        lock.layers.get(&request.name).is_some_and(|layer| stands(lock, layer, request, policy))
    })
}

/// Whether a layer is what is asked for now, above what is below it now.
fn stands(lock: &Lock, layer: &LockedLayer, request: &LayerRequest, policy: &Policy) -> bool {
    layer.parent == request.parent
        && layer.wants == asked(request, policy)
        && lock.below(request.parent.as_deref()).is_ok_and(|below| below == layer.below)
}

/// What a layer asks for, as the lock keeps it: a change of any of it means to resolve again.
fn asked(request: &LayerRequest, policy: &Policy) -> BTreeSet<String> {
    let packages = request.packages.iter().cloned();
    let recommends = request.recommends_of.iter().map(|name| format!("recommends of {name}"));
    let pins = policy.pins_of(request).into_iter();
    let pins = pins.map(|pin| format!("pin {}: {} at {}", pin.package, pin.what, pin.priority));
    let singles = policy.singles.iter().filter(|(name, _)| request.names(name));
    let singles = singles.map(|(name, sha256)| format!("deb {name}: {sha256}"));
    packages.chain(recommends).chain(pins).chain(singles).collect()
}

impl Resolver<'_> {
    /// Resolves layers in this order, parents first, into the lock. Returns what changed.
    ///
    /// # Errors
    /// If a package does not exist, cannot be installed beside the others, or a locked version
    /// that must be held is nowhere to be had.
    pub fn resolve(
        &self,
        lock: &mut Lock,
        requests: &[LayerRequest],
        scope: &UpdateScope,
    ) -> Result<Vec<Change>> {
        self.check_names(requests)?;
        let solver = Solver::new(self.tools, self.archive, self.cache)?;
        let mut changes = Vec::new();
        for request in requests {
            let before = lock.layers.get(&request.name).cloned();
            let stays = before
                .as_ref()
                .is_some_and(|layer| stands(lock, layer, request, self.policy) && !touches(scope, layer));
            if stays {
                continue;
            }
            let mut job = Job { solver: &solver, request, parents: Vec::new(), held: Vec::new() };
            if let Some(parent) = &request.parent {
                job.parents = lock.installed(parent)?.into_values().cloned().collect();
            }
            if let Some(layer) = &before {
                job.held = self.held(lock, layer, scope)?;
            }
            let after = LockedLayer {
                below: lock.below(request.parent.as_deref())?,
                wants: asked(request, self.policy),
                ..self.layer(lock, &job, scope)?
            };
            let moved = differences(&request.name, before.as_ref(), &after);
            changes.extend(moved);
            lock.layers.insert(request.name.clone(), after);
        }
        solver.forget_question()?;
        lock.suites.extend(self.archive.locked_suites());
        Ok(changes)
    }

    /// The versions of a layer that must stay. One that is nowhere to be had any more stays only
    /// if no update is under way: then it is an error, for nothing moves unasked.
    fn held(&self, lock: &Lock, layer: &LockedLayer, scope: &UpdateScope) -> Result<Vec<PackageKey>> {
        let here = |key: &PackageKey| {
            let locked = lock.packages.get(key);
            self.archive.exact(key).is_some()
                || key.name == crate::initramfs::NAME
                || locked.is_some_and(|package| self.cache.deb(&package.sha256).exists())
        };
        let single = |key: &PackageKey| lock.packages.get(key).is_some_and(|locked| locked.origin == SINGLE);
        let held = layer.packages.iter().filter(|key| holds(scope, key) && !single(key));
        let (held, gone): (Vec<_>, Vec<_>) = held.cloned().partition(here);
        if gone.is_empty() || *scope != UpdateScope::Nothing {
            return Ok(held);
        }
        Err(local::gone(&gone))
    }

    fn layer(&self, lock: &mut Lock, job: &Job<'_>, scope: &UpdateScope) -> Result<LockedLayer> {
        let answer = match self.ask(lock, job, &job.held) {
            // What is held may be what stands in an update's way; without an update it is final.
            Err(Error::Unsolvable { .. }) if *scope != UpdateScope::Nothing && !job.held.is_empty() => {
                self.ask(lock, job, &[])?
            }
            other => other?,
        };
        let mut layer = LockedLayer { parent: job.request.parent.clone(), ..LockedLayer::default() };
        layer.removes = answer.removes;
        for (name, arch, version) in &answer.adds {
            if name.starts_with(crate::solver::RECOMMENDS_PREFIX) {
                continue;
            }
            let key = PackageKey::new(name, arch, version)?;
            let package = self.locked(lock, &key, &job.held)?;
            lock.packages.insert(key.clone(), package);
            layer.packages.insert(key);
        }
        Ok(layer)
    }

    fn ask(&self, lock: &Lock, job: &Job<'_>, held: &[PackageKey]) -> Result<Answer> {
        let mut local = vec![local::built_in()?];
        local.extend(self.singles.iter().cloned());
        let mut install = Vec::new();
        for want in &job.request.packages {
            install.extend(want::expand(want, self.archive)?);
        }
        for name in &job.request.recommends_of {
            let package = local::recommends_of(name, self.archive)?;
            install.push(format!("{}{name}", crate::solver::RECOMMENDS_PREFIX));
            local.push(package);
        }
        for key in held {
            if self.archive.exact(key).is_none() && !local.iter().any(|known| known.is(key)) {
                local.push(local::from_cache(lock, key, self.cache)?);
            }
        }
        let singles = self.singles.iter().filter_map(|single| single.locked.as_ref()).map(|(key, _)| key);
        // Whoever names one file means that file, whatever an archive has.
        let held = held.iter().chain(singles).collect();
        let mut question = Question {
            layer: &job.request.name,
            status: local::status(lock, &job.parents, self.archive, self.cache)?,
            install,
            held,
            pins: self.policy.pins_of(job.request),
            local: &local,
            flexible: false,
        };
        match job.solver.solve(&question) {
            // A package from an extra suite may need more of that suite than its own dependencies:
            // the siblings of what it replaces.
            Err(first @ Error::Unsolvable { .. }) if job.request.names_a_suite() => {
                question.flexible = true;
                job.solver.solve(&question).map_err(|_| first)
            }
            other => other,
        }
    }

    /// What the lock will say of a package that apt chose.
    fn locked(&self, lock: &Lock, key: &PackageKey, held: &[PackageKey]) -> Result<LockedPackage> {
        if held.contains(key)
            && let Some(package) = lock.packages.get(key)
        {
            return Ok(package.clone());
        }
        let built_in = local::built_in()?;
        let local = std::iter::once(&built_in).chain(&self.singles).find(|local| local.is(key));
        if let Some((_, package)) = local.and_then(|local| local.locked.as_ref()) {
            return Ok(package.clone());
        }
        let found = self.archive.exact(key).ok_or_else(|| {
            Error::parse("apt's answer", format!("it chose {key}, which no index describes"))
        })?;
        let package = crate::store::locked(&found)?;
        // Layers share packages: two files under one key would make the lock mean two things.
        match lock.packages.get(key) {
            Some(known) if known.sha256 != package.sha256 && in_use(lock, key) => Err(Error::Untrusted {
                what: key.to_string(),
                reason: "the archive now has other bytes under the same version than the lock".into(),
                remedy: format!("run `landfall lock --update {}`, if you trust that archive", key.name),
            }),
            _ => Ok(package),
        }
    }

    /// Every package name of every layer, checked before apt sees any: apt takes an unknown name
    /// for a regular expression.
    fn check_names(&self, requests: &[LayerRequest]) -> Result<()> {
        let mut wrong = BTreeMap::new();
        for request in requests {
            for text in request.packages.iter().chain(&request.recommends_of) {
                if let Err(reason) = want::check(text, self.archive, &self.singles) {
                    wrong.entry(reason).or_insert_with(|| request.name.clone());
                }
            }
        }
        let Some(layer) = wrong.values().next().cloned() else { return Ok(()) };
        let reason = wrong.into_keys().collect::<Vec<_>>().join("\n");
        Err(Error::Unsolvable { layer, reason })
    }
}

fn in_use(lock: &Lock, key: &PackageKey) -> bool {
    lock.layers.values().any(|layer| layer.packages.contains(key)) || lock.tools.contains(key)
}

fn touches(scope: &UpdateScope, layer: &LockedLayer) -> bool {
    layer.packages.iter().any(|key| !holds(scope, key))
}

fn holds(scope: &UpdateScope, key: &PackageKey) -> bool {
    match scope {
        UpdateScope::Nothing => true,
        UpdateScope::Packages(names) => !names.contains(&key.name),
        UpdateScope::Everything => false,
    }
}

fn differences(layer: &str, before: Option<&LockedLayer>, after: &LockedLayer) -> Vec<Change> {
    let versions = |layer: Option<&LockedLayer>| -> BTreeMap<String, String> {
        layer
            .map(|layer| layer.packages.iter().map(|key| (key.slot(), key.version.clone())).collect())
            .unwrap_or_default()
    };
    let (old, new) = (versions(before), versions(Some(after)));
    let slots: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    slots
        .into_iter()
        .filter(|slot| old.get(*slot) != new.get(*slot))
        .map(|slot| Change {
            layer: layer.to_owned(),
            slot: slot.clone(),
            from: old.get(slot).cloned(),
            to: new.get(slot).cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
