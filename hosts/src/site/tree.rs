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

/// A file of a folder that is laid over a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path below the folder.
    pub path: String,
    /// Its owner may execute it.
    pub program: bool,
    /// It is a symbolic link to this target.
    pub link: Option<String>,
}

/// A site's files. Paths are relative to the site, with `/`.
pub trait Tree {
    /// The text of a file.
    fn read(&self, path: &str) -> io::Result<String>;
    /// What is at a path.
    fn stands(&self, path: &str) -> Option<Stands>;
    /// Every `*.toml` that is a module or a host, sorted.
    fn toml_files(&self) -> io::Result<Vec<String>>;
    /// Every file and link below a folder, sorted.
    fn below(&self, folder: &str) -> io::Result<Vec<Found>> {
        let message = format!("listing {folder}: this site cannot list folders");
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }
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

    fn below(&self, folder: &str) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let named = |e: io::Error| io::Error::new(e.kind(), format!("listing {folder}: {e}"));
        find(&self.0.join(folder), "", &mut found).map_err(named)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}

fn find(root: &Path, below: &str, found: &mut Vec<Found>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let not_text = || io::Error::new(io::ErrorKind::InvalidData, "a file name is not UTF-8");
        let name = entry.file_name().into_string().map_err(|_| not_text())?;
        let path = match below {
            "" => name,
            below => format!("{below}/{name}"),
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find(root, &path, found)?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path())?;
            let link = Some(target.to_str().ok_or_else(not_text)?.to_owned());
            found.push(Found { path, program: false, link });
        } else if kind.is_file() {
            let program = entry.metadata()?.permissions().mode() & 0o100 != 0;
            found.push(Found { path, program, link: None });
        }
    }
    Ok(())
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

    fn below(&self, folder: &str) -> io::Result<Vec<Found>> {
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let paths = self.0.keys().filter_map(|path| path.strip_prefix(&prefix));
        let found: Vec<Found> = paths
            .filter(|path| !path.is_empty() && !path.ends_with('/'))
            .map(|path| Found { path: path.to_owned(), program: false, link: None })
            .collect();
        match self.stands(folder) {
            Some(Stands::Folder) => Ok(found),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("listing {folder}: no such folder"))),
        }
    }

    fn name(&self) -> String {
        "site".into()
    }
}
