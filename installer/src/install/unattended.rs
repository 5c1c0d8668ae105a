//! What makes a medium install by itself, and what it becomes once it has: files of fixed size
//! that are written in place.

use super::refusal::Refusal;
use crate::error::{Error, Result};
use landfall_hosts::medium::{IDENTITY_SIZE, UNATTENDED_SIZE, Unattended};
use landfall_hosts::paths::data;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The state in which a medium installs.
const PENDING: &str = "pending";
/// The state in which it never does again.
const DONE: &str = "done";

/// Reads the mark of a medium that installs by itself. All newlines, or a mark that names no host,
/// mean an attended medium: that installs whenever a person says so, and is never used up.
pub fn read(folder: &Path) -> std::result::Result<Option<Unattended>, Refusal> {
    let text = std::fs::read_to_string(folder.join(data::UNATTENDED)).unwrap_or_default();
    parse(&text).map_err(|why| {
        Refusal::new(
            "manifest-corrupt",
            format!("the medium's {} is damaged: {why}", data::UNATTENDED),
            "write the medium again",
        )
    })
}

/// Reads the mark's text.
///
/// # Errors
/// In words, if it is damaged.
pub fn parse(text: &str) -> std::result::Result<Option<Unattended>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mark: Unattended = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let hex = mark.install_id.len() == 16
        && mark.install_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !hex {
        return Err(format!("its install id {:?} is not 16 hex digits", mark.install_id));
    }
    if mark.format > 1 {
        return Err("it was written by a newer Landfall than this /init".into());
    }
    if mark.state != PENDING && mark.state != DONE {
        return Err(format!("its state {:?} is neither pending nor done", mark.state));
    }
    Ok(Some(mark).filter(|mark| mark.host.is_some()))
}

/// Whether the medium has installed already.
pub fn is_done(mark: &Unattended) -> bool {
    mark.state == DONE
}

/// Writes the mark as done, in place.
pub fn set_done(folder: &Path, mark: &Unattended) -> Result<()> {
    let done = Unattended { state: DONE.into(), ..mark.clone() };
    let mut text = toml::to_string(&done).map_err(|error| Error::parse("the unattended mark", error))?;
    if text.len() > UNATTENDED_SIZE {
        return Err(Error::parse("the unattended mark", "it does not fit its place"));
    }
    text.extend(std::iter::repeat_n('\n', UNATTENDED_SIZE - text.len()));
    in_place(&folder.join(data::UNATTENDED), text.as_bytes())
}

/// Overwrites every identity on the medium. What is not there needs no erasing.
pub fn erase_identities(folder: &Path) -> Result<()> {
    let identities = folder.join(data::IDENTITIES);
    if !identities.is_dir() {
        return Ok(());
    }
    for name in crate::tree::entries(&identities)? {
        let path = identities.join(name);
        let length = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        let length = usize::try_from(length).unwrap_or(0).clamp(IDENTITY_SIZE, 1 << 20);
        if !is_blank(&path) {
            in_place(&path, &vec![b'\n'; length])?;
        }
    }
    Ok(())
}

/// Whether a bare identity is on the medium: then nobody may have a shell that could read it.
pub fn has_bare_identity(folder: &Path) -> bool {
    let identities = folder.join(data::IDENTITIES);
    let names = crate::tree::entries(&identities).unwrap_or_default();
    names
        .iter()
        .map(Path::new)
        .filter(|name| name.extension().is_some_and(|extension| extension == "key"))
        .any(|name| !is_blank(&identities.join(name)))
}

fn is_blank(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.iter().all(u8::is_ascii_whitespace))
}

/// Over the same blocks, for the old content must be gone and not merely free.
fn in_place(path: &Path, bytes: &[u8]) -> Result<()> {
    let doing = || format!("overwriting {}", path.display());
    let mut file = OpenOptions::new().write(true).open(path).map_err(Error::io(doing()))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(doing()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::host::OnError;

    fn mark(state: &str) -> Unattended {
        Unattended {
            format: 1,
            install_id: "0011223344556677".into(),
            host: Some("vm".into()),
            state: state.into(),
            on_error: OnError::Poweroff,
        }
    }

    #[test]
    fn a_mark_there_and_back_in_its_place() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join(data::UNATTENDED);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, vec![b'\n'; UNATTENDED_SIZE]).unwrap();
        assert_eq!(read(top.path()).unwrap(), None);
        set_done(top.path(), &mark("pending")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), UNATTENDED_SIZE);
        let found = read(top.path()).unwrap().unwrap();
        assert!(is_done(&found));
        assert_eq!(found.on_error, OnError::Poweroff);
        assert_eq!(found.host.as_deref(), Some("vm"));
    }

    #[test]
    fn damaged_marks_are_refused() {
        for text in ["x", "format = 1", "format=1\ninstall_id='zz'\nstate='pending'\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let text = |state: &str| toml::to_string(&mark(state)).unwrap();
        assert!(parse(&text("maybe")).is_err());
        assert!(parse(&text("pending")).unwrap().is_some());
        let older = text("pending").replace("on_error = \"poweroff\"\n", "");
        assert_eq!(parse(&older).unwrap().unwrap().on_error, OnError::Prompt);
        let attended = Unattended { host: None, ..mark("pending") };
        assert_eq!(parse(&toml::to_string(&attended).unwrap()).unwrap(), None);
    }

    #[test]
    fn erasing_leaves_nothing() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join(data::IDENTITIES);
        std::fs::create_dir_all(&folder).unwrap();
        erase_identities(&top.path().join("nothing")).unwrap();
        let mut bytes = b"AGE-SECRET-KEY-1X".to_vec();
        bytes.resize(IDENTITY_SIZE, b'\n');
        std::fs::write(folder.join("vm.key"), &bytes).unwrap();
        std::fs::write(folder.join("vm.age"), vec![b'\n'; IDENTITY_SIZE]).unwrap();
        assert!(has_bare_identity(top.path()));
        erase_identities(top.path()).unwrap();
        assert!(!has_bare_identity(top.path()));
        assert_eq!(std::fs::read(folder.join("vm.key")).unwrap(), vec![b'\n'; IDENTITY_SIZE]);
    }
}
