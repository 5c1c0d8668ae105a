//! `landfall report FILE`: what the installer said of a run, as a page.

use super::context::Context;
use super::failure::Failure;
use super::probe;
use clap::Args;
use landfall_disk::{Fat, FatEntry, TableSeen, read_table, types};
use landfall_hosts::report::{InstallReport, Outcome, Phase};
use landfall_probe::bytes;
use landfall_probe::machine::Machine;
use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Folder of reports on a stick's ESP.
const FOLDER: &str = "reports";
/// No report of ours is larger.
const MAX_BYTES: u32 = 16 << 20;
/// The highest schema that is read.
const SCHEMA: u32 = 1;

/// Which report, and how to show it.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A report, or a stick or image that has some on it: the newest is shown
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The report's own JSON
    #[arg(long)]
    json: bool,
    /// Only list a stick's reports, the newest first
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// This one of a stick's reports
    #[arg(long, value_name = "NAME", conflicts_with = "list")]
    name: Option<String>,
}

/// Reads and prints.
///
/// # Errors
/// When the file cannot be read, is no report, or is a stick without one.
pub fn run(args: &ReportArgs, _context: &Context) -> Result<(), Failure> {
    let source = open(&args.file)?;
    if args.list {
        for entry in source.entries(&args.file)? {
            println!("{}  {}", entry.name, bytes::human(u64::from(entry.len_bytes)));
        }
        return Ok(());
    }
    let text = source.text(&args.file, args.name.as_deref())?;
    if args.json {
        print!("{text}");
        return Ok(());
    }
    let report = parse(&text).map_err(|why| invalid(&args.file, &why))?;
    print!("{}", page(&report));
    Ok(())
}

fn invalid(file: &Path, why: &str) -> Failure {
    let remedy = "give a report of the installer (reports/*.json), or the stick or image that has it";
    Failure::Invalid(format!("reading a report from {}: {why}; {remedy}", file.display()))
}

/// Where reports come from.
enum Source {
    Text(String),
    Stick { disk: File, esp_bytes: u64 },
}

fn open(file: &Path) -> Result<Source, Failure> {
    let bad = |error: std::io::Error| invalid(file, &error.to_string());
    let mut disk = File::open(file).map_err(bad)?;
    let mut start = [0u8; 1];
    let length = disk.read(&mut start).map_err(bad)?;
    if length > 0 && matches!(start, [b'{' | b' ' | b'\n' | b'\r' | b'\t']) {
        disk.seek(SeekFrom::Start(0)).map_err(bad)?;
        let mut text = String::new();
        disk.take(u64::from(MAX_BYTES)).read_to_string(&mut text).map_err(bad)?;
        return Ok(Source::Text(text));
    }
    match esp(&mut disk) {
        Some(esp_bytes) => Ok(Source::Stick { disk, esp_bytes }),
        None => Err(invalid(file, "it is neither JSON nor a disk with an EFI system partition")),
    }
}

/// First byte of the ESP, whichever size the disk's sectors have.
fn esp(disk: &mut File) -> Option<u64> {
    [512u32, 4096].into_iter().find_map(|sector| match read_table(disk, sector) {
        Ok(TableSeen::Gpt(gpt)) => {
            let esp = gpt.entries.iter().find(|entry| entry.type_guid == types::ESP)?;
            esp.first_lba.checked_mul(u64::from(sector))
        }
        _ => None,
    })
}

impl Source {
    /// A stick's reports, the newest first.
    fn entries(&self, file: &Path) -> Result<Vec<FatEntry>, Failure> {
        let Self::Stick { disk, esp_bytes } = self else {
            return Err(invalid(file, "it is a report itself, and not a stick with some"));
        };
        let failed = |error: landfall_disk::DiskError| invalid(file, &error.to_string());
        let mut disk = disk;
        let esp = Fat::open(&mut disk, *esp_bytes).map_err(failed)?;
        let mut esp = esp.ok_or_else(|| invalid(file, "its EFI system partition has no FAT filesystem"))?;
        let mut found = esp.folder(FOLDER).map_err(failed)?;
        found.retain(|entry| !entry.is_folder && entry.name.to_ascii_lowercase().ends_with(".json"));
        // A machine without a clock writes one date into all of them: the higher number is newer.
        found.sort_by_key(|entry| (entry.written, entry.name.len(), entry.name.clone()));
        found.reverse();
        Ok(found)
    }

    fn text(self, file: &Path, name: Option<&str>) -> Result<String, Failure> {
        if let Self::Text(text) = self {
            return Ok(text);
        }
        let entries = self.entries(file)?;
        let wanted = entries.iter().find(|entry| name.is_none_or(|name| entry.name == name));
        let entry = wanted.ok_or_else(|| invalid(file, "it holds no such report"))?;
        let Self::Stick { disk, esp_bytes } = &self else { return Ok(String::new()) };
        let failed = |error: landfall_disk::DiskError| invalid(file, &error.to_string());
        let mut disk = disk;
        let esp = Fat::open(&mut disk, *esp_bytes).map_err(failed)?;
        let path = format!("{FOLDER}/{}", entry.name);
        let bytes = esp.map(|mut esp| esp.file(&path, MAX_BYTES)).transpose().map_err(failed)?.flatten();
        let bytes = bytes.ok_or_else(|| invalid(file, "the report vanished while it was read"))?;
        String::from_utf8(bytes).map_err(|_| invalid(file, &format!("{} is damaged", entry.name)))
    }
}

fn parse(text: &str) -> Result<InstallReport, String> {
    let report: InstallReport = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if report.schema > SCHEMA {
        return Err(format!("it has schema {}, and this landfall reads {SCHEMA}", report.schema));
    }
    Ok(report)
}

/// The page; control characters of a hostile report do not reach the terminal.
fn page(report: &InstallReport) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "{}", headline(report));
    if let Outcome::Refused { reason, message, remedy } = &report.outcome {
        let _ = writeln!(page, "  why         {message} ({reason})\n  what to do  {remedy}");
    }
    if let Outcome::Failed { step, message } = &report.outcome {
        let _ = writeln!(page, "  step        {step}\n  why         {message}");
        let _ =
            writeln!(page, "  what to do  install again; if it fails again, the disk or the stick is bad");
    }
    let _ = writeln!(page, "  install id  {}", report.install_id);
    if let Some((set, because)) = report.profiles.split_first() {
        let _ = writeln!(page, "  profiles    {set} ({})", because.join("; "));
    }
    if let Some(plan) = &report.plan {
        section(&mut page, "Plan");
        let _ = writeln!(page, "disk       {}\nlost       {}", plan.disk, plan.lost);
        let _ = writeln!(page, "to copy    {}", bytes::human(plan.copy_bytes));
    }
    section(&mut page, "Machine");
    match serde_json::from_value::<Machine>(report.facts.clone()) {
        Ok(mut machine) => {
            machine.derive();
            page.push_str(&probe::facts_page(&machine));
        }
        Err(_) => page.push_str("unknown\n"),
    }
    section(&mut page, "Disks");
    page.push_str(&disks(&report.disks));
    if !report.phases.is_empty() {
        section(&mut page, "Time");
        report.phases.iter().for_each(|phase| page.push_str(&time(phase)));
    }
    if let Some(sealed) = &report.recovery_key {
        section(&mut page, "Recovery key of the disk, for an admin: age -d -i IDENTITY.txt, and these lines");
        let _ = writeln!(page, "{}", sealed.trim());
    }
    section(&mut page, "What was said");
    report.log.iter().for_each(|line| {
        let _ = writeln!(page, "{line}");
    });
    page.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

fn headline(report: &InstallReport) -> String {
    let host = report.host.as_deref().unwrap_or("no host");
    let target = report.target.as_deref().map(|target| format!(" on {target}")).unwrap_or_default();
    match &report.outcome {
        Outcome::Done => format!("{host}: installed{target}"),
        Outcome::Refused { .. } => format!("{host}: refused; no disk was changed"),
        Outcome::Failed { .. } => format!("{host}: failed{target}"),
    }
}

fn section(page: &mut String, name: &str) {
    let _ = writeln!(page, "\n{name}");
}

/// One line per disk, and what it held; whatever shape the report's value has.
fn disks(seen: &serde_json::Value) -> String {
    let list = seen.as_array().map(Vec::as_slice).unwrap_or_default();
    let lines = list.iter().map(|seen| {
        let text = |key: &str| seen.pointer(key).and_then(|value| value.as_str()).unwrap_or_default();
        let size = seen.pointer("/disk/size_bytes").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let words = [text("/disk/model"), text("/disk/transport"), text("/disk/serial")];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        format!(
            "{:<14} {:>10}  {}: {}\n",
            text("/disk/path"),
            bytes::human(size),
            words.join(", "),
            text("/holds")
        )
    });
    let lines: String = lines.collect();
    if lines.is_empty() { "none\n".into() } else { lines }
}

fn time(phase: &Phase) -> String {
    let rate = if phase.bytes > 0 && phase.seconds > 0.0 {
        let per_second = phase.bytes as f64 / phase.seconds;
        format!("  {} at {}/s", bytes::human(phase.bytes), bytes::human(per_second as u64))
    } else {
        String::new()
    };
    format!("{:<11} {:>7.1} s{rate}\n", phase.name, phase.seconds)
}

#[cfg(test)]
mod tests;
