//! Writing the layers' bytes to their blocks, and bringing an older image of the same medium up to
//! date instead of writing it anew.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use landfall_disk::Extent;
use landfall_hosts::event::{Event, Progress, Task};
use sha2::{Digest, Sha256};

use super::data::{BLOCK_BYTES, Placed, hex};
use super::error::{MediaError, Result};

/// How much is copied or compared at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Writes each layer to its blocks, and checks it against its hash while it passes.
pub(crate) fn fill(image: &File, layers: &[&Placed], progress: &dyn Progress) -> Result<()> {
    let total = layers.iter().map(|placed| placed.layer.len_bytes).sum();
    progress.event(Event::Begin { task: Task::Write, what: "the medium".to_owned(), total });
    let result = layers.iter().try_for_each(|placed| copy(image, placed, progress));
    progress.event(Event::End { task: Task::Write });
    result
}

fn copy(image: &File, placed: &Placed, progress: &dyn Progress) -> Result<()> {
    let layer = &placed.layer;
    let mut input = File::open(&layer.from).map_err(MediaError::file("opening", &layer.from))?;
    let mut hash = Sha256::new();
    let mut left = layer.len_bytes;
    let mut chunk = vec![0u8; CHUNK_BYTES];
    for extent in &placed.extents {
        let mut at = extent.start_bytes;
        while at < extent.end_bytes() && left != 0 {
            let room = (extent.end_bytes() - at).min(CHUNK_BYTES as u64);
            let len = usize::try_from(left.min(room)).unwrap_or(CHUNK_BYTES);
            // The last block's rest is zero whatever stood there before.
            let padded = (len as u64).next_multiple_of(BLOCK_BYTES) as usize;
            let (bytes, rest) = chunk.split_at_mut(len);
            input.read_exact(bytes).map_err(MediaError::file("reading", &layer.from))?;
            hash.update(&*bytes);
            rest.get_mut(..padded - len).unwrap_or_default().fill(0);
            let out = chunk.get(..padded).unwrap_or_default();
            let writing = || format!("writing {} to the image", layer.path);
            image.write_all_at(out, at).map_err(|error| MediaError::io(writing())(error))?;
            progress.event(Event::Advance { task: Task::Write, by: len as u64 });
            at += padded as u64;
            left -= len as u64;
        }
    }
    let found = hex(&hash.finalize());
    if found == layer.sha256 && left == 0 {
        return Ok(());
    }
    Err(MediaError::bad(
        layer.from.display().to_string(),
        format!("its sha256 is {found} and not {}; remove it and build again", layer.sha256),
    ))
}

/// Makes `old` equal to `new` everywhere but in the blocks of `layers`; only what differs is
/// written, and what is a hole in `new` becomes one.
pub(crate) fn bring_up_to_date(old: &File, new: &File, layers: &[Placed]) -> std::io::Result<()> {
    let len = new.metadata()?.len();
    old.set_len(len)?;
    let mut kept: Vec<Extent> = layers.iter().flat_map(|placed| placed.extents.clone()).collect();
    kept.sort_by_key(|extent| extent.start_bytes);
    let mut at = 0;
    for extent in kept {
        equalise(old, new, at, extent.start_bytes)?;
        at = extent.end_bytes();
    }
    equalise(old, new, at, len)
}

fn equalise(old: &File, new: &File, mut at: u64, end: u64) -> std::io::Result<()> {
    let (mut have, mut want) = (vec![0u8; CHUNK_BYTES], vec![0u8; CHUNK_BYTES]);
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let (have, want) = (&mut have[..len], &mut want[..len]);
        old.read_exact_at(have, at)?;
        new.read_exact_at(want, at)?;
        if have != want {
            let block = BLOCK_BYTES as usize;
            for (index, (have, want)) in have.chunks(block).zip(want.chunks(block)).enumerate() {
                if have != want {
                    old.write_all_at(want, at + (index * block) as u64)?;
                }
            }
        }
        at += len as u64;
    }
    Ok(())
}
