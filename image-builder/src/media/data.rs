//! The data partition of a medium: ext4 by mke2fs, with room made for the layers and filled later.
//!
//! Small files reach mke2fs as a tar stream on its standard input, so owners, modes and times are
//! what we say whoever builds (`mke2fs(8)`, `-d`; the tools root has libarchive for it). Layers are
//! empty files at first; debugfs gives them their blocks without writing one, and says where those
//! are. So the image's bookkeeping takes milliseconds, each layer is copied once and straight from
//! the cache, and a layer that an older image already has in that place is not copied at all.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use landfall_disk::{Extent, MIB};
use landfall_hosts::paths::DATA_LABEL;

use super::error::{MediaError, Result};
use super::tool::{self, Tool};
use super::trees::Trees;

/// Block size of every filesystem that we make.
pub const BLOCK_BYTES: u64 = 4096;
/// Journal: the smallest that ext4 takes, for a medium is hardly ever written.
const JOURNAL_MIB: u64 = 4;
/// For superblocks, bitmaps, directories and the orphan file, beside one percent.
const SLACK_BYTES: u64 = 12 * MIB;

/// A small file of the data partition.
#[derive(Clone, Debug)]
struct SmallFile {
    path: String,
    mode: u32,
    bytes: Vec<u8>,
}

/// A layer on the data partition, and its file in the cache.
#[derive(Clone, Debug)]
pub(crate) struct LayerFile {
    /// Path with no leading slash.
    pub(crate) path: String,
    /// Where its bytes come from.
    pub(crate) from: PathBuf,
    /// What they must hash to.
    pub(crate) sha256: String,
    /// How many they are.
    pub(crate) len_bytes: u64,
}

/// What the filesystem is made of.
#[derive(Debug, Default)]
pub(crate) struct DataTree {
    small: Vec<SmallFile>,
    layers: Vec<LayerFile>,
}

impl DataTree {
    /// Adds a small file.
    pub(crate) fn bytes(&mut self, path: String, mode: u32, bytes: Vec<u8>) {
        self.small.push(SmallFile { path, mode, bytes });
    }

    /// Adds a layer. The order is that of their blocks: those that change seldom come first.
    pub(crate) fn layer(&mut self, path: String, from: &Path, sha256: &str) -> Result<()> {
        let meta = std::fs::metadata(from).map_err(MediaError::file("measuring", from))?;
        self.layers.push(LayerFile {
            path,
            from: from.to_owned(),
            sha256: sha256.to_owned(),
            len_bytes: meta.len(),
        });
        Ok(())
    }

    /// Bytes of a filesystem that holds the tree with little to spare.
    pub(crate) fn filesystem_bytes(&self) -> u64 {
        let small = self.small.iter().map(|file| file.bytes.len() as u64);
        let layers = self.layers.iter().map(|layer| layer.len_bytes);
        let blocks: u64 = small.chain(layers).map(|len| len.div_ceil(BLOCK_BYTES)).sum();
        let content = blocks * BLOCK_BYTES;
        (content + content / 100 + JOURNAL_MIB * MIB + SLACK_BYTES).next_multiple_of(MIB)
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let small = self.small.iter().map(|file| file.path.as_str());
        small.chain(self.layers.iter().map(|layer| layer.path.as_str()))
    }

    fn folders(&self) -> BTreeSet<&str> {
        self.paths().flat_map(|path| path.match_indices('/').filter_map(|(at, _)| path.get(..at))).collect()
    }
}

/// Where and how the filesystem is made.
#[derive(Debug)]
pub(crate) struct DataTarget<'a> {
    /// The image; it exists and is large enough.
    pub(crate) image: &'a Path,
    /// The data partition in it.
    pub(crate) at: Extent,
    /// The filesystem's UUID and the seed of its directories' hashes.
    pub(crate) uuids: [String; 2],
    /// Every time stamp.
    pub(crate) epoch: u64,
}

/// A layer whose blocks are allotted and whose bytes are still to be written there.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// The layer.
    pub(crate) layer: LayerFile,
    /// Its blocks in the image, in the order of its bytes.
    pub(crate) extents: Vec<Extent>,
}

/// Makes the filesystem with all small files in it, and the layers' blocks allotted.
pub(crate) fn write_data(tools: &Trees, target: &DataTarget<'_>, tree: &DataTree) -> Result<Vec<Placed>> {
    let inodes = tree.paths().count() + tree.folders().len() + 64;
    let [uuid, hash_seed] = &target.uuids;
    let extended = format!(
        "offset={},root_owner=0:0,hash_seed={hash_seed},nodiscard,lazy_itable_init=0,lazy_journal_init=0",
        target.at.start_bytes
    );
    Tool::find(tools, "mke2fs", "e2fsprogs")?
        .env("MKE2FS_CONFIG", tool::config(tools, "etc/mke2fs.conf", "e2fsprogs")?)
        .env("SOURCE_DATE_EPOCH", target.epoch.to_string())
        .args(["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^resize_inode"])
        .args(["-b", &BLOCK_BYTES.to_string(), "-N", &inodes.to_string()])
        .args(["-J", &format!("size={JOURNAL_MIB}"), "-L", DATA_LABEL])
        .args(["-U", uuid, "-E", &extended, "-d", "-"])
        .args([target.image])
        .args([(target.at.len_bytes / BLOCK_BYTES).to_string()])
        .feed(|stdin| write_tar(stdin, tree, target.epoch))?;
    super::place::place(tools, target, &tree.layers)
}

fn write_tar(out: &mut dyn Write, tree: &DataTree, epoch: u64) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    for folder in tree.folders() {
        let mut header = header(epoch, 0o755, 0);
        header.set_entry_type(tar::EntryType::Directory);
        append(&mut tar, &mut header, &format!("{folder}/"), &[])?;
    }
    for layer in &tree.layers {
        append(&mut tar, &mut header(epoch, 0o644, 0), &layer.path, &[])?;
    }
    let mut small: Vec<&SmallFile> = tree.small.iter().collect();
    small.sort_by(|a, b| a.path.cmp(&b.path));
    for file in small {
        let mut header = header(epoch, file.mode, file.bytes.len() as u64);
        append(&mut tar, &mut header, &file.path, &file.bytes)?;
    }
    tar.finish().map_err(MediaError::io("ending the stream of the medium's files"))
}

fn header(epoch: u64, mode: u32, len: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_size(len);
    header.set_mtime(epoch);
    header
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    header: &mut tar::Header,
    path: &str,
    bytes: &[u8],
) -> Result<()> {
    let mut input: &mut dyn io::Read = &mut &*bytes;
    tar.append_data(header, path, &mut input).map_err(MediaError::io(format!("putting {path} on the medium")))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}
