//! A tailnet on loopback: the real `tailscale`, `tailscaled` and `headscale`, built from their Go modules at
//! pinned versions, and tailscale served as its vendor does, from a signed apt repository.

mod archive;
pub mod debian_package;
mod go;
mod headscale;
mod package;
mod repository;

pub use go::{Programs, missing_go, programs};
pub use headscale::{Headscale, Node};
pub use repository::Repository;

/// The version that is built and packed.
pub const TAILSCALE: &str = "1.98.10";
/// The version that is built.
pub const HEADSCALE: &str = "0.28.0";

/// Where guests reach headscale: QEMU's user network leads this address and port to loopback.
pub const LOGIN_SERVER: &str = "http://10.0.2.100:8080";
/// The port of [`LOGIN_SERVER`].
pub const LOGIN_PORT: u16 = 8080;
