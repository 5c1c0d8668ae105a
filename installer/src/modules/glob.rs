//! Shell patterns as `modules.alias` has them: `*`, `?`, `[…]`.

/// Whether `text` as a whole matches `pattern`. Linear in the pattern for each `*` (only the last
/// star is ever taken back), so a hostile pattern cannot make it slow.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        let Some(byte) = text.get(t) else {
            return pattern.get(p..).is_none_or(<[u8]>::is_empty);
        };
        if let Some(next) = one(pattern, p, *byte) {
            p = next;
            t += 1;
            continue;
        }
        let Some((after, from)) = star else {
            return false;
        };
        star = Some((after, from + 1));
        p = after;
        t = from + 1;
    }
}

/// Where the pattern goes on if its element at `p` takes `byte`.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => class(pattern, p, byte),
        literal => (literal == byte).then_some(p + 1),
    }
}

fn class(pattern: &[u8], start: usize, byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(start + 1), Some(b'!' | b'^'));
    let first = start + 1 + usize::from(negated);
    let length = pattern.get(first..)?.iter().position(|c| *c == b']')?;
    let members = pattern.get(first..first + length)?;
    let mut at = 0;
    let mut found = false;
    while let Some(low) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some(b'-'), Some(high)) => {
                found |= (*low..=*high).contains(&byte);
                at += 3;
            }
            _ => {
                found |= *low == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(first + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes())
    }

    #[test]
    fn patterns_of_real_aliases() {
        let device = "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00";
        assert!(check("pci:v00001AF4d*sv*sd*bc*sc*i*", device));
        assert!(!check("pci:v00008086d*sv*sd*bc*sc*i*", device));
        assert!(check("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb:v1p2d3dc0dsc0dp0ic08isc06ip50in00"));
        assert!(check("input:b[0-3]x", "input:b2x"));
        assert!(!check("input:b[!0-3]x", "input:b2x"));
        assert!(check("fs-ext?", "fs-ext4"));
    }

    #[test]
    fn hostile_patterns_end() {
        let text = "a".repeat(5000);
        let pattern = "*a".repeat(2000) + "b";
        assert!(!check(&pattern, &text));
        assert!(!check("[", "["));
        assert!(!check("[a-", "a"));
        assert!(check("*", ""));
        assert!(!check("", "x"));
        assert!(!check("a?", "a"));
    }
}
