//! Edits of an input: what damages, truncates, repeats and exaggerates.

use bolero::{Driver, ValueGenerator};

/// Numbers at which arithmetic goes wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Words that parsers of text give a meaning to.
const WORDS: [&str; 20] = [
    "\0", "\n", "\r\n", " ", "\t", "\"", "'''", "\\", "=", ":", "[", "]", "{", "}", "..", "/", "-", "*",
    "\u{feff}", "\u{fffd}",
];

/// Longest piece that is put in or taken out at once.
const MAX_PIECE: usize = 64;

/// Makes one edit; `other` is a second file of the corpus to take from.
pub fn one<D: Driver>(driver: &mut D, bytes: &mut Vec<u8>, other: &[u8]) -> Option<()> {
    let at = (0..=bytes.len()).generate(driver)?;
    match (0u8..10).generate(driver)? {
        0 => flip(driver, bytes, at),
        1 => over(bytes, at, &[(0..=255u8).generate(driver)?]),
        2 => number(driver, bytes, at),
        3 => put(bytes, at, &random(driver)?),
        4 => put(bytes, at, word(driver)?.as_bytes()),
        5 => cut(bytes, at, (0..=MAX_PIECE).generate(driver)?),
        6 => {
            bytes.truncate(at);
            Some(())
        }
        7 => {
            let piece = piece(driver, bytes)?.to_vec();
            (1..=16usize).generate(driver).and_then(|times| put(bytes, at, &piece.repeat(times)))
        }
        8 => put(bytes, at, piece(driver, other)?),
        _ => digits(driver, bytes, at),
    }
}

fn flip<D: Driver>(driver: &mut D, bytes: &mut [u8], at: usize) -> Option<()> {
    let bit = 1u8 << (0u8..8).generate(driver)?;
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= bit;
    }
    Some(())
}

/// A number at an edge, in one of the widths and byte orders.
fn number<D: Driver>(driver: &mut D, bytes: &mut [u8], at: usize) -> Option<()> {
    let value = edge(driver)?;
    let width = 1usize << (0u8..4).generate(driver)?;
    let little = value.to_le_bytes();
    let mut number = little.get(..width).unwrap_or_default().to_vec();
    if (0u8..2).generate(driver)? == 1 {
        number.reverse();
    }
    over(bytes, at, &number)
}

/// The decimal number at or behind `at` becomes one at an edge.
fn digits<D: Driver>(driver: &mut D, bytes: &mut Vec<u8>, at: usize) -> Option<()> {
    let value = edge(driver)?;
    let tail = bytes.get(at..).unwrap_or_default();
    if let Some(start) = tail.iter().position(u8::is_ascii_digit).map(|ahead| at + ahead) {
        let number = bytes.get(start..).unwrap_or_default();
        let end = start + number.iter().take_while(|byte| byte.is_ascii_digit()).count();
        bytes.splice(start..end, value.to_string().into_bytes());
    }
    Some(())
}

fn edge<D: Driver>(driver: &mut D) -> Option<u64> {
    EDGES.get((0..EDGES.len()).generate(driver)?).copied()
}

fn word<D: Driver>(driver: &mut D) -> Option<&'static str> {
    WORDS.get((0..WORDS.len()).generate(driver)?).copied()
}

fn random<D: Driver>(driver: &mut D) -> Option<Vec<u8>> {
    let length = (1..=MAX_PIECE).generate(driver)?;
    (0..length).map(|_| (0..=255u8).generate(driver)).collect()
}

fn piece<'a, D: Driver>(driver: &mut D, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let start = (0..=bytes.len()).generate(driver)?;
    let length = (0..=MAX_PIECE).generate(driver)?.min(bytes.len() - start);
    bytes.get(start..start + length)
}

fn over(bytes: &mut [u8], at: usize, piece: &[u8]) -> Option<()> {
    for (byte, new) in bytes.iter_mut().skip(at).zip(piece) {
        *byte = *new;
    }
    Some(())
}

fn put(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) -> Option<()> {
    bytes.splice(at..at, piece.iter().copied());
    Some(())
}

fn cut(bytes: &mut Vec<u8>, at: usize, length: usize) -> Option<()> {
    let end = at.saturating_add(length).min(bytes.len());
    bytes.drain(at..end);
    Some(())
}
