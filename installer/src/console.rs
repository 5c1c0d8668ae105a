//! Consoles: plain lines on every one of them, in the kernel's log, and kept for the report.

use crate::roots::Roots;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a console can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A screen: bars can be redrawn in place.
    Screen,
    /// A line: whole lines only.
    Serial,
}

/// One console that the kernel writes to.
#[derive(Debug)]
pub struct Console {
    /// The kernel's name for it: `tty0`, `ttyS0`.
    pub name: String,
    /// What it can show.
    pub kind: Kind,
    path: PathBuf,
    file: Mutex<Arc<File>>,
}

impl Console {
    /// Open for reading and writing.
    pub fn file(&self) -> Arc<File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens it again: when a shell that had it as its controlling terminal ends, the kernel hangs
    /// up every open file of the terminal, ours too.
    pub fn reopen(&self) {
        if let Some(file) = open_file(&self.path) {
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
        }
    }

    /// A line on this console alone.
    pub fn print(&self, line: &str) {
        // A console that is gone must not stop an installation.
        let _ = (&*self.file()).write_all(format!("{line}\r\n").as_bytes());
    }
}

/// All consoles, the kernel's log, and the lines so far.
#[derive(Debug, Clone)]
pub struct Consoles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    consoles: Vec<Console>,
    kmsg: Option<File>,
    lines: Mutex<Vec<String>>,
    /// Lines wait here while a bar owns the screens.
    screens: Mutex<Option<Box<dyn ScreenLine>>>,
}

/// Prints a line above whatever a screen shows now.
pub trait ScreenLine: Send {
    /// The line, without its newline.
    fn line(&self, line: &str);
}

impl fmt::Debug for dyn ScreenLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScreenLine")
    }
}

impl Consoles {
    /// Opens every console of `sys/class/tty/console/active`; one that does not open is left out
    /// (a serial port on the command line need not exist).
    pub fn open(roots: &Roots) -> Self {
        let active = roots.sys.join("class/tty/console/active");
        let active = std::fs::read_to_string(active).unwrap_or_default();
        let consoles = names(&active).filter_map(|name| open_one(&roots.dev, name)).collect();
        let kmsg = OpenOptions::new().write(true).open(roots.dev.join("kmsg"));
        Self {
            shared: Arc::new(Shared {
                consoles,
                kmsg: kmsg.ok(),
                lines: Mutex::new(Vec::new()),
                screens: Mutex::new(None),
            }),
        }
    }

    /// The consoles, for prompts.
    pub fn list(&self) -> &[Console] {
        &self.shared.consoles
    }

    /// One or more lines for people and for the report.
    pub fn say(&self, text: impl AsRef<str>) {
        for line in text.as_ref().lines() {
            self.shared.lines().push(line.to_owned());
            self.to_kernel_log(line);
            self.print(line);
        }
    }

    /// Lines that stay out of the log: menus.
    pub fn print(&self, text: &str) {
        for line in text.lines() {
            let screens = self.shared.screens.lock();
            let screens = screens.unwrap_or_else(PoisonError::into_inner);
            if let Some(owner) = screens.as_ref() {
                owner.line(line);
            }
            for console in &self.shared.consoles {
                if console.kind == Kind::Serial || screens.is_none() {
                    console.print(line);
                }
            }
        }
    }

    /// A line for serial consoles and the log alone, where a screen shows a bar.
    pub fn progress_line(&self, line: &str) {
        self.to_kernel_log(line);
        for console in &self.shared.consoles {
            if console.kind == Kind::Serial {
                console.print(line);
            }
        }
    }

    /// Hands the screens to a bar, or takes them back with `None`.
    pub fn set_screen_owner(&self, owner: Option<Box<dyn ScreenLine>>) {
        let mut screens = self.shared.screens.lock().unwrap_or_else(PoisonError::into_inner);
        *screens = owner;
    }

    /// A single line that tests and scripts look for: `LANDFALL <WORD> key=value…`.
    pub fn sentinel(&self, word: &str, fields: &[(&str, &str)]) {
        let mut line = format!("LANDFALL {word}");
        for (key, value) in fields {
            let value = value.replace([' ', '\n', '\r'], "_");
            let _ = write!(line, " {key}={value}");
        }
        self.say(line);
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.shared.lines().clone()
    }

    fn to_kernel_log(&self, line: &str) {
        if let Some(kmsg) = &self.shared.kmsg {
            // Level 7: kept by the kernel for the journal, not printed to the consoles again.
            let _ = (&*kmsg).write_all(format!("<15>landfall: {line}\n").as_bytes());
        }
    }
}

impl Shared {
    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn names(active: &str) -> impl Iterator<Item = &str> {
    active.split_whitespace().filter(|name| !name.contains('/') && !name.starts_with('.'))
}

fn open_one(dev: &Path, name: &str) -> Option<Console> {
    let path = dev.join(name);
    let file = Mutex::new(Arc::new(open_file(&path)?));
    Some(Console { name: name.to_owned(), kind: kind(name), path, file })
}

fn open_file(path: &Path) -> Option<File> {
    // Without O_NONBLOCK a serial line without carrier holds the open for ever.
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).ok()?)
        .open(path)
        .ok()?;
    let now = fcntl_getfl(&file).ok()?;
    fcntl_setfl(&file, now - OFlags::NONBLOCK).ok()?;
    Some(file)
}

/// Virtual terminals are `tty` and a number; `ttyS0`, `hvc0`, `ttyAMA0` are lines.
fn kind(name: &str) -> Kind {
    let number = name.strip_prefix("tty").unwrap_or("x");
    if number.bytes().all(|byte| byte.is_ascii_digit()) { Kind::Screen } else { Kind::Serial }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_and_lines() {
        assert_eq!(kind("tty0"), Kind::Screen);
        assert_eq!(kind("ttyS0"), Kind::Serial);
        assert_eq!(kind("hvc0"), Kind::Serial);
        let listed: Vec<_> = names("tty0 ttyS0\n../x\n").collect();
        assert_eq!(listed, ["tty0", "ttyS0"]);
    }

    #[test]
    fn a_machine_without_consoles_keeps_the_lines() {
        let folder = std::env::temp_dir().join("landfall-no-such-folder");
        let consoles = Consoles::open(&Roots::under(&folder));
        consoles.say("one\ntwo");
        consoles.sentinel("REFUSED", &[("reason", "a b")]);
        assert_eq!(consoles.lines(), ["one", "two", "LANDFALL REFUSED reason=a_b"]);
    }
}
