//! Comparing Debian versions (Debian policy 5.6.12).

use std::cmp::Ordering;

/// Compares two versions the way dpkg does.
#[must_use]
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_rest) = epoch(left);
    let (right_epoch, right_rest) = epoch(right);
    let (left_upstream, left_revision) = revision(left_rest);
    let (right_upstream, right_revision) = revision(right_rest);
    left_epoch
        .cmp(&right_epoch)
        .then_with(|| part(left_upstream, right_upstream))
        .then_with(|| part(left_revision, right_revision))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

fn revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// Alternating non-digit and digit runs.
fn part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = split(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_rest) = split(right, |byte| !byte.is_ascii_digit());
        let order = non_digits(left_text, right_text);
        if order != Ordering::Equal {
            return order;
        }
        let (left_number, left_rest) = split(left_rest, u8::is_ascii_digit);
        let (right_number, right_rest) = split(right_rest, u8::is_ascii_digit);
        let order = digits(left_number, right_number);
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn split(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !belongs(byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// `~` sorts before the end, the end before letters, letters before the rest.
fn non_digits(left: &[u8], right: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    (0..left.len().max(right.len()))
        .map(|at| weight(left.get(at)).cmp(&weight(right.get(at))))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// As numbers of any length.
fn digits(left: &[u8], right: &[u8]) -> Ordering {
    let (_, left) = split(left, |byte| *byte == b'0');
    let (_, right) = split(right, |byte| *byte == b'0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::compare;
    use std::cmp::Ordering;

    #[test]
    fn versions_order_as_dpkg_orders_them() {
        for (lower, higher) in [
            ("1.0", "1.0-1"),
            ("1.0~rc1", "1.0"),
            ("1.0~~", "1.0~"),
            ("1.2", "1.10"),
            ("2.0", "1:0.1"),
            ("1.0-1", "1.0-1+b1"),
            ("1.0-1~deb13u1", "1.0-1"),
            ("1.0a", "1.0+"),
            ("99999999999999999998", "99999999999999999999"),
            ("6.12.9-1", "6.12.117-1"),
        ] {
            assert_eq!(compare(lower, higher), Ordering::Less, "{lower} {higher}");
            assert_eq!(compare(higher, lower), Ordering::Greater);
        }
        assert_eq!(compare("1.00", "1.0"), Ordering::Equal);
        assert_eq!(compare("0:1.0-0", "1.0"), Ordering::Equal);
    }
}
