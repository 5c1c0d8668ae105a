//! An ordinary user with subordinate ids, for builds that must not need root.

use crate::error::{Doing, Result};
use crate::process::run;
use crate::site::Site;
use crate::tools;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const NAME: &str = "landfall-build";

/// Where an ordinary user's build happens. Run as root, the user is made and removed again; run by an ordinary user,
/// it is that user.
pub struct Ordinary {
    made: bool,
    folder: TempDir,
}

impl Ordinary {
    /// Makes the user and a folder that is the user's own.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("landfall-ordinary-")
            .tempdir_in("/var/tmp")
            .doing("creating a folder in", Path::new("/var/tmp"))?;
        let made = rustix::process::geteuid().is_root();
        if made {
            tools::ensure(&[tools::Need::Peers])?;
            let _ = run(Command::new("userdel").arg(NAME));
            // useradd gives an ordinary user 65536 subordinate ids (login.defs, SUB_UID_COUNT).
            run(Command::new("useradd").args(["--no-create-home", "--shell", "/bin/sh", NAME]))?;
        }
        Ok(Self { made, folder })
    }

    /// The user's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A copy of a site, its programs, and of the packages that the cache already holds, all the user's own.
    pub fn site(&self, of: &Site) -> Result<Site> {
        let to = self.folder.path();
        let copy = |from: &Path, name: &str| -> Result<PathBuf> {
            let path = to.join(name);
            run(Command::new("cp").args(["-r", "--reflink=auto"]).arg(from).arg(&path))?;
            Ok(path)
        };
        let site = Site {
            folder: copy(&of.folder, "another-folder")?,
            home: copy(&of.home, "home")?,
            programs: copy(&of.programs, "programs")?,
            cache: Some(to.join("cache")),
        };
        let cache = to.join("cache/landfall");
        std::fs::create_dir_all(&cache).doing("creating", &cache)?;
        for name in ["debs", "indices"] {
            let from = tools::cache().join(name);
            if from.exists() {
                run(Command::new("cp").args(["-r", "--reflink=auto"]).arg(&from).arg(cache.join(name)))?;
            }
        }
        if self.made {
            run(Command::new("chown").args(["-R", &format!("{NAME}:{NAME}")]).arg(to))?;
        }
        Ok(site)
    }

    /// The same command as this user, with another umask and time zone.
    pub fn command(&self, command: &Command) -> Command {
        let mut shell = Command::new(if self.made { "setpriv" } else { "env" });
        if self.made {
            shell.args(["--reuid", NAME, "--regid", NAME, "--init-groups"]);
        }
        shell.args(["sh", "-c", "umask 077; export TZ=Pacific/Chatham LC_ALL=C.UTF-8; exec \"$@\"", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        shell
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        if self.made {
            // Files of subordinate ids are in its folder, which root may remove.
            let _ = run(Command::new("userdel").arg(NAME));
        }
    }
}
