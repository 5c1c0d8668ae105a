//! The chain: each layer on the ones below it, each built once.

use crate::cache::{LayerCache, Meta};
use crate::error::{Error, Result, make_dir};
use crate::host::{HostSpec, host_tree};
use crate::ids::{NewId, settle, system_names};
use crate::install::Install;
use crate::pack::{self, Pack};
use crate::package::{Facts, Package};
use crate::sandbox::Sandbox;
use crate::scrub::scrub;
use crate::settings::{Settings, SettingsSpec};
use crate::tree::{Content, Entry, Kind, Merged, walk};
use landfall_debian::cache::Cache;
use landfall_debian::hash;
use landfall_debian::tools::Tools;
use landfall_hosts::event::{Event, Progress, Task};
use landfall_hosts::lock::IdLedger;
use landfall_hosts::manifest::LayerKind;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{Scope, ScopedJoinHandle};
use tempfile::TempDir;

/// Grows when the way a layer is made or written changes, so that an old one is not taken for new.
pub const WRITER: u32 = 3;

/// A layer of packages.
#[derive(Debug, Clone, Default)]
pub struct PackageSpec {
    /// The lock's name of the layer, for people: `base`, `vm/packages`.
    pub name: String,
    /// What it adds.
    pub packages: Vec<Package>,
    /// What it takes away, `name:arch`.
    pub removes: BTreeSet<String>,
    /// What was asked for by name, in apt's syntax.
    pub wants: BTreeSet<String>,
    /// debconf answers: package → question → value.
    pub debconf: BTreeMap<String, BTreeMap<String, toml::Value>>,
}

impl PackageSpec {
    /// The debconf answers that are for this layer's packages: those of another layer must not make
    /// this one anew.
    pub fn answers(&self) -> impl Iterator<Item = (&String, &BTreeMap<String, toml::Value>)> {
        let here = |name: &str| self.packages.iter().any(|package| package.key.name == name);
        self.debconf.iter().filter(move |(name, _)| here(name))
    }
}

/// One step of a chain.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its kind in the manifest.
    pub kind: LayerKind,
    /// What it holds.
    pub content: StepContent,
}

/// What a step holds.
#[derive(Debug, Clone)]
pub enum StepContent {
    /// Packages.
    Packages(PackageSpec),
    /// Locales, keyboard, databases.
    Settings(SettingsSpec),
    /// All that is one machine's.
    Host(Box<HostSpec>),
}

/// A whole chain and where it is built.
pub struct ChainSpec<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// The tools root.
    pub tools: &'a Tools,
    /// Steps, base first. A step without packages is left out.
    pub steps: Vec<Step>,
    /// Ids that are fixed.
    pub ledger: IdLedger,
    /// New ids are an error.
    pub locked: bool,
}

/// A layer that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltLayer {
    /// Its kind.
    pub kind: LayerKind,
    /// Hash of its inputs: its name in the cache.
    pub input_id: String,
    /// Hash of its image: its name everywhere else.
    pub sha256: String,
    /// Bytes of the image.
    pub size: u64,
    /// Date of the layer, seconds since 1970.
    pub epoch: u64,
    /// The image.
    pub erofs: PathBuf,
    /// The unpacked tree.
    pub tree: PathBuf,
    /// It was in the cache.
    pub cached: bool,
}

/// A chain that is ready.
#[derive(Debug, Clone)]
pub struct BuiltChain {
    /// Base first.
    pub layers: Vec<BuiltLayer>,
    /// The ledger with what was added to it.
    pub ledger: IdLedger,
    /// What was added.
    pub new_ids: Vec<NewId>,
}

/// Builds what the cache lacks of a chain.
pub fn build_chain(spec: &ChainSpec<'_>, progress: &dyn Progress) -> Result<BuiltChain> {
    let mode = crate::sandbox::Mode::current().ok_or_else(|| {
        Error::refused(
            "building layers",
            "this process is neither root nor in a user namespace; become_root first",
        )
    })?;
    let waiting = || progress.event(Event::Note("waiting for another build to finish".to_owned()));
    let cache = LayerCache::open(&spec.cache.root().join("layers"), mode, waiting)?;
    let packing = Mutex::new(());
    std::thread::scope(|scope| {
        let mut chain = Chain {
            spec,
            cache: &cache,
            scope,
            packing: &packing,
            laid: Vec::new(),
            ledger: spec.ledger.clone(),
            new_ids: Vec::new(),
            progress,
        };
        for step in &spec.steps {
            match &step.content {
                StepContent::Packages(packages)
                    if packages.packages.is_empty() && packages.removes.is_empty() => {}
                StepContent::Packages(packages) => chain.packages(step.kind, packages)?,
                StepContent::Settings(settings) if settings.is_empty() => {}
                StepContent::Settings(settings) => chain.settings(step.kind, settings)?,
                StepContent::Host(host) => chain.host(step.kind, host)?,
            }
        }
        chain.finish()
    })
}

/// A layer whose tree is there.
struct Laid<'scope> {
    kind: LayerKind,
    input_id: String,
    epoch: u64,
    /// Names of the packages that it adds.
    packages: BTreeSet<String>,
    image: Image<'scope>,
}

/// The image of a layer.
enum Image<'scope> {
    Cached(Meta),
    /// Layers above are built while this one is packed.
    Packing(ScopedJoinHandle<'scope, Result<Meta>>),
}

struct Chain<'scope, 'env> {
    spec: &'env ChainSpec<'env>,
    cache: &'env LayerCache,
    scope: &'scope Scope<'scope, 'env>,
    /// mkfs.erofs takes every CPU, so one runs at a time.
    packing: &'env Mutex<()>,
    laid: Vec<Laid<'scope>>,
    ledger: IdLedger,
    new_ids: Vec<NewId>,
    progress: &'env dyn Progress,
}

impl<'env> Chain<'_, 'env> {
    /// Trees laid so far, topmost first.
    fn trees(&self) -> Vec<PathBuf> {
        self.lowest_trees(self.laid.len())
    }

    /// Trees of the lowest layers, topmost first.
    fn lowest_trees(&self, count: usize) -> Vec<PathBuf> {
        let lowest = self.laid.iter().take(count).rev();
        lowest.map(|layer| self.cache.folder(&layer.input_id).join("tree")).collect()
    }

    /// Date of the uppermost of the lowest layers.
    fn epoch(&self, count: usize) -> u64 {
        self.laid.iter().take(count).next_back().map_or(0, |layer| layer.epoch)
    }

    /// Waits for the last image.
    fn finish(self) -> Result<BuiltChain> {
        let mut layers = Vec::new();
        for laid in self.laid {
            let cached = matches!(laid.image, Image::Cached(_));
            let meta = match laid.image {
                Image::Cached(meta) => meta,
                Image::Packing(thread) => thread.join().map_err(|_| {
                    Error::refused("packing a layer", "the thread that does it ended early")
                })??,
            };
            let folder = self.cache.folder(&laid.input_id);
            layers.push(BuiltLayer {
                kind: laid.kind,
                input_id: laid.input_id,
                sha256: meta.sha256,
                size: meta.size,
                epoch: meta.epoch,
                erofs: folder.join("layer.erofs"),
                tree: folder.join("tree"),
                cached,
            });
        }
        Ok(BuiltChain { layers, ledger: self.ledger, new_ids: self.new_ids })
    }

    /// What every layer's id is made of, beside its own content.
    fn inputs(&self, recipe: &str) -> String {
        self.inputs_on(self.laid.len(), recipe)
    }

    /// The same for a layer that is built on the lowest layers alone.
    fn inputs_on(&self, count: usize, recipe: &str) -> String {
        let parent = self.laid.iter().take(count).next_back().map_or("", |layer| layer.input_id.as_str());
        let options = pack::OPTIONS.join(" ");
        format!(
            "writer {WRITER}\nparent {parent}\ntools {}\nmkfs {options}\nrecipe {recipe}\n",
            self.spec.tools.id
        )
    }

    fn packages(&mut self, kind: LayerKind, spec: &PackageSpec) -> Result<()> {
        let names: BTreeSet<String> = spec.packages.iter().map(|package| package.key.name.clone()).collect();
        let input_id = hash::sha256((self.inputs("packages") + &canonical(spec)).as_bytes());
        if self.take_cached(kind, &input_id)? {
            if let Some(laid) = self.laid.last_mut() {
                laid.packages = names;
            }
            return Ok(());
        }
        let facts = spec.packages.iter().map(Facts::read).collect::<Result<Vec<_>>>()?;
        let newest = facts.iter().map(|facts| facts.made).max().unwrap_or(0);
        let epoch = newest.max(self.epoch(self.laid.len()));
        let build = Build::begin(self.cache, epoch)?;
        let parents = self.trees();
        Install {
            sandbox: &build.sandbox,
            spec,
            facts: &facts,
            parents: &parents,
            debs: &self.spec.cache.root().join("debs"),
            tree: &build.tree,
            empty: &build.empty,
            log: &build.log,
            progress: self.progress,
        }
        .run()?;
        self.complete(kind, input_id, build, &parents)?;
        if let Some(laid) = self.laid.last_mut() {
            laid.packages = names;
        }
        Ok(())
    }

    /// Settings stand on the lowest layers that have what their tools read, so that a package of
    /// the site does not make them anew.
    fn settings(&mut self, kind: LayerKind, spec: &SettingsSpec) -> Result<()> {
        let reads = |layer: &Laid<'_>| spec.reads_packages(&layer.packages);
        let count = self.laid.iter().rposition(reads).map_or(self.laid.len(), |last| last + 1);
        let input_id = hash::sha256((self.inputs_on(count, "settings") + &spec.canonical()).as_bytes());
        if self.take_cached(kind, &input_id)? {
            return Ok(());
        }
        let build = Build::begin(self.cache, self.epoch(count))?;
        let parents = self.lowest_trees(count);
        let (sandbox, tree, log) = (&build.sandbox, build.tree.as_path(), build.log.as_path());
        Settings { sandbox, spec, parents: &parents, tree, log }.run()?;
        self.complete(kind, input_id, build, &parents)
    }

    /// Settles ids, scrubs and names what was built in a sandbox, and has it packed.
    fn complete(
        &mut self,
        kind: LayerKind,
        input_id: String,
        build: Build,
        parents: &[PathBuf],
    ) -> Result<()> {
        self.settle_ids(&build.tree, parents)?;
        scrub(&build.tree, build.epoch)?;
        fs::remove_dir(&build.empty).map_err(Error::io("removing", &build.empty))?;
        let place = self.cache.place(build.folder, &input_id)?;
        let entries = walk(&place.join("tree"), build.epoch)?;
        let merged =
            Merged::new(std::iter::once(place.join("tree")).chain(parents.iter().cloned()).collect());
        let meta = Meta {
            sha256: String::new(),
            size: 0,
            epoch: build.epoch,
            mode: self.cache.mode().to_owned(),
            users: system_names(&merged.text("/etc/passwd")),
            groups: system_names(&merged.text("/etc/group")),
        };
        self.pack(kind, input_id, entries, meta);
        Ok(())
    }

    /// The layer's id is a hash of what is in it: making that takes less time than asking.
    fn host(&mut self, kind: LayerKind, spec: &HostSpec) -> Result<()> {
        let tree = host_tree(spec, &Merged::new(self.trees()))?;
        let entries = tree.entries();
        let input_id = hash::sha256((self.inputs("host") + &digest(&entries)).as_bytes());
        if self.take_cached(kind, &input_id)? {
            return Ok(());
        }
        let folder = self.cache.begin()?;
        let place = folder.path().join("tree");
        make_dir(&place)?;
        tree.unpack(&place)?;
        self.cache.place(folder, &input_id)?;
        let mode = self.cache.mode().to_owned();
        // Its lists of users are made anew from those below each time, so no id in it can be stale.
        let meta = Meta { epoch: spec.epoch, mode, ..Meta::default() };
        self.pack(kind, input_id, entries, meta);
        Ok(())
    }

    /// Uses a layer of the cache, unless its system users clash with the ledger.
    fn take_cached(&mut self, kind: LayerKind, input_id: &str) -> Result<bool> {
        let Some(meta) = self.cache.find(input_id) else { return Ok(false) };
        for (kind, names, known) in
            [("user", &meta.users, &self.ledger.users), ("group", &meta.groups, &self.ledger.groups)]
        {
            let clash = names.iter().any(|(name, id)| {
                known.get(name).is_some_and(|other| other != id)
                    || known.iter().any(|(other, taken)| taken == id && other != name)
            });
            if clash {
                self.progress.event(Event::Note(format!(
                    "a cached layer has {kind} ids of another lock; building it again"
                )));
                return Ok(false);
            }
        }
        let mut new = Vec::new();
        for (kind, names, known) in
            [("user", &meta.users, &mut self.ledger.users), ("group", &meta.groups, &mut self.ledger.groups)]
        {
            for (name, &id) in names {
                if known.insert(name.clone(), id).is_none() {
                    new.push(NewId { kind, name: name.clone(), id });
                }
            }
        }
        self.report_ids(new)?;
        let (input_id, epoch) = (input_id.to_owned(), meta.epoch);
        self.laid.push(Laid { kind, input_id, epoch, packages: BTreeSet::new(), image: Image::Cached(meta) });
        Ok(true)
    }

    fn settle_ids(&mut self, tree: &Path, parents: &[PathBuf]) -> Result<()> {
        let holder = |file: &str| parents.iter().map(|tree| tree.join(file)).find(|path| path.exists());
        let merged = tempfile::tempdir().map_err(Error::io("making a folder in", &std::env::temp_dir()))?;
        let etc = merged.path().join("etc");
        fs::create_dir(&etc).map_err(Error::io("making", &etc))?;
        for file in ["etc/passwd", "etc/group"] {
            if let Some(source) = holder(file) {
                fs::copy(&source, merged.path().join(file)).map_err(Error::io("copying", &source))?;
            }
        }
        let new = settle(tree, merged.path(), &mut self.ledger)?;
        self.report_ids(new)
    }

    fn report_ids(&mut self, new: Vec<NewId>) -> Result<()> {
        if self.spec.locked && !new.is_empty() {
            let names: Vec<&str> = new.iter().map(|id| id.name.as_str()).collect();
            return Err(Error::refused(
                "building with --locked",
                format!(
                    "the lock's [ids] lack the system users or groups {}; build once without --locked, and commit the lock",
                    names.join(", ")
                ),
            ));
        }
        for id in &new {
            let text =
                format!("new system {} {} has id {} from now on (lock, [ids])", id.kind, id.name, id.id);
            self.progress.event(Event::Note(text));
        }
        self.new_ids.extend(new);
        Ok(())
    }

    /// Packs in a thread; the layer is in the cache once that is done.
    fn pack(&mut self, kind: LayerKind, input_id: String, entries: Vec<Entry>, meta: Meta) {
        let (epoch, id) = (meta.epoch, input_id.clone());
        let (tools, cache, progress, packing) = (self.spec.tools, self.cache, self.progress, self.packing);
        let thread = self.scope.spawn(move || {
            let _turn = packing.lock();
            let scratch = &cache.folder(&id);
            let sizes = entries.iter().map(|entry| match &entry.kind {
                Kind::File(content) => content.size(),
                _ => 0,
            });
            let what = format!("layer {}", name(kind));
            progress.event(Event::Begin { task: Task::Pack, what, total: sizes.sum() });
            let pack = Pack { tools, scratch, epoch, input_id: &id };
            let packed = pack.write(&entries, &scratch.join("layer.erofs"), progress)?;
            progress.event(Event::End { task: Task::Pack });
            let meta = Meta { sha256: packed.sha256, size: packed.size, ..meta };
            cache.commit(&id, &meta, kind == LayerKind::Host)?;
            Ok(meta)
        });
        self.laid.push(Laid {
            kind,
            input_id,
            epoch,
            packages: BTreeSet::new(),
            image: Image::Packing(thread),
        });
    }
}

/// A kind's name in the manifest.
fn name(kind: LayerKind) -> &'static str {
    match kind {
        LayerKind::Base => "base",
        LayerKind::Desktop => "desktop",
        LayerKind::Packages => "packages",
        LayerKind::Profile => "profile",
        LayerKind::Settings => "settings",
        LayerKind::Host => "host",
    }
}

/// A layer that is built in a sandbox.
struct Build {
    folder: TempDir,
    sandbox: Sandbox,
    epoch: u64,
    tree: PathBuf,
    empty: PathBuf,
    log: PathBuf,
}

impl Build {
    fn begin(cache: &LayerCache, epoch: u64) -> Result<Self> {
        let folder = cache.begin()?;
        let at = |name: &str| folder.path().join(name);
        let (tree, empty, log) = (at("tree"), at("empty"), at("build.log"));
        for place in [&tree, &empty] {
            make_dir(place)?;
        }
        Ok(Self { sandbox: Sandbox::new(epoch, folder.path())?, folder, epoch, tree, empty, log })
    }
}

/// A hash of every entry: names, owners, modes, dates, contents.
fn digest(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let content = match &entry.kind {
            Kind::File(Content::Memory(bytes)) => hash::sha256(bytes),
            kind => format!("{kind:?}"),
        };
        let (path, xattrs) = (&entry.path, &entry.xattrs);
        let numbers = (entry.mode, entry.uid, entry.gid, entry.mtime);
        text.push_str(&format!("{path:?} {numbers:?} {xattrs:?} {content}\n"));
    }
    hash::sha256(text.as_bytes())
}

/// The part of a layer's id that is its own: independent of the order in which packages are named.
fn canonical(spec: &PackageSpec) -> String {
    let mut lines: BTreeSet<String> = spec
        .packages
        .iter()
        .map(|package| {
            format!(
                "package {} {} {} {}",
                package.key.name, package.key.arch, package.key.version, package.sha256
            )
        })
        .collect();
    lines.extend(spec.removes.iter().map(|name| format!("remove {name}")));
    lines.extend(spec.wants.iter().map(|name| format!("want {name}")));
    for (package, answers) in spec.answers() {
        lines.extend(answers.iter().map(|(question, value)| format!("debconf {package} {question} {value}")));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::lock::PackageKey;

    #[test]
    fn order_of_packages_changes_no_id() {
        let package = |name: &str| Package {
            key: PackageKey::new(name, "amd64", "1").unwrap(),
            sha256: format!("{name}-hash"),
            file: PathBuf::from("/anywhere"),
        };
        let spec = |names: &[&str]| PackageSpec {
            packages: names.iter().map(|name| package(name)).collect(),
            ..PackageSpec::default()
        };
        assert_eq!(canonical(&spec(&["aa", "bb"])), canonical(&spec(&["bb", "aa"])));
        assert_ne!(canonical(&spec(&["aa", "bb"])), canonical(&spec(&["aa"])));
        assert!(!canonical(&spec(&["aa"])).contains("anywhere"));
    }
}
