//! The files in which an image grows, before it stands under its name.
//!
//! Their names follow from the image's, so that what a killed build left is used up by the next one;
//! a lock keeps two builds of one image apart.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use tempfile::TempPath;

use super::error::{MediaError, Result};
use super::stamp::Stamp;

/// The folder that a file stands in.
pub(crate) fn folder(out: &Path) -> &Path {
    match out.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// A hidden sibling of `out`.
fn sibling(out: &Path, end: &str) -> Result<PathBuf> {
    let name = out.file_name().ok_or_else(|| {
        MediaError::bad(format!("the image's name {}", out.display()), "it is not the name of a file")
    })?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(end);
    Ok(folder(out).join(hidden))
}

/// A new and empty image beside `out`.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Open for reading and writing.
    pub(crate) image: File,
    /// Its name; the file goes where it is dropped.
    pub(crate) path: TempPath,
}

impl Draft {
    /// Makes the draft of `out`, and removes what a killed build left.
    pub(crate) fn make(out: &Path) -> Result<Self> {
        let path = sibling(out, ".landfall-draft")?;
        let making = || MediaError::file("making the image", &path);
        let image = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(making())?;
        let locked = rustix::fs::flock(&image, FlockOperation::NonBlockingLockExclusive).is_ok();
        // Another build may have renamed its draft to its image since it was opened here.
        let same = || Some(path.metadata().ok()?.ino() == image.metadata().ok()?.ino());
        if !locked || same() != Some(true) {
            let error = std::io::Error::other("another build is writing the same image; wait for it");
            return Err(making()(error));
        }
        image.set_len(0).map_err(making())?;
        let older = sibling(out, ".landfall-older")?;
        if older.exists() {
            std::fs::remove_file(&older).map_err(MediaError::file("removing", &older))?;
        }
        let path = TempPath::try_from_path(&path).map_err(making())?;
        Ok(Self { image, path })
    }
}

/// An image of an earlier build, taken out of its place while it is changed.
#[derive(Debug)]
pub(crate) struct Older {
    /// Open for reading and writing.
    pub(crate) image: File,
    /// What it says of its layers.
    pub(crate) stamp: Stamp,
    /// Its name now; the file goes where it is dropped.
    pub(crate) path: TempPath,
}

impl Older {
    /// Takes the image at `out`, if it is one that nobody changed, shares or uses.
    pub(crate) fn take(out: &Path) -> Option<Self> {
        let meta = out.symlink_metadata().ok()?;
        if !meta.is_file() || meta.nlink() != 1 {
            return None;
        }
        let image = File::options().read(true).write(true).open(out).ok()?;
        // A guest that runs from it holds a lock: it keeps its image, and gets no other under way.
        rustix::fs::fcntl_lock(&image, FlockOperation::NonBlockingLockExclusive).ok()?;
        let stamp = Stamp::read(&image)?;
        // Half up to date it must not be found under its name.
        let path = sibling(out, ".landfall-older").ok()?;
        std::fs::rename(out, &path).ok()?;
        let path = TempPath::try_from_path(path).ok()?;
        Some(Self { image, stamp, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_build_leaves_nothing_for_long_and_two_builds_stay_apart() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("vm.img");
        std::fs::write(dir.path().join(".vm.img.landfall-draft"), b"half").unwrap();
        std::fs::write(dir.path().join(".vm.img.landfall-older"), b"half").unwrap();
        let draft = Draft::make(&out).unwrap();
        assert_eq!(draft.image.metadata().unwrap().len(), 0);
        let error = Draft::make(&out).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("another build"), "{source}");
        drop(draft);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_an_image_of_ours_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("vm.img");
        assert!(Older::take(&out).is_none());
        std::fs::write(&out, b"somebody's").unwrap();
        assert!(Older::take(&out).is_none());
        Stamp::put(&File::open(&out).unwrap(), &[]);
        let hard = dir.path().join("hard");
        std::fs::hard_link(&out, &hard).unwrap();
        assert!(Older::take(&out).is_none());
        std::fs::remove_file(&hard).unwrap();
        assert!(out.exists());
        assert!(Draft::make(Path::new("/")).is_err());
    }
}
