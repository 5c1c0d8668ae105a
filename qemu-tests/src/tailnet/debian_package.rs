//! A small package to install on a machine.

use super::archive::{Member, write};
use crate::error::{Doing, Result};
use crate::image::sha256;
use std::path::Path;

/// Writes a package `hello` and returns the stanza of an index that names it `hello.deb`.
pub fn hello(to: &Path) -> Result<String> {
    let control = "Package: hello\nVersion: 2.10-landfall1\nArchitecture: all\nMaintainer: Landfall <test@example.org>\n\
                   Description: greets\n";
    let script =
        "#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then useradd --system --no-create-home _hello; fi\n";
    let member = |path: &str, mode, text: &str| Member { path: path.into(), mode, bytes: text.into() };
    write(
        to,
        &[member("control", 0o644, control), member("postinst", 0o755, script)],
        &[member("usr/bin/hello", 0o755, "#!/bin/sh\necho 'Hello, world!'\n")],
    )?;
    let size = std::fs::metadata(to).doing("reading the size of", to)?.len();
    Ok(format!("{control}Filename: ./hello.deb\nSize: {size}\nSHA256: {}\n\n", sha256(to)?))
}
