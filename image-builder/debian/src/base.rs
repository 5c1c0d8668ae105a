//! The base layer: what every machine has, as names in apt's own syntax.

use std::collections::BTreeSet;

/// Stands for every package that Debian marks `Essential: yes`.
pub const ESSENTIAL: &str = "?essential";

/// Why each is here: it boots (systemd, udev, kmod, kernel), a person can log in and set it up
/// (login, sudo, locales, console), it is on a network (iproute2, nftables, certificates), and
/// `apt install` works on the running machine.
const PACKAGES: &[&str] = &[
    ESSENTIAL,
    "adduser",
    "apt",
    "bash-completion",
    "ca-certificates",
    "console-setup",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "init",
    "iproute2",
    "iputils-ping",
    "kbd",
    "keyboard-configuration",
    "kmod",
    crate::initramfs::NAME,
    "less",
    "libnss-systemd",
    "libpam-systemd",
    "locales",
    "login",
    "mount",
    "netbase",
    "nftables",
    "openssl",
    "passwd",
    "procps",
    "sudo",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
    "zstd",
];

/// The kernel where a host names none.
pub const DEFAULT_KERNEL: &str = "linux-image-amd64";

/// What the base layer asks for.
#[must_use]
pub fn wants(kernel: Option<&str>) -> BTreeSet<String> {
    PACKAGES.iter().copied().chain([kernel.unwrap_or(DEFAULT_KERNEL)]).map(str::to_owned).collect()
}
