//! Applying an order to a home, as its user. Declared things are made equal to what is declared;
//! what is declared no more goes; what the user changed is kept aside and never lost.

use super::ini::IniFile;
use super::order::{Answer, IniKey, Order, Record};
use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::machine::is_inside;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Does what an order says and gathers what to answer.
pub struct Applier {
    order: Order,
    home: PathBuf,
    date: String,
    record: Record,
    notes: Vec<String>,
    problems: Vec<String>,
}

impl Applier {
    /// Ready to run.
    pub fn new(order: Order) -> Self {
        let home = PathBuf::from(&order.home);
        let date = order.date.clone();
        let mut record = order.record.clone();
        record.schema = 1;
        Self { order, home, date, record, notes: Vec::new(), problems: Vec::new() }
    }

    /// Runs it all. One thing that fails does not hold up the others.
    pub fn run(mut self, contents: &[&[u8]]) -> Answer {
        let order = std::mem::take(&mut self.order);
        if let Some(skeleton) = order.skeleton.as_deref().filter(|_| !self.record.skeleton) {
            self.lay_skeleton(Path::new(skeleton));
        }
        // First what goes: a path may change from a file into a folder.
        self.take_away(&order);
        for (file, content) in order.files.iter().zip(contents) {
            let placed = self.place_file(&file.path, file.mode, content);
            self.judge(&file.path, placed);
        }
        for (path, target) in &order.links {
            let placed = self.place_link(path, target);
            self.judge(path, placed);
        }
        for (path, groups) in &order.ini {
            let edited = self.edit(path, groups);
            self.judge(path, edited);
        }
        Answer { record: self.record, notes: self.notes, problems: self.problems }
    }

    fn judge(&mut self, path: &str, result: Result<()>) {
        if let Err(error) = result {
            self.problems.push(format!("~/{path}: {error}"));
        }
    }

    /// Copies what is not there yet: a home may have been begun before.
    fn lay_skeleton(&mut self, skeleton: &Path) {
        match copy_missing(skeleton, &self.home) {
            Ok(()) => self.record.skeleton = true,
            Err(error) => self.problems.push(error.to_string()),
        }
    }

    fn take_away(&mut self, order: &Order) {
        let declared: BTreeSet<&str> = order.files.iter().map(|file| file.path.as_str()).collect();
        for (path, hash) in self.record.files.clone() {
            if !declared.contains(path.as_str()) {
                let gone = self.remove_file(&path, &hash);
                self.judge(&path, gone);
            }
        }
        for (path, target) in self.record.links.clone() {
            if !order.links.contains_key(&path) {
                let gone = self.remove_link(&path, &target);
                self.judge(&path, gone);
            }
        }
        for path in self.record.ini.keys().cloned().collect::<Vec<_>>() {
            if !order.ini.contains_key(&path) {
                let gone = self.edit(&path, &BTreeMap::new());
                self.judge(&path, gone);
            }
        }
        self.remove_folders();
    }

    fn remove_file(&mut self, path: &str, hash: &str) -> Result<()> {
        let place = self.place(path)?;
        match Present::of(&place)? {
            Present::Nothing => {}
            Present::File(now) if now == hash => {
                fs::remove_file(&place).map_err(Error::at("removing", &place))?;
            }
            _ => self.keep_aside(&place)?,
        }
        self.record.files.remove(path);
        Ok(())
    }

    fn remove_link(&mut self, path: &str, target: &str) -> Result<()> {
        let place = self.place(path)?;
        if fs::read_link(&place).is_ok_and(|now| now == Path::new(target)) {
            fs::remove_file(&place).map_err(Error::at("removing", &place))?;
        }
        self.record.links.remove(path);
        Ok(())
    }

    /// Folders that were made for our files go when they are empty, the deepest first.
    fn remove_folders(&mut self) {
        let folders: Vec<String> = self.record.folders.iter().rev().cloned().collect();
        for folder in folders {
            let gone = match self.place(&folder) {
                Ok(place) => fs::remove_dir(&place).is_ok() || !place.exists(),
                Err(_) => true,
            };
            if gone {
                self.record.folders.remove(&folder);
            }
        }
    }

    fn place_file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let place = self.place(path)?;
        self.make_parents(path, mode)?;
        let wanted = sha256(content);
        let before = self.record.files.get(path);
        match Present::of(&place)? {
            Present::File(now) if now == wanted => {
                set_mode(&place, mode)?;
                self.record.files.insert(path.to_owned(), wanted);
                return Ok(());
            }
            Present::Nothing => {}
            Present::File(now) if before == Some(&now) => {}
            _ => self.keep_aside(&place)?,
        }
        files::replace(&place, content, mine(mode))?;
        self.record.files.insert(path.to_owned(), wanted);
        Ok(())
    }

    fn place_link(&mut self, path: &str, target: &str) -> Result<()> {
        let place = self.place(path)?;
        self.make_parents(path, 0o755)?;
        let before = self.record.links.get(path);
        match Present::of(&place)? {
            Present::Nothing => {}
            Present::Link(now) if now == target || before == Some(&now) => {}
            _ => self.keep_aside(&place)?,
        }
        files::replace_link(&place, Path::new(target))?;
        self.record.links.insert(path.to_owned(), target.to_owned());
        Ok(())
    }

    /// A folder for a private file is private.
    fn make_parents(&mut self, path: &str, mode: u32) -> Result<()> {
        let folder_mode = if mode & 0o077 == 0 { 0o700 } else { 0o755 };
        let parents: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        for parent in parents.iter().rev().filter(|part| !part.as_os_str().is_empty()) {
            let place = self.home.join(parent);
            if place.is_dir() {
                continue;
            }
            if fs::symlink_metadata(&place).is_ok() {
                self.keep_aside(&place)?;
            }
            let made = fs::DirBuilder::new().mode(folder_mode).create(&place);
            made.map_err(Error::at("making", &place))?;
            self.record.folders.insert(parent.to_string_lossy().into_owned());
        }
        Ok(())
    }

    fn keep_aside(&mut self, place: &Path) -> Result<()> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let mut number = 1;
        let aside = loop {
            let end = if number == 1 { String::new() } else { format!("-{number}") };
            let aside = place.with_file_name(format!("{name}.kept-by-landfall-{}{end}", self.date));
            if fs::symlink_metadata(&aside).is_err() {
                break aside;
            }
            number += 1;
        };
        fs::rename(place, &aside).map_err(Error::at("keeping aside", place))?;
        self.notes.push(format!(
            "{} was changed or not ours; it is kept as {}",
            place.display(),
            aside.display()
        ));
        Ok(())
    }

    fn place(&self, path: &str) -> Result<PathBuf> {
        if !is_inside(path) {
            return Err(Error::Refused(format!("{path} does not stay in the home")));
        }
        Ok(self.home.join(path))
    }

    /// Sets the declared keys and takes back those that are declared no more.
    fn edit(
        &mut self,
        path: &str,
        groups: &BTreeMap<String, BTreeMap<String, Option<String>>>,
    ) -> Result<()> {
        let place = self.place(path)?;
        // People link their dotfiles; the file behind the link is the one to edit.
        let real = fs::canonicalize(&place).unwrap_or(place);
        let old = files::read_text(&real)?;
        let mut file = IniFile::parse(old.as_deref().unwrap_or_default());
        let mut keys = self.record.ini.get(path).cloned().unwrap_or_default();
        take_back(&mut file, &mut keys, groups);
        for (group, values) in groups {
            let known = keys.entry(group.clone()).or_default();
            for (key, value) in values {
                set_key(&mut file, known, (group, key), value.as_ref());
            }
        }
        self.write_ini(path, &real, old.as_deref(), &file)?;
        keys.retain(|_, keys| !keys.is_empty());
        if keys.is_empty() {
            self.record.ini.remove(path);
        } else {
            self.record.ini.insert(path.to_owned(), keys);
        }
        Ok(())
    }

    fn write_ini(&mut self, path: &str, real: &Path, old: Option<&str>, file: &IniFile) -> Result<()> {
        let new = file.text();
        match old {
            Some(_) if file.is_bare() && self.record.ini.contains_key(path) => {
                fs::remove_file(real).map_err(Error::at("removing", real))
            }
            Some(old) if old == new => Ok(()),
            None if new.is_empty() => Ok(()),
            _ => {
                self.make_parents(path, 0o644)?;
                let mode = fs::metadata(real).map_or(0o644, |about| about.permissions().mode());
                files::replace(real, new.as_bytes(), mine(mode & 0o7777))
            }
        }
    }
}

/// Keys that are declared no more become what they were, unless the user changed them since.
fn take_back(
    file: &mut IniFile,
    keys: &mut BTreeMap<String, BTreeMap<String, IniKey>>,
    declared: &BTreeMap<String, BTreeMap<String, Option<String>>>,
) {
    for (group, known) in keys.iter_mut() {
        known.retain(|key, was| {
            if declared.get(group).is_some_and(|values| values.contains_key(key)) {
                return true;
            }
            if file.get(group, key) == was.applied {
                match &was.before {
                    Some(value) => file.set(group, key, value),
                    None => file.remove(group, key),
                }
            }
            false
        });
    }
}

fn set_key(
    file: &mut IniFile,
    known: &mut BTreeMap<String, IniKey>,
    (group, key): (&str, &str),
    value: Option<&String>,
) {
    let now = file.get(group, key);
    let before = match known.get(key) {
        // Ours, untouched: what the user had is what was noted then.
        Some(was) if was.applied == now => was.before.clone(),
        _ => now,
    };
    match value {
        Some(value) => file.set(group, key, value),
        None => file.remove(group, key),
    }
    let applied = value.cloned();
    known.insert(key.to_owned(), IniKey { applied, before });
}

enum Present {
    Nothing,
    File(String),
    Link(String),
    Other,
}

impl Present {
    fn of(place: &Path) -> Result<Self> {
        let about = match fs::symlink_metadata(place) {
            Ok(about) => about,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(Error::at("looking at", place)(error)),
        };
        if about.is_symlink() {
            let target = fs::read_link(place).map_err(Error::at("reading", place))?;
            return Ok(Self::Link(target.to_string_lossy().into_owned()));
        }
        // One that is too large to be ours, or that cannot be read, is the user's.
        match files::read(place) {
            Ok(bytes) if about.is_file() => Ok(Self::File(sha256(&bytes))),
            _ => Ok(Self::Other),
        }
    }
}

fn copy_missing(from: &Path, to: &Path) -> Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::at("reading", from)(error)),
    };
    for entry in entries.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let there = fs::symlink_metadata(&target).is_ok();
        let kind = entry.file_type().map_err(Error::at("reading", &source))?;
        if kind.is_dir() {
            if !there {
                fs::create_dir(&target).map_err(Error::at("making", &target))?;
            }
            copy_missing(&source, &target)?;
        } else if kind.is_file() && !there {
            let mode = entry.metadata().map_or(0o644, |about| about.permissions().mode());
            files::replace(&target, &files::read(&source)?, mine(mode & 0o777))?;
        }
    }
    Ok(())
}

fn set_mode(place: &Path, mode: u32) -> Result<()> {
    let now = fs::symlink_metadata(place).map_err(Error::at("looking at", place))?;
    if now.permissions().mode() & 0o7777 == mode {
        return Ok(());
    }
    fs::set_permissions(place, fs::Permissions::from_mode(mode))
        .map_err(Error::at("changing the mode of", place))
}

/// The child's own user and group.
fn mine(mode: u32) -> Access {
    Access { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw(), mode }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
