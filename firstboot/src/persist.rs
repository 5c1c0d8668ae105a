//! What the machine itself puts into `/etc` and must find again: `/etc` is in memory, so these
//! files are kept below `state/etc`, and stage 1 lays them back at each boot.

use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::roots::Roots;
use crate::tools::{Call, Commands, Tool};
use landfall_hosts::paths::{machine, state};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Making keys may wait for randomness on a small machine.
const KEYGEN_LIMIT: Duration = Duration::from_secs(100);

/// The kinds that sshd looks for: sshd_config(5), HostKey.
const KINDS: &[&str] = &["rsa", "ecdsa", "ed25519"];

/// Folders of `/etc` whose files are kept, with how their names begin.
const KEPT: &[(&str, &str)] = &[
    ("ssh", "ssh_host_"),
    ("NetworkManager/system-connections", ""),
    ("cups", "printers.conf"),
    ("cups/ppd", ""),
];

/// Makes ssh host keys that are missing, and keeps all of them. Says what it did.
pub fn host_keys(roots: &Roots, commands: &dyn Commands) -> Result<String> {
    if !commands.has(Tool::SshKeygen) || !roots.etc("ssh").is_dir() {
        return Ok("there is no ssh server".into());
    }
    let missing = KINDS.iter().any(|kind| !roots.etc(&format!("ssh/ssh_host_{kind}_key")).exists());
    if missing {
        // Makes only the kinds that are missing: ssh-keygen(1).
        let call = Call::new(Tool::SshKeygen, &["-A"]).limit(KEYGEN_LIMIT);
        commands.check(&call, "making ssh host keys")?;
    }
    keep_folder(roots, "ssh", "ssh_host_")?;
    Ok("kept".into())
}

/// Keeps everything of [`KEPT`] as it is now.
pub fn sync(roots: &Roots, commands: &dyn Commands) -> Result<()> {
    host_keys(roots, commands)?;
    for (folder, prefix) in KEPT {
        keep_folder(roots, folder, prefix)?;
    }
    Ok(())
}

/// Makes the kept folder equal to the live one; links and folders in it are not ours to keep.
fn keep_folder(roots: &Roots, folder: &str, prefix: &str) -> Result<()> {
    let live = roots.etc(folder);
    let kept = roots.state(state::ETC).join(folder);
    let mut names = regular_files(&live, prefix);
    names.retain(|name| !is_images(roots, &format!("{folder}/{name}"), &live.join(name)));
    if names.is_empty() && !kept.exists() {
        return Ok(());
    }
    files::make_folder(&kept, 0o755)?;
    for name in &names {
        keep_file(&live.join(name), &kept.join(name))?;
    }
    for gone in regular_files(&kept, prefix).difference(&names) {
        let path = kept.join(gone);
        fs::remove_file(&path).map_err(Error::at("removing", &path))?;
    }
    Ok(())
}

/// True for a file that is as the image has it: the site's own, which must go when the site drops
/// it, and so must not be laid back at the next boot.
fn is_images(roots: &Roots, below_etc: &str, live: &Path) -> bool {
    let layers = roots.path(machine::LAYERS);
    let count = fs::read_dir(&layers).map_or(0, |entries| entries.count());
    // The top layer that has it is the one that shows; the base is 0.
    let image = (0..count)
        .rev()
        .map(|number| layers.join(number.to_string()).join("etc").join(below_etc))
        .find(|path| fs::symlink_metadata(path).is_ok());
    let same = |image: &Path| Ok::<_, Error>(files::read(image)? == files::read(live)?);
    image.is_some_and(|image| same(&image).unwrap_or(false))
}

fn keep_file(live: &Path, kept: &Path) -> Result<()> {
    let about = fs::metadata(live).map_err(Error::at("reading", live))?;
    let access = Access { uid: about.uid(), gid: about.gid(), mode: about.mode() & 0o7777 };
    let bytes = files::read(live)?;
    let same_access = fs::metadata(kept).is_ok_and(|kept| {
        (kept.uid(), kept.gid(), kept.mode() & 0o7777) == (access.uid, access.gid, access.mode)
    });
    if same_access && files::read(kept).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    files::replace(kept, &bytes, access)
}

fn regular_files(folder: &Path, prefix: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix) && !name.starts_with('.'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::FakeCommands;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_kept_with_their_modes_and_what_goes_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        fs::create_dir_all(roots.etc("ssh")).unwrap();
        let key = roots.etc("ssh/ssh_host_ed25519_key");
        fs::write(&key, "one").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(roots.etc("ssh/sshd_config"), "").unwrap();
        std::os::unix::fs::symlink("/etc/shadow", roots.etc("ssh/ssh_host_link")).unwrap();
        let commands = FakeCommands::default().answer("ssh-keygen", 0, "");
        sync(&roots, &commands).unwrap();
        let kept = roots.state("etc/ssh/ssh_host_ed25519_key");
        assert_eq!(fs::read(&kept).unwrap(), b"one");
        assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(roots.state("etc/ssh")).unwrap().count(), 1);
        fs::remove_file(&key).unwrap();
        sync(&roots, &commands).unwrap();
        assert!(!kept.exists());
        assert!(commands.called("ssh-keygen -A"));
    }

    #[test]
    fn what_is_the_images_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        let folder = "NetworkManager/system-connections";
        let image = roots.path(machine::LAYERS).join("0/etc").join(folder);
        for folder in [&roots.etc(folder), &image] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("site"), "declared").unwrap();
        }
        fs::write(roots.etc(folder).join("mine"), "typed").unwrap();
        sync(&roots, &FakeCommands::default()).unwrap();
        let kept = roots.state(state::ETC).join(folder);
        assert_eq!(fs::read_to_string(kept.join("mine")).unwrap(), "typed");
        assert!(!kept.join("site").exists());
        fs::write(roots.etc(folder).join("site"), "changed here").unwrap();
        sync(&roots, &FakeCommands::default()).unwrap();
        assert!(kept.join("site").exists());
    }

    #[test]
    fn a_machine_without_ssh_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        sync(&roots, &FakeCommands::default()).unwrap();
        assert!(!roots.state("etc").exists());
    }
}
