//! Fuzz targets: every text that comes into these types from outside.

use landfall_fuzz::target;
use landfall_hosts::lock::Lock;
use landfall_hosts::machine::{BootInfo, Machine};
use landfall_hosts::manifest::Manifest;
use landfall_hosts::medium::{MediumIndex, Seed, Unattended};
use landfall_hosts::report::InstallReport;
use landfall_hosts::rule::{self, FactMap, FactValue, Rule, SizeRange};
use landfall_hosts::signature;
use landfall_hosts::site::tree::Memory;
use landfall_hosts::site::{Site, json_schema, why};
use std::fmt::Debug;

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Reads, and where that succeeds writes and reads again: both must say the same.
fn there_and_back<T>(text: &str)
where
    T: serde::de::DeserializeOwned + serde::Serialize + PartialEq + Debug,
{
    let Ok(value) = toml::from_str::<T>(text) else {
        return;
    };
    let again = toml::to_string(&value).expect("what was read can be written");
    assert_eq!(toml::from_str::<T>(&again).expect("what was written can be read"), value);
}

#[test]
fn manifest() {
    target!("manifest", |bytes: &[u8]| {
        let text = text(bytes);
        there_and_back::<Manifest>(&text);
        if let Ok(manifest) = toml::from_str::<Manifest>(&text) {
            let _ = rule::matches(&manifest.install.disk, &FactMap::new());
            let _ = manifest.kernel.esp_path();
        }
    });
}

#[test]
fn medium() {
    target!("medium", |bytes: &[u8]| {
        let text = text(bytes);
        there_and_back::<MediumIndex>(&text);
        there_and_back::<Unattended>(&text);
        there_and_back::<Seed>(&text);
        there_and_back::<Machine>(&text);
        there_and_back::<BootInfo>(&text);
    });
}

#[test]
fn report() {
    target!("report", |bytes: &[u8]| {
        let Ok(report) = serde_json::from_slice::<InstallReport>(bytes) else {
            return;
        };
        let again = serde_json::to_vec(&report).expect("what was read can be written");
        serde_json::from_slice::<InstallReport>(&again).expect("what was written can be read");
    });
}

/// One file of a site is hostile: a host, a module that it imports, or `site.toml` itself.
#[test]
fn site() {
    const SITE: &str = "schema = 1\nsuite = \"trixie\"\ncommon = [\"common\"]\n";
    const HOST: &str = "device = \"laptop\"\nimports = [\"extra\"]\n[disk]\nmatch = { smallest = true }\n";
    target!("site", |bytes: &[u8]| {
        let text = text(bytes);
        for place in ["site.toml", "hosts/vm.toml", "extra.toml"] {
            let mut files = Memory::new([
                ("site.toml", SITE),
                ("common.toml", "packages = [\"git\"]\n"),
                ("extra.toml", "packages = [\"vim\"]\n"),
                ("hosts/vm.toml", HOST),
            ]);
            files.0.insert(place.to_owned(), text.clone().into_owned());
            let Ok(site) = Site::read(Box::new(files)) else {
                continue;
            };
            let _ = (site.check(), site.packages(), site.admins(), site.signing_keys());
            if let Ok(resolved) = site.resolve("vm") {
                let _ = (resolved.not_buildable(), why::lines(&resolved));
                let _ = why::json(&resolved.host);
            }
        }
    });
    let _ = json_schema::of(landfall_hosts::site::schema::Role::Host);
}

#[test]
fn facts() {
    target!("facts", |bytes: &[u8]| {
        let files = Memory::new([
            ("site.toml", "schema = 1\nsuite = \"trixie\"\n"),
            ("hosts/vm.toml", "device = \"auto\"\n[disk]\nmatch = { smallest = true }\n"),
            ("facts/vm.json", &text(bytes)),
        ]);
        if let Ok(site) = Site::read(Box::new(files)) {
            let _ = (site.check(), site.resolve("vm"));
        }
    });
}

#[test]
fn lock() {
    target!("lock", |bytes: &[u8]| {
        let Ok(mut lock) = Lock::parse(&text(bytes)) else {
            return;
        };
        let again = Lock::parse(&lock.to_text()).expect("what was written can be read");
        assert_eq!(again, lock);
        let names: Vec<String> = lock.layers.keys().cloned().collect();
        for name in &names {
            let _ = (lock.chain(name), lock.installed(name), lock.below(Some(name)));
        }
        lock.prune();
    });
}

#[test]
fn rule() {
    target!("rule", |bytes: &[u8]| {
        let text = text(bytes);
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let _ = (SizeRange::parse(first), rule::parse_size(first), rule::glob(first, rest));
        let Ok(rule) = toml::from_str::<Rule>(&text) else {
            return;
        };
        let value = |key: &String| vec![FactValue::Text(key.clone()), FactValue::Number(i64::MAX)];
        let facts: FactMap = rule.keys.keys().map(|key| (key.clone(), value(key))).collect();
        let _ = (rule::matches(&rule, &facts), rule::select(&rule, &[&facts, &facts]));
    });
}

#[test]
fn signature() {
    target!("signature", |bytes: &[u8]| {
        let text = text(bytes);
        let (key, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let _ = signature::key_id(key);
        let _ = signature::verify(&[key.to_owned()], b"a manifest", rest);
    });
}
