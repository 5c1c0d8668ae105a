use super::*;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

type Files<'a> = &'a [(&'a str, tar::EntryType, &'a [u8])];

/// A tar whose names are written raw, so that hostile ones get through.
fn tar_of(files: Files<'_>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        header.set_mtime(1);
        if kind.is_symlink() || kind.is_hard_link() {
            let target = std::str::from_utf8(bytes).expect("a target");
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, &[][..]).expect("appended");
        } else {
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            builder.append(&header, *bytes).expect("appended");
        }
    }
    builder.into_inner().expect("a tar")
}

fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, bytes.len())
            .expect("a header");
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let case = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(case.root()).expect("a root");
        case
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("x.deb");
        fs::write(&path, bytes).expect("written");
        path
    }

    fn deb(&self, files: Files<'_>) -> PathBuf {
        let data = zstd::encode_all(&tar_of(files)[..], 1).expect("compressed");
        self.file(&ar_of(&[("debian-binary", b"2.0\n"), ("data.tar.zst", &data)]))
    }
}

const FILE: tar::EntryType = tar::EntryType::Regular;
const FOLDER: tar::EntryType = tar::EntryType::Directory;
const LINK: tar::EntryType = tar::EntryType::Symlink;
const HARD: tar::EntryType = tar::EntryType::Link;

#[test]
fn every_compression_is_read() {
    use flate2::write::GzEncoder;
    let control = tar_of(&[("./", FOLDER, b""), ("./control", FILE, b"Package: aa\nVersion: 1\n")]);
    let mut gz = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&control).expect("compressed");
    let gz = gz.finish().expect("compressed");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&control).expect("compressed");
    let xz = xz.finish().expect("compressed");
    let zst = zstd::encode_all(&control[..], 1).expect("compressed");
    for (name, bytes) in [
        ("control.tar", &control),
        ("control.tar.gz", &gz),
        ("control.tar.xz", &xz),
        ("control.tar.zst", &zst),
    ] {
        let case = Case::new();
        // An odd member in front, and the slash that GNU's ar writes.
        let deb = case.file(&ar_of(&[("debian-binary", b"2.0\n"), ("_x/", b"odd"), (name, bytes)]));
        assert_eq!(read_control(&deb).expect(name), "Package: aa\nVersion: 1\n");
    }
}

#[test]
fn what_is_no_package_is_refused() {
    let control = tar_of(&[("./control", FILE, b"Package: aa\n")]);
    let other = tar_of(&[("./other", FILE, b"x")]);
    let whole = ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control)]);
    let mut wrong_magic = whole.clone();
    wrong_magic[8 + 58] = b'x';
    let mut huge = whole.clone();
    huge[8 + 48..8 + 58].copy_from_slice(b"9999999999");
    let mut negative = whole.clone();
    negative[8 + 48..8 + 58].copy_from_slice(b"-1        ");
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("text", b"<html>no</html>".to_vec()),
        ("cut in the header", whole[..40].to_vec()),
        ("cut in a member", whole[..200].to_vec()),
        ("magic", wrong_magic),
        ("size", huge),
        ("negative size", negative),
        ("no control file", ar_of(&[("control.tar", &other)])),
        ("compression", ar_of(&[("control.tar.bz2", &control)])),
    ];
    for (name, bytes) in cases {
        let case = Case::new();
        let error = read_control(&case.file(&bytes)).expect_err(name).to_string();
        assert!(error.contains("x.deb"), "{name}: {error}");
    }
}

#[test]
fn files_are_extracted_through_the_links_of_a_merged_usr() {
    let case = Case::new();
    let deb = case.deb(&[
        ("./", FOLDER, b""),
        ("./usr/", FOLDER, b""),
        ("./usr/bin/", FOLDER, b""),
        ("./bin", LINK, b"usr/bin"),
    ]);
    extract(&deb, &case.root()).expect("extracted");
    let deb = case.deb(&[
        ("./", FOLDER, b""),
        ("./bin/", FOLDER, b""),
        ("./bin/tool", FILE, b"tool"),
        ("./bin/same", HARD, b"./bin/tool"),
        ("./dev/null", tar::EntryType::Char, b""),
    ]);
    extract(&deb, &case.root()).expect("extracted");
    assert_eq!(fs::read(case.root().join("usr/bin/tool")).expect("a file"), b"tool");
    assert_eq!(fs::read(case.root().join("usr/bin/same")).expect("a hard link"), b"tool");
    assert!(fs::symlink_metadata(case.root().join("bin")).expect("a link").is_symlink());
    assert!(!case.root().join("dev/null").exists());
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(case.root().join("usr/bin/tool")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "set-user-id is dropped");
}

#[test]
fn nothing_is_written_outside_the_folder() {
    let hostile: [Files<'_>; 5] = [
        &[("../evil", FILE, b"x")],
        &[("./a/../../evil", FILE, b"x")],
        &[("./out", LINK, b".."), ("./out/evil", FILE, b"x")],
        &[("./out", LINK, b"../../../../../../../tmp"), ("./out/landfall-evil", FILE, b"x")],
        &[("./copy", HARD, b"../secret")],
    ];
    for (at, files) in hostile.into_iter().enumerate() {
        let case = Case::new();
        fs::write(case.folder.path().join("secret"), "secret").expect("written");
        let deb = case.deb(files);
        assert!(extract(&deb, &case.root()).is_err(), "case {at}");
        assert!(!case.folder.path().join("evil").exists(), "case {at}");
        assert!(!Path::new("/tmp/landfall-evil").exists(), "case {at}");
        assert!(!case.root().join("copy").exists(), "case {at}");
    }
    // An absolute name is one below the folder.
    let case = Case::new();
    extract(&case.deb(&[("/absolute", FILE, b"x")]), &case.root()).expect("extracted");
    assert!(case.root().join("absolute").exists());
}
