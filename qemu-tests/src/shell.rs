//! The installer's own shell in a guest that is booted without firmware: what the initrd's programs can do there
//! takes seconds, and happens under the installer's own kernel.

use crate::error::{Doing, Result};
use crate::guest::Guest;
use crate::{cpio, image};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

/// The options of a medium's unattended entry, without a medium that they would take.
pub fn options(medium: &Path) -> Result<String> {
    let options = image::unattended_options(medium)?;
    let own = |word: &&str| {
        !["landfall.unattended", "landfall.data", "landfall.host"].iter().any(|key| word.starts_with(key))
    };
    Ok(format!("{} landfall.data=none", options.split(' ').filter(own).collect::<Vec<_>>().join(" ")))
}

/// Adds folders and executable files to an initrd, as (name in the guest, file here).
pub fn add_files(initrd: &Path, folders: &[&str], files: &[(String, PathBuf)]) -> Result<()> {
    let archive = cpio::archive(folders, files)?;
    let mut joined = std::fs::read(initrd).doing("reading", initrd)?;
    joined.resize(joined.len().next_multiple_of(4), 0);
    joined.extend(archive);
    std::fs::write(initrd, joined).doing("writing", initrd)
}

/// The installer finds no medium that its command line would take, and offers a shell: opens it.
pub fn open(guest: &mut Guest) -> Result<()> {
    guest.wait_for(&["LANDFALL REFUSED reason=no-medium"], LIMIT)?;
    guest.wait_for(&["LANDFALL PROMPT"], LIMIT)?;
    let console = guest.console();
    let line = console.lines().rev().find(|line| line.trim_end().ends_with(") a shell"));
    let number = line.and_then(|line| line.trim().split(')').next()).unwrap_or_default().to_owned();
    guest.type_line(&number)?;
    guest.wait_for(&["Enter is pressed now"], LIMIT)?;
    std::thread::sleep(Duration::from_secs(1));
    guest.type_line("")?;
    std::thread::sleep(Duration::from_secs(2));
    guest.type_line("echo READY=$((1+1))")?;
    guest.wait_for(&["READY=2"], LIMIT).map(drop)
}
