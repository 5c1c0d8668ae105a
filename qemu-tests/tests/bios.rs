//! BIOS: the medium that starts on UEFI installs there as well, and the machine starts by GRUB. One machine's life is
//! told once: installed, given a newer generation that never starts, fallen back, and moved to another firmware.

use landfall_disk::{BootEntry, machine_grub_cfg};
use landfall_hosts::grubenv::{GrubEnv, Tries};
use landfall_hosts::paths::grub;
use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::guest::{Firmware, Guest};
use landfall_qemu_tests::rehearsal::{Installed, Machine, Shape, Starts};
use landfall_qemu_tests::site::HOST;
use landfall_qemu_tests::{Error, Result, image, probe};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

/// What the machine is asked once it is up.
const ASKED: &[probe::Script] = &[
    ("efi", "ls /sys/firmware/efi"),
    ("generation", "grep ^generation /run/landfall/boot.toml"),
    // Blessing comes after boot-complete.target, which the agent does not wait for.
    (
        "blessed",
        "for i in $(seq 60); do grep -q landfall_tries_1=good /efi/grub/grubenv && break; sleep 1; done; \
         systemctl show -P Result landfall-bless.service; systemctl show -P ActiveState landfall-bless.service",
    ),
    ("esp", "findmnt -no OPTIONS /efi"),
    ("failed", "systemctl --failed --no-legend --plain"),
];

struct Story {
    installed: Result<Installed>,
    after_install: Result<()>,
    life: Result<Life>,
    moved: Result<String>,
}

/// A machine with a newer generation that does not start.
struct Life {
    console: String,
    said: BTreeMap<String, String>,
    off: Result<bool>,
    env: GrubEnv,
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| tell().expect("making the fixture"))
}

fn tell() -> Result<Story> {
    let fixture = Fixture::shared()?;
    let machine = Machine::shaped(&fixture, "bios", Shape { starts: Starts::Bios, ..Shape::default() })?;
    let mut story = Story {
        installed: machine.install(),
        after_install: Err(Error::unexpected("the install failed")),
        life: Err(Error::unexpected("the install failed")),
        moved: Err(Error::unexpected("the install failed")),
    };
    if story.installed.is_ok() {
        story.after_install = image::check(&machine.disk);
        story.life = add_generation(&machine).and_then(|()| live(&machine));
        story.moved = start_on_uefi(&machine);
    }
    Ok(story)
}

fn esp_file(image: &std::path::Path, path: &str) -> Result<Vec<u8>> {
    let found = image::esp_files(image)?.into_iter().find(|(name, _)| name == path);
    found.map(|(_, bytes)| bytes).ok_or_else(|| Error::unexpected(format!("there is no {path} on the ESP")))
}

fn env(machine: &Machine) -> Result<GrubEnv> {
    let bytes = esp_file(&machine.disk, grub::ENV)?;
    GrubEnv::parse(&bytes).ok_or_else(|| Error::unexpected("grubenv is not an environment of GRUB"))
}

/// Generation 2, as whoever writes generations adds it. Its manifest is not on the disk, so its stage 1 fails.
fn add_generation(machine: &Machine) -> Result<()> {
    let text = esp_file(&machine.disk, "loader/entries/landfall-1+3.conf")?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let values = |key: &str| -> Vec<String> {
        let split = text.lines().filter_map(|line| line.split_once(' '));
        split.filter(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned()).collect()
    };
    let path = |value: &String| value.trim_start_matches('/').to_owned();
    let one = BootEntry {
        title: values("title").concat(),
        linux: values("linux").iter().map(path).collect(),
        initrds: values("initrd").iter().map(path).collect(),
        options: values("options").concat(),
        ..BootEntry::default()
    };
    let options = one.options.replace("landfall.generation=1", "landfall.generation=2");
    assert_ne!(options, one.options);
    let two = BootEntry { options, ..one.clone() };
    let menu = machine_grub_cfg(1, &[(1, one), (2, two)]).expect("a menu");
    let mut env = env(machine)?;
    assert_eq!(env.tries(1), Some(Tries::Left(3)));
    env.set_tries(2, Tries::Left(3));
    image::put_esp_file(&machine.disk, grub::CFG, menu.as_bytes())?;
    image::put_esp_file(&machine.disk, grub::ENV, &env.render().expect("an environment"))
}

fn live(machine: &Machine) -> Result<Life> {
    let mut config = machine.config("fallback");
    config.machine.drives = vec![machine.target()];
    config.reboot_ends = false;
    let mut guest = Guest::start(&config)?;
    for attempt in 1..=3 {
        guest.wait_for(&["LANDFALL FAILED step=stage1"], LIMIT)?;
        // It restarts by itself, which need not be waited for each time: GRUB counts before it starts anything.
        if attempt > 1 {
            guest.monitor("system_reset", serde_json::json!({}))?;
        }
    }
    guest.wait_for(&["LANDFALL FIRSTBOOT done"], Duration::from_secs(600))?;
    guest.wait_for_agent(Duration::from_secs(180))?;
    let said = probe::ask(&mut guest, ASKED)?;
    let off = guest.power_off(Duration::from_secs(180)).and_then(|()| image::is_clean(&machine.disk));
    Ok(Life { console: guest.console(), said, off, env: env(machine)? })
}

/// The same disk in a machine with Secure Boot whose firmware knows nothing of it, as where it refuses boot entries.
fn start_on_uefi(machine: &Machine) -> Result<String> {
    let mut config = machine.config("moved");
    config.machine.firmware = Firmware::SecureBoot { variables: machine.folder().join("moved") };
    config.machine.drives = vec![machine.target()];
    let mut guest = Guest::start(&config)?;
    let line = guest.wait_for(&["LANDFALL STAGE1"], LIMIT)?;
    guest.pull_the_plug();
    Ok(line)
}

fn life() -> &'static Life {
    story().life.as_ref().unwrap()
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn the_same_medium_installs_on_bios() {
    let story = story();
    let installed = story.installed.as_ref().unwrap();
    assert!(installed.line.contains(&format!("host={HOST}")), "{}", installed.line);
    assert!(installed.console.contains("This machine starts in BIOS mode."));
    eprintln!("/init after {:.0} s, installed after {:.0} s", installed.stage1_seconds, installed.seconds);
    story.after_install.as_ref().unwrap();
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_generation_that_never_starts_falls_back_after_its_tries() {
    let Life { console, said, env, .. } = life();
    assert_eq!(console.matches("LANDFALL FAILED step=stage1").count(), 3);
    assert_eq!(console.matches("LANDFALL STAGE1 mode=boot").count(), 4);
    assert_eq!(said["generation"], "generation = 1");
    assert_eq!(env.tries(2), Some(Tries::Left(0)));
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_machine_that_bios_starts_is_blessed_and_clean() {
    let Life { said, env, off, .. } = life();
    assert!(said["efi"].contains("[status"), "{}", said["efi"]);
    assert_eq!(env.tries(1), Some(Tries::Good));
    assert_eq!(said["blessed"], "success\nactive");
    assert!(said["esp"].starts_with("ro,"), "{}", said["esp"]);
    assert_eq!(said["failed"], "");
    assert!(off.as_ref().unwrap());
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_disk_starts_on_a_firmware_that_has_no_entry_for_it() {
    let line = story().moved.as_ref().unwrap();
    assert!(line.contains("mode=boot"), "{line}");
}
