//! Editing `shadow(5)`: hashes of the site's users alone, all else byte for byte as it was.

use super::crypt;
use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::roots::Roots;
use rustix::fs::FlockOperation;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::thread;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// User → hash. Wiped when dropped.
pub type Hashes = BTreeMap<String, Zeroizing<String>>;

/// lckpwdf(3) waits 15 seconds.
const LOCK_LIMIT: Duration = Duration::from_secs(15);

/// The lock that `passwd`, `useradd` and their like take: lckpwdf(3), a write lock on
/// `/etc/.pwd.lock`. Dropped with the value.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it.
    pub fn take(roots: &Roots) -> Result<Self> {
        let path = roots.etc(".pwd.lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(Error::at("opening", &path))?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
                Err(errno) => return Err(Error::errno("locking the password files")(errno)),
            }
        }
    }
}

/// Writes these hashes into `/etc/shadow`. True when something changed.
pub fn apply(roots: &Roots, hashes: &Hashes) -> Result<bool> {
    if hashes.is_empty() {
        return Ok(false);
    }
    let _lock = Lock::take(roots)?;
    let path = roots.etc("shadow");
    let old = files::read(&path)?;
    let old =
        std::str::from_utf8(&old).map_err(|_| Error::bad(path.display().to_string(), "it is not UTF-8"))?;
    let new = edit(old, hashes)?;
    if *new == old {
        return Ok(false);
    }
    let about = std::fs::metadata(&path).map_err(Error::at("reading", &path))?;
    let access = Access { uid: about.uid(), gid: about.gid(), mode: about.mode() & 0o7777 };
    files::replace(&path, new.as_bytes(), access)?;
    Ok(true)
}

/// The text with the hashes put in. A hash that is none and a user without a line are errors, so
/// that nothing is half done in silence.
pub fn edit(text: &str, hashes: &Hashes) -> Result<Zeroizing<String>> {
    for (user, hash) in hashes {
        if !crypt::is_hash(hash) {
            return Err(not_a_hash(user));
        }
        if !text.lines().any(|line| name(line) == Some(user)) {
            return Err(Error::Refused(format!(
                "setting the password of {user}: /etc/shadow has no such user; declare [users.{user}] in the site"
            )));
        }
    }
    let room = text.len() + hashes.values().map(|hash| hash.len()).sum::<usize>() + 1;
    let mut out = Zeroizing::new(String::with_capacity(room));
    for line in text.split_inclusive('\n') {
        let hash = name(line).and_then(|user| hashes.get(user));
        let rest = line.splitn(3, ':').nth(2);
        match (hash, rest) {
            (Some(hash), Some(rest)) => {
                out.push_str(name(line).unwrap_or_default());
                out.push(':');
                out.push_str(hash);
                out.push(':');
                out.push_str(rest);
            }
            _ => out.push_str(line),
        }
    }
    Ok(out)
}

/// What is said when a secret is no hash; never what it holds.
pub fn not_a_hash(user: &str) -> Error {
    Error::Refused(format!(
        "setting the password of {user}: the secret is not a password hash of crypt(5); make one with `mkpasswd` and store that"
    ))
}

fn name(line: &str) -> Option<&str> {
    line.split_once(':').map(|(name, _)| name)
}

/// The hashes that last worked, from the state; none if there are none or they are damaged.
pub fn kept(roots: &Roots) -> Result<Hashes> {
    let path = roots.shadow_kept();
    let bytes = match files::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Hashes::new()),
        Err(error) => return Err(error),
    };
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Error::bad(path.display().to_string(), "it is not UTF-8"))?;
    Ok(parse_kept(text))
}

fn parse_kept(text: &str) -> Hashes {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .filter(|(_, hash)| crypt::is_hash(hash))
        .map(|(user, hash)| (user.to_owned(), Zeroizing::new(hash.to_owned())))
        .collect()
}

/// Keeps hashes that work, root-only.
pub fn keep(roots: &Roots, hashes: &Hashes) -> Result<()> {
    if kept(roots).is_ok_and(|old| old == *hashes) {
        return Ok(());
    }
    let room = hashes.iter().map(|(user, hash)| user.len() + hash.len() + 2);
    let mut text = Zeroizing::new(String::with_capacity(room.sum()));
    for (user, hash) in hashes {
        text.push_str(user);
        text.push(':');
        text.push_str(hash);
        text.push('\n');
    }
    files::replace(&roots.shadow_kept(), text.as_bytes(), Access::ROOT_ONLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq";
    const SHADOW: &str = "root:*:20000:0:99999:7:::\nsam:!:20000:0:99999:7:::\nlast:!:1::::::";

    fn hashes(user: &str, hash: &str) -> Hashes {
        Hashes::from([(user.to_owned(), Zeroizing::new(hash.to_owned()))])
    }

    #[test]
    fn changes_the_one_field_and_nothing_else() {
        let new = edit(SHADOW, &hashes("sam", HASH)).unwrap();
        assert_eq!(*new, SHADOW.replace("sam:!:", &format!("sam:{HASH}:")));
        let last = edit(SHADOW, &hashes("last", HASH)).unwrap();
        assert!(last.ends_with(&format!("last:{HASH}:1::::::")));
    }

    #[test]
    fn refuses_what_is_no_hash_without_showing_it() {
        for secret in ["hunter2", "x:0:0\nevil::", ""] {
            let error = edit(SHADOW, &hashes("sam", secret)).unwrap_err().to_string();
            assert!(error.contains("crypt(5)") && !error.contains("hunter2"), "{error}");
        }
        assert!(edit(SHADOW, &hashes("nobody", HASH)).is_err());
    }

    #[test]
    fn a_name_that_is_only_a_part_does_not_match() {
        let new = edit("samuel:!:1::::::\nsam:!:1::::::\n", &hashes("sam", HASH)).unwrap();
        assert!(new.starts_with("samuel:!:1"));
    }

    #[test]
    fn damaged_lines_of_the_kept_hashes_are_dropped() {
        let kept = parse_kept(&format!("sam:{HASH}\nbad\nroot:\n:x\nevil:$6$\u{1}\n"));
        assert_eq!(kept, hashes("sam", HASH));
    }

    #[test]
    fn applies_and_keeps_under_a_root() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        std::fs::create_dir_all(roots.etc("")).unwrap();
        std::fs::create_dir_all(roots.state("")).unwrap();
        std::fs::write(roots.etc("shadow"), SHADOW).unwrap();
        let hashes = hashes("sam", HASH);
        assert!(apply(&roots, &hashes).unwrap());
        assert!(!apply(&roots, &hashes).unwrap());
        assert!(kept(&roots).unwrap().is_empty());
        keep(&roots, &hashes).unwrap();
        assert_eq!(kept(&roots).unwrap(), hashes);
    }
}
