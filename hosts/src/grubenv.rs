//! GRUB's environment block: where a machine that starts by BIOS counts the tries of its entries.
//!
//! The format is GRUB's own (`grub-core/lib/envblk.c`): 1024 bytes, a signature line, `NAME=VALUE` lines with
//! `\` before a backslash or a line's end, and `#` up to the end. GRUB writes into the file's blocks, so it never
//! changes its size.

use std::collections::BTreeMap;

/// Bytes of the file, always.
pub const SIZE: usize = 1024;
/// The first line.
const SIGNATURE: &str = "# GRUB Environment Block\n";
/// How the variables of our entries begin; the generation's number follows.
const TRIES: &str = "landfall_tries_";

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// It was healthy once, and is not counted any more.
    Good,
    /// So many tries are left.
    Left(u8),
    /// It was started although none was left: every entry had failed.
    Past,
}

impl Tries {
    /// The variable's value.
    pub fn word(self) -> String {
        match self {
            Self::Good => "good".into(),
            Self::Left(left) => left.to_string(),
            Self::Past => "past".into(),
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word {
            "good" => Some(Self::Good),
            "past" => Some(Self::Past),
            digit if digit.len() == 1 => digit.parse().ok().map(Self::Left),
            _ => None,
        }
    }

    /// Whether GRUB starts it while another entry has failed.
    pub fn can_start(self) -> bool {
        !matches!(self, Self::Left(0) | Self::Past)
    }
}

/// Name of the variable of a generation.
pub fn variable(generation: u64) -> String {
    format!("{TRIES}{generation}")
}

/// The variables of an environment block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrubEnv(BTreeMap<String, String>);

impl GrubEnv {
    /// Reads a block; none if it is not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut rest = text.strip_prefix(SIGNATURE)?;
        let mut found = BTreeMap::new();
        while let Some((line, after)) = line(rest) {
            rest = after;
            if let Some((name, value)) = line.split_once('=')
                && !name.starts_with('#')
            {
                found.insert(name.to_owned(), value.to_owned());
            }
        }
        Some(Self(found))
    }

    /// The block of these variables; none if they do not fit.
    pub fn render(&self) -> Option<Vec<u8>> {
        let mut text = SIGNATURE.to_owned();
        for (name, value) in &self.0 {
            let value = value.replace('\\', "\\\\").replace('\n', "\\\n");
            text.push_str(&format!("{name}={value}\n"));
        }
        let mut bytes = text.into_bytes();
        if bytes.len() > SIZE {
            return None;
        }
        bytes.resize(SIZE, b'#');
        Some(bytes)
    }

    /// How a generation's entry stands; none if it is not known or nonsense.
    pub fn tries(&self, generation: u64) -> Option<Tries> {
        Tries::parse(self.0.get(&variable(generation))?)
    }

    /// Sets how a generation's entry stands.
    pub fn set_tries(&mut self, generation: u64, tries: Tries) {
        self.0.insert(variable(generation), tries.word());
    }

    /// The generations that have an entry.
    pub fn generations(&self) -> impl Iterator<Item = u64> {
        self.0.keys().filter_map(|name| name.strip_prefix(TRIES)?.parse().ok())
    }
}

/// The first line, unescaped, and what follows it; none where no line ends any more.
fn line(text: &str) -> Option<(String, &str)> {
    let mut line = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => line.push(chars.next()?.1),
            '\n' => return Some((line, text.get(at + 1..)?)),
            _ => line.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_with_what_others_put_there() {
        let mut bytes =
            format!("{SIGNATURE}# a comment\nsaved_entry=a\\\\b\nlandfall_tries_2=0\n").into_bytes();
        bytes.resize(SIZE, b'#');
        let mut env = GrubEnv::parse(&bytes).unwrap();
        assert_eq!((env.tries(2), env.tries(1)), (Some(Tries::Left(0)), None));
        env.set_tries(1, Tries::Left(3));
        env.set_tries(2, Tries::Good);
        let bytes = env.render().unwrap();
        assert_eq!(bytes.len(), SIZE);
        let again = GrubEnv::parse(&bytes).unwrap();
        assert_eq!(again, env);
        assert_eq!(again.generations().collect::<Vec<_>>(), [1, 2]);
        assert!(String::from_utf8_lossy(&bytes).contains("saved_entry=a\\\\b\n"));
    }

    #[test]
    fn what_is_no_block_is_none_and_nonsense_is_no_count() {
        for bytes in [&b""[..], b"landfall_tries_1=3\n", b"\xff\xfe", b"# GRUB Environment"] {
            assert_eq!(GrubEnv::parse(bytes), None);
        }
        let text = format!("{SIGNATURE}landfall_tries_1=\nlandfall_tries_x=3\nlandfall_tries_3=12\n\\");
        let env = GrubEnv::parse(text.as_bytes()).unwrap();
        assert_eq!((env.tries(1), env.tries(3)), (None, None));
        assert_eq!(env.generations().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        let mut env = GrubEnv::default();
        (0..100).for_each(|generation| env.set_tries(generation, Tries::Good));
        assert_eq!(env.render(), None);
    }

    #[test]
    fn an_entry_that_failed_or_is_past_its_tries_starts_only_where_all_have() {
        assert!(Tries::Good.can_start() && Tries::Left(1).can_start());
        assert!(!Tries::Left(0).can_start() && !Tries::Past.can_start());
    }
}
