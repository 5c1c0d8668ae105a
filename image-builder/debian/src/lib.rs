//! Debian archives: mirrors, signatures, indices, `.deb`s, the tools root and the solver.
//!
//! The way of a package: [`mirrors`] says where archives are; [`archive`] verifies a suite's
//! InRelease ([`openpgp`], [`release`]) and reads its indices ([`packages`]); [`resolve`] lets
//! apt itself, from the tools root ([`tools`]), choose what each layer adds and writes that to the
//! lock; [`store`] brings the locked files into the cache ([`fetch`]); [`deb`] reads them.
//!
//! Nothing here runs a package's script.

pub mod archive;
pub mod base;
pub mod cache;
pub mod clock;
pub mod deb;
pub mod deb822;
pub mod error;
pub mod fetch;
pub mod hash;
pub mod initramfs;
pub mod keys;
pub mod mirrors;
pub mod openpgp;
pub mod packages;
pub mod release;
pub mod resolve;
pub mod run;
pub mod session;
pub mod solver;
pub mod sources;
pub mod store;
#[cfg(test)]
mod testing;
pub mod tools;
pub mod update;
pub mod version;

pub use error::{Error, Result};
