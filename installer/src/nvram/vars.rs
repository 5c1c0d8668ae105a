//! efivarfs: one file per variable, four bytes of attributes and then the value (kernel,
//! `Documentation/filesystems/efivarfs.rst`).

use crate::error::{Error, Result};
use crate::roots::Roots;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Non-volatile, and readable at boot and at run time (UEFI specification 2.10, 8.2).
const ATTRIBUTES: u32 = 0x7;
/// No boot variable is longer; a hostile firmware must not fill the memory.
const MAX_BYTES: u64 = 64 * 1024;

/// The folder of variables.
#[derive(Debug, Clone)]
pub struct Vars(PathBuf);

impl Vars {
    /// Those of the machine below `roots`.
    pub fn open(roots: &Roots) -> Self {
        Self(roots.sys.join("firmware/efi/efivars"))
    }

    /// Whether the firmware shows any.
    pub fn present(&self) -> bool {
        std::fs::read_dir(&self.0).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// A variable's value without its attributes.
    pub fn read(&self, name: &str, vendor: &str) -> Option<Vec<u8>> {
        use std::io::Read;
        let mut bytes = Vec::new();
        File::open(self.path(name, vendor)).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        bytes.get(4..).map(<[u8]>::to_vec)
    }

    /// Sets a variable. The whole value must be one write.
    pub fn write(&self, name: &str, vendor: &str, value: &[u8]) -> Result<()> {
        let path = self.path(name, vendor);
        let doing = || format!("writing the firmware variable {name}");
        if path.exists() {
            unlock(&path).map_err(Error::io(doing()))?;
        }
        let mut bytes = ATTRIBUTES.to_le_bytes().to_vec();
        bytes.extend_from_slice(value);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(Error::io(doing()))?;
        file.write_all(&bytes).map_err(Error::io(doing()))
    }

    /// Removes a variable; one that is not there is fine.
    pub fn remove(&self, name: &str, vendor: &str) -> Result<()> {
        let path = self.path(name, vendor);
        if !path.exists() {
            return Ok(());
        }
        unlock(&path)
            .and_then(|()| std::fs::remove_file(&path))
            .map_err(Error::io(format!("removing the firmware variable {name}")))
    }

    /// Names of all variables of `vendor`.
    pub fn names(&self, vendor: &str) -> Vec<String> {
        let end = format!("-{vendor}");
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(&end)?.to_owned())).collect()
    }

    fn path(&self, name: &str, vendor: &str) -> PathBuf {
        self.0.join(format!("{name}-{vendor}"))
    }
}

/// efivarfs guards variables against `rm -r` with the immutable flag. A folder of a test has none.
fn unlock(path: &Path) -> std::io::Result<()> {
    let file = File::open(path)?;
    if let Ok(flags) = ioctl_getflags(&file)
        && flags.contains(IFlags::IMMUTABLE)
    {
        ioctl_setflags(&file, flags - IFlags::IMMUTABLE)?;
    }
    Ok(())
}
