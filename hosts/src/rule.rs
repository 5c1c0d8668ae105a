//! The one `match` grammar of profiles, hosts, disks and mounts.
//!
//! Plain keys are all required; `any` and `none` are lists of such tables; a list of values means
//! "one of"; strings glob (`"ThinkPad*"`); sizes are ranges such as `"400G..1100G"`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A rule as it was written: key → accepted values, with `any` and `none` beside them.
///
/// The keys that make sense depend on where the rule stands (a disk has a `size`, a machine a
/// `serial`); the schema checks them when the site is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// At least one of these tables must match, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Rule>,
    /// None of these tables may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub none: Vec<Rule>,
    /// Every key here must match one of its values.
    #[serde(flatten)]
    pub keys: BTreeMap<String, Wanted>,
}

/// What a rule wants of one fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// The fact is a flag with this value.
    Flag(bool),
    /// The fact is this number.
    Number(i64),
    /// The fact matches this glob, size range or id pattern.
    Text(String),
    /// The fact matches one of these.
    OneOf(Vec<String>),
}

/// What is known of one fact. A fact may have several values (a machine has many `pci` ids).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FactValue {
    /// A flag: `battery`, `virtual`, `tpm2`, `removable`.
    Flag(bool),
    /// A number; sizes and `memory` are in bytes.
    Number(i64),
    /// Text: `serial`, `vendor`, `transport` …
    Text(String),
}

/// Something that rules are matched against: a machine or a disk.
pub trait Facts {
    /// Every value of the fact `key`; empty where it is not known.
    fn get(&self, key: &str) -> Vec<FactValue>;
}

/// Facts as plain data: what `facts/HOST.json` holds, and what tests build.
pub type FactMap = BTreeMap<String, Vec<FactValue>>;

impl Facts for FactMap {
    fn get(&self, key: &str) -> Vec<FactValue> {
        BTreeMap::get(self, key).cloned().unwrap_or_default()
    }
}

/// Whether a rule matches, and what decided it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// It matches.
    pub matches: bool,
    /// One line per key that was looked at: `size 512.1G is in 400G..1100G`.
    pub because: Vec<String>,
}

/// Keys that choose among the disks that match everything else.
const SUPERLATIVES: [&str; 2] = ["smallest", "largest"];

/// Match one rule against one set of facts. `smallest` and `largest` are relative to other
/// disks, so they are left to [`select`]. An empty rule matches nothing: it says nothing.
pub fn matches(rule: &Rule, facts: &dyn Facts) -> Verdict {
    if rule.keys.is_empty() && rule.any.is_empty() && rule.none.is_empty() {
        return Verdict { matches: false, because: vec!["the rule is empty".into()] };
    }
    let mut because = Vec::new();
    let mut all = true;
    for (key, wanted) in &rule.keys {
        if SUPERLATIVES.contains(&key.as_str()) || key == "rank" {
            continue;
        }
        let (ok, line) = match_key(key, wanted, &facts.get(key));
        all &= ok;
        because.push(line);
    }
    if !rule.any.is_empty() {
        let verdicts: Vec<_> = rule.any.iter().map(|r| matches(r, facts)).collect();
        let hit = verdicts.iter().find(|v| v.matches);
        all &= hit.is_some();
        match hit {
            Some(v) => because.extend(v.because.iter().cloned()),
            None => because.push(format!("none of `any`: {}", join(&verdicts))),
        }
    }
    for none in &rule.none {
        let verdict = matches(none, facts);
        if verdict.matches {
            all = false;
            because.push(format!("but `none`: {}", verdict.because.join(", ")));
        }
    }
    Verdict { matches: all, because }
}

/// Match one rule against several disks: `smallest = true` and `largest = true` keep, of those
/// that match the rest, the ones of the least and the greatest `size`. Equal sizes all stay, so
/// a tie is two matches and the caller refuses it.
pub fn select(rule: &Rule, disks: &[&dyn Facts]) -> Vec<Verdict> {
    let asked = |key: &str| matches!(rule.keys.get(key), Some(Wanted::Flag(true)));
    let only_superlative = rule.any.is_empty()
        && rule.none.is_empty()
        && !rule.keys.is_empty()
        && rule.keys.keys().all(|k| SUPERLATIVES.contains(&k.as_str()));
    let mut verdicts: Vec<Verdict> = disks
        .iter()
        .map(|disk| {
            let mut verdict = matches(rule, *disk);
            verdict.matches |= only_superlative;
            verdict
        })
        .collect();
    for (key, keep_least) in [("smallest", true), ("largest", false)] {
        if !asked(key) {
            continue;
        }
        let sizes: Vec<Option<i64>> = disks.iter().map(|disk| size_of(*disk)).collect();
        let candidates = verdicts.iter().zip(&sizes).filter(|(v, _)| v.matches).filter_map(|(_, size)| *size);
        let best = if keep_least { candidates.min() } else { candidates.max() };
        for (verdict, size) in verdicts.iter_mut().zip(&sizes) {
            if verdict.matches && (*size != best || size.is_none()) {
                verdict.matches = false;
                verdict.because.push(format!("it is not the {key} of them"));
            }
        }
    }
    verdicts
}

fn size_of(disk: &dyn Facts) -> Option<i64> {
    disk.get("size").into_iter().find_map(|v| match v {
        FactValue::Number(n) => Some(n),
        _ => None,
    })
}

fn join(verdicts: &[Verdict]) -> String {
    let lines: Vec<String> = verdicts.iter().map(|v| v.because.join(", ")).collect();
    lines.join("; ")
}

fn match_key(key: &str, wanted: &Wanted, known: &[FactValue]) -> (bool, String) {
    if known.is_empty() {
        // A flag that nothing reports is down: `virtual = false` holds on a machine without a
        // hypervisor's trace, and `battery = true` fails on one without a battery.
        return match wanted {
            Wanted::Flag(flag) => (!flag, format!("{key} is not known")),
            _ => (false, format!("{key} is not known")),
        };
    }
    let hit = known.iter().find(|value| match_value(wanted, value));
    let shown: Vec<String> = match hit {
        Some(value) => vec![show(key, value)],
        None => known.iter().map(|v| show(key, v)).collect(),
    };
    let verb = if hit.is_some() { "is" } else { "is not" };
    let line = format!("{key} {} {verb} {wanted}", shown.join(" / "));
    (hit.is_some(), line)
}

fn match_value(wanted: &Wanted, value: &FactValue) -> bool {
    match (wanted, value) {
        (Wanted::Flag(w), FactValue::Flag(v)) => w == v,
        (Wanted::Number(w), FactValue::Number(v)) => w == v,
        (Wanted::Number(w), FactValue::Text(v)) => w.to_string() == *v,
        (Wanted::Text(w), v) => match_text(w, v),
        (Wanted::OneOf(list), v) => list.iter().any(|w| match_text(w, v)),
        _ => false,
    }
}

fn match_text(wanted: &str, value: &FactValue) -> bool {
    match value {
        FactValue::Number(n) => SizeRange::parse(wanted).is_ok_and(|range| range.contains(*n)),
        FactValue::Text(text) => glob(wanted, text),
        FactValue::Flag(_) => false,
    }
}

fn show(key: &str, value: &FactValue) -> String {
    match value {
        FactValue::Flag(flag) => flag.to_string(),
        FactValue::Number(n) if key == "size" || key == "memory" => human_size(*n),
        FactValue::Number(n) => n.to_string(),
        FactValue::Text(text) => format!("\"{text}\""),
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(n) => write!(f, "{n}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::OneOf(list) => write!(f, "one of {list:?}"),
        }
    }
}

/// Bytes as a person says them: `512.1G`, in powers of ten as disks are sold.
pub fn human_size(bytes: i64) -> String {
    let units = [("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)];
    let value = bytes as f64;
    for (name, unit) in units {
        if value >= unit {
            let text = format!("{:.1}", value / unit);
            return format!("{}{name}", text.strip_suffix(".0").unwrap_or(&text));
        }
    }
    bytes.to_string()
}

/// Match `text` against a glob with `*` and `?`, ignoring ASCII case: firmware tables write one
/// vendor, MAC address or PCI id in either case.
pub fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().map(|c| c.to_ascii_lowercase()).collect();
    let text: Vec<char> = text.chars().map(|c| c.to_ascii_lowercase()).collect();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || Some(&c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// A range of bytes: `"400G..1100G"`, either end open, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// Least size in bytes.
    pub least: Option<i64>,
    /// Greatest size in bytes.
    pub greatest: Option<i64>,
}

impl SizeRange {
    /// Read a range. The error says in words what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((low, high)) = text.split_once("..") else {
            return Err(format!(
                "`{text}` is not a range of sizes: disks of one name differ by a few sectors"
            ));
        };
        let end = |part: &str| match part.trim() {
            "" => Ok(None),
            part => parse_size(part).map(Some),
        };
        let (least, greatest) = (end(low)?, end(high)?);
        match (least, greatest) {
            (None, None) => Err(format!("`{text}` has no size on either side")),
            (Some(l), Some(g)) if l > g => Err(format!("`{text}` is empty: its first size is the greater")),
            _ => Ok(Self { least, greatest }),
        }
    }

    /// The size lies in the range.
    pub fn contains(self, bytes: i64) -> bool {
        self.least.is_none_or(|least| bytes >= least)
            && self.greatest.is_none_or(|greatest| bytes <= greatest)
    }
}

/// Read a size: digits with an optional fraction and a unit. `K M G T` are powers of ten, as
/// disks are sold; `Ki Mi Gi Ti` powers of two; no unit is bytes.
pub fn parse_size(text: &str) -> Result<i64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let bad = || format!("`{text}` is not a size such as 400G, 1.5T or 512Mi");
    let factor: f64 = match unit.trim().trim_end_matches('B') {
        "" => 1.0,
        "K" | "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(bad()),
    };
    let number: f64 = digits.parse().map_err(|_| bad())?;
    let bytes = number * factor;
    if bytes.is_finite() && bytes < i64::MAX as f64 { Ok(bytes as i64) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        toml::from_str(text).unwrap()
    }

    fn disk(transport: &str, size: i64) -> FactMap {
        FactMap::from([
            ("transport".into(), vec![FactValue::Text(transport.into())]),
            ("size".into(), vec![FactValue::Number(size)]),
            ("removable".into(), vec![FactValue::Flag(false)]),
        ])
    }

    #[test]
    fn every_plain_key_must_match() {
        let rule = rule("transport = \"nvme\"\nsize = \"400G..1100G\"");
        assert!(matches(&rule, &disk("nvme", 512_110_190_592)).matches);
        assert!(!matches(&rule, &disk("sata", 512_110_190_592)).matches);
        assert!(!matches(&rule, &disk("nvme", 256_000_000_000)).matches);
    }

    #[test]
    fn any_and_none_are_lists_of_tables() {
        let rule = rule(
            "any = [{ battery = true }, { chassis = [\"laptop\", \"tablet\"] }]\n\
             none = [{ virtual = true }]",
        );
        let text = |t: &str| vec![FactValue::Text(t.into())];
        let mut facts = FactMap::from([("chassis".into(), text("tablet"))]);
        assert!(matches(&rule, &facts).matches);
        facts.insert("virtual".into(), vec![FactValue::Flag(true)]);
        let verdict = matches(&rule, &facts);
        assert!(!verdict.matches);
        assert!(verdict.because.iter().any(|l| l.contains("none")), "{verdict:?}");
        assert!(!matches(&rule, &FactMap::new()).matches);
    }

    #[test]
    fn an_unknown_flag_is_down() {
        assert!(matches(&rule("virtual = false"), &FactMap::new()).matches);
        assert!(!matches(&rule("virtual = true"), &FactMap::new()).matches);
        assert!(!matches(&rule("serial = \"*\""), &FactMap::new()).matches);
    }

    #[test]
    fn an_empty_rule_matches_nothing() {
        assert!(!matches(&Rule::default(), &disk("nvme", 1)).matches);
        assert!(!select(&Rule::default(), &[&disk("nvme", 1)])[0].matches);
    }

    #[test]
    fn superlatives_choose_among_those_that_match() {
        let disks = [disk("nvme", 1000), disk("nvme", 500), disk("usb", 100)];
        let seen: Vec<&dyn Facts> = disks.iter().map(|d| d as &dyn Facts).collect();
        let hits =
            |text: &str| -> Vec<bool> { select(&rule(text), &seen).iter().map(|v| v.matches).collect() };
        assert_eq!(hits("transport = \"nvme\"\nsmallest = true"), [false, true, false]);
        assert_eq!(hits("largest = true"), [true, false, false]);
        let twins = [disk("nvme", 500), disk("nvme", 500)];
        let twins: Vec<&dyn Facts> = twins.iter().map(|d| d as &dyn Facts).collect();
        let tie = select(&rule("smallest = true"), &twins);
        assert!(tie.iter().all(|v| v.matches), "a tie is two matches");
    }

    #[test]
    fn globs() {
        assert!(glob("ThinkPad*", "thinkpad X1"));
        assert!(glob("10de:*", "10DE:1f06"));
        assert!(glob("*", ""));
        assert!(glob("a?c*e", "abcdde"));
        assert!(!glob("a?c", "ac"));
        assert!(!glob("", "x"));
        assert!(glob(&"*a".repeat(40), &"a".repeat(60)));
        assert!(!glob(&format!("{}b", "*a".repeat(40)), &"a".repeat(2000)));
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("400G"), Ok(400_000_000_000));
        assert_eq!(parse_size("1.5T"), Ok(1_500_000_000_000));
        assert_eq!(parse_size("512Mi"), Ok(536_870_912));
        for bad in ["", "G", "4X", "-4G", "1..2G", "99999999999999999T", "1e9", "4 GG"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        let open = SizeRange::parse("400G..").unwrap();
        assert!(open.contains(i64::MAX) && !open.contains(1));
        for bad in ["400G", "..", "9G..1G", "a..b"] {
            assert!(SizeRange::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(human_size(512_110_190_592), "512.1G");
        assert_eq!(human_size(8_000_000_000), "8G");
    }
}
