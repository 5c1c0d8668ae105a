//! Landfall's own files on the machine: its binary and units, what the machine is told, the
//! ciphertexts of its secrets, and the files of its homes.

use super::Layer;
use crate::error::{Error, Result};
use crate::tree::Meta;
use landfall_hosts::homes::Content;
use landfall_hosts::paths::machine;
use std::os::unix::fs::PermissionsExt;

// Its own module of the machine's crate: the builder takes the texts and links none of its code.
#[path = "../../../../firstboot/src/units.rs"]
#[allow(dead_code)]
mod shipped;

const UNITS: &str = "/usr/lib/systemd/system";

impl Layer<'_> {
    pub(super) fn landfall(&mut self) -> Result<()> {
        let spec = self.spec;
        let binary = &spec.machine_binary;
        let bytes = std::fs::read(binary).map_err(Error::io("reading our own program", binary))?;
        self.tree.file(machine::BIN, bytes, Meta::root(0o755));
        self.tree.symlink("/usr/bin/landfall-machine", machine::BIN);
        let text = toml::to_string(&spec.machine)
            .map_err(|error| self.refused("machine.toml", error.to_string()))?;
        self.text(machine::MACHINE_TOML, text);
        for (name, bytes) in &spec.ciphertexts {
            let path = format!("{}/{name}.age", machine::CIPHERTEXTS);
            self.tree.file(&path, bytes.clone(), Meta::root(0o400));
        }
        self.tree.directory(machine::CIPHERTEXTS, Meta::root(0o700));
        if !spec.signing_keys.is_empty() {
            let keys: String = spec.signing_keys.iter().map(|key| format!("{key}\n")).collect();
            self.text(&format!("{}/signing-keys", machine::LIB), keys);
        }
        self.home_files()?;
        self.taken_files()?;
        self.shipped_units();
        Ok(())
    }

    /// Owners are set when the machine lays them into homes; here only root reads them.
    fn home_files(&mut self) -> Result<()> {
        let spec = self.spec;
        for (user, files) in &spec.homes {
            for (path, file) in files {
                let bytes = match &file.content {
                    Content::Site(source) => self.site_bytes(source)?,
                    Content::Text(text) => text.clone().into_bytes(),
                    Content::Link(_) => continue,
                };
                self.tree.file(&format!("{}/{user}/{path}", machine::HOMES), bytes, Meta::root(0o600));
            }
        }
        self.tree.directory(machine::HOMES, Meta::root(0o700));
        Ok(())
    }

    fn taken_files(&mut self) -> Result<()> {
        let spec = self.spec;
        for (path, source) in &spec.taken {
            let failed = || Error::io("taking over the file", source);
            let bytes = std::fs::read(source).map_err(failed())?;
            let about = std::fs::metadata(source).map_err(failed())?;
            let mode = if about.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            self.tree.file(path, bytes, Meta::root(mode));
        }
        Ok(())
    }

    fn shipped_units(&mut self) {
        for item in shipped::items() {
            match item {
                shipped::Item::Unit(name, text, links) => {
                    let place = format!("{UNITS}/{name}");
                    self.text(&place, text);
                    for folder in links.into_iter().flatten() {
                        self.tree.symlink(&format!("{UNITS}/{folder}/{name}"), &format!("../{name}"));
                    }
                }
                shipped::Item::Dropin(path, text) => self.text(&format!("{UNITS}/{path}"), text),
                shipped::Item::Mask(name) => self.mask(name),
            }
        }
    }
}
