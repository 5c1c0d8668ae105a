//! `[files]` and `[units]`: what the site lays into the system by path.

use super::Layer;
use crate::error::Result;
use crate::tree::Meta;
use landfall_hosts::host::File;
use std::path::{Component, Path};

impl Layer<'_> {
    pub(super) fn files(&mut self) -> Result<()> {
        let spec = self.spec;
        for (path, file) in &spec.host.files {
            self.site_file(path, file)?;
        }
        for (name, unit) in &spec.host.units {
            let path = format!("/etc/systemd/system/{}", super::units::with_suffix(name));
            let text = match (&unit.text, &unit.source) {
                (Some(text), _) => text.clone().into_bytes(),
                (None, Some(source)) => self.site_bytes(source)?,
                (None, None) => {
                    return Err(self.refused(&format!("unit {name}"), "it has neither text nor source"));
                }
            };
            self.tree.file(&path, text, Meta::root(0o644));
        }
        Ok(())
    }

    fn site_file(&mut self, path: &str, file: &File) -> Result<()> {
        let what = format!("file {path}");
        let plain = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.starts_with('/') || path.ends_with('/') || !plain {
            return Err(self.refused(&what, "it must be an absolute path without `.` and `..`"));
        }
        if let Some(target) = &file.link {
            self.tree.symlink(path, target);
            return Ok(());
        }
        let bytes = match (&file.text, &file.source, &file.template) {
            (Some(text), _, _) => text.clone().into_bytes(),
            (None, Some(source), _) => self.site_bytes(source)?,
            // The machine makes it at each boot, out of secrets that no layer holds.
            (None, None, Some(_)) => return Ok(()),
            (None, None, None) => return Err(self.refused(&what, "it has no text, source, template or link")),
        };
        let meta = self.owned(&what, file)?;
        self.tree.file(path, bytes, meta);
        Ok(())
    }

    fn owned(&self, what: &str, file: &File) -> Result<Meta> {
        let unknown = |kind: &str, name: &str| {
            self.refused(
                what,
                format!("no package of this host makes the {kind} {name}, and [users] has none of that name"),
            )
        };
        let owner = file.owner.as_deref().unwrap_or("root");
        let group = file.group.as_deref().unwrap_or("root");
        let mode = file.mode.as_deref().unwrap_or("0644");
        let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
        Ok(Meta {
            uid: self.accounts.uid(owner).ok_or_else(|| unknown("user", owner))?,
            gid: self.accounts.gid(group).ok_or_else(|| unknown("group", group))?,
            mode: mode.ok_or_else(|| self.refused(what, "its mode is no octal number such as 0644"))?,
        })
    }

    /// A file of the site, by its path below the site.
    pub(super) fn site_bytes(&self, source: &str) -> Result<Vec<u8>> {
        let inside = Path::new(source)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(self.refused(source, "it leads out of the site; copy the file into it"));
        }
        let path = self.spec.site.join(source);
        std::fs::read(&path).map_err(crate::error::Error::io("reading", &path))
    }
}
