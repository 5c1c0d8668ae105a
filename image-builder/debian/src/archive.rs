//! Archives opened for reading: every suite's InRelease verified, every index checked.

use crate::cache::{Cache, replace_file};
use crate::clock::UnixSeconds;
use crate::error::{Error, Result};
use crate::fetch::{Download, Fetcher};
use crate::hash;
use crate::openpgp::{Keyring, MAX_CLEARSIGNED_BYTES};
use crate::packages::{Package, Packages, Pooled, newest};
use crate::release::{IndexFile, Release};
use landfall_hosts::event::{Event, Progress};
use landfall_hosts::lock::{LockedSuite, PackageKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::PathBuf;

/// Priority of a suite that is used only where a package names it
/// (apt_preferences(5): 100 is what `ButAutomaticUpgrades` archives get).
pub const EXTRA_SUITE_PRIORITY: i32 = 100;

/// One suite of one archive, to be opened.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The origin's name in the lock: `debian`, `security`, or that of `[apt.NAME]`.
    pub origin: String,
    /// Base URI without a slash at its end.
    pub uri: String,
    /// `trixie`; a name that ends with a slash is the path of a flat repository.
    pub suite: String,
    /// Components; none for a flat repository.
    pub components: Vec<String>,
    /// Who may sign it.
    pub keyring: Keyring,
    /// apt's pin priority, if it is not the usual 500.
    pub priority: Option<i32>,
}

/// The lock's name of a suite.
pub(crate) fn suite_key(origin: &str, suite: &str) -> String {
    format!("{origin}/{}", suite.trim_end_matches('/'))
}

impl Repository {
    /// Its key in the lock: `origin/suite`.
    #[must_use]
    pub fn key(&self) -> String {
        suite_key(&self.origin, &self.suite)
    }

    /// Whether it has no `dists` (sources.list(5): an exact path that ends with a slash).
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// Where its Release is.
    #[must_use]
    pub fn folder(&self) -> String {
        if self.is_flat() {
            let path = self.suite.trim_start_matches("./").trim_end_matches('/');
            if path.is_empty() { self.uri.clone() } else { format!("{}/{path}", self.uri) }
        } else {
            format!("{}/dists/{}", self.uri, self.suite)
        }
    }
}

/// Whether the newest state of the archives is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Freshness<'a> {
    /// Ask the mirrors.
    Refresh,
    /// Ask the mirrors; where one does not answer, the state that the lock was made from serves,
    /// if the cache still has it and it has not expired.
    Locked(&'a BTreeMap<String, LockedSuite>),
}

/// A suite whose signature and indices were checked.
#[derive(Debug)]
pub struct Suite {
    /// Which.
    pub repository: Repository,
    /// Its Release.
    pub release: Release,
    /// For the lock.
    pub locked: LockedSuite,
    /// Its indices.
    pub indices: Vec<Index>,
}

/// One index of a suite.
#[derive(Debug)]
pub struct Index {
    /// `main`; empty in a flat repository.
    pub component: String,
    /// `amd64`, `i386`, `all`; empty in a flat repository.
    pub arch: String,
    /// Its file, uncompressed, in the cache.
    pub file: PathBuf,
    /// The sha256 that the signed Release gives for the file it came from.
    pub sha256: String,
    /// Its packages.
    pub packages: Packages,
}

/// Several suites that packages are chosen from.
#[derive(Debug)]
pub struct Archive {
    /// In order: the first that has a version gives it.
    pub suites: Vec<Suite>,
    /// Native architecture first.
    pub arches: Vec<String>,
}

/// A package with the suite that has it.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// The package.
    pub package: Package<'a>,
}

impl Found<'_> {
    /// Where its file is.
    ///
    /// # Errors
    /// If the index does not say.
    pub fn pooled(&self) -> Result<Pooled> {
        self.package.pooled()
    }
}

/// What opening an archive needs.
pub struct Opener<'a> {
    /// Where indices are kept.
    pub cache: &'a Cache,
    /// How files come.
    pub fetcher: &'a Fetcher,
    /// Who watches.
    pub progress: &'a dyn Progress,
    /// The clock that expiry is judged by.
    pub now: UnixSeconds,
}

impl Opener<'_> {
    /// Opens suites: fetches and verifies what is not in the cache.
    ///
    /// # Errors
    /// If a mirror cannot be reached, a signature or hash is wrong, or a Release has expired.
    pub fn open(
        &self,
        repositories: &[Repository],
        arches: &[String],
        freshness: Freshness<'_>,
    ) -> Result<Archive> {
        let mut suites = Vec::new();
        for repository in repositories {
            let (release, locked) = self.release(repository, freshness)?;
            let indices = self.indices(repository, &release, arches)?;
            suites.push(Suite { repository: repository.clone(), release, locked, indices });
        }
        Ok(Archive { suites, arches: arches.to_vec() })
    }

    fn release(&self, repository: &Repository, freshness: Freshness<'_>) -> Result<(Release, LockedSuite)> {
        let url = format!("{}/InRelease", repository.folder());
        let bytes = match freshness {
            Freshness::Refresh => self.fetcher.small(&url, MAX_CLEARSIGNED_BYTES)?,
            Freshness::Locked(locked) => match self.fetcher.small_once(&url, MAX_CLEARSIGNED_BYTES) {
                Err(error) => {
                    let locked = locked.get(&repository.key()).ok_or(error)?;
                    return self.kept(repository, &url, locked);
                }
                Ok(bytes) => bytes,
            },
        };
        let release = self.verify(repository, &url, &bytes)?;
        let locked = LockedSuite { inrelease: hash::sha256(&bytes), date: release.date.to_string() };
        replace_file(&self.path_of(&locked.inrelease), &bytes)?;
        Ok((release, locked))
    }

    /// Where an InRelease is kept: by its hash, so that another mirror's copy of it serves too.
    fn path_of(&self, sha256: &str) -> PathBuf {
        self.cache.indices().join(format!("{sha256}.InRelease"))
    }

    /// The state that the lock was made from, out of the cache.
    fn kept(
        &self,
        repository: &Repository,
        url: &str,
        locked: &LockedSuite,
    ) -> Result<(Release, LockedSuite)> {
        let gone = || Error::Fetch {
            url: url.to_owned(),
            reason: "the server does not answer, and the cache has not what the lock was made from".into(),
            remedy: "check the network, or set another [mirror] in site.toml".into(),
        };
        let bytes = fs::read(self.path_of(&locked.inrelease)).map_err(|_| gone())?;
        if hash::sha256(&bytes) != locked.inrelease {
            return Err(gone());
        }
        let release = self.verify(repository, url, &bytes)?;
        self.progress.event(Event::Note(format!(
            "{url} cannot be reached: resolving from its state of {}, which the cache has",
            locked.date
        )));
        Ok((release, locked.clone()))
    }

    fn verify(&self, repository: &Repository, url: &str, bytes: &[u8]) -> Result<Release> {
        let text = repository.keyring.verify(url, bytes, self.now)?;
        let release = Release::parse(url, text)?;
        release.check_time(url, self.now)?;
        let named = release.codename.is_empty() && release.suite.is_empty();
        if !repository.is_flat() && !named && !release.is_called(&repository.suite) {
            return Err(Error::Untrusted {
                what: url.to_owned(),
                reason: format!(
                    "it is the Release of `{}` ({}), not of `{}`",
                    release.codename, release.suite, repository.suite
                ),
                remedy:
                    "the mirror is wrong: set another [mirror] (or the right `uri` and `suite`) in the site"
                        .into(),
            });
        }
        Ok(release)
    }

    fn indices(&self, repository: &Repository, release: &Release, arches: &[String]) -> Result<Vec<Index>> {
        let mut names = Vec::new();
        if repository.is_flat() {
            names.push(Wanted { component: "", arch: "", required: true });
        }
        for component in &repository.components {
            for (at, arch) in arches.iter().enumerate() {
                names.push(Wanted { component, arch, required: at == 0 });
            }
            if release.all_apart {
                names.push(Wanted { component, arch: "all", required: false });
            }
        }
        let wanted = names.iter().map(|name| self.plan(repository, release, name));
        let wanted = wanted.collect::<Result<Vec<_>>>()?;
        let wanted: Vec<Plan> = wanted.into_iter().flatten().collect();
        let missing: Vec<Download> =
            wanted.iter().filter(|plan| !plan.is_kept()).map(|plan| plan.download.clone()).collect();
        let what = format!("indices of {}", repository.key());
        match self.fetcher.all(&what, &missing, self.progress) {
            Err(error) if error.is_missing() && release.by_hash => {
                // Some servers promise files by hash and do not have them.
                let plain: Vec<Download> = wanted
                    .iter()
                    .filter(|plan| !plan.is_kept())
                    .map(|plan| Download { url: plan.plain_url.clone(), ..plan.download.clone() })
                    .collect();
                self.fetcher.all(&what, &plain, self.progress)?;
            }
            other => other?,
        }
        wanted.into_iter().map(Plan::load).collect()
    }

    /// Which file of the Release to take for an index; none if it does not exist and need not.
    fn plan(&self, repository: &Repository, release: &Release, wanted: &Wanted<'_>) -> Result<Option<Plan>> {
        let Wanted { component, arch, required } = *wanted;
        let stem = if repository.is_flat() {
            "Packages".to_owned()
        } else {
            format!("{component}/binary-{arch}/Packages")
        };
        let listed = [".xz", ".gz", ""].into_iter().find_map(|ending| {
            let path = format!("{stem}{ending}");
            release.files.get(&path).map(|file| (path, ending, file))
        });
        let Some((path, ending, file)) = listed else {
            if !required {
                return Ok(None);
            }
            return Err(Error::parse(
                format!("{}/InRelease", repository.folder()),
                format!("it lists no {stem}; it has the components {}", components_of(release)),
            ));
        };
        let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let plain_url = format!("{}/{path}", repository.folder());
        let url = if release.by_hash {
            format!("{}/{folder}by-hash/SHA256/{}", repository.folder(), file.sha256)
        } else {
            plain_url.clone()
        };
        let to = self.cache.indices().join(format!("{}{ending}", file.sha256));
        Ok(Some(Plan {
            component: component.to_owned(),
            arch: arch.to_owned(),
            ending,
            plain: release.files.get(&stem).cloned(),
            plain_url,
            download: Download { url, to, size: Some(file.size), sha256: file.sha256.clone() },
        }))
    }
}

fn components_of(release: &Release) -> String {
    let names: BTreeSet<&str> = release
        .files
        .keys()
        .filter_map(|path| path.split_once("/binary-"))
        .map(|(component, _)| component)
        .collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// An index by what it is of.
struct Wanted<'a> {
    component: &'a str,
    arch: &'a str,
    /// The archive makes no sense without it.
    required: bool,
}

/// An index on its way into memory.
struct Plan {
    component: String,
    arch: String,
    ending: &'static str,
    /// What the Release says of the uncompressed file, if it does.
    plain: Option<IndexFile>,
    plain_url: String,
    download: Download,
}

impl Plan {
    /// Where the uncompressed file is kept.
    fn kept(&self) -> PathBuf {
        let name = self.plain.as_ref().map_or(&self.download.sha256, |plain| &plain.sha256);
        self.download.to.with_file_name(format!("{name}.Packages"))
    }

    fn is_kept(&self) -> bool {
        self.kept().exists()
    }

    fn load(self) -> Result<Index> {
        let kept = self.kept();
        if let Some(text) = self.read_kept()? {
            return Ok(self.index(kept, text));
        }
        let bytes = fs::read(&self.download.to).map_err(Error::io("reading", &self.download.to))?;
        let mut text = Vec::new();
        let mut reader: Box<dyn Read> = match self.ending {
            ".xz" => Box::new(liblzma::read::XzDecoder::new_multi_decoder(&bytes[..])),
            ".gz" => Box::new(flate2::read::MultiGzDecoder::new(&bytes[..])),
            _ => Box::new(&bytes[..]),
        };
        reader.read_to_end(&mut text).map_err(Error::io("uncompressing", &self.download.to))?;
        replace_file(&kept, &text)?;
        // The compressed file has served; a later run reads the other.
        let _ = fs::remove_file(&self.download.to);
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(self.index(kept, text))
    }

    /// The uncompressed file, if the cache has it as it was written.
    fn read_kept(&self) -> Result<Option<String>> {
        let path = self.kept();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("reading", &path)(error)),
        };
        if let Some(plain) = &self.plain
            && hash::sha256(&bytes) != plain.sha256
        {
            let _ = fs::remove_file(&path);
            return Err(Error::Untrusted {
                what: path.display().to_string(),
                reason: "the cache's copy of this index is damaged".into(),
                remedy: "it was removed: run the command again".into(),
            });
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn index(self, file: PathBuf, text: String) -> Index {
        Index {
            component: self.component,
            arch: self.arch,
            file,
            sha256: self.download.sha256,
            packages: Packages::parse(text),
        }
    }
}

impl Archive {
    /// Every candidate of a name for an architecture (its own packages and those for all).
    pub fn candidates<'a>(&'a self, name: &'a str, arch: &'a str) -> impl Iterator<Item = Found<'a>> {
        self.suites.iter().flat_map(move |suite| {
            suite
                .indices
                .iter()
                .flat_map(move |index| index.packages.named(name))
                .filter(move |package| package.arch() == arch || package.arch() == "all")
                .map(move |package| Found { suite, package })
        })
    }

    /// A package by its exact key.
    #[must_use]
    pub fn exact(&self, key: &PackageKey) -> Option<Found<'_>> {
        self.suites.iter().find_map(|suite| {
            suite
                .indices
                .iter()
                .flat_map(|index| index.packages.named(&key.name))
                .find(|package| package.arch() == key.arch && package.version() == key.version)
                .map(|package| Found { suite, package })
        })
    }

    /// The newest candidate in suites of usual priority.
    #[must_use]
    pub fn newest<'a>(&'a self, name: &'a str, arch: &'a str) -> Option<Found<'a>> {
        let usual = || self.candidates(name, arch).filter(|found| found.suite.repository.priority.is_none());
        let best = newest(usual().map(|found| found.package))?;
        usual().find(|found| found.package.version() == best.version())
    }

    /// The suites for the lock.
    #[must_use]
    pub fn locked_suites(&self) -> BTreeMap<String, LockedSuite> {
        self.suites.iter().map(|suite| (suite.repository.key(), suite.locked.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
