//! One medium whose host leaves its device to the hardware: a guest that passes for a laptop becomes one, end to end,
//! and a plain guest becomes a virtual machine.

use landfall_hosts::manifest::{LayerKind, Manifest};
use landfall_hosts::report::InstallReport;
use landfall_qemu_tests::error::Error;
use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::guest::{Drive, Guest, GuestConfig};
use landfall_qemu_tests::laptop::become_laptop;
use landfall_qemu_tests::process::run;
use landfall_qemu_tests::rehearsal::{Machine, Shape, Starts};
use landfall_qemu_tests::site::{HOST, Site};
use landfall_qemu_tests::{Result, image};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use toml::Value;

const LIMIT: Duration = Duration::from_secs(900);

/// The shipped laptop and virtual machine, without firmware that no guest has; its host waits for the hardware. Modules
/// without a rule are no profiles, so that there are two sets.
const FILES: &[(&str, &str)] = &[
    (
        "device/laptop.toml",
        r#"
slot     = "device"
imports  = ["builtin:device/laptop"]
packages = [
  "-firmware-iwlwifi", "-firmware-atheros", "-firmware-mediatek", "-firmware-brcm80211", "-firmware-realtek",
  "-firmware-amd-graphics", "-firmware-intel-graphics", "-firmware-misc-nonfree",
]
[match]
any  = [{ battery = true }, { chassis = ["laptop", "notebook", "convertible", "detachable", "tablet"] }]
none = [{ virtual = true }]
rank = 20
"#,
    ),
    (
        "device/vm.toml",
        "slot = \"device\"\nimports = [\"builtin:device/vm\"]\n[match]\nvirtual = true\nrank = 30\n",
    ),
    ("device/desktop.toml", "slot = \"device\"\n"),
    ("device/server.toml", "slot = \"device\"\n"),
];

struct Bench {
    fixture: Fixture,
    kernel: PathBuf,
    initrd: PathBuf,
    options: String,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| make().expect("making the medium"))
}

fn make() -> Result<Bench> {
    let fixture = Fixture::shared()?.variant("profiles", &[HOST], leave_to_hardware)?;
    let (kernel, initrd) = image::boot_files(&fixture.medium, HOST, &fixture.folder)?;
    let options = image::unattended_options(&fixture.medium)?;
    Ok(Bench { fixture, kernel, initrd, options })
}

fn leave_to_hardware(site: &Site) -> Result<()> {
    for (path, text) in FILES {
        std::fs::write(site.folder.join(path), text).expect("writing a module");
    }
    site.edit(&format!("hosts/{HOST}.toml"), |table| {
        table.insert("device".into(), "auto".into());
        // What the tests look through, in both.
        table.insert("packages".into(), Value::Array(vec!["qemu-guest-agent".into()]));
        let consoles = Value::Array(vec!["console=tty0".into(), "console=ttyS0,115200".into()]);
        table.insert("kernel".into(), toml::Table::from_iter([("params".to_owned(), consoles)]).into());
    })
}

#[test]
#[ignore = "builds a medium: run by cargo xtask test"]
fn a_medium_with_variants_is_the_same_from_another_folder() -> Result<()> {
    let site = &bench().fixture.site;
    let folder = tempfile::tempdir_in(&bench().fixture.folder).expect("creating a folder");
    for part in [&site.folder, &site.home] {
        run(Command::new("cp").arg("-r").arg(part).arg(folder.path()))?;
    }
    let (here, there) = (folder.path().join("here.img"), folder.path().join("there.img"));
    site.build(&here, &[HOST], false)?;
    Site::open(folder.path()).build(&there, &[HOST], false)?;
    assert_eq!(image::sha256(&here)?, image::sha256(&there)?);
    let names = image::data_names(&here, "landfall/generations")?;
    for set in ["laptop", "vm"] {
        assert!(names.contains(&format!("{HOST}@{set}.toml")), "{names:?}");
    }
    Ok(())
}

/// A machine that was installed with nobody watching, and what its stick says of it.
struct Installed {
    machine: Machine,
    set: String,
    report: InstallReport,
    report_text: String,
    manifest: Manifest,
}

fn install(name: &str, shape: impl FnOnce(&mut GuestConfig, &Machine) -> Result<()>) -> Result<Installed> {
    let bench = bench();
    let machine = Machine::shaped(&bench.fixture, name, Shape { starts: Starts::Uefi, ..Shape::default() })?;
    let mut config = machine.config("install");
    let words = ["-kernel", &path(&bench.kernel), "-initrd", &path(&bench.initrd), "-append", &bench.options];
    config.machine.extra.extend(words.map(str::to_owned));
    config.machine.drives = vec![Drive::stick(&machine.stick), machine.target()];
    shape(&mut config, &machine)?;
    let mut guest = Guest::start(&config)?;
    let line = guest.wait_for(&["LANDFALL PROFILES", "LANDFALL REFUSED", "LANDFALL PROMPT"], LIMIT)?;
    let set = line.split("set=").nth(1).unwrap_or_default().trim().to_owned();
    let line = guest.wait_for(&["LANDFALL INSTALL done", "LANDFALL REFUSED", "LANDFALL FAILED"], LIMIT)?;
    assert!(line.contains("INSTALL done"), "{line}");
    guest.wait_for_power_off(LIMIT)?;
    let report_text = report(&machine.stick)?;
    let bad = |error: String| Error::Unexpected(format!("reading what the installer left: {error}"));
    let report = serde_json::from_str(&report_text).map_err(|error| bad(error.to_string()))?;
    let text = image::data_file(&machine.disk, "landfall/generations/1.toml")?;
    let manifest = toml::from_str(&String::from_utf8_lossy(&text)).map_err(|error| bad(error.to_string()))?;
    Ok(Installed { machine, set, report, report_text, manifest })
}

fn path(path: &std::path::Path) -> String {
    path.display().to_string()
}

fn report(stick: &std::path::Path) -> Result<String> {
    let files = image::esp_files(stick)?;
    let report = files.iter().find(|(name, _)| name.to_lowercase().starts_with("reports/"));
    let bytes = report.map(|(_, bytes)| bytes.clone());
    let bytes = bytes.ok_or_else(|| Error::Unexpected("there is no report on the stick".into()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Installed {
    /// The report, the console and the disk agree on the profile, and its layer is on the disk.
    fn is(&self, profile: &str) -> Result<()> {
        assert_eq!(self.set, profile);
        assert_eq!(
            self.report.profiles.first().map(String::as_str),
            Some(profile),
            "{:?}",
            self.report.profiles
        );
        assert_eq!(self.manifest.profiles, [profile]);
        assert!(self.manifest.variants.is_none(), "a machine has one generation of what it is");
        let layers = image::data_names(&self.machine.disk, "landfall/layers")?;
        let kept = |kind| self.manifest.layers.iter().filter(move |layer| layer.kind == kind);
        assert_eq!(kept(LayerKind::Profile).count(), 1);
        assert_eq!(layers.len(), self.manifest.layers.len(), "no other variant's layer was copied");
        for layer in &self.manifest.layers {
            assert!(layers.contains(&format!("{}.erofs", layer.sha256)), "{layer:?} is not on the disk");
        }
        Ok(())
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_plain_guest_becomes_a_virtual_machine() -> Result<()> {
    let vm = install("profiles-vm", |_, _| Ok(()))?;
    vm.is("vm")?;
    assert_eq!(vm.report.facts["battery"], false);
    Ok(())
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_guest_with_a_battery_becomes_a_laptop() -> Result<()> {
    let laptop =
        install("profiles-laptop", |config, machine| become_laptop(&mut config.machine, machine.folder()))?;
    laptop.is("laptop")?;
    let facts = &laptop.report.facts;
    assert_eq!(facts["power"].as_array().map_or(0, Vec::len), 2, "{}", facts["power"]);
    assert_eq!((&facts["battery"], &facts["chassis"]), (&true.into(), &"notebook".into()));
    assert_eq!(facts["hypervisor"], serde_json::Value::Null);
    pins(&bench().fixture.site, &laptop)?;
    lives(&laptop.machine)
}

/// Its report, taken into a copy of the site, makes the site say what the machine is.
fn pins(site: &Site, laptop: &Installed) -> Result<()> {
    let file = laptop.machine.folder().join("report.json");
    std::fs::write(&file, &laptop.report_text).expect("writing the report");
    site.run(&["host", "add", "--report", &path(&file)])?;
    let host: serde_json::Value = serde_json::from_str(&site.run(&["show", HOST, "--json"])?).expect("JSON");
    assert_eq!(host["device"], "laptop");
    let facts = site.folder.join(format!("facts/{HOST}.json"));
    let again: serde_json::Value =
        serde_json::from_str(&site.run(&["probe", "--json", "--facts", &path(&facts)])?).expect("JSON");
    assert_eq!((&again["profile"], &again["battery"]), (&"laptop".into(), &true.into()));
    let text = std::fs::read_to_string(&facts).expect("reading the facts");
    assert!(!text.contains("PF3ABCDE"), "the serial number is in the site");
    std::fs::remove_file(&facts).expect("removing the facts");
    Ok(())
}

/// The machine boots as a laptop, with what a laptop has, and nothing in it fails.
fn lives(machine: &Machine) -> Result<()> {
    let mut config = machine.config("boot");
    config.machine.drives = vec![machine.target()];
    become_laptop(&mut config.machine, machine.folder())?;
    let mut guest = Guest::start(&config)?;
    guest.wait_for(&["LANDFALL FIRSTBOOT done"], LIMIT)?;
    guest.wait_for_agent(Duration::from_secs(180))?;
    assert_eq!(guest.root("systemd-detect-virt || true")?.trim(), "none");
    assert_eq!(guest.root("cat /sys/class/power_supply/BAT0/type")?.trim(), "Battery");
    let logind = guest.root("systemd-analyze cat-config systemd/logind.conf")?;
    assert!(logind.contains("\nHandleLidSwitch=suspend"), "{logind}");
    let packages = "power-profiles-daemon upower fprintd fwupd smartmontools intel-microcode";
    guest.root(&format!("dpkg -s {packages} >/dev/null"))?;
    for unit in ["smartmontools", "upower"] {
        assert_eq!(guest.root(&format!("systemctl is-active {unit} || true"))?.trim(), "active", "{unit}");
    }
    let upower = guest.root("upower -d")?;
    assert!(upower.contains("BAT0") && upower.contains("PowerOff"), "{upower}");
    assert_eq!(guest.root("systemctl --failed --no-legend --plain")?.trim(), "");
    guest.pull_the_plug();
    Ok(())
}
