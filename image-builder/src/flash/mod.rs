//! Writing a medium to a stick: which drive, whether it may be written, the writing, the reading
//! back.
//!
//! What a stick must hold is decided before its first byte is written ([`Wanted`]), and one device
//! stays open from the first write to the last, so that no other disk can come under the pen.

mod block;
mod drives;
mod error;
mod guard;
mod stick;
mod uses;
mod wanted;
mod writer;

pub use block::BlockDevice;
pub use drives::{Drive, drives};
pub use error::{Fault, FlashError};
pub use guard::{Objection, objections};
pub use stick::{Presence, Stick};
pub use uses::{Use, uses};
pub use wanted::Wanted;
pub use writer::{Writer, Written};
