//! The one place with `unsafe`: ioctls that rustix has no safe call for, and what must run
//! between fork and exec.
#![allow(unsafe_code)]

mod block;
mod spawn;

pub use block::{flush_buffers, reread_partitions, set_read_only, size_bytes};
pub use spawn::on_terminal;
