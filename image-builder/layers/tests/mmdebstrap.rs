//! A chain of layers equals, file by file, what mmdebstrap makes of the same packages.
//!
//! It takes minutes, root, mmdebstrap and packages that are in a cache already, so it runs only when
//! it is asked for (`--ignored`, and what tests/common/mod.rs names).

mod common;

use common::{Given, given};
use landfall_debian::{deb, hash};
use landfall_hosts::event::Silent;
use landfall_layers::compare::{Accepted, Flat, compare, flatten, unexplained};
use landfall_layers::tree::{Content, Kind};
use landfall_layers::{ChainSpec, Package, StepContent, build_chain, ids, scrub};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const fn accept(path: &'static str, reason: &'static str) -> Accepted {
    Accepted { path, reason }
}

/// Every accepted difference, beside what the scrub list removes from both.
const ACCEPTED: &[Accepted] = &[
    accept(
        "etc/apt/sources.list",
        "mmdebstrap names the archive that it was given; the host layer writes its own sources",
    ),
    accept("etc/apt/sources.list.d/", "as etc/apt/sources.list"),
    accept("etc/apt/apt.conf.d/99mmdebstrap", "mmdebstrap's own configuration of apt"),
    accept("etc/hostname", "mmdebstrap copies the building computer's"),
    accept("etc/resolv.conf", "mmdebstrap copies the building computer's over what systemd-resolved links"),
    accept(
        "var/lib/apt/extended_states",
        "mmdebstrap was asked for every package by name, so none is marked automatic",
    ),
    accept(
        "var/lib/dpkg/arch",
        "written where more than one architecture was named on mmdebstrap's command line",
    ),
    accept(
        "etc/.resolv.conf.systemd-resolved.bak",
        "systemd-resolved sets mmdebstrap's copy of etc/resolv.conf aside",
    ),
    accept("etc/fstab", "mmdebstrap writes a comment; the host layer writes its own"),
    accept(
        "etc/machine-id",
        "mmdebstrap opens its mode; systemd's own is 0444, and the installer makes the machine's",
    ),
    accept("var/cache/apt/archives/partial", "apt gives it to its user when it first downloads"),
    accept("var/lib/apt/lists/partial", "apt gives it to its user when it first downloads"),
    accept(
        "etc/systemd/system/timers.target.wants/apt-daily*",
        "the same unit by /lib and by /usr/lib: deb-systemd-helper follows systemctl where that is there, and mmdebstrap configures apt before systemd",
    ),
];

/// Lists whose lines have no order: entries stand as scripts came to make them, and apt runs
/// scripts in another order than dpkg by itself.
const UNORDERED: &[&str] =
    &["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "var/lib/dpkg/triggers/File"];

fn same_lines(path: &str, left: &Flat, right: &Flat) -> bool {
    let lines = |flat: &Flat| match flat.get(path.as_bytes()).map(|entry| &entry.kind) {
        Some(Kind::File(Content::Disk(place, _))) => {
            fs::read_to_string(place).unwrap().lines().map(str::to_owned).collect::<BTreeSet<_>>()
        }
        _ => panic!("{path} is no file"),
    };
    lines(left) == lines(right)
}

#[test]
#[ignore = "takes minutes and needs a cache; see tests/common/mod.rs"]
fn a_chain_equals_mmdebstrap() {
    let Given { cache, lock, tools, steps } = given();
    let packages: Vec<Package> = steps
        .iter()
        .flat_map(|step| match &step.content {
            StepContent::Packages(spec) => spec.packages.clone(),
            _ => Vec::new(),
        })
        .collect();
    let spec = ChainSpec { cache: &cache, tools: &tools, steps, ledger: lock.ids.clone(), locked: false };
    let chain = build_chain(&spec, &Silent).unwrap();
    let trees: Vec<PathBuf> = chain.layers.iter().rev().map(|layer| layer.tree.clone()).collect();

    let scratch = tempfile::tempdir_in(cache.root()).unwrap();
    let reference = reference(&packages, scratch.path());
    let mut ledger = chain.ledger.clone();
    ids::settle(&reference, Path::new("/nonexistent"), &mut ledger).unwrap();
    scrub::scrub(&reference, chain.layers.last().unwrap().epoch).unwrap();

    let (ours, theirs) = (flatten(&trees).unwrap(), flatten(&[reference]).unwrap());
    let mut left = unexplained(compare(&ours, &theirs).unwrap(), ACCEPTED);
    left.retain(|one| {
        let unordered = one.what.starts_with("content") && UNORDERED.contains(&one.path.as_str());
        !(unordered && same_lines(&one.path, &ours, &theirs))
    });
    let text: String = left.iter().map(|one| format!("{}: {}\n", one.path, one.what)).collect();
    assert!(
        left.is_empty(),
        "{} differences between the chain (left) and mmdebstrap (right):\n{text}",
        left.len()
    );
}

/// What mmdebstrap makes of a repository that has exactly these packages.
fn reference(packages: &[Package], scratch: &Path) -> PathBuf {
    let repository = scratch.join("repository");
    fs::create_dir(&repository).unwrap();
    let mut index = String::new();
    for package in packages {
        let name = format!("{}.deb", package.sha256);
        symlink(fs::canonicalize(&package.file).unwrap(), repository.join(&name)).unwrap();
        let control = deb::read_control(&package.file).unwrap();
        let size = fs::metadata(&package.file).unwrap().len();
        let digest = hash::sha256_file(&package.file).unwrap();
        index.push_str(&format!(
            "{}\nFilename: ./{name}\nSize: {size}\nSHA256: {digest}\n\n",
            control.trim_end()
        ));
    }
    fs::write(repository.join("Packages"), index).unwrap();
    let root = scratch.join("reference");
    let names: Vec<String> = packages.iter().map(|package| package.key.slot().replace(":all", "")).collect();
    let status = Command::new("mmdebstrap")
        .args(["--mode=root", "--variant=apt", "--format=directory", "--quiet"])
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .arg(format!("--include={}", names.join(",")))
        .arg(format!("--setup-hook=mkdir -p \"$1\"{0} && mount --bind {0} \"$1\"{0}", repository.display()))
        .arg(format!(
            "--customize-hook=umount \"$1\"{0} && rmdir -p --ignore-fail-on-non-empty \"$1\"{0}",
            repository.display()
        ))
        .args(["trixie", &root.display().to_string()])
        .arg(format!("deb [trusted=yes] copy:{} ./", repository.display()))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .status()
        .expect("mmdebstrap runs");
    assert!(status.success(), "mmdebstrap failed");
    root
}
