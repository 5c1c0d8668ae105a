//! `[ini]`: single keys of INI files, set in the file that packages brought, or in a new one.

use super::Layer;
use crate::error::Result;
use std::collections::BTreeMap;

type Groups = BTreeMap<String, BTreeMap<String, toml::Value>>;

impl Layer<'_> {
    pub(super) fn ini(&mut self) -> Result<()> {
        let spec = self.spec;
        for (path, groups) in &spec.host.ini {
            if !path.starts_with('/') {
                return Err(self.refused(&format!("ini {path}"), "it must be an absolute path"));
            }
            let text = edited(&self.current(path), groups);
            self.text(path, text);
        }
        Ok(())
    }
}

/// The text with these keys set (or, by `{ unset = true }`, taken out); all else stays as it is.
fn edited(text: &str, groups: &Groups) -> String {
    let mut sections: Vec<(String, Vec<String>)> = vec![(String::new(), Vec::new())];
    for line in text.lines() {
        match header(line) {
            Some(name) => sections.push((name.to_owned(), vec![line.to_owned()])),
            None => sections.last_mut().into_iter().for_each(|(_, lines)| lines.push(line.to_owned())),
        }
    }
    for (group, keys) in groups {
        if !sections.iter().any(|(name, _)| name == group) {
            sections.push((group.clone(), vec![format!("[{group}]")]));
        }
        for (key, value) in keys {
            for (_, lines) in sections.iter_mut().filter(|(name, _)| name == group).take(1) {
                set(lines, key, value);
            }
        }
    }
    sections.into_iter().flat_map(|(_, lines)| lines).map(|line| line + "\n").collect()
}

/// `[Group]`, or KDE's nested `[A][B]`, whose name then is `[A][B]` as it stands.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    Some(if inner.contains("][") { line } else { inner })
}

fn set(lines: &mut Vec<String>, key: &str, value: &toml::Value) {
    let is_key = |line: &String| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    let at = lines.iter().position(is_key);
    let unset = value.get("unset").and_then(toml::Value::as_bool) == Some(true);
    match (at, unset) {
        (Some(at), true) => {
            lines.remove(at);
        }
        (None, true) => {}
        (Some(at), false) => lines[at] = format!("{key}={}", plain(value)),
        (None, false) => {
            let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
            lines.insert(end, format!("{key}={}", plain(value)));
        }
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_where_they_stand_and_the_rest_stays() {
        let groups = Groups::from([
            ("main".into(), [("b".into(), "2".into()), ("c".into(), true.into())].into()),
            ("new".into(), [("k".into(), 7.into())].into()),
        ]);
        let text = "# comment\n[main]\na=1\nb = old\n\n[other]\nb=keep\n";
        let wanted = "# comment\n[main]\na=1\nb=2\nc=true\n\n[other]\nb=keep\n[new]\nk=7\n";
        assert_eq!(edited(text, &groups), wanted);
        assert_eq!(edited(wanted, &groups), wanted);
        let mut unset = toml::Table::new();
        unset.insert("unset".into(), true.into());
        let groups = Groups::from([("other".into(), [("b".into(), toml::Value::Table(unset))].into())]);
        assert_eq!(edited("[other]\nb=1\n", &groups), "[other]\n");
    }
}
