//! A built medium that tests share: made once per state of the programs and of the example.

use crate::error::{Doing, Result};
use crate::image::{hex, sha256};
use crate::process::run;
use crate::site::{HOST, Site, Tailnet};
use crate::tailnet::{Headscale, Programs, Repository, missing_go, programs};
use crate::tools::{self, Need};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A second host on the shared medium: like the first, but its disk must be empty.
pub const GUARDED: &str = "guarded";

/// A site with its medium, and the tailnet that it was built for.
pub struct Fixture {
    /// Holds all of it.
    pub folder: PathBuf,
    /// The copy of the example.
    pub site: Site,
    /// The unattended medium.
    pub medium: PathBuf,
    /// Why there is no tailnet.
    pub no_tailnet: Option<String>,
    /// What was done and how many seconds it took.
    pub phases: Vec<(String, f64)>,
    programs: Option<Programs>,
}

impl Fixture {
    /// The shared fixture; the first test that asks builds it.
    pub fn shared() -> Result<Self> {
        tools::ensure(&[Need::Qemu])?;
        let parent = tools::target().join("qemu-fixture");
        let folder = parent.join(key()?);
        if folder.join("whole").exists() {
            return Self::open(&folder);
        }
        if parent.exists() {
            std::fs::remove_dir_all(&parent).doing("removing", &parent)?;
        }
        let fixture = Self::make(&folder, &[HOST, GUARDED])?;
        std::fs::write(folder.join("whole"), "").doing("marking", &folder)?;
        Ok(fixture)
    }

    /// Makes a site and a medium for its hosts in a folder; the first host's install is unattended.
    pub fn make(folder: &Path, hosts: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(folder).doing("creating", folder)?;
        let no_tailnet = missing_go();
        let mut phases = Phases::default();
        let programs = match no_tailnet {
            Some(_) => None,
            None => Some(phases.time("tailnet programs", || {
                tools::ensure(&[Need::Tailnet])?;
                programs()
            })?),
        };
        let site = phases.time("site and secrets", || make_site(folder, programs.as_ref()))?;
        let repository =
            programs.as_ref().map(|programs| Repository::start(programs, &folder.join("apt"))).transpose()?;
        if let Some(repository) = &repository {
            site.serve_tailscale_from(repository)?;
        }
        if hosts.contains(&GUARDED) {
            site.add_guarded(GUARDED)?;
        }
        phases.time("lock", || site.lock())?;
        let medium = folder.join("medium.img");
        phases.time("build", || site.build(&medium, hosts, true))?;
        Ok(Self { folder: folder.to_path_buf(), site, medium, no_tailnet, phases: phases.0, programs })
    }

    /// The same site, changed and without a tailnet, with an unattended medium of its own for the first of
    /// `hosts`. Its layers come from the cache where they are the same.
    pub fn variant(
        &self,
        name: &str,
        hosts: &[&str],
        change: impl FnOnce(&Site) -> Result<()>,
    ) -> Result<Self> {
        let folder = self.folder.join("variants").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).doing("removing", &folder)?;
        }
        std::fs::create_dir_all(&folder).doing("creating", &folder)?;
        for part in ["site", "home"] {
            run(Command::new("cp").arg("-r").arg(self.folder.join(part)).arg(&folder))?;
        }
        let site = Site::open(&folder);
        site.leave_tailscale_out()?;
        change(&site)?;
        site.lock()?;
        site.build(&folder.join("medium.img"), hosts, true)?;
        Ok(self.made_variant(name))
    }

    /// A variant that was made earlier in this run.
    pub fn made_variant(&self, name: &str) -> Self {
        let folder = self.folder.join("variants").join(name);
        let (site, medium) = (Site::open(&folder), folder.join("medium.img"));
        let no_tailnet = Some("this variant has none".to_owned());
        Self { folder, site, medium, no_tailnet, phases: Vec::new(), programs: None }
    }

    fn open(folder: &Path) -> Result<Self> {
        let no_tailnet = missing_go();
        let programs = if no_tailnet.is_none() { Some(programs()?) } else { None };
        Ok(Self {
            folder: folder.to_path_buf(),
            site: Site::open(folder),
            medium: folder.join("medium.img"),
            no_tailnet,
            phases: Vec::new(),
            programs,
        })
    }

    /// The tailnet's server on a copy of its state, so that each session sees a tailnet without nodes.
    pub fn headscale(&self, folder: &Path) -> Result<Option<Headscale>> {
        let Some(programs) = &self.programs else { return Ok(None) };
        let state = folder.join("headscale");
        run(Command::new("cp").arg("-r").arg(self.folder.join("headscale")).arg(&state))?;
        Headscale::start(programs, &state).map(Some)
    }

    /// Serves the repository again under a new port, for a further lock or build of the same site.
    pub fn repository(&self) -> Result<Option<Repository>> {
        let Some(programs) = &self.programs else { return Ok(None) };
        Repository::start(programs, &self.folder.join("apt")).map(Some)
    }

    /// The same repository with a further package, under a key of its own.
    pub fn repository_with(
        &self,
        extra: impl FnOnce(&Path) -> Result<PathBuf>,
    ) -> Result<Option<Repository>> {
        let Some(programs) = &self.programs else { return Ok(None) };
        Repository::start_with(programs, &self.folder.join("apt-more"), |pool| extra(pool).map(Some))
            .map(Some)
    }
}

fn make_site(folder: &Path, programs: Option<&Programs>) -> Result<Site> {
    let Some(programs) = programs else { return Site::from_example(folder, None) };
    let repository = Repository::start(programs, &folder.join("apt"))?;
    let headscale = Headscale::start(programs, &folder.join("headscale"))?;
    let auth_key = headscale.mint_key()?;
    Site::from_example(folder, Some(&Tailnet { repository: &repository, auth_key: &auth_key }))
}

/// Seconds of each step, in order.
#[derive(Default)]
pub struct Phases(pub Vec<(String, f64)>);

impl Phases {
    /// Runs one step, says so, and notes how long it took.
    pub fn time<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("  {name} …");
        let start = Instant::now();
        let result = step()?;
        self.0.push((name.to_owned(), start.elapsed().as_secs_f64()));
        Ok(result)
    }
}

/// Changes with the programs and the example, and with nothing else.
fn key() -> Result<String> {
    let mut hash = Sha256::new();
    for name in ["landfall", "landfall-init", "landfall-machine"] {
        hash.update(sha256(&tools::target().join("dist").join(name))?);
    }
    let example = tools::workspace().join("hosts/example");
    let mut listing = Command::new("find");
    let files = run(listing.arg(&example).args(["-type", "f"]))?;
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    for file in files {
        hash.update(file);
        hash.update(sha256(Path::new(file))?);
    }
    Ok(hex(&hash.finalize())[..16].to_owned())
}
