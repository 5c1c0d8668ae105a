//! `cargo xtask probe-corpus`: the probe against records of real machines.
//!
//! The corpus is data of others and never part of this repository: `machines.jsonl` and
//! `mk_sysfs.py`, which writes a record as a tree of `sys` and `proc`.

use super::Outcome;
use crate::workspace;
use landfall_probe::{Answer, Roots, machine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The four profiles, in the table's order.
const FORMS: [&str; 4] = ["laptop", "desktop", "server", "vm"];

/// A view of all machines: its name, and the options of `mk_sysfs.py` that make it.
struct View {
    name: &'static str,
    options: &'static [&'static str],
    /// Least percentage with server counted as desktop, and four ways.
    aims: Option<(f64, f64)>,
    /// The view to which it may lose a percent at most.
    against: Option<usize>,
}

const VIEWS: &[View] = &[
    View { name: "the record alone", options: &[], aims: Some((97.0, 92.0)), against: None },
    View {
        name: "supplies of the form",
        options: &["--ps", "form"],
        aims: Some((99.0, 95.0)),
        against: None,
    },
    perturbed("form, a wireless mouse", &["--ps", "form", "--add", "hidpp"], 1),
    perturbed("form, a gamepad", &["--ps", "form", "--add", "dualshock"], 1),
    perturbed("form, a pen", &["--ps", "form", "--add", "pen"], 1),
    perturbed("form, a UPS", &["--ps", "form", "--add", "ups"], 1),
    perturbed("form, all of them", &["--ps", "form", "--add", "hidpp,dualshock,pen,ups,ucsi"], 1),
    perturbed(
        "form, all, no scope files",
        &["--ps", "form", "--add", "hidpp,dualshock,pen,ups,ucsi", "--drop", "scope"],
        1,
    ),
    perturbed("record, a wireless mouse", &["--add", "hidpp"], 0),
    perturbed("record, all of them", &["--add", "hidpp,dualshock,pen,ups,ucsi"], 0),
    perturbed("no system battery", &["--ps", "none"], 0),
    View { name: "no DMI", options: &["--ps", "form", "--drop", "dmi"], aims: None, against: None },
    View { name: "no PCI", options: &["--ps", "form", "--drop", "pci"], aims: None, against: None },
    View {
        name: "no chassis type",
        options: &["--ps", "form", "--drop", "chassis"],
        aims: None,
        against: None,
    },
    View { name: "nothing", options: &["--drop", "dmi,pci,cpuinfo,ps"], aims: None, against: None },
];

const fn perturbed(name: &'static str, options: &'static [&'static str], against: usize) -> View {
    View { name, options, aims: None, against: Some(against) }
}

/// What a record says of its machine.
struct Truth {
    id: String,
    profile: String,
    kinds: Vec<String>,
    nvidia: Option<bool>,
}

/// How often the probe was right.
#[derive(Default)]
struct Score {
    table: BTreeMap<(String, String), usize>,
    wrong: Vec<String>,
    kind: (usize, usize),
    nvidia: (usize, usize),
}

/// `[DIR]`: prints the tables, and fails where an aim is missed. `-v` names the machines.
pub fn run(arguments: &[String]) -> Outcome {
    let verbose = arguments.iter().any(|argument| argument == "-v");
    let folder = arguments.iter().find(|argument| *argument != "-v").map(PathBuf::from);
    let folder = folder.or_else(|| std::env::var_os("LANDFALL_CORPUS").map(PathBuf::from));
    let folder = folder.unwrap_or_else(|| workspace::root().join("../shared/corpus"));
    let truths = truths(&folder)?;
    let mut scores: Vec<Score> = Vec::new();
    let mut missed = Vec::new();
    for view in VIEWS {
        let score = measure(&folder, view, &truths)?;
        score.print(view, verbose);
        missed.extend(view.missed(&score, &scores));
        scores.push(score);
    }
    for miss in &missed {
        eprintln!("{miss}");
    }
    if missed.is_empty() { Ok(()) } else { Err("the probe misses its aims (see above)".into()) }
}

fn truths(folder: &Path) -> Result<Vec<Truth>, Box<dyn std::error::Error>> {
    let path = folder.join("machines.jsonl");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        format!("reading {}: {error}; name the corpus's folder, or set LANDFALL_CORPUS", path.display())
    })?;
    let mut truths = Vec::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line)?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if word(&record["arch"]) != "x86_64" {
            continue;
        }
        // The corpus says "hyperv" where systemd says "microsoft".
        let label = word(&record["label_virt"]).replace("hyperv", "microsoft");
        truths.push(Truth {
            id: word(&record["id"]),
            profile: word(&record["expect_profile"]),
            kinds: vec![label],
            nvidia: record["label_nvidia"].as_bool(),
        });
    }
    Ok(truths)
}

fn measure(folder: &Path, view: &View, truths: &[Truth]) -> Result<Score, Box<dyn std::error::Error>> {
    // A hundred thousand small files: in memory that takes a tenth of the time.
    let memory = Path::new("/dev/shm");
    let roots = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let mut command = Command::new("python3");
    command
        .arg(folder.join("mk_sysfs.py"))
        .arg(roots.path())
        .arg("--jsonl")
        .arg(folder.join("machines.jsonl"));
    let output = command.arg("--all").args(view.options).output()?;
    if !output.status.success() {
        return Err(format!("mk_sysfs.py: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut score = Score::default();
    for truth in truths {
        let machine = machine::probe(&Roots::under(&roots.path().join(&truth.id)));
        score.add(truth, &Answer::of(&machine, &|_| None));
    }
    Ok(score)
}

impl Score {
    fn add(&mut self, truth: &Truth, answer: &Answer) {
        *self.table.entry((truth.profile.clone(), answer.profile.clone())).or_default() += 1;
        if truth.profile != answer.profile {
            let because = answer.because.profile.join("; ");
            self.wrong.push(format!("{}: {} → {} ({because})", truth.id, truth.profile, answer.profile));
        }
        let kind = &answer.virtualization.kind;
        self.kind.1 += 1;
        if truth.kinds.contains(kind) {
            self.kind.0 += 1;
        } else {
            self.wrong.push(format!("{}: {} → {kind}", truth.id, truth.kinds.join(" or ")));
        }
        if let Some(present) = truth.nvidia {
            self.nvidia.1 += 1;
            self.nvidia.0 += usize::from(present == answer.nvidia.present);
        }
    }

    /// Percent right with server counted as desktop, and four ways.
    fn percent(&self) -> (f64, f64) {
        let fold = |form: &str| if form == "server" { "desktop".to_owned() } else { form.to_owned() };
        let (mut three, mut four, mut all) = (0, 0, 0);
        for ((truth, answer), count) in &self.table {
            all += count;
            four += if truth == answer { *count } else { 0 };
            three += if fold(truth) == fold(answer) { *count } else { 0 };
        }
        (ratio((three, all)), ratio((four, all)))
    }

    fn print(&self, view: &View, verbose: bool) {
        let (three, four) = self.percent();
        println!("\n{} ({})", view.name, view.options.join(" "));
        println!("  {:<18}{}", "truth × answer", FORMS.map(|form| format!("{form:>9}")).concat());
        for truth in FORMS {
            let cell = |answer: &str| self.table.get(&(truth.to_owned(), answer.to_owned())).copied();
            println!(
                "  {truth:<18}{}",
                FORMS.map(|answer| format!("{:>9}", cell(answer).unwrap_or(0))).concat()
            );
        }
        println!(
            "  server as desktop {three:.1} %, four ways {four:.1} %, hypervisor {:.1} %, NVIDIA {:.1} %",
            ratio(self.kind),
            ratio(self.nvidia)
        );
        for line in self.wrong.iter().filter(|_| verbose) {
            println!("  {line}");
        }
    }
}

impl View {
    fn missed(&self, score: &Score, earlier: &[Score]) -> Vec<String> {
        let (three, four) = score.percent();
        let mut missed = Vec::new();
        let mut hold = |what: &str, is: f64, least: f64| {
            if is < least {
                missed.push(format!("{}: {what} {is:.1} %, and {least:.1} % is the aim", self.name));
            }
        };
        if let Some((least_three, least_four)) = self.aims {
            hold("server as desktop", three, least_three);
            hold("four ways", four, least_four);
            hold("hypervisor", ratio(score.kind), 99.0);
            hold("NVIDIA", ratio(score.nvidia), 100.0);
        }
        if let Some(base) = self.against.and_then(|index| earlier.get(index)) {
            let (base_three, base_four) = base.percent();
            hold("server as desktop", three, base_three - 1.0);
            hold("four ways", four, base_four - 1.0);
        }
        missed
    }
}

fn ratio((part, all): (usize, usize)) -> f64 {
    if all == 0 { 100.0 } else { 100.0 * part as f64 / all as f64 }
}
