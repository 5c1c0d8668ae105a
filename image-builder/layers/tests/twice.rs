//! Two builds of one chain are the same, byte for byte; where they are not, the file that no rule
//! of the scrub list covers is named.

mod common;

use common::{Given, given};
use landfall_debian::cache::Cache;
use landfall_hosts::event::Silent;
use landfall_layers::compare::compare_trees;
use landfall_layers::{BuiltLayer, ChainSpec, build_chain};
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
#[ignore = "takes minutes and needs a cache; see tests/common/mod.rs"]
fn two_builds_are_the_same() {
    let given = given();
    let (first, second) = (
        tempfile::tempdir_in(given.cache.root()).unwrap(),
        tempfile::tempdir_in(given.cache.root()).unwrap(),
    );
    let one = build(&given, first.path(), 0o022);
    let two = build(&given, second.path(), 0o077);
    let mut text = String::new();
    for (one, two) in one.iter().zip(&two) {
        for found in compare_trees(&one.tree, &two.tree).unwrap() {
            text.push_str(&format!("{:?}: {}: {}\n", one.kind, found.path, found.what));
        }
    }
    assert!(text.is_empty(), "files that differ between two builds; the scrub list lacks a rule:\n{text}");
    let hashes = |layers: &[BuiltLayer]| layers.iter().map(|layer| layer.sha256.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&one), hashes(&two), "the same files in other images: the writer is not stable");
}

fn build(given: &Given, folder: &Path, umask: u32) -> Vec<BuiltLayer> {
    symlink(given.cache.root().join("debs").canonicalize().unwrap(), folder.join("debs")).unwrap();
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
    let spec = ChainSpec {
        cache: &Cache::new(folder),
        tools: &given.tools,
        steps: given.steps.clone(),
        ledger: given.lock.ids.clone(),
        locked: false,
    };
    let chain = build_chain(&spec, &Silent).unwrap();
    rustix::process::umask(before);
    chain.layers
}
