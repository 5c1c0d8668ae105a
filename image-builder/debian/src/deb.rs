//! Reading `.deb` files (deb(5)): an ar archive of `debian-binary`, `control.tar.*`, `data.tar.*`.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path};

/// A control file is a few KB; more than this is no control file.
const MAX_CONTROL_BYTES: u64 = 4 << 20;
/// ar(5): each member starts with 60 bytes of name, date, owner, mode, size and magic.
const AR_HEADER_BYTES: usize = 60;

/// The control paragraph of a `.deb`: its fields as text.
///
/// # Errors
/// If the file is no `.deb`, or has no control file.
pub fn read_control(deb: &Path) -> Result<String> {
    let wrong = |reason: String| Error::parse(deb.display().to_string(), reason);
    let mut archive = tar::Archive::new(open_member(deb, "control.tar")?);
    let entries = archive.entries().map_err(|error| wrong(error.to_string()))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| wrong(format!("its control archive is damaged ({error})")))?;
        let path = entry.path().map_err(|error| wrong(error.to_string()))?.into_owned();
        if path
            .components()
            .filter(|part| *part != Component::CurDir)
            .eq([Component::Normal("control".as_ref())])
        {
            let mut text = String::new();
            entry
                .by_ref()
                .take(MAX_CONTROL_BYTES)
                .read_to_string(&mut text)
                .map_err(|error| wrong(format!("its control file is damaged ({error})")))?;
            return Ok(text);
        }
    }
    Err(wrong("it has no control file".into()))
}

/// The files of a `.deb`, as an uncompressed tar stream.
///
/// # Errors
/// If the file is no `.deb`.
pub fn open_data(deb: &Path) -> Result<Box<dyn Read + Send>> {
    open_member(deb, "data.tar")
}

/// A member whose name is `stem` with a known compression's ending, uncompressed.
fn open_member(deb: &Path, stem: &str) -> Result<Box<dyn Read + Send>> {
    let wrong = |reason: String| Error::parse(deb.display().to_string(), reason);
    let mut file = File::open(deb).map_err(Error::io("opening", deb))?;
    let mut magic = [0; 8];
    if file.read_exact(&mut magic).is_err() || &magic != b"!<arch>\n" {
        return Err(wrong("it is no Debian package".into()));
    }
    loop {
        let mut header = [0; AR_HEADER_BYTES];
        file.read_exact(&mut header).map_err(|_| wrong(format!("it ends before its {stem}")))?;
        let (name, size) = member(&header).ok_or_else(|| wrong("its ar archive is damaged".into()))?;
        if let Some(ending) = name.strip_prefix(stem) {
            let part = BufReader::with_capacity(256 << 10, file.take(size));
            return decompressed(ending, part).ok_or_else(|| {
                wrong(format!("its {name} has a compression that is not known (known: xz, zst, gz, none)"))
            });
        }
        // Members stand at even offsets.
        let skip = i64::try_from(size.saturating_add(size & 1))
            .map_err(|_| wrong("its ar archive is damaged".into()))?;
        file.seek(SeekFrom::Current(skip)).map_err(Error::io("reading", deb))?;
    }
}

/// Name and size out of a member's header.
fn member(header: &[u8; AR_HEADER_BYTES]) -> Option<(&str, u64)> {
    if header.get(58..60)? != b"`\n" {
        return None;
    }
    let text = |range| std::str::from_utf8(header.get(range)?).ok().map(str::trim_end);
    let name = text(0..16)?.trim_end_matches('/');
    let size = text(48..58)?.parse().ok()?;
    Some((name, size))
}

fn decompressed(ending: &str, part: impl std::io::BufRead + Send + 'static) -> Option<Box<dyn Read + Send>> {
    Some(match ending {
        "" => Box::new(part),
        ".xz" => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(part)),
        ".zst" => Box::new(zstd::stream::read::Decoder::with_buffer(part).ok()?),
        ".gz" => Box::new(flate2::bufread::MultiGzDecoder::new(part)),
        _ => return None,
    })
}

/// Extracts a package's files below a folder without running its scripts.
///
/// Owners become those of this process, so an ordinary user can do it; set-user-id bits are
/// dropped. Nothing is written outside the folder, whatever the package says; device nodes are
/// left out.
///
/// # Errors
/// If the package is damaged, or a file cannot be written.
pub fn extract(deb: &Path, root: &Path) -> Result<()> {
    let wrong = |error: std::io::Error| {
        Error::parse(
            deb.display().to_string(),
            format!("extracting it to {} failed: {error}{}", root.display(), cause(&error)),
        )
    };
    let mut archive = tar::Archive::new(open_data(deb)?);
    archive.set_preserve_permissions(false);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(true);
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let kind = entry.header().entry_type();
        let path = entry.path().map_err(wrong)?.into_owned();
        // A folder that an earlier package made, perhaps as a link into /usr, stays as it is.
        if kind.is_dir() && root.join(&path).is_dir() {
            continue;
        }
        if kind.is_block_special() || kind.is_character_special() || kind.is_fifo() {
            continue;
        }
        if !entry.unpack_in(root).map_err(wrong)? {
            return Err(wrong(std::io::Error::other(format!("`{}` leaves the folder", path.display()))));
        }
    }
    Ok(())
}

/// The tar crate wraps the system's reason in its own words.
fn cause(error: &std::io::Error) -> String {
    let mut text = String::new();
    let mut next = std::error::Error::source(error);
    while let Some(inner) = next {
        text.push_str(&format!(": {inner}"));
        next = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
