//! Whether a boot entry starts what its generation says, and nothing else.
//!
//! The ESP is not encrypted: who had the disk in hand may have put an entry there that starts a shell, and
//! left all others as they were. The manifest is on the encrypted disk.

use landfall_hosts::manifest::Manifest;
use landfall_hosts::paths::cmdline;
use landfall_measure::{Entry, Initrds};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// Begins the words of a command line that are Landfall's own, and that no manifest has.
const OURS: &str = "landfall.";
/// Those that a machine's entry has.
const KEYS: [&str; 5] =
    [cmdline::MODE, cmdline::GENERATION, cmdline::DATA, cmdline::ENCRYPTED, cmdline::VOLUME];

/// Checks an entry of the ESP that is mounted at `esp`. What is wrong with it, in words.
pub fn check(entry: &Entry, manifest: &Manifest, esp: &Path) -> Result<(), String> {
    let (ours, others): (Vec<&str>, Vec<&str>) =
        entry.options.split_whitespace().partition(|word| word.starts_with(OURS));
    let keys: Vec<&str> = ours.iter().filter_map(|word| Some(word.split_once('=')?.0)).collect();
    let each_once = keys.iter().collect::<BTreeSet<_>>().len() == ours.len();
    if !each_once || !keys.iter().all(|key| KEYS.contains(key)) {
        return Err("its command line has other words of Landfall than a machine's".into());
    }
    if !others.into_iter().eq(manifest.cmdline.split_whitespace()) {
        return Err("its command line is not its generation's".into());
    }
    let initrds: Vec<String> = manifest.initrds.iter().map(|blob| blob.esp_path()).collect();
    if entry.linux != manifest.kernel.esp_path() || entry.initrds != initrds {
        return Err("its kernel or initrds are not its generation's".into());
    }
    let blobs = std::iter::once(&manifest.kernel).chain(&manifest.initrds);
    let blobs = blobs.map(|blob| (blob.esp_path(), &blob.sha256));
    let programs = manifest.efi.iter().map(|program| (program.path.clone(), &program.sha256));
    for (path, wanted) in programs.chain(blobs) {
        let file = esp.join(&path);
        let found = sha256(&file).map_err(|error| format!("reading {}: {error}", file.display()))?;
        if found != *wanted {
            return Err(format!("{} is not what its generation says", file.display()));
        }
    }
    Ok(())
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut hash = Initrds::default();
    hash.add(File::open(path)?)?;
    Ok(hash.finish().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::manifest::{BlobRef, EfiProgram};
    use landfall_measure::Digest;

    const FILES: [&str; 3] = ["vmlinuz", "initrd", "EFI/BOOT/BOOTX64.EFI"];

    fn blob(name: &str) -> BlobRef {
        BlobRef { name: name.into(), sha256: Digest::of(name.as_bytes()).to_string(), size: 1 }
    }

    /// An ESP, its entry, and the generation.
    fn world() -> (tempfile::TempDir, Entry, Manifest) {
        let esp = tempfile::tempdir().unwrap();
        let [kernel, initrd, shim] = FILES.map(blob);
        for (path, bytes) in
            [(kernel.esp_path(), FILES[0]), (initrd.esp_path(), FILES[1]), (FILES[2].into(), FILES[2])]
        {
            let path = esp.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let options = "landfall.mode=boot landfall.generation=1 landfall.data=a panic=30 quiet \
                       landfall.encrypted=1 landfall.volume=b";
        let entry =
            Entry { linux: kernel.esp_path(), initrds: vec![initrd.esp_path()], options: options.into() };
        let mut manifest: Manifest = toml::from_str(&super::super::tests::manifest("", 3)).unwrap();
        manifest.cmdline = "panic=30 quiet".into();
        (manifest.kernel, manifest.initrds) = (kernel, vec![initrd]);
        manifest.efi = vec![EfiProgram { path: shim.name, sha256: shim.sha256, size: 1 }];
        (esp, entry, manifest)
    }

    #[test]
    fn an_entry_of_its_generation_passes_and_any_other_word_or_file_does_not() {
        let (esp, good, manifest) = world();
        check(&good, &manifest, esp.path()).unwrap();
        let changes: [fn(&mut Entry); 6] = [
            |entry| entry.options.push_str(" init=/bin/sh"),
            |entry| entry.options = entry.options.replace("quiet ", ""),
            |entry| entry.options.push_str(" landfall.generation=2"),
            |entry| entry.options.push_str(" landfall.unattended=1"),
            |entry| entry.initrds.push("evil".into()),
            |entry| entry.linux = "evil".into(),
        ];
        for change in changes {
            let mut entry = good.clone();
            change(&mut entry);
            assert!(check(&entry, &manifest, esp.path()).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn a_file_that_was_exchanged_under_its_name_is_found() {
        for name in FILES {
            let (esp, entry, manifest) = world();
            let path = if name.contains('/') { name.into() } else { blob(name).esp_path() };
            std::fs::write(esp.path().join(&path), "evil").unwrap();
            let why = check(&entry, &manifest, esp.path()).unwrap_err();
            assert!(why.contains(&path) && why.contains("not what its generation says"), "{why}");
        }
    }
}
