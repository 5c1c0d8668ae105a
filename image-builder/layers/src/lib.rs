//! Layers: namespaces, the chain, the neutral tree and its EROFS images.

pub mod sandbox;
mod sys;
pub mod tree;
