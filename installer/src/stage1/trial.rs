//! `Try without installing`: a host's layers from the medium, everything written is in memory.

use super::overlay::{self, Writes};
use super::upper::Upper;
use super::{SYSROOT, boot_info, clock, switch};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::install::variant::{self, Fitting};
use crate::install::{Refusal, has_bare_identity, hosts, medium};
use crate::mounts::{self, Kind, Mount};
use crate::watchdog::Watchdog;
use crate::{ending, tree};
use landfall_hosts::machine::BootInfo;
use rustix::mount::MountFlags;
use std::path::{Path, PathBuf};

/// Starts the host. Ends in user space, or in words.
pub fn run_try(context: &Context, watchdog: Option<Watchdog>) {
    let result = start(context, watchdog);
    let consoles = &context.consoles;
    match result {
        Ok(never) => match never {},
        Err(error) => {
            consoles.say(format!("This host cannot be tried: {}", error.chain()));
            consoles.sentinel("FAILED", &[("step", "try")]);
            consoles.say("Restart to come back to the medium's menu. No disk was touched.");
            ending::hold()
        }
    }
}

fn start(context: &Context, watchdog: Option<Watchdog>) -> Result<std::convert::Infallible> {
    let roots = &context.roots;
    let medium = medium::find(context)?;
    no_identity_within_reach(&medium.folder)?;
    let chosen = hosts::named_or_only(context, &medium)?;
    let machine = crate::probe::machine::probe(roots);
    let words = |refusal: Refusal| Error::Words(format!("{}. {}", refusal.message, refusal.remedy));
    let chosen = match variant::fitting(&medium.folder, &chosen, &machine).map_err(words)? {
        Fitting::One(fitting, _) => *fitting,
        Fitting::Open(unfit) => return Err(words(variant::refused(&chosen, &unfit, &machine))),
    };
    let folder = medium.folder.clone();
    medium.keep_mounted();
    clock::not_before(context, chosen.manifest.epoch);
    let layers = overlay::mount_layers(roots, &folder, &chosen.manifest)?;
    let memory = roots.run.join("landfall/try");
    let flags = MountFlags::NODEV;
    Mount::new(Path::new("tmpfs"), &memory, Kind { name: "tmpfs", flags, options: "mode=700,size=70%" })?
        .keep();
    let upper = Upper::make(&memory)?;
    let root = PathBuf::from(SYSROOT);
    overlay::mount(&layers, Some((&upper, Writes::Plain)), &root)?;
    machine_id(&root)?;
    autologin(context)?;
    boot_info::put(context, &BootInfo { format: 1, mode: "try".into(), ..BootInfo::default() })?;
    context.consoles.say(format!("Trying {}: nothing is written to any disk.", chosen.manifest.host));
    super::hand_over(context, watchdog);
    switch::into(roots, &root)
}

/// Whoever tries a host is root on it, and the medium stays plugged in.
fn no_identity_within_reach(medium: &Path) -> Result<()> {
    if !has_bare_identity(medium) {
        return Ok(());
    }
    Err(Error::Words(
        "the medium still holds the bare identity of an unattended installation, which a root shell \
         could read; install that host first, or build a medium without --unattended"
            .into(),
    ))
}

/// A machine-id of its own, or systemd takes this for a first boot and applies its presets again.
fn machine_id(root: &Path) -> Result<()> {
    let id = crate::install::random_hex::<16>()?;
    tree::write(&root.join("etc/machine-id"), format!("{id}\n").as_bytes(), 0o444)
}

/// Root without a password on every console: all of it is in memory, and no secret is within reach.
fn autologin(context: &Context) -> Result<()> {
    let line = "-/sbin/agetty --autologin root --noclear --keep-baud - $TERM";
    for unit in ["getty@.service.d", "serial-getty@.service.d"] {
        let folder = context.roots.run.join("systemd/system").join(unit);
        mounts::make_folder(&folder)?;
        let text = format!("[Service]\nExecStart=\nExecStart={line}\n");
        let path = folder.join("autologin.conf");
        std::fs::write(&path, text).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::paths::data;

    #[test]
    fn no_shell_beside_a_bare_identity() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join(data::IDENTITIES);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("vm.key"), "\n\n").unwrap();
        std::fs::write(folder.join("vm.age"), "wrapped").unwrap();
        no_identity_within_reach(top.path()).unwrap();
        std::fs::write(folder.join("vm.key"), "AGE-SECRET-KEY-1X\n").unwrap();
        let error = no_identity_within_reach(top.path()).unwrap_err();
        assert!(!error.chain().contains("SECRET-KEY"));
    }
}
