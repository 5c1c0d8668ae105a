//! A signed apt repository on loopback that holds one package, as its vendor would serve it.

use super::go::Programs;
use super::{TAILSCALE, package};
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
        let release = folder.join("dists/trixie/InRelease");
        let key = folder.join("key.asc");
        if !release.exists() {
            lay_out(programs, folder, &key)?;
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

fn lay_out(programs: &Programs, folder: &Path, key: &Path) -> Result<()> {
    let pool = folder.join("pool");
    let binary = folder.join("dists/trixie/main/binary-amd64");
    for path in [&pool, &binary] {
        std::fs::create_dir_all(path).doing("creating", path)?;
    }
    let deb = package::pack(programs, &pool)?;
    let bytes = std::fs::read(&deb).doing("reading", &deb)?;
    let packages = format!(
        "{}Filename: pool/tailscale_{TAILSCALE}_amd64.deb\nSize: {}\nMD5sum: {}\nSHA256: {}\n\n",
        package::control(),
        bytes.len(),
        hex(&Md5::digest(&bytes)),
        sha256(&deb)?
    );
    let index = binary.join("Packages");
    std::fs::write(&index, &packages).doing("writing", &index)?;
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
