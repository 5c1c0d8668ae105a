//! Fuzz targets: what mirrors and packages send. The corpus `deb` is generated here.

use landfall_debian::clock::UnixSeconds;
use landfall_debian::deb;
use landfall_debian::deb822::paragraphs;
use landfall_debian::mirrors::apt_sources;
use landfall_debian::openpgp::Keyring;
use landfall_debian::packages::{Packages, newest, relation_names};
use landfall_debian::release::Release;
use landfall_debian::version;
use landfall_fuzz::{generated, target};
use std::io::Read;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn index() {
    target!("index", |bytes: &[u8]| {
        let text = text(bytes);
        for (at, paragraph) in paragraphs(&text) {
            assert!(text[at..].starts_with(paragraph.text()));
            for (_, value) in paragraph.fields() {
                let _ = relation_names(value);
            }
        }
        let packages = Packages::parse(text.clone());
        for package in packages.iter() {
            let _ = (package.key(), package.pooled());
            assert!(newest(packages.named(package.name())).is_some());
        }
        if let Ok(release) = Release::parse("a Release", text.clone()) {
            let _ = (release.check_time("a Release", UnixSeconds(0)), release.is_called("trixie"));
        }
    });
}

#[test]
fn text_of_dates_versions_and_sources() {
    target!("text", |bytes: &[u8]| {
        let text = text(bytes);
        let (left, right) = text.split_once('\n').unwrap_or((&text, ""));
        assert_eq!(version::compare(left, right), version::compare(right, left).reverse());
        for date in [UnixSeconds::parse_release(left), UnixSeconds::parse_rfc3339(left)].into_iter().flatten()
        {
            let written = date.to_string();
            assert_eq!(UnixSeconds::parse_rfc3339(&written), Some(date), "{written}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["sources.list", "sources.list.d/debian.sources"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        }
        let _ = apt_sources(folder.path());
    });
}

#[test]
fn inrelease() {
    let debian = Keyring::debian().expect("the embedded keys");
    target!("inrelease", |bytes: &[u8]| {
        let _ = debian.verify("InRelease", bytes, UnixSeconds(1_789_199_741));
        if let Ok(ring) = Keyring::parse("a key", bytes) {
            let _ = ring.fingerprints();
            let _ = ring.verify("InRelease", bytes, UnixSeconds(1_789_199_741));
        }
    });
}

#[test]
fn package() {
    let folder = tempfile::tempdir().expect("a folder");
    target!("deb", |bytes: &[u8]| {
        let file = folder.path().join("x.deb");
        std::fs::write(&file, bytes).expect("a file");
        let _ = deb::read_control(&file);
        if let Ok(data) = deb::open_data(&file) {
            let _ = std::io::copy(&mut data.take(1 << 20), &mut std::io::sink());
        }
        let (root, beside) = (folder.path().join("outer/root"), folder.path().join("outer"));
        std::fs::create_dir_all(&root).expect("a root");
        let _ = deb::extract(&file, &root);
        let names: Vec<_> = std::fs::read_dir(&beside).expect("a folder").flatten().collect();
        assert_eq!(names.len(), 1, "a package left its root: {names:?}");
        std::fs::remove_dir_all(&beside).expect("removing a root");
    });
}

fn tar_of(files: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in files {
        let mut header = tar::Header::new_gnu();
        // Written raw, for `set_path` refuses what a hostile package may hold.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        let link = kind.is_symlink() || kind.is_hard_link();
        if link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        let bytes: &[u8] = if link { &[] } else { content.as_bytes() };
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, bytes).expect("writing to memory");
    }
    builder.into_inner().expect("writing to memory")
}

fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        out.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes(),
        );
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

#[test]
fn every_package_of_the_corpus_is_what_its_name_says() {
    use tar::EntryType::{Char, Directory, Link, Regular, Symlink};
    let control = tar_of(&[("./control", Regular, "Package: a\nVersion: 1\nArchitecture: all\n")]);
    let deb =
        |data: &[u8]| ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", data)]);
    let plain = tar_of(&[("./usr/", Directory, ""), ("./usr/a", Regular, "x"), ("./usr/b", Symlink, "a")]);
    let escaping = tar_of(&[("../a", Regular, "x"), ("/a", Regular, "x"), ("usr/../../b", Regular, "x")]);
    let through_a_link = tar_of(&[("l", Symlink, ".."), ("l/a", Regular, "x"), ("h", Link, "../../x")]);
    let device = tar_of(&[("null", Char, ""), ("a", Regular, "x")]);
    let mut long = deb(&plain);
    long[8 + 48..8 + 58].copy_from_slice(b"9999999999");
    let files = [
        ("plain", deb(&plain)),
        ("escaping", deb(&escaping)),
        ("through-a-link", deb(&through_a_link)),
        ("device", deb(&device)),
        ("no-xz", ar_of(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"\xfd7zXZ\0\0\x04")])),
        ("no-zst", ar_of(&[("control.tar.zst", b"\x28\xb5\x2f\xfd\xff\xff")])),
        ("no-gz", ar_of(&[("data.tar.gz", b"\x1f\x8b\x08\x00")])),
        ("long-member", long),
        ("nothing", b"!<arch>\n".to_vec()),
    ];
    generated(env!("CARGO_MANIFEST_DIR"), "deb", &files);
}
