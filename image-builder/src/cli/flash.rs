//! `landfall flash HOST… [--to DEVICE]`: builds, writes and verifies a stick.

mod choose;

use super::build;
use super::context::Context;
use super::failure::Failure;
use super::medium::{Medium, MediumArgs};
use crate::builder::identity::make_attended;
use crate::flash::{BlockDevice, Drive, Fault, FlashError, Wanted, Writer, Written};
use crate::media::Identity;
use choose::Choice;
use clap::Args;
use landfall_probe::Roots;
use rustix::fs::Access;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What to write, and where.
#[derive(Debug, Args)]
pub struct FlashArgs {
    /// Hosts that the stick installs
    #[arg(value_name = "HOST", required_unless_present = "image")]
    hosts: Vec<String>,
    /// Write this image, as `build` made it, in place of building one
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["hosts", "unattended", "locked", "no_identity"])]
    image: Option<PathBuf>,
    /// The drive to write; or a file that becomes the stick's image [default: a question]
    #[arg(long, value_name = "DEVICE")]
    to: Option<PathBuf>,
    /// The stick installs this host by itself, once, and carries its identity in the clear
    #[arg(long, value_name = "HOST")]
    unattended: Option<String>,
    /// The serial number of the drive that is meant: opens drives that are not removable, or over 2 TB
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// Do not ask; needs --to
    #[arg(short, long, requires = "to")]
    yes: bool,
    #[command(flatten)]
    medium: MediumArgs,
}

impl FlashArgs {
    fn medium(&self) -> Medium<'_> {
        Medium { hosts: &self.hosts, unattended: self.unattended.as_deref(), args: &self.medium }
    }
}

/// Builds and writes.
///
/// # Errors
/// When the build fails, the drive is refused, or the stick fails.
pub(super) fn run(args: &FlashArgs, context: &Context) -> Result<(), Failure> {
    if let Some(image) = &args.image {
        return write_image(args, image, context);
    }
    // Before any thread: a user namespace is entered by a process with one thread.
    landfall_layers::sandbox::become_root()?;
    match args.to.as_deref().filter(|to| is_image(to)) {
        Some(file) => make_image(args, file, context),
        None => build_and_write(args, context),
    }
}

/// Below `/dev` nothing is ever made: a name there that is nothing yet is a stick that is not in.
fn is_image(to: &Path) -> bool {
    match std::fs::metadata(to) {
        Ok(about) => !about.file_type().is_block_device(),
        Err(_) => !to.starts_with("/dev"),
    }
}

fn make_image(args: &FlashArgs, out: &Path, context: &Context) -> Result<(), Failure> {
    build::must_be_a_file(out)?;
    let carried = args.medium().carried(context)?;
    let bars = context.bars();
    args.medium().compose(out, &carried, context, &bars)?;
    context.say(format!("{} is ready: write it with `landfall flash --image`, once", out.display()));
    Ok(())
}

fn write_image(args: &FlashArgs, image: &Path, context: &Context) -> Result<(), Failure> {
    if let Some(to) = args.to.as_deref().filter(|to| is_image(to)) {
        let words = "is no drive; an image is copied with cp";
        return Err(Failure::Invalid(format!("--to {}: it {words}", to.display())));
    }
    let wanted = Wanted::open(image).map_err(failure)?;
    let roots = Roots::machine();
    let drive = choose::choose(&choice(args, wanted.stick_bytes()), &roots)?;
    if !may_write(&drive) {
        return Err(root_needed(image, &drive, false));
    }
    write(&wanted, &drive, &roots, context)
}

fn build_and_write(args: &FlashArgs, context: &Context) -> Result<(), Failure> {
    let roots = Roots::machine();
    // Who sits there answers everything now; the build takes its time.
    let drive = choose::choose(&choice(args, 0), &roots)?;
    let carried = args.medium().carried(context)?;
    if !may_write(&drive) {
        context.say("Writing to the drive needs root. The image is built first, as you.");
    }
    let image = image_path(args, context)?;
    let bars = context.bars();
    let composed = args.medium().compose(&image, &carried, context, &bars)?;
    let wanted = Wanted::open(&image).map_err(failure)?;
    choose::refuse(&drive, wanted.stick_bytes())?;
    if !may_write(&drive) {
        let personal = args.unattended.is_some() || !carried.is_empty();
        return Err(root_needed(&image, &drive, personal));
    }
    let result = write(&wanted, &drive, &roots, context);
    // The cache keeps what the next flash can use again, and no identity.
    let absent = args.hosts.iter().map(|host| (host.as_str(), Identity::Absent)).collect();
    make_attended(&composed.places, &composed.lock, &image, absent)?;
    result
}

fn choice(args: &FlashArgs, need_bytes: u64) -> Choice<'_> {
    Choice { to: args.to.as_deref(), serial: args.serial.as_deref(), yes: args.yes, need_bytes }
}

/// One image for each set of hosts: the next flash of the same set changes what changed.
fn image_path(args: &FlashArgs, context: &Context) -> Result<PathBuf, Failure> {
    let folder = context.cache_dir()?.join("flash");
    std::fs::create_dir_all(&folder)?;
    let mut name = args.hosts.join("+");
    if let Some(host) = &args.unattended {
        name.push_str(&format!("-unattended-{host}"));
    }
    Ok(folder.join(format!("{name}.img")))
}

fn may_write(drive: &Drive) -> bool {
    rustix::fs::access(&drive.disk.path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

fn root_needed(image: &Path, drive: &Drive, personal: bool) -> Failure {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("landfall"));
    let own = own.display();
    let (image, device) = (image.display(), drive.disk.path.display());
    let after = if personal { format!(" && rm '{image}'") } else { String::new() };
    let why = match personal {
        true => "\nIt removes the image afterwards, for that carries an identity.",
        false => "",
    };
    Failure::Failed(
        format!(
            "writing to {device} needs root. The image is ready; this writes it:\n\n  \
             sudo '{own}' flash --image '{image}' --to {device}{after}\n{why}"
        )
        .into(),
    )
}

fn write(wanted: &Wanted, drive: &Drive, roots: &Roots, context: &Context) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // The second time nothing is waited for: a dying stick can hold a write for minutes.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let bars = context.bars();
    let device = BlockDevice::open(&drive.disk, roots).map_err(failure)?;
    let writer =
        Writer { wanted, stick: &device, compare: device.holds_medium(), progress: &bars, stop: &stop };
    let written = writer.run().map_err(failure)?;
    drop(device);
    context.say(said(&written));
    Ok(())
}

fn said(written: &Written) -> String {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let rate = mb(written.written_bytes) / written.seconds.max(0.001);
    format!(
        "Wrote {:.1} MB in {:.1} s ({rate:.1} MB/s); {:.1} MB stood there already. All of it was read back in \
         {:.1} s and is right.\nThe stick may be taken out.",
        mb(written.written_bytes),
        written.seconds,
        mb(written.kept_bytes),
        written.verify_seconds
    )
}

/// What may not be written is refused; everything else has failed.
fn failure(error: FlashError) -> Failure {
    match &error {
        FlashError::Busy { .. } | FlashError::Stick { fault: Fault::Changed, half: false, .. } => {
            Failure::Refused(error.to_string())
        }
        FlashError::NotAMedium { .. } => Failure::Invalid(error.to_string()),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_stick_is_no_image() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_image(&folder.path().join("new.img")));
        assert!(is_image(folder.path()));
        assert!(!is_image(Path::new("/dev/there-is-no-such-stick")));
    }

    #[test]
    fn the_command_for_root_removes_what_carries_an_identity() {
        let drive = Drive::default();
        let words = |personal| match root_needed(Path::new("/c/vm.img"), &drive, personal) {
            Failure::Failed(error) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(words(true).contains("&& rm '/c/vm.img'"));
        assert!(!words(false).contains("rm '"));
    }
}
