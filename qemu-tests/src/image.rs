//! Disk images: sparse files, their fingerprints, their partitions, and the checks that every image must pass.

use crate::error::{Doing, Error, Result};
use crate::process::{attempt, run};
use crate::tools;
use gpt::disk::LogicalBlockSize;
use rustix::fs::{SeekFrom, seek};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const BLOCK: usize = 64 * 1024;

/// One partition of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Counted from 1.
    pub number: u32,
    /// Bytes from the image's start.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// The name in the table.
    pub name: String,
    /// The type's GUID, upper case.
    pub kind: String,
    /// The partition's own GUID, lower case.
    pub guid: String,
}

/// Makes a sparse file of zeros.
pub fn blank(path: &Path, bytes: u64) -> Result<()> {
    let file = File::create(path).doing("creating", path)?;
    file.set_len(bytes).doing("sizing", path)
}

/// Makes a disk as Windows leaves it, as far as anything looks: an ESP with its boot manager's folder, and NTFS.
pub fn windows(path: &Path, bytes: u64) -> Result<()> {
    blank(path, bytes)?;
    let parts =
        ["-n", "1:2048:+64M", "-t", "1:ef00", "-n", "2:0:0", "-t", "2:0700", "-c", "2:Basic data partition"];
    run(Command::new(tools::program("sgdisk")?).args(parts).arg(path))?;
    let esp = partition(path, 1)?;
    let mut bytes = std::io::Cursor::new(vec![0u8; esp.length as usize]);
    fatfs::format_volume(&mut bytes, fatfs::FormatVolumeOptions::new()).doing("formatting", path)?;
    let filesystem = fatfs::FileSystem::new(&mut bytes, fatfs::FsOptions::new()).doing("reading", path)?;
    for folder in ["EFI", "EFI/Microsoft", "EFI/Microsoft/Boot"] {
        filesystem.root_dir().create_dir(folder).doing("filling", path)?;
    }
    drop(filesystem);
    let file = File::options().write(true).open(path).doing("opening", path)?;
    file.write_all_at(bytes.get_ref(), esp.offset).doing("writing", path)?;
    file.write_all_at(b"\xeb\x52\x90NTFS    ", partition(path, 2)?.offset).doing("writing", path)
}

/// Copies a sparse file as one.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(from).arg(to)).map(drop)
}

/// Identifies an image's bytes; holes and written zeros are the same. Blocks of zeros are skipped, so that an
/// empty disk of many gigabytes takes no time.
pub fn fingerprint(path: &Path) -> Result<String> {
    let mut file = File::open(path).doing("opening", path)?;
    let length = file.metadata().doing("reading the size of", path)?.len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    let mut at = 0;
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        at = seek(&file, SeekFrom::Hole(start))
            .map_err(std::io::Error::from)
            .doing("finding holes of", path)?;
        hash_blocks(&mut file, &mut hash, start / BLOCK as u64 * BLOCK as u64, at).doing("reading", path)?;
        at = at.next_multiple_of(BLOCK as u64);
    }
    Ok(hex(&hash.finalize()))
}

fn hash_blocks(file: &mut File, hash: &mut Sha256, start: u64, end: u64) -> std::io::Result<()> {
    let mut buffer = vec![0u8; BLOCK];
    let mut offset = start;
    while offset < end {
        let count = file.read_at(&mut buffer, offset)?;
        let bytes = &buffer[..count];
        if count == 0 {
            return Ok(());
        }
        if bytes.iter().any(|byte| *byte != 0) {
            hash.update(offset.to_le_bytes());
            hash.update(bytes);
        }
        offset += count as u64;
    }
    Ok(())
}

/// The sha256 of a whole file, as `sha256sum` prints it.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).doing("opening", path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; BLOCK];
    loop {
        let count = file.read(&mut buffer).doing("reading", path)?;
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An image's partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The size of sector that it counts in.
    pub sector_bytes: u64,
    /// In order of number.
    pub partitions: Vec<Partition>,
}

/// The partitions of a GPT image.
pub fn partitions(path: &Path) -> Result<Vec<Partition>> {
    Ok(table(path)?.partitions)
}

/// The GPT of an image, in sectors of 512 or 4096 bytes.
pub fn table(path: &Path) -> Result<Table> {
    let open = |block| gpt::GptConfig::new().writable(false).logical_block_size(block).open(path);
    let (disk, sector_bytes) = match open(LogicalBlockSize::Lb512) {
        Ok(disk) => (disk, 512),
        Err(error) => (
            open(LogicalBlockSize::Lb4096).map_err(|_| {
                Error::Unexpected(format!("reading the partition table of {}: {error}", path.display()))
            })?,
            4096,
        ),
    };
    let mut partitions = Vec::new();
    for (number, part) in disk.partitions() {
        partitions.push(Partition {
            number: *number,
            offset: part.first_lba * sector_bytes,
            length: (part.last_lba + 1 - part.first_lba) * sector_bytes,
            name: part.name.clone(),
            kind: part.part_type_guid.guid.to_string().to_uppercase(),
            guid: part.part_guid.to_string().to_lowercase(),
        });
    }
    Ok(Table { sector_bytes, partitions })
}

/// Some bytes of an image.
pub fn bytes(path: &Path, offset: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; length];
    let file = File::open(path).doing("opening", path)?;
    file.read_exact_at(&mut bytes, offset).doing("reading", path)?;
    Ok(bytes)
}

/// The partition of a number.
pub fn partition(path: &Path, number: u32) -> Result<Partition> {
    let found = partitions(path)?.into_iter().find(|part| part.number == number);
    found.ok_or_else(|| Error::Unexpected(format!("{} has no partition {number}", path.display())))
}

/// `sgdisk -v` (which takes a file for a disk of 512-byte sectors; of others the table was checked as it was
/// read), `fsck.vfat -n` on the ESP and `e2fsck -fn` on the data partition; the error holds what they said.
pub fn check(path: &Path) -> Result<()> {
    let said = match table(path)?.sector_bytes {
        512 => run(Command::new(tools::program("sgdisk")?).arg("-v").arg(path))?,
        _ => "No problems found".to_owned(),
    };
    if !said.contains("No problems found") {
        return Err(Error::Unexpected(format!("sgdisk -v {}:\n{said}", path.display())));
    }
    let folder = tempfile::tempdir().doing("creating a folder in", &std::env::temp_dir())?;
    let esp = folder.path().join("esp");
    slice(path, &partition(path, 2)?, &esp)?;
    run(Command::new(tools::program("fsck.vfat")?).arg("-n").arg(&esp))?;
    let data = partition(path, 3)?;
    let image = format!("{}?offset={}", path.display(), data.offset);
    let output = attempt(Command::new(tools::program("e2fsck")?).arg("-fn").arg(&image))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || said.contains("recovering journal") {
        return Err(Error::Unexpected(format!("e2fsck -fn {image}: {}\n{said}", output.status)));
    }
    Ok(())
}

/// Whether the data filesystem was left clean: no journal to replay.
pub fn is_clean(path: &Path) -> Result<bool> {
    let data = partition(path, 3)?;
    let image = format!("{}?offset={}", path.display(), data.offset);
    let said = run(Command::new(tools::program("dumpe2fs")?).args(["-h", &image]))?;
    let state = said.lines().find(|line| line.starts_with("Filesystem state:"));
    Ok(state.is_some_and(|line| line.trim_end().ends_with(" clean")) && !said.contains("needs_recovery"))
}

/// Copies a partition's bytes into a sparse file.
pub fn slice(image: &Path, part: &Partition, to: &Path) -> Result<()> {
    let source = File::open(image).doing("opening", image)?;
    let target = File::create(to).doing("creating", to)?;
    target.set_len(part.length).doing("sizing", to)?;
    let mut buffer = vec![0u8; BLOCK];
    let mut done = 0;
    while done < part.length {
        let want = BLOCK.min((part.length - done) as usize);
        source.read_exact_at(&mut buffer[..want], part.offset + done).doing("reading", image)?;
        if buffer[..want].iter().any(|byte| *byte != 0) {
            target.write_all_at(&buffer[..want], done).doing("writing", to)?;
        }
        done += want as u64;
    }
    Ok(())
}

/// Reads one file of the data partition without mounting it.
pub fn data_file(image: &Path, path: &str) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir().doing("creating a folder in", &std::env::temp_dir())?;
    let out = folder.path().join("out");
    debugfs(image, &format!("dump /{path} {}", out.display()))?;
    std::fs::read(&out).doing(&format!("reading {path} out of"), image)
}

/// The names in one folder of the data partition.
pub fn data_names(image: &Path, path: &str) -> Result<Vec<String>> {
    let listed = debugfs(image, &format!("ls -p /{path}"))?;
    let names =
        listed.lines().filter_map(|line| line.split('/').nth(5)).filter(|name| !name.starts_with('.'));
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Where the byte `offset` of a file of the data partition stands in the image.
pub fn data_place(image: &Path, path: &str, offset: u64) -> Result<u64> {
    const EXT4_BLOCK: u64 = 4096;
    let said = debugfs(image, &format!("bmap /{path} {}", offset / EXT4_BLOCK))?;
    let block: u64 = said.trim().parse().map_err(|_| {
        Error::Unexpected(format!("finding {path} in {}: debugfs said {said:?}", image.display()))
    })?;
    Ok(partition(image, 3)?.offset + block * EXT4_BLOCK + offset % EXT4_BLOCK)
}

/// Turns one byte of a file of the data partition into another, as a bad stick would.
pub fn corrupt(image: &Path, path: &str, offset: u64) -> Result<()> {
    let place = data_place(image, path, offset)?;
    let file = File::options().read(true).write(true).open(image).doing("opening", image)?;
    let mut byte = [0u8];
    file.read_exact_at(&mut byte, place).doing("reading", image)?;
    file.write_all_at(&[byte[0] ^ 0x5a], place).doing("writing", image)
}

fn debugfs(image: &Path, request: &str) -> Result<String> {
    let place = format!("{}?offset={}", image.display(), partition(image, 3)?.offset);
    run(Command::new(tools::program("debugfs")?).args(["-R", request, &place]))
}

/// The files of the ESP with their content, by path.
pub fn esp_files(image: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = tempfile::tempdir().doing("creating a folder in", &std::env::temp_dir())?;
    let esp = folder.path().join("esp");
    slice(image, &partition(image, 2)?, &esp)?;
    let file = File::options().read(true).write(true).open(&esp).doing("opening", &esp)?;
    let bad = |error: std::io::Error| Error::Io {
        doing: format!("reading the ESP of {}", image.display()),
        source: error,
    };
    let filesystem = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).map_err(bad)?;
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), filesystem.root_dir())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in folder.iter() {
            let entry = entry.map_err(bad)?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{prefix}{name}");
            if entry.is_dir() {
                folders.push((format!("{path}/"), entry.to_dir()));
            } else {
                let mut bytes = Vec::new();
                entry.to_file().read_to_end(&mut bytes).map_err(bad)?;
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Overwrites a file of the ESP, or makes it, in a folder that is there.
pub fn put_esp_file(image: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir().doing("creating a folder in", &std::env::temp_dir())?;
    let (esp, part) = (folder.path().join("esp"), partition(image, 2)?);
    slice(image, &part, &esp)?;
    let file = File::options().read(true).write(true).open(&esp).doing("opening", &esp)?;
    let filesystem = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).doing("reading", &esp)?;
    let mut inside = filesystem.root_dir().create_file(path).doing("opening", path.as_ref())?;
    inside.truncate().and_then(|()| inside.write_all(bytes)).doing("writing", path.as_ref())?;
    drop(inside);
    filesystem.unmount().doing("writing", &esp)?;
    let (from, to) = (File::open(&esp), File::options().read(true).write(true).open(image));
    let (from, to) = (from.doing("opening", &esp)?, to.doing("opening", image)?);
    let (mut new, mut old) = (vec![0u8; BLOCK], vec![0u8; BLOCK]);
    for at in (0..part.length).step_by(BLOCK) {
        let count = from.read_at(&mut new, at).doing("reading", &esp)?;
        to.read_exact_at(&mut old[..count], part.offset + at).doing("reading", image)?;
        if new[..count] != old[..count] {
            to.write_all_at(&new[..count], part.offset + at).doing("writing", image)?;
        }
    }
    Ok(())
}

/// Writes the kernel and the joined initrds of a medium's host into a folder, for a direct boot.
pub fn boot_files(medium: &Path, host: &str, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let text = data_file(medium, &format!("landfall/generations/{host}.toml"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let manifest: landfall_hosts::manifest::Manifest = toml::from_str(&text)
        .map_err(|error| Error::Unexpected(format!("reading the manifest of {host}: {error}")))?;
    let files = esp_files(medium)?;
    let content = |path: String| {
        let found = files.iter().find(|(name, _)| name.eq_ignore_ascii_case(&path));
        found
            .map(|(_, bytes)| bytes.clone())
            .ok_or_else(|| Error::Unexpected(format!("the ESP has no {path}")))
    };
    let (kernel, initrd) = (folder.join("vmlinuz"), folder.join("initrd"));
    std::fs::write(&kernel, content(manifest.kernel.esp_path())?).doing("writing", &kernel)?;
    let mut joined = Vec::new();
    for blob in &manifest.initrds {
        // Each archive starts on a multiple of four, as the boot loader lays them out.
        joined.resize(joined.len().next_multiple_of(4), 0);
        joined.extend(content(blob.esp_path())?);
    }
    std::fs::write(&initrd, joined).doing("writing", &initrd)?;
    Ok((kernel, initrd))
}

/// The command line of a medium's unattended entry.
pub fn unattended_options(medium: &Path) -> Result<String> {
    options(medium, "landfall.unattended=1")
}

/// The command line of the boot entry that has `word` in its options.
pub fn options(medium: &Path, word: &str) -> Result<String> {
    let files = esp_files(medium)?;
    let entries = files.iter().filter(|(name, _)| name.starts_with("loader/entries/"));
    let texts = entries.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    let options = texts.filter_map(|text| {
        let words: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("options")).map(str::trim).collect();
        Some(words.join(" ")).filter(|options| options.contains(word))
    });
    let found = options.min();
    found.ok_or_else(|| Error::Unexpected(format!("{} has no boot entry with {word}", medium.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_bytes_and_not_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        blank(&a, 1 << 20).unwrap();
        std::fs::write(&b, vec![0u8; 1 << 20]).unwrap();
        assert_eq!(fingerprint(&a).unwrap(), fingerprint(&b).unwrap());
        File::options().write(true).open(&a).unwrap().write_all_at(&[1], 700_001).unwrap();
        let first = fingerprint(&a).unwrap();
        File::options().write(true).open(&b).unwrap().write_all_at(&[1], 700_001).unwrap();
        assert_eq!(first, fingerprint(&b).unwrap());
        File::options().write(true).open(&b).unwrap().write_all_at(&[2], 3).unwrap();
        assert_ne!(first, fingerprint(&b).unwrap());
    }
}
