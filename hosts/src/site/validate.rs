//! Check one file against the schema: every unknown key and wrong type, each with its place.

use super::problem::{Problem, suggest};
use super::schema::{DISK_FACTS, Dialect, Fact, Field, Kind, MACHINE_FACTS, Role, RuleOf};
use super::shape::{self, Shape};
use super::text::{Entry, Lines, Node, Table, Val};
use crate::rule::SizeRange;

/// Every problem that the file has by itself.
pub fn file(role: Role, root: &Node, lines: &Lines) -> Vec<Problem> {
    let mut check = Check { lines, problems: Vec::new() };
    let empty = Table::new();
    check.fields(&role.fields(), root.table().unwrap_or(&empty), "");
    if role == Role::Site && root.get("schema").is_none() {
        check.error(
            0,
            "site.toml does not say which format it has".into(),
            "write `schema = 1` as its first line".into(),
        );
    }
    check.problems
}

/// The node is what `kind` wants, as far as merging needs it: a node that is not was reported
/// by [`file`] and takes no part in a merge.
pub fn is_usable(kind: &Kind, node: &Node) -> bool {
    match kind {
        Kind::Text(_) | Kind::Word(_) => node.text().is_some(),
        Kind::Flag => matches!(node.value, Val::Bool(_)),
        Kind::Int(..) => matches!(node.value, Val::Int(_)),
        Kind::Set(_) | Kind::Ordered(_) | Kind::Packages | Kind::Ports | Kind::Whole(_) => {
            node.list().is_some()
        }
        Kind::Rule(_) | Kind::Table(_) | Kind::Named(..) => node.table().is_some(),
        Kind::Plain => !matches!(node.value, Val::Table(_) | Val::List(_)),
        Kind::Setting(_) => true,
    }
}

/// `NAME = false` takes such a named entry away. Where booleans are values of another program's
/// keys, they are values.
pub fn is_droppable(kind: &Kind) -> bool {
    !matches!(kind, Kind::Plain | Kind::Setting(_) | Kind::Flag | Kind::Int(..))
}

struct Check<'a> {
    lines: &'a Lines,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn error(&mut self, at: usize, message: String, remedy: String) {
        let at = self.lines.at(at);
        self.problems.push(Problem::error(at, message, remedy));
    }

    fn wrong(&mut self, node: &Node, key: &str, wanted: &str) {
        let message = format!("`{key}` is {}, and must be {wanted}", node.type_name());
        self.error(node.at, message, format!("write {wanted}"));
    }

    fn fields(&mut self, fields: &[&'static Field], table: &Table, prefix: &str) {
        for (key, entry) in table {
            let path = dotted(prefix, key);
            match fields.iter().find(|field| field.name == key) {
                Some(field) => {
                    let dropped = field.droppable && entry.node.is_false();
                    if !dropped {
                        self.value(&field.kind, &entry.node, &path);
                    }
                }
                None => self.unknown(key, &path, entry, fields.iter().map(|f| f.name)),
            }
        }
    }

    fn unknown<'n>(
        &mut self,
        key: &str,
        path: &str,
        entry: &Entry,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        let remedy = match suggest(key, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let known: Vec<&str> = known.collect();
                format!("known here: {}", known.join(", "))
            }
        };
        self.error(entry.key_at, format!("unknown key `{path}`"), remedy);
    }

    fn value(&mut self, kind: &Kind, node: &Node, path: &str) {
        match kind {
            Kind::Text(shape) => self.text(*shape, node, path),
            Kind::Word(words) => self.word(words, node, path),
            Kind::Flag => {
                if !matches!(node.value, Val::Bool(_)) {
                    self.wrong(node, path, "true or false");
                }
            }
            Kind::Int(least, greatest) => self.int(*least, *greatest, node, path),
            Kind::Plain => {
                if !is_usable(kind, node) {
                    self.wrong(node, path, "a string, a number, true or false");
                }
            }
            Kind::Set(shape) | Kind::Ordered(shape) => self.list(Some(*shape), true, node, path),
            Kind::Packages => self.list(Some(Shape::Package), true, node, path),
            Kind::Whole(shape) => self.list(Some(*shape), false, node, path),
            Kind::Ports => self.ports(node, path),
            Kind::Rule(of) => self.rule(*of, node, path, true),
            Kind::Setting(dialect) => self.setting(*dialect, node, path),
            Kind::Table(fields) => match node.table() {
                Some(table) => {
                    let fields: Vec<&'static Field> = fields.iter().collect();
                    self.fields(&fields, table, path);
                }
                None => self.not_a_table(node, path),
            },
            Kind::Named(shape, value) => self.named(*shape, value, node, path),
        }
    }

    fn not_a_table(&mut self, node: &Node, path: &str) {
        let of_tables = node.list().is_some_and(|list| list.iter().any(|item| item.table().is_some()));
        if of_tables {
            let message = format!("`{path}` is a list of tables, which nothing can override");
            self.error(node.at, message, format!("give it a name: [{path}.NAME]"));
        } else {
            self.wrong(node, path, "a table");
        }
    }

    fn named(&mut self, shape: Shape, value: &'static Kind, node: &Node, path: &str) {
        let Some(table) = node.table() else {
            self.not_a_table(node, path);
            return;
        };
        for (key, entry) in table {
            if let Err(message) = shape::check(shape, key) {
                self.error(entry.key_at, message, format!("rename it in [{path}]"));
            }
            let dropped = entry.node.is_false() && is_droppable(value);
            if !dropped {
                self.value(value, &entry.node, &dotted(path, key));
            }
        }
    }

    fn text(&mut self, shape: Shape, node: &Node, path: &str) {
        match node.text() {
            None => self.wrong(node, path, shape::expected(shape)),
            Some(text) => {
                if let Err(message) = shape::check(shape, text) {
                    let remedy = format!("write {}", shape::expected(shape));
                    self.error(node.at, format!("`{path}`: {message}"), remedy);
                }
            }
        }
    }

    fn word(&mut self, words: &[&'static str], node: &Node, path: &str) {
        let all = quoted(words);
        match node.text() {
            None => self.wrong(node, path, &format!("one of {all}")),
            Some(text) if !words.contains(&text) => {
                let remedy = match suggest(text, words.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("it is one of {all}"),
                };
                self.error(node.at, format!("`{path}` cannot be \"{text}\""), remedy);
            }
            Some(_) => {}
        }
    }

    fn int(&mut self, least: i64, greatest: i64, node: &Node, path: &str) {
        match node.value {
            Val::Int(n) if (least..=greatest).contains(&n) => {}
            Val::Int(n) => {
                let message = format!("`{path}` is {n}");
                let remedy = match least == greatest {
                    true => format!("this Landfall knows {least} alone"),
                    false => format!("it lies between {least} and {greatest}"),
                };
                self.error(node.at, message, remedy);
            }
            _ => self.wrong(node, path, "an integer"),
        }
    }

    fn list(&mut self, shape: Option<Shape>, removals: bool, node: &Node, path: &str) {
        let Some(list) = node.list() else {
            self.wrong(node, path, "a list of strings");
            return;
        };
        let texts: Vec<&str> = list.iter().filter_map(Node::text).collect();
        for item in list {
            let Some(text) = item.text() else {
                self.wrong(item, path, "a list of strings");
                continue;
            };
            let bare = match removals {
                true => text.strip_prefix('-').unwrap_or(text),
                false => text,
            };
            if removals && text == "-*" {
                continue;
            }
            if removals && bare != text && texts.contains(&bare) {
                let message = format!("`{path}` both has and takes away \"{bare}\"");
                self.error(item.at, message, "keep one of the two".into());
            }
            let bad = shape.and_then(|shape| shape::check(shape, bare).err());
            if let Some(message) = bad {
                let near = shape.and_then(|shape| suggest(bare, shape::words(shape)));
                let remedy = near.map(|near| format!("did you mean \"{near}\"?")).unwrap_or_default();
                self.error(item.at, format!("`{path}`: {message}"), remedy);
            }
        }
    }

    fn ports(&mut self, node: &Node, path: &str) {
        let Some(list) = node.list() else {
            self.wrong(node, path, "a list of port numbers");
            return;
        };
        for item in list {
            let ok = match &item.value {
                Val::Int(n) => (1..=65_535).contains(n),
                Val::Text(text) => removed_port(text).is_some() || text == "-*",
                _ => false,
            };
            if !ok {
                self.error(
                    item.at,
                    format!("`{path}` has an entry that is no port"),
                    "ports are numbers from 1 to 65535; \"-22\" takes one away".into(),
                );
            }
        }
    }

    fn rule(&mut self, of: RuleOf, node: &Node, path: &str, top: bool) {
        let Some(table) = node.table() else {
            self.wrong(node, path, "a table of facts, such as { transport = \"nvme\" }");
            return;
        };
        if table.is_empty() {
            let message = format!("`{path}` is empty, so nothing matches it");
            self.error(node.at, message, "name a fact, such as a serial".into());
        }
        let facts = match of {
            RuleOf::Disk => DISK_FACTS,
            RuleOf::Machine | RuleOf::Profile => MACHINE_FACTS,
        };
        for (key, entry) in table {
            let path = dotted(path, key);
            let fact = facts.iter().find(|(name, _)| name == key).map(|(_, f)| *f);
            match (key.as_str(), fact) {
                ("any" | "none", _) => self.alternatives(of, &entry.node, &path),
                ("rank", _) if of == RuleOf::Profile && top => {
                    self.int(-1000, 1000, &entry.node, &path);
                }
                (_, Some(Fact::Choice)) if !top => self.error(
                    entry.key_at,
                    format!("`{key}` chooses among disks, so it cannot stand inside any or none"),
                    "move it to the top of the rule".into(),
                ),
                (_, Some(fact)) => self.wanted(fact, &entry.node, &path),
                (_, None) => {
                    let known = facts.iter().map(|(name, _)| *name);
                    self.unknown(key, &path, entry, known.chain(["any", "none"]));
                }
            }
        }
    }

    fn alternatives(&mut self, of: RuleOf, node: &Node, path: &str) {
        match node.list() {
            Some(list) if !list.is_empty() => {
                for item in list {
                    self.rule(of, item, path, false);
                }
            }
            _ => self.wrong(node, path, "a list of tables, such as [{ battery = true }]"),
        }
    }

    fn wanted(&mut self, fact: Fact, node: &Node, path: &str) {
        match fact {
            Fact::Flag if !matches!(node.value, Val::Bool(_)) => {
                self.wrong(node, path, "true or false");
            }
            Fact::Choice if !matches!(node.value, Val::Bool(true)) => {
                self.wrong(node, path, "true");
            }
            Fact::Text => self.texts(node, path, |_| Ok(())),
            Fact::Size => self.texts(node, path, |text| SizeRange::parse(text).map(|_| ())),
            Fact::Flag | Fact::Choice => {}
        }
    }

    fn texts(&mut self, node: &Node, path: &str, check: impl Fn(&str) -> Result<(), String>) {
        let one = std::slice::from_ref(node);
        let list = node.list().unwrap_or(one);
        if list.is_empty() {
            self.wrong(node, path, "a string or a list of strings that is not empty");
        }
        for item in list {
            match item.text().map(&check) {
                None => self.wrong(item, path, "a string or a list of strings"),
                Some(Err(message)) => {
                    let remedy = "write a range such as \"400G..1100G\" or \"400G..\"";
                    self.error(item.at, format!("`{path}`: {message}"), remedy.into());
                }
                Some(Ok(())) => {}
            }
        }
    }

    fn setting(&mut self, dialect: Dialect, node: &Node, path: &str) {
        let wanted = match dialect {
            Dialect::Ini => "a string, a number, true, false or { unset = true }",
            Dialect::Dconf => {
                "a string, a number, true, false, a list of strings, { gvariant = \"…\" } or { unset = true }"
            }
        };
        let ok = match &node.value {
            Val::Text(_) | Val::Int(_) | Val::Float(_) | Val::Bool(_) => true,
            Val::Date(_) => false,
            Val::List(list) => dialect == Dialect::Dconf && list.iter().all(|i| i.text().is_some()),
            Val::Table(table) => is_escape(dialect, table),
        };
        if !ok {
            self.wrong(node, path, wanted);
        }
    }
}

fn is_escape(dialect: Dialect, table: &Table) -> bool {
    let mut entries = table.iter();
    match (entries.next(), entries.next()) {
        (Some((key, entry)), None) if key == "unset" => {
            matches!(entry.node.value, Val::Bool(true))
        }
        (Some((key, entry)), None) if key == "gvariant" => {
            dialect == Dialect::Dconf && entry.node.text().is_some()
        }
        _ => false,
    }
}

/// The port that `"-22"` takes away.
pub fn removed_port(text: &str) -> Option<u16> {
    text.strip_prefix('-')
        .filter(|digits| !digits.starts_with('+'))
        .and_then(|digits| digits.parse().ok())
        .filter(|port| *port > 0)
}

/// `a.b` with quotes around what TOML would want quoted.
pub fn dotted(prefix: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let key = match bare {
        true => key.to_owned(),
        false => format!("{key:?}"),
    };
    match prefix {
        "" => key,
        prefix => format!("{prefix}.{key}"),
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}
