//! (d): a security update of one library. Debian's archive holds one version at a time, so the update is the locked
//! library itself with a new version and a changed `.so`, served by the loopback repository.

use super::{Bench, packed, say};
use crate::error::{Doing, Error, Result};
use crate::process::run;
use crate::tools;
use landfall_hosts::lock::Lock;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const LIBRARY: &str = "libssl3t64";
const BLOCK: usize = 4096;

/// Seconds, and the share of blocks that a machine would have to fetch.
pub fn one_library(bench: &Bench) -> Result<()> {
    let site = &bench.fixture.site;
    bench.build(site)?;
    let medium = bench.folder.join("bench.img");
    let before: HashSet<[u8; 32]> = blocks(&packed(&medium)?)?.into_iter().collect();
    let lock = site.folder.join(landfall_hosts::lock::FILE_NAME);
    let Some(repository) = bench.fixture.repository_with(|pool| changed_library(&lock, pool))? else {
        say('d', "not measured", "the loopback repository needs Go");
        return Ok(());
    };
    site.serve_tailscale_from(&repository)?;
    let start = Instant::now();
    site.run(&["lock", "--update", LIBRARY])?;
    let lock = start.elapsed().as_secs_f64();
    let build = bench.build(site)?;
    let after = blocks(&packed(&medium)?)?;
    let new = after.iter().filter(|hash| !before.contains(*hash)).count();
    let share = new as f64 * 100.0 / after.len().max(1) as f64;
    let what =
        format!("after `lock --update` of one library: {build:.1} s, {share:.2} % of the blocks are new");
    say('d', &what, &format!("lock {lock:.1} s; {new} of {} blocks of 4 KiB", after.len()));
    Ok(())
}

fn blocks(images: &[PathBuf]) -> Result<Vec<[u8; 32]>> {
    let mut hashes = Vec::new();
    for image in images {
        let bytes = std::fs::read(image).doing("reading", image)?;
        hashes.extend(bytes.chunks(BLOCK).map(|block| <[u8; 32]>::from(Sha256::digest(block))));
    }
    Ok(hashes)
}

/// The locked library with one constant of its `.so` changed and its version raised.
fn changed_library(lock: &Path, pool: &Path) -> Result<PathBuf> {
    let text = std::fs::read_to_string(lock).doing("reading", lock)?;
    let lock = Lock::parse(&text).map_err(|error| Error::Unexpected(format!("reading the lock: {error}")))?;
    let found = lock.packages.iter().find(|(key, _)| key.name == LIBRARY);
    let (key, package) = found.ok_or_else(|| Error::Unexpected(format!("the lock has no {LIBRARY}")))?;
    let deb = tools::cache().join("debs").join(format!("{}.deb", package.sha256));
    let folder = tempfile::tempdir().doing("creating a folder in", &std::env::temp_dir())?;
    let tree = folder.path().join("tree");
    run(Command::new("dpkg-deb").arg("-R").arg(&deb).arg(&tree))?;
    let control = tree.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).doing("reading", &control)?;
    let version = format!("Version: {}", key.version);
    std::fs::write(&control, text.replace(&version, &format!("{version}+landfall1")))
        .doing("writing", &control)?;
    change_library(&tree.join("usr/lib/x86_64-linux-gnu/libcrypto.so.3"))?;
    let to = pool.join(format!("{LIBRARY}_amd64.deb"));
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).arg(&tree).arg(&to))?;
    Ok(to)
}

/// As a one-line fix would: a few bytes of constant data in the middle.
fn change_library(path: &Path) -> Result<()> {
    let mut bytes = std::fs::read(path).doing("reading", path)?;
    let needle = b"OpenSSL 3.";
    let at = bytes.windows(needle.len()).position(|window| window == needle);
    let at = at.ok_or_else(|| Error::Unexpected(format!("{} names no version", path.display())))?;
    bytes[at..at + 7].copy_from_slice(b"openssl");
    std::fs::write(path, bytes).doing("writing", path)
}
