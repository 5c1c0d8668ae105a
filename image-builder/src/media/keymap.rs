//! The console's keyboard map of one host, in a small cpio of its own: a passphrase is asked for
//! before any layer is mounted.

use std::path::PathBuf;

use flate2::read::GzDecoder;
use landfall_hosts::paths::initrd::KEYMAP;
use std::io::Read;

use super::elf;
use super::error::{MediaError, Result};
use super::initrd::{BIN, LIB, Root, compress, read};
use super::trees::Trees;

/// Where setupcon(1) keeps what it compiled from keyboard(5).
const COMPILED: &str = "etc/console-setup";
/// What every initrd has for its other programs.
const CARRIED: [&str; 2] = ["libc.so.6", "ld-linux-x86-64.so.2"];

/// The map that a chain of layers has compiled for its console, packed.
pub fn find_keymap(chain: &Trees) -> Result<PathBuf> {
    let compiled = chain.list(COMPILED)?;
    let map = compiled.into_iter().find(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("cached_") && name.ends_with(".kmap.gz")
    });
    map.map(|(_, file)| file).ok_or_else(|| {
        MediaError::missing(
            format!("a compiled keyboard map in /{COMPILED}"),
            "the base has console-setup, which compiles it; build the settings layer again",
        )
    })
}

/// Composes the cpio: the map as text, and loadkeys(1) of the chain's `kbd`.
pub fn compose_keymap(chain: &Trees) -> Result<Vec<u8>> {
    let file = find_keymap(chain)?;
    let packed = std::fs::File::open(&file).map_err(MediaError::file("opening", &file))?;
    let mut map = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut map).map_err(MediaError::file("unpacking", &file))?;
    let missing = |what: &str| MediaError::missing(what, "the base has the package kbd; build it again");
    let program = chain
        .find_any(BIN.map(|folder| format!("{folder}/loadkeys")))
        .ok_or_else(|| missing("loadkeys in the host's layers"))?;
    let program = read(&program)?;
    let mut root = Root::default();
    for name in elf::needs(&program, "loadkeys")?.libraries {
        if CARRIED.contains(&name.as_str()) {
            continue;
        }
        let library = chain.find_any(LIB.map(|folder| format!("{folder}/{name}")));
        let library = library.ok_or_else(|| missing(&name))?;
        root.file(&format!("usr/lib/x86_64-linux-gnu/{name}"), 0o644, read(&library)?);
    }
    root.file("usr/sbin/loadkeys", 0o755, program);
    root.file(KEYMAP, 0o644, map);
    compress(&root.cpio()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_upper_most_map_is_taken_and_a_host_without_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let [base, settings] = ["base", "settings"].map(|name| dir.path().join(name));
        let put = |root: &PathBuf, text: &str| {
            let folder = root.join(COMPILED);
            std::fs::create_dir_all(&folder).unwrap();
            let file = std::fs::File::create(folder.join("cached_UTF-8_del.kmap.gz")).unwrap();
            let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            gzip.finish().unwrap();
        };
        std::fs::create_dir_all(&base).unwrap();
        let chain = Trees::new(vec![settings.clone(), base.clone()]);
        let error = find_keymap(&chain).unwrap_err().to_string();
        assert!(error.contains("keyboard map") && error.contains("build"), "{error}");
        put(&base, "us");
        put(&settings, "de");
        assert!(find_keymap(&chain).unwrap().starts_with(&settings));
        assert!(compose_keymap(&chain).unwrap_err().to_string().contains("loadkeys"));
    }
}
