//! Lines on every console that the kernel writes to: for the person at the screen, and for whoever
//! watches the serial line.

use crate::files;
use crate::roots::Roots;
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

/// Where lines for people go.
pub trait Console {
    /// Prints one line; must not fail and must not wait.
    fn line(&self, text: &str);
}

/// Every active console of the machine, and the journal.
pub struct AllConsoles {
    roots: Roots,
}

impl AllConsoles {
    /// The consoles of this machine.
    pub fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone() }
    }
}

impl Console for AllConsoles {
    fn line(&self, text: &str) {
        say(text);
        let active = files::read_kernel(&self.roots.sys("class/tty/console/active"));
        for name in names(&active) {
            let mut options = OpenOptions::new();
            // A serial line with nobody at its end must not hold us up.
            let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
            options.write(true).custom_flags(flags.bits() as i32);
            if let Ok(mut terminal) = options.open(self.roots.dev(name)) {
                // In one write, so that the kernel's own lines do not come between; from the first
                // column, for a login prompt may stand there.
                let _ = terminal.write_all(format!("\r{text}\n").as_bytes());
            }
        }
    }
}

/// Prints to stdout, which is the journal or a pipe that may be closed already.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// `/sys/class/tty/console/active` of the kernel's ABI documentation: names apart by blanks.
fn names(active: &str) -> impl Iterator<Item = &str> {
    let plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric());
    active.split_whitespace().filter(plain)
}

/// A sentinel: one line, `LANDFALL WORD key=value…`. Values with blanks are quoted.
pub fn sentinel(word: &str, pairs: &[(&str, &str)]) -> String {
    let mut line = format!("LANDFALL {word}");
    for (key, value) in pairs {
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if value.contains(' ') || value.is_empty() {
            line.push_str(&format!(" {key}=\"{}\"", value.replace('"', "'")));
        } else {
            line.push_str(&format!(" {key}={value}"));
        }
    }
    line
}

#[cfg(test)]
pub mod fake {
    //! A console that remembers.

    use std::cell::RefCell;

    /// Keeps every line.
    #[derive(Default)]
    pub struct Lines(pub RefCell<Vec<String>>);

    impl super::Console for Lines {
        fn line(&self, text: &str) {
            self.0.borrow_mut().push(text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_is_one_line_whatever_stands_in_it() {
        let line = sentinel("STEP", &[("name", "tailnet"), ("for", "a \"key\"\nLANDFALL X")]);
        assert_eq!(line, "LANDFALL STEP name=tailnet for=\"a 'key' LANDFALL X\"");
    }

    #[test]
    fn console_names_cannot_be_paths() {
        let all: Vec<_> = names("tty0 ttyS0\n../etc/passwd").collect();
        assert_eq!(all, ["tty0", "ttyS0"]);
    }
}
