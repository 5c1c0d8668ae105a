//! `cargo xtask dist`: the three programs as they are shipped, in target/dist.

use super::Outcome;
use crate::workspace::{cargo_with, target};
use std::path::Path;

/// The platform of the static programs; naming it keeps the static flag from build scripts and macros.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// They run as `/init` and on machines whose libc is another.
const STATIC: &[&str] = &["landfall-init", "landfall-machine"];

/// Builds all and copies them.
pub fn run(_arguments: &[String]) -> Outcome {
    let build = ["build", "--release", "--locked", "--target", PLATFORM];
    let packages = ["-p", "landfall-installer", "-p", "landfall-firstboot", "--bins"];
    cargo_with(&[&build[..], &packages[..]].concat(), &[("RUSTFLAGS", "-C target-feature=+crt-static")])?;
    cargo_with(&["build", "--release", "--locked", "-p", "landfall", "--bins"], &[])?;
    let dist = target().join("dist");
    std::fs::create_dir_all(&dist).map_err(|error| format!("creating {}: {error}", dist.display()))?;
    for name in STATIC {
        place(&target().join(PLATFORM).join("release").join(name), &dist.join(name))?;
    }
    place(&target().join("release/landfall"), &dist.join("landfall"))
}

/// By rename: a program that runs at this moment cannot be written to.
fn place(from: &Path, to: &Path) -> Outcome {
    let temporary = to.with_extension("new");
    let copied = std::fs::copy(from, &temporary).and_then(|_| std::fs::rename(&temporary, to));
    copied.map_err(|error| format!("copying {} to {}: {error}", from.display(), to.display()).into())
}
