//! The plan: a pure function of facts, disks and manifest. It either names the one disk that will
//! be written, or refuses in words.

use super::content::Content;
use super::keep;
use super::keep::Earlier;
use super::refusal::Refusal;
use super::swap::{self, SwapRoom};
use crate::bytes::human;
use crate::probe::{Disk, Machine};
use landfall_disk::{DiskError, Layout};
use landfall_hosts::host::Existing;
use landfall_hosts::manifest::Manifest;
use landfall_hosts::rule::{self, FactMap, Facts};
use serde::Serialize;

/// Room on the data partition beside the layers: a second generation's host layer, `/var`, state
/// and the reserve.
const ROOM_BYTES: u64 = 1 << 30;

/// A disk as the plan sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The disk.
    pub disk: Disk,
    /// What is on it.
    pub content: Content,
    /// It is the medium itself.
    pub is_medium: bool,
    /// It or a partition of it is mounted.
    pub mounted: bool,
}

impl Seen {
    /// One line for people: which disk, and what it holds.
    pub fn line(&self) -> String {
        format!("{}: {}", self.disk.line(), self.content.words())
    }

    /// As data, and what it holds in words.
    pub fn for_report(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.insert("holds".into(), self.content.words().into());
        }
        value
    }
}

/// What a plan is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What shall be installed.
    pub manifest: &'a Manifest,
    /// Every disk of the machine.
    pub seen: &'a [Seen],
    /// The machine's facts.
    pub machine: &'a Machine,
    /// The disk that a person chose among those that match.
    pub picked: Option<&'a Disk>,
}

/// What will be written where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The target.
    pub disk: Disk,
    /// What is on it now and will be gone.
    pub content: Content,
    /// Where its partitions will lie.
    pub layout: Layout,
    /// Bytes of all layers.
    pub layer_bytes: u64,
    /// What swap takes of it.
    pub swap: SwapRoom,
    /// The machine whose state is kept; none where all of the disk is made new.
    pub earlier: Option<Earlier>,
}

/// Plans the installation.
pub fn plan(ask: &Ask<'_>) -> Result<Plan, Refusal> {
    let target = one(ask)?;
    let layer_bytes = ask.manifest.layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
    let swap = swap::room(ask.manifest, ask.machine)?;
    let layout = fit(&target.disk, layer_bytes, swap)?;
    may_write(target, ask.manifest.install.existing)?;
    let (disk, content) = (target.disk.clone(), target.content.clone());
    Ok(Plan { disk, content, layout, layer_bytes, swap, earlier: None })
}

/// The disks that can be written and match the rule; at least one.
pub fn matching<'a>(ask: &Ask<'a>) -> Result<Vec<&'a Seen>, Refusal> {
    let can: Vec<&Seen> = ask.seen.iter().filter(|seen| can_be_target(seen)).collect();
    let facts: Vec<FactMap> = can.iter().map(|seen| seen.disk.facts()).collect();
    let facts: Vec<&dyn Facts> = facts.iter().map(|facts| facts as &dyn Facts).collect();
    let verdicts = rule::select(&ask.manifest.install.disk, &facts);
    let hits: Vec<&Seen> =
        can.iter().zip(&verdicts).filter(|(_, verdict)| verdict.matches).map(|(seen, _)| *seen).collect();
    if hits.is_empty() {
        let because: Vec<Vec<String>> = verdicts.into_iter().map(|verdict| verdict.because).collect();
        return Err(none_matches(ask, &can, &because));
    }
    Ok(hits)
}

/// The one disk that matches, or the one of them that a person chose.
fn one<'a>(ask: &Ask<'a>) -> Result<&'a Seen, Refusal> {
    let all = matching(ask)?;
    let chosen: Vec<&Seen> = match ask.picked {
        Some(picked) => all.iter().copied().filter(|seen| seen.disk.is_same(picked)).collect(),
        None => all.clone(),
    };
    if let [only] = chosen.as_slice() {
        return Ok(only);
    }
    let lines: Vec<String> = all.iter().map(|seen| seen.line()).collect();
    Err(Refusal::new(
        "several-disks-match",
        format!(
            "{} disks match the rule of {}, and only one may:\n{}",
            all.len(),
            ask.manifest.host,
            lines.join("\n")
        ),
        format!(
            "name one disk in hosts/{}.toml ([disk] match, by serial or wwn) and build the medium again, \
             or disconnect the other disks; a person who installs by hand can choose one",
            ask.manifest.host
        ),
    ))
}

fn can_be_target(seen: &Seen) -> bool {
    !seen.is_medium && !seen.disk.read_only
}

fn none_matches(ask: &Ask<'_>, can: &[&Seen], because: &[Vec<String>]) -> Refusal {
    let host = &ask.manifest.host;
    let matches = |seen: &&Seen| rule::matches(&ask.manifest.install.disk, &seen.disk.facts()).matches;
    if let Some(locked) = ask.seen.iter().filter(|seen| seen.disk.read_only && !seen.is_medium).find(matches)
    {
        return Refusal::new(
            "disk-read-only",
            format!("the disk that matches the rule of {host} cannot be written: {}", locked.disk.line()),
            "take off its write protection, or name another disk in the site",
        );
    }
    if let Some(medium) = ask.seen.iter().filter(|seen| seen.is_medium).find(matches) {
        return Refusal::new(
            "only-the-medium",
            format!("the only disk for {host} is the medium itself: {}", medium.disk.line()),
            "connect the machine's own disk, or enable its controller in the firmware (some firmwares \
             hide NVMe disks behind RAID or VMD: set it to AHCI)",
        );
    }
    let disks: Vec<String> = can
        .iter()
        .zip(because)
        .map(|(seen, because)| format!("{}: {}", seen.disk.line(), because.join(", ")))
        .collect();
    let disks = if disks.is_empty() { "there is none".to_owned() } else { disks.join("; ") };
    Refusal::new(
        "no-disk-matches",
        format!("no disk matches the rule of {host}. Disks: {disks}"),
        format!("correct [disk] match in hosts/{host}.toml and build the medium again, or connect the disk"),
    )
}

fn fit(disk: &Disk, layer_bytes: u64, swap: SwapRoom) -> Result<Layout, Refusal> {
    let too_small = |need: u64| {
        Refusal::new(
            "disk-too-small",
            format!("{} is too small: {} are needed at least", disk.line(), human(need)),
            "use a larger disk, take packages out of the host, or give it less swap",
        )
    };
    let layout = Layout::machine(disk.size_bytes, disk.sector_bytes).and_then(|layout| match swap {
        SwapRoom { partition_bytes: 0, .. } => Ok(layout),
        SwapRoom { partition_bytes, .. } => layout.with_swap(partition_bytes),
    });
    let layout = layout.map_err(|error| match error {
        DiskError::TooSmall { need_bytes, .. } => too_small(need_bytes),
        other => Refusal::new(
            "sector-size",
            format!("{}: {other}", disk.line()),
            "format the disk with sectors of 512 or 4096 bytes, or use another one",
        ),
    })?;
    let need = layer_bytes.saturating_add(ROOM_BYTES).saturating_add(swap.file_bytes);
    if layout.data.len_bytes < need {
        return Err(too_small(need.saturating_add(disk.size_bytes - layout.data.len_bytes)));
    }
    Ok(layout)
}

fn may_write(target: &Seen, existing: Existing) -> Result<(), Refusal> {
    let line = target.disk.line();
    if target.mounted || !target.disk.holders.is_empty() {
        let holders = target.disk.holders.join(", ");
        let by = if holders.is_empty() { "it is mounted".into() } else { format!("{holders} holds it") };
        return Err(Refusal::new(
            "disk-in-use",
            format!("{line} is in use: {by}. It holds {}", target.content.words()),
            "stop what uses it, or name another disk in the site",
        ));
    }
    match (&target.content, existing) {
        (Content::Blank | Content::HalfInstalled { .. }, _) | (_, Existing::Wipe) => Ok(()),
        (content, existing) if keep::applies(existing, content) => Ok(()),
        (content, Existing::KeepState) => Err(Refusal::new(
            "nothing-to-keep",
            format!("{line} holds no machine of Landfall whose state could be kept, but {}", content.words()),
            "name the machine's own disk in the site, or set existing = \"wipe\" if all of it may go",
        )),
        (Content::HalfKept { .. }, Existing::Refuse) => Err(Refusal::new(
            "disk-half-kept",
            format!("{line} holds a machine whose system was being replaced, and all of its state"),
            "start the medium that began it, or set existing = \"keep-state\" and build this one again",
        )),
        (content, Existing::Refuse) => Err(Refusal::new(
            "disk-not-empty",
            format!("{line} is not empty: it holds {}", content.words()),
            "set [disk] existing = \"wipe\" in the host's file if all of it may go, and build the medium \
             again; or empty the disk yourself",
        )),
    }
}

#[cfg(test)]
pub(super) mod tests;
