//! The measurements of `cargo xtask bench`: ratios with the raw figures beside them.

mod flash;
mod install;
mod memory;
mod probe;
mod sizes;
mod update;

use crate::encrypted::by_passphrase;
use crate::error::{Doing, Error, Result};
use crate::fixture::Fixture;
use crate::process::run;
use crate::rehearsal::Machine;
use crate::site::{HOST, Site};
use crate::tools::{self, Need};
use crate::{image, peers};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A letter of the list, and its measurement.
type Measurement = (char, fn(&Bench) -> Result<()>);

const ALL: &[Measurement] = &[
    ('a', cold_build),
    ('b', one_line),
    ('c', one_package),
    ('d', update::one_library),
    ('e', install::by_phase),
    ('f', to_first_boot),
    ('g', flash::flash_rate),
    ('i', sizes::initrds),
    ('m', memory::floor),
];

/// One that needs no medium.
type Alone = (char, fn() -> Result<()>);

const ALONE: &[Alone] = &[('p', probe::time)];

/// What the measurements share.
pub(crate) struct Bench {
    pub fixture: Fixture,
    pub folder: PathBuf,
    machine: OnceCell<(Machine, f64, f64)>,
    encrypted: OnceCell<Fixture>,
}

/// Runs the measurements of these letters, or all.
pub fn run_letters(letters: &str) -> Result<()> {
    let wanted = |letter: &char| letters.is_empty() || letters.contains(*letter);
    for (_, measure) in ALONE.iter().filter(|(letter, _)| wanted(letter)) {
        measure()?;
    }
    if !ALL.iter().any(|(letter, _)| wanted(letter)) {
        return Ok(());
    }
    tools::ensure(&[Need::Qemu, Need::Peers])?;
    let parent = tools::target().join("qemu-bench");
    std::fs::create_dir_all(&parent).doing("creating", &parent)?;
    let folder = tempfile::tempdir_in(&parent).doing("creating a folder in", &parent)?;
    let fixture = Fixture::make(&folder.path().join("fixture"), &[HOST])?;
    let (machine, encrypted) = (OnceCell::new(), OnceCell::new());
    let bench = Bench { fixture, folder: folder.path().to_path_buf(), machine, encrypted };
    for (_, measure) in ALL.iter().filter(|(letter, _)| wanted(letter)) {
        measure(&bench)?;
    }
    Ok(())
}

impl Bench {
    /// Seconds that one build of the site takes.
    pub fn build(&self, site: &Site) -> Result<f64> {
        let out = self.folder.join("bench.img");
        let start = Instant::now();
        site.build(&out, &[HOST], false)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// The installed machine, with the seconds to stage 1 and to the end of its install.
    fn machine(&self) -> Result<&(Machine, f64, f64)> {
        if self.machine.get().is_none() {
            let machine = Machine::new(&self.fixture, "bench")?;
            let installed = machine.install()?;
            let _ = self.machine.set((machine, installed.stage1_seconds, installed.seconds));
        }
        self.machine.get().ok_or_else(|| Error::unexpected("the machine that was just installed is gone"))
    }

    /// The same site with an encrypted disk, and its medium.
    fn encrypted(&self) -> Result<&Fixture> {
        if self.encrypted.get().is_none() {
            let _ = self
                .encrypted
                .set(self.fixture.variant("encrypted", &[HOST], |site| by_passphrase(site, "measured"))?);
        }
        self.encrypted.get().ok_or_else(|| Error::unexpected("the medium that was just built is gone"))
    }
}

/// One line of the result.
pub(crate) fn say(letter: char, what: &str, raw: &str) {
    println!("({letter}) {what}\n      {raw}");
}

fn cold_build(bench: &Bench) -> Result<()> {
    let cache = bench.folder.join("cold");
    let to = cache.join("landfall");
    std::fs::create_dir_all(&to).doing("creating", &to)?;
    for name in ["debs", "indices"] {
        run(Command::new("cp").arg("-r").arg(tools::cache().join(name)).arg(to.join(name)))?;
    }
    let site = Site { cache: Some(cache), ..bench.fixture.site.clone() };
    let ours = bench.build(&site)?;
    let locked = peers::packages(&site, HOST)?;
    let pool = bench.folder.join("pool");
    peers::repository(&locked, &pool)?;
    let start = Instant::now();
    peers::mmdebstrap(&locked, &pool, &bench.folder.join("peer.tar"))?;
    let theirs = start.elapsed().as_secs_f64();
    let what = format!("cold build of {HOST} to a medium, against mmdebstrap to a tar: {:.2}", ours / theirs);
    let mkosi = tools::find("mkosi").map_or("not installed, not compared", |_| "installed, but run by hand");
    say('a', &what, &format!("{ours:.1} s and {theirs:.1} s, {} packages; mkosi: {mkosi}", locked.len()));
    Ok(())
}

fn one_line(bench: &Bench) -> Result<()> {
    let site = &bench.fixture.site;
    bench.build(site)?;
    let mut best = f64::INFINITY;
    for round in 0..3 {
        let file = format!("hosts/{HOST}.toml");
        site.edit(&file, |table| {
            let text = toml::Table::from_iter([("text".to_owned(), format!("round {round}\n").into())]);
            let motd = toml::Table::from_iter([("/etc/motd".to_owned(), text.into())]);
            table.insert("files".into(), motd.into());
        })?;
        best = best.min(bench.build(site)?);
    }
    say('b', &format!("rebuild after one line of a host file: {best:.2} s"), "best of 3, a medium each");
    Ok(())
}

fn one_package(bench: &Bench) -> Result<()> {
    let site = &bench.fixture.site;
    site.edit("common.toml", |table| {
        if let Some(toml::Value::Array(packages)) = table.get_mut("packages") {
            packages.push("tree".into());
        }
    })?;
    let before = layers()?;
    let start = Instant::now();
    site.lock()?;
    let lock = start.elapsed().as_secs_f64();
    let with_download = bench.build(site)?;
    for layer in layers()?.difference(&before) {
        std::fs::remove_dir_all(layer).doing("removing", layer)?;
    }
    let own = bench.build(site)?;
    let raw = format!("lock {lock:.1} s; first build, download included, {with_download:.1} s");
    say('c', &format!("build after one small package more in common.toml: {own:.2} s of our own"), &raw);
    Ok(())
}

/// The folders of the cache's layers.
pub(crate) fn layers() -> Result<BTreeSet<PathBuf>> {
    let folder = tools::cache().join("layers");
    let listed = std::fs::read_dir(&folder).doing("listing", &folder)?;
    Ok(listed.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn to_first_boot(bench: &Bench) -> Result<()> {
    let (machine, stage1, install) = bench.machine()?;
    let mut guest = machine.boot("phases", None)?;
    let boot = guest.elapsed().as_secs_f64();
    let analyze = guest.root("systemd-analyze time | head -1")?;
    let total = install + boot;
    let what = format!("power-on to first boot done: {total:.0} s");
    let raw = format!(
        "stick to /init {stage1:.1} s, install {:.1} s, disk to first boot done {boot:.1} s\n      {}",
        install - stage1,
        analyze.trim()
    );
    say('f', &what, &raw);
    Ok(())
}

/// The packed layers of a site's host, base first.
pub(crate) fn packed(medium: &Path) -> Result<Vec<PathBuf>> {
    let text = image::data_file(medium, &format!("landfall/generations/{HOST}.toml"))?;
    let manifest: landfall_hosts::manifest::Manifest = toml::from_str(&String::from_utf8_lossy(&text))
        .map_err(|error| Error::Unexpected(format!("reading the manifest: {error}")))?;
    let wanted: Vec<&str> = manifest.layers.iter().map(|layer| layer.sha256.as_str()).collect();
    let metas = layers()?.into_iter().map(|folder| {
        let meta = std::fs::read_to_string(folder.join("meta.toml")).unwrap_or_default();
        (folder, meta)
    });
    let found = metas.filter(|(_, meta)| wanted.iter().any(|hash| meta.contains(hash)));
    Ok(found.map(|(folder, _)| folder.join("layer.erofs")).collect())
}
