//! What Landfall is compared with: mmdebstrap on the same packages, from the same `.deb`s.

use crate::error::{Doing, Error, Result};
use crate::process::run;
use crate::site::Site;
use crate::tools;
use landfall_hosts::lock::{Lock, LockedPackage, PackageKey};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

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
