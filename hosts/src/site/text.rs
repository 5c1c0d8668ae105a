//! TOML text as a tree in which every key and value knows where it stands.

use super::problem::{Location, Problem};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// Tables deeper than this are no site; the limit keeps recursion over a tree bounded.
const DEEPEST: usize = 32;
/// A module is written by hand; what is larger is something else.
const LARGEST_BYTES: usize = 4 << 20;

/// A value and the byte at which it starts.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Val,
    /// Byte offset in the file.
    pub at: usize,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub enum Val {
    /// String.
    Text(String),
    /// Integer.
    Int(i64),
    /// Float.
    Float(f64),
    /// Boolean.
    Bool(bool),
    /// Date or time, as written.
    Date(String),
    /// Array.
    List(Vec<Node>),
    /// Table.
    Table(Table),
}

/// Key → value, with the place of the key.
pub type Table = BTreeMap<String, Entry>;

/// A key's place and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Byte offset of the key.
    pub key_at: usize,
    /// The value.
    pub node: Node,
}

impl Node {
    /// An empty table at the start of a file.
    pub fn empty() -> Self {
        Self { value: Val::Table(Table::new()), at: 0 }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Val::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Val::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Val::List(list) => Some(list),
            _ => None,
        }
    }

    /// It is the word `false`, which takes a named table away.
    pub fn is_false(&self) -> bool {
        matches!(self.value, Val::Bool(false))
    }

    /// The value of a key of a table.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.table().and_then(|table| table.get(key))
    }

    /// What a person calls this type.
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Val::Text(_) => "a string",
            Val::Int(_) => "an integer",
            Val::Float(_) => "a float",
            Val::Bool(_) => "a boolean",
            Val::Date(_) => "a date",
            Val::List(_) => "a list",
            Val::Table(_) => "a table",
        }
    }

    /// The plain TOML value, without places.
    pub fn plain(&self) -> toml::Value {
        match &self.value {
            Val::Text(text) => toml::Value::String(text.clone()),
            Val::Int(n) => toml::Value::Integer(*n),
            Val::Float(n) => toml::Value::Float(*n),
            Val::Bool(flag) => toml::Value::Boolean(*flag),
            Val::Date(text) => toml::Value::String(text.clone()),
            Val::List(list) => toml::Value::Array(list.iter().map(Node::plain).collect()),
            Val::Table(table) => toml::Value::Table(
                table.iter().map(|(key, entry)| (key.clone(), entry.node.plain())).collect(),
            ),
        }
    }
}

/// Where lines begin, so that an offset becomes a line and a column.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    file: String,
    text: String,
    /// Offset of each line's first byte.
    starts: Vec<usize>,
}

impl Lines {
    /// Lines of `text`, which stands in `file`.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(breaks).collect();
        Self { file: file.into(), text, starts }
    }

    /// Line and column of a byte offset; an offset past the end is the end.
    pub fn at(&self, offset: usize) -> Location {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let before = self.text.as_bytes().get(start..offset).unwrap_or_default();
        let col = String::from_utf8_lossy(before).chars().count() + 1;
        Location { file: self.file.clone(), line, col }
    }
}

/// Parse a TOML document. Everything that could be read comes back beside the errors, so that
/// one slip does not hide the other problems of a file.
pub fn parse(lines: &Lines) -> (Node, Vec<Problem>) {
    let text = lines.text.as_str();
    let whole = Location { file: lines.file.clone(), ..Location::default() };
    if text.len() > LARGEST_BYTES {
        let message = format!("the file has {} bytes, more than 4 MiB", text.len());
        let problem = Problem::error(whole, message, "split it into modules");
        return (Node::empty(), vec![problem]);
    }
    if let Some(offset) = too_deep(text) {
        let problem = Problem::error(
            lines.at(offset),
            format!("a key here has more than {DEEPEST} parts"),
            "nothing in a site is nested that deep",
        );
        return (Node::empty(), vec![problem]);
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let message = format!("this is not TOML: {}", error.message().trim());
            Problem::error(lines.at(offset), message, "")
        })
        .collect();
    let at = root.span().start;
    let value = Val::Table(table(root.get_ref(), 0, lines, &mut problems));
    (Node { value, at }, problems)
}

/// The parser bounds nesting by brackets, not by dots; a line of many dots is found before it.
fn too_deep(text: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let key = line.split_once('=').map_or(line, |(key, _)| key);
        let looks_like_key = !line.trim_start().starts_with('#');
        if looks_like_key && key.bytes().filter(|b| *b == b'.').count() > 8 * DEEPEST {
            return Some(offset);
        }
        offset += line.len();
    }
    None
}

fn table(from: &DeTable<'_>, depth: usize, lines: &Lines, problems: &mut Vec<Problem>) -> Table {
    let mut table = Table::new();
    for (key, value) in from.iter() {
        let at = value.span().start;
        let value = node(value.get_ref(), at, depth, lines, problems);
        let entry = Entry { key_at: key.span().start, node: Node { value, at } };
        table.insert(key.get_ref().to_string(), entry);
    }
    table
}

fn node(from: &DeValue<'_>, at: usize, depth: usize, lines: &Lines, problems: &mut Vec<Problem>) -> Val {
    if depth > DEEPEST {
        let message = format!("this is nested more than {DEEPEST} deep");
        problems.push(Problem::error(lines.at(at), message, ""));
        return Val::Bool(false);
    }
    match from {
        DeValue::String(text) => Val::Text(text.to_string()),
        DeValue::Boolean(flag) => Val::Bool(*flag),
        DeValue::Datetime(date) => Val::Date(date.to_string()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Val::Int(n),
            Err(_) => {
                let message = "this number does not fit into 64 bits";
                problems.push(Problem::error(lines.at(at), message, ""));
                Val::Int(0)
            }
        },
        DeValue::Float(n) => Val::Float(n.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Array(list) => Val::List(
            list.iter()
                .map(|item| {
                    let at = item.span().start;
                    let value = node(item.get_ref(), at, depth + 1, lines, problems);
                    Node { value, at }
                })
                .collect(),
        ),
        DeValue::Table(inner) => Val::Table(table(inner, depth + 1, lines, problems)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_one_in_characters() {
        let lines = Lines::new("a.toml", "# ü\n[x]\n\"ü\" = 1\ny = \"z\"\n");
        let (root, problems) = parse(&lines);
        assert!(problems.is_empty(), "{problems:?}");
        let x = root.get("x").unwrap();
        let y = x.node.get("y").unwrap();
        assert_eq!(lines.at(y.key_at).to_string(), "a.toml:4:1");
        assert_eq!(lines.at(y.node.at).to_string(), "a.toml:4:5");
        assert_eq!(lines.at(usize::MAX).line, 5);
    }

    #[test]
    fn a_broken_file_is_an_error_with_a_place_and_no_panic() {
        for text in ["x = ", "[", "x = 1\nx = 2\n", "\u{0}", "a = \"\\q\"", "[[[", "x = 99999999999999999999"]
        {
            let (_, problems) = parse(&Lines::new("b.toml", text));
            assert!(!problems.is_empty(), "{text:?}");
            assert!(problems.iter().all(|p| p.at.line > 0), "{problems:?}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let dots = format!("{}a = 1", "a.".repeat(200_000));
        let brackets = format!("a = {}", "[".repeat(200_000));
        let header = format!("[{}a]", "a.".repeat(200));
        let tables = format!("a = {}1{}", "{ b = ".repeat(300), " }".repeat(300));
        for text in [dots, brackets, header, tables] {
            let (_, problems) = parse(&Lines::new("c.toml", text));
            assert!(!problems.is_empty());
        }
    }
}
