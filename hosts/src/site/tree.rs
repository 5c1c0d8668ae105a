//! Where a site's files come from: a folder, or a map in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Folders of a site that hold no modules.
const NO_MODULES: [&str; 8] =
    ["hosts", "files", "home", "secrets", "identities", "facts", "signing", "target"];

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// A site's files. Paths are relative to the site, with `/`.
pub trait Tree {
    /// The text of a file.
    fn read(&self, path: &str) -> io::Result<String>;
    /// What is at a path.
    fn stands(&self, path: &str) -> Option<Stands>;
    /// Every `*.toml` that is a module or a host, sorted.
    fn toml_files(&self) -> io::Result<Vec<String>>;
    /// The folder itself, for messages.
    fn name(&self) -> String;
}

/// A folder.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

impl Tree for Folder {
    fn read(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(self.0.join(path))
    }

    fn stands(&self, path: &str) -> Option<Stands> {
        let meta = std::fs::metadata(self.0.join(path)).ok()?;
        match (meta.is_file(), meta.is_dir()) {
            (true, _) => Some(Stands::File),
            (_, true) => Some(Stands::Folder),
            _ => None,
        }
    }

    fn toml_files(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        walk(&self.0, "", &mut found)?;
        found.sort();
        Ok(found)
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}

fn walk(root: &Path, below: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        let path = match below {
            "" => name.clone(),
            below => format!("{below}/{name}"),
        };
        if name.starts_with('.') {
            continue;
        }
        // Not followed when it is a link: a link to a parent would never end.
        if entry.file_type()?.is_dir() {
            let skipped = below.is_empty() && name != "hosts" && NO_MODULES.contains(&&*name);
            if !skipped && below != "hosts" {
                walk(root, &path, found)?;
            }
        } else if name.ends_with(".toml") && path != "site.toml" {
            found.push(path);
        }
    }
    Ok(())
}

/// Files in memory: path → text. A path that ends in `/` is an empty folder.
#[derive(Debug, Clone, Default)]
pub struct Memory(pub BTreeMap<String, String>);

impl Memory {
    /// Files from pairs of path and text.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect())
    }
}

impl Tree for Memory {
    fn read(&self, path: &str) -> io::Result<String> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        self.0.get(path).cloned().ok_or_else(missing)
    }

    fn stands(&self, path: &str) -> Option<Stands> {
        let folder = format!("{}/", path.trim_end_matches('/'));
        if self.0.contains_key(path) {
            Some(Stands::File)
        } else if self.0.keys().any(|key| key.starts_with(&folder)) {
            Some(Stands::Folder)
        } else {
            None
        }
    }

    fn toml_files(&self) -> io::Result<Vec<String>> {
        let is_module = |path: &&String| {
            let top = path.split('/').next().unwrap_or_default();
            path.ends_with(".toml") && *path != "site.toml" && (top == "hosts" || !NO_MODULES.contains(&top))
        };
        Ok(self.0.keys().filter(is_module).cloned().collect())
    }

    fn name(&self) -> String {
        "site".into()
    }
}
