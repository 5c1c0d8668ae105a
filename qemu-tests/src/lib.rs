//! The QEMU harness: guests, images, a loopback tailnet, and the rehearsal that `cargo xtask run` prints.
//!
//! It drives the same binaries that a person uses and asserts on reports, disk bytes and console
//! sentinels; no product code lives here.

pub mod bench;
pub mod buses;
pub mod cpio;
pub mod demonstration;
pub mod direct;
pub mod encrypted;
pub mod error;
pub mod fixture;
pub mod flashing;
pub mod guest;
pub mod http;
pub mod image;
pub mod laptop;
pub mod matrix;
pub mod nvram;
pub mod ordinary;
pub mod peers;
pub mod pipe;
pub mod power_cut;
pub mod probe;
pub mod process;
pub mod rehearsal;
pub mod shell;
pub mod site;
pub mod tailnet;
pub mod tools;
pub mod write_log;

pub use error::{Error, Result};
