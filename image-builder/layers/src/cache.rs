//! Layers in the cache: `layers/<input id>/{tree,layer.erofs,meta.toml}`.
//!
//! A layer is made in a temporary folder beside the others and renamed when its tree is whole, so
//! that layers above can build on it while it is packed. `meta.toml` is written last, after all
//! else reached the disk: a folder without it is not a layer. The next run removes what an
//! interrupted one left.

use crate::error::{Error, Result};
use crate::sandbox::Mode;
use landfall_debian::cache::replace_file;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PREFIX: &str = ".new-";
const META: &str = "meta.toml";

/// What is known of a finished layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Hash of the image, hex.
    pub sha256: String,
    /// Bytes of the image.
    pub size: u64,
    /// Date of the layer, seconds since 1970.
    pub epoch: u64,
    /// `root` or `user`: whose ids and attributes the unpacked tree has.
    pub mode: String,
    /// System users up to this layer: files and lists in it have these ids.
    #[serde(default)]
    pub users: BTreeMap<String, u32>,
    /// System groups up to this layer.
    #[serde(default)]
    pub groups: BTreeMap<String, u32>,
}

/// The cache of layers, held by this process alone while it builds.
#[derive(Debug)]
pub struct LayerCache {
    root: PathBuf,
    mode: &'static str,
    _lock: File,
}

impl LayerCache {
    /// Opens the folder and waits until no other build uses it; `waiting` is called if one does.
    pub fn open(root: &Path, mode: Mode, waiting: impl FnOnce()) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io("making", root))?;
        let path = root.join(".lock");
        let lock = File::create(&path).map_err(Error::io("opening", &path))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            waiting();
            rustix::fs::flock(&lock, FlockOperation::LockExclusive)
                .map_err(|errno| Error::io("locking", &path)(errno.into()))?;
        }
        let mode = if mode == Mode::Root { "root" } else { "user" };
        let cache = Self { root: root.to_owned(), mode, _lock: lock };
        cache.remove_leftovers()?;
        Ok(cache)
    }

    fn remove_leftovers(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root).map_err(Error::io("listing", &self.root))? {
            let entry = entry.map_err(Error::io("listing", &self.root))?;
            let place = entry.path();
            let unfinished = entry.file_name().to_string_lossy().starts_with(PREFIX)
                || (place.is_dir() && !place.join(META).exists());
            if unfinished {
                fs::remove_dir_all(&place).map_err(Error::io("removing an unfinished layer", &place))?;
            }
        }
        Ok(())
    }

    /// Mode's name as it stands in [`Meta`].
    pub fn mode(&self) -> &'static str {
        self.mode
    }

    /// The folder of a layer.
    pub fn folder(&self, input_id: &str) -> PathBuf {
        self.root.join(input_id)
    }

    /// A layer that was built before. One of the other mode has other owners: it counts as absent.
    pub fn find(&self, input_id: &str) -> Option<Meta> {
        let folder = self.folder(input_id);
        let text = fs::read_to_string(folder.join(META)).ok()?;
        let meta: Meta = toml::from_str(&text).ok()?;
        let image = folder.join("layer.erofs").metadata().ok()?;
        (meta.mode == self.mode && image.len() == meta.size && folder.join("tree").is_dir()).then_some(meta)
    }

    /// An empty folder to build in.
    pub fn begin(&self) -> Result<TempDir> {
        let make = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&self.root);
        let folder = make.map_err(Error::io("making a folder in", &self.root))?;
        // The root directory of a build must be open to the users that packages' scripts become.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .map_err(Error::io("setting the mode of", folder.path()))?;
        Ok(folder)
    }

    /// Names a folder whose tree is whole; the image and [`Meta`] are still to come.
    pub fn place(&self, folder: TempDir, input_id: &str) -> Result<PathBuf> {
        let place = self.folder(input_id);
        if place.exists() {
            fs::remove_dir_all(&place).map_err(Error::io("replacing", &place))?;
        }
        fs::rename(folder.path(), &place).map_err(Error::io("naming", &place))?;
        // Renamed: nothing is left for the guard to remove.
        drop(folder.keep());
        Ok(place)
    }

    /// Makes a folder a layer. What later builds rely on reaches the disk first: the image, and
    /// (unless `image_only`, for a tree that no layer is built on) the tree.
    pub fn commit(&self, input_id: &str, meta: &Meta, image_only: bool) -> Result<()> {
        let place = self.folder(input_id);
        let text =
            toml::to_string(meta).map_err(|error| Error::refused("describing a layer", error.to_string()))?;
        let image = place.join("layer.erofs");
        let handle = File::open(&image).map_err(Error::io("opening", &image))?;
        let synced = if image_only { rustix::fs::fsync(&handle) } else { rustix::fs::syncfs(&handle) };
        synced.map_err(|errno| Error::io("syncing", &place)(errno.into()))?;
        Ok(replace_file(&place.join(META), text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_there_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cache = LayerCache::open(dir.path(), Mode::Root, || ()).unwrap();
        let folder = cache.begin().unwrap();
        fs::create_dir(folder.path().join("tree")).unwrap();
        fs::write(folder.path().join("layer.erofs"), "image").unwrap();
        let meta = Meta {
            sha256: "00".into(),
            size: 5,
            epoch: 1,
            mode: "root".into(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        assert_eq!(cache.find("id"), None);
        cache.place(folder, "id").unwrap();
        assert_eq!(cache.find("id"), None, "without its description it is no layer");
        cache.commit("id", &meta, false).unwrap();
        assert_eq!(cache.find("id"), Some(meta));
        fs::write(dir.path().join("id/layer.erofs"), "cut").unwrap();
        assert_eq!(cache.find("id"), None, "an image that was cut short is built again");
        for left in [".new-left", "placed"] {
            fs::create_dir(dir.path().join(left)).unwrap();
        }
        drop(cache);
        LayerCache::open(dir.path(), Mode::Root, || ()).unwrap();
        assert!(!dir.path().join(".new-left").exists() && !dir.path().join("placed").exists());
        assert!(dir.path().join("id").exists());
    }
}
