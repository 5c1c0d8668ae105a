//! The kernel command line: words, `key=value`, quotes as the kernel reads them.

use landfall_hosts::paths::cmdline as key;

/// What `/init` is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Install from the medium.
    Install,
    /// Start a host's layers from the medium without touching a disk.
    Try,
    /// Start a generation of an installed machine.
    Boot,
}

impl Mode {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Try => "try",
            Self::Boot => "boot",
        }
    }
}

/// The parsed command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cmdline {
    words: Vec<(String, Option<String>)>,
}

impl Cmdline {
    /// Splits at blanks outside double quotes; a quote around a value or a whole word goes away
    /// (kernel, `lib/cmdline.c`, `next_arg`).
    pub fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut quoted = false;
        for c in text.chars() {
            match c {
                '"' => quoted = !quoted,
                c if c.is_whitespace() && !quoted => push(&mut words, &mut word),
                c => word.push(c),
            }
        }
        push(&mut words, &mut word);
        Self { words }
    }

    /// The last value given for `key`; an empty one counts as none.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.words
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .and_then(|(_, value)| value.as_deref())
            .filter(|value| !value.is_empty())
    }

    /// Whether `key=1`, `key=yes` or the bare word stands there.
    pub fn flag(&self, key: &str) -> bool {
        match self.words.iter().rev().find(|(name, _)| name == key) {
            Some((_, Some(value))) => matches!(value.as_str(), "1" | "yes" | "true" | "on"),
            Some((_, None)) => true,
            None => false,
        }
    }

    /// The mode: as said; else a machine's data partition means boot, and all else install.
    pub fn mode(&self) -> Mode {
        match self.get(key::MODE) {
            Some("boot") => Mode::Boot,
            Some("try") => Mode::Try,
            Some("install") => Mode::Install,
            _ if self.get(key::DATA).is_some() => Mode::Boot,
            _ => Mode::Install,
        }
    }

    /// `landfall.host=`.
    pub fn host(&self) -> Option<&str> {
        self.get(key::HOST)
    }

    /// `landfall.unattended=1`.
    pub fn unattended(&self) -> bool {
        self.flag(key::UNATTENDED)
    }

    /// `landfall.generation=`.
    pub fn generation(&self) -> Option<u64> {
        self.get(key::GENERATION)?.parse().ok()
    }

    /// `landfall.tries=`: what GRUB counted.
    pub fn tries(&self) -> Option<&str> {
        self.get(key::TRIES)
    }

    /// `landfall.data=`, in lower case.
    pub fn data(&self) -> Option<String> {
        self.get(key::DATA).map(str::to_ascii_lowercase)
    }

    /// `landfall.medium=`: the medium's disk GUID, in lower case.
    pub fn medium(&self) -> Option<String> {
        self.get("landfall.medium").map(str::to_ascii_lowercase)
    }

    /// `landfall.after=poweroff`: power off where a restart would come.
    pub fn power_off_after(&self) -> bool {
        self.get("landfall.after") == Some("poweroff")
    }
}

fn push(words: &mut Vec<(String, Option<String>)>, word: &mut String) {
    if word.is_empty() {
        return;
    }
    let taken = std::mem::take(word);
    words.push(match taken.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (taken, None),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_wins_and_quotes_go_away() {
        let line = Cmdline::parse(
            "BOOT_IMAGE=/x quiet landfall.host=a landfall.host=\"b c\" \"dyndbg=file x +p\"\n",
        );
        assert_eq!(line.host(), Some("b c"));
        assert_eq!(line.get("dyndbg"), Some("file x +p"));
        assert!(line.flag("quiet"));
        assert!(!line.flag("splash"));
    }

    #[test]
    fn modes() {
        let mode = |text| Cmdline::parse(text).mode();
        assert_eq!(mode("landfall.mode=boot"), Mode::Boot);
        assert_eq!(mode("landfall.mode=try landfall.data=x"), Mode::Try);
        assert_eq!(mode("landfall.data=x"), Mode::Boot);
        assert_eq!(mode("landfall.mode=nonsense"), Mode::Install);
        assert_eq!(mode(""), Mode::Install);
    }

    #[test]
    fn hostile_lines_do_no_harm() {
        for text in ["\"", "=", "==", "=x", "a=\"", "\0", "landfall.generation=-1", "   "] {
            let line = Cmdline::parse(text);
            assert_eq!(line.generation(), None, "{text:?}");
            assert_eq!(line.host(), None, "{text:?}");
        }
    }
}
