//! A layer of packages: dpkg inside the root that it makes.
//!
//! The first layer is made as mmdebstrap makes it: the essential packages are extracted, then
//! installed over themselves by their own dpkg. What follows goes in with as few dpkg calls as
//! Pre-Depends allow; the lock has settled what is installed, so nothing is left for a solver.

use crate::chain::PackageSpec;
use crate::error::{Error, Result, make_dir};
use crate::package::{Facts, Package, batches, essential_closure};
use crate::sandbox::Sandbox;
use crate::watch::watched;
use landfall_debian::deb;
use landfall_debian::run::{Bind, RootCommand, RootDirs, RunInRoot};
use landfall_hosts::event::Progress;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the cache of `.deb`s shows inside.
const DEBS: &str = "/run/landfall-debs";

/// One layer in the making.
pub struct Install<'a> {
    /// How programs run.
    pub sandbox: &'a Sandbox,
    /// What the layer is.
    pub spec: &'a PackageSpec,
    /// Its packages' control files.
    pub facts: &'a [Facts],
    /// Trees below, topmost first; none for the first layer.
    pub parents: &'a [PathBuf],
    /// The folder with the cached `.deb`s, named by hash.
    pub debs: &'a Path,
    /// The layer's own tree.
    pub tree: &'a Path,
    /// An empty folder: an overlay needs something below.
    pub empty: &'a Path,
    /// Where programs write.
    pub log: &'a Path,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

/// The only architecture that Landfall builds for.
const NATIVE: &str = "amd64";

/// What dpkg is told at every call. Nothing is synced (the layer is thrown away as a whole when
/// interrupted), and a conffile that a script changed stays as it is.
const DPKG: &[&str] = &["dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold"];

impl Install<'_> {
    /// Makes the tree.
    pub fn run(&self) -> Result<()> {
        let what = format!("layer {}", self.spec.name);
        watched(self.log, (&what, self.facts.len() as u64), self.progress, || self.install())?;
        self.mark()
    }

    fn install(&self) -> Result<()> {
        let mut done = BTreeSet::new();
        if self.parents.is_empty() {
            done = essential_closure(self.facts);
            self.extract(&done)?;
        }
        self.keep_services_down()?;
        if !done.is_empty() {
            self.dpkg(&["--force-depends", "--install"], self.files(&done))?;
        }
        self.add_architectures()?;
        self.preseed()?;
        self.remove()?;
        for batch in batches(self.facts, &done) {
            if !batch.configure.is_empty() {
                self.dpkg(&["--configure"], self.names(&batch.configure))?;
            }
            let unpack = ["--auto-deconfigure", "--no-triggers", "--unpack"];
            self.dpkg(&unpack, self.files(&batch.unpack))?;
        }
        self.dpkg(&["--configure", "--pending"], Vec::new())
    }

    /// base-files first: it brings the links of the merged /usr, through which the others go.
    fn extract(&self, which: &BTreeSet<usize>) -> Result<()> {
        let all: Vec<&Facts> = which.iter().filter_map(|&index| self.facts.get(index)).collect();
        let (first, rest): (Vec<&Facts>, Vec<&Facts>) =
            all.into_iter().partition(|facts| facts.package.key.name == "base-files");
        for facts in first.into_iter().chain(rest) {
            unpack(&facts.package, self.tree)?;
        }
        let database = self.tree.join("var/lib/dpkg");
        for folder in ["info", "updates", "triggers", "alternatives", "parts"] {
            let path = database.join(folder);
            if !path.exists() {
                make_dir(&path)?;
            }
        }
        let status = database.join("status");
        fs::write(&status, "").map_err(Error::io("writing", &status))?;
        fs::set_permissions(&status, fs::Permissions::from_mode(0o644))
            .map_err(Error::io("setting the mode of", &status))
    }

    /// policy-rc.d (invoke-rc.d(8)): 101 is "action forbidden".
    fn keep_services_down(&self) -> Result<()> {
        let path = self.tree.join("usr/sbin/policy-rc.d");
        let folder = self.tree.join("usr/sbin");
        if !folder.exists() {
            // A directory made here would hide the owner and mode of the one below.
            return self.shell(
                "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d",
            );
        }
        fs::write(&path, "#!/bin/sh\nexit 101\n").map_err(Error::io("writing", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(Error::io("setting the mode of", &path))
    }

    /// dpkg takes packages of another architecture only once it was told of it (dpkg(1)).
    fn add_architectures(&self) -> Result<()> {
        let all: BTreeSet<&str> = self.facts.iter().map(|facts| facts.package.key.arch.as_str()).collect();
        for arch in all.into_iter().filter(|arch| ![NATIVE, "all"].contains(arch)) {
            self.dpkg(&["--add-architecture", arch], Vec::new())?;
        }
        Ok(())
    }

    /// Answers for debconf (debconf-set-selections(1)), before the packages ask.
    fn preseed(&self) -> Result<()> {
        let mut text = String::new();
        for (package, answers) in self.spec.answers() {
            for (question, value) in answers {
                let (kind, value) = answer(value);
                text.push_str(&format!("{package} {question} {kind} {value}\n"));
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        let path = self.log.with_extension("debconf");
        fs::write(&path, text).map_err(Error::io("writing", &path))?;
        let stdin = fs::File::open(&path).map_err(Error::io("opening", &path))?;
        self.command(["debconf-set-selections"].map(Into::into).to_vec(), Some(stdin))
    }

    fn remove(&self) -> Result<()> {
        if self.spec.removes.is_empty() {
            return Ok(());
        }
        self.dpkg(&["--force-depends", "--remove"], self.spec.removes.iter().map(Into::into).collect())
    }

    /// apt's record of what nobody asked for (apt-mark(8)): `autoremove` on the machine then means
    /// what it should.
    fn mark(&self) -> Result<()> {
        let path = Path::new("var/lib/apt/extended_states");
        let before = std::iter::once(self.tree.to_owned())
            .chain(self.parents.iter().cloned())
            .find_map(|tree| fs::read_to_string(tree.join(path)).ok())
            .unwrap_or_default();
        let essential = if self.parents.is_empty() { essential_closure(self.facts) } else { BTreeSet::new() };
        let auto = self.facts.iter().enumerate().filter(|(index, facts)| {
            !essential.contains(index) && !self.spec.wants.iter().any(|want| is_wanted(want, &facts.package))
        });
        let mut text = before;
        for (_, facts) in auto {
            let key = &facts.package.key;
            // apt files packages of architecture `all` under its own.
            let arch = if key.arch == "all" { NATIVE } else { &key.arch };
            text.push_str(&format!("Package: {}\nArchitecture: {arch}\nAuto-Installed: 1\n\n", key.name));
        }
        if text.is_empty() {
            return Ok(());
        }
        // Through the root, so that the directory on the way keeps its owner and mode.
        let staged = self.log.with_extension("states");
        fs::write(&staged, text).map_err(Error::io("writing", &staged))?;
        let stdin = fs::File::open(&staged).map_err(Error::io("opening", &staged))?;
        let script = "mkdir -p /var/lib/apt && cat >/var/lib/apt/extended_states";
        self.command(["sh", "-c", script].map(Into::into).to_vec(), Some(stdin))
    }

    fn files(&self, which: &BTreeSet<usize>) -> Vec<OsString> {
        let file = |facts: &Facts| Path::new(DEBS).join(format!("{}.deb", facts.package.sha256)).into();
        which.iter().filter_map(|&index| self.facts.get(index)).map(file).collect()
    }

    fn names(&self, which: &BTreeSet<usize>) -> Vec<OsString> {
        let name = |facts: &Facts| {
            let key = &facts.package.key;
            if key.arch == "all" { key.name.clone().into() } else { key.slot().into() }
        };
        which.iter().filter_map(|&index| self.facts.get(index)).map(name).collect()
    }

    fn dpkg(&self, options: &[&str], rest: Vec<OsString>) -> Result<()> {
        self.command(DPKG.iter().chain(options).map(OsString::from).chain(rest).collect(), None)
    }

    fn shell(&self, script: &str) -> Result<()> {
        self.command(["sh", "-c", script].map(Into::into).to_vec(), None)
    }

    fn command(&self, argv: Vec<OsString>, stdin: Option<fs::File>) -> Result<()> {
        let lower = if self.parents.is_empty() { vec![self.empty.to_owned()] } else { self.parents.to_vec() };
        let dirs = RootDirs { lower, upper: Some(self.tree.to_owned()) };
        let command = RootCommand {
            argv,
            binds: vec![Bind { source: self.debs.to_owned(), target: DEBS.into(), writable: false }],
            stdin: stdin.map(Into::into),
            log: Some(self.log.to_owned()),
            ..RootCommand::default()
        };
        self.sandbox
            .run(&dirs, command)
            .map(drop)
            .map_err(|source| Error::Run { layer: self.spec.name.clone(), source: Box::new(source) })
    }
}

/// apt's own syntax: `name`, `name:arch`, `name/suite`, `name=version`.
fn is_wanted(want: &str, package: &Package) -> bool {
    let end = want.find(['/', '=']).unwrap_or(want.len());
    let name = want.get(..end).unwrap_or(want);
    match name.split_once(':') {
        Some((name, arch)) => name == package.key.name && arch == package.key.arch,
        None => name == package.key.name,
    }
}

fn answer(value: &toml::Value) -> (&'static str, String) {
    match value {
        toml::Value::Boolean(value) => ("boolean", value.to_string()),
        toml::Value::String(value) => ("string", value.clone()),
        toml::Value::Array(values) => {
            let words: Vec<String> = values.iter().map(|value| answer(value).1).collect();
            ("multiselect", words.join(", "))
        }
        other => ("string", other.to_string()),
    }
}

/// Extracts a package with owners, modes and attributes, as dpkg does.
fn unpack(package: &Package, tree: &Path) -> Result<()> {
    let doing = || Error::io("extracting", &package.file);
    let mut archive = tar::Archive::new(deb::open_data(&package.file)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_unpack_xattrs(true);
    archive.set_overwrite(true);
    for entry in archive.entries().map_err(doing())? {
        let mut entry = entry.map_err(doing())?;
        let path = entry.path().map_err(doing())?.into_owned();
        // A directory that an earlier package made, perhaps as a link into /usr, stays.
        if entry.header().entry_type().is_dir() && tree.join(&path).is_dir() && path != Path::new("./") {
            continue;
        }
        if !entry.unpack_in(tree).map_err(doing())? {
            return Err(Error::refused(
                format!("extracting {}", package.file.display()),
                format!("{} leaves the folder; the package is damaged or hostile", path.display()),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::lock::PackageKey;

    #[test]
    fn wants_in_apts_syntax() {
        let package = |name: &str, arch: &str| Package {
            key: PackageKey::new(name, arch, "1").unwrap(),
            sha256: String::new(),
            file: PathBuf::new(),
        };
        assert!(is_wanted("git", &package("git", "amd64")));
        assert!(is_wanted("hyprland/trixie-backports", &package("hyprland", "amd64")));
        assert!(is_wanted("libc6:i386", &package("libc6", "i386")));
        assert!(!is_wanted("libc6:i386", &package("libc6", "amd64")));
        assert!(!is_wanted("git-man", &package("git", "amd64")));
    }

    #[test]
    fn answers_have_a_kind() {
        assert_eq!(answer(&toml::Value::Boolean(true)), ("boolean", "true".into()));
        assert_eq!(answer(&toml::Value::Integer(5)), ("string", "5".into()));
        let list = toml::Value::Array(vec!["a".into(), "b".into()]);
        assert_eq!(answer(&list), ("multiselect", "a, b".into()));
    }
}
