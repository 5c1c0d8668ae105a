//! What unlocks LUKS2 disks: programs, libraries and kernel modules, in a cpio of their own that
//! only encrypted hosts and their medium carry. It lies over the initrd and holds nothing that the
//! initrd has.

use super::elf;
use super::error::Result;
use super::initrd::{
    InitrdParts, LIB, Program, Root, add_libraries, add_modules, compress, no_tool, read, with_programs,
};
use super::modules;
use std::collections::BTreeSet;

/// Programs that `/init` calls on an encrypted disk.
const PROGRAMS: &[Program] =
    &[("cryptsetup", "cryptsetup-bin"), ("systemd-cryptenroll", "systemd-cryptsetup")];

/// The token by which cryptsetup asks a TPM, and its package.
const TOKEN: Program = ("cryptsetup/libcryptsetup-token-systemd-tpm2.so", "systemd-cryptsetup");
/// What systemd loads by name once it finds a TPM or a LUKS volume, so that no program names it
/// (systemd, `src/shared/tpm2-util.c` and `cryptsetup-util.c`).
const LOADED: &[&str] = &[
    "libcryptsetup.so.12",
    "libtss2-esys.so.0",
    "libtss2-mu.so.0",
    "libtss2-rc.so.0",
    "libtss2-tcti-device.so.0",
];

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
    let mut unlock = of(PROGRAMS, MODULES)?;
    add_token(&mut unlock, parts)?;
    // Its module indices take the place of the initrd's: they list the modules of both.
    Ok(unlock.without(&of(&[], &[])?))
}

/// cryptsetup's token for a TPM at the path where it looks for it, with its libraries.
fn add_token(root: &mut Root, parts: &InitrdParts<'_>) -> Result<()> {
    let (name, package) = TOKEN;
    let host =
        parts.tools.find_any(LIB.map(|dir| format!("{dir}/{name}"))).ok_or_else(|| no_tool(name, package))?;
    let bytes = read(&host)?;
    let mut libraries: BTreeSet<String> = elf::needs(&bytes, name)?.libraries.into_iter().collect();
    libraries.extend(LOADED.iter().map(|name| (*name).to_owned()));
    root.file(&format!("{}/{name}", LIB[0]), 0o644, bytes);
    add_libraries(root, parts.tools, libraries)
}
