//! What is wrong with a merged host, and with a site as a whole.

use super::finish::secret_references;
use super::problem::{Location, Problem, suggest};
use super::tree::Stands;
use super::{Problems, Resolved, Site};
use std::collections::BTreeMap;

/// Every problem of the site, of every host, once.
pub fn site(site: &Site) -> Vec<Problem> {
    let mut problems = site.problems.clone();
    for file in &site.files.all {
        problems.extend(file.problems.iter().cloned());
    }
    for name in site.hosts() {
        match site.resolve(name) {
            Ok(resolved) => problems.extend(resolved.notes),
            Err(found) => problems.extend(found.0),
        }
    }
    Problems(problems).tidy().0
}

/// Problems of one merged host; also leaves only those secrets that it reads.
pub fn host(site: &Site, resolved: &mut Resolved, file: &str) -> Vec<Problem> {
    let mut check = Check { site, file, problems: Vec::new() };
    check.secrets(resolved);
    check.problems
}

struct Check<'a> {
    site: &'a Site,
    file: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Where the winning word on a path stands; the host's file where nobody said anything.
    fn at(&self, resolved: &Resolved, path: &[String]) -> Location {
        let mut path = path;
        loop {
            let below =
                resolved.provenance.range(path.to_vec()..).next().filter(|(key, _)| key.starts_with(path));
            if let Some(setting) = below.and_then(|(_, settings)| settings.first()) {
                return setting.at.clone();
            }
            match path.split_last() {
                Some((_, up)) if !up.is_empty() => path = up,
                _ => {
                    return Location { file: self.file.to_owned(), line: 1, col: 1 };
                }
            }
        }
    }

    fn secrets(&mut self, resolved: &mut Resolved) {
        let references = secret_references(&resolved.host);
        let known: BTreeMap<String, ()> = resolved.host.secrets.keys().map(|k| (k.clone(), ())).collect();
        for (name, places) in &references {
            if known.contains_key(name) {
                continue;
            }
            for place in places {
                let remedy = match suggest(name, known.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("declare it: [secrets.{name}] file = \"secrets/{name}.age\""),
                };
                let at = self.at(resolved, place);
                let message = format!("there is no secret \"{name}\"");
                self.problems.push(Problem::error(at, message, remedy));
            }
        }
        resolved.host.secrets.retain(|name, secret| secret.expose || references.contains_key(name));
        for (name, secret) in &resolved.host.secrets {
            let path = ["secrets", name, "file"].map(str::to_owned);
            let at = self.at(resolved, &path);
            if self.site.tree.stands(&secret.file) != Some(Stands::File) {
                let message = format!("the file of the secret \"{name}\" is missing: {}", secret.file);
                let remedy = format!("write it: landfall secret set {name}");
                self.problems.push(Problem::error(at, message, remedy));
            }
        }
    }
}
