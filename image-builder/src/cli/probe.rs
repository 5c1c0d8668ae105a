//! `landfall probe`: what a machine is, and which profile that gives.

use super::context::Context;
use super::failure::Failure;
use clap::Args;
use landfall_probe::machine::{self, Machine};
use landfall_probe::nvidia::Driver;
use landfall_probe::pci_names::{self, PciNames};
use landfall_probe::{Answer, Disk, PciDevice, Roots, bytes, disks};
use pci_ids::FromId;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Which machine, and how to tell it.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// A recorded tree, read instead of this machine
    #[arg(long, value_name = "DIR", conflicts_with = "facts")]
    root: Option<PathBuf>,
    /// Facts of an earlier probe or an install's report
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// With every rule that was tried
    #[arg(long)]
    explain: bool,
}

/// Names of PCI devices: the system's own list, which is newer, else the one in this program.
struct Names(PciNames);

impl Names {
    fn of(&self, device: &PciDevice) -> Option<String> {
        self.0.of(device).or_else(|| {
            let id = |text: &str| u16::from_str_radix(text, 16).ok();
            let vendor = pci_ids::Vendor::from_id(id(&device.vendor)?)?;
            let known = pci_ids::Device::from_vid_pid(vendor.id(), id(&device.device)?);
            Some(known.map_or_else(
                || vendor.name().to_owned(),
                |chip| format!("{} {}", vendor.name(), chip.name()),
            ))
        })
    }
}

/// Probes and prints.
///
/// # Errors
/// When a folder is missing or a file of facts cannot be read.
pub fn run(args: &ProbeArgs, _context: &Context) -> Result<(), Failure> {
    let (machine, disks) = read(args)?;
    let names = Names(PciNames::of_system(Path::new("/")));
    let answer = Answer::of(&machine, &|device| names.of(device));
    if args.json {
        println!("{:#}", json(&machine, &disks, &answer, args.explain)?);
    } else {
        print!("{}", page(&machine, &disks, &answer, &names));
        if args.explain {
            print!("{}", explained(&answer));
        }
    }
    Ok(())
}

/// What facts say, with the profile that they give, for a person.
pub(super) fn facts_page(machine: &Machine) -> String {
    let names = Names(PciNames::of_system(Path::new("/")));
    let answer = Answer::of(machine, &|device| names.of(device));
    page(machine, &[], &answer, &names)
}

fn read(args: &ProbeArgs) -> Result<(Machine, Vec<Disk>), Failure> {
    if let Some(file) = &args.facts {
        return replayed(file);
    }
    let roots = match &args.root {
        Some(root) if !root.is_dir() => {
            let words =
                format!("{} is no folder; --root takes one that holds sys, dev and proc", root.display());
            return Err(Failure::Invalid(words));
        }
        Some(root) => Roots::under(root),
        None => Roots::machine(),
    };
    Ok((machine::probe(&roots), disks::list(&roots)))
}

/// Facts stand at the top of a file or under `facts`, as reports have them; disks beside.
fn replayed(file: &Path) -> Result<(Machine, Vec<Disk>), Failure> {
    let bad = |why: String| {
        let remedy = "give what `landfall probe --json` or an install's report wrote";
        Failure::Invalid(format!("reading facts from {}: {why}; {remedy}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    let machine = super::adopt::machine(&json).map_err(bad)?;
    let disks = json.get("disks").and_then(serde_json::Value::as_array);
    // A report has what was seen around each disk beside it.
    let disk =
        |seen: &serde_json::Value| serde_json::from_value(seen.get("disk").unwrap_or(seen).clone()).ok();
    Ok((machine, disks.into_iter().flatten().filter_map(disk).collect()))
}

fn json(
    machine: &Machine,
    disks: &[Disk],
    answer: &Answer,
    explain: bool,
) -> Result<serde_json::Value, serde_json::Error> {
    let mut json = serde_json::to_value(answer)?;
    if let Some(object) = json.as_object_mut() {
        object.insert("facts".into(), serde_json::to_value(machine)?);
        object.insert("disks".into(), serde_json::to_value(disks)?);
        if explain {
            object.insert("explain".into(), serde_json::to_value(&answer.tried)?);
        }
    }
    Ok(json)
}

fn page(machine: &Machine, disks: &[Disk], answer: &Answer, names: &Names) -> String {
    let mut page = String::new();
    let unknown = || "unknown".to_owned();
    let join = |parts: [&Option<String>; 3]| -> String {
        let words: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        if words.is_empty() { unknown() } else { words.join(" ") }
    };
    let mut line = |name: &str, value: String| {
        let _ = writeln!(page, "{name:<10} {value}");
    };
    line("profile", format!("{} ({})", answer.profile, answer.because.profile.join("; ")));
    line("machine", join([&machine.vendor, &machine.product, &machine.version]));
    line("board", join([&machine.board_vendor, &machine.board, &None]));
    line("firmware", firmware(machine));
    line(
        "hypervisor",
        format!("{} ({})", answer.virtualization.kind, answer.because.virtualization.join("; ")),
    );
    line(
        "processor",
        format!("{}, {} threads", join([&machine.cpu.model, &None, &None]), machine.cpu.threads),
    );
    let memory = machine.memory_bytes;
    line("memory", if memory == 0 { unknown() } else { bytes::human(memory) });
    line("battery", if machine.battery { "yes" } else { "no" }.into());
    line("TPM", machine.tpm.map_or("no".into(), |version| format!("version {version}")));
    if let Some(driver) = answer.nvidia.driver {
        line("NVIDIA", nvidia(driver));
    }
    if let Some(profile) = &answer.gpu_profile {
        line("GPU", format!("profile {profile}"));
    }
    for nic in &machine.network {
        let radio = nic.wireless.then(|| "wireless".to_owned());
        let words = [Some(nic.name.clone()), nic.mac.clone(), nic.driver.clone(), radio];
        line("network", words.into_iter().flatten().collect::<Vec<_>>().join(" "));
    }
    for disk in disks {
        line("disk", disk.line());
    }
    for device in machine.devices().iter().filter(|device| pci_names::class(device) != "device") {
        let name = names.of(device).unwrap_or_else(|| device.id());
        line("PCI", format!("{} {}: {name}", device.slot, pci_names::class(device)));
    }
    page
}

/// What drives NVIDIA's chips, and what will.
fn nvidia(driver: Driver) -> String {
    let later = match driver {
        Driver::Nouveau => {
            return "yes; the kernel's nouveau drives it, and NVIDIA's current driver does not".into();
        }
        Driver::Proprietary => "closed",
        Driver::Open => "open",
    };
    format!(
        "yes; nouveau drives it for now. NVIDIA's {later} driver suits it: as Debian builds it, it needs a signature \
         that Secure Boot trusts, which a later version brings"
    )
}

fn firmware(machine: &Machine) -> String {
    let bits = machine.uefi_bits.map(|bits| format!(", {bits} bits")).unwrap_or_default();
    let secure = match machine.secure_boot {
        Some(true) => ", Secure Boot on",
        Some(false) => ", Secure Boot off",
        None => "",
    };
    format!("{}{bits}{secure}", machine.firmware)
}

fn explained(answer: &Answer) -> String {
    let mut text = String::new();
    for (topic, rules) in &answer.tried {
        let _ = writeln!(text, "\n{topic}");
        for tried in rules {
            let mark = if tried.holds { "yes" } else { "no " };
            let facts = if tried.facts.is_empty() { String::new() } else { format!(": {}", tried.facts) };
            let _ = writeln!(text, "  {mark} {}{facts}", tried.rule);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_have_names_without_the_systems_list() {
        let names = Names(PciNames::default());
        let of = |vendor: &str, device: &str| {
            names.of(&PciDevice { vendor: vendor.into(), device: device.into(), ..PciDevice::default() })
        };
        assert!(of("10de", "1eb8").is_some_and(|name| name.contains("NVIDIA") && name.contains("T4")));
        assert!(of("8086", "ffff").is_some_and(|name| name.contains("Intel")));
        assert_eq!((of("zzzz", "0000"), of("", "zz")), (None, None));
    }

    #[test]
    fn a_page_says_what_drives_the_chip() {
        let gpu = |device: &str| PciDevice {
            vendor: "10de".into(),
            device: device.into(),
            class: "030000".into(),
            ..PciDevice::default()
        };
        let page = |device: &str| {
            let mut machine = Machine { pci_devices: Some(vec![gpu(device)]), ..Machine::default() };
            machine.derive();
            facts_page(&machine)
        };
        assert!(page("2204").contains("open driver suits it") && page("2204").contains("signature"));
        assert!(page("0ffd").contains("nouveau drives it") && !page("0ffd").contains("signature"));
        assert!(page("2204").contains("VGA: NVIDIA"), "{}", page("2204"));
    }

    #[test]
    fn what_was_printed_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = Machine { schema: 1, chassis_type: Some(10), ..Machine::default() };
        machine.derive();
        let answer = Answer::of(&machine, &|_| None);
        let disks = [Disk { name: "sda".into(), size_bytes: 8, ..Disk::default() }];
        let text = json(&machine, &disks, &answer, true).unwrap().to_string();
        let file = folder.path().join("facts.json");
        std::fs::write(&file, &text).unwrap();
        let (again, seen) = replayed(&file).unwrap();
        assert_eq!((&again, seen.as_slice()), (&machine, disks.as_slice()));
        assert_eq!(json(&again, &seen, &Answer::of(&again, &|_| None), true).unwrap().to_string(), text);
        for bad in ["", "[]", "{}", "{\"schema\": []}", "{\"facts\": 1}"] {
            std::fs::write(&file, bad).unwrap();
            assert!(replayed(&file).is_err(), "{bad}");
        }
    }
}
