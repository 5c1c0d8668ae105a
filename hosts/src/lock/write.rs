//! The lock's writer: by hand, so that one package is one line and no release of a TOML library
//! changes a byte.

use super::{FORMAT, Lock, LockedLayer};
use std::fmt::Write;

const HEADER: &str = "\
# Written by `landfall lock`; keep it in the site's repository, do not edit it.
# It says what every layer is made of; `landfall lock --update` renews it.
";

pub(super) fn to_text(lock: &Lock) -> String {
    let mut out = String::from(HEADER);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "format = {FORMAT}\nsuite = {}", quote(&lock.suite));
    out.push_str("\n[suites]\n");
    for (name, suite) in &lock.suites {
        let _ = writeln!(
            out,
            "{} = {{ date = {}, inrelease = {} }}",
            quote(name),
            quote(&suite.date),
            quote(&suite.inrelease)
        );
    }
    ids(&mut out, "users", &lock.ids.users);
    ids(&mut out, "groups", &lock.ids.groups);
    out.push_str("\n[tools]\n");
    list(&mut out, "packages", lock.tools.iter().map(ToString::to_string));
    for (name, value) in &lock.layers {
        layer(&mut out, name, value);
    }
    out.push_str("\n[packages]\n");
    for (key, package) in &lock.packages {
        let _ = writeln!(
            out,
            "{} = {{ origin = {}, path = {}, size = {}, sha256 = {} }}",
            quote(&key.to_string()),
            quote(&package.origin),
            quote(&package.path),
            package.size,
            quote(&package.sha256)
        );
    }
    out
}

fn ids(out: &mut String, kind: &str, map: &std::collections::BTreeMap<String, u32>) {
    let _ = writeln!(out, "\n[ids.{kind}]");
    for (name, id) in map {
        let _ = writeln!(out, "{} = {id}", quote(name));
    }
}

fn layer(out: &mut String, name: &str, layer: &LockedLayer) {
    let _ = writeln!(out, "\n[layers.{}]", quote(name));
    if let Some(parent) = &layer.parent {
        let _ = writeln!(out, "parent = {}", quote(parent));
    }
    if let Some(below) = &layer.below {
        let _ = writeln!(out, "below = {}", quote(below));
    }
    list(out, "wants", layer.wants.iter().cloned());
    list(out, "packages", layer.packages.iter().map(ToString::to_string));
    list(out, "removes", layer.removes.iter().cloned());
}

fn list(out: &mut String, name: &str, items: impl Iterator<Item = String>) {
    let mut empty = true;
    for item in items {
        if empty {
            let _ = writeln!(out, "{name} = [");
            empty = false;
        }
        let _ = writeln!(out, "  {},", quote(&item));
    }
    out.push_str(if empty { "" } else { "]\n" });
    if empty {
        let _ = writeln!(out, "{name} = []");
    }
}

/// A TOML basic string (TOML 1.0, "String").
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
