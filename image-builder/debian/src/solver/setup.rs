//! apt's folder: configuration, sources, lists, preferences, status.

use super::{HELD_PRIORITY, Pin, Question};
use crate::archive::{Archive, Suite};
use crate::cache::{Cache, replace_file};
use crate::error::{Error, Result};
use crate::hash;
use crate::tools::Tools;
use landfall_hosts::lock::{LockedPackage, PackageKey};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A name that is never looked up (RFC 6761, `invalid`): apt only simulates.
const HOST: &str = "landfall.invalid";

/// A package that no archive has: our own, a single `.deb`, one that a mirror dropped.
#[derive(Debug, Clone)]
pub struct LocalPackage {
    /// Its control paragraph.
    pub control: String,
    /// What the lock says of it; none for one that is never installed.
    pub locked: Option<(PackageKey, LockedPackage)>,
}

/// Makes the folder, or finds it: its name is a hash of what it holds.
pub(super) fn lay_out(tools: &Tools, archive: &Archive, cache: &Cache) -> Result<PathBuf> {
    let mut id = format!("{}\n{}\n", tools.id, archive.arches.join(" "));
    for suite in &archive.suites {
        let _ = writeln!(id, "{} {} {:?}", suite.repository.key(), suite.locked.inrelease, suite.repository);
    }
    let folder = cache.solver().join(hash::sha256(id.as_bytes()));
    let lists = folder.join("lists");
    for made in [&lists.join("partial"), &folder.join("cache/archives/partial"), &folder.join("etc")] {
        fs::create_dir_all(made).map_err(Error::io("making", made))?;
    }
    let mut sources = format!("deb [trusted=yes] http://{HOST}/local ./\n");
    for (at, suite) in archive.suites.iter().enumerate() {
        let uri = format!("http://{HOST}/{at}");
        let distribution = if suite.repository.is_flat() { "./" } else { &suite.repository.suite };
        let _ = writeln!(
            sources,
            "deb [trusted=yes] {uri} {distribution} {}",
            suite.repository.components.join(" ")
        );
        list_suite(&lists, suite, at)?;
    }
    write(&folder.join("sources.list"), &sources)?;
    write(&folder.join("apt.conf"), &configuration(&folder, &archive.arches))?;
    Ok(folder)
}

/// The names that apt gives to what it downloads: the URI without its scheme, `/` as `_`
/// (apt-pkg/contrib/strutl.cc, URItoFileName).
fn list_suite(lists: &Path, suite: &Suite, at: usize) -> Result<()> {
    let prefix = if suite.repository.is_flat() {
        format!("{HOST}_{at}_._")
    } else {
        format!("{HOST}_{at}_dists_{}_", quoted(&suite.repository.suite))
    };
    write(&lists.join(format!("{prefix}Release")), &suite.release.text)?;
    for index in &suite.indices {
        let name = if suite.repository.is_flat() {
            format!("{prefix}Packages")
        } else {
            format!("{prefix}{}_binary-{}_Packages", quoted(&index.component), index.arch)
        };
        let link = lists.join(name);
        if fs::read_link(&link).is_ok_and(|target| target == index.file) {
            continue;
        }
        let _ = fs::remove_file(&link);
        symlink(&index.file, &link).map_err(Error::io("linking", &link))?;
    }
    Ok(())
}

fn quoted(part: &str) -> String {
    part.replace('_', "%5f").replace('/', "_")
}

/// Everything that apt would read from the computer is set to ours or to nothing (apt.conf(5)).
fn configuration(folder: &Path, arches: &[String]) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let native = arches.first().map_or("amd64", String::as_str);
    let all: String = arches.iter().map(|arch| format!("\"{arch}\"; ")).collect();
    let (etc, lists, cache) = (at("etc"), at("lists"), at("cache"));
    let (sources, preferences, status, extended) =
        (at("sources.list"), at("preferences"), at("status"), at("extended_states"));
    let (top, section) = (folder.display(), super::RECOMMENDS_SECTION);
    format!(
        "Dir \"{top}/\";\n\
         Dir::Etc \"{etc}/\";\n\
         Dir::Etc::main \"\";\n\
         Dir::Etc::parts \"\";\n\
         Dir::Etc::sourcelist \"{sources}\";\n\
         Dir::Etc::sourceparts \"\";\n\
         Dir::Etc::preferences \"{preferences}\";\n\
         Dir::Etc::preferencesparts \"\";\n\
         Dir::Etc::trusted \"\";\n\
         Dir::Etc::trustedparts \"\";\n\
         Dir::State \"{top}/\";\n\
         Dir::State::lists \"{lists}/\";\n\
         Dir::State::status \"{status}\";\n\
         Dir::State::extended_states \"{extended}\";\n\
         Dir::Cache \"{cache}/\";\n\
         Dir::Cache::pkgcache \"\";\n\
         Dir::Log \"{top}/\";\n\
         APT::Architecture \"{native}\";\n\
         APT::Architectures {{ {all}}};\n\
         APT::Install-Recommends \"false\";\n\
         APT::Install-Suggests \"false\";\n\
         APT::Install-Recommends-Sections {{ \"{section}\"; }};\n\
         APT::Sandbox::User \"root\";\n\
         APT::Get::Allow-Downgrades \"true\";\n\
         Acquire::Languages \"none\";\n\
         Debug::NoLocking \"true\";\n"
    )
}

/// What changes from question to question.
pub(super) fn write_question(folder: &Path, archive: &Archive, question: &Question<'_>) -> Result<()> {
    write(&folder.join("status"), &question.status)?;
    write(&folder.join("preferences"), &preferences(archive, question))?;
    let mut local = String::new();
    for package in question.local {
        local.push_str(package.control.trim_end());
        local.push('\n');
        if let Some((_, locked)) = &package.locked {
            let _ = writeln!(
                local,
                "Filename: {}\nSize: {}\nSHA256: {}",
                locked.path, locked.size, locked.sha256
            );
        }
        local.push('\n');
    }
    write(&folder.join("lists").join(format!("{HOST}_local_._Packages")), &local)
}

fn preferences(archive: &Archive, question: &Question<'_>) -> String {
    let mut out = String::new();
    let native = archive.arches.first().map_or("amd64", String::as_str);
    for key in &question.held {
        let name = if key.arch == native || key.arch == "all" { key.name.clone() } else { key.slot() };
        let pin = Pin { package: name, what: format!("version {}", key.version), priority: HELD_PRIORITY };
        stanza(&mut out, &pin);
    }
    for pin in &question.pins {
        stanza(&mut out, pin);
    }
    for suite in &archive.suites {
        let Some(priority) = suite.repository.priority else { continue };
        let what = if suite.release.codename == suite.repository.suite {
            format!("release n={}", suite.release.codename)
        } else {
            format!("release a={}", suite.release.suite)
        };
        stanza(&mut out, &Pin { package: "*".into(), what, priority });
    }
    out
}

fn stanza(out: &mut String, pin: &Pin) {
    let _ = writeln!(out, "Package: {}\nPin: {}\nPin-Priority: {}\n", pin.package, pin.what, pin.priority);
}

/// A file that did not change keeps its date, so that apt's own cache of it stays good.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    replace_file(path, text.as_bytes())
}
