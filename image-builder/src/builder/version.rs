//! Which version of the site a build is of: its commit, where there is one, and a serial that grows.

use std::path::Path;
use std::process::{Command, Stdio};

/// The site's version as it goes into manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteVersion {
    /// Commit, when the site is tracked by git and has no uncommitted change.
    pub commit: Option<String>,
    /// Seconds since 1970: the commit's date, or the lock's where that is later or there is no
    /// commit. Derived and not counted, so that two computers that build the same thing agree.
    pub serial: u64,
}

/// Reads the version of the site in `dir`; without git, or with changes, only the lock's date counts.
pub fn of_site(dir: &Path, lock_epoch: u64) -> SiteVersion {
    let Some(commit) = clean_commit(dir) else { return SiteVersion { commit: None, serial: lock_epoch } };
    let date = git(dir, &["show", "-s", "--format=%ct", &commit]).and_then(|t| t.parse::<u64>().ok());
    SiteVersion { commit: Some(commit), serial: date.unwrap_or(0).max(lock_epoch) }
}

fn clean_commit(dir: &Path) -> Option<String> {
    // A folder inside somebody else's repo is not that repo's site.
    git(dir, &["ls-files", "--error-unmatch", "site.toml"])?;
    let changes = git(dir, &["status", "--porcelain", "--", "."])?;
    if !changes.is_empty() {
        return None;
    }
    git(dir, &["rev-parse", "HEAD"])
}

fn git(dir: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_repo_has_the_locks_date() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("site.toml"), "schema = 1\n").unwrap();
        assert_eq!(of_site(dir.path(), 7), SiteVersion { commit: None, serial: 7 });
    }
}
