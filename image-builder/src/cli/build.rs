//! `landfall build HOST… --out IMAGE`.

use super::context::Context;
use super::failure::Failure;
use super::secret::IdentityArg;
use crate::builder::identity::{Signer, Unwatched};
use crate::builder::lock_file::LockFile;
use crate::builder::{BuildPlaces, Builder, MediumRequest};
use clap::Args;
use landfall_hosts::event::Progress;
use landfall_hosts::host::{Host, OnError};
use landfall_hosts::lock::Lock;
use landfall_hosts::site::{self, Site};
use std::path::{Path, PathBuf};

/// What to build.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Hosts that the medium installs
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    /// The image to write
    #[arg(long, value_name = "IMAGE")]
    out: PathBuf,
    /// The medium installs this host by itself, once, and carries its identity
    #[arg(long, value_name = "HOST")]
    unattended: Option<String>,
    /// The lock must have everything already
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    identity: IdentityArg,
}

/// What a medium is made of, whichever command asks.
pub(super) struct Request<'a> {
    /// Hosts that it installs.
    pub(super) hosts: &'a [String],
    /// The one that it installs by itself.
    pub(super) unattended: Option<&'a str>,
    /// The lock must have everything.
    pub(super) locked: bool,
    /// The admin's key.
    pub(super) identity: Option<PathBuf>,
    /// The image.
    pub(super) out: &'a Path,
}

/// Where a medium was made, and from what.
pub(super) struct Composed {
    /// The build's places.
    pub(super) places: BuildPlaces,
    /// The lock.
    pub(super) lock: Lock,
    /// What the unattended host does where the installer cannot go on.
    on_error: OnError,
}

impl Composed {
    /// Gives the medium an install id and the host's bare identity.
    pub(super) fn make_unattended(&self, request: &Request<'_>, host: &str) -> Result<(), Failure> {
        let identity = request.identity.clone();
        let unwatched = Unwatched { host, on_error: self.on_error };
        let make = crate::builder::identity::make_unattended;
        Ok(make(&self.places, &self.lock, request.out, unwatched, identity)?)
    }
}

/// Builds layers and composes the medium.
pub(super) fn run(args: &BuildArgs, context: &Context) -> Result<(), Failure> {
    // Before any thread: a user namespace is entered by a process with one thread.
    landfall_layers::sandbox::become_root()?;
    must_be_a_file(&args.out)?;
    let request = Request {
        hosts: &args.hosts,
        unattended: args.unattended.as_deref(),
        locked: args.locked,
        identity: args.identity.identity.clone(),
        out: &args.out,
    };
    let bars = context.bars();
    let composed = compose(&request, context, &bars)?;
    if let Some(host) = &args.unattended {
        composed.make_unattended(&request, host)?;
    }
    said(&args.out, &bars);
    Ok(())
}

/// Builds layers and composes a medium without anything personal. The caller has become root.
pub(super) fn compose(
    request: &Request<'_>,
    context: &Context,
    bars: &dyn Progress,
) -> Result<Composed, Failure> {
    let dir = context.site_dir()?;
    let site = site::load(&dir).map_err(|problems| Failure::Invalid(problems.to_string()))?;
    let hosts = resolve(&site, request)?;
    let unattended = hosts.iter().find(|host| request.unattended == Some(host.name.as_str()));
    let on_error = unattended.map(|host| host.install.on_error).unwrap_or_default();
    let places = BuildPlaces {
        site: dir.clone(),
        cache: context.cache_dir()?,
        etc_apt: PathBuf::from("/etc/apt"),
        binaries: binaries()?,
    };
    let builder = Builder {
        places: &places,
        site: &site,
        site_id: crate::builder::site_id(&site)?,
        locked: request.locked,
        progress: bars,
    };
    let mut lock = LockFile::open(&dir)?;
    let mut built = Vec::new();
    for host in &hosts {
        built.push(builder.host(host, &mut lock)?);
    }
    let (signer, unsigned) = Signer::open(&dir, request.identity.clone());
    if let Some(why) = unsigned {
        context.say(format!("warning: {why}"));
    }
    let medium = MediumRequest { out: request.out, unattended: request.unattended, signer: &signer };
    builder.medium(built, &lock.lock, &medium)?;
    Ok(Composed { places, lock: lock.lock, on_error })
}

/// The image is made beside its name and then renamed to it: a device would lose its node, and the
/// stick would stay as it was.
pub(super) fn must_be_a_file(out: &Path) -> Result<(), Failure> {
    match std::fs::metadata(out) {
        Ok(about) if !about.is_file() => Err(Failure::Invalid(format!(
            "--out {}: it is there and is no file; name an image file, and write that to the stick",
            out.display()
        ))),
        _ => Ok(()),
    }
}

fn said(out: &Path, progress: &dyn Progress) {
    let size = std::fs::metadata(out).map_or(0, |meta| meta.len());
    progress.event(landfall_hosts::event::Event::Note(format!(
        "{} is ready ({} MB)",
        out.display(),
        size / 1_000_000
    )));
}

/// The merged hosts, each in all its variants; all that is wrong with any of them is said at once.
fn resolve(site: &Site, request: &Request<'_>) -> Result<Vec<Host>, Failure> {
    if let Some(host) = request.unattended.filter(|host| !request.hosts.iter().any(|name| name == host)) {
        return Err(Failure::Invalid(format!(
            "--unattended {host}: that host is not on the medium; name it among the hosts to build"
        )));
    }
    let errors: Vec<String> =
        site.check().iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(Failure::Invalid(format!("the site has errors\n{}", errors.join("\n"))));
    }
    let mut hosts = Vec::new();
    let mut refused = Vec::new();
    for name in request.hosts {
        let variants = site.variants(name).map_err(|problems| Failure::Invalid(problems.to_string()))?;
        for resolved in variants {
            let gaps = resolved.not_buildable();
            refused.extend(gaps.into_iter().map(|gap| format!("{name}: {gap}")));
            hosts.push(resolved.host);
        }
    }
    refused.dedup();
    match refused.is_empty() {
        true => Ok(hosts),
        false => Err(Failure::Invalid(format!("not buildable yet\n{}", refused.join("\n")))),
    }
}

/// Our static binaries stand beside `landfall` itself.
fn binaries() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let folder = own.parent().map(Path::to_path_buf).unwrap_or_default();
    for name in ["landfall-init", "landfall-machine"] {
        if !folder.join(name).is_file() {
            return Err(Failure::Invalid(format!(
                "{} is not there; `landfall-init` and `landfall-machine` belong beside `landfall` (`cargo xtask dist` puts them there)",
                folder.join(name).display()
            )));
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_replaces_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("vm.img");
        assert!(must_be_a_file(&image).is_ok());
        std::fs::write(&image, "").unwrap();
        assert!(must_be_a_file(&image).is_ok());
        for other in [folder.path(), Path::new("/dev/null")] {
            assert!(must_be_a_file(other).is_err());
        }
    }
}
