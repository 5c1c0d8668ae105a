//! The one place where programs are run: each by its registered name, with a clean environment, a
//! time limit, and what it said on stderr in the error. Secrets go in by stdin, or as files of a
//! filesystem in memory.

use crate::error::{Error, Result};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Where Debian's programs are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest answer of a program that is kept.
const OUTPUT_LIMIT_BYTES: u64 = 4 * 1024 * 1024;
/// How much of the end of stderr goes into an error.
const STDERR_TAIL_CHARS: usize = 600;
/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Every program that is run on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Seals and unseals the identity: `systemd-creds(1)`.
    SystemdCreds,
    /// Asks and tells the service manager: `systemctl(1)`.
    Systemctl,
    /// Boot times: `systemd-analyze(1)`.
    SystemdAnalyze,
    /// Makes ssh host keys: `ssh-keygen(1)`.
    SshKeygen,
    /// The tailnet's client.
    Tailscale,
    /// Tells NetworkManager that keyfiles changed: `nmcli(1)`.
    Nmcli,
    /// A bus for `dconf` where no session runs: `dbus-run-session(1)`.
    DbusRunSession,
    /// Reads a disk's key slots: `cryptsetup(8)`.
    Cryptsetup,
    /// Makes and takes away key slots: `systemd-cryptenroll(1)`.
    SystemdCryptenroll,
    /// This program itself, as a user.
    Ourselves,
}

impl Tool {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SystemdCreds => "systemd-creds",
            Self::Systemctl => "systemctl",
            Self::SystemdAnalyze => "systemd-analyze",
            Self::SshKeygen => "ssh-keygen",
            Self::Tailscale => "tailscale",
            Self::Nmcli => "nmcli",
            Self::DbusRunSession => "dbus-run-session",
            Self::Cryptsetup => "cryptsetup",
            Self::SystemdCryptenroll => "systemd-cryptenroll",
            Self::Ourselves => "landfall-machine",
        }
    }
}

/// A user to run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsUser {
    /// Uid.
    pub uid: u32,
    /// Gid; no further groups.
    pub gid: u32,
    /// `$HOME`.
    pub home: String,
}

/// One run of a program.
#[derive(Debug)]
pub struct Call<'a> {
    /// Which.
    pub tool: Tool,
    /// Its arguments; never a secret.
    pub args: Vec<&'a str>,
    /// What it reads.
    pub stdin: Option<&'a [u8]>,
    /// As whom; root else.
    pub user: Option<AsUser>,
    /// How long it may take.
    pub limit: Duration,
    /// A folder of credentials (systemd.exec(5), `$CREDENTIALS_DIRECTORY`).
    pub credentials: Option<PathBuf>,
}

impl<'a> Call<'a> {
    /// A call with nothing on stdin and a minute to end.
    pub fn new(tool: Tool, args: &[&'a str]) -> Self {
        let limit = Duration::from_secs(60);
        Self { tool, args: args.to_vec(), stdin: None, user: None, limit, credentials: None }
    }

    /// With something to read.
    pub fn stdin(mut self, bytes: &'a [u8]) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// As a user.
    pub fn user(mut self, user: AsUser) -> Self {
        self.user = Some(user);
        self
    }

    /// With credentials.
    pub fn credentials(mut self, folder: PathBuf) -> Self {
        self.credentials = Some(folder);
        self
    }

    /// With another limit.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// How a program ended.
#[derive(Debug, Default)]
pub struct Finished {
    /// Exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote; wiped when dropped, for it may be a secret.
    pub stdout: Zeroizing<Vec<u8>>,
    /// The end of what it complained of.
    pub stderr: String,
}

impl Finished {
    /// The answer of a run that succeeded, else an error with the program's own words.
    pub fn success(self, tool: Tool, doing: &str) -> Result<Zeroizing<Vec<u8>>> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        let ended = match self.code {
            Some(code) => format!("ended with status {code}"),
            None => "was ended by a signal".into(),
        };
        let said = self.stderr.trim();
        Err(Error::Program {
            doing: doing.into(),
            program: tool.name(),
            how: if said.is_empty() { ended } else { format!("{ended}: {said}") },
        })
    }

    /// The answer as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs programs; tests answer in their place.
pub trait Commands {
    /// Runs one to its end; an error when it cannot be started or takes too long.
    fn run(&self, call: &Call) -> Result<Finished>;
    /// True when the program is there.
    fn has(&self, tool: Tool) -> bool;

    /// Runs one that must succeed.
    fn check(&self, call: &Call, doing: &str) -> Result<Zeroizing<Vec<u8>>> {
        self.run(call)?.success(call.tool, doing)
    }
}

/// The machine's own programs.
#[derive(Debug, Default)]
pub struct SystemCommands;

impl Commands for SystemCommands {
    fn run(&self, call: &Call) -> Result<Finished> {
        let child = start(call).map_err(|source| Error::Program {
            doing: format!("starting {}", call.tool.name()),
            program: call.tool.name(),
            how: format!("cannot be started: {source}"),
        })?;
        attend(child, call)
    }

    fn has(&self, tool: Tool) -> bool {
        PATH.split(':').any(|folder| std::path::Path::new(folder).join(tool.name()).exists())
    }
}

fn start(call: &Call) -> std::io::Result<Child> {
    let mut command = match call.tool {
        Tool::Ourselves => Command::new(std::env::current_exe()?),
        tool => Command::new(tool.name()),
    };
    command
        .args(&call.args)
        // A group of its own, so that a limit ends its children too.
        .process_group(0)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .envs(call.credentials.as_ref().map(|folder| ("CREDENTIALS_DIRECTORY", folder)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(user) = &call.user {
        // std drops all further groups when a uid is given to a process of root.
        command.uid(user.uid).gid(user.gid);
        command.env("HOME", &user.home).current_dir("/");
    } else {
        command.env("HOME", "/root");
    }
    command.spawn()
}

/// Feeds and reads on threads of their own, so that no full pipe can hold the program up.
fn attend(mut child: Child, call: &Call) -> Result<Finished> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let deadline = Instant::now() + call.limit;
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            if let (Some(mut pipe), Some(bytes)) = (stdin, call.stdin) {
                // A program that does not want it all closes its end; its status decides.
                let _ = pipe.write_all(bytes);
            }
        });
        let out = scope.spawn(move || collect(stdout));
        let err = scope.spawn(move || collect(stderr));
        let waited = wait(&mut child, deadline);
        if waited.is_err() {
            end_group(&child);
            let _ = child.wait();
        }
        let _ = writer.join();
        let stdout = out.join().unwrap_or_default();
        let stderr = tail(&err.join().unwrap_or_default());
        let code = waited.map_err(|how| Error::Program {
            doing: format!("waiting for {}", call.tool.name()),
            program: call.tool.name(),
            how,
        })?;
        Ok(Finished { code, stdout, stderr })
    })
}

fn wait(child: &mut Child, deadline: Instant) -> std::result::Result<Option<i32>, String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.code()),
            Ok(None) if Instant::now() >= deadline => {
                return Err("took too long and was ended".into());
            }
            Ok(None) => thread::sleep(POLL),
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

fn end_group(child: &Child) {
    let id = i32::try_from(child.id()).ok();
    if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

fn collect(pipe: Option<impl Read>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    if let Some(pipe) = pipe {
        let _ = pipe.take(OUTPUT_LIMIT_BYTES).read_to_end(&mut bytes);
    }
    bytes
}

fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(STDERR_TAIL_CHARS);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
pub mod fake {
    //! Programs that answer what a test says.

    use super::*;
    use std::cell::RefCell;

    /// An answer to a call with these words in it.
    pub type Answer = Box<dyn Fn(&Call) -> Option<Finished>>;

    /// Records every call, and answers by the first rule that takes it.
    #[derive(Default)]
    pub struct FakeCommands {
        /// `tool arg arg`.
        pub calls: RefCell<Vec<String>>,
        /// In order.
        pub answers: Vec<Answer>,
    }

    impl FakeCommands {
        /// Answers calls whose line begins with `start`.
        pub fn answer(mut self, start: &'static str, code: i32, stdout: &'static str) -> Self {
            self.answers.push(Box::new(move |call| {
                line(call).starts_with(start).then(|| finished(code, stdout, ""))
            }));
            self
        }

        /// True when some call begins with `start`.
        pub fn called(&self, start: &str) -> bool {
            self.calls.borrow().iter().any(|call| call.starts_with(start))
        }
    }

    /// A run's end.
    pub fn finished(code: i32, stdout: &str, stderr: &str) -> Finished {
        Finished {
            code: Some(code),
            stdout: Zeroizing::new(stdout.as_bytes().to_vec()),
            stderr: stderr.into(),
        }
    }

    fn line(call: &Call) -> String {
        format!("{} {}", call.tool.name(), call.args.join(" "))
    }

    impl Commands for FakeCommands {
        fn run(&self, call: &Call) -> Result<Finished> {
            self.calls.borrow_mut().push(line(call));
            let answer = self.answers.iter().find_map(|answer| answer(call));
            answer.ok_or_else(|| Error::Program {
                doing: "starting a program".into(),
                program: call.tool.name(),
                how: "cannot be started: not there".into(),
            })
        }

        fn has(&self, tool: Tool) -> bool {
            self.answers.iter().any(|answer| answer(&Call::new(tool, &[])).is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_programs_own_words() {
        let finished = fake::finished(3, "", "no such key\n");
        let error = finished.success(Tool::Systemctl, "asking").unwrap_err();
        assert_eq!(error.to_string(), "asking: systemctl ended with status 3: no such key");
    }

    #[test]
    fn the_tail_of_a_long_complaint_is_kept() {
        let long = "x".repeat(5000) + "end";
        let tail = tail(long.as_bytes());
        assert!(tail.ends_with("end") && tail.len() == STDERR_TAIL_CHARS);
    }
}
