//! The Authenticode hash of a PE program: what firmware and shim measure of an EFI program, and what its
//! signature is over ("Windows Authenticode Portable Executable Signature Format", 2008, "Calculating the PE
//! Image Hash"; field names and offsets from "PE Format" of the same maker).
//!
//! Own code: the two crates that do it bring an ASN.1 parser along, for signatures that firmware judges.

use crate::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::ops::Range;

/// Offset of the PE header's offset in the DOS header.
const E_LFANEW: usize = 0x3c;
/// `PE\0\0` and the COFF header.
const HEADER: usize = 4 + 20;
/// `Magic` of a 32-bit and of a 64-bit optional header.
const PE32: u16 = 0x10b;
const PE32_PLUS: u16 = 0x20b;
/// Bytes of one section header.
const SECTION: usize = 40;
/// Offset of `CheckSum` in both optional headers.
const CHECKSUM: usize = 64;
/// Which data directory names the certificates.
const CERTIFICATES: usize = 4;

/// Why a file has no Authenticode hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no EFI program that could be measured: {0}")]
pub struct NotPe(&'static str);

/// Bytes that are left out of the hash, and where the headers and sections lie.
struct Layout {
    checksum: Range<usize>,
    certificate_entry: Range<usize>,
    headers: usize,
    sections: Vec<Range<usize>>,
    certificates: usize,
}

/// The Authenticode SHA-256 of a PE program.
///
/// # Errors
/// If the bytes are no PE program, or one whose sections overlap or leave the file.
pub fn authenticode(file: &[u8]) -> Result<Digest, NotPe> {
    let layout = layout(file)?;
    let mut hash = Sha256::new();
    let mut take = |range: Range<usize>| -> Result<(), NotPe> {
        hash.update(file.get(range).ok_or(NotPe("a part of it lies outside of the file"))?);
        Ok(())
    };
    take(0..layout.checksum.start)?;
    take(layout.checksum.end..layout.certificate_entry.start)?;
    take(layout.certificate_entry.end..layout.headers)?;
    let mut hashed = layout.headers;
    for section in layout.sections {
        hashed = hashed.checked_add(section.len()).ok_or(NotPe("its sections are too long"))?;
        take(section)?;
    }
    // What stands behind the sections and is no certificate.
    let end = file.len().checked_sub(layout.certificates).ok_or(NotPe("its certificates are too long"))?;
    if hashed > end {
        return Err(NotPe("its sections overlap its certificates"));
    }
    take(hashed..end)?;
    Ok(Digest(hash.finalize().into()))
}

fn layout(file: &[u8]) -> Result<Layout, NotPe> {
    if file.get(..2) != Some(b"MZ".as_slice()) {
        return Err(NotPe("it does not begin with MZ"));
    }
    let pe = u32_at(file, E_LFANEW)?;
    if file.get(pe..).and_then(|rest| rest.get(..4)) != Some(b"PE\0\0".as_slice()) {
        return Err(NotPe("it has no PE header"));
    }
    let sections = usize::from(u16_at(file, add(pe, 6)?)?);
    let optional_len = usize::from(u16_at(file, add(pe, 20)?)?);
    let optional = add(pe, HEADER)?;
    // Where the number of data directories stands; they follow it.
    let count_at = match u16_at(file, optional)? {
        PE32 => add(optional, 92)?,
        PE32_PLUS => add(optional, 108)?,
        _ => return Err(NotPe("its optional header is of an unknown kind")),
    };
    let directory = add(count_at, 4 + 8 * CERTIFICATES)?;
    let table = add(optional, optional_len)?;
    if u32_at(file, count_at)? <= CERTIFICATES || add(directory, 8)? > table {
        return Err(NotPe("it has no place for certificates"));
    }
    let checksum = add(optional, CHECKSUM)?;
    let headers = u32_at(file, add(optional, 60)?)?;
    if headers < add(table, sections * SECTION)? {
        return Err(NotPe("its headers are longer than it says"));
    }
    Ok(Layout {
        checksum: checksum..add(checksum, 4)?,
        certificate_entry: directory..add(directory, 8)?,
        headers,
        sections: section_ranges(file, table, sections)?,
        certificates: u32_at(file, add(directory, 4)?)?,
    })
}

/// The sections' bytes by their place in the file; empty ones are no part of the hash.
fn section_ranges(file: &[u8], table: usize, count: usize) -> Result<Vec<Range<usize>>, NotPe> {
    let mut ranges = Vec::new();
    for index in 0..count {
        let at = add(table, index * SECTION)?;
        let (len, start) = (u32_at(file, add(at, 16)?)?, u32_at(file, add(at, 20)?)?);
        if len > 0 {
            ranges.push(start..add(start, len)?);
        }
    }
    ranges.sort_by_key(|range| range.start);
    Ok(ranges)
}

fn add(a: usize, b: usize) -> Result<usize, NotPe> {
    a.checked_add(b).ok_or(NotPe("an offset is too large"))
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], NotPe> {
    let found = file.get(at..).and_then(|rest| rest.first_chunk::<N>());
    found.copied().ok_or(NotPe("it is cut short"))
}

fn u16_at(file: &[u8], at: usize) -> Result<u16, NotPe> {
    Ok(u16::from_le_bytes(bytes(file, at)?))
}

fn u32_at(file: &[u8], at: usize) -> Result<usize, NotPe> {
    let value = u32::from_le_bytes(bytes(file, at)?);
    usize::try_from(value).map_err(|_| NotPe("an offset is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = b"a certificate that signs it, padded";

    /// The smallest PE32+ with two sections, out of order, some bytes behind them, and a certificate.
    fn program() -> Vec<u8> {
        let mut file = vec![0; 0x200];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(E_LFANEW, &0x40u32.to_le_bytes());
        put(0x40, b"PE\0\0");
        put(0x46, &3u16.to_le_bytes());
        put(0x54, &0xf0u16.to_le_bytes());
        put(0x58, &PE32_PLUS.to_le_bytes());
        put(0x58 + 60, &0x200u32.to_le_bytes());
        put(0x58 + 64, b"\x11\x22\x33\x44");
        put(0x58 + 108, &16u32.to_le_bytes());
        put(0x58 + 144, &[0x430u32.to_le_bytes(), (CERTIFICATE.len() as u32).to_le_bytes()].concat());
        for (index, (len, start)) in [(0x100u32, 0x300u32), (0x100, 0x200), (0, 0)].into_iter().enumerate() {
            put(0x148 + 40 * index + 16, &[len.to_le_bytes(), start.to_le_bytes()].concat());
        }
        file.extend([vec![1; 0x100], vec![2; 0x100], vec![3; 0x30]].concat());
        file.extend(CERTIFICATE);
        file
    }

    #[test]
    fn checksum_and_certificate_are_left_out_and_nothing_else() {
        let file = program();
        let mut hashed = file[..0x58 + 64].to_vec();
        hashed.extend(&file[0x58 + 68..0x58 + 144]);
        hashed.extend(&file[0x58 + 152..0x430]);
        let expected = Digest::of(&hashed);
        assert_eq!(authenticode(&file), Ok(expected));
        for (at, same) in [(0x58 + 65, true), (0x440, true), (0x50, false), (0x250, false), (0x410, false)] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_eq!(authenticode(&changed) == Ok(expected), same, "{at:#x}");
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_hashed_and_never_panic() {
        let mut file = program();
        for len in 0..file.len() {
            let _ = authenticode(&file[..len]);
        }
        for at in 0..0x200 {
            let saved: [u8; 4] = std::array::from_fn(|i| file.get(at + i).copied().unwrap_or(0));
            for value in [[0xff; 4], [0; 4], [0xff, 0xff, 0xff, 0x7f]] {
                file[at..at + 4].copy_from_slice(&value);
                let _ = authenticode(&file);
            }
            file[at..at + 4].copy_from_slice(&saved);
        }
        assert!(authenticode(b"").is_err() && authenticode(b"MZ").is_err());
    }
}
