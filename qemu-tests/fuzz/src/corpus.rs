//! Corpora: a folder of files, and the inputs that are made of them.

use crate::edit;
use bolero::{Driver, ValueGenerator};
use std::fmt;
use std::path::{Path, PathBuf};

/// Most edits of one input.
const MAX_EDITS: usize = 8;
/// Longest input.
const MAX_BYTES: usize = 256 * 1024;

/// One input; printed so that it can be written into a corpus or a test.
#[derive(Clone, PartialEq, Eq)]
pub struct Input(pub Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// The files of one target.
#[derive(Debug, Clone)]
pub struct Corpus {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Corpus {
    /// Reads `tests/corpus/NAME` of the crate at `crate_folder`.
    ///
    /// # Panics
    /// Where the folder is missing or empty: a target without a corpus finds nothing.
    pub fn read(crate_folder: &str, name: &str) -> Self {
        let folder = Path::new(crate_folder).join("tests/corpus").join(name);
        let entries = std::fs::read_dir(&folder);
        let entries = entries.unwrap_or_else(|error| panic!("reading {}: {error}", folder.display()));
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_none_or(|extension| extension != "md"));
        paths.sort();
        assert!(!paths.is_empty(), "{} has no file", folder.display());
        let read = |path: PathBuf| match std::fs::read(&path) {
            Ok(bytes) => (path, bytes),
            Err(error) => panic!("reading {}: {error}", path.display()),
        };
        Self { files: paths.into_iter().map(read).collect() }
    }

    /// Feeds every file as it stands.
    ///
    /// # Panics
    /// Where the check does, with the file's name before it.
    pub fn each(&self, check: &impl Fn(&[u8])) {
        for (path, bytes) in &self.files {
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(bytes)));
            if let Err(panic) = checked {
                eprintln!("at {}:", path.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl ValueGenerator for Corpus {
    type Output = Input;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Input> {
        let mut pick = || (0..self.files.len()).generate(driver).and_then(|at| self.files.get(at));
        let (mut bytes, other) = (pick()?.1.clone(), &pick()?.1);
        for _ in 0..(0..=MAX_EDITS).generate(driver)? {
            edit::one(driver, &mut bytes, other)?;
            bytes.truncate(MAX_BYTES);
        }
        Some(Input(bytes))
    }
}

/// Holds the corpus `name` of a crate to what its test generates: `files` are all of it. Where
/// `LANDFALL_WRITE_CORPUS` is set, it is written anew first.
///
/// # Panics
/// Where a file differs, is missing, or is not among the generated ones.
pub fn generated(crate_folder: &str, name: &str, files: &[(&str, Vec<u8>)]) {
    let folder = Path::new(crate_folder).join("tests/corpus").join(name);
    if std::env::var_os("LANDFALL_WRITE_CORPUS").is_some() {
        for (name, bytes) in files {
            let path = folder.join(name);
            std::fs::write(&path, bytes)
                .unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
        }
    }
    let found = Corpus::read(crate_folder, name).files;
    let mut wanted: Vec<(PathBuf, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (folder.join(name), bytes.clone())).collect();
    wanted.sort();
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&wanted), "set LANDFALL_WRITE_CORPUS to write the corpus anew");
    for ((path, found), (_, wanted)) in found.iter().zip(&wanted) {
        assert!(found == wanted, "{} is not what the test generates", path.display());
    }
}

/// The disk that an input describes: its length in KiB as two bytes, little-endian; then pieces of
/// an offset (four bytes), a length (two bytes) and that many bytes. A disk of mostly zeroes is so
/// a small input, of which most bytes mean something.
pub fn disk_image(input: &[u8]) -> Vec<u8> {
    let Some((length, mut rest)) = input.split_at_checked(2) else {
        return Vec::new();
    };
    let kib = u16::from_le_bytes([length[0], length[1]]);
    let mut disk = vec![0u8; usize::from(kib) << 10];
    while let Some((head, tail)) = rest.split_at_checked(6) {
        let offset = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let length = usize::from(u16::from_le_bytes([head[4], head[5]])).min(tail.len());
        let (piece, next) = tail.split_at(length);
        if let Some(place) = offset.checked_add(length).and_then(|end| disk.get_mut(offset..end)) {
            place.copy_from_slice(piece);
        }
        rest = next;
    }
    disk
}

/// The input that describes a disk, for [`disk_image`].
///
/// # Panics
/// Where the disk is 64 MiB or larger.
pub fn packed_disk(disk: &[u8]) -> Vec<u8> {
    const PIECE: usize = 64;
    let mut out = u16::try_from(disk.len() >> 10).expect("a small disk").to_le_bytes().to_vec();
    for (index, piece) in disk.chunks(PIECE).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            out.extend(u32::try_from(index * PIECE).expect("a small disk").to_le_bytes());
            out.extend(u16::try_from(piece.len()).expect("a small piece").to_le_bytes());
            out.extend(piece);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_zeroes_and_pieces() {
        let mut input = vec![1, 0];
        input.extend([2, 0, 0, 0, 3, 0, 7, 8, 9]);
        input.extend([0xff, 0xff, 0xff, 0xff, 1, 0, 5]);
        input.extend([0xfe, 3, 0, 0, 9, 0, 1, 2]);
        let disk = disk_image(&input);
        assert_eq!(disk.len(), 1024);
        assert_eq!(disk[..6], [0, 0, 7, 8, 9, 0]);
        assert_eq!(disk[1022..], [1, 2]);
        assert!(disk_image(&[1]).is_empty());
        assert_eq!(disk_image(&packed_disk(&disk)), disk);
    }
}
