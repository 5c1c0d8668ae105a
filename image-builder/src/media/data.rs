//! The data partition of a medium: ext4, made and filled by mke2fs in one go.
//!
//! The files reach mke2fs as a tar stream on its standard input, so owners, modes and times are
//! what we say whoever builds, and a layer goes from the cache into the image without a copy in
//! between (`mke2fs(8)`, `-d`; the tools root has libarchive for it).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use landfall_disk::{Extent, MIB};
use landfall_hosts::event::{Event, Progress, Task};
use landfall_hosts::paths::DATA_LABEL;
use sha2::{Digest, Sha256};

use super::error::{MediaError, Result};
use super::tool::{self, Tool};
use super::trees::Trees;

/// Block size of every filesystem that we make.
pub const BLOCK_BYTES: u64 = 4096;
/// Journal: the smallest that ext4 takes, for a medium is hardly ever written.
const JOURNAL_MIB: u64 = 4;
/// For superblocks, bitmaps, directories and the orphan file, beside one percent.
const SLACK_BYTES: u64 = 12 * MIB;

/// Where a file of the data partition comes from.
#[derive(Clone, Debug)]
pub(crate) enum DataSource {
    /// Bytes at hand.
    Bytes(Vec<u8>),
    /// A file whose content must have this sha256.
    Hashed { path: PathBuf, sha256: String },
}

/// One file of the data partition.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    /// Path with no leading slash.
    pub(crate) path: String,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Its bytes.
    pub(crate) len: u64,
    /// Where they come from.
    pub(crate) source: DataSource,
}

/// What the filesystem is made of.
#[derive(Debug, Default)]
pub(crate) struct DataTree {
    files: Vec<DataFile>,
}

impl DataTree {
    /// Adds bytes.
    pub(crate) fn bytes(&mut self, path: String, mode: u32, bytes: Vec<u8>) {
        self.files.push(DataFile { path, mode, len: bytes.len() as u64, source: DataSource::Bytes(bytes) });
    }

    /// Adds a file that is checked against its hash while it is copied.
    pub(crate) fn hashed(&mut self, path: String, from: &Path, sha256: &str) -> Result<()> {
        let meta = std::fs::metadata(from).map_err(MediaError::file("measuring", from))?;
        self.files.push(DataFile {
            path,
            mode: 0o644,
            len: meta.len(),
            source: DataSource::Hashed { path: from.to_owned(), sha256: sha256.to_owned() },
        });
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn content_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// Bytes of a filesystem that holds the tree with little to spare.
    pub(crate) fn filesystem_bytes(&self) -> u64 {
        let blocks: u64 = self.files.iter().map(|f| f.len.div_ceil(BLOCK_BYTES)).sum();
        let content = blocks * BLOCK_BYTES;
        (content + content / 100 + JOURNAL_MIB * MIB + SLACK_BYTES).next_multiple_of(MIB)
    }

    fn folders(&self) -> std::collections::BTreeSet<&str> {
        self.files
            .iter()
            .flat_map(|file| file.path.match_indices('/').filter_map(|(at, _)| file.path.get(..at)))
            .collect()
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

/// Makes the filesystem and fills it.
pub(crate) fn write_data(
    tools: &Trees,
    target: &DataTarget<'_>,
    tree: &DataTree,
    progress: &dyn Progress,
) -> Result<()> {
    let inodes = tree.files.len() as u64 + tree.folders().len() as u64 + 64;
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
        .feed(|stdin| {
            progress.event(Event::Begin {
                task: Task::Write,
                what: "the medium".to_owned(),
                total: tree.content_bytes(),
            });
            let result = write_tar(stdin, tree, target.epoch, progress);
            progress.event(Event::End { task: Task::Write });
            result
        })
}

fn write_tar(out: &mut dyn Write, tree: &DataTree, epoch: u64, progress: &dyn Progress) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    for folder in tree.folders() {
        let mut header = header(epoch, 0o755, 0);
        header.set_entry_type(tar::EntryType::Directory);
        append(&mut tar, &mut header, &format!("{folder}/"), &mut io::empty())?;
    }
    let mut files: Vec<&DataFile> = tree.files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in files {
        let mut header = header(epoch, file.mode, file.len);
        match &file.source {
            DataSource::Bytes(bytes) => {
                append(&mut tar, &mut header, &file.path, &mut bytes.as_slice())?;
            }
            DataSource::Hashed { path, sha256 } => {
                let input = File::open(path).map_err(MediaError::file("opening", path))?;
                let mut input = Checked::new(input, progress);
                append(&mut tar, &mut header, &file.path, &mut input)?;
                input.verify(path, sha256)?;
            }
        }
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
    input: &mut dyn Read,
) -> Result<()> {
    tar.append_data(header, path, input).map_err(MediaError::io(format!("putting {path} on the medium")))
}

/// Hashes what is read through it and says how much that was.
struct Checked<'a> {
    input: File,
    hash: Sha256,
    progress: &'a dyn Progress,
}

impl<'a> Checked<'a> {
    fn new(input: File, progress: &'a dyn Progress) -> Self {
        Self { input, hash: Sha256::new(), progress }
    }

    fn verify(self, path: &Path, sha256: &str) -> Result<()> {
        let found = hex(&self.hash.finalize());
        if found == sha256 {
            return Ok(());
        }
        Err(MediaError::bad(
            path.display().to_string(),
            format!("its sha256 is {found} and not {sha256}; remove it and build again"),
        ))
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buf)?;
        self.hash.update(buf.get(..count).unwrap_or_default());
        self.progress.event(Event::Advance { task: Task::Write, by: count as u64 });
        Ok(count)
    }
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
