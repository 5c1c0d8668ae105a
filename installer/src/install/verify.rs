//! Hashes of many files at once, and what a wrong one means.

use super::hash::{self, From};
use super::progress::Bar;
use super::refusal::Refusal;
use crate::error::{Error, Result};
use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::data;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A file and the hash that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub path: PathBuf,
    /// Hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// A file that is not what it should be.
#[derive(Debug)]
pub enum Wrong {
    /// It could not be read.
    Unreadable(Error),
    /// Its content differs.
    Differs {
        /// Which.
        path: PathBuf,
        /// What is different.
        why: String,
    },
}

impl Wrong {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Unreadable(error) => error.chain(),
            Self::Differs { path, why } => format!("{}: {why}", path.display()),
        }
    }
}

/// The layers of a manifest below a data partition's `folder`.
pub fn layers(manifest: &Manifest, folder: &Path) -> Vec<Wanted> {
    let layers = folder.join(data::LAYERS);
    manifest
        .layers
        .iter()
        .map(|layer| Wanted {
            path: layers.join(format!("{}.erofs", layer.sha256)),
            sha256: layer.sha256.clone(),
            size: layer.size,
        })
        .collect()
}

/// The files of a manifest on an ESP that is mounted at `folder`.
pub fn esp_files(manifest: &Manifest, folder: &Path) -> Vec<Wanted> {
    let blobs = manifest.blobs().map(|blob| Wanted {
        path: folder.join(blob.esp_path()),
        sha256: blob.sha256.clone(),
        size: blob.size,
    });
    let programs = manifest.efi.iter().map(|program| Wanted {
        path: folder.join(&program.path),
        sha256: program.sha256.clone(),
        size: program.size,
    });
    blobs.chain(programs).collect()
}

/// Checks every file; the first wrong one, if any.
pub fn all(files: &[Wanted], from: From, bar: &Bar) -> Option<Wrong> {
    let next = AtomicUsize::new(0);
    let wrong: Mutex<Option<Wrong>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = one(file, from, bar).err();
                    let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                    if wrong.is_some() {
                        return;
                    }
                    *wrong = found;
                }
            });
        }
    });
    wrong.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one(file: &Wanted, from: From, bar: &Bar) -> std::result::Result<(), Wrong> {
    let size = size_of(&file.path).map_err(Wrong::Unreadable)?;
    let differs = |why: String| Err(Wrong::Differs { path: file.path.clone(), why });
    if size != file.size {
        return differs(format!("it has {size} bytes and should have {}", file.size));
    }
    let found = hash::file(&file.path, from, &|bytes| bar.advance(bytes)).map_err(Wrong::Unreadable)?;
    if found != file.sha256 {
        return differs(format!("its sha256 is {found} and should be {}", file.sha256));
    }
    Ok(())
}

/// Whether a file has its bytes on the disk itself.
pub fn is_whole(file: &Wanted, bar: &Bar) -> bool {
    one(file, From::Disk, bar).is_ok()
}

fn size_of(path: &Path) -> Result<u64> {
    let doing = || format!("looking at {}", path.display());
    std::fs::metadata(path).map(|meta| meta.len()).map_err(Error::io(doing()))
}

/// What a wrong file on the medium means.
pub fn refusal(wrong: &Wrong) -> Refusal {
    Refusal::new(
        "layer-corrupt",
        format!("a file on the medium is damaged: {}", wrong.words()),
        "write the medium again; if it happens again, the stick is bad",
    )
}

/// Bytes of all files.
pub fn bytes(files: &[Wanted]) -> u64 {
    files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
}
