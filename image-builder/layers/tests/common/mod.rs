//! What the tests on a real lock share.

use landfall_debian::cache::Cache;
use landfall_debian::tools::{self, Tools};
use landfall_hosts::lock::Lock;
use landfall_hosts::manifest::LayerKind;
use landfall_layers::{Package, PackageSpec, Step, StepContent};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// What the environment names: `LANDFALL_TEST_LOCK` a lock, `LANDFALL_TEST_LAYER` the last layer of
/// a chain in it (`vm/packages`), `LANDFALL_TEST_CACHE` a cache that has all its packages and the
/// tools root.
pub struct Given {
    pub cache: Cache,
    pub lock: Lock,
    pub tools: Tools,
    pub steps: Vec<Step>,
}

fn env(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    value.unwrap_or_else(|| panic!("this test needs {name} (see tests/common/mod.rs)")).into()
}

pub fn given() -> Given {
    let cache = Cache::new(env("LANDFALL_TEST_CACHE"));
    let lock = Lock::parse(&fs::read_to_string(env("LANDFALL_TEST_LOCK")).unwrap()).unwrap();
    let layer = env("LANDFALL_TEST_LAYER").into_os_string().into_string().unwrap();
    let id = tools::id(&lock);
    let tools = Tools { root: cache.tools().join(&id).join("root"), id };
    let steps = steps(&lock, &layer, &cache);
    Given { cache, lock, tools, steps }
}

fn steps(lock: &Lock, layer: &str, cache: &Cache) -> Vec<Step> {
    let chain = lock.chain(layer).unwrap();
    let step = |(index, name): (usize, &&str)| {
        let locked = &lock.layers[*name];
        let package = |key: &landfall_hosts::lock::PackageKey| {
            let sha256 = lock.packages[key].sha256.clone();
            Package { key: key.clone(), file: cache.deb(&sha256), sha256 }
        };
        let content = StepContent::Packages(PackageSpec {
            name: (*name).to_owned(),
            packages: locked.packages.iter().map(package).collect(),
            removes: locked.removes.clone(),
            wants: locked.wants.clone(),
            debconf: BTreeMap::new(),
        });
        Step { kind: if index == 0 { LayerKind::Base } else { LayerKind::Packages }, content }
    };
    chain.iter().enumerate().map(step).collect()
}
