//! Writing an EFI system partition: FAT32, in a slice of a disk or an image, whole in one go.

use std::fs::File;
use std::path::PathBuf;

use hadris_fat::{FatKind, FatOptions, VolumeLabel};
use hadris_fs::{Content, DateTime, Node, Tree};
use hadris_storage::{BlockSize, Partition, host::FileDevice};

use crate::error::{DiskError, Result};
use crate::layout::Extent;

/// Label of every ESP that Landfall writes.
pub const LABEL: &str = "LANDFALL";

/// Where the bytes of a file on the ESP come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Bytes at hand.
    Bytes(Vec<u8>),
    /// A file that is read while the ESP is written.
    File(PathBuf),
}

/// One file on the ESP.
#[derive(Clone, Debug)]
pub struct EspFile {
    /// Path with forward slashes and no leading one; folders are made as needed.
    pub path: String,
    /// Its bytes.
    pub source: Source,
}

/// What an ESP is made of.
#[derive(Clone, Debug, Default)]
pub struct EspTree {
    /// Files, in any order.
    pub files: Vec<EspFile>,
    /// Folders that exist even when nothing is in them.
    pub folders: Vec<String>,
    /// FAT volume id: derived from a seed in images, random on machines.
    pub volume_id: u32,
}

impl EspTree {
    /// Adds a file.
    pub fn add(&mut self, path: impl Into<String>, source: Source) {
        self.files.push(EspFile { path: path.into(), source });
    }

    /// Bytes that the files need at most, with each rounded up to the largest cluster that a
    /// volume of this kind gets, and room for folders.
    pub fn bytes_needed(&self) -> Result<u64> {
        const CLUSTER: u64 = 32 * 1024;
        let mut sum = CLUSTER * (16 + 2 * self.folders.len() as u64);
        for file in &self.files {
            let len = match &file.source {
                Source::Bytes(bytes) => bytes.len() as u64,
                Source::File(path) => std::fs::metadata(path)
                    .map_err(DiskError::io(format!("measuring {}", path.display())))?
                    .len(),
            };
            sum += len.div_ceil(CLUSTER) * CLUSTER + 2 * CLUSTER;
        }
        // One FAT entry of four bytes per cluster of at least 512 bytes, twice, is under 2 %.
        Ok(sum + sum / 50)
    }
}

/// Formats `at` as FAT32 and fills it with `tree`; the same tree gives the same bytes on zeroes.
///
/// `sector_bytes` is the target's own logical sector size. The caller flushes the file.
pub fn write_esp(file: &File, at: Extent, sector_bytes: u32, tree: &EspTree) -> Result<()> {
    let fat = |what: &str, error: &dyn std::fmt::Display| DiskError::Fat(format!("{what}: {error}"));
    let block = BlockSize::new(sector_bytes).ok_or(DiskError::SectorSize(sector_bytes))?;
    let file = file.try_clone().map_err(DiskError::io("opening the ESP's disk a second time"))?;
    let device =
        FileDevice::with_block_size(file, block).map_err(DiskError::io("measuring the ESP's disk"))?;
    let label = VolumeLabel::new(LABEL).map_err(|error| fat("its label", &error))?;
    let options = FatOptions::new()
        .with_kind(FatKind::Fat32)
        .with_label(label)
        .with_serial(tree.volume_id)
        .with_sector_size(sector_bytes)
        .with_time(fixed_time());
    let mut partition = Partition::new(device, at.start_bytes, at.len_bytes);
    hadris_fat::sync::write(&mut partition, &hadris_tree(tree)?, &options)
        .map_err(|error| fat("filling it", &error))?;
    Ok(())
}

fn hadris_tree(tree: &EspTree) -> Result<Tree> {
    let mut files: Vec<&EspFile> = tree.files.iter().collect();
    // The order of insertion shows in the directories, so it must not be the caller's.
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut out = Tree::new();
    let mut folders = tree.folders.clone();
    folders.sort();
    for folder in &folders {
        check_path(folder)?;
        out.insert(folder, Node::dir())
            .map_err(|error| DiskError::Fat(format!("adding the folder {folder}: {error}")))?;
    }
    for file in files {
        check_path(&file.path)?;
        let refused = |error| DiskError::Fat(format!("adding {}: {error}", file.path));
        let content = match &file.source {
            Source::Bytes(bytes) => Content::bytes(bytes.clone()),
            Source::File(path) => hadris_fs::host::file(path).map_err(refused)?,
        };
        out.insert(&file.path, Node::file(content)).map_err(refused)?;
    }
    Ok(out)
}

fn check_path(path: &str) -> Result<()> {
    let part_ok = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._+-".contains(&c))
    };
    if path.split('/').all(part_ok) {
        return Ok(());
    }
    Err(DiskError::BadText {
        what: "a path on the EFI system partition",
        why: format!("{path:?} has a part that FAT or firmware may not like"),
    })
}

/// FAT's first day: the same in every image, and no secret of when it was made.
fn fixed_time() -> DateTime {
    hadris_fs::NoClock::TIME
}
