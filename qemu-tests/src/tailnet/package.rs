//! Packs tailscale as its vendor lays it out.

use super::TAILSCALE;
use super::archive::{Member, write};
use super::go::Programs;
use crate::error::{Doing, Result};
use std::path::{Path, PathBuf};

/// What dpkg and apt read.
pub fn control() -> String {
    format!(
        "Package: tailscale\nVersion: {TAILSCALE}\nArchitecture: amd64\nSection: net\nPriority: extra\n\
         Maintainer: Tailscale Inc <info@tailscale.com>\nDepends: iproute2, iptables\n\
         Conflicts: tailscale-relay\nReplaces: tailscale-relay\n\
         Homepage: https://www.tailscale.com\n\
         Description: The easiest, most secure, cross platform way to use WireGuard\n"
    )
}

/// Writes `tailscale_VERSION_amd64.deb` into a folder.
pub fn pack(programs: &Programs, folder: &Path) -> Result<PathBuf> {
    let from = &programs.tailscale;
    let read = |name: &str| std::fs::read(from.join(name)).doing("reading", &from.join(name));
    let member = |path: &str, mode: u32, bytes: Vec<u8>| Member { path: path.into(), mode, bytes };
    let data = [
        member("etc/default/tailscaled", 0o644, read("tailscaled.defaults")?),
        member("usr/bin/tailscale", 0o755, read("tailscale")?),
        member("usr/lib/systemd/system/tailscaled.service", 0o644, read("tailscaled.service")?),
        member("usr/sbin/tailscaled", 0o755, read("tailscaled")?),
    ];
    let control = [
        member("conffiles", 0o644, b"/etc/default/tailscaled\n".to_vec()),
        member("control", 0o644, control().into_bytes()),
        member("postinst", 0o755, read("debian.postinst.sh")?),
        member("postrm", 0o755, read("debian.postrm.sh")?),
        member("prerm", 0o755, read("debian.prerm.sh")?),
    ];
    let deb = folder.join(format!("tailscale_{TAILSCALE}_amd64.deb"));
    write(&deb, &control, &data)?;
    Ok(deb)
}
