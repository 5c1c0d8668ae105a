//! LUKS2 on the data partition: its key slots, the recovery key, and cryptsetup(8), which does it.
//!
//! A disk has a slot for the recovery key always, and a slot for each way to unlock it that its
//! host names. The recovery key's slot costs no memory and no time, for 256 random bits need no
//! slow hash; it also adds the others.

mod cryptsetup;
mod pipe;
mod qr;
mod recovery;
mod tpm;

pub use cryptsetup::{CIPHER, Opened, Volume};
pub use recovery::RecoveryKey;
pub use tpm::{Sealing, Token, securityfs};

use crate::context::Context;
use crate::error::Result;
use crate::tools;

/// What dm-crypt and cryptsetup use of the kernel.
const MODULES: &[&str] = &[
    "dm_mod",
    "dm_crypt",
    "aesni_intel",
    "aes_generic",
    "xts",
    "ecb",
    "sha256_ssse3",
    "sha512_ssse3",
    "sha256_generic",
    "af_alg",
    "algif_hash",
    "algif_skcipher",
];

/// An error where the initrd does not carry what unlocks.
pub fn carried() -> Result<()> {
    tools::run("cryptsetup", &["--version"]).map(drop)
}

/// Loads what unlocking needs of the kernel. Some of it fits no CPU but its own, some is built in:
/// what is truly missing, cryptsetup says.
pub fn prepare(context: &Context) {
    for module in MODULES {
        let _ = context.hotplug.load(module);
    }
}
