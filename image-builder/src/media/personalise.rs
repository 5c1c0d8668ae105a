//! What makes one medium different from the next: install id and identities, put into a finished
//! image afterwards.
//!
//! The files exist in the deterministic image, blank and one block long, so only the bytes of that
//! block change: ext4's checksums cover metadata, not the content of files
//! (Linux, Documentation/filesystems/ext4/checksums.rst).

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use landfall_disk::{TableSeen, read_table, types};
use landfall_hosts::medium::{IDENTITY_SIZE, UNATTENDED_SIZE, Unattended};
use landfall_hosts::paths::data;

use super::data::BLOCK_BYTES;
use super::error::{MediaError, Result};
use super::stamp::Stamp;
use super::tool::Tool;
use super::trees::Trees;

/// How a host's identity travels on a medium.
#[derive(Clone, Copy)]
pub enum Identity<'a> {
    /// Bare, for an unattended install: it counts as exposed from then on.
    Bare(&'a str),
    /// Wrapped by a passphrase (an age file).
    Wrapped(&'a [u8]),
    /// Not at all; what was there is erased.
    Absent,
}

/// What is put on a medium after the deterministic build.
pub struct Personal<'a> {
    /// Install id, and the host that installs by itself.
    pub unattended: &'a Unattended,
    /// Identities by host; a host that is not here keeps what its files hold.
    pub identities: BTreeMap<&'a str, Identity<'a>>,
}

/// Overwrites the fixed files of the medium in `image`. The image of an identity that travels bare
/// becomes readable to its owner alone.
pub fn personalise(image: &Path, tools: &Trees, personal: &Personal<'_>) -> Result<()> {
    let mut file =
        File::options().read(true).write(true).open(image).map_err(MediaError::file("opening", image))?;
    let bare = |identity: &Identity<'_>| matches!(identity, Identity::Bare(_));
    if personal.identities.values().any(bare) {
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(MediaError::file("restricting", image))?;
    }
    let stamp = Stamp::read(&file);
    let slots = Slots { tools, image, start_bytes: data_start(&mut file, image)? };
    let text = toml::to_string(personal.unattended)
        .map_err(|error| MediaError::bad("the unattended mark", error.to_string()))?;
    slots.put(&mut file, data::UNATTENDED, text.as_bytes(), UNATTENDED_SIZE)?;
    for (host, identity) in &personal.identities {
        let (key, age): (&[u8], &[u8]) = match identity {
            Identity::Bare(text) => (text.as_bytes(), b""),
            Identity::Wrapped(bytes) => (b"", bytes),
            Identity::Absent => (b"", b""),
        };
        for (kind, bytes) in [("key", key), ("age", age)] {
            let path = format!("{}/{host}.{kind}", data::IDENTITIES);
            slots.put(&mut file, &path, bytes, IDENTITY_SIZE)?;
        }
    }
    file.sync_all().map_err(MediaError::file("flushing", image))?;
    if let Some(stamp) = stamp {
        stamp.renew(&file);
    }
    Ok(())
}

fn data_start(file: &mut File, image: &Path) -> Result<u64> {
    let not_ours = |why: &str| MediaError::bad(image.display().to_string(), why);
    let TableSeen::Gpt(gpt) = read_table(file, 512)? else {
        return Err(not_ours("it has no partition table, so it is not a medium"));
    };
    let data = gpt.entries.iter().find(|p| p.type_guid == types::DATA);
    data.and_then(|partition| partition.first_lba.checked_mul(512))
        .ok_or_else(|| not_ours("it has no data partition, so it is not a medium"))
}

/// The fixed files of one image.
struct Slots<'a> {
    tools: &'a Trees,
    image: &'a Path,
    start_bytes: u64,
}

impl Slots<'_> {
    /// Overwrites the file at `path` with `bytes`, padded with newlines to its `size`.
    fn put(&self, file: &mut File, path: &str, bytes: &[u8], size: usize) -> Result<()> {
        if bytes.len() >= size {
            return Err(MediaError::bad(path, format!("{} bytes do not fit its {size}", bytes.len())));
        }
        let at = self.find(path)?;
        let doing = |what: &str| MediaError::io(format!("{what} {path} in {}", self.image.display()));
        let mut old = vec![0u8; size];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut old)).map_err(doing("reading"))?;
        // What Landfall puts there is text. Anything else means that this is not the file.
        if !old.iter().all(|b| b.is_ascii_graphic() || b" \n\r\t".contains(b)) {
            return Err(MediaError::bad(
                path,
                "its block does not hold what Landfall put there; build the image again",
            ));
        }
        let mut padded = bytes.to_vec();
        padded.resize(size, b'\n');
        file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&padded)).map_err(doing("writing"))
    }

    /// The offset of a file's only block (`debugfs(8)`, `blocks`).
    fn find(&self, path: &str) -> Result<u64> {
        let image = format!("{}?offset={}", self.image.display(), self.start_bytes);
        let text = Tool::find(self.tools, "debugfs", "e2fsprogs")?
            .args(["-c", "-R", &format!("blocks {path}"), &image])
            .output()?;
        let blocks: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let offset = match blocks.as_slice() {
            [block] if *block != 0 => block.checked_mul(BLOCK_BYTES),
            _ => None,
        };
        offset.and_then(|offset| offset.checked_add(self.start_bytes)).ok_or_else(|| {
            MediaError::missing(
                format!("{path} on {}", self.image.display()),
                "the image was not made by this Landfall; build it again",
            )
        })
    }
}
