//! Sites in memory.
#![allow(dead_code, reason = "each test file uses some of it")]

use landfall_hosts::host::Host;
use landfall_hosts::site::tree::Memory;
use landfall_hosts::site::{Problem, Site};

/// A user who may log in, so that a test's site is valid but for what it tests.
pub const PEOPLE: &str = "
packages = [\"openssh-server\"]
[users.sam]
uid = 1000
groups = [\"sudo\"]
ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO sam\"]
[disk]
match = { transport = \"virtio\" }
";

const SITE: &str = "schema = 1
common = [\"people\"]
[admins]
sam = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"
";

/// A site of these files, with a valid `site.toml` and people unless given.
pub fn site(files: &[(&str, &str)]) -> Site {
    let base = [("site.toml", SITE), ("people.toml", PEOPLE)];
    let all = base.iter().chain(files).copied();
    Site::read(Box::new(Memory::new(all))).expect("site.toml can be read")
}

/// The merged host `h`.
pub fn host(files: &[(&str, &str)]) -> Host {
    let resolved = site(files).resolve("h");
    resolved.unwrap_or_else(|problems| panic!("{problems}")).host
}

/// Errors of the whole site, as a person reads them.
pub fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let problems = site(files).check();
    problems.iter().filter(|p| p.is_error()).map(Problem::to_string).collect()
}

/// The only error, which must have each of these words.
pub fn one_error(files: &[(&str, &str)], words: &[&str]) {
    let errors = errors(files);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for word in words {
        assert!(errors[0].contains(word), "{word:?} is not in {}", errors[0]);
    }
}
