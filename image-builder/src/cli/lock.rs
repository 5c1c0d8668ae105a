//! `landfall lock`: resolves every layer of every host, and writes down what it came to.

use super::context::Context;
use super::failure::{Failure, chain};
use crate::builder::requests;
use clap::Args;
use landfall_debian::cache::replace_file;
use landfall_debian::resolve::{Change, LayerRequest};
use landfall_debian::session::{self, Places, Session};
use landfall_debian::sources;
use landfall_debian::update::UpdateScope;
use landfall_hosts::event::Progress;
use landfall_hosts::host::Host;
use landfall_hosts::lock::{FILE_NAME, Lock};
use landfall_hosts::site::{self, Problem, Problems, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// This computer's apt configuration.
const ETC_APT: &str = "/etc/apt";

/// Options of `landfall lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// Move these packages, or all, to the newest versions that the archives have
    #[arg(long, value_name = "PKG", num_args = 0..)]
    update: Option<Vec<String>>,
}

impl LockArgs {
    fn scope(&self) -> UpdateScope {
        match &self.update {
            None => UpdateScope::Nothing,
            Some(names) if names.is_empty() => UpdateScope::Everything,
            Some(names) => UpdateScope::Packages(names.iter().cloned().collect()),
        }
    }
}

/// Runs `landfall lock`.
///
/// # Errors
/// If the site is invalid, an archive cannot be reached or trusted, or packages do not go together.
pub fn run(args: &LockArgs, context: &Context) -> Result<(), Failure> {
    let dir = context.site_dir()?;
    let hosts = every_host(&site::load(&dir).map_err(invalid)?)?;
    let path = dir.join(FILE_NAME);
    let mut lock = read(&path)?;
    let before = lock.to_text();
    let scope = args.scope();
    known_to_the_lock(&lock, &scope)?;
    let bars = context.bars();
    let at = At { site: &dir, cache: &context.cache_dir()?, progress: &bars };
    let done = resolve(&mut lock, &hosts, &scope, &at);
    forget_the_rest(&mut lock, &hosts);
    drop(bars);
    for line in summary(&done.changes, &scope) {
        println!("{line}");
    }
    let text = lock.to_text();
    if text != before {
        replace_file(&path, text.as_bytes())?;
        let (packages, layers) = (lock.packages.len(), layers(&lock));
        context.say(format!("wrote {}: {packages} packages, {layers}", path.display()));
    } else if done.failures.is_empty() {
        context.say(format!("{} is complete, nothing changed", path.display()));
    }
    for failure in &done.failures {
        failure.print();
    }
    match done.failures.iter().map(Failure::status).max() {
        Some(status) => Err(Failure::Said(status)),
        None => Ok(()),
    }
}

/// The site's lock; an empty one where there is none yet.
///
/// # Errors
/// If it is there and cannot be read.
fn read(path: &Path) -> Result<Lock, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            Lock::parse(&text).map_err(|error| Failure::Invalid(format!("{}: {error}", path.display())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(error) => Err(Failure::Failed(format!("opening {}: {error}", path.display()).into())),
    }
}

/// Where resolving happens.
struct At<'a> {
    site: &'a Path,
    cache: &'a Path,
    progress: &'a dyn Progress,
}

/// What came of resolving.
#[derive(Default)]
struct Done {
    changes: Vec<Change>,
    /// One host whose archive is out of reach does not keep the others from being locked.
    failures: Vec<Failure>,
}

/// Resolves what the lock lacks for these hosts, and what `scope` lets move. The network is left
/// alone where nothing is to be done.
fn resolve(lock: &mut Lock, hosts: &[Host], scope: &UpdateScope, at: &At<'_>) -> Done {
    let mut done = Done::default();
    for group in alike(hosts) {
        // A group that fails leaves the lock as it was.
        let mut attempt = lock.clone();
        match resolve_group(&mut attempt, &group, scope, at) {
            Ok(changes) => {
                done.changes.extend(changes);
                *lock = attempt;
            }
            Err(Failure::Failed(error)) => {
                let text = format!("locking {}: {}", names(&group), chain(error.as_ref()));
                done.failures.push(Failure::Failed(text.into()));
            }
            Err(Failure::Invalid(text)) => done.failures.push(Failure::Invalid(text)),
            Err(other) => done.failures.push(other),
        }
    }
    done
}

fn resolve_group(
    lock: &mut Lock,
    group: &[&Host],
    scope: &UpdateScope,
    at: &At<'_>,
) -> Result<Vec<Change>, Failure> {
    let Some(first) = group.first() else { return Ok(Vec::new()) };
    let requests = requests::of_hosts(group.iter().copied());
    let places = Places { site: at.site, etc_apt: Path::new(ETC_APT), cache: at.cache };
    let session = Session::new(&first.sources, places, &first.locale.lang, &first.arch, at.progress);
    if *scope == UpdateScope::Nothing && session.is_complete(lock, &requests)? {
        return Ok(Vec::new());
    }
    session.resolve(lock, &requests, scope, true).map_err(unsolvable)
}

fn names(group: &[&Host]) -> String {
    group
        .iter()
        .map(|host| host.name.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(", ")
}

/// Hosts whose packages come from the same places are resolved together.
fn alike(hosts: &[Host]) -> Vec<Vec<&Host>> {
    let mut groups: Vec<Vec<&Host>> = Vec::new();
    for host in hosts {
        let arches = |host: &Host| session::architectures(&host.arch, &requests::of_host(host));
        let same = |group: &&mut Vec<&Host>| {
            let first = group.first();
            first.is_some_and(|first| first.sources == host.sources && arches(first) == arches(host))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(host),
            None => groups.push(vec![host]),
        }
    }
    groups
}

fn every_host(site: &Site) -> Result<Vec<Host>, Failure> {
    let mut hosts = Vec::new();
    let mut problems = Vec::new();
    for name in site.hosts() {
        match site.variants(name) {
            Ok(variants) => hosts.extend(variants.into_iter().map(|one| one.host)),
            Err(found) => problems.extend(found.0),
        }
    }
    if problems.is_empty() { Ok(hosts) } else { Err(invalid(Problems(problems).tidy())) }
}

fn invalid(problems: Problems) -> Failure {
    let errors: Vec<String> =
        problems.0.iter().filter(|problem| problem.is_error()).map(Problem::to_string).collect();
    Failure::Invalid(format!("the site is not valid:\n{}", errors.join("\n")))
}

/// Packages that cannot be installed are the site's fault; what an archive does is not.
fn unsolvable(error: landfall_debian::Error) -> Failure {
    match error {
        landfall_debian::Error::Unsolvable { .. } => Failure::Invalid(error.to_string()),
        other => other.into(),
    }
}

/// A slip in `--update PKG` would else update nothing and say that all is well.
fn known_to_the_lock(lock: &Lock, scope: &UpdateScope) -> Result<(), Failure> {
    let UpdateScope::Packages(names) = scope else { return Ok(()) };
    let known: BTreeSet<&str> = lock.packages.keys().map(|key| key.name.as_str()).collect();
    let unknown: Vec<&str> = names.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "the lock has no package {}; write the names as they stand in {FILE_NAME}, or `--update` alone for all",
        unknown.join(", ")
    )))
}

/// Layers of hosts, and suites, that the site no longer has.
fn forget_the_rest(lock: &mut Lock, hosts: &[Host]) {
    let names: BTreeSet<String> =
        requests::of_hosts(hosts).into_iter().map(|LayerRequest { name, .. }| name).collect();
    lock.layers.retain(|name, _| names.contains(name));
    let suites: BTreeSet<String> = hosts.iter().flat_map(|host| sources::suite_keys(&host.sources)).collect();
    lock.suites.retain(|key, _| suites.contains(key));
    lock.prune();
}

/// One line a package where versions moved; one a layer where it is new.
fn summary(changes: &[Change], scope: &UpdateScope) -> Vec<String> {
    let mut lines = Vec::new();
    let mut new: BTreeMap<&str, usize> = BTreeMap::new();
    let moved = changes.iter().any(|change| change.from.is_some());
    for change in changes {
        let line = match (&change.from, &change.to) {
            (Some(from), Some(to)) => format!("{}: {} {from} -> {to}", change.layer, change.slot),
            (Some(from), None) => format!("{}: {} {from} removed", change.layer, change.slot),
            (None, Some(to)) if moved || *scope != UpdateScope::Nothing => {
                format!("{}: {} {to} added", change.layer, change.slot)
            }
            _ => {
                *new.entry(&change.layer).or_default() += 1;
                continue;
            }
        };
        lines.push(line);
    }
    lines.extend(new.into_iter().map(|(layer, count)| format!("{layer}: {count} packages added")));
    lines
}

fn layers(lock: &Lock) -> String {
    lock.layers
        .iter()
        .map(|(name, layer)| format!("{name} {}", layer.packages.len()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(from: Option<&str>, to: Option<&str>) -> Change {
        Change {
            layer: "base".into(),
            slot: "git:amd64".into(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        }
    }

    #[test]
    fn a_first_lock_is_summed_up_and_an_update_is_listed() {
        let first = summary(&[change(None, Some("1")), change(None, Some("1"))], &UpdateScope::Nothing);
        assert_eq!(first, ["base: 2 packages added"]);
        let update = [change(Some("1"), Some("2")), change(Some("1"), None), change(None, Some("3"))];
        assert_eq!(
            summary(&update, &UpdateScope::Everything),
            ["base: git:amd64 1 -> 2", "base: git:amd64 1 removed", "base: git:amd64 3 added"]
        );
    }

    #[test]
    fn hosts_with_other_sources_stand_apart() {
        let mut other = Host { name: "b".into(), ..Host::default() };
        other.sources.suite = "sid".into();
        let hosts = [Host::default(), other, Host { name: "c".into(), ..Host::default() }];
        let sizes: Vec<usize> = alike(&hosts).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn an_update_of_an_unknown_package_is_refused() {
        let scope = UpdateScope::Packages(["gti".to_owned()].into());
        assert!(known_to_the_lock(&Lock::default(), &scope).is_err());
    }
}
