//! Running a program of the tools root without entering it: through the root's own dynamic loader
//! and libraries. Enough for programs that work on files they are told of, and needs no privilege.

use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::error::{MediaError, Result};
use super::initrd::{BIN, LIB};
use super::trees::Trees;

/// The dynamic loader's place in every amd64 root (System V ABI, AMD64 supplement).
const LOADER: [&str; 2] = ["usr/lib64/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2"];
/// How much of a program's last words an error repeats.
const TAIL_BYTES: u64 = 2000;

/// A program of the tools root, ready to be given arguments.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    command: Command,
    log: std::fs::File,
}

impl Tool {
    /// Finds `name`, of the package `package`; it starts with a clean environment.
    pub(crate) fn find(tools: &Trees, name: &'static str, package: &str) -> Result<Self> {
        let missing = |what: &str, package: &str| {
            MediaError::missing(
                format!("{what} in the tools root"),
                format!("its package {package} is not locked; run: landfall lock --update"),
            )
        };
        let program =
            tools.find_any(BIN.map(|dir| format!("{dir}/{name}"))).ok_or_else(|| missing(name, package))?;
        let loader = tools.find_any(LOADER).ok_or_else(|| missing("the dynamic loader", "libc6"))?;
        let libraries: Vec<_> = LIB.iter().filter_map(|dir| tools.find(dir)).collect();
        let libraries = std::env::join_paths(libraries)
            .map_err(|error| MediaError::bad("the tools root's path", error.to_string()))?;
        let log = tempfile::tempfile().map_err(MediaError::io(format!("making {name}'s log")))?;
        let mut command = Command::new(loader);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .arg("--library-path")
            .arg(libraries)
            .arg(program);
        Ok(Self { name, command, log })
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command.args(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Runs it and returns its standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let mut child = self.spawn(Stdio::null(), Stdio::piped())?;
        let mut text = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            stdout
                .read_to_string(&mut text)
                .map_err(MediaError::io(format!("reading what {} says", self.name)))?;
        }
        self.end(child)?;
        Ok(text)
    }

    /// Runs it and writes its standard input with `feed`.
    ///
    /// A program that stops reading breaks the pipe: then what it said is the error that counts.
    pub(crate) fn feed(mut self, feed: impl FnOnce(&mut dyn io::Write) -> Result<()>) -> Result<()> {
        let log = self.clone_log()?;
        let mut child = self.spawn(Stdio::piped(), Stdio::from(log))?;
        let fed = match child.stdin.take() {
            Some(mut stdin) => feed(&mut stdin),
            None => Ok(()),
        };
        if fed.is_err() && !broken_pipe(&fed) {
            // The program would wait for the rest of its input, or take half of it for the whole.
            let _ = child.kill();
            let _ = child.wait();
            return fed;
        }
        self.end(child)?;
        fed
    }

    fn clone_log(&self) -> Result<std::fs::File> {
        self.log.try_clone().map_err(MediaError::io(format!("opening {}'s log", self.name)))
    }

    fn spawn(&mut self, stdin: Stdio, stdout: Stdio) -> Result<Child> {
        let log = self.clone_log()?;
        self.command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(log)
            .spawn()
            .map_err(MediaError::io(format!("starting {}", self.name)))
    }

    fn end(mut self, mut child: Child) -> Result<()> {
        let status = child.wait().map_err(MediaError::io(format!("waiting for {}", self.name)))?;
        if status.success() {
            return Ok(());
        }
        let len = self.log.seek(SeekFrom::End(0)).unwrap_or(0);
        let mut tail = Vec::new();
        let _ = self.log.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)));
        let _ = self.log.read_to_end(&mut tail);
        Err(MediaError::Tool {
            program: self.name.to_owned(),
            status: status.to_string(),
            tail: String::from_utf8_lossy(&tail).trim().to_owned(),
        })
    }
}

fn broken_pipe(result: &Result<()>) -> bool {
    matches!(result, Err(MediaError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe)
}

/// Path of a configuration file of the tools root.
pub(crate) fn config(tools: &Trees, path: &str, package: &str) -> Result<std::path::PathBuf> {
    tools.find(Path::new(path)).ok_or_else(|| {
        MediaError::missing(
            format!("/{path} in the tools root"),
            format!("its package {package} is not locked; run: landfall lock --update"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This computer's own root serves as the tools root, where it is laid out like Debian's.
    fn shell() -> Option<Tool> {
        Tool::find(&Trees::new(vec!["/".into()]), "sh", "dash").ok()
    }

    #[test]
    fn what_a_program_says_is_returned_or_in_the_error() {
        let Some(tool) = shell() else { return };
        let text = tool.args(["-c", "echo $LC_ALL $HOME"]).output().unwrap();
        assert_eq!(text, "C\n");
        let Some(tool) = shell() else { return };
        let error = tool.args(["-c", "echo so bad >&2; exit 3"]).output().unwrap_err().to_string();
        assert!(error.contains("so bad") && error.contains("3"), "{error}");
    }

    #[test]
    fn a_program_that_stops_reading_is_the_error_and_not_the_pipe() {
        let Some(tool) = shell() else { return };
        let fed = tool.args(["-c", "echo full >&2; exit 1"]).feed(|out| {
            let chunk = [0u8; 65536];
            (0..100).try_for_each(|_| out.write_all(&chunk)).map_err(MediaError::io("feeding"))
        });
        let error = fed.unwrap_err().to_string();
        assert!(error.contains("full"), "{error}");
    }

    #[test]
    fn an_error_while_feeding_stops_the_program() {
        let Some(tool) = shell() else { return };
        let fed = tool
            .args(["-c", "while read x; do :; done; sleep 60"])
            .feed(|_| Err(MediaError::bad("a layer", "its hash is wrong")));
        assert!(fed.unwrap_err().to_string().contains("its hash is wrong"));
    }
}
