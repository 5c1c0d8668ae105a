//! Merge the files of a host into one tree of values, and remember for each value who set it.
//!
//! Only the partial order of [`Graph::stronger`] decides: no order of files or imports does.

use super::graph::Graph;
use super::load::{FileIx, Files, SITE};
use super::problem::{Location, Problem, suggest};
use super::schema::{Field, Kind, SETTINGS};
use super::text::{Entry, Node, Val};
use super::validate::{dotted, is_droppable, is_usable};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

/// What became of one file's word on a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "effect", content = "by")]
pub enum Effect {
    /// It is the value.
    Set,
    /// It takes a weaker file's value away.
    Removes,
    /// A stronger file says otherwise.
    Overridden(Location),
}

/// One file's word on one value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Where it stands.
    pub at: Location,
    /// What it says.
    pub value: Value,
    /// What became of it.
    #[serde(flatten)]
    pub effect: Effect,
}

/// Path of a value → every file's word on it, strong to weak.
pub type Provenance = BTreeMap<Vec<String>, Vec<Setting>>;

/// What a merge gives.
#[derive(Debug, Default)]
pub struct Merged {
    /// The tree; keys of [`SETTINGS`] at its top.
    pub values: toml::Table,
    /// Packages that the desktop slot's modules gave.
    pub desktop_packages: BTreeSet<String>,
    /// Who set what.
    pub provenance: Provenance,
    /// Conflicts and removals that find nothing.
    pub problems: Vec<Problem>,
}

/// Merge the files of `graph` for the host whose file is named `host_file`.
pub fn merge(files: &Files, graph: &Graph, host_file: &str) -> Merged {
    let mut merger = Merger { files, graph, host_file, path: Vec::new(), out: Merged::default() };
    let roots: Vec<Given<'_>> = graph
        .order
        .iter()
        .filter(|ix| **ix != SITE)
        .map(|ix| Given { file: *ix, key_at: 0, node: &files.all[*ix].root })
        .collect();
    let fields: Vec<&'static Field> = SETTINGS.iter().collect();
    let values = merger.fields(&fields, &roots);
    merger.out.values = values;
    merger.out
}

/// One file's node for the path at hand.
#[derive(Debug, Clone, Copy)]
struct Given<'a> {
    file: FileIx,
    key_at: usize,
    node: &'a Node,
}

/// One file's word on one entry of a set.
struct Word {
    file: FileIx,
    at: usize,
    adds: bool,
    value: Value,
    text: String,
}

struct Merger<'a> {
    files: &'a Files,
    graph: &'a Graph,
    host_file: &'a str,
    path: Vec<String>,
    out: Merged,
}

impl<'a> Merger<'a> {
    fn at(&self, file: FileIx, offset: usize) -> Location {
        self.files.all[file].at(offset)
    }

    fn dotted(&self) -> String {
        self.path.iter().fold(String::new(), |path, key| dotted(&path, key))
    }

    fn record(&mut self, setting: Setting) {
        self.out.provenance.entry(self.path.clone()).or_default().push(setting);
    }

    fn fields(&mut self, fields: &[&'static Field], given: &[Given<'a>]) -> toml::Table {
        let mut table = toml::Table::new();
        for field in fields {
            let child = children(given, field.name);
            if child.is_empty() {
                continue;
            }
            self.path.push(field.name.to_owned());
            if let Some(value) = self.entry(&field.kind, child, field.droppable) {
                table.insert(field.name.to_owned(), value);
            }
            self.path.pop();
        }
        table
    }

    fn named(&mut self, kind: &'static Kind, given: &[Given<'a>]) -> toml::Table {
        let names: BTreeSet<&str> = given
            .iter()
            .filter_map(|g| g.node.table())
            .flat_map(|table| table.keys().map(String::as_str))
            .collect();
        let mut merged = toml::Table::new();
        for name in names {
            self.path.push(name.to_owned());
            let child = children(given, name);
            if let Some(value) = self.entry(kind, child, is_droppable(kind)) {
                merged.insert(name.to_owned(), value);
            }
            self.path.pop();
        }
        merged
    }

    /// A value that `false` may take away.
    fn entry(&mut self, kind: &'static Kind, given: Vec<Given<'a>>, droppable: bool) -> Option<Value> {
        let given = match droppable {
            true => self.drop_removed(given),
            false => given,
        };
        let given: Vec<Given<'a>> = given.into_iter().filter(|g| is_usable(kind, g.node)).collect();
        if given.is_empty() {
            return None;
        }
        self.value(kind, &given)
    }

    /// Apply each `NAME = false`: what weaker files say goes, what equal ones say is a conflict.
    fn drop_removed(&mut self, given: Vec<Given<'a>>) -> Vec<Given<'a>> {
        let (removers, content): (Vec<_>, Vec<_>) = given.into_iter().partition(|g| g.node.is_false());
        let all: Vec<Given<'a>> = removers.iter().chain(&content).copied().collect();
        let mut gone: BTreeMap<FileIx, Location> = BTreeMap::new();
        for remover in &removers {
            let by = self.at(remover.file, remover.key_at);
            for other in &content {
                if self.graph.stronger(remover.file, other.file) {
                    gone.insert(other.file, by.clone());
                } else if !self.graph.stronger(other.file, remover.file)
                    && !self.settled(&all, &[remover.file, other.file])
                {
                    self.conflict_removed(remover, other);
                }
            }
            if content.is_empty() {
                self.finds_nothing(remover);
            }
            self.record(Setting { at: by, value: Value::Boolean(false), effect: Effect::Removes });
        }
        for lost in content.iter().filter(|g| gone.contains_key(&g.file)) {
            if let Some(by) = gone.get(&lost.file) {
                let setting = Setting {
                    at: self.at(lost.file, lost.key_at),
                    value: lost.node.plain(),
                    effect: Effect::Overridden(by.clone()),
                };
                self.record(setting);
            }
        }
        content.into_iter().filter(|g| !gone.contains_key(&g.file)).collect()
    }

    /// A file that is stronger than all of `files` also has its word here.
    fn settled(&self, given: &[Given<'a>], files: &[FileIx]) -> bool {
        given.iter().any(|g| files.iter().all(|f| self.graph.stronger(g.file, *f)))
    }

    fn value(&mut self, kind: &'static Kind, given: &[Given<'a>]) -> Option<Value> {
        match kind {
            Kind::Table(fields) => {
                let fields: Vec<&'static Field> = fields.iter().collect();
                Some(Value::Table(self.fields(&fields, given)))
            }
            Kind::Named(_, value) => Some(Value::Table(self.named(value, given))),
            Kind::Set(_) => Some(sorted(self.set(given, whole_name))),
            Kind::Ports => Some(sorted(self.set(given, whole_name))),
            Kind::Ordered(_) => Some(Value::Array(values(self.set(given, whole_name)))),
            Kind::Packages => {
                let kept = self.set(given, package_name);
                self.note_desktop(&kept, given);
                Some(sorted(kept))
            }
            Kind::Text(_)
            | Kind::Word(_)
            | Kind::Flag
            | Kind::Int(..)
            | Kind::Plain
            | Kind::Whole(_)
            | Kind::Rule(_)
            | Kind::Setting(_) => self.scalar(given),
        }
    }

    /// One value: the strongest file's, and an error where two strongest ones differ.
    fn scalar(&mut self, given: &[Given<'a>]) -> Option<Value> {
        let top: Vec<&Given<'a>> =
            given.iter().filter(|g| !given.iter().any(|o| self.graph.stronger(o.file, g.file))).collect();
        let first = top.first()?;
        let value = first.node.plain();
        if let Some(other) = top.iter().find(|g| g.node.plain() != value) {
            self.conflict(first, other);
        }
        let winner = self.at(first.file, first.node.at);
        for g in given.iter().rev() {
            let is_top = top.iter().any(|t| t.file == g.file);
            let setting = Setting {
                at: self.at(g.file, g.node.at),
                value: g.node.plain(),
                effect: match is_top {
                    true => Effect::Set,
                    false => Effect::Overridden(winner.clone()),
                },
            };
            self.record(setting);
        }
        Some(value)
    }

    fn conflict(&mut self, a: &Given<'a>, b: &Given<'a>) {
        let key = self.dotted();
        let message = format!(
            "`{key}` is {} here and {} in {}, and neither file imports the other",
            a.node.plain(),
            b.node.plain(),
            self.at(b.file, b.node.at),
        );
        self.settle(a.file, a.node.at, message, &key);
    }

    fn conflict_removed(&mut self, remover: &Given<'a>, other: &Given<'a>) {
        let key = self.dotted();
        let message = format!(
            "`{key}` is taken away here and set in {}, and neither file imports the other",
            self.at(other.file, other.key_at),
        );
        self.settle(remover.file, remover.key_at, message, &key);
    }

    fn settle(&mut self, file: FileIx, offset: usize, message: String, key: &str) {
        let remedy = format!("set `{key}` in {}, which is stronger", self.host_file);
        let problem = Problem::error(self.at(file, offset), message, remedy);
        self.out.problems.push(problem);
    }

    /// Entries of a set that stay, in order of the files. `name_of` says which entries are one.
    fn set(&mut self, given: &[Given<'a>], name_of: fn(&str) -> &str) -> Vec<(String, Value)> {
        let mut words: BTreeMap<String, Vec<Word>> = BTreeMap::new();
        let mut wipes: Vec<(FileIx, usize)> = Vec::new();
        for g in given {
            for item in g.node.list().unwrap_or_default() {
                let Some(word) = word_of(g.file, item) else {
                    continue;
                };
                if !word.adds && word.text == "*" {
                    wipes.push((g.file, item.at));
                    continue;
                }
                let name = name_of(&word.text).to_owned();
                let said = words.entry(name).or_default();
                let again = |w: &&Word| w.file == word.file && w.adds == word.adds && w.value == word.value;
                if said.iter().rev().find(again).is_none() {
                    said.push(word);
                }
            }
        }
        let mut kept: Vec<(usize, usize, String, Value)> = Vec::new();
        for (name, words) in words {
            self.path.push(name.clone());
            if let Some((file, at, value)) = self.entry_of_set(&words, &wipes) {
                let rank = self.graph.order.iter().position(|ix| *ix == file);
                kept.push((rank.unwrap_or(usize::MAX), at, name, value));
            }
            self.path.pop();
        }
        kept.sort_by_key(|(rank, at, ..)| (*rank, *at));
        kept.into_iter().map(|(_, _, name, value)| (name, value)).collect()
    }

    fn entry_of_set(&mut self, words: &[Word], wipes: &[(FileIx, usize)]) -> Option<(FileIx, usize, Value)> {
        let top: Vec<&Word> =
            words.iter().filter(|w| !words.iter().any(|o| self.graph.stronger(o.file, w.file))).collect();
        self.contradiction(&top);
        let wiped = |w: &Word| wipes.iter().find(|(file, _)| self.graph.stronger(*file, w.file)).copied();
        let winner = top.iter().filter(|w| w.adds && wiped(w).is_none()).max_by_key(|w| {
            let rank = self.graph.order.iter().position(|ix| *ix == w.file);
            (rank, std::cmp::Reverse(w.at))
        });
        let removed = !words.iter().any(|w| w.adds);
        let mut settings = Vec::new();
        let mut nothing = Vec::new();
        for w in words.iter().rev() {
            let at = self.at(w.file, w.at);
            let stronger = words.iter().find(|o| self.graph.stronger(o.file, w.file));
            let by =
                stronger.map(|o| (o.file, o.at)).or_else(|| wiped(w)).map(|(file, at)| self.at(file, at));
            let effect = match by {
                Some(by) => Effect::Overridden(by),
                None if w.adds => Effect::Set,
                None => Effect::Removes,
            };
            if removed {
                nothing.push((w.file, w.at, w.text.clone()));
            }
            let value = match w.adds {
                true => w.value.clone(),
                false => Value::String(format!("-{}", w.text)),
            };
            settings.push(Setting { at, value, effect });
        }
        let winner = winner.map(|w| (w.file, w.at, w.value.clone()));
        for setting in settings {
            self.record(setting);
        }
        for (file, at, text) in nothing {
            self.removes_unknown(file, at, &text);
        }
        winner
    }

    /// Equal files that say different things of one entry.
    fn contradiction(&mut self, top: &[&Word]) {
        let Some(first) = top.first() else {
            return;
        };
        let differs =
            |w: &&&Word| w.file != first.file && (w.adds != first.adds || (w.adds && w.value != first.value));
        let Some(other) = top.iter().find(differs) else {
            return;
        };
        let say = |w: &Word| match w.adds {
            true => format!("has {}", w.value),
            false => format!("takes \"{}\" away", w.text),
        };
        let list = match self.path.split_last() {
            Some((_, list)) => list.iter().fold(String::new(), |p, key| dotted(&p, key)),
            None => String::new(),
        };
        let message = format!(
            "`{list}` {} here and {} in {}, and neither file imports the other",
            say(first),
            say(other),
            self.at(other.file, other.at),
        );
        self.settle(first.file, first.at, message, &list);
    }

    /// `"-NAME"` where no file of this host adds NAME: fine if the site knows the name at all,
    /// so that a removal does not break a host the day its desktop changes.
    fn removes_unknown(&mut self, file: FileIx, at: usize, text: &str) {
        let mut path = self.path.clone();
        let name = path.pop().unwrap_or_default();
        let known = self.known(&path);
        if known.contains(&name) {
            return;
        }
        let list = path.iter().fold(String::new(), |p, key| dotted(&p, key));
        let message = format!("\"-{text}\" takes away what no module adds to `{list}`");
        let remedy = match suggest(&name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"-{near}\"?"),
            None => "take the word out".into(),
        };
        let problem = Problem::error(self.at(file, at), message, remedy);
        self.out.problems.push(problem);
    }

    /// `NAME = false` where no file of this host has NAME.
    fn finds_nothing(&mut self, remover: &Given<'a>) {
        let mut path = self.path.clone();
        let name = path.pop().unwrap_or_default();
        let known = self.known(&path);
        if known.contains(&name) {
            return;
        }
        let message = format!("`{} = false` takes away what no module sets", self.dotted());
        let remedy = match suggest(&name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "take the line out".into(),
        };
        let problem = Problem::error(self.at(remover.file, remover.key_at), message, remedy);
        self.out.problems.push(problem);
    }

    /// Names that any file of the site gives below a path: keys of tables that are not `false`,
    /// and entries of lists.
    fn known(&self, path: &[String]) -> BTreeSet<String> {
        let packages = path.len() == 1 && path.first().is_some_and(|key| key == "packages");
        let mut known = BTreeSet::new();
        for file in &self.files.all {
            let node = path.iter().try_fold(&file.root, |node, key| node.get(key).map(|entry| &entry.node));
            let Some(node) = node else {
                continue;
            };
            for (key, entry) in node.table().into_iter().flatten() {
                if !entry.node.is_false() {
                    known.insert(key.clone());
                }
            }
            for item in node.list().unwrap_or_default() {
                match word_of(0, item) {
                    Some(word) if word.adds && packages => {
                        known.insert(package_name(&word.text).to_owned());
                    }
                    Some(word) if word.adds => {
                        known.insert(word.text);
                    }
                    _ => {}
                }
            }
        }
        known
    }

    /// Remember which packages the desktop slot's modules gave.
    fn note_desktop(&mut self, kept: &[(String, Value)], given: &[Given<'a>]) {
        for g in given.iter().filter(|g| self.graph.desktop.contains(&g.file)) {
            for item in g.node.list().unwrap_or_default() {
                let Some(word) = word_of(g.file, item).filter(|word| word.adds) else {
                    continue;
                };
                let name = package_name(&word.text);
                let stays = kept.iter().find(|(kept, _)| kept == name);
                if let Some(full) = stays.and_then(|(_, value)| value.as_str()) {
                    self.out.desktop_packages.insert(full.to_owned());
                }
            }
        }
    }
}

fn children<'a>(given: &[Given<'a>], key: &str) -> Vec<Given<'a>> {
    given
        .iter()
        .filter_map(|g| {
            let Entry { key_at, node } = g.node.get(key)?;
            Some(Given { file: g.file, key_at: *key_at, node })
        })
        .collect()
}

fn word_of(file: FileIx, item: &Node) -> Option<Word> {
    let (adds, text) = match &item.value {
        Val::Text(text) => match text.strip_prefix('-') {
            Some(bare) => (false, bare.to_owned()),
            None => (true, text.clone()),
        },
        Val::Int(number) => (true, number.to_string()),
        _ => return None,
    };
    Some(Word { file, at: item.at, adds, value: item.plain(), text })
}

fn whole_name(text: &str) -> &str {
    text
}

/// The name under which a package is one of the set: the suite is its value.
pub fn package_name(text: &str) -> &str {
    text.split_once('/').map_or(text, |(name, _)| name)
}

fn values(kept: Vec<(String, Value)>) -> Vec<Value> {
    kept.into_iter().map(|(_, value)| value).collect()
}

fn sorted(mut kept: Vec<(String, Value)>) -> Value {
    kept.sort_by(|(a, x), (b, y)| (x.as_integer(), a).cmp(&(y.as_integer(), b)));
    Value::Array(values(kept))
}
