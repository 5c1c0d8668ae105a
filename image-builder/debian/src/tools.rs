//! The tools root: Debian's own programs that build layers and media, extracted into a folder of
//! the cache, so that a computer needs none of them. Their packages are a section of the lock.
//!
//! No package's script runs there. That is enough for these programs, and lets an ordinary user
//! make the folder.

use crate::archive::{Archive, Found};
use crate::deb;
use crate::error::{Error, Result};
use crate::hash;
use crate::packages::relation_names;
use crate::store::Store;
use crate::update::UpdateScope;
use landfall_hosts::event::{Event, Progress, Task};
use landfall_hosts::host::TPM_LIBRARIES;
use landfall_hosts::lock::{Lock, LockedPackage, PackageKey};
use rustix::fs::{FlockOperation, flock};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that run, with everything they depend on.
pub const PROGRAMS: &[&str] = &[
    "apt",
    "base-files",
    "base-passwd",
    "bash",
    "busybox-static",
    "coreutils",
    "cryptsetup-bin",
    "dash",
    "debconf",
    "diffutils",
    "dpkg",
    "e2fsprogs",
    "erofs-utils",
    "fdisk",
    "findutils",
    "grep",
    "gzip",
    "kmod",
    "libarchive13t64",
    "libsystemd-shared",
    "mawk",
    "mount",
    "perl-base",
    "sed",
    "tar",
    "util-linux",
    "xz-utils",
    "zstd",
];

/// Packages from which only files are taken: boot programs that are signed as shipped, what blesses
/// a boot, what seals a disk's key to a TPM, and GRUB for BIOS with the one program that puts it
/// together, whose libraries others bring. Their dependencies are not wanted, nor those of
/// [`TPM_LIBRARIES`], which are taken in the same way.
pub const FILES: &[&str] = &[
    "grub-common",
    "grub-pc-bin",
    "shim-helpers-amd64-signed",
    "shim-signed",
    "systemd-boot",
    "systemd-boot-efi-amd64-signed",
    "systemd-cryptsetup",
];

/// Bump when the way a root is made changes, so that an old folder is not taken for a new one.
const RECIPE: u32 = 1;

/// How the folders of unfinished roots begin.
const UNFINISHED: &str = ".new-";

/// A tools root that is ready.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Hash of what it is made of.
    pub id: String,
    /// The folder that is `/` for its programs.
    pub root: PathBuf,
}

/// The tools' packages, chosen from an archive: the newest of each name, first alternatives,
/// providers where a name is virtual.
///
/// # Errors
/// If a package of the list is not in the archive.
pub fn choose(archive: &Archive) -> Result<BTreeMap<PackageKey, LockedPackage>> {
    let arch = archive.arches.first().map_or("amd64", String::as_str);
    let provided = providers(archive, arch);
    let mut chosen = BTreeMap::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut queue: VecDeque<String> = PROGRAMS.iter().map(|name| (*name).to_owned()).collect();
    while let Some(name) = queue.pop_front() {
        if !taken.insert(name.clone()) {
            continue;
        }
        let found = candidate(archive, &name, arch)?;
        for field in ["Pre-Depends", "Depends"] {
            for group in relation_names(found.package.field(field)) {
                queue.extend(alternative(archive, arch, &group, &taken, &provided));
            }
        }
        enter(&mut chosen, &found)?;
    }
    for name in FILES.iter().chain(&TPM_LIBRARIES) {
        enter(&mut chosen, &candidate(archive, name, arch)?)?;
    }
    Ok(chosen)
}

fn candidate<'a>(archive: &'a Archive, name: &'a str, arch: &'a str) -> Result<Found<'a>> {
    archive.newest(name, arch).ok_or_else(|| Error::Unsolvable {
        layer: "the tools root".into(),
        reason: format!(
            "no archive has {name} for {arch}; the suite must be trixie or later, with the component main"
        ),
    })
}

fn enter(chosen: &mut BTreeMap<PackageKey, LockedPackage>, found: &Found<'_>) -> Result<()> {
    chosen.insert(found.package.key()?, crate::store::locked(found)?);
    Ok(())
}

/// The package that satisfies a group: one that is taken already, else the first that exists, else
/// the first provider by name.
fn alternative(
    archive: &Archive,
    arch: &str,
    group: &[&str],
    taken: &BTreeSet<String>,
    provided: &BTreeMap<String, BTreeSet<String>>,
) -> Option<String> {
    let there = |name: &&&str| taken.contains(**name);
    let exists = |name: &&&str| archive.newest(name, arch).is_some();
    if let Some(name) = group.iter().find(there).or_else(|| group.iter().find(exists)) {
        return Some((*name).to_owned());
    }
    let providers = group.iter().find_map(|name| provided.get(*name))?;
    providers.iter().find(|name| taken.contains(*name)).or_else(|| providers.first()).cloned()
}

/// Virtual name → packages that provide it.
fn providers(archive: &Archive, arch: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut provided: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let usual = archive.suites.iter().filter(|suite| suite.repository.priority.is_none());
    let packages = usual
        .flat_map(|suite| &suite.indices)
        .filter(|index| index.arch == arch || index.arch == "all")
        .flat_map(|index| index.packages.iter());
    for package in packages {
        for name in relation_names(package.field("Provides")).into_iter().flatten() {
            provided.entry(name.to_owned()).or_default().insert(package.name().to_owned());
        }
    }
    provided
}

/// Whether the lock has every program that this landfall calls.
#[must_use]
pub fn is_complete(lock: &Lock) -> bool {
    PROGRAMS
        .iter()
        .chain(FILES)
        .chain(&TPM_LIBRARIES)
        .all(|name| lock.tools.iter().any(|key| key.name == *name))
}

/// Whether an update may move a tool.
#[must_use]
pub fn touches(lock: &Lock, scope: &UpdateScope) -> bool {
    match scope {
        UpdateScope::Nothing => false,
        UpdateScope::Packages(names) => lock.tools.iter().any(|key| names.contains(&key.name)),
        UpdateScope::Everything => true,
    }
}

/// The id of the tools root that a lock describes.
#[must_use]
pub fn id(lock: &Lock) -> String {
    let mut text = format!("tools root, recipe {RECIPE}\n");
    for key in &lock.tools {
        let sha256 = lock.packages.get(key).map_or("", |package| package.sha256.as_str());
        text.push_str(&format!("{} {} {sha256}\n", key.name, key.version));
    }
    hash::sha256(text.as_bytes())
}

impl Tools {
    /// The tools root of a lock: from the cache, or fetched and extracted.
    ///
    /// # Errors
    /// If a package cannot be had or extracted.
    pub fn provide(lock: &Lock, store: &Store<'_>) -> Result<Self> {
        let cache = store.cache;
        let id = id(lock);
        let folder = cache.tools().join(&id);
        let tools = Self { root: folder.join("root"), id };
        if tools.root.is_dir() {
            return Ok(tools);
        }
        let debs = store.provide("the tools", lock, lock.tools.iter())?;
        let _alone = clear(&cache.tools())?;
        if tools.root.is_dir() {
            return Ok(tools);
        }
        let temporary = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(cache.tools())
            .map_err(Error::io("making a folder in", &cache.tools()))?;
        // tempdir makes it 0700; programs in a namespace may run as another user.
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755))
            .map_err(Error::io("setting the mode of", temporary.path()))?;
        let root = temporary.path().join("root");
        fs::create_dir(&root).map_err(Error::io("making", &root))?;
        populate(&root, &debs, store.progress)?;
        // A folder under its final name is believed, so its files must have reached the disk.
        File::open(&root)
            .and_then(|root| rustix::fs::syncfs(root).map_err(std::io::Error::from))
            .map_err(Error::io("syncing", &root))?;
        match fs::rename(temporary.path(), &folder) {
            // Renamed: nothing is left for the guard to remove.
            Ok(()) => drop(temporary.keep()),
            Err(error) => return Err(Error::io("naming", &folder)(error)),
        }
        Ok(tools)
    }

    /// A program of the tools root, run where we are: by the root's own loader with its own
    /// libraries, so it needs no namespace and no privilege. For programs that open no file of
    /// their root by an absolute path.
    #[must_use]
    pub fn loader(&self, program: &str) -> Command {
        let libraries = ["usr/lib/x86_64-linux-gnu", "usr/lib"]
            .map(|folder| self.root.join(folder).display().to_string())
            .join(":");
        let mut command = Command::new(self.root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--inhibit-cache")
            .arg("--library-path")
            .arg(libraries)
            .arg(self.root.join(program))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command
    }
}

/// Lets one process at a time make roots, and removes what one that was interrupted left behind.
fn clear(tools: &Path) -> Result<File> {
    fs::create_dir_all(tools).map_err(Error::io("making", tools))?;
    let path = tools.join("lock");
    let lock = File::create(&path).map_err(Error::io("opening", &path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| Error::io("locking", &path)(error.into()))?;
    for entry in fs::read_dir(tools).map_err(Error::io("reading", tools))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(Error::io("removing", &path))?;
        }
    }
    Ok(lock)
}

/// Extracts packages into an empty folder and adds the few files that scripts would have made.
fn populate(root: &Path, debs: &BTreeMap<PackageKey, PathBuf>, progress: &dyn Progress) -> Result<()> {
    // base-files brings the links of the merged /usr (/bin → usr/bin), through which the others
    // are extracted.
    let (first, rest): (Vec<_>, Vec<_>) = debs.iter().partition(|(key, _)| key.name == "base-files");
    let total = debs.len() as u64;
    progress.event(Event::Begin { task: Task::Unpack, what: "the tools".into(), total });
    for (_, deb) in first.into_iter().chain(rest) {
        deb::extract(deb, root)?;
        progress.event(Event::Advance { task: Task::Unpack, by: 1 });
    }
    progress.event(Event::End { task: Task::Unpack });
    for (path, text) in [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        ),
        ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("var/lib/dpkg/status", ""),
    ] {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io("making", folder))?;
        }
        fs::write(&path, text).map_err(Error::io("writing", &path))?;
    }
    // What update-alternatives and dpkg's scripts would have linked.
    for (link, target) in [("usr/bin/awk", "mawk"), ("usr/bin/sh", "dash")] {
        let path = root.join(link);
        if fs::symlink_metadata(&path).is_err() {
            std::os::unix::fs::symlink(OsStr::new(target), &path).map_err(Error::io("linking", &path))?;
        }
    }
    Ok(())
}
