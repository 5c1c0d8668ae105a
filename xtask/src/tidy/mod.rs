//! The house rules, as checks over the files that git tracks.

mod functions;
mod words;

use std::fmt;
use std::path::Path;
use std::process::Command;

/// Longest file that a reader is asked to hold.
const MAX_FILE_LINES: usize = 700;
/// Longest function, its signature and braces included.
const MAX_FUNCTION_LINES: usize = 60;
/// `main.rs` parses, logs, calls and exits.
const MAX_MAIN_LINES: usize = 40;
/// Files that must be there for a release to be whole.
const REQUIRED: &[&str] =
    &["Cargo.lock", ".ci/run", "README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// One broken rule.
pub struct Complaint {
    /// The file, from the workspace's top.
    pub file: String,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// Checks every tracked file under `root`.
pub fn check(root: &Path) -> Result<Vec<Complaint>, Box<dyn std::error::Error>> {
    let files = tracked(root)?;
    let words = words::forbidden(root);
    let mut complaints = required(&files);
    for file in &files {
        let Ok(bytes) = std::fs::read(root.join(file)) else {
            continue;
        };
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if file != "Cargo.lock" {
            complaints.extend(words::scan(file, &text, &words));
        }
        if file.ends_with(".rs") {
            complaints.extend(rust_file(file, &text));
        }
    }
    Ok(complaints)
}

fn tracked(root: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("listing the tracked files with git: {error}"))?;
    if !output.status.success() {
        return Err(format!("listing the tracked files: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn required(files: &[String]) -> Vec<Complaint> {
    let missing = REQUIRED.iter().filter(|name| !files.iter().any(|file| file == *name));
    missing
        .map(|name| Complaint { file: (*name).to_owned(), line: 0, text: "is not tracked: add it".into() })
        .collect()
}

fn rust_file(file: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain =
        |line: usize, text: String| complaints.push(Complaint { file: file.to_owned(), line, text });
    let lines = text.lines().count();
    if lines >= MAX_FILE_LINES {
        complain(lines, format!("{lines} lines: split the file below {MAX_FILE_LINES}"));
    }
    if file.ends_with("src/main.rs") && lines > MAX_MAIN_LINES {
        complain(lines, format!("main.rs has {lines} lines: move all but the call below {MAX_MAIN_LINES}"));
    }
    for function in functions::find(text) {
        if function.lines >= MAX_FUNCTION_LINES {
            let what =
                format!("fn {} has {} lines: below {MAX_FUNCTION_LINES}", function.name, function.lines);
            complain(function.line, what);
        }
    }
    let quarantined = file.contains("/sys/");
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#![allow(unsafe_code") && !quarantined {
            complain(index + 1, "unsafe code is allowed in sys/ folders alone: move it there".into());
        }
        if line.trim_start().starts_with("#[allow(unsafe_code") {
            complain(index + 1, "allow unsafe code for a whole file in sys/, never for one item".into());
        }
    }
    complaints
}
