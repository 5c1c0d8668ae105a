//! One machine's life, told once and judged by many tests: installed from a stick with nobody watching, booted from
//! its own disk, rebooted, powered off, and met again by the used stick.

use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::guest::{Drive, Firmware, Guest, GuestConfig};
use landfall_qemu_tests::rehearsal::{Installed, Machine, TARGET_SERIAL};
use landfall_qemu_tests::site::{HOST, PASSWORD};
use landfall_qemu_tests::tailnet::Node;
use landfall_qemu_tests::{Error, image, probe};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

type Said = BTreeMap<String, String>;

/// What one boot showed.
#[derive(Clone)]
struct BootEvidence {
    said: Said,
    node: Option<Node>,
    nodes: usize,
    seconds: f64,
    later: Said,
}

struct Story {
    tailnet: bool,
    installed: Result<Installed, String>,
    after_install: Result<(), String>,
    marker: String,
    first: Result<BootEvidence, String>,
    hello: Result<String, String>,
    second: Result<BootEvidence, String>,
    after_power_off: Result<bool, String>,
    used_stick: Result<(String, bool), String>,
    cut_stick: Result<CutStick, String>,
}

/// A stick that was cut off between the end of the install and the erasing on it, met again.
struct CutStick {
    line: String,
    disk_unchanged: bool,
    mark: String,
    identity: Vec<u8>,
    loader: String,
}

fn words(error: Error) -> String {
    error.to_string()
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| tell().expect("making the fixture"))
}

fn tell() -> Result<Story, Error> {
    let fixture = Fixture::shared()?;
    let machine = Machine::new(&fixture, "machine")?;
    let mut story = Story {
        tailnet: fixture.no_tailnet.is_none(),
        installed: machine.install().map_err(words),
        after_install: image::check(&machine.disk).map_err(words),
        marker: image::partition(&machine.disk, 1).map(|part| part.name).unwrap_or_default(),
        first: Err("the install failed".into()),
        hello: Err("the first boot failed".into()),
        second: Err("the first boot failed".into()),
        after_power_off: Err("the second boot failed".into()),
        used_stick: Err("the install failed".into()),
        cut_stick: Err("the install failed".into()),
    };
    if story.installed.is_ok() {
        boots(&machine, &mut story);
        story.used_stick =
            meet_stick(&fixture, &machine, &machine.stick, "machine-used-stick").map_err(words);
        story.cut_stick = meet_cut_stick(&fixture, &machine).map_err(words);
    }
    Ok(story)
}

fn boots(machine: &Machine, story: &mut Story) {
    let first = machine.boot("boot1", None).and_then(|mut guest| {
        let evidence = gather(machine, &mut guest)?;
        story.hello = probe::install_hello(&mut guest).map_err(words);
        guest.root(probe::MARKS)?;
        machine.reboot(guest)?;
        Ok(evidence)
    });
    story.first = first.map_err(words);
    if story.first.is_err() {
        return;
    }
    let mut off = Err("not reached".to_owned());
    let second = machine.boot("boot2", None).and_then(|mut guest| {
        let mut evidence = gather(machine, &mut guest)?;
        evidence.later = probe::ask(&mut guest, probe::MARKS_LATER)?;
        off = guest.power_off(Duration::from_secs(180)).map_err(words);
        Ok(evidence)
    });
    story.second = second.map_err(words);
    story.after_power_off = off.and_then(|()| {
        image::check(&machine.disk).map_err(words)?;
        image::is_clean(&machine.disk).map_err(words)
    });
}

fn gather(machine: &Machine, guest: &mut Guest) -> Result<BootEvidence, Error> {
    let seconds = guest.elapsed().as_secs_f64();
    let node = machine.wait_online()?;
    let nodes =
        machine.headscale.as_ref().map_or(Ok(0), |headscale| headscale.nodes().map(|nodes| nodes.len()))?;
    let said = probe::ask(guest, probe::EVERY_BOOT)?;
    for (name, text) in &said {
        eprintln!("{name}: {text}");
    }
    Ok(BootEvidence { said, node, nodes, seconds, later: Said::new() })
}

/// Boots a stick's unattended entry beside the installed disk; gives the sentinel, and whether the disk stayed.
fn meet_stick(
    fixture: &Fixture,
    machine: &Machine,
    stick: &Path,
    name: &str,
) -> Result<(String, bool), Error> {
    let (kernel, initrd) = image::boot_files(&fixture.medium, HOST, machine.folder())?;
    let append = image::unattended_options(stick)?;
    let before = image::fingerprint(&machine.disk)?;
    let mut config = GuestConfig::new(name, Firmware::Kernel { kernel, initrd, append });
    config.machine.drives = vec![Drive::stick(stick), Drive::disk(&machine.disk, TARGET_SERIAL)];
    let mut guest = Guest::start(&config)?;
    let wanted = [
        "LANDFALL PROMPT",
        "LANDFALL REFUSED",
        "LANDFALL INSTALL",
        "reboot: Power down",
        "reboot: Restarting",
    ];
    let line = guest.wait_for(&wanted, Duration::from_secs(300))?;
    std::thread::sleep(Duration::from_secs(2));
    guest.pull_the_plug();
    Ok((line, image::fingerprint(&machine.disk)? == before))
}

/// The stick as it was before the install is what a power cut leaves once the disk says that it is done.
fn meet_cut_stick(fixture: &Fixture, machine: &Machine) -> Result<CutStick, Error> {
    let stick = machine.folder().join("cut-stick.img");
    image::copy(&fixture.medium, &stick)?;
    let (line, disk_unchanged) = meet_stick(fixture, machine, &stick, "machine-cut-stick")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let loader = image::esp_files(&stick)?.into_iter().find(|(name, _)| name == "loader/loader.conf");
    Ok(CutStick {
        line,
        disk_unchanged,
        mark: text(image::data_file(&stick, "landfall/unattended.toml")?),
        identity: image::data_file(&stick, &format!("landfall/identities/{HOST}.key"))?,
        loader: text(loader.map(|(_, bytes)| bytes).unwrap_or_default()),
    })
}

fn installed() -> &'static Installed {
    story().installed.as_ref().unwrap_or_else(|why| panic!("{why}"))
}

fn first() -> &'static BootEvidence {
    story().first.as_ref().unwrap_or_else(|why| panic!("{why}"))
}

fn second() -> &'static BootEvidence {
    story().second.as_ref().unwrap_or_else(|why| panic!("{why}"))
}

fn both() -> [&'static BootEvidence; 2] {
    [first(), second()]
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn install_is_unattended_offline() {
    let installed = installed();
    assert!(installed.line.contains(&format!("host={HOST}")), "{}", installed.line);
    eprintln!("/init after {:.0} s, installed after {:.0} s", installed.stage1_seconds, installed.seconds);
    if let Err(why) = &story().after_install {
        panic!("{why}");
    }
    assert!(story().marker.starts_with("landfall-done-"), "{}", story().marker);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn machine_boots_under_secure_boot_and_is_blessed() {
    for boot in both() {
        assert_eq!(boot.said["secure-boot"], "1");
        assert!(!boot.said["entries"].contains('+'), "{}", boot.said["entries"]);
        assert!(boot.said["entries"].contains("landfall-1.conf"), "{}", boot.said["entries"]);
        assert!(
            boot.said["esp"].starts_with("vfat") && boot.said["esp"].contains("ro,"),
            "{}",
            boot.said["esp"]
        );
        eprintln!("first boot done after {:.0} s\n{}", boot.seconds, boot.said["analyze"]);
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn no_unit_fails_and_nothing_is_done_twice() {
    for boot in both() {
        assert_eq!(boot.said["running"], "running", "{}", boot.said["failed"]);
        assert_eq!(boot.said["failed"], "");
        assert!(boot.said["redone"].starts_with("inactive"), "{}", boot.said["redone"]);
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn root_is_wiped_and_state_survives() {
    story().hello.as_ref().unwrap_or_else(|why| panic!("{why}"));
    let (first, second) = (first(), second());
    assert!(first.said["root"].starts_with("overlay") && first.said["etc"].starts_with("overlay"));
    assert!(second.said["hello"].contains("[status"), "hello is still there: {}", second.said["hello"]);
    assert!(second.said["lost"].contains("usr/bin/hello"), "{}", second.said["lost"]);
    for name in ["machine-id", "ssh-keys", "hostname"] {
        assert_eq!(first.said[name], second.said[name], "{name}");
    }
    assert_eq!(first.said["hostname"], HOST);
    assert_eq!(first.said["machine-id"].len(), 32);
    assert!(second.later["kept"].starts_with("mark\nmark"), "{}", second.later["kept"]);
    assert!(!second.later["gone"].contains("mark") && second.later["gone"].contains("[status"));
    assert_eq!(second.later["kept-root"], "mark");
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn power_off_leaves_the_disk_clean() {
    match &story().after_power_off {
        Ok(clean) => assert!(clean, "the data filesystem has a journal to replay"),
        Err(why) => panic!("{why}"),
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn secrets_are_where_declared() {
    for boot in both() {
        assert_eq!(boot.said["secrets-fs"], "ramfs");
        for line in boot.said["secrets"].lines() {
            assert!(line.ends_with(" root root 400"), "{line}");
        }
        assert_eq!(boot.said["shadow"], "$y$");
        assert_eq!(boot.said["password"], "sam", "logging in with {PASSWORD}");
        assert_eq!(boot.said["identity"], "sealed");
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn homes_are_as_declared() {
    for boot in both() {
        assert!(
            !boot.said["git"].is_empty() && !boot.said["git"].contains("[status"),
            "{}",
            boot.said["git"]
        );
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn tailnet_is_joined_once() {
    if !story().tailnet {
        eprintln!("tailnet: not proved, needs Go");
        return;
    }
    let (first, second) = (first(), second());
    let node = |boot: &'static BootEvidence| boot.node.as_ref().expect("a node in the tailnet");
    assert_eq!(node(first).given_name, HOST);
    assert_eq!((first.nodes, second.nodes), (1, 1));
    assert_eq!(node(first).id, node(second).id);
    assert_eq!(node(first).node_key, node(second).node_key);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_used_stick_does_not_install_twice() {
    match &story().used_stick {
        Ok((line, unchanged)) => {
            assert!(!line.contains("INSTALL done"), "{line}");
            assert!(unchanged, "the disk changed after: {line}");
        }
        Err(why) => panic!("{why}"),
    }
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_stick_cut_off_before_its_erasing_never_wipes_again() {
    let cut = story().cut_stick.as_ref().unwrap_or_else(|why| panic!("{why}"));
    assert!(cut.line.contains("REFUSED reason=already-done"), "{}", cut.line);
    assert!(cut.disk_unchanged, "the disk changed after: {}", cut.line);
    assert!(cut.mark.contains("state = \"done\""), "{}", cut.mark);
    assert!(
        !cut.identity.is_empty() && cut.identity.iter().all(u8::is_ascii_whitespace),
        "an identity is left"
    );
    assert!(cut.loader.contains("menu-force") && !cut.loader.contains("default"), "{}", cut.loader);
}
