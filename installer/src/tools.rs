//! The few programs of the initrd. Every one runs through here, so that what it said is in the
//! error.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where an initrd has its programs.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// How much of a program's output an error repeats.
const TAIL_LINES: usize = 6;

/// Where the program is, if the initrd has it.
pub fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.exists())
}

/// What a program said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit status; none where a signal ended it.
    pub code: Option<i32>,
    /// Both streams.
    pub output: String,
}

/// Runs a program to its end and takes its output; the caller judges the exit status.
pub fn run(name: &str, arguments: &[&str]) -> Result<Ended> {
    run_with(name, arguments, Secrets::default())
}

/// What a program gets that stands in no argument and no environment.
#[derive(Default)]
pub struct Secrets<'a> {
    /// What it reads; nothing, where there is none.
    pub stdin: Option<Stdio>,
    /// A folder of credentials (systemd.exec(5), `$CREDENTIALS_DIRECTORY`).
    pub credentials: Option<&'a Path>,
}

/// Runs a program to its end with something secret.
pub fn run_with(name: &str, arguments: &[&str], secrets: Secrets<'_>) -> Result<Ended> {
    let program = find(name).ok_or_else(|| Error::Program {
        program: name.to_owned(),
        why: "this initrd does not carry it; build the medium again".to_owned(),
    })?;
    let output: Output = Command::new(program)
        .args(arguments)
        .env("PATH", FOLDERS.join(":"))
        .envs(secrets.credentials.map(|folder| ("CREDENTIALS_DIRECTORY", folder)))
        .stdin(secrets.stdin.unwrap_or_else(Stdio::null))
        .output()
        .map_err(Error::io(format!("running {name}")))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Ended { code: output.status.code(), output: text })
}

/// Runs a program that must end with 0.
pub fn must(name: &str, arguments: &[&str]) -> Result<String> {
    let ended = run(name, arguments)?;
    match ended.code {
        Some(0) => Ok(ended.output),
        code => Err(Error::Program {
            program: format!("{name} {}", arguments.join(" ")),
            why: format!(
                "{}; it said: {}",
                code.map_or("a signal ended it".to_owned(), |code| format!("exit status {code}")),
                tail(&ended.output)
            ),
        }),
    }
}

/// The last lines on one line.
pub fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).copied().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_repeats_what_was_said() {
        let error = must("sh", &["-c", "echo one; echo two >&2; exit 3"]).unwrap_err().chain();
        assert!(error.contains("exit status 3"), "{error}");
        assert!(error.contains("one | two"), "{error}");
        assert!(must("no-such-program", &[]).unwrap_err().chain().contains("does not carry"));
    }
}
