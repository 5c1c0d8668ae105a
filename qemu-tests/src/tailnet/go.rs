//! Building the Go programs, each once into the cache.

use super::{HEADSCALE, TAILSCALE};
use crate::error::{Doing, Error, Result};
use crate::process::run;
use crate::tools;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What headscale's module asks for.
const GO_MINOR: u32 = 25;

/// The built programs and the files that tailscale's vendor packs beside them.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Holds `tailscale`, `tailscaled`, `tailscaled.service`, `tailscaled.defaults` and the package's scripts.
    pub tailscale: PathBuf,
    /// The program.
    pub headscale: PathBuf,
}

/// Why the Go of this computer cannot build the tailnet; none if it can.
pub fn missing_go() -> Option<String> {
    let Ok(said) = run(Command::new("go").args(["env", "GOVERSION"])) else {
        return Some(format!("needs Go 1.{GO_MINOR} or newer, and there is none"));
    };
    let version = said.trim();
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor >= GO_MINOR => None,
        _ => Some(format!("needs Go 1.{GO_MINOR} or newer, and this is {version}")),
    }
}

/// Builds what the cache does not hold yet.
pub fn programs() -> Result<Programs> {
    let cache = tools::cache().join("tailnet");
    let tailscale = cache.join(format!("tailscale-{TAILSCALE}"));
    let headscale = cache.join(format!("headscale-{HEADSCALE}"));
    once(&tailscale, build_tailscale)?;
    once(&headscale, build_headscale)?;
    Ok(Programs { tailscale, headscale: headscale.join("headscale") })
}

/// A folder is there whole or not at all: it is filled beside its place and renamed.
fn once(folder: &Path, build: fn(&Path) -> Result<()>) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).doing("creating", parent)?;
    let temporary = tempfile::tempdir_in(parent).doing("creating a folder in", parent)?;
    build(temporary.path())?;
    let kept = temporary.keep();
    std::fs::rename(&kept, folder).doing("renaming into place", folder)
}

fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    // Static programs run in any guest; a niced build leaves the computer usable.
    command.current_dir(folder).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false");
    command
}

fn build_tailscale(folder: &Path) -> Result<()> {
    eprintln!("setting up: building tailscale {TAILSCALE} with Go (about 3 minutes, once)");
    let module = format!("tailscale.com@v{TAILSCALE}");
    let source = download(folder, &module)?;
    let mut command = go(folder);
    command.env("GOBIN", folder).args(["install", "-ldflags", "-s -w"]);
    for name in ["tailscale", "tailscaled"] {
        command.arg(format!("tailscale.com/cmd/{name}@v{TAILSCALE}"));
    }
    run(&mut command)?;
    for name in ["cmd/tailscaled/tailscaled.service", "cmd/tailscaled/tailscaled.defaults"] {
        take(&source.join(name), folder)?;
    }
    for name in ["postinst", "prerm", "postrm"] {
        take(&source.join(format!("release/deb/debian.{name}.sh")), folder)?;
    }
    Ok(())
}

fn build_headscale(folder: &Path) -> Result<()> {
    eprintln!("setting up: building headscale {HEADSCALE} with Go (about 3 minutes, once)");
    let source = download(folder, &format!("github.com/juanfont/headscale@v{HEADSCALE}"))?;
    // `go install …@version` needs the module's version list, which not every proxy serves; a module of our own
    // with a tool line does not. Its checksums start from headscale's: the checksum database lacks one of them.
    let module = format!(
        "module landfall.invalid/headscale\n\ngo 1.{GO_MINOR}.0\n\nrequire github.com/juanfont/headscale v{HEADSCALE}\n\n\
         tool github.com/juanfont/headscale/cmd/headscale\n"
    );
    let work = folder.join("work");
    std::fs::create_dir_all(&work).doing("creating", &work)?;
    std::fs::write(work.join("go.mod"), module).doing("writing go.mod in", &work)?;
    let sums = std::fs::read(source.join("go.sum")).doing("reading go.sum of", &source)?;
    std::fs::write(work.join("go.sum"), sums).doing("writing go.sum in", &work)?;
    run(go(&work).args(["mod", "tidy"]))?;
    let to = folder.join("headscale");
    run(go(&work)
        .args(["build", "-ldflags", "-s -w", "-o"])
        .arg(&to)
        .arg("github.com/juanfont/headscale/cmd/headscale"))?;
    std::fs::remove_dir_all(&work).doing("removing", &work)
}

/// Downloads a module and returns the folder of its source.
fn download(folder: &Path, module: &str) -> Result<PathBuf> {
    let said = run(go(folder).args(["mod", "download", "-json", module]))?;
    let answer: Value = serde_json::from_str(&said)
        .map_err(|error| Error::Unexpected(format!("go mod download {module} said {said:?}: {error}")))?;
    let source = answer["Dir"].as_str().map(PathBuf::from);
    source.ok_or_else(|| Error::Unexpected(format!("go mod download {module} named no folder: {said}")))
}

fn take(file: &Path, folder: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default();
    let bytes = std::fs::read(file).doing("reading", file)?;
    std::fs::write(folder.join(name), bytes).doing("copying", file)
}
