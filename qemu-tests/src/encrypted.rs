//! Encrypted machines: what their host says, their recovery key, and their ESP in an attacker's hands.

use crate::error::{Doing, Error, Result};
use crate::guest::Guest;
use crate::image;
use crate::process::run_with_input;
use crate::rehearsal::Machine;
use crate::site::{HOST, Site};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use toml::{Table, Value};

/// How long a machine may take from power-on to its disk's lock.
const LIMIT: Duration = Duration::from_secs(300);

/// Adds what `more` says to the host; a secret of that name and value with it.
pub fn edit(site: &Site, more: &str, secret: Option<(&str, &str)>) -> Result<()> {
    let more: Table = more.parse().map_err(|error| Error::Unexpected(format!("{more}: {error}")))?;
    site.edit(&format!("hosts/{HOST}.toml"), |host| {
        for (key, value) in more {
            match (host.get_mut(&key), value) {
                (Some(Value::Table(old)), Value::Table(new)) => old.extend(new),
                (_, value) => drop(host.insert(key, value)),
            }
        }
    })?;
    let Some((name, value)) = secret else { return Ok(()) };
    run_with_input(&mut site.landfall(&["secret", "set", name]), value.as_bytes()).map(drop)
}

/// Encrypts the host's disk, opened by this passphrase.
pub fn by_passphrase(site: &Site, passphrase: &str) -> Result<()> {
    let more = "[disk.encrypt]\nunlock = [\"passphrase\"]\npassphrase = { secret = \"disk\" }\n\
                [secrets.disk]\nfile = \"secrets/disk.age\"\n";
    edit(site, more, Some(("disk", passphrase)))
}

/// The recovery key in the report on the stick, opened with the admin's key.
pub fn recovery_key(site: &Site, stick: &Path) -> Result<String> {
    let wrong = |what: &str| Error::Unexpected(format!("{what} of {}", stick.display()));
    let files = image::esp_files(stick)?;
    let report = files.iter().find(|(name, _)| name.starts_with("reports/") && name.ends_with(".json"));
    let (_, bytes) = report.ok_or_else(|| wrong("no report on the ESP"))?;
    let report: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| wrong(&format!("{error} in the report")))?;
    let sealed = report["recovery_key"].as_str().ok_or_else(|| wrong("no recovery key in the report"))?;
    let file = site.home.join(".config/landfall/identity.txt");
    let identity = std::fs::read_to_string(&file).doing("reading", &file)?;
    let identity: age::x25519::Identity = identity.trim().parse().map_err(|why: &str| wrong(why))?;
    let armored = age::armor::ArmoredReader::new(sealed.as_bytes());
    let key = std::iter::once(&identity as &dyn age::Identity);
    let opened = age::Decryptor::new(armored).and_then(|decryptor| decryptor.decrypt(key));
    let mut text = String::new();
    let mut reader = opened.map_err(|error| wrong(&error.to_string()))?;
    reader.read_to_string(&mut text).doing("reading the report of", stick)?;
    Ok(text)
}

/// What the console says until the disk is open, or until somebody is asked.
pub fn until_lock(machine: &Machine, name: &str) -> Result<String> {
    let mut config = machine.config(name);
    config.machine.drives = vec![machine.target()];
    let mut guest = Guest::start(&config)?;
    guest.wait_for(&["LANDFALL UNLOCK done", "LANDFALL UNLOCK ask", "LANDFALL UNLOCK pin"], LIMIT)?;
    let console = guest.console();
    guest.pull_the_plug();
    Ok(console)
}

/// Puts other bytes in the place of a file of the ESP, as whoever has the disk in hand can. Gives the
/// old ones.
pub fn swap(image: &Path, path: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    write(image, path, bytes, false)
}

/// Adds a file to the ESP, in a folder that may be new.
pub fn add(image: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    write(image, path, bytes, true).map(drop)
}

/// Gives what the file had before.
fn write(image: &Path, path: &str, bytes: &[u8], new: bool) -> Result<Vec<u8>> {
    let place = image::partition(image, 2)?;
    let file = File::options().read(true).write(true).open(image).doing("opening", image)?;
    let doing = || format!("writing {path} into the ESP of {}", image.display());
    let fail = |source| Error::Io { doing: doing(), source };
    let window = Window { file: &file, start: place.offset, length: place.length, at: 0 };
    let filesystem = fatfs::FileSystem::new(window, fatfs::FsOptions::new()).map_err(fail)?;
    let root = filesystem.root_dir();
    if new {
        // fatfs makes a folder that is there already no second time.
        for (at, _) in path.match_indices('/') {
            root.create_dir(&path[..at]).map_err(fail)?;
        }
    }
    let target = if new { root.create_file(path) } else { root.open_file(path) };
    let mut target = target.map_err(fail)?;
    let mut old = Vec::new();
    target.read_to_end(&mut old).map_err(fail)?;
    target.seek(SeekFrom::Start(0)).map_err(fail)?;
    target.truncate().map_err(fail)?;
    target.write_all(bytes).map_err(fail)?;
    target.flush().map_err(fail)?;
    drop((target, root));
    filesystem.unmount().map_err(fail)?;
    Ok(old)
}

/// A part of a file.
struct Window<'a> {
    file: &'a File,
    start: u64,
    length: u64,
    at: u64,
}

impl Window<'_> {
    fn room(&self, wanted: usize) -> usize {
        wanted.min(usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX))
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = self.room(buffer.len());
        let count = self.file.read_at(&mut buffer[..room], self.start + self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write_at(&bytes[..self.room(bytes.len())], self.start + self.at)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| std::io::Error::other("a place before the start"))?;
        Ok(self.at)
    }
}
