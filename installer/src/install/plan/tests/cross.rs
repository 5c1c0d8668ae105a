//! Everything that can come together: what a disk holds × what may happen to it × what the rule finds × what the disk
//! is in use for. Each outcome is worked out here a second time, in other words.

use super::*;

/// What the rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    One,
    Two,
    /// Two, and a person chose the first.
    Picked,
}

/// What the first disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Mounted,
    InArray,
    ReadOnly,
    Medium,
}

const FOUND: [Found; 4] = [Found::Nothing, Found::One, Found::Two, Found::Picked];
const STATES: [State; 5] = [State::Free, State::Mounted, State::InArray, State::ReadOnly, State::Medium];

fn contents() -> Vec<Content> {
    let id = || "0011223344556677".to_owned();
    vec![
        Content::Blank,
        Content::HalfInstalled { id: id() },
        Content::Machine { id: id(), systems: vec!["Landfall (host vm)".into()] },
        used(),
        Content::Unreadable { why: "I/O error".into() },
    ]
}

/// The disk that the cross is about: one of two that differ in name and serial number alone.
fn first(content: &Content, state: State) -> Seen {
    let mut seen = Seen { content: content.clone(), ..disk("vda", 20, "virtio") };
    match state {
        State::Free => {}
        State::Mounted => seen.mounted = true,
        State::InArray => seen.disk.holders = vec!["md0".into()],
        State::ReadOnly => seen.disk.read_only = true,
        State::Medium => seen.is_medium = true,
    }
    seen
}

fn can_be_written(state: State) -> bool {
    !matches!(state, State::ReadOnly | State::Medium)
}

/// The target's name, or why there is none.
fn expected(content: &Content, existing: Existing, found: Found, state: State) -> Result<&str, &str> {
    let candidate = can_be_written(state);
    match (found, state) {
        (Found::Nothing, _) => return Err("no-disk-matches"),
        // The other one is blank, free, and all that is left.
        (Found::Two, _) if !candidate => return Ok("vdb"),
        (Found::Two, _) => return Err("several-disks-match"),
        (Found::Picked, _) if !candidate => return Err("several-disks-match"),
        (_, State::ReadOnly) => return Err("disk-read-only"),
        (_, State::Medium) => return Err("only-the-medium"),
        (_, State::Mounted | State::InArray) => return Err("disk-in-use"),
        (_, State::Free) => {}
    }
    let worthless = matches!(content, Content::Blank | Content::HalfInstalled { .. });
    if worthless || existing == Existing::Wipe { Ok("vda") } else { Err("disk-not-empty") }
}

#[test]
fn every_content_word_rule_and_use_of_a_disk() {
    let mut seen_outcomes = 0;
    for content in contents() {
        for existing in [Existing::Refuse, Existing::Wipe] {
            for (found, state) in FOUND.iter().flat_map(|found| STATES.map(|state| (*found, state))) {
                let case = format!("{content:?} {existing:?} {found:?} {state:?}");
                let outcome = expected(&content, existing, found, state).map(str::to_owned);
                assert_eq!(planned(&content, existing, found, state, &case), outcome, "{case}");
                seen_outcomes += 1;
            }
        }
    }
    assert_eq!(seen_outcomes, 5 * 2 * 4 * 5);
}

/// Plans with the disks in both orders, which must change nothing.
fn planned(
    content: &Content,
    existing: Existing,
    found: Found,
    state: State,
    case: &str,
) -> Result<String, &'static str> {
    let target = first(content, state);
    let mut seen = vec![target.clone(), disk("sda", 20, "sata")];
    if matches!(found, Found::Two | Found::Picked) {
        seen.push(disk("vdb", 20, "virtio"));
    }
    let rule = if found == Found::Nothing { "transport = 'nvme'" } else { "transport = 'virtio'" };
    let manifest = manifest(rule, existing);
    let machine = Machine::default();
    let picked = (found == Found::Picked).then_some(&target.disk);
    let outcome = |seen: &[Seen]| {
        let ask = Ask { manifest: &manifest, seen, machine: &machine, picked };
        plan(&ask).map(|plan| plan.disk.name).map_err(|refusal| {
            assert!(!refusal.remedy.is_empty(), "{case}");
            let tells = matches!(refusal.slug, "disk-not-empty" | "disk-in-use" | "several-disks-match");
            let tells = tells && can_be_written(state);
            assert!(!tells || refusal.message.contains(&content.words()), "{case}: {}", refusal.message);
            refusal.slug
        })
    };
    let forward = outcome(&seen);
    seen.reverse();
    assert_eq!(outcome(&seen), forward, "{case}: the order of the disks decided");
    forward
}
