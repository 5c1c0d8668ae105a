//! With a real apt, where this computer has one that is laid out like Debian's; no network, no
//! privilege.

use super::*;
use crate::archive::{Index, Repository, Suite};
use crate::clock::UnixSeconds;
use crate::hash::sha256;
use crate::openpgp::Keyring;
use crate::packages::Packages;
use crate::release::Release;
use landfall_hosts::lock::LockedSuite;
use std::path::Path;

/// This computer's own root, if it can stand for a tools root.
fn tools() -> Option<Tools> {
    let tools = Tools { id: "this computer".into(), root: "/".into() };
    let there =
        ["/usr/bin/apt-get", "/usr/lib64/ld-linux-x86-64.so.2"].iter().all(|path| Path::new(path).exists());
    there.then_some(tools)
}

struct Case {
    folder: tempfile::TempDir,
    archive: Archive,
    lock: Lock,
}

/// A package's paragraph; `more` are further lines.
fn package(name: &str, version: &str, more: &str) -> String {
    let hash = sha256(format!("{name} {version}").as_bytes());
    let arch = if more.contains("Architecture") { "" } else { "Architecture: amd64\n" };
    format!(
        "Package: {name}\nVersion: {version}\n{arch}Maintainer: x\n{more}Filename: pool/{name}_{version}.deb\nSize: 1\nSHA256: {hash}\nDescription: x\n\n"
    )
}

impl Case {
    fn new(suites: &[(&str, &[String])]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let suites = suites.iter().enumerate().map(|(at, (name, packages))| {
            let text = packages.concat();
            let file = folder.path().join(format!("{at}.Packages"));
            std::fs::write(&file, &text).expect("written");
            let release = crate::testing::release(name, UnixSeconds(1_700_000_000), &[]);
            Suite {
                repository: Repository {
                    origin: "debian".into(),
                    uri: "http://unused".into(),
                    suite: (*name).to_owned(),
                    components: vec!["main".into()],
                    keyring: Keyring::debian().expect("keys"),
                    priority: name.contains("backports").then_some(100),
                },
                release: Release::parse(name, release).expect("a Release"),
                locked: LockedSuite { inrelease: sha256(text.as_bytes()), date: String::new() },
                indices: vec![Index {
                    component: "main".into(),
                    arch: "amd64".into(),
                    file,
                    sha256: sha256(text.as_bytes()),
                    packages: Packages::parse(text),
                }],
            }
        });
        let archive = Archive { suites: suites.collect(), arches: vec!["amd64".into()] };
        Self { folder, archive, lock: Lock { suite: "trixie".into(), ..Lock::default() } }
    }

    fn resolve(&mut self, requests: &[LayerRequest], scope: &UpdateScope) -> Option<Result<Vec<Change>>> {
        self.resolve_with(requests, scope, &Policy::default())
    }

    /// None where there is no apt.
    fn resolve_with(
        &mut self,
        requests: &[LayerRequest],
        scope: &UpdateScope,
        policy: &Policy,
    ) -> Option<Result<Vec<Change>>> {
        let tools = tools()?;
        let cache = Cache::new(self.folder.path());
        let resolver =
            Resolver { archive: &self.archive, tools: &tools, cache: &cache, policy, singles: Vec::new() };
        Some(resolver.resolve(&mut self.lock, requests, scope))
    }

    fn layer(&self, name: &str) -> Vec<String> {
        self.lock.layers[name].packages.iter().map(ToString::to_string).collect()
    }

    /// The next state of the archive's first suite.
    fn publish(&mut self, packages: &[String]) {
        let next = Self::new(&[("trixie", packages)]);
        self.archive = next.archive;
        self.folder = next.folder;
    }
}

fn request(name: &str, parent: Option<&str>, packages: &[&str]) -> LayerRequest {
    LayerRequest {
        name: name.into(),
        parent: parent.map(str::to_owned),
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        recommends_of: BTreeSet::new(),
    }
}

const NOTHING: &UpdateScope = &UpdateScope::Nothing;

fn only(names: &[&str]) -> UpdateScope {
    UpdateScope::Packages(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_chain_adds_only_what_is_new() {
    let mut case = Case::new(&[(
        "trixie",
        &[
            package("libc", "1", "Essential: yes\n"),
            package("editor", "1", "Depends: libc, libui\nRecommends: manual\n"),
            package("libui", "1", ""),
            package("manual", "1", ""),
        ],
    )]);
    let requests = [
        request("base", None, &["?essential", "landfall-initramfs"]),
        request("vm", Some("base"), &["editor"]),
    ];
    let Some(changes) = case.resolve(&requests, NOTHING) else { return };
    assert_eq!(changes.expect("resolved").len(), 4);
    assert_eq!(case.layer("base"), ["landfall-initramfs:all=1", "libc:amd64=1"]);
    assert_eq!(case.layer("vm"), ["editor:amd64=1", "libui:amd64=1"]);
    assert!(is_complete(&case.lock, &requests, &Policy::default()));
    // Asked again, nothing moves; and what was written reads back.
    assert!(case.resolve(&requests, NOTHING).expect("apt").expect("resolved").is_empty());
    case.lock.suites.clear();
    assert_eq!(Lock::parse(&case.lock.to_text()).expect("a lock"), case.lock);
}

#[test]
fn recommends_come_only_for_what_is_named() {
    let mut case = Case::new(&[(
        "trixie",
        &[
            package("one", "1", "Recommends: helper, absent | other\n"),
            package("two", "1", "Recommends: unwanted\n"),
            package("helper", "1", "Recommends: unwanted\n"),
            package("other", "1", ""),
            package("unwanted", "1", ""),
        ],
    )]);
    let mut wants = request("vm", None, &["one", "two"]);
    wants.recommends_of.insert("one".into());
    let Some(changes) = case.resolve(&[wants], NOTHING) else { return };
    changes.expect("resolved");
    assert_eq!(case.layer("vm"), ["helper:amd64=1", "one:amd64=1", "other:amd64=1", "two:amd64=1"]);
}

#[test]
fn an_extra_suite_serves_only_who_names_it() {
    let mut case = Case::new(&[
        ("trixie", &[package("tool", "1", ""), package("other", "1", "")]),
        ("trixie-backports", &[package("tool", "2", "Depends: other (>= 2)\n"), package("other", "2", "")]),
    ]);
    let Some(changes) = case.resolve(&[request("vm", None, &["tool", "other"])], NOTHING) else { return };
    changes.expect("resolved");
    assert_eq!(case.layer("vm"), ["other:amd64=1", "tool:amd64=1"]);
    case.lock.layers.clear();
    case.resolve(&[request("vm", None, &["tool/trixie-backports"])], NOTHING)
        .expect("apt")
        .expect("resolved");
    assert_eq!(case.layer("vm"), ["other:amd64=2", "tool:amd64=2"]);
}

#[test]
fn locked_versions_stay_until_an_update_asks() {
    let first =
        [package("tool", "1", "Depends: library\n"), package("library", "1", ""), package("more", "1", "")];
    let mut case = Case::new(&[("trixie", &first)]);
    let Some(changes) = case.resolve(&[request("vm", None, &["tool"])], NOTHING) else { return };
    changes.expect("resolved");
    // The archive has both versions now, and the site asks for one package more.
    let second: Vec<String> = first
        .into_iter()
        .chain([
            package("tool", "2", "Depends: library\n"),
            package("library", "2", ""),
            package("more", "2", ""),
        ])
        .collect();
    case.publish(&second);
    case.resolve(&[request("vm", None, &["tool", "more"])], NOTHING).expect("apt").expect("resolved");
    assert_eq!(case.layer("vm"), ["library:amd64=1", "more:amd64=2", "tool:amd64=1"]);
    let changes = case
        .resolve(&[request("vm", None, &["tool", "more"])], &only(&["library"]))
        .expect("apt")
        .expect("resolved");
    assert_eq!(case.layer("vm"), ["library:amd64=2", "more:amd64=2", "tool:amd64=1"]);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].from.as_deref(), changes[0].to.as_deref()), (Some("1"), Some("2")));
    case.resolve(&[request("vm", None, &["tool", "more"])], &UpdateScope::Everything)
        .expect("apt")
        .expect("resolved");
    assert_eq!(case.layer("vm"), ["library:amd64=2", "more:amd64=2", "tool:amd64=2"]);
}

#[test]
fn a_locked_version_that_is_gone_is_an_error_with_the_remedy() {
    let mut case = Case::new(&[("trixie", &[package("tool", "1", "")])]);
    let Some(changes) = case.resolve(&[request("vm", None, &["tool"])], NOTHING) else { return };
    changes.expect("resolved");
    case.publish(&[package("tool", "2", ""), package("more", "2", "")]);
    let wants = [request("vm", None, &["tool", "more"])];
    let words = case.resolve(&wants, NOTHING).expect("apt").expect_err("gone").to_string();
    assert!(words.contains("tool:amd64=1") && words.contains("landfall lock --update tool"), "{words}");
    case.resolve(&wants, &only(&["tool"])).expect("apt").expect("resolved");
    assert_eq!(case.layer("vm"), ["more:amd64=2", "tool:amd64=2"]);
}

#[test]
fn an_update_that_the_held_versions_forbid_moves_them_too() {
    let mut case = Case::new(&[(
        "trixie",
        &[package("tool", "1", "Depends: library (= 1)\n"), package("library", "1", "")],
    )]);
    let wants = [request("vm", None, &["tool"])];
    let Some(changes) = case.resolve(&wants, NOTHING) else { return };
    changes.expect("resolved");
    case.publish(&[
        package("tool", "1", "Depends: library (= 1)\n"),
        package("library", "1", ""),
        package("tool", "2", "Depends: library (= 2)\n"),
        package("library", "2", ""),
    ]);
    case.resolve(&wants, &only(&["library"])).expect("apt").expect("resolved");
    assert_eq!(case.layer("vm"), ["library:amd64=2", "tool:amd64=2"]);
}

#[test]
fn a_change_below_is_seen_by_every_layer_above() {
    let packages = [package("aa", "1", ""), package("bb", "1", ""), package("cc", "1", "Depends: aa\n")];
    let mut case = Case::new(&[("trixie", &packages)]);
    let chain = |base: &[&str]| {
        [
            request("base", None, base),
            request("middle", Some("base"), &["bb"]),
            request("top", Some("middle"), &["cc"]),
        ]
    };
    let Some(changes) = case.resolve(&chain(&["bb"]), NOTHING) else { return };
    changes.expect("resolved");
    assert_eq!(case.layer("top"), ["aa:amd64=1", "cc:amd64=1"]);
    case.resolve(&chain(&["aa", "bb"]), NOTHING).expect("apt").expect("resolved");
    assert_eq!((case.layer("base").len(), case.layer("middle").len()), (2, 0));
    assert_eq!(case.layer("top"), ["cc:amd64=1"]);
}

#[test]
fn what_cannot_stand_beside_is_removed_and_pins_are_heard() {
    let mut case = Case::new(&[(
        "trixie",
        &[
            package("small-clock", "1", "Provides: clock\n"),
            package("big-clock", "1", "Provides: clock\nConflicts: clock\n"),
            package("big-clock", "2", "Provides: clock\nConflicts: clock\n"),
        ],
    )]);
    let requests = [request("base", None, &["small-clock"]), request("vm", Some("base"), &["big-clock"])];
    let pins = vec![Pin { package: "big-clock".into(), what: "version 1".into(), priority: 990 }];
    let policy = Policy { pins, ..Policy::default() };
    let Some(changes) = case.resolve_with(&requests, NOTHING, &policy) else { return };
    changes.expect("resolved");
    assert_eq!(case.layer("vm"), ["big-clock:amd64=1"]);
    assert_eq!(case.lock.layers["vm"].removes, ["small-clock:amd64".to_owned()].into());
    assert!(
        !is_complete(&case.lock, &requests, &Policy::default()),
        "without the pin it must be resolved again"
    );
}

#[test]
fn wrong_names_are_all_told_at_once() {
    let mut case =
        Case::new(&[("trixie", &[package("neovim", "1", "Provides: editor\n"), package("g++", "1", "")])]);
    let wants = request("vm", None, &["noevim", "g..", "editor", "neovim/sid", "neovim:arm64", "-o"]);
    let Some(result) = case.resolve(&[wants], NOTHING) else { return };
    let words = result.expect_err("wrong").to_string();
    for told in ["did you mean `neovim`", "`g..`", "no suite sid", "arm64", "`-o`"] {
        assert!(words.contains(told), "{told}: {words}");
    }
    assert!(!words.contains("package `editor`"), "{words}");
}

#[test]
fn what_does_not_go_together_is_told_in_apts_words() {
    let mut case = Case::new(&[(
        "trixie",
        &[
            package("aa", "1", "Conflicts: bb\n"),
            package("bb", "1", ""),
            package("cc", "1", "Depends: absent\n"),
        ],
    )]);
    let Some(result) = case.resolve(&[request("vm", None, &["cc"])], NOTHING) else { return };
    let words = result.expect_err("unsolvable").to_string();
    assert!(words.contains("packages of vm") && words.contains("absent"), "{words}");
    assert!(case.resolve(&[request("vm", None, &["aa", "bb"])], NOTHING).expect("apt").is_err());
}

#[test]
fn the_shared_layer_heeds_only_pins_of_what_it_names() {
    let pin = |package: &str| Pin { package: package.into(), what: "version 1".into(), priority: 990 };
    let policy = Policy { pins: vec![pin("kernel"), pin("editor")], ..Policy::default() };
    let names = |request: &LayerRequest| -> Vec<String> {
        policy.pins_of(request).into_iter().map(|pin| pin.package).collect()
    };
    assert_eq!(names(&request("base", None, &["?essential", "kernel"])), ["kernel"]);
    assert_eq!(names(&request("vm", Some("base"), &["git"])), ["kernel", "editor"]);
}

#[test]
fn a_single_package_counts_only_where_it_is_named() {
    let single = |sha256: &str| Policy {
        singles: [("tool".to_owned(), sha256.to_owned())].into(),
        ..Policy::default()
    };
    let with = request("vm", Some("base"), &["tool"]);
    assert_ne!(asked(&with, &single("a")), asked(&with, &single("b")));
    let without = request("vm", Some("base"), &["git"]);
    assert_eq!(asked(&without, &single("a")), asked(&without, &single("b")));
}
