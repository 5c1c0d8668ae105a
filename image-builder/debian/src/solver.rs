//! apt as a solver: it sees verified indices as its lists, a status file made from the lock, and
//! pins; it only simulates, and its answer is read back.
//!
//! apt runs from the tools root by the root's own loader (see [`Tools::loader`]) with a
//! configuration of ours alone, so nothing of the computer's own apt takes part.

mod output;
mod setup;

pub use output::Answer;
pub use setup::LocalPackage;

use crate::archive::Archive;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::tools::Tools;
use landfall_hosts::lock::PackageKey;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::PathBuf;

/// Section of the packages that stand for a `recommends_of`; apt installs Recommends of this
/// section alone (apt.conf(5), `APT::Install-Recommends-Sections`).
pub(crate) const RECOMMENDS_SECTION: &str = "landfall-recommends";
/// Prefix of their names.
pub(crate) const RECOMMENDS_PREFIX: &str = "landfall-recommends-of-";

/// Above 1000 a pin also goes back to an older version (apt_preferences(5)).
const HELD_PRIORITY: i32 = 1001;

/// A pin of the site, as apt has it (apt_preferences(5)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// `name` or `name:arch`.
    pub package: String,
    /// What stands after `Pin:`: `version 1.2*`, `release n=trixie-backports`.
    pub what: String,
    /// Priority.
    pub priority: i32,
}

/// What is to be solved.
#[derive(Debug, Default)]
pub struct Question<'a> {
    /// The layer, for errors.
    pub layer: &'a str,
    /// dpkg's status: paragraphs of what the layers below have.
    pub status: String,
    /// What to install, in apt's own syntax.
    pub install: Vec<String>,
    /// Versions that must stay.
    pub held: Vec<&'a PackageKey>,
    /// The site's pins.
    pub pins: Vec<Pin>,
    /// Versions that are not apt's first choice may serve too, where nothing else fits.
    pub flexible: bool,
    /// Packages that no archive has.
    pub local: &'a [LocalPackage],
}

/// apt, set up for one archive.
#[derive(Debug)]
pub struct Solver<'a> {
    tools: &'a Tools,
    archive: &'a Archive,
    folder: PathBuf,
}

impl<'a> Solver<'a> {
    /// Lays the archive's indices out as apt's lists. They stay in the cache, with apt's own
    /// cache of them, for the next question.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub fn new(tools: &'a Tools, archive: &'a Archive, cache: &Cache) -> Result<Self> {
        let folder = setup::lay_out(tools, archive, cache)?;
        Ok(Self { tools, archive, folder })
    }

    /// Asks apt.
    ///
    /// # Errors
    /// If the packages cannot be installed together; the reason is apt's own.
    pub fn solve(&self, question: &Question<'_>) -> Result<Answer> {
        // One question at a time in this folder, whichever process asks.
        let lock_path = self.folder.join("lock");
        let lock = File::create(&lock_path).map_err(Error::io("opening", &lock_path))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| Error::io("locking", &lock_path)(error.into()))?;
        setup::write_question(&self.folder, self.archive, question)?;
        let conf = self.folder.join("apt.conf");
        let mut apt = self.tools.loader("usr/bin/apt-get");
        apt.env("APT_CONFIG", &conf).args(["--simulate", "--yes", "--quiet"]);
        if question.flexible {
            // apt.conf(5): the newer solver is the one that looks beyond candidates.
            apt.args(["-oAPT::Solver=3.0", "-oAPT::Solver::Strict-Pinning=false"]);
        }
        let output = apt
            .args(["install", "--"])
            .args(&question.install)
            .output()
            .map_err(Error::io("running apt-get of", &self.tools.root))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(Error::Unsolvable {
                layer: question.layer.to_owned(),
                reason: output::reason(&text, &String::from_utf8_lossy(&output.stderr)),
            });
        }
        let native = self.archive.arches.first().map_or("amd64", String::as_str);
        output::parse(question.layer, &text, native)
    }

    /// Removes what questions left behind that the next one does not need.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub fn forget_question(&self) -> Result<()> {
        let path = self.folder.join("status");
        fs::write(&path, "").map_err(Error::io("writing", &path))
    }
}
