//! The user's command: check, lock, build, flash and run a site of machines.

pub mod builder;
pub mod cli;
pub mod flash;
pub mod media;
pub mod rehearsal;
pub mod secrets;
pub mod signing;
