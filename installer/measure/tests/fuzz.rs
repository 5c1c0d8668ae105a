//! Fuzz targets: the firmware's log, EFI programs, boot entries, a LUKS2 header, and the kernel's PCR files.

use landfall_fuzz::{generated, target};
use landfall_measure::{
    Digest, Entry, EventLog, Header, PCRS, Pcrs, authenticode, load_options, observed_before,
};

/// A 64-bit program with one section and a certificate.
fn program() -> Vec<u8> {
    let mut file = vec![0; 0x200];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    put(0x46, &1u16.to_le_bytes());
    put(0x54, &0xf0u16.to_le_bytes());
    put(0x58, &0x20bu16.to_le_bytes());
    put(0x58 + 60, &0x200u32.to_le_bytes());
    put(0x58 + 108, &16u32.to_le_bytes());
    put(0x58 + 144, &[0x240u32.to_le_bytes(), 0x10u32.to_le_bytes()].concat());
    put(0x148 + 16, &[0x40u32.to_le_bytes(), 0x200u32.to_le_bytes()].concat());
    file.extend([[1; 0x40].as_slice(), &[2; 0x10]].concat());
    file
}

#[test]
fn corpora_are_as_generated() {
    let mut overlapping = program();
    overlapping[0x148 + 16] = 0xff;
    generated(
        env!("CARGO_MANIFEST_DIR"),
        "program",
        &[("cut-short", program()[..0x150].to_vec()), ("overlapping", overlapping), ("whole", program())],
    );
}

#[test]
fn log() {
    target!("log", |bytes: &[u8]| {
        let Ok(log) = EventLog::parse(bytes) else { return };
        let pcr = log.replay(4);
        let parts = log.before_programs().len() + log.programs().len();
        let seen = observed_before(&log, pcr, [Digest::ZERO; 2]);
        assert!(seen.is_err() || parts >= 2);
        let every = log.before_programs().into_iter().chain(log.programs());
        assert_eq!(Digest::after(every), pcr);
    });
}

#[test]
fn program_hash() {
    target!("program", |bytes: &[u8]| {
        if let Ok(digest) = authenticode(bytes) {
            assert_ne!(digest, Digest::ZERO);
        }
    });
}

#[test]
fn entry() {
    target!("entry", |bytes: &[u8]| {
        let Ok(entry) = Entry::parse(&String::from_utf8_lossy(bytes)) else { return };
        for path in std::iter::once(&entry.linux).chain(&entry.initrds) {
            assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path}");
        }
        let _ = entry.is_bound_to(Digest::ZERO);
        assert!(load_options(&entry.initrds, &entry.options).ends_with(&[0, 0]));
    });
}

#[test]
fn header() {
    target!("header", |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let _ = Digest::parse(&text);
        let Ok(header) = Header::parse(&text) else { return };
        let now = Pcrs([Digest::ZERO; PCRS.len()]);
        let _ = header.opens_at(&now);
        assert!(header.spent(&[]).len() <= header.slots.len());
    });
}
