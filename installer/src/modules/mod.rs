//! Kernel modules: what the index files say, loading, and coldplug.

mod glob;
pub mod hotplug;
mod index;
mod loader;

pub use index::Index;
pub use loader::Loader;

/// The one name of a module: the kernel treats `-` and `_` alike.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}
