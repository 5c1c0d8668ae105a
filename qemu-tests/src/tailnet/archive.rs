//! A `.deb` by hand: an ar archive of a version line and two tars. Format: deb(5), ar(5).

use crate::error::Result;
use crate::error::{Doing, Error};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;

/// A file of a package.
pub struct Member {
    /// Below the root, without a leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Writes a package.
pub fn write(to: &Path, control: &[Member], data: &[Member]) -> Result<()> {
    let mut out = b"!<arch>\n".to_vec();
    member(&mut out, "debian-binary", b"2.0\n");
    member(&mut out, "control.tar.gz", &tarball(control)?);
    member(&mut out, "data.tar.gz", &tarball(data)?);
    std::fs::write(to, out).doing("writing", to)
}

/// 60 bytes of header, the content, and a newline where the length is odd.
fn member(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let size = bytes.len();
    out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100644).bytes());
    out.extend(bytes);
    if size % 2 == 1 {
        out.push(b'\n');
    }
}

fn tarball(members: &[Member]) -> Result<Vec<u8>> {
    let bad = |source| Error::Io { doing: "packing a tar".into(), source };
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    let mut folders = std::collections::BTreeSet::from(["./".to_owned()]);
    for member in members {
        for (index, _) in member.path.match_indices('/') {
            folders.insert(format!("./{}/", &member.path[..index]));
        }
    }
    for folder in folders {
        append(&mut tar, &folder, 0o755, &[], tar::EntryType::Directory).map_err(bad)?;
    }
    for file in members {
        append(&mut tar, &format!("./{}", file.path), file.mode, &file.bytes, tar::EntryType::Regular)
            .map_err(bad)?;
    }
    let mut encoder = tar.into_inner().map_err(bad)?;
    encoder.flush().map_err(bad)?;
    encoder.finish().map_err(bad)
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &str,
    mode: u32,
    bytes: &[u8],
    kind: tar::EntryType,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    // `set_path` normalises the leading "./" away, which dpkg's own packages have.
    if let Some(name) = header.as_old_mut().name.get_mut(..path.len()) {
        name.copy_from_slice(path.as_bytes());
    }
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_cksum();
    tar.append(&header, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_reads_it_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let deb = folder.path().join("x.deb");
        let control =
            "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n";
        let member = |path: &str, text: &str| Member { path: path.into(), mode: 0o644, bytes: text.into() };
        write(&deb, &[member("control", control)], &[member("usr/share/x/y", "odd")]).unwrap();
        let bytes = std::fs::read(&deb).unwrap();
        assert!(bytes.starts_with(b"!<arch>\ndebian-binary   "));
        if crate::tools::find("dpkg-deb").is_some() {
            let said =
                crate::process::run(std::process::Command::new("dpkg-deb").arg("-c").arg(&deb)).unwrap();
            assert!(said.contains("./usr/share/x/y"), "{said}");
        }
    }
}
