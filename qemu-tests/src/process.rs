//! Running programs: short ones to their end, long ones until they are dropped.

use crate::error::{Doing, Error, Result, tail};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Runs a program to its end and returns what it wrote on stdout; stderr goes into the error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = output(command.stdin(Stdio::null()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Like [`run`], with `input` on stdin: the way for secrets, which no argument may hold.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    let what = describe(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let io = |source| Error::Io { doing: format!("running {what}"), source };
    let mut child = command.spawn().map_err(io)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading is judged by its status below, not by a broken pipe.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(io)?;
    check(&what, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program to its end, whatever its status, and returns all it said.
pub fn attempt(command: &mut Command) -> Result<Output> {
    let what = describe(command);
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Io { doing: format!("running {what}"), source })
}

fn output(command: &mut Command) -> Result<Output> {
    let what = describe(command);
    let output = command.output().map_err(|source| Error::Io { doing: format!("running {what}"), source })?;
    check(&what, &output)?;
    Ok(output)
}

fn check(what: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let both =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Error::Program { what: what.to_owned(), status: output.status.to_string(), output: tail(&both, 60) })
}

/// The command line, for messages.
pub fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// A long-running child that dies with us: killed on drop, and by the kernel when this process ends.
pub struct Daemon {
    child: Child,
    what: String,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program` with its output in `log`.
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let out = File::create(log).doing("creating", log)?;
        let err = out.try_clone().doing("sharing", log)?;
        // setpriv sets PR_SET_PDEATHSIG between fork and exec, which safe Rust cannot.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        command.env("TS_NO_LOGS_NO_SUPPORT", "true");
        let what = program.display().to_string();
        let doing = format!("starting {what}");
        let child = spawn_for_long(command).map_err(|source| Error::Io { doing, source })?;
        Ok(Self { child, what, log: log.to_path_buf() })
    }

    /// The error that says how it ended, if it has.
    pub fn ended(&mut self) -> Option<Error> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(Error::Program { what: self.what.clone(), status: status.to_string(), output: self.log_tail() })
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(Error::Timeout {
            what: format!("{} to end", self.what),
            seconds: limit.as_secs(),
            tail: self.log_tail(),
        })
    }

    /// Lets it live on after this process: for a guest that the user asked to keep.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn log_tail(&self) -> String {
        tail(&std::fs::read_to_string(&self.log).unwrap_or_default(), 30)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Job = (Command, Sender<std::io::Result<Child>>);

/// The kernel sends a child its death signal when the *thread* that started it ends (prctl(2)),
/// so one thread that lives as long as the process starts them all.
fn spawn_for_long(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = channel();
    let gone = || std::io::Error::other("the thread that starts programs is gone");
    spawner.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stderr_is_in_the_error() {
        let error = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn a_dropped_daemon_is_dead() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let daemon = Daemon::start(Path::new("sleep"), &["60".into()], log.path()).unwrap();
        let pid = daemon.pid();
        drop(daemon);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
