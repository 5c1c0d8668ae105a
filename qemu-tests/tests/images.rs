//! Promises about what a build leaves behind: the same bytes for everybody, no secret anywhere, nothing broken.

use landfall_qemu_tests::fixture::{Fixture, GUARDED};
use landfall_qemu_tests::http::{Fault, Server};
use landfall_qemu_tests::image;
use landfall_qemu_tests::ordinary::Ordinary;
use landfall_qemu_tests::process::run;
use landfall_qemu_tests::site::{HOST, MARK, Site};
use landfall_qemu_tests::tools;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

fn fixture() -> Fixture {
    Fixture::shared().expect("making the fixture")
}

#[test]
#[ignore = "builds a medium: run by cargo xtask test"]
fn media_pass_every_checker() {
    image::check(&fixture().medium).unwrap();
}

/// Another folder, another user without root, another umask and time zone, an empty layer cache.
#[test]
#[ignore = "builds a medium: run by cargo xtask test"]
fn image_is_reproducible_and_builds_as_ordinary_user() {
    let fixture = fixture();
    let repository = fixture.repository().unwrap();
    if let Some(repository) = &repository {
        fixture.site.serve_tailscale_from(repository).unwrap();
    }
    let here = fixture.folder.join("attended.img");
    fixture.site.build(&here, &[HOST, GUARDED], false).unwrap();
    let ordinary = Ordinary::new().unwrap();
    let site = ordinary.site(&fixture.site).unwrap();
    let there = ordinary.folder().join("other.img");
    let words = ["build", HOST, GUARDED, "--locked", "--out", there.to_str().unwrap()];
    run(&mut ordinary.command(&site.landfall(&words))).unwrap();
    if image::sha256(&here).unwrap() != image::sha256(&there).unwrap() {
        panic!("two builds differ: {}", difference(&here, &there));
    }
}

/// What a person would look for first: the files of the ESP and the names of the layers, else the first byte.
fn difference(a: &Path, b: &Path) -> String {
    let listing = |path: &Path| {
        let esp = image::esp_files(path)
            .unwrap()
            .into_iter()
            .map(|(name, bytes)| format!("{name} {}", bytes.len()));
        let layers = image::data_names(path, "landfall/layers").unwrap();
        esp.chain(layers).collect::<std::collections::BTreeSet<_>>()
    };
    let (left, right) = (listing(a), listing(b));
    let names: Vec<_> = left.symmetric_difference(&right).collect();
    format!("{names:?}; {:?}", first_difference(a, b))
}

fn first_difference(a: &Path, b: &Path) -> Option<u64> {
    let (left, right) = (std::fs::File::open(a).ok()?, std::fs::File::open(b).ok()?);
    let (mut x, mut y) = (vec![0u8; 65536], vec![0u8; 65536]);
    let mut at = 0;
    loop {
        let (n, m) = (left.read_at(&mut x, at).ok()?, right.read_at(&mut y, at).ok()?);
        if x[..n] != y[..m] {
            let within = x[..n].iter().zip(&y[..m]).position(|(p, q)| p != q).unwrap_or(n.min(m));
            return Some(at + within as u64);
        }
        if n == 0 {
            return None;
        }
        at += n as u64;
    }
}

/// The marks, the tailnet's key and the password's hash are looked for in everything that a build writes: the medium,
/// the unpacked and packed layers of the cache, and the lock. The host's own identity may stand in its one file.
#[test]
#[ignore = "builds a medium: run by cargo xtask test"]
fn no_plaintext_secret_anywhere() {
    let fixture = fixture();
    let mut needles = vec![MARK.as_bytes().to_vec()];
    for name in fixture.site.secret_names().unwrap() {
        let value = fixture.site.run(&["secret", "show", &name]).unwrap();
        assert!(value.trim().len() > 8, "{name} is too short to look for");
        needles.push(value.trim().as_bytes().to_vec());
    }
    let mut files = vec![fixture.medium.clone(), fixture.site.folder.join("landfall.lock")];
    for name in ["layers", "indices", "tools"] {
        files.extend(all_files(&tools::cache().join(name)));
    }
    let mut found = Vec::new();
    for file in &files {
        for needle in &needles {
            found.extend(find(file, needle).map(|at| format!("{} at {at}", file.display())));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    let bare = image::data_place(&fixture.medium, &format!("landfall/identities/{HOST}.key"), 0).unwrap();
    let at =
        find(&fixture.medium, b"AGE-SECRET-KEY-1").expect("an unattended stick carries its host's identity");
    assert!((bare..bare + 4096).contains(&at), "an identity stands at {at}, outside its file at {bare}");
    let rest = find_from(&fixture.medium, b"AGE-SECRET-KEY-1", at + 16);
    assert_eq!(rest, None, "a second identity");
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files
}

fn find(file: &Path, needle: &[u8]) -> Option<u64> {
    find_from(file, needle, 0)
}

fn find_from(file: &Path, needle: &[u8], from: u64) -> Option<u64> {
    let handle = std::fs::File::open(file).ok()?;
    let mut buffer = vec![0u8; 1 << 20];
    let mut at = from;
    loop {
        let count = handle.read_at(&mut buffer, at).ok()?;
        if count < needle.len() {
            return None;
        }
        if let Some(place) = memchr::memmem::find(&buffer[..count], needle) {
            return Some(at + place as u64);
        }
        at += (count - needle.len() + 1) as u64;
    }
}

/// A mirror that is down, cuts a package short or serves other bytes: an error that says so, and nothing bad is kept.
#[test]
#[ignore = "builds a medium: run by cargo xtask test"]
fn a_bad_mirror_is_a_clear_error_and_leaves_no_bad_file() {
    let fixture = fixture();
    if fixture.no_tailnet.is_some() {
        return;
    }
    let folder = fixture.folder.join("apt");
    let server = Server::start(&folder).unwrap();
    let uri = server.url();
    fixture
        .site
        .edit("common.toml", |table| {
            table["apt"]["tailscale"].as_table_mut().unwrap().insert("uri".into(), uri.into());
        })
        .unwrap();
    let deb = std::fs::read_dir(folder.join("pool")).unwrap().next().unwrap().unwrap().path();
    let digest = image::sha256(&deb).unwrap();
    let cached = tools::cache().join("debs").join(format!("{digest}.deb"));
    let out = fixture.folder.join("faults.img");
    let layers = LayersAside::new();
    for fault in [Fault::Unavailable, Fault::WrongBytes, Fault::CutShort] {
        let _ = std::fs::remove_file(&cached);
        server.set_fault(fault);
        let output =
            fixture.site.attempt(&["build", HOST, "--locked", "--out", out.to_str().unwrap()]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {said}");
        assert!(said.contains("tailscale"), "{fault:?}: {said}");
        assert!(!cached.exists(), "{fault:?}: a bad file stayed in the cache");
        assert!(!out.exists(), "{fault:?}: half an image stayed");
    }
    drop(layers);
}

/// With every layer in the cache no package is fetched: the layers stand aside for the test.
struct LayersAside(PathBuf, PathBuf);

impl LayersAside {
    fn new() -> Self {
        let (here, there) = (tools::cache().join("layers"), tools::cache().join("layers.aside"));
        std::fs::rename(&here, &there).expect("moving the layers aside");
        Self(here, there)
    }
}

impl Drop for LayersAside {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::rename(&self.1, &self.0);
    }
}

/// `landfall new` makes a site that `check` accepts and `build` builds, as a person would type it.
#[test]
#[ignore = "builds a medium: run by cargo xtask test"]
fn a_new_site_is_accepted_and_builds() {
    let folder = tempfile::tempdir_in(fixture().folder).unwrap();
    let site = Site::open(folder.path());
    std::fs::create_dir_all(&site.home).unwrap();
    let words = ["new", site.folder.to_str().unwrap(), "--yes", "--user", "sam"];
    let mut command = std::process::Command::new(site.programs.join("landfall"));
    run(command.args(words).env("HOME", &site.home)).unwrap();
    site.run(&["check"]).unwrap();
    let medium = folder.path().join("new.img");
    site.build(&medium, &["vm"], true).unwrap();
    image::check(&medium).unwrap();
}
