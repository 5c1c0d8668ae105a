//! Layers: namespaces, the chain, the neutral tree and its EROFS images.
//!
//! [`sandbox`] runs programs inside a root; [`chain`] builds each layer on the ones below it
//! ([`install`] packages, [`ids`] settled, [`scrub`]bed), [`tree`] and [`pack`] write it as an
//! image, [`cache`] keeps it.

pub mod cache;
pub mod chain;
pub mod compare;
pub mod error;
pub mod host;
pub mod ids;
pub mod install;
pub mod pack;
pub mod package;
pub mod sandbox;
pub mod scrub;
pub mod settings;
mod sys;
pub mod tree;
mod watch;

pub use chain::{BuiltChain, BuiltLayer, ChainSpec, PackageSpec, Step, StepContent, build_chain};
pub use error::{Error, Result};
pub use host::HostSpec;
pub use package::Package;
pub use settings::SettingsSpec;
