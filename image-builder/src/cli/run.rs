//! `landfall run HOST`: the host's own medium, rehearsed in QEMU.

use super::context::Context;
use super::failure::Failure;
use super::medium::{Medium, MediumArgs};
use crate::rehearsal::{Picture, Shape, Stage, Starts, shape};
use clap::Args;
use landfall_hosts::site;
use landfall_probe::bytes::human;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::slice;

/// What to rehearse, and how.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The host
    #[arg(value_name = "HOST")]
    host: String,
    /// The medium installs by itself, as `flash --unattended` makes it [default: its menu asks]
    #[arg(long)]
    unattended: bool,
    /// Show the machine's screen in a window too
    #[arg(long)]
    window: bool,
    /// Keep medium, disk and the firmware's variables in this folder [default: they go when the machine is off]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    medium: MediumArgs,
}

/// Builds the host's medium, installs from it, and boots what came out.
///
/// # Errors
/// When this computer lacks QEMU, the build fails, or the install does not finish.
pub(super) fn run(args: &RunArgs, context: &Context) -> Result<(), Failure> {
    // Before any thread: a user namespace is entered by a process with one thread.
    landfall_layers::sandbox::become_root()?;
    let shape = shape_of(&args.host, context)?;
    let picture = if args.window { Picture::Window } else { Picture::None };
    let folder = Folder::make(args.keep.as_deref())?;
    let stage = Stage { folder: folder.path(), shape: &shape, picture };
    stage.check()?;
    if stage.disk().exists() {
        let words = "a rehearsal starts with a blank one; name another folder with --keep, or remove it";
        return Err(Failure::Refused(format!("{} is there already: {words}", stage.disk().display())));
    }
    make_medium(args, &stage.medium(), context)?;
    stage.make_disk()?;
    context.say(described(&args.host, &shape));
    if !stage.install()? {
        let words = "the machine ended before its disk said that it is done; what it said stands above";
        return Err(Failure::Failed(words.into()));
    }
    context.say("Installed. The machine starts from its own disk now.");
    Ok(stage.boot()?)
}

/// Where medium and disk are; on them are the host's identity and its secrets.
enum Folder {
    Kept(PathBuf),
    Scratch(tempfile::TempDir),
}

impl Folder {
    fn make(keep: Option<&Path>) -> Result<Self, Failure> {
        let Some(folder) = keep else {
            // The disk is too large for a `/tmp` in memory.
            let made = tempfile::Builder::new().prefix("landfall-run-").tempdir_in("/var/tmp")?;
            return Ok(Self::Scratch(made));
        };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Failure::Failed(format!("making {}: {error}", folder.display()).into()))?;
        Ok(Self::Kept(folder.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Scratch(folder) => folder.path(),
        }
    }
}

fn shape_of(name: &str, context: &Context) -> Result<Shape, Failure> {
    let invalid = |problems: &dyn std::fmt::Display| Failure::Invalid(problems.to_string());
    let site = site::load(&context.site_dir()?).map_err(|problems| invalid(&problems))?;
    let resolved = site.resolve(name).map_err(|problems| invalid(&problems))?;
    shape(&resolved.host, site.facts(name)).map_err(|unlike| invalid(&unlike))
}

fn make_medium(args: &RunArgs, out: &Path, context: &Context) -> Result<(), Failure> {
    let unattended = args.unattended.then_some(args.host.as_str());
    let medium = Medium { hosts: slice::from_ref(&args.host), unattended, args: &args.medium };
    let carried = medium.carried(context)?;
    let bars = context.bars();
    medium.compose(out, &carried, context, &bars).map(drop)
}

fn described(host: &str, shape: &Shape) -> String {
    let firmware = match shape.starts {
        Starts::SecureBoot => "UEFI with Secure Boot",
        Starts::Uefi => "UEFI, Secure Boot off",
        Starts::Bios => "BIOS",
    };
    let kind = if shape.laptop { "a laptop" } else { "a virtual machine" };
    let tpm = if shape.tpm { ", a TPM" } else { "" };
    format!(
        "{host} is rehearsed on {kind} with {firmware}, a blank disk of {} ({}){tpm}, and no network. \
         This terminal is its serial console; Ctrl-A X ends it.",
        human(shape.disk_bytes),
        shape.transport()
    )
}
