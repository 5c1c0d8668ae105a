//! Power cuts: one install whose every write is logged, the disks that a cut leaves of it, and what they are.

mod judge;
mod story;

pub use judge::{Judge, Left, Spent, stick};
pub use story::Story;
