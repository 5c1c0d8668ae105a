//! Loading a module with what it needs.

use super::{Index, normal};
use crate::cmdline::Cmdline;
use crate::error::{Error, Result};
use crate::roots::Roots;
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// `MODULE_INIT_COMPRESSED_FILE` (`linux/module.h`): the kernel decompresses the file itself.
const COMPRESSED_FILE: i32 = 4;

/// Loads modules of one release, from several threads at once.
#[derive(Debug)]
pub struct Loader {
    index: Index,
    folder: PathBuf,
    params: Vec<(String, String)>,
    blacklist: HashSet<String>,
    loaded: Mutex<HashSet<String>>,
}

impl Loader {
    /// The running kernel's modules; without any, everything counts as built in.
    pub fn open(roots: &Roots, cmdline_text: &str) -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let folder = roots.modules.join(release);
        let index = Index::read(&folder).unwrap_or_default();
        let blacklist = Cmdline::parse(cmdline_text)
            .get("modprobe.blacklist")
            .map(|list| list.split(',').map(normal).collect())
            .unwrap_or_default();
        Self { index, folder, params: params(cmdline_text), blacklist, loaded: Mutex::new(HashSet::new()) }
    }

    /// Loads what a device asks for; errors are the driver's affair and end in the kernel's log.
    pub fn load_alias(&self, modalias: &str) {
        for name in self.index.resolve(modalias) {
            if !self.blacklist.contains(&name) {
                let _ = self.load_one(&name, 0);
            }
        }
    }

    /// Loads a module by its name or an alias such as `fs-ext4`. What the kernel has built in,
    /// or what the initrd does not carry, is passed over: a mount that needs it says so itself.
    pub fn load(&self, wanted: &str) -> Result<()> {
        for name in self.index.resolve(wanted) {
            self.load_one(&name, 0)?;
        }
        Ok(())
    }

    fn load_one(&self, name: &str, depth: u32) -> Result<()> {
        // Index files from outside may have a cycle.
        if depth > 32 || self.index.is_builtin(name) || self.loaded().contains(name) {
            return Ok(());
        }
        let Some(module) = self.index.module(name).cloned() else {
            return Ok(());
        };
        let (pre, post) = self.index.soft(name).cloned().unwrap_or_default();
        for soft in pre.iter().flat_map(|soft| self.index.resolve(soft)).collect::<Vec<_>>() {
            let _ = self.load_one(&soft, depth + 1);
        }
        for need in &module.needs {
            self.load_one(need, depth + 1)?;
        }
        let path = self.folder.join(&module.path);
        if let Ok(file) = File::open(&path) {
            // Another thread may be at the same module: the kernel then makes both wait for the one.
            self.insert(name, &file, module.path.extension().is_some_and(|e| e != "ko"))?;
        }
        self.loaded().insert(name.to_owned());
        for soft in post.iter().flat_map(|soft| self.index.resolve(soft)).collect::<Vec<_>>() {
            let _ = self.load_one(&soft, depth + 1);
        }
        Ok(())
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, name: &str, file: &File, compressed: bool) -> Result<()> {
        let values: Vec<&str> = self
            .params
            .iter()
            .filter(|(module, _)| module == name)
            .map(|(_, value)| value.as_str())
            .collect();
        let values = CString::new(values.join(" ")).unwrap_or_default();
        let flags = if compressed { COMPRESSED_FILE } else { 0 };
        match rustix::system::finit_module(file, &values, flags) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(Error::io(format!("loading the kernel module {name}"))(error)),
        }
    }
}

/// `module.param=value` words of the command line, as modprobe takes them from there.
fn params(cmdline: &str) -> Vec<(String, String)> {
    cmdline
        .split_whitespace()
        .filter_map(|word| {
            let (module, param) = word.split_once('.')?;
            let name = param.split('=').next().unwrap_or_default();
            let plain = !module.contains(['=', '/']) && !name.is_empty();
            plain.then(|| (normal(module), param.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_modules() {
        assert_eq!(
            params("usb-storage.quirks=1:2:u root=/a.b landfall.host=x i915.enable_psr=0 ."),
            [
                ("usb_storage".into(), "quirks=1:2:u".into()),
                ("landfall".into(), "host=x".into()),
                ("i915".into(), "enable_psr=0".to_owned())
            ]
        );
    }
}
