//! Reading an earlier Landfall without writing a byte to it.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::luks::{Opened, Volume};
use crate::mounts::{Kind, Mount};
use crate::probe::{Disk, Partition};
use crate::{stage1, sys, table, tree};
use age::secrecy::SecretString;
use landfall_disk::{Guids, Layout, SwapSeen};
use landfall_hosts::medium::Seed;
use landfall_hosts::paths::{data, state};
use rustix::fs::statvfs;
use rustix::mount::MountFlags;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// What an earlier Landfall left on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Where its partitions are.
    pub layout: Layout,
    /// Their GUIDs.
    pub guids: Guids,
    /// What is free on its data partition.
    pub free_bytes: u64,
    /// A hibernated session lies in its swap partition.
    pub hibernated: bool,
    /// What its files say.
    pub state: State,
}

/// What the files of an earlier Landfall say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its seed, with the machine-id that it lives under.
    pub seed: Seed,
    /// The format of its state.
    pub format: u64,
    /// Its layers and their sizes in bytes, by sha256.
    pub layers: BTreeMap<String, u64>,
    /// Bytes of its swap file.
    pub swap_file_bytes: u64,
    /// It has an age identity.
    pub has_identity: bool,
}

/// What the data partition of an earlier Landfall is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A file system.
    Files,
    /// A LUKS volume with one.
    Volume,
}

/// How a disk is looked at.
pub struct How<'a> {
    /// Opens its volume, where it has one.
    pub key: Option<&'a SecretString>,
    /// Its system was being replaced: a power cut may have left the file system's journal as the
    /// only place of what was written last.
    pub half: bool,
}

fn words(why: &str) -> Error {
    Error::Words(why.to_owned())
}

/// Looks at a disk whose table has Landfall's marker.
pub fn look(context: &Context, disk: &Disk, how: &How<'_>) -> Result<Earlier> {
    let gpt = table::gpt(disk).ok_or_else(|| words("its partition table is gone"))?;
    let layout = Layout::of(&gpt, disk.size_bytes, disk.sector_bytes);
    let layout = layout.ok_or_else(|| words("its partitions are not Landfall's"))?;
    let guids = Guids::of(&gpt).ok_or_else(|| words("its partitions are not Landfall's"))?;
    let (partition, _) = holds(disk)?;
    let swap = disk.partitions.iter().find(|partition| partition.number == 4);
    let hibernated = swap.is_some_and(|swap| stage1::swap_seen(&swap.path) == SwapSeen::Hibernated);
    let (state, free_bytes) = mounted(context, partition, how)?;
    Ok(Earlier { layout, guids, free_bytes, hibernated, state })
}

/// The data partition of a disk, and what it is: the kernel's word for all else would be "invalid
/// argument".
pub fn holds(disk: &Disk) -> Result<(&Partition, Holds)> {
    let partition = disk.partitions.iter().find(|partition| partition.number == 3);
    let partition = partition.ok_or_else(|| words("the kernel does not show its data partition"))?;
    let doing = || format!("reading {}", partition.path.display());
    let mut file = File::open(&partition.path).map_err(Error::io(doing()))?;
    let found = landfall_disk::probe(&mut file, 0, partition.size_bytes).map_err(Error::disk(doing()))?;
    match found.map_or("nothing known", |found| found.kind) {
        "ext4" => Ok((partition, Holds::Files)),
        "LUKS encryption" => Ok((partition, Holds::Volume)),
        other => Err(Error::Words(format!("its data partition holds {other} and no state"))),
    }
}

/// A journal that waits to be replayed stays as it is, and so do orphans: a disk that is refused
/// in the end keeps every byte. Only where a system was being replaced is the journal replayed
/// first: that machine may not start any more, so nothing else could.
fn mounted(context: &Context, partition: &Partition, how: &How<'_>) -> Result<(State, u64)> {
    let locked = if how.half { None } else { Some(ReadOnly::set(&partition.path)?) };
    let volume = Volume::on(&partition.path);
    let opened = match (how.key, how.half) {
        (None, _) => None,
        (Some(key), true) => volume.open(key)?,
        (Some(key), false) => volume.open_for_reading(key)?,
    };
    let device = opened.as_ref().map_or_else(|| partition.path.clone(), Opened::path);
    if how.half {
        stage1::check_data(context, &device)?;
    }
    let read = read_at(context, &device);
    opened.map_or(Ok(()), Opened::close)?;
    drop(locked);
    read
}

fn read_at(context: &Context, device: &Path) -> Result<(State, u64)> {
    let folder = context.roots.run.join("landfall/earlier");
    let flags = MountFlags::RDONLY | MountFlags::NOATIME | MountFlags::NODEV | MountFlags::NOSUID;
    let kind = Kind { name: "ext4", flags: flags | MountFlags::NOEXEC, options: "noload" };
    let mount = Mount::new(device, &folder, kind)?;
    let state = read(&folder)?;
    let stat = statvfs(&folder).map_err(Error::io(format!("asking how full {} is", folder.display())))?;
    mount.close()?;
    Ok((state, stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// A block device that the kernel writes nothing to, not even what a read-only mount of ext4 would
/// mend.
struct ReadOnly(File);

impl ReadOnly {
    fn set(path: &Path) -> Result<Self> {
        let doing = || format!("locking {} against writing", path.display());
        let file = File::open(path).map_err(Error::io(doing()))?;
        sys::set_read_only(&file, true).map_err(Error::io(doing()))?;
        Ok(Self(file))
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = sys::set_read_only(&self.0, false);
    }
}

/// Reads a data partition that is mounted at `folder`.
pub fn read(folder: &Path) -> Result<State> {
    let top = folder.join(data::STATE);
    let mut seed = seed(folder)?;
    let own = std::fs::read_to_string(top.join(state::ETC).join("machine-id")).unwrap_or_default();
    if is_machine_id(own.trim()) {
        seed.machine_id = own.trim().to_owned();
    }
    let format = top.join(state::FORMAT);
    let text =
        std::fs::read_to_string(&format).map_err(Error::io(format!("reading {}", format.display())))?;
    let format = text.trim().parse().map_err(|error| Error::parse("the format of the state", error))?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let has = |name: &str| size(&top.join(name)) > 0;
    let mut layers = BTreeMap::new();
    for name in tree::entries(&folder.join(data::LAYERS))? {
        let path = folder.join(data::LAYERS).join(name);
        if let Some(sha256) = path.file_stem() {
            layers.insert(sha256.to_string_lossy().into_owned(), size(&path));
        }
    }
    Ok(State {
        seed,
        format,
        layers,
        swap_file_bytes: size(&folder.join(data::SWAP)),
        has_identity: has(state::IDENTITY) || has(state::IDENTITY_SEALED),
    })
}

/// The seed of a data partition that is mounted at `folder`.
pub fn seed(folder: &Path) -> Result<Seed> {
    let path = folder.join(data::STATE).join(state::SEED);
    let text = std::fs::read_to_string(&path).map_err(Error::io(format!("reading {}", path.display())))?;
    let seed: Seed =
        toml::from_str(&text).map_err(|error| Error::parse(path.display().to_string(), error.message()))?;
    match seed.format {
        ..=1 => Ok(seed),
        newer => Err(Error::parse(
            path.display().to_string(),
            format!("its format is {newer}, and this /init reads 1; use a newer medium"),
        )),
    }
}

fn is_machine_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::state as write;

    fn machine() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        write::folders(top.path()).unwrap();
        let seed = Seed { format: 1, host: "vm".into(), machine_id: "0".repeat(32), ..Seed::default() };
        put(top.path(), "landfall/state/seed.toml", &toml::to_string(&seed).unwrap());
        put(top.path(), "landfall/state/format", "1\n");
        top
    }

    fn put(top: &Path, path: &str, text: &str) {
        std::fs::create_dir_all(top.join(path).parent().unwrap()).unwrap();
        std::fs::write(top.join(path), text).unwrap();
    }

    #[test]
    fn state_is_read_as_it_is() {
        let top = machine();
        let bare = read(top.path()).unwrap();
        assert_eq!((bare.seed.machine_id.as_str(), bare.has_identity), ("0".repeat(32).as_str(), false));
        let own = "ab".repeat(16);
        put(top.path(), "landfall/state/etc/machine-id", &format!("{own}\n"));
        put(top.path(), "landfall/state/identity.cred", "sealed");
        put(top.path(), "landfall/layers/aa.erofs", "12345");
        put(top.path(), "landfall/swap", "1234");
        let state = read(top.path()).unwrap();
        assert_eq!((state.seed.machine_id, state.has_identity), (own, true));
        assert_eq!(state.layers, BTreeMap::from([("aa".to_owned(), 5)]));
        assert_eq!((state.format, state.swap_file_bytes), (1, 4));
    }

    #[test]
    fn damaged_state_is_an_error_in_words() {
        for (path, text, says) in [
            ("landfall/state/seed.toml", "no toml", "seed.toml"),
            ("landfall/state/seed.toml", "", "seed.toml"),
            ("landfall/state/format", "many", "format of the state"),
            ("landfall/state/format", "", "format of the state"),
        ] {
            let top = machine();
            put(top.path(), path, text);
            let error = read(top.path()).unwrap_err().chain();
            assert!(error.contains(says), "{error}");
        }
        let top = machine();
        let seed = Seed { format: 2, ..Seed::default() };
        put(top.path(), "landfall/state/seed.toml", &toml::to_string(&seed).unwrap());
        assert!(read(top.path()).unwrap_err().chain().contains("newer medium"));
        assert!(read(tempfile::tempdir().unwrap().path()).is_err());
    }
}
