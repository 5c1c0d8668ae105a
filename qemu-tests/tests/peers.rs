//! A chain of layers is, file by file, what mmdebstrap makes of the same packages.

use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::peers::{Item, listing, mmdebstrap, packages, repository, stacked};
use landfall_qemu_tests::site::HOST;
use landfall_qemu_tests::tools::{Need, ensure};
use std::collections::BTreeMap;

/// Where the two may differ, and why. A `*` at the end stands for everything below.
const ACCEPTED: &[(&str, &str)] = &[
    ("dev/*", "devtmpfs is mounted over it"),
    ("run/*", "a tmpfs is mounted over it"),
    ("tmp/*", "temporary"),
    ("var/log/*", "logs"),
    ("var/cache/*", "caches"),
    ("var/lib/apt/*", "indices of the repository that each was built from"),
    ("etc/apt/*", "each names the repository that it was built from"),
    ("etc/machine-id", "made per machine"),
    ("var/lib/dbus/machine-id", "made per machine"),
    ("etc/hostname", "mmdebstrap copies this computer's"),
    ("etc/resolv.conf", "mmdebstrap copies this computer's"),
];

#[test]
#[ignore = "builds a system: run by cargo xtask test --all"]
fn layers_equal_mmdebstrap() {
    ensure(&[Need::Peers]).unwrap();
    let fixture = Fixture::shared().unwrap();
    let folder = tempfile::tempdir_in(&fixture.folder).unwrap();
    let locked = packages(&fixture.site, HOST).unwrap();
    let pool = folder.path().join("pool");
    repository(&locked, &pool).unwrap();
    let (ours, theirs) = (folder.path().join("ours.tar"), folder.path().join("theirs.tar"));
    mmdebstrap(&locked, &pool, &theirs).unwrap();
    stacked(&fixture.medium, HOST, &ours).unwrap();
    let (ours, theirs) = (listing(&ours).unwrap(), listing(&theirs).unwrap());
    assert!(ours.len() > 1000 && theirs.len() > 1000, "{} and {} names", ours.len(), theirs.len());
    let differences = differences(&ours, &theirs);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn differences(ours: &BTreeMap<String, Item>, theirs: &BTreeMap<String, Item>) -> Vec<String> {
    let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    names.sort();
    names.dedup();
    let unlike = names.into_iter().filter(|name| !accepted(name) && ours.get(*name) != theirs.get(*name));
    unlike.map(|name| format!("{name}: ours {:?}, theirs {:?}", ours.get(name), theirs.get(name))).collect()
}

fn accepted(name: &str) -> bool {
    ACCEPTED.iter().any(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(folder) => name.starts_with(folder),
        None => name == *pattern,
    })
}
