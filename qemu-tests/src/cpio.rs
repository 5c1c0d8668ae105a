//! An archive that a kernel unpacks beside an initrd's own (kernel, Documentation/driver-api/early-userspace/buffer-format.rst).

use crate::error::{Doing, Result};
use std::path::PathBuf;

const FOLDER: u32 = 0o040755;
const PROGRAM: u32 = 0o100755;

/// Folders, parents first, and executable files, as (name in the archive, file here).
pub fn archive(folders: &[&str], files: &[(String, PathBuf)]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for folder in folders {
        entry(&mut out, folder, FOLDER, &[]);
    }
    for (name, path) in files {
        entry(&mut out, name, PROGRAM, &std::fs::read(path).doing("reading", path)?);
    }
    entry(&mut out, "TRAILER!!!", 0, &[]);
    Ok(out)
}

fn entry(out: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8]) {
    let fields =
        [out.len() as u32, mode, 0, 0, 1, 0, bytes.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
    out.extend(b"070701");
    for field in fields {
        out.extend(format!("{field:08x}").bytes());
    }
    out.extend(name.bytes().chain([0]));
    pad(out);
    out.extend(bytes);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
