//! Who set a value, for `landfall show --why`, and the merged host as lines for a person.

use super::merge::{Provenance, Setting};
use super::schema::{Field, Kind, Role};
use super::validate::dotted;
use super::{Problem, Resolved, problem};
use crate::host::Host;
use toml::Value;

/// One value of the merged host, as `key = value` with the place that set it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Dotted key.
    pub key: String,
    /// Value as TOML.
    pub value: String,
    /// Where it was set; empty where it is derived.
    pub place: String,
}

/// What was asked with `--why`.
#[derive(Debug, Clone, PartialEq)]
pub struct Why<'a> {
    /// Dotted key.
    pub key: String,
    /// Every file's word on it, strong to weak.
    pub settings: &'a [Setting],
}

/// Every word on `key` and on what lies below it. The error says what was meant, if that can be
/// told.
pub fn why<'a>(resolved: &'a Resolved, key: &str) -> Result<Vec<Why<'a>>, String> {
    for path in readings(key) {
        let found: Vec<Why<'a>> = below(&resolved.provenance, &path)
            .map(|(path, settings)| Why { key: join(path), settings })
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let path = readings(key).into_iter().next().unwrap_or_default();
    Err(match unknown(&path) {
        Some(remedy) => format!("there is no key `{key}`: {remedy}"),
        None => format!("no file sets `{key}`, and it has no default"),
    })
}

/// A key as TOML reads it; else split at its dots, and for names with dots in them (units,
/// paths) also at the first and second dot alone.
fn readings(key: &str) -> Vec<Vec<String>> {
    let mut readings = Vec::new();
    if let Ok(table) = format!("{key} = 0").parse::<toml::Table>() {
        let mut path = Vec::new();
        let mut at = Value::Table(table);
        while let Value::Table(table) = at {
            match table.into_iter().next() {
                Some((key, value)) => {
                    path.push(key);
                    at = value;
                }
                None => break,
            }
        }
        readings.push(path);
    }
    for parts in [usize::MAX, 2, 3] {
        readings.push(key.splitn(parts, '.').map(str::to_owned).collect());
    }
    readings
}

fn below<'a>(
    provenance: &'a Provenance,
    path: &[String],
) -> impl Iterator<Item = (&'a Vec<String>, &'a [Setting])> + use<'a> {
    let path = path.to_vec();
    provenance
        .range(path.clone()..)
        .take_while(move |(key, _)| key.starts_with(&path))
        .map(|(key, settings)| (key, settings.as_slice()))
}

/// A suggestion, if the schema does not know the path at all.
fn unknown(path: &[String]) -> Option<String> {
    let mut fields: Vec<&'static Field> =
        [Role::Host, Role::Module, Role::Site].iter().flat_map(|role| role.fields()).collect();
    let mut kind: Option<&'static Kind> = None;
    for part in path {
        match kind {
            Some(Kind::Named(_, inner)) => kind = Some(inner),
            Some(Kind::Table(known)) => {
                fields = known.iter().collect();
                kind = step(&fields, part);
            }
            Some(_) => return None,
            None => kind = step(&fields, part),
        }
        if kind.is_none() {
            let names = fields.iter().map(|field| field.name);
            return Some(match problem::suggest(part, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`landfall show HOST` lists the keys that are set".into(),
            });
        }
    }
    None
}

fn step(fields: &[&'static Field], part: &str) -> Option<&'static Kind> {
    fields.iter().find(|field| field.name == part).map(|field| &field.kind)
}

fn join(path: &[String]) -> String {
    path.iter().fold(String::new(), |key, part| dotted(&key, part))
}

/// The merged host as lines, sorted by key; what is empty or unset is left out.
pub fn lines(resolved: &Resolved) -> Vec<Line> {
    let mut lines = Vec::new();
    let tree = Value::try_from(&resolved.host).unwrap_or(Value::Table(toml::Table::new()));
    walk(&tree, &mut Vec::new(), &resolved.provenance, &mut lines);
    lines
}

fn walk(value: &Value, path: &mut Vec<String>, provenance: &Provenance, lines: &mut Vec<Line>) {
    match value {
        Value::Table(table) if !is_whole(path) => {
            for (key, value) in table {
                path.push(key.clone());
                walk(value, path, provenance, lines);
                path.pop();
            }
        }
        Value::Array(list) if list.is_empty() => {}
        Value::String(text) if text.is_empty() => {}
        Value::Table(table) if table.is_empty() => {}
        value => {
            let place = place(&written(path), provenance);
            // A flag that nobody touched says nothing.
            if !(place.is_empty() && *value == Value::Boolean(false)) {
                lines.push(Line { key: join(path), value: one_line(value), place });
            }
        }
    }
}

/// A value on one line; long texts with their line breaks escaped.
pub fn one_line(value: &Value) -> String {
    match value {
        // JSON's escapes are a subset of those of TOML's basic strings.
        Value::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        value => value.to_string(),
    }
}

/// Rules are one value.
fn is_whole(path: &[String]) -> bool {
    path.last().is_some_and(|key| key == "match")
}

/// The path as a file of the site writes it.
fn written(path: &[String]) -> Vec<String> {
    match path {
        [first, rest @ ..] if first == "sources" => rest.to_vec(),
        [first] if first == "desktop_packages" => vec!["packages".into()],
        path => path.to_vec(),
    }
}

/// The place of a value; the files of a set's entries, each once.
fn place(path: &[String], provenance: &Provenance) -> String {
    if let Some(setting) = provenance.get(path).and_then(|settings| settings.first()) {
        return match setting.at.file.as_str() {
            "default" => "default".into(),
            file => format!("{file}:{}", setting.at.line),
        };
    }
    let mut files: Vec<&str> = Vec::new();
    for (_, settings) in below(provenance, path) {
        for setting in settings.iter().filter(|s| s.effect == super::Effect::Set) {
            if !files.contains(&setting.at.file.as_str()) {
                files.push(&setting.at.file);
            }
        }
    }
    files.join(", ")
}

/// The stable JSON of a merged host: its keys, with `schema` beside them.
pub fn json(host: &Host) -> Result<serde_json::Value, serde_json::Error> {
    let mut value = serde_json::to_value(host)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".into(), 1.into());
    }
    Ok(value)
}

/// Problems as JSON, for `landfall check --json`.
pub fn problems_json(problems: &[Problem]) -> Result<serde_json::Value, serde_json::Error> {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    Ok(serde_json::json!({ "schema": 1, "errors": errors, "problems": serde_json::to_value(problems)? }))
}
