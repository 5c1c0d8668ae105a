//! What Landfall is compared with: mmdebstrap on the same packages, from the same `.deb`s.

use crate::error::{Doing, Error, Result};
use crate::image;
use crate::process::run;
use crate::site::Site;
use crate::tools;
use landfall_hosts::lock::{Lock, LockedPackage, PackageKey};
use landfall_hosts::manifest::{LayerKind, Manifest};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One name of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `file HASH`, `link TARGET`, `directory` …
    pub what: String,
    /// Octal permissions, owner and group.
    pub access: String,
    /// Extended attributes.
    pub attributes: BTreeMap<String, Vec<u8>>,
}

/// The packages of a host's package layers, with where their bytes are.
pub fn packages(site: &Site, host: &str) -> Result<BTreeMap<PackageKey, LockedPackage>> {
    let path = site.folder.join(landfall_hosts::lock::FILE_NAME);
    let text = std::fs::read_to_string(&path).doing("reading", &path)?;
    let lock = Lock::parse(&text)
        .map_err(|error| Error::Unexpected(format!("reading {}: {error}", path.display())))?;
    let own = format!("{host}/");
    let layers = lock.layers.iter().filter(|(name, _)| !name.contains('/') || name.starts_with(&own));
    let keys = layers.flat_map(|(_, layer)| layer.packages.iter());
    Ok(keys.filter_map(|key| Some((key.clone(), lock.packages.get(key)?.clone()))).collect())
}

/// A flat repository of `.deb`s out of Landfall's cache.
pub fn repository(packages: &BTreeMap<PackageKey, LockedPackage>, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).doing("creating", folder)?;
    let mut index = String::new();
    for (key, package) in packages {
        let from = tools::cache().join("debs").join(format!("{}.deb", package.sha256));
        let name = format!("{}_{}.deb", key.name, key.arch);
        std::fs::copy(&from, folder.join(&name)).doing("copying", &from)?;
        let stanza = run(Command::new("dpkg-deb").arg("-f").arg(&from))?;
        let (size, hash) = (package.size, &package.sha256);
        index.push_str(&format!(
            "{}\nFilename: ./{name}\nSize: {size}\nSHA256: {hash}\n\n",
            stanza.trim_end()
        ));
    }
    let path = folder.join("Packages");
    std::fs::write(&path, index).doing("writing", &path)
}

/// mmdebstrap of exactly these packages into a tar.
pub fn mmdebstrap(
    packages: &BTreeMap<PackageKey, LockedPackage>,
    repository: &Path,
    tar: &Path,
) -> Result<()> {
    let names: Vec<String> = packages.keys().map(|key| format!("{}={}", key.name, key.version)).collect();
    let mut command = Command::new(tools::program("mmdebstrap")?);
    command.args(["--variant=custom", "--format=tar", "--quiet", "--skip=check/empty"]);
    command.arg("--aptopt=Apt::Install-Recommends \"false\"");
    // The user that apt fetches as may not enter this folder; `copy:` of local files needs no such guard.
    command.arg("--aptopt=APT::Sandbox::User \"root\"");
    command.arg(format!("--include={}", names.join(",")));
    command.args(["trixie"]).arg(tar).arg(format!("deb [trusted=yes] copy:{} ./", repository.display()));
    run(&mut command).map(drop)
}

/// The package layers of a host, stacked by overlayfs as a machine stacks them, as a tar. Needs root.
pub fn stacked(medium: &Path, host: &str, tar: &Path) -> Result<()> {
    let text = image::data_file(medium, &format!("landfall/generations/{host}.toml"))?;
    let manifest: Manifest = toml::from_str(&String::from_utf8_lossy(&text))
        .map_err(|error| Error::Unexpected(format!("reading the manifest of {host}: {error}")))?;
    let of_packages = |kind: LayerKind| !matches!(kind, LayerKind::Settings | LayerKind::Host);
    let layers = manifest.layers.iter().filter(|layer| of_packages(layer.kind));
    let mut trees = layers.map(|layer| tree_of(&layer.sha256)).collect::<Result<Vec<_>>>()?;
    trees.reverse();
    let lower = trees.iter().map(|tree| tree.display().to_string()).collect::<Vec<_>>().join(":");
    // A namespace of its own: the mount ends with the shell.
    let script = "mount -t tmpfs none /mnt && mkdir /mnt/root && \
                  mount -t overlay none -o ro,lowerdir=\"$1\" /mnt/root && \
                  tar --xattrs --xattrs-include='*' --numeric-owner -C /mnt/root -cf \"$2\" .";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", &lower]).arg(tar);
    run(&mut command).map(drop)
}

fn tree_of(sha256: &str) -> Result<PathBuf> {
    let layers = tools::cache().join("layers");
    for entry in std::fs::read_dir(&layers).doing("listing", &layers)?.flatten() {
        let meta = std::fs::read_to_string(entry.path().join("meta.toml")).unwrap_or_default();
        if meta.contains(sha256) {
            return Ok(entry.path().join("tree"));
        }
    }
    Err(Error::Unexpected(format!("the cache has no layer {sha256}")))
}

/// Every name of a tar.
pub fn listing(tar: &Path) -> Result<BTreeMap<String, Item>> {
    let bad = |source| Error::Io { doing: format!("reading {}", tar.display()), source };
    let mut archive = tar::Archive::new(File::open(tar).doing("opening", tar)?);
    let mut items = BTreeMap::new();
    for entry in archive.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let path = entry.path().map_err(bad)?.display().to_string();
        let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
        let attributes = attributes(&mut entry);
        let header = entry.header();
        let (mode, uid, gid) = (header.mode(), header.uid(), header.gid());
        let access = format!("{:o} {}:{}", mode.map_err(bad)? & 0o7777, uid.map_err(bad)?, gid.map_err(bad)?);
        let kind = header.entry_type();
        let target =
            entry.link_name().map_err(bad)?.map(|name| name.display().to_string()).unwrap_or_default();
        let what = match kind {
            tar::EntryType::Regular => format!("file {}", hash(&mut entry).map_err(bad)?),
            tar::EntryType::Link => hard_link(&items, &target),
            tar::EntryType::Symlink => format!("link {target}"),
            tar::EntryType::Directory => "directory".to_owned(),
            other => format!("{other:?}"),
        };
        items.insert(path, Item { what, access, attributes });
    }
    Ok(items)
}

/// Which of two names is the first and which the link is the archiver's choice: both count as the file.
fn hard_link(items: &BTreeMap<String, Item>, target: &str) -> String {
    let first = items.get(target.trim_start_matches("./"));
    first.map_or_else(|| format!("hard link {target}"), |item| item.what.clone())
}

fn attributes(entry: &mut tar::Entry<'_, File>) -> BTreeMap<String, Vec<u8>> {
    let extensions = entry.pax_extensions().ok().flatten();
    let records = extensions.into_iter().flatten().flatten();
    let named = records.filter_map(|record| {
        let name = record.key().ok()?.strip_prefix("SCHILY.xattr.")?.to_owned();
        Some((name, record.value_bytes().to_vec()))
    });
    named.filter(|(name, _)| !name.contains("overlay.")).collect()
}

fn hash(reader: &mut impl Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(image::hex(&hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}
