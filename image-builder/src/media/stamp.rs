//! What an image says of itself to the next build: where each layer's bytes are.
//!
//! It stands in an extended attribute of the image, with the file's size and time of change as they
//! were when it was written. Whoever writes to the image since (a guest that it installed, say)
//! changes the time, and the word counts no more. Only the layers' blocks are ever taken on it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use landfall_disk::Extent;
use serde::{Deserialize, Serialize};

use super::data::Placed;

const NAME: &str = "user.landfall.medium";
const FORMAT: u32 = 1;
/// An attribute of ext4 fits one block; what is longer is not kept.
const MAX_BYTES: usize = 3500;

/// The layers of an image and their places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    format: u32,
    size: u64,
    mtime_nanoseconds: i64,
    /// sha256 → (start, length) in bytes.
    layers: Vec<(String, Vec<(u64, u64)>)>,
}

impl Stamp {
    /// The stamp of an image that nobody changed since it was put on.
    pub(crate) fn read(image: &File) -> Option<Self> {
        let mut bytes = [0u8; 4096];
        let len = rustix::fs::fgetxattr(image, NAME, &mut bytes[..]).ok()?;
        let stamp: Self = serde_json::from_slice(bytes.get(..len)?).ok()?;
        let now = Self::of(image, Vec::new())?;
        let unchanged = stamp.format == FORMAT
            && stamp.size == now.size
            && stamp.mtime_nanoseconds == now.mtime_nanoseconds;
        unchanged.then_some(stamp)
    }

    /// Whether a layer's bytes are where `placed` wants them.
    pub(crate) fn has(&self, placed: &Placed) -> bool {
        let wanted = (placed.layer.sha256.clone(), pairs(&placed.extents));
        self.layers.contains(&wanted)
    }

    /// Stamps a finished image. Where the filesystem keeps no attributes the next build writes the
    /// whole image, so a failure is none.
    pub(crate) fn put(image: &File, layers: &[Placed]) {
        let layers = layers.iter().map(|placed| (placed.layer.sha256.clone(), pairs(&placed.extents)));
        Self::write(image, layers.collect());
    }

    /// Renews the stamp after a change of ours outside of the layers.
    pub(crate) fn renew(self, image: &File) {
        Self::write(image, self.layers);
    }

    fn write(image: &File, layers: Vec<(String, Vec<(u64, u64)>)>) {
        let text = Self::of(image, layers).and_then(|stamp| serde_json::to_vec(&stamp).ok());
        let _ = match text {
            Some(text) if text.len() <= MAX_BYTES => {
                rustix::fs::fsetxattr(image, NAME, &text, rustix::fs::XattrFlags::empty())
            }
            _ => rustix::fs::fremovexattr(image, NAME),
        };
    }

    fn of(image: &File, layers: Vec<(String, Vec<(u64, u64)>)>) -> Option<Self> {
        let meta = image.metadata().ok()?;
        let mtime_nanoseconds = meta.mtime().checked_mul(1_000_000_000)?.checked_add(meta.mtime_nsec())?;
        Some(Self { format: FORMAT, size: meta.len(), mtime_nanoseconds, layers })
    }
}

fn pairs(extents: &[Extent]) -> Vec<(u64, u64)> {
    extents.iter().map(|extent| (extent.start_bytes, extent.len_bytes)).collect()
}
