//! A boot entry of type 1 as it stands on the ESP, and what its start is
//! (<https://uapi-group.org/specifications/specs/boot_loader_specification/>).

use crate::digest::Digest;
use crate::initrds::Initrds;
use crate::pe::{NotPe, authenticode};
use crate::predict::{Start, load_options};
use landfall_hosts::paths::cmdline;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The two programs before the kernel, by their place on the ESP: shim, and systemd-boot by the name that
/// shim loads.
pub const LOADER: [&str; 2] = ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi"];
/// Larger than any kernel; what is larger still is not read into memory.
const MOST_PROGRAM_BYTES: u64 = 256 << 20;

/// Why a boot entry's start cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The entry's text.
    #[error("the boot entry {why}")]
    Entry {
        /// What is wrong with it.
        why: String,
    },
    /// A file that it names.
    #[error("reading {}", path.display())]
    File {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program that it names.
    #[error("measuring {}", path.display())]
    Program {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NotPe,
    },
}

/// What a boot entry starts. Paths have no leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The kernel.
    pub linux: String,
    /// Initrds in order.
    pub initrds: Vec<String>,
    /// The command line; several lines are joined by a blank.
    pub options: String,
}

impl Entry {
    /// Parses an entry's text.
    ///
    /// # Errors
    /// If it names no kernel or no initrd, or a path that leaves the ESP.
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        let mut entry = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let value = value.trim();
            match key {
                "linux" => entry.linux = inside(value)?,
                "initrd" => entry.initrds.push(inside(value)?),
                "options" if entry.options.is_empty() => entry.options = value.to_owned(),
                "options" => entry.options = format!("{} {value}", entry.options),
                _ => {}
            }
        }
        if entry.linux.is_empty() || entry.initrds.is_empty() {
            return Err(EntryError::Entry { why: "names no kernel or no initrd".into() });
        }
        Ok(entry)
    }

    /// Whether its start opens the encrypted volume of that identity, and nothing in its place.
    ///
    /// A key must be sealed to no other entry: it would start a disk of somebody else's making, and
    /// what is on that could ask the TPM for this machine's key.
    pub fn is_bound_to(&self, volume: Digest) -> bool {
        let volume = volume.to_string();
        let wanted = [(cmdline::MODE, "boot"), (cmdline::ENCRYPTED, "1"), (cmdline::VOLUME, volume.as_str())];
        wanted.into_iter().all(|(key, value)| {
            let words = self.options.split_whitespace();
            let mut values = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            (values.next(), values.next()) == (Some(value), None)
        })
    }

    /// Its start, with all files as they are on the ESP that is mounted at `esp`.
    ///
    /// # Errors
    /// If a file cannot be read or is no EFI program where it must be one.
    pub fn start(&self, esp: &Path) -> Result<Start, EntryError> {
        let [shim, loader] = loader(esp)?;
        let mut initrds = Initrds::default();
        for path in &self.initrds {
            let path = esp.join(path);
            let read = File::open(&path).and_then(|file| initrds.add(file));
            read.map_err(|source| EntryError::File { path, source })?;
        }
        Ok(Start {
            programs: [shim, loader, program(&esp.join(&self.linux))?],
            options: load_options(&self.initrds, &self.options),
            initrds: initrds.finish(),
        })
    }
}

/// Authenticode hashes of shim and systemd-boot on the ESP that is mounted at `esp`.
///
/// # Errors
/// If one cannot be read.
pub fn loader(esp: &Path) -> Result<[Digest; 2], EntryError> {
    let [shim, loader] = LOADER.map(|path| program(&esp.join(path)));
    Ok([shim?, loader?])
}

fn program(path: &Path) -> Result<Digest, EntryError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_PROGRAM_BYTES).read_to_end(&mut bytes));
    read.map_err(|source| EntryError::File { path: path.to_owned(), source })?;
    authenticode(&bytes).map_err(|source| EntryError::Program { path: path.to_owned(), source })
}

fn inside(path: &str) -> Result<String, EntryError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.split('/').all(plain) {
        return Ok(path.to_owned());
    }
    Err(EntryError::Entry { why: format!("names a path that leaves the ESP: {path:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_systemd_boot_reads_it() {
        let text = "# ours\ntitle      vm\nlinux      /landfall/aa/vmlinuz\ninitrd\t/landfall/bb/microcode  \n\
                    initrd     /landfall/cc/initrd\noptions    quiet\noptions    panic=30\n";
        let entry = Entry::parse(text).unwrap();
        assert_eq!(entry.linux, "landfall/aa/vmlinuz");
        assert_eq!(entry.initrds, ["landfall/bb/microcode", "landfall/cc/initrd"]);
        assert_eq!(entry.options, "quiet panic=30");
    }

    #[test]
    fn an_entry_that_leaves_the_esp_or_starts_nothing_is_refused() {
        for bad in
            ["", "linux /a", "initrd /a", "linux /../etc\ninitrd /a", "linux /a\ninitrd //b", "linux \n"]
        {
            assert!(Entry::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_entry_is_bound_by_one_word_of_each_kind_alone() {
        let volume = Digest::of(b"volume");
        let bound = |options: &str| Entry { options: options.into(), ..Entry::default() }.is_bound_to(volume);
        let good = format!("quiet landfall.mode=boot landfall.encrypted=1 landfall.volume={volume}");
        assert!(bound(&good));
        for bad in [
            good.replace("boot", "install"),
            good.replace("encrypted=1", "encrypted=0"),
            good.replace(&volume.to_string(), &Digest::of(b"other").to_string()),
            good.replace(" landfall.encrypted=1", ""),
            format!("{good} landfall.encrypted=0"),
            format!("{good} landfall.volume=x"),
            String::new(),
        ] {
            assert!(!bound(&bad), "{bad}");
        }
    }

    #[test]
    fn a_start_needs_every_file() {
        let esp = tempfile::tempdir().unwrap();
        let entry = Entry::parse("linux /k\ninitrd /i\n").unwrap();
        let error = entry.start(esp.path()).unwrap_err().to_string();
        assert!(error.contains(LOADER[0]), "{error}");
        std::fs::create_dir_all(esp.path().join("EFI/BOOT")).unwrap();
        std::fs::write(esp.path().join(LOADER[0]), b"no program").unwrap();
        assert!(matches!(entry.start(esp.path()), Err(EntryError::Program { .. })));
    }
}
