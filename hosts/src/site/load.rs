//! Read a site's files into trees, find the shipped modules, and see what imports what.

use super::problem::{Location, Problem, suggest};
use super::schema::Role;
use super::text::{self, Lines, Node};
use super::tree::Tree;
use super::validate;
use crate::profiles::Profiles;
use crate::rule::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// Modules that are part of Landfall: name → text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("device/desktop", include_str!("../../builtin/device/desktop.toml")),
    ("device/laptop", include_str!("../../builtin/device/laptop.toml")),
    ("device/server", include_str!("../../builtin/device/server.toml")),
    ("device/vm", include_str!("../../builtin/device/vm.toml")),
    ("gpu/nvidia", include_str!("../../builtin/gpu/nvidia.toml")),
    ("gpu/nvidia-off", include_str!("../../builtin/gpu/nvidia-off.toml")),
    ("hardware/metal", include_str!("../../builtin/hardware/metal.toml")),
    ("hardware/seat", include_str!("../../builtin/hardware/seat.toml")),
    ("desktop/gnome", include_str!("../../builtin/desktop/gnome.toml")),
    ("desktop/kde", include_str!("../../builtin/desktop/kde.toml")),
];

/// The shipped profiles of a slot.
pub fn shipped_profiles(slot: &str) -> Profiles {
    #[derive(serde::Deserialize)]
    struct Profile {
        #[serde(rename = "match")]
        rule: Option<Rule>,
    }
    let one = |(name, text): &(&str, &str)| {
        let name = name.strip_prefix(slot)?.strip_prefix('/')?;
        let profile: Profile = toml::from_str(text).ok()?;
        Some((name.to_owned(), profile.rule?))
    };
    SHIPPED.iter().filter_map(one).collect()
}

/// The weakest tier.
const DEFAULTS: &str = include_str!("../../builtin/defaults.toml");

/// Index of a file in [`Files`].
pub type FileIx = usize;

/// One file, parsed and checked by itself.
#[derive(Debug)]
pub struct SiteFile {
    /// Path in the site, `builtin:NAME` or `default`.
    pub name: String,
    /// Its lines.
    pub lines: Lines,
    /// Its tree.
    pub root: Node,
    /// What is wrong with it by itself.
    pub problems: Vec<Problem>,
    /// It is not TOML, so what it says is not known.
    pub broken: bool,
    /// Modules that it imports, each with the place of the word.
    pub imports: Vec<(FileIx, usize)>,
    /// Modules of other people's repositories that it asks for.
    pub foreign: Vec<String>,
}

impl SiteFile {
    fn new(name: &str, text: String, role: Role) -> Self {
        let lines = Lines::new(name, text);
        let (root, mut problems) = text::parse(&lines);
        let broken = !problems.is_empty();
        // Beside a line that is no TOML, what was made of it is not worth a word.
        let garbled: BTreeSet<usize> = problems.iter().map(|problem| problem.at.line).collect();
        let invalid = validate::file(role, &root, &lines);
        problems.extend(invalid.into_iter().filter(|problem| !garbled.contains(&problem.at.line)));
        Self {
            name: name.to_owned(),
            lines,
            root,
            problems,
            broken,
            imports: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// A string at the top of the file, with its place.
    pub fn word(&self, key: &str) -> Option<(&str, usize)> {
        let entry = self.root.get(key)?;
        Some((entry.node.text()?, entry.node.at))
    }

    /// The strings of a list at the top of the file, each with its place.
    pub fn words(&self, key: &str) -> Vec<(&str, usize)> {
        let list = self.root.get(key).and_then(|entry| entry.node.list());
        list.unwrap_or_default().iter().filter_map(|node| Some((node.text()?, node.at))).collect()
    }

    /// Where an offset is.
    pub fn at(&self, offset: usize) -> Location {
        self.lines.at(offset)
    }
}

/// Every file of a site, with the shipped modules beside them.
#[derive(Debug)]
pub struct Files {
    /// All of them; `site.toml` is first and the defaults are second.
    pub all: Vec<SiteFile>,
    /// Module name → file: `desktop/kde` of the site, `builtin:desktop/kde` always.
    pub modules: BTreeMap<String, FileIx>,
    /// Host name → file.
    pub hosts: BTreeMap<String, FileIx>,
}

/// `site.toml`.
pub const SITE: FileIx = 0;
/// The built-in defaults.
pub const DEFAULT: FileIx = 1;

/// Read every file. Only a site without `site.toml` is refused here; the rest are problems of
/// their files.
pub fn read(tree: &dyn Tree) -> Result<Files, Problem> {
    let whole = |file: String| Location { file, ..Location::default() };
    let text = tree.read("site.toml").map_err(|error| {
        let message = format!("reading site.toml in {}: {error}", tree.name());
        let remedy = "go to a site's folder, name one with --site, or make one with `landfall new`";
        Problem::error(whole("site.toml".into()), message, remedy)
    })?;
    let mut files = Files {
        all: vec![
            SiteFile::new("site.toml", text, Role::Site),
            SiteFile::new("default", DEFAULTS.to_owned(), Role::Module),
        ],
        modules: BTreeMap::new(),
        hosts: BTreeMap::new(),
    };
    for (name, text) in SHIPPED {
        let name = format!("builtin:{name}");
        files.modules.insert(name.clone(), files.all.len());
        files.all.push(SiteFile::new(&name, (*text).to_owned(), Role::Module));
    }
    let paths = tree.toml_files().map_err(|error| {
        let message = format!("listing {}: {error}", tree.name());
        Problem::error(whole(".".into()), message, "make the folder readable")
    })?;
    for path in paths {
        files.add(&path, tree.read(&path));
    }
    files.link();
    Ok(files)
}

impl Files {
    fn add(&mut self, path: &str, text: std::io::Result<String>) {
        let stem = path.strip_suffix(".toml").unwrap_or(path);
        let ix = self.all.len();
        let role = match stem.strip_prefix("hosts/") {
            Some(host) => {
                self.hosts.insert(host.to_owned(), ix);
                Role::Host
            }
            None => {
                self.modules.insert(stem.to_owned(), ix);
                Role::Module
            }
        };
        let file = match text {
            Ok(text) => SiteFile::new(path, text, role),
            Err(error) => {
                let mut file = SiteFile::new(path, String::new(), role);
                let message = format!("reading {path}: {error}");
                let remedy = "make it readable, as UTF-8 text";
                file.problems.push(Problem::error(file.at(0), message, remedy));
                file
            }
        };
        self.all.push(file);
    }

    /// The file of a module's name, as someone in the site means it.
    pub fn find(&self, name: &str) -> Option<FileIx> {
        let shipped = || self.modules.get(&format!("builtin:{name}"));
        self.modules.get(name).or_else(shipped).copied()
    }

    /// Resolve the imports of every file; what cannot be found is a problem of the importer.
    fn link(&mut self) {
        for ix in 0..self.all.len() {
            let key = if ix == SITE { "common" } else { "imports" };
            let mut imports = Vec::new();
            let mut foreign = Vec::new();
            let mut problems = Vec::new();
            for (name, offset) in self.all[ix].words(key) {
                match self.find(name) {
                    Some(target) => imports.push((target, offset)),
                    None if self.is_foreign(name) => foreign.push(name.to_owned()),
                    None => problems.push(self.unknown_module(name, self.all[ix].at(offset))),
                }
            }
            self.all[ix].imports = imports;
            self.all[ix].foreign = foreign;
            self.all[ix].problems.extend(problems);
        }
        self.find_cycles();
    }

    /// `INPUT:path` with an input that the site declares.
    fn is_foreign(&self, name: &str) -> bool {
        let inputs = self.all[SITE].root.get("inputs");
        name.split_once(':').is_some_and(|(input, _)| inputs.is_some_and(|e| e.node.get(input).is_some()))
    }

    /// The problem of a module that is nowhere.
    pub fn unknown_module(&self, name: &str, at: Location) -> Problem {
        if let Some((input, _)) = name.split_once(':')
            && input != "builtin"
        {
            let message = format!("there is no input `{input}` for the module \"{name}\"");
            let remedy = format!("declare [inputs.{input}] in site.toml");
            return Problem::error(at, message, remedy);
        }
        let known = self.modules.keys().map(String::as_str);
        let bare = known.clone().filter_map(|name| name.strip_prefix("builtin:"));
        let remedy = match suggest(name, known.clone().chain(bare)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write {name}.toml, or name one of: {}", {
                let names: BTreeSet<&str> = known.collect();
                names.into_iter().collect::<Vec<_>>().join(", ")
            }),
        };
        Problem::error(at, format!("there is no module \"{name}\""), remedy)
    }

    /// Everything that a file imports, directly or not, without itself.
    pub fn below(&self, ix: FileIx) -> BTreeSet<FileIx> {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<FileIx> = self.all[ix].imports.iter().map(|(i, _)| *i).collect();
        while let Some(next) = todo.pop() {
            if seen.insert(next) {
                todo.extend(self.all[next].imports.iter().map(|(i, _)| *i));
            }
        }
        seen
    }

    fn find_cycles(&mut self) {
        for ix in 0..self.all.len() {
            let Some(chain) = self.way_back(ix) else {
                continue;
            };
            // Each cycle is told once, at the file whose index is the least.
            if chain.iter().any(|other| *other < ix) {
                continue;
            }
            let next = chain.first().copied().unwrap_or(ix);
            let offset = self.all[ix]
                .imports
                .iter()
                .find(|(target, _)| *target == next)
                .map_or(0, |(_, offset)| *offset);
            let mut names = vec![self.all[ix].name.as_str()];
            names.extend(chain.iter().map(|i| self.all[*i].name.as_str()));
            let message = format!("these modules import each other: {}", names.join(" → "));
            let remedy = "take one of these imports away: importing says who is stronger";
            let problem = Problem::error(self.all[ix].at(offset), message, remedy);
            self.all[ix].problems.push(problem);
        }
    }

    /// The shortest chain of imports from a file back to itself.
    fn way_back(&self, start: FileIx) -> Option<Vec<FileIx>> {
        let mut from: BTreeMap<FileIx, FileIx> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(ix) = queue.pop_front() {
            for (target, _) in &self.all[ix].imports {
                if from.contains_key(target) {
                    continue;
                }
                from.insert(*target, ix);
                if *target == start {
                    let mut chain = vec![start];
                    let mut at = ix;
                    while at != start {
                        chain.push(at);
                        at = from.get(&at).copied()?;
                    }
                    chain.reverse();
                    return Some(chain);
                }
                queue.push_back(*target);
            }
        }
        None
    }
}
