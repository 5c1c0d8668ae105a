//! Files from servers: size and sha256 are checked while they arrive, an interrupted one is taken
//! up again, and nothing gets its final name before it was whole and right.

use crate::error::{Error, Result};
use crate::hash::{copy_into, hex, sha256_file};
use landfall_hosts::event::{Event, Progress, Task};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

const CONNECTIONS: usize = 5;
const ATTEMPTS: u32 = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
const PEEK_TIMEOUT: Duration = Duration::from_secs(8);
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// One file to have.
#[derive(Debug, Clone)]
pub struct Download {
    /// Where it is.
    pub url: String,
    /// Where it goes.
    pub to: PathBuf,
    /// Bytes, if that is known.
    pub size: Option<u64>,
    /// sha256, hex.
    pub sha256: String,
}

/// A single file that is larger than this is none that anyone meant.
const MAX_UNSIZED_BYTES: u64 = 4 << 30;

/// Fetches over http and https; proxies come from the usual environment variables.
#[derive(Debug, Clone)]
pub struct Fetcher {
    agent: ureq::Agent,
}

impl Default for Fetcher {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .user_agent(concat!("landfall/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(STALL_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .max_idle_connections_per_host(CONNECTIONS)
            .build();
        Self { agent: config.new_agent() }
    }
}

/// Why one attempt failed, and whether another may do better.
enum Failure {
    Again(String),
    Final(Error),
}

impl Fetcher {
    /// A small file whose hash nobody knows yet (an InRelease, which is signed).
    ///
    /// # Errors
    /// If it cannot be had, or is larger than `limit`.
    pub fn small(&self, url: &str, limit: u64) -> Result<Vec<u8>> {
        retry(url, || self.whole(url, limit))
    }

    /// The same, asked for once: where something else can serve.
    pub(crate) fn small_once(&self, url: &str, limit: u64) -> Result<Vec<u8>> {
        self.whole(url, limit).map_err(|failure| match failure {
            Failure::Again(reason) => fetch_error(url, &reason),
            Failure::Final(error) => error,
        })
    }

    fn whole(&self, url: &str, limit: u64) -> std::result::Result<Vec<u8>, Failure> {
        let mut response = self.get(url, None)?;
        let mut bytes = Vec::new();
        let mut body = response.body_mut().as_reader().take(limit + 1);
        body.read_to_end(&mut bytes)
            .map_err(|error| Failure::Again(format!("the connection broke ({error})")))?;
        if bytes.len() as u64 > limit {
            return Err(Failure::Final(fetch_error(url, "it is far too large")));
        }
        Ok(bytes)
    }

    /// The first bytes of a file, asked for once and not for long: for looking around.
    pub(crate) fn peek(&self, url: &str, bytes: u64) -> Option<Vec<u8>> {
        let request = self.agent.get(url).config().timeout_global(Some(PEEK_TIMEOUT)).build();
        let mut response = request.call().ok().filter(|response| response.status() == 200)?;
        let mut start = Vec::new();
        response.body_mut().as_reader().take(bytes).read_to_end(&mut start).ok()?;
        Some(start)
    }

    /// Fetches files, several at a time; `what` names them to whoever watches.
    ///
    /// # Errors
    /// The first failure; files that arrived stay.
    pub fn all(&self, what: &str, downloads: &[Download], progress: &dyn Progress) -> Result<()> {
        if downloads.is_empty() {
            return Ok(());
        }
        let total = downloads.iter().filter_map(|download| download.size).sum();
        progress.event(Event::Begin { task: Task::Download, what: what.to_owned(), total });
        // The largest first, so that none of them is left for the end alone.
        let mut queue: Vec<_> = downloads.iter().collect();
        queue.sort_by_key(|download| std::cmp::Reverse(download.size));
        let done = parallel(queue, |download| self.one(download, progress));
        progress.event(Event::End { task: Task::Download });
        done
    }

    /// Fetches one file.
    fn one(&self, download: &Download, progress: &dyn Progress) -> Result<()> {
        let part = part_path(&download.to);
        let mut file = open_part(&part)?;
        if intact(&download.to, download.size, &download.sha256)? {
            // Another process fetched it while this one waited for the lock.
            return fs::remove_file(&part).or(Ok(()));
        }
        let mut wrong_before = false;
        let fetched = retry(&download.url, || {
            self.attempt(download, &mut file, progress).map_err(|failure| match failure {
                Failure::Final(Error::Untrusted { .. }) if !wrong_before => {
                    wrong_before = true;
                    Failure::Again("it has a wrong hash".into())
                }
                other => other,
            })
        });
        match fetched {
            Ok(()) => fs::rename(&part, &download.to).map_err(Error::io("naming", &download.to)),
            Err(error) => {
                if matches!(error, Error::Untrusted { .. })
                    || file.metadata().is_ok_and(|part| part.len() == 0)
                {
                    let _ = fs::remove_file(&part);
                }
                Err(error)
            }
        }
    }

    /// Continues the partial file to its end and checks it.
    fn attempt(
        &self,
        download: &Download,
        file: &mut File,
        progress: &dyn Progress,
    ) -> std::result::Result<(), Failure> {
        let limit = download.size.unwrap_or(MAX_UNSIZED_BYTES);
        let local = |error| Failure::Final(Error::io("writing", &download.to)(error));
        let mut hasher = Sha256::new();
        let mut have =
            file.seek(SeekFrom::Start(0)).and_then(|_| copy_into(file, &mut hasher)).map_err(local)?;
        if have >= limit && have > 0 {
            restart(file, &mut hasher, &mut have).map_err(local)?;
        }
        let mut response = self.get(&download.url, (have > 0).then_some(have))?;
        if have > 0 && response.status() != 206 {
            restart(file, &mut hasher, &mut have).map_err(local)?;
        }
        let promised = response.body().content_length().map(|length| length + have);
        if let (Some(promised), Some(size)) = (promised, download.size)
            && promised != size
        {
            let reason =
                format!("the mirror has another version of it, of {promised} bytes instead of {size}");
            return Err(Failure::Final(wrong(download, &reason)));
        }
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = body
                .read(&mut buffer)
                .map_err(|error| Failure::Again(format!("the connection broke ({error})")))?;
            let chunk = buffer.get(..read).unwrap_or_default();
            if chunk.is_empty() {
                break;
            }
            have += read as u64;
            if have > limit {
                restart(file, &mut hasher, &mut have).map_err(local)?;
                return Err(Failure::Final(wrong(download, "it is larger than it should be")));
            }
            hasher.update(chunk);
            file.write_all(chunk).map_err(local)?;
            progress.event(Event::Advance { task: Task::Download, by: read as u64 });
        }
        if let Some(size) = download.size.filter(|size| have < *size) {
            return Err(Failure::Again(format!("it ended after {have} of {size} bytes")));
        }
        if hex(&hasher.finalize_reset()) != download.sha256 {
            restart(file, &mut hasher, &mut have).map_err(local)?;
            return Err(Failure::Final(wrong(download, "its sha256 is not the one that was promised")));
        }
        Ok(())
    }

    fn get(
        &self,
        url: &str,
        from: Option<u64>,
    ) -> std::result::Result<ureq::http::Response<ureq::Body>, Failure> {
        let mut request = self.agent.get(url);
        if let Some(from) = from {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let response = request.call().map_err(|error| match error {
            ureq::Error::HostNotFound => Failure::Again("the host is not found (is the network up?)".into()),
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                Failure::Final(fetch_error(url, &format!("this is no usable address ({error})")))
            }
            other => Failure::Again(other.to_string()),
        })?;
        match response.status().as_u16() {
            200 | 206 => Ok(response),
            416 => Err(Failure::Again("the server refused to continue a partial file".into())),
            404 | 410 => Err(Failure::Final(fetch_error(url, crate::error::MISSING))),
            status @ (408 | 425 | 429 | 500..) => {
                Err(Failure::Again(format!("the server answered with status {status}")))
            }
            status => {
                Err(Failure::Final(fetch_error(url, &format!("the server answered with status {status}"))))
            }
        }
    }
}

fn retry<T>(url: &str, mut attempt: impl FnMut() -> std::result::Result<T, Failure>) -> Result<T> {
    let mut last = String::new();
    for count in 0..ATTEMPTS {
        if count > 0 {
            std::thread::sleep(Duration::from_millis(250 << count));
        }
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Again(reason)) => last = reason,
        }
    }
    Err(fetch_error(url, &format!("{last}, {ATTEMPTS} times")))
}

fn fetch_error(url: &str, reason: &str) -> Error {
    Error::Fetch {
        url: url.to_owned(),
        reason: reason.to_owned(),
        remedy: "check the network, or set another [mirror] in site.toml".into(),
    }
}

fn wrong(download: &Download, reason: &str) -> Error {
    Error::Untrusted {
        what: download.url.clone(),
        reason: format!("{reason} (wanted sha256 {})",
            download.sha256),
        remedy: "the mirror may be in the middle of an update: try again in some minutes, or set another [mirror] in site.toml; nothing of it was kept".into(),
    }
}

fn restart(file: &mut File, hasher: &mut Sha256, have: &mut u64) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    *hasher = Sha256::new();
    *have = 0;
    Ok(())
}

fn part_path(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Opens the partial file for this process alone. Whoever waited may hold a file that has its
/// final name by now, so the name is looked up again after the lock.
fn open_part(part: &Path) -> Result<File> {
    if let Some(folder) = part.parent() {
        fs::create_dir_all(folder).map_err(Error::io("making", folder))?;
    }
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(part)
            .map_err(Error::io("opening", part))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| Error::io("locking", part)(error.into()))?;
        let held = file.metadata().map_err(Error::io("reading", part))?.ino();
        if fs::metadata(part).is_ok_and(|named| named.ino() == held) {
            return Ok(file);
        }
    }
}

/// Whether a file is there and what it should be.
fn intact(path: &Path, size: Option<u64>, sha256: &str) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) if size.is_none_or(|size| size == found.len()) => Ok(sha256_file(path)? == sha256),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("reading", path)(error)),
    }
}

/// A file that should be in the cache.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Where.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// sha256, hex.
    pub sha256: String,
}

/// The files that are missing or damaged, by path.
///
/// # Errors
/// If one is there and cannot be read.
pub fn lacking(files: &[Kept], progress: &dyn Progress) -> Result<BTreeSet<PathBuf>> {
    let (there, missing): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.path.exists());
    let lacking: BTreeSet<_> = missing.into_iter().map(|file| file.path.clone()).collect();
    if there.is_empty() {
        return Ok(lacking);
    }
    let total = there.iter().map(|file| file.size).sum();
    progress.event(Event::Begin { task: Task::Verify, what: "packages in the cache".into(), total });
    let lacking = Mutex::new(lacking);
    let done = parallel(there, |file| {
        let whole = intact(&file.path, Some(file.size), &file.sha256)?;
        progress.event(Event::Advance { task: Task::Verify, by: file.size });
        if !whole && let Ok(mut lacking) = lacking.lock() {
            lacking.insert(file.path.clone());
        }
        Ok(())
    });
    progress.event(Event::End { task: Task::Verify });
    done?;
    Ok(lacking.into_inner().unwrap_or_default())
}

/// Works a queue off with several threads; the first failure stops the rest.
fn parallel<T: Copy + Send>(items: Vec<T>, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let threads = CONNECTIONS.min(items.len());
    let queue = Mutex::new(VecDeque::from(items));
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) {
                    if let Err(error) = work(item) {
                        if let Ok(mut queue) = queue.lock() {
                            queue.clear();
                        }
                        if let Ok(mut failure) = failure.lock() {
                            failure.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
