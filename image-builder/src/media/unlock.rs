//! What unlocks LUKS2 disks: programs, libraries and kernel modules, in a cpio of their own that
//! only encrypted hosts and their medium carry. It lies over the initrd and holds nothing that the
//! initrd has.

use super::error::Result;
use super::initrd::{InitrdParts, Program, Root, add_modules, compress, with_programs};
use super::modules;

/// Programs that `/init` calls on an encrypted disk.
const PROGRAMS: &[Program] = &[("cryptsetup", "cryptsetup-bin")];

/// dm-crypt, its ciphers in plain and accelerated form, and the socket by which cryptsetup asks the
/// kernel to encrypt key slots (`Documentation/crypto/userspace-if.rst`).
const MODULES: &[&str] = &[
    "dm_mod",
    "dm_crypt",
    "xts",
    "ecb",
    "cbc",
    "aes_generic",
    "aesni_intel",
    "sha256_generic",
    "sha256_ssse3",
    "sha512_ssse3",
    "cryptd",
    "af_alg",
    "algif_hash",
    "algif_skcipher",
];

/// Composes the cpio that unlocks: the same parts give the same bytes.
pub fn compose_unlock(parts: &InitrdParts<'_>) -> Result<Vec<u8>> {
    compress(&root(parts)?.cpio()?)
}

fn root(parts: &InitrdParts<'_>) -> Result<Root> {
    let of = |programs: &[Program], further: &[&str]| -> Result<Root> {
        let mut root = with_programs(parts, programs)?;
        add_modules(&mut root, &modules::select(parts.chain, parts.release, further)?, parts.release)?;
        Ok(root)
    };
    // Its module indices take the place of the initrd's: they list the modules of both.
    Ok(of(PROGRAMS, MODULES)?.without(&of(&[], &[])?))
}
