//! A signed apt repository on loopback that holds one package, as its vendor would serve it.

use super::go::Programs;
use super::package;
use crate::error::{Doing, Result};
use crate::http::Server;
use crate::image::{hex, sha256};
use crate::process::run;
use crate::tools;
use md5::{Digest, Md5};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Served while it lives.
pub struct Repository {
    server: Server,
    key: PathBuf,
}

impl Repository {
    /// Lays out the repository in `folder` (once: a folder that has one is served as it is) and serves it.
    pub fn start(programs: &Programs, folder: &Path) -> Result<Self> {
        Self::start_with(programs, folder, |_| Ok(None))
    }

    /// Like [`Self::start`], with a further package that `extra` puts into the pool.
    pub fn start_with(
        programs: &Programs,
        folder: &Path,
        extra: impl FnOnce(&Path) -> Result<Option<PathBuf>>,
    ) -> Result<Self> {
        let key = folder.join("key.asc");
        if !folder.join("dists/trixie/InRelease").exists() {
            let pool = folder.join("pool");
            std::fs::create_dir_all(&pool).doing("creating", &pool)?;
            let mut stanzas = stanza(&package::control(), &package::pack(programs, &pool)?)?;
            if let Some(deb) = extra(&pool)? {
                let control = run(Command::new("dpkg-deb").arg("-f").arg(&deb))?;
                stanzas.push_str(&stanza(&control, &deb)?);
            }
            lay_out(folder, &stanzas, &key)?;
        }
        Ok(Self { server: Server::start(folder)?, key })
    }

    /// For `[apt.tailscale] uri`.
    pub fn uri(&self) -> String {
        self.server.url()
    }

    /// The armoured public key.
    pub fn key(&self) -> &Path {
        &self.key
    }
}

/// What an index says of a package in the pool.
fn stanza(control: &str, deb: &Path) -> Result<String> {
    let bytes = std::fs::read(deb).doing("reading", deb)?;
    let name = deb.file_name().unwrap_or_default().to_string_lossy();
    let (size, md5, hash) = (bytes.len(), hex(&Md5::digest(&bytes)), sha256(deb)?);
    let control = control.trim_end();
    Ok(format!("{control}\nFilename: pool/{name}\nSize: {size}\nMD5sum: {md5}\nSHA256: {hash}\n\n"))
}

fn lay_out(folder: &Path, packages: &str, key: &Path) -> Result<()> {
    let binary = folder.join("dists/trixie/main/binary-amd64");
    std::fs::create_dir_all(&binary).doing("creating", &binary)?;
    let index = binary.join("Packages");
    std::fs::write(&index, packages).doing("writing", &index)?;
    let date = run(Command::new("date").args(["-Ru"]))?;
    let date = date.trim().replace("+0000", "UTC");
    let release = format!(
        "Origin: Tailscale\nLabel: Tailscale\nSuite: trixie\nCodename: trixie\nArchitectures: amd64\nComponents: main\n\
         Description: Tailscale, served by a test\nDate: {date}\nSHA256:\n {} {:>8} main/binary-amd64/Packages\n",
        sha256(&index)?,
        packages.len()
    );
    sign(folder, &release, key)
}

/// A key that lives in this folder alone signs the release.
fn sign(folder: &Path, release: &str, key: &Path) -> Result<()> {
    let gpg = tools::program("gpg")?;
    // gpg-agent's socket has a short path limit, so its home is never below a deep folder.
    let home = tempfile::Builder::new()
        .prefix("lf-gpg")
        .tempdir()
        .doing("creating a folder in", &std::env::temp_dir())?;
    let command = || {
        let mut command = Command::new(&gpg);
        command.arg("--homedir").arg(home.path()).args(["--batch", "--quiet", "--yes", "--passphrase", ""]);
        command.args(["--pinentry-mode", "loopback"]);
        command
    };
    run(command().args([
        "--quick-generate-key",
        "Landfall test repository <test@example.org>",
        "rsa3072",
        "sign",
        "never",
    ]))?;
    let plain = home.path().join("Release");
    std::fs::write(&plain, release).doing("writing", &plain)?;
    let signed = folder.join("dists/trixie/InRelease");
    run(command()
        .args(["--digest-algo", "SHA512", "--clearsign", "--output"])
        .arg(home.path().join("signed"))
        .arg(&plain))?;
    run(command().args(["--armor", "--export", "--output"]).arg(key))?;
    // The agent that gpg started would outlive its folder.
    let _ = run(Command::new("gpgconf").arg("--homedir").arg(home.path()).args(["--kill", "all"]));
    let bytes =
        std::fs::read(home.path().join("signed")).doing("reading the signed release in", home.path())?;
    // Last: its presence says that the rest is there.
    std::fs::write(&signed, bytes).doing("writing", &signed)
}
