//! What the child does between fork and exec, as a list that is complete before the fork: the
//! child then makes system calls and nothing else, and a failed step is named by its number.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::ffi::CString;

/// One system call or a few that belong together.
#[derive(Debug)]
pub enum Op {
    /// Nothing mounted from here on is seen outside.
    MakePrivate,
    /// mount(2) of a new filesystem.
    Mount { source: CString, target: CString, kind: CString, flags: MountFlags, data: CString },
    /// A bind mount.
    Bind { source: CString, target: CString },
    /// Makes a bind mount read-only, keeping the flags that a user namespace may not change.
    ReadOnly { target: CString },
    /// Makes a directory below the root, which must not lead through a symbolic link.
    MakeDir { root: CString, parts: Vec<CString> },
    /// Makes an empty file if nothing is there.
    Touch { path: CString },
    /// Makes a symbolic link.
    Symlink { target: CString, link: CString },
    /// Makes this directory the root and lets go of the old one.
    PivotRoot { root: CString },
    /// A name that is the same on every computer.
    HostName,
    /// Brings `lo` up.
    LoopbackUp,
    /// Changes the working directory.
    ChangeDir { path: CString },
}

/// A step and what it is called in an error.
#[derive(Debug)]
pub struct Step {
    /// `mounting the overlay at …`.
    pub doing: String,
    /// What is done.
    pub op: Op,
    /// Failure is no reason to stop.
    pub optional: bool,
}

/// Runs all steps; on failure says which one, and why.
pub fn run(steps: &[Step]) -> Result<(), (usize, Errno)> {
    for (index, step) in steps.iter().enumerate() {
        if let Err(errno) = apply(&step.op)
            && !step.optional
        {
            return Err((index, errno));
        }
    }
    Ok(())
}

fn apply(op: &Op) -> rustix::io::Result<()> {
    match op {
        Op::MakePrivate => {
            rustix::mount::mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        }
        Op::Mount { source, target, kind, flags, data } => rustix::mount::mount(
            source.as_c_str(),
            target.as_c_str(),
            kind.as_c_str(),
            *flags,
            data.as_c_str(),
        ),
        Op::Bind { source, target } => rustix::mount::mount_bind(source.as_c_str(), target.as_c_str()),
        Op::ReadOnly { target } => read_only(target),
        Op::MakeDir { root, parts } => make_dir(root, parts),
        Op::Touch { path } => {
            let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            rustix::fs::open(path.as_c_str(), flags, Mode::from_raw_mode(0o644)).map(drop)
        }
        Op::Symlink { target, link } => rustix::fs::symlink(target.as_c_str(), link.as_c_str()),
        Op::PivotRoot { root } => pivot_root(root),
        Op::HostName => rustix::system::sethostname(b"localhost"),
        Op::LoopbackUp => loopback_up(),
        Op::ChangeDir { path } => rustix::process::chdir(path.as_c_str()),
    }
}

/// In a user namespace a remount must repeat the flags that the source had (mount_namespaces(7),
/// "locked" flags).
fn read_only(target: &CString) -> rustix::io::Result<()> {
    use rustix::fs::StatVfsMountFlags as Have;
    let have = rustix::fs::statvfs(target.as_c_str())?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::RDONLY;
    for (present, keep) in [
        (Have::NOSUID, MountFlags::NOSUID),
        (Have::NODEV, MountFlags::NODEV),
        (Have::NOEXEC, MountFlags::NOEXEC),
        (Have::NOATIME, MountFlags::NOATIME),
        (Have::NODIRATIME, MountFlags::NODIRATIME),
        (Have::RELATIME, MountFlags::RELATIME),
    ] {
        if have.contains(present) {
            flags |= keep;
        }
    }
    rustix::mount::mount_remount(target.as_c_str(), flags, c"")
}

/// Walks down without following links: a link inside a tree could lead out of it.
fn make_dir(root: &CString, parts: &[CString]) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut directory = rustix::fs::openat(CWD, root.as_c_str(), flags, Mode::empty())?;
    for part in parts {
        match rustix::fs::mkdirat(&directory, part.as_c_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let stat = rustix::fs::statat(&directory, part.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        directory = rustix::fs::openat(&directory, part.as_c_str(), flags, Mode::empty())?;
    }
    Ok(())
}

/// pivot_root(2), "pivot_root(".", ".")": the old root is stacked over the new one and detached.
fn pivot_root(root: &CString) -> rustix::io::Result<()> {
    rustix::process::chdir(root.as_c_str())?;
    rustix::process::pivot_root(c".", c".")?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

fn loopback_up() -> rustix::io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    use std::os::fd::AsRawFd;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    crate::sys::loopback_up(socket.as_raw_fd())
}
