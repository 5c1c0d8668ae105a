//! Who reads which file: derived from the merged hosts, never written down by a person.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use landfall_hosts::host::Host;

use super::{Recipient, SecretFile, SecretsError};

/// Folder of secrets in a site.
const FOLDER: &str = "secrets";

/// The files of a site's secrets with their readers, by file.
///
/// `declared` are all `[secrets.NAME]` of the site, used or not: name → file. Each of `hosts` is a
/// reader of the secrets that its merged config uses.
pub fn secret_files<'a>(
    declared: &BTreeMap<String, String>,
    hosts: impl IntoIterator<Item = &'a Host>,
) -> Vec<SecretFile> {
    let mut files: BTreeMap<&str, SecretFile> = BTreeMap::new();
    for (name, file) in declared {
        entry(&mut files, file).names.insert(name.clone());
    }
    for host in hosts {
        for (name, secret) in &host.secrets {
            let entry = entry(&mut files, &secret.file);
            entry.names.insert(name.clone());
            entry.hosts.insert(host.name.clone());
        }
    }
    files.into_values().collect()
}

fn entry<'m, 'a>(files: &'m mut BTreeMap<&'a str, SecretFile>, file: &'a str) -> &'m mut SecretFile {
    files.entry(file).or_insert_with(|| SecretFile {
        file: file.to_string(),
        names: BTreeSet::new(),
        hosts: BTreeSet::new(),
    })
}

/// `.age` files in the site's secrets folder that no secret of the site names, as admins-only
/// files: a rekey must not forget them when an admin leaves.
pub fn unnamed_files(site: &Path, known: &[SecretFile]) -> Result<Vec<SecretFile>, SecretsError> {
    let folder = site.join(FOLDER);
    let fail = |source| SecretsError::Read { path: folder.clone(), source };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut found = BTreeSet::new();
    for item in entries {
        let name = item.map_err(fail)?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".age")) {
            found.insert(format!("{FOLDER}/{name}"));
        }
    }
    Ok(found
        .into_iter()
        .filter(|file| !known.iter().any(|secret| secret.file == *file))
        .map(|file| SecretFile { file, names: BTreeSet::new(), hosts: BTreeSet::new() })
        .collect())
}

/// The file for a secret that the site does not declare yet.
pub fn default_file(name: &str) -> Result<String, SecretsError> {
    let sane = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !sane {
        return Err(SecretsError::BadName {
            name: name.chars().take(100).collect(),
            reason: "a secret's name is up to 100 letters, digits, -, _ and . and does not start with a dot",
        });
    }
    Ok(format!("{FOLDER}/{name}.age"))
}

/// The admins' recipients from `[admins]` of site.toml.
pub fn admins<'a>(
    admins: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<Vec<Recipient>, SecretsError> {
    admins
        .into_iter()
        .map(|(name, text)| Recipient::parse(text, &format!("admin {name} in site.toml")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::host::Secret;

    fn host(name: &str, secrets: &[(&str, &str)]) -> Host {
        let secret = |file: &str| Secret { file: file.to_string(), ..Secret::default() };
        Host {
            name: name.to_string(),
            secrets: secrets.iter().map(|(name, file)| ((*name).to_string(), secret(file))).collect(),
            ..Host::default()
        }
    }

    #[test]
    fn readers_are_the_hosts_that_use_a_file() {
        let declared = BTreeMap::from([
            ("wifi".to_string(), "secrets/wifi.age".to_string()),
            ("unused".to_string(), "secrets/unused.age".to_string()),
        ]);
        let hosts = [
            host("vm", &[("wifi", "secrets/wifi.age"), ("a", "secrets/shared.yaml")]),
            host("laptop", &[("wifi", "secrets/wifi.age"), ("b", "secrets/shared.yaml")]),
            host("server", &[]),
        ];
        let files = secret_files(&declared, &hosts);
        let readers = |file: &str| {
            let found = files.iter().find(|f| f.file == file).unwrap();
            found.hosts.iter().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(readers("secrets/wifi.age"), "laptop vm");
        assert_eq!(readers("secrets/shared.yaml"), "laptop vm");
        assert_eq!(readers("secrets/unused.age"), "");
        assert_eq!(files.len(), 3);
    }

    #[test]
    fn files_that_nobody_names_are_found() {
        let site = tempfile::tempdir().unwrap();
        std::fs::create_dir(site.path().join(FOLDER)).unwrap();
        for name in ["a.age", "b.age", "recipients.toml"] {
            std::fs::write(site.path().join(FOLDER).join(name), b"").unwrap();
        }
        let known = secret_files(&BTreeMap::from([("a".into(), "secrets/a.age".into())]), []);
        let unnamed = unnamed_files(site.path(), &known).unwrap();
        assert_eq!(unnamed.len(), 1);
        assert_eq!(unnamed[0].file, "secrets/b.age");
    }

    #[test]
    fn names_stay_in_their_folder() {
        assert_eq!(default_file("wifi-home").unwrap(), "secrets/wifi-home.age");
        for bad in ["", "../x", "a/b", ".hidden", "a b", &"x".repeat(101)] {
            assert!(default_file(bad).is_err(), "{bad}");
        }
    }
}
