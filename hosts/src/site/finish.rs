//! From the merged tree to the typed [`Host`]: what belongs together is brought together, and
//! values that depend on others get their defaults.

use super::graph::Graph;
use super::merge::Merged;
use super::text::Node;
use crate::host::{Host, SecretRef, Unlock};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// What `site.toml` and the host's file say outside of merging.
pub struct Around<'a> {
    /// The host's name.
    pub name: &'a str,
    /// The root of `site.toml`.
    pub site: &'a Node,
    /// The root of the host's file.
    pub host: &'a Node,
    /// Its files.
    pub graph: &'a Graph,
}

/// Make the typed host. An error means that the schema and [`Host`] disagree, or that the
/// problems of the files were not looked at before.
pub fn host(merged: &Merged, around: &Around<'_>) -> Result<Host, String> {
    let mut values = merged.values.clone();
    let mut sources = Table::new();
    for key in ["suite", "components", "extra_suites", "mirror"] {
        if let Some(entry) = around.site.get(key) {
            sources.insert(key.into(), entry.node.plain());
        }
    }
    for key in ["apt", "pin", "debs"] {
        if let Some(value) = values.remove(key) {
            sources.insert(key.into(), value);
        }
    }
    sources.entry("suite").or_insert(Value::String("trixie".into()));
    let components = ["main", "contrib", "non-free", "non-free-firmware"];
    sources.entry("components").or_insert(strings(components));
    values.insert("sources".into(), Value::Table(sources));
    values.insert("name".into(), Value::String(around.name.into()));
    for key in ["hostname", "arch", "match"] {
        if let Some(entry) = around.host.get(key) {
            values.insert(key.into(), entry.node.plain());
        }
    }
    values.entry("hostname").or_insert(Value::String(around.name.into()));
    values.entry("arch").or_insert(Value::String("amd64".into()));
    for slot in super::graph::SLOTS {
        let word = match around.graph.slots.get(slot) {
            Some(name) => Some(name.clone()),
            None if around.graph.auto.contains(slot) => Some("auto".into()),
            None => None,
        };
        if let Some(word) = word {
            values.insert(slot.into(), Value::String(word));
        }
    }
    let host: Host =
        Value::Table(values).try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    Ok(complete(host, &merged.desktop_packages))
}

fn strings<const N: usize>(words: [&str; N]) -> Value {
    Value::Array(words.iter().map(|w| Value::String((*w).into())).collect())
}

fn complete(mut host: Host, desktop: &BTreeSet<String>) -> Host {
    host.packages.retain(|name| !desktop.contains(name));
    host.desktop_packages.clone_from(desktop);
    for user in host.users.values_mut() {
        if user.shell.is_empty() {
            user.shell = "/bin/bash".into();
        }
    }
    if let Some(encrypt) = host.disk.encrypt.as_mut().filter(|encrypt| encrypt.unlock.is_empty()) {
        encrypt.unlock.push(Unlock::Passphrase);
    }
    for repository in host.sources.apt.values_mut() {
        if repository.components.is_empty() {
            repository.components = vec!["main".into()];
        }
    }
    host
}

/// Every secret that a host refers to, with the path of each place that does.
pub fn secret_references(host: &Host) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut found: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut add = |reference: &Option<SecretRef>, path: &[&str]| {
        if let Some(reference) = reference {
            let path = path.iter().map(|part| (*part).to_owned()).collect();
            found.entry(reference.secret.clone()).or_default().push(path);
        }
    };
    for (name, user) in &host.users {
        add(&user.password, &["users", name, "password", "secret"]);
    }
    for (name, wifi) in &host.network.wifi {
        add(&wifi.psk, &["network", "wifi", name, "psk", "secret"]);
    }
    if let Some(tailnet) = &host.tailnet {
        add(&tailnet.auth_key, &["tailnet", "auth_key", "secret"]);
    }
    if let Some(encrypt) = &host.disk.encrypt {
        add(&encrypt.passphrase, &["disk", "encrypt", "passphrase", "secret"]);
        add(&encrypt.pin, &["disk", "encrypt", "pin", "secret"]);
    }
    for (path, file) in &host.files {
        for name in template_secrets(file.template.as_deref().unwrap_or_default()) {
            let reference = Some(SecretRef { secret: name.into() });
            add(&reference, &["files", path, "template"]);
        }
    }
    found
}

/// The names in `${secret:NAME}` of a template.
pub fn template_secrets(text: &str) -> Vec<&str> {
    const OPEN: &str = "${secret:";
    text.match_indices(OPEN)
        .filter_map(|(at, _)| text.get(at + OPEN.len()..))
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .collect()
}
