//! Runs one program inside a root that is an overlay of trees, in namespaces of its own.
//!
//! Three processes: the outer child (new mount, pid, net, ipc and uts namespaces; waits), process 1
//! of the new pid namespace (mounts, then reaps) and the program. Each asks the kernel to be killed
//! with its parent, so an interrupted build leaves no process behind, and mounts vanish with the
//! namespace.

mod plan;
mod userns;

pub use userns::{Mode, become_root};

use crate::sys::{self, ExecVector};
use landfall_debian::run::{Bind, RootCommand, RootDirs, RunError, RunInRoot};
use plan::{Op, Step};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why no sandbox can be had.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Neither root nor a user namespace.
    #[error("building needs root or user namespaces with subordinate ids: {reason}")]
    NoNamespaces {
        /// What is missing and the command that mends it.
        reason: String,
    },
    /// A call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Runs programs in namespaces of this computer.
#[derive(Debug, Clone)]
pub struct Sandbox {
    mode: Mode,
    epoch: u64,
    scratch: PathBuf,
}

/// Status by which process 1 says that a step before exec failed.
const SETUP_FAILED: i32 = 125;
/// How much of a log goes into an error.
const TAIL_BYTES: u64 = 2500;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Sandbox {
    /// A sandbox whose programs see `epoch` as `SOURCE_DATE_EPOCH`; `scratch` is a folder on the
    /// filesystem that holds the trees.
    pub fn new(epoch: u64, scratch: &Path) -> Result<Self, SandboxError> {
        let mode = Mode::current().ok_or_else(|| SandboxError::NoNamespaces {
            reason: "this process is not root, not even in a user namespace".into(),
        })?;
        Ok(Self { mode, epoch, scratch: scratch.to_owned() })
    }

    /// How this sandbox gets its rights.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn environment(
        &self,
        extra: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<ExecVector, RunError> {
        let mut strings = Vec::new();
        for pair in [
            format!("PATH={PATH}"),
            "HOME=/root".into(),
            "USER=root".into(),
            "LOGNAME=root".into(),
            "SHELL=/bin/sh".into(),
            "TERM=dumb".into(),
            "LC_ALL=C.UTF-8".into(),
            "TZ=UTC".into(),
            "DEBIAN_FRONTEND=noninteractive".into(),
            "DEBCONF_NONINTERACTIVE_SEEN=true".into(),
            "PYTHONHASHSEED=0".into(),
            format!("SOURCE_DATE_EPOCH={}", self.epoch),
        ] {
            strings.push(c_string(OsStr::new(&pair))?);
        }
        for (name, value) in extra {
            let mut pair = name;
            pair.push("=");
            pair.push(value);
            strings.push(c_string(&pair)?);
        }
        Ok(ExecVector::new(strings))
    }

    /// The mounts of one run; `place` is an empty directory.
    fn steps(
        &self,
        dirs: &RootDirs,
        work: &Path,
        place: &Path,
        command: &RootCommand,
    ) -> Result<Vec<Step>, RunError> {
        let mut steps = Steps { list: Vec::new(), root: place.join("root") };
        steps.push("making mounts private", Op::MakePrivate)?;
        steps.push("naming the build host", Op::HostName)?;
        steps.list.push(Step { doing: "bringing up lo".into(), op: Op::LoopbackUp, optional: true });
        steps.mount("tmpfs", place, MountFlags::empty(), "mode=0755")?;
        for name in ["root", "upper", "work"] {
            steps.directory(place, Path::new(name))?;
        }
        let (upper, work) = match &dirs.upper {
            Some(upper) => (upper.clone(), work.to_owned()),
            None => (place.join("upper"), place.join("work")),
        };
        let root = steps.root.clone();
        let data = overlay_options(&dirs.lower, &upper, &work, self.mode);
        steps.mount("overlay", &root, MountFlags::empty(), &data)?;
        steps.kernel_filesystems(&root)?;
        steps.devices(&root)?;
        for bind in &command.binds {
            steps.bind(bind)?;
        }
        steps.push("entering the build root", Op::PivotRoot { root: c_path(&root)? })?;
        if !command.cwd.as_os_str().is_empty() {
            let path = c_path(&command.cwd)?;
            steps.push(&format!("changing to {}", command.cwd.display()), Op::ChangeDir { path })?;
        }
        Ok(steps.list)
    }
}

/// Options of overlayfs (kernel: Documentation/filesystems/overlayfs.rst). The three features that
/// are off would leave attributes in the upper tree that mean nothing outside this mount;
/// `volatile` drops every sync: an interrupted layer is thrown away as a whole.
fn overlay_options(lower: &[PathBuf], upper: &Path, work: &Path, mode: Mode) -> String {
    let escape = |path: &Path| {
        let text = path.to_string_lossy();
        text.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
    };
    let lower: Vec<String> = lower.iter().map(|path| escape(path)).collect();
    let flavour = if mode == Mode::UserNamespace { ",userxattr" } else { "" };
    format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off,volatile{flavour}",
        lower.join(":"),
        escape(upper),
        escape(work),
    )
}

struct Steps {
    list: Vec<Step>,
    root: PathBuf,
}

impl Steps {
    fn push(&mut self, doing: &str, op: Op) -> Result<(), RunError> {
        self.list.push(Step { doing: doing.to_owned(), op, optional: false });
        Ok(())
    }

    fn mount(&mut self, kind: &str, target: &Path, flags: MountFlags, data: &str) -> Result<(), RunError> {
        let op = Op::Mount {
            source: c_string(OsStr::new(kind))?,
            target: c_path(target)?,
            kind: c_string(OsStr::new(kind))?,
            flags,
            data: c_string(OsStr::new(data))?,
        };
        self.push(&format!("mounting {kind} at {}", target.display()), op)
    }

    fn directory(&mut self, root: &Path, path: &Path) -> Result<(), RunError> {
        let parts = path
            .components()
            .filter_map(|part| match part {
                std::path::Component::Normal(name) => Some(c_string(name)),
                _ => None,
            })
            .collect::<Result<Vec<_>, _>>()?;
        let doing = format!("making {} in {}", path.display(), root.display());
        self.push(&doing, Op::MakeDir { root: c_path(root)?, parts })
    }

    fn kernel_filesystems(&mut self, root: &Path) -> Result<(), RunError> {
        let quiet = MountFlags::NOSUID | MountFlags::NODEV;
        for name in ["proc", "dev", "run", "tmp"] {
            self.directory(root, Path::new(name))?;
        }
        let proc = root.join("proc");
        self.mount("proc", &proc, quiet | MountFlags::NOEXEC, "")?;
        // A package's script that sets a sysctl must not set the computer's.
        let sysctl = c_path(&proc.join("sys"))?;
        self.push("binding /proc/sys", Op::Bind { source: sysctl.clone(), target: sysctl.clone() })?;
        self.push("making /proc/sys read-only", Op::ReadOnly { target: sysctl })?;
        self.mount("tmpfs", &root.join("run"), quiet, "mode=0755")?;
        self.mount("tmpfs", &root.join("tmp"), quiet, "mode=1777")
    }

    fn devices(&mut self, root: &Path) -> Result<(), RunError> {
        let dev = root.join("dev");
        self.mount("tmpfs", &dev, MountFlags::NOSUID | MountFlags::NOEXEC, "mode=0755")?;
        for name in ["null", "zero", "full", "random", "urandom", "tty"] {
            let target = c_path(&dev.join(name))?;
            let source = c_path(&Path::new("/dev").join(name))?;
            self.push(&format!("making /dev/{name}"), Op::Touch { path: target.clone() })?;
            self.push(&format!("binding /dev/{name}"), Op::Bind { source, target })?;
        }
        for (target, link) in [
            ("/proc/self/fd", "fd"),
            ("/proc/self/fd/0", "stdin"),
            ("/proc/self/fd/1", "stdout"),
            ("/proc/self/fd/2", "stderr"),
            ("pts/ptmx", "ptmx"),
        ] {
            let op = Op::Symlink { target: c_string(OsStr::new(target))?, link: c_path(&dev.join(link))? };
            self.push(&format!("linking /dev/{link}"), op)?;
        }
        for name in ["pts", "shm"] {
            self.directory(&dev, Path::new(name))?;
        }
        let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
        self.mount("devpts", &dev.join("pts"), quiet, "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
        self.mount("tmpfs", &dev.join("shm"), quiet | MountFlags::NODEV, "mode=1777")
    }

    fn bind(&mut self, bind: &Bind) -> Result<(), RunError> {
        let root = self.root.clone();
        let inside = bind.target.strip_prefix("/").unwrap_or(&bind.target).to_owned();
        let place = root.join(&inside);
        if bind.source.is_dir() {
            self.directory(&root, &inside)?;
        } else {
            if let Some(parent) = inside.parent() {
                self.directory(&root, parent)?;
            }
            let op = Op::Touch { path: c_path(&place)? };
            self.push(&format!("making {}", bind.target.display()), op)?;
        }
        let doing = format!("binding {} at {}", bind.source.display(), bind.target.display());
        self.push(&doing, Op::Bind { source: c_path(&bind.source)?, target: c_path(&place)? })?;
        if !bind.writable {
            self.push(&format!("{doing}, read-only"), Op::ReadOnly { target: c_path(&place)? })?;
        }
        Ok(())
    }
}

impl RunInRoot for Sandbox {
    fn run(&self, dirs: &RootDirs, command: RootCommand) -> Result<Vec<u8>, RunError> {
        let program = shown(&command);
        let place = tempfile::Builder::new()
            .prefix("root-")
            .tempdir_in(&self.scratch)
            .map_err(|source| setup(format!("making a mount point in {}", self.scratch.display()), source))?;
        let work = work_dir(dirs)?;
        let steps =
            self.steps(dirs, work.as_ref().map_or(Path::new(""), |dir| dir.path()), place.path(), &command)?;
        let exec = Exec::new(&command, self)?;
        let mut output = Output::open(&command)?;
        let stdin = match command.stdin {
            Some(fd) => fd,
            None => File::open("/dev/null").map_err(|e| setup("opening /dev/null".into(), e))?.into(),
        };
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| setup("making a pipe".into(), errno.into()))?;
        let streams = Streams { stdin, stdout: output.stdout()?, stderr: output.log_handle()? };
        let child = sys::fork_child(|| outer(&steps, &exec, &streams, &writer))
            .map_err(|source| setup(format!("forking for {program}"), source))?;
        drop((writer, streams));
        let status =
            wait_for(child).map_err(|errno| setup(format!("waiting for {program}"), errno.into()))?;
        if let Some(error) = setup_failure(reader, &steps, self.mode) {
            return Err(error);
        }
        if status.exit_status() == Some(0) {
            return output.captured();
        }
        Err(RunError::Failed { program, status: status_words(status), tail: output.tail() })
    }
}

/// The overlay's work directory must be on the upper's filesystem, and empty.
fn work_dir(dirs: &RootDirs) -> Result<Option<tempfile::TempDir>, RunError> {
    let Some(parent) = dirs.upper.as_deref().and_then(Path::parent) else {
        return Ok(None);
    };
    let make = tempfile::Builder::new().prefix("work-").tempdir_in(parent);
    make.map(Some).map_err(|source| setup(format!("making a work directory in {}", parent.display()), source))
}

struct Exec {
    candidates: Vec<CString>,
    argv: ExecVector,
    env: ExecVector,
}

impl Exec {
    fn new(command: &RootCommand, sandbox: &Sandbox) -> Result<Self, RunError> {
        let program = command
            .argv
            .first()
            .ok_or_else(|| setup("starting a program".into(), io::Error::other("no program was named")))?;
        let candidates = if program.as_bytes().contains(&b'/') {
            vec![c_string(program)?]
        } else {
            let folders = PATH.split(':').map(|folder| Path::new(folder).join(program));
            folders.map(|path| c_path(&path)).collect::<Result<_, _>>()?
        };
        let argv = command.argv.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
        Ok(Self { candidates, argv: ExecVector::new(argv), env: sandbox.environment(command.env.clone())? })
    }
}

struct Streams {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// The outer child: leaves the computer's namespaces, starts process 1 and passes its status on.
fn outer(steps: &[Step], exec: &Exec, streams: &Streams, failures: &OwnedFd) -> i32 {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::process::setsid();
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    if let Err(errno) = sys::unshare(flags) {
        return report(failures, usize::MAX, errno);
    }
    match sys::fork_child(|| process_one(steps, exec, streams, failures)) {
        Ok(child) => wait_for(child).map_or(SETUP_FAILED, exit_code),
        Err(_) => report(failures, usize::MAX, Errno::AGAIN),
    }
}

/// Process 1 of the pid namespace: when it ends, the kernel kills whatever is left in there.
fn process_one(steps: &[Step], exec: &Exec, streams: &Streams, failures: &OwnedFd) -> i32 {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    if let Err((index, errno)) = plan::run(steps) {
        return report(failures, index, errno);
    }
    let program = match sys::fork_child(|| start(exec, streams, failures)) {
        Ok(program) => program,
        Err(_) => return report(failures, usize::MAX, Errno::AGAIN),
    };
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => return exit_code(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return SETUP_FAILED,
        }
    }
}

fn start(exec: &Exec, streams: &Streams, failures: &OwnedFd) -> i32 {
    let moved = rustix::stdio::dup2_stdin(streams.stdin.as_fd())
        .and_then(|()| rustix::stdio::dup2_stdout(streams.stdout.as_fd()))
        .and_then(|()| rustix::stdio::dup2_stderr(streams.stderr.as_fd()));
    if let Err(errno) = moved {
        return report(failures, usize::MAX, errno);
    }
    drop_capabilities();
    let mut last = Errno::NOENT;
    for candidate in &exec.candidates {
        match sys::exec(candidate, &exec.argv, &exec.env) {
            Errno::NOENT => {}
            errno => last = errno,
        }
    }
    report(failures, usize::MAX - 1, last)
}

/// What no package's script needs and what would reach the computer itself (capabilities(7)).
fn drop_capabilities() {
    use rustix::thread::CapabilitySet as Cap;
    for capability in [
        Cap::SYS_MODULE,
        Cap::SYS_TIME,
        Cap::SYS_BOOT,
        Cap::SYS_RAWIO,
        Cap::SYSLOG,
        Cap::MAC_ADMIN,
        Cap::MAC_OVERRIDE,
        Cap::WAKE_ALARM,
        Cap::AUDIT_CONTROL,
    ] {
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
}

fn report(failures: &OwnedFd, index: usize, errno: Errno) -> i32 {
    let mut message = [0_u8; 12];
    message[..8].copy_from_slice(&(index as u64).to_ne_bytes());
    message[8..].copy_from_slice(&errno.raw_os_error().to_ne_bytes());
    let _ = rustix::io::write(failures, &message);
    SETUP_FAILED
}

fn setup_failure(reader: OwnedFd, steps: &[Step], mode: Mode) -> Option<RunError> {
    let mut message = [0_u8; 12];
    File::from(reader).read_exact(&mut message).ok()?;
    let (index, errno) = message.split_at(8);
    let index = u64::from_ne_bytes(index.try_into().ok()?) as usize;
    let errno = i32::from_ne_bytes(errno.try_into().ok()?);
    let source = io::Error::from_raw_os_error(errno);
    if index == usize::MAX - 1 {
        return Some(setup("starting the program in the build root".into(), source));
    }
    let doing = steps.get(index).map_or("making namespaces for the build root", |step| &step.doing);
    let hint = hint(doing, &source, mode);
    Some(RunError::Setup { doing: doing.to_owned(), source, hint: hint.to_owned() })
}

/// What a person can do about a step that the kernel refused; empty where that is not known.
fn hint(doing: &str, source: &io::Error, mode: Mode) -> &'static str {
    match (source.kind(), mode) {
        (io::ErrorKind::PermissionDenied, Mode::UserNamespace) => {
            "\nOn Ubuntu: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a container: allow nested namespaces and an unmasked /proc, or build as root."
        }
        (io::ErrorKind::PermissionDenied, Mode::Root) => {
            "\nThis looks like a container: it needs CAP_SYS_ADMIN and an unmasked /proc (docker run --privileged)."
        }
        (io::ErrorKind::InvalidInput, _) if doing.starts_with("mounting overlay") => {
            "\nThe cache's filesystem cannot carry an overlay (it is one itself, or a network's): set XDG_CACHE_HOME to a folder on ext4, xfs, btrfs or a tmpfs."
        }
        _ => "",
    }
}

fn wait_for(child: Pid) -> Result<WaitStatus, Errno> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// As a shell says it: 128 + signal.
fn exit_code(status: WaitStatus) -> i32 {
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
}

fn status_words(status: WaitStatus) -> String {
    match exit_code(status) {
        code if code > 128 => format!("signal {}", code - 128),
        code => format!("exit status {code}"),
    }
}

/// Where a program's output goes.
struct Output {
    log: File,
    start: u64,
    capture: Option<File>,
}

impl Output {
    fn open(command: &RootCommand) -> Result<Self, RunError> {
        let temporary = || tempfile::tempfile().map_err(|e| setup("making a temporary file".into(), e));
        let mut log = match &command.log {
            Some(path) => std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .read(true)
                .open(path)
                .map_err(|e| setup(format!("opening the log {}", path.display()), e))?,
            None => temporary()?,
        };
        let start = log.seek(SeekFrom::End(0)).unwrap_or(0);
        let capture = if command.capture { Some(temporary()?) } else { None };
        let mut output = Self { log, start, capture };
        let _ = writeln!(output.log, "$ {}", shown(command));
        Ok(output)
    }

    fn stdout(&self) -> Result<OwnedFd, RunError> {
        let file = self.capture.as_ref().unwrap_or(&self.log);
        file.try_clone().map(OwnedFd::from).map_err(|e| setup("sharing a log".into(), e))
    }

    fn log_handle(&self) -> Result<OwnedFd, RunError> {
        self.log.try_clone().map(OwnedFd::from).map_err(|e| setup("sharing a log".into(), e))
    }

    fn captured(self) -> Result<Vec<u8>, RunError> {
        let mut bytes = Vec::new();
        if let Some(mut file) = self.capture {
            let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
            read.map_err(|e| setup("reading the program's output".into(), e))?;
        }
        Ok(bytes)
    }

    fn tail(&mut self) -> String {
        let end = self.log.seek(SeekFrom::End(0)).unwrap_or(0);
        let from = self.start.max(end.saturating_sub(TAIL_BYTES));
        let mut bytes = Vec::new();
        let read = self.log.seek(SeekFrom::Start(from)).and_then(|_| self.log.read_to_end(&mut bytes));
        if read.is_err() {
            return String::new();
        }
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// The command line for a person: long lists of packages are cut.
fn shown(command: &RootCommand) -> String {
    let words: Vec<_> = command.argv.iter().map(|word| word.to_string_lossy()).collect();
    let text = words.join(" ");
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn setup(doing: String, source: io::Error) -> RunError {
    RunError::Setup { doing, source, hint: String::new() }
}

fn c_path(path: &Path) -> Result<CString, RunError> {
    c_string(path.as_os_str())
}

fn c_string(text: &OsStr) -> Result<CString, RunError> {
    CString::new(text.as_bytes())
        .map_err(|error| setup(format!("preparing {:?} for the build root", text), io::Error::other(error)))
}

#[cfg(test)]
mod tests;
