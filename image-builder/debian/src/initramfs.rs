//! The one package that Landfall brings: it provides `linux-initramfs-tool`, so that Debian's
//! kernel installs without a generator of its own. The initrd is made by the builder.
//!
//! Its bytes are constant: a change of Landfall never rebuilds a layer because of it.

use std::io::Write;

/// Its name.
pub const NAME: &str = "landfall-initramfs";
/// Its version; bump it with any change of the bytes.
pub const VERSION: &str = "1";

const CONTROL: &str = "\
Package: landfall-initramfs
Version: 1
Architecture: all
Maintainer: Landfall <landfall@localhost>
Section: kernel
Priority: optional
Multi-Arch: foreign
Provides: linux-initramfs-tool
Description: stands for the initrd that Landfall builds with each image
 Landfall makes one initrd for a machine when it builds the image, so no
 generator runs on the machine. This empty package says so to dpkg.
";

/// The package's control paragraph.
#[must_use]
pub fn control() -> &'static str {
    CONTROL
}

/// The package: deb(5), uncompressed members, all dates 0.
#[must_use]
pub fn deb() -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    member(&mut out, "debian-binary", b"2.0\n");
    member(&mut out, "control.tar", &tar(&[("./control", CONTROL.as_bytes())]));
    member(&mut out, "data.tar", &tar(&[]));
    out
}

/// ar(5), System V variant without long names.
fn member(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    // Writing to a Vec cannot fail.
    let _ = writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, bytes.len());
    out.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        out.push(b'\n');
    }
}

/// A tar archive of the folder itself and these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = |name: &str, mode, kind, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(kind);
        builder.append_data(&mut header, name, bytes)
    };
    // Writing to a Vec cannot fail, and the names are short.
    let _ = header("./", 0o755, tar::EntryType::Directory, &[]);
    for (name, bytes) in files {
        let _ = header(name, 0o644, tar::EntryType::Regular, bytes);
    }
    builder.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{CONTROL, NAME, VERSION, deb};

    #[test]
    fn its_bytes_are_constant_and_readable() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("x.deb");
        std::fs::write(&file, deb()).expect("written");
        assert_eq!(crate::deb::read_control(&file).expect("control"), CONTROL);
        assert!(CONTROL.contains(&format!("Package: {NAME}\nVersion: {VERSION}\n")));
        crate::deb::extract(&file, folder.path()).expect("extracted");
        // A change here needs a new version, or every base layer is built again.
        assert_eq!(
            crate::hash::sha256(&deb()),
            "97d4bbccc875e0791c091af4f1175ade6bb7037ff1195fc2ce8312ee00068735"
        );
    }
}
