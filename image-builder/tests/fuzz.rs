//! Fuzz targets: programs of packages and keys of people. The corpus `elf` is generated here.

use landfall::media::needs;
use landfall::secrets::{AdminIdentities, Nobody, Recipient};
use landfall_fuzz::{generated, target};

#[test]
fn elf() {
    target!("elf", |bytes: &[u8]| {
        let _ = needs(bytes, "a program");
    });
}

#[test]
fn recipients() {
    target!("recipients", |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for one in Recipient::parse_lines(&text, "sam").unwrap_or_default() {
            let again = Recipient::parse(one.as_str(), "sam").expect("its own spelling");
            assert_eq!(again.as_str(), one.as_str());
        }
        if let Err(error) = Recipient::parse(&text, "sam") {
            assert!(!error.to_string().contains("AGE-SECRET-KEY-1"), "{error}");
        }
    });
}

/// Nobody answers, so that no passphrase is ever tried: what that may cost is bounded elsewhere.
#[test]
fn identity() {
    let folder = tempfile::tempdir().expect("a folder");
    target!("identity", |bytes: &[u8]| {
        let file = folder.path().join("identity");
        std::fs::write(&file, bytes).expect("a file");
        let _ = AdminIdentities::load(&file, &Nobody);
    });
}

/// A dynamic program of 64 bits as ld writes it, but for its code: header, segments, strings.
fn program() -> Vec<u8> {
    let mut out = vec![0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01\0");
    put(16, &[3, 0, 62, 0, 1, 0, 0, 0]);
    put(32, &64u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 3, 0, 64, 0, 0, 0, 0, 0]);
    let segments: [(u32, u64, u64); 3] = [(1, 0, 512), (3, 400, 16), (2, 256, 64)];
    for (index, (kind, start, length)) in segments.into_iter().enumerate() {
        let at = 64 + index * 56;
        put(at, &kind.to_le_bytes());
        for (field, value) in [(8, start), (16, start), (24, start), (32, length), (40, length)] {
            put(at + field, &value.to_le_bytes());
        }
    }
    let entries: [(u64, u64); 4] = [(1, 1), (5, 320), (10, 11), (0, 0)];
    for (index, (tag, value)) in entries.into_iter().enumerate() {
        put(256 + index * 16, &tag.to_le_bytes());
        put(256 + index * 16 + 8, &value.to_le_bytes());
    }
    put(320, b"\0libc.so.6\0");
    put(400, b"/lib64/ld.so\0");
    out
}

#[test]
fn every_program_of_the_corpus_is_what_its_name_says() {
    let with = |at: usize, bytes: &[u8]| {
        let mut bent = program();
        bent[at..at + bytes.len()].copy_from_slice(bytes);
        bent
    };
    let found = needs(&program(), "the corpus").expect("our own program");
    assert_eq!(found.libraries, ["libc.so.6"]);
    assert_eq!(found.interpreter.as_deref(), Some("/lib64/ld.so"));
    let files = [
        ("dynamic", program()),
        ("cut", program()[..300].to_vec()),
        ("segments-at-the-end", with(32, &u64::MAX.to_le_bytes())),
        ("names-outside", with(264, &u64::MAX.to_le_bytes())),
        ("strings-of-all-memory", with(296, &u64::MAX.to_le_bytes())),
        ("big-endian", with(5, &[2])),
        ("thirty-two-bits", with(4, &[1])),
    ];
    generated(env!("CARGO_MANIFEST_DIR"), "elf", &files);
}
