//! `[mounts]`: which places of a machine another disk may be mounted at.

use crate::host::{Host, Mount};

/// Folders that are the image's own at every boot, or that the machine fills by itself.
const TAKEN: &[&str] = &[
    "bin", "boot", "dev", "efi", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr",
];
/// Places that stage 1 mounts from the data partition before systemd looks at anything.
const BOUND: &[&str] = &["/home", "/var"];

/// Why nothing can be mounted at `path`; none where it can.
pub fn refused(host: &Host, path: &str) -> Option<String> {
    let top = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if TAKEN.contains(&top) {
        return Some(format!("/{top} is the system's own"));
    }
    if BOUND.contains(&path) {
        return Some(format!("{path} is on the machine's own disk; mount at a folder below it"));
    }
    // What is mounted already is not mounted again.
    if host.state.keep.contains(path) {
        return Some("state.keep binds the same path; take it out of one of the two".to_owned());
    }
    None
}

/// What names a filesystem to mount(8) and fstab(5), if label or UUID do.
pub fn source(mount: &Mount) -> Option<String> {
    match (&mount.label, &mount.uuid) {
        (Some(label), None) => Some(format!("LABEL={label}")),
        (None, Some(uuid)) => Some(format!("UUID={uuid}")),
        _ => None,
    }
}

/// The filesystem that a mount asks for by name.
pub fn filesystem(mount: &Mount) -> &str {
    mount.fs.as_deref().unwrap_or("auto")
}

/// Packages whose checker a filesystem needs at boot. ext4's is in the base; xfs, btrfs and ntfs3
/// have none that does anything there.
pub fn packages(host: &Host) -> Vec<&'static str> {
    const CHECKERS: &[(&str, &str)] =
        &[("vfat", "dosfstools"), ("exfat", "exfatprogs"), ("f2fs", "f2fs-tools")];
    let needed = |fs: &&(&str, &str)| host.mounts.values().any(|mount| filesystem(mount) == fs.0);
    CHECKERS.iter().filter(needed).map(|(_, package)| *package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_disks_keep_out_of_the_systems_folders() {
        let mut host = Host::default();
        host.state.keep.insert("/srv".into());
        for good in ["/srv/media", "/media", "/home/sam/films", "/var/lib/libvirt/images", "/usrlocal"] {
            assert_eq!(refused(&host, good), None, "{good}");
        }
        for bad in ["/", "/usr", "/usr/local", "/etc/x", "/home", "/var", "/srv", "/run/x", "/efi"] {
            assert!(bad == "/" || refused(&host, bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn checkers_come_with_their_filesystems() {
        let mut host = Host::default();
        for (at, fs) in [("/a", Some("vfat")), ("/b", Some("xfs")), ("/c", None), ("/d", Some("vfat"))] {
            host.mounts.insert(at.into(), Mount { fs: fs.map(str::to_owned), ..Mount::default() });
        }
        assert_eq!(packages(&host), ["dosfstools"]);
    }
}
