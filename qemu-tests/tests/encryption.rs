//! An encrypted machine, told once: installed with nobody watching, unlocked by emulated keys on a German keyboard, and
//! again by its recovery key. And an installation by hand, up to the first layer: what is typed and shown there.

use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::guest::{Drive, Firmware, Guest};
use landfall_qemu_tests::process::run_with_input;
use landfall_qemu_tests::rehearsal::{Machine, Shape, Starts};
use landfall_qemu_tests::site::{HOST, Site};
use landfall_qemu_tests::tools::{self, Need};
use landfall_qemu_tests::{Error, encrypted, image, probe};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// What the secret holds; on a US keyboard map the same keys give `yzklus/pa-`.
const PASSPHRASE: &str = "zyklus-paß";
/// The keys that type it on a German keyboard, by their names on a US one (QEMU's QKeyCode).
const KEYS: [&str; 11] = ["y", "z", "k", "l", "u", "s", "slash", "p", "a", "minus", "ret"];
/// What those keys give without a keyboard map.
const AS_US: &str = "yzklus/pa-";
/// How a LUKS2 header begins, and where its JSON does (LUKS2 on-disk format, 2.1 and 3).
const MAGIC: &[u8] = b"LUKS\xba\xbe\x00\x02";
const JSON_OFFSET: u64 = 4096;
/// Header and key slots, with room to spare (cryptsetup(8): 16 MiB).
const HEADER_BYTES: u64 = 32 << 20;
/// Stands in every manifest, so that a plain data partition holds it.
const PLAIN: &[u8] = b"kernel_release = ";

/// What was seen.
struct Story {
    header: Vec<u8>,
    json: serde_json::Value,
    holds_plain_text: bool,
    report: String,
    recovery: String,
    install_console: String,
    said: BTreeMap<String, String>,
    wrong: String,
    by_recovery_key: String,
    rescue: String,
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| tell().expect("an encrypted machine"))
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let made = Fixture::shared().and_then(|shared| shared.variant("encrypted", &[HOST], encrypt));
        made.expect("a medium of an encrypted host")
    })
}

fn encrypt(site: &Site) -> Result<(), Error> {
    encrypted::edit(site, "[locale]\nkeyboard = \"de\"\n", None)?;
    encrypted::by_passphrase(site, PASSPHRASE)
}

fn tell() -> Result<Story, Error> {
    let fixture = fixture();
    let machine = Machine::new(fixture, "encrypted")?;
    let installed = machine.install()?;
    let data = image::partition(&machine.disk, 3)?;
    let disk = File::open(&machine.disk).expect("the disk's image");
    let mut header = vec![0; MAGIC.len()];
    disk.read_exact_at(&mut header, data.offset).expect("reading the header");
    let mut text = vec![0; 12 * 1024];
    disk.read_exact_at(&mut text, data.offset + JSON_OFFSET).expect("reading the header");
    text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
    let report = report(&machine.stick)?;
    let recovery = encrypted::recovery_key(&fixture.site, &machine.stick)?;
    let (said, wrong) = by_passphrase(&machine)?;
    let by_recovery_key = by_recovery_key(&machine, &recovery)?;
    let rescue = rescue(&machine, &recovery)?;
    Ok(Story {
        header,
        json: serde_json::from_slice(&text).unwrap_or_default(),
        holds_plain_text: holds(&machine.disk, PLAIN),
        report,
        recovery,
        install_console: installed.console,
        said,
        wrong,
        by_recovery_key,
        rescue,
    })
}

/// The report that the installer left on the stick.
fn report(stick: &Path) -> Result<String, Error> {
    let files = image::esp_files(stick)?;
    let mut reports = files.into_iter().filter(|(name, _)| name.starts_with("reports/"));
    let (_, bytes) = reports.next().ok_or_else(|| Error::Unexpected("the stick has no report".into()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a sparse image has `wanted` anywhere.
fn holds(image: &Path, wanted: &[u8]) -> bool {
    let mut file = File::open(image).expect("the disk's image");
    let mut at = 0;
    while let Ok(start) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
        at = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(start)).expect("the end of a hole");
        let mut bytes = vec![0; usize::try_from(at - start).expect("a length")];
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(start)).expect("a place");
        file.read_exact(&mut bytes).expect("reading the image");
        if memchr::memmem::find(&bytes, wanted).is_some() {
            return true;
        }
    }
    false
}

fn start(machine: &Machine, name: &str) -> Result<Guest, Error> {
    let mut config = machine.config(name);
    config.machine.drives = vec![machine.target()];
    let mut guest = Guest::start(&config)?;
    asked(&mut guest)?;
    Ok(guest)
}

/// Waits for the question.
fn asked(guest: &mut Guest) -> Result<(), Error> {
    guest.wait_for(&["LANDFALL UNLOCK ask"], Duration::from_secs(300)).map(drop)
}

fn by_passphrase(machine: &Machine) -> Result<(BTreeMap<String, String>, String), Error> {
    let mut guest = start(machine, "boot")?;
    guest.press(&["z", "y", "k", "l", "u", "s", "slash", "p", "a", "minus", "ret"])?;
    let wrong =
        guest.wait_for(&["LANDFALL UNLOCK wrong", "LANDFALL UNLOCK done"], Duration::from_secs(300))?;
    asked(&mut guest)?;
    guest.press(&KEYS)?;
    let line =
        guest.wait_for(&["LANDFALL UNLOCK wrong", "LANDFALL UNLOCK done"], Duration::from_secs(300))?;
    if !line.contains("done") {
        return Err(Error::Unexpected(format!("the passphrase did not open the disk: {line}")));
    }
    guest.wait_for(&["LANDFALL FIRSTBOOT done"], Duration::from_secs(600))?;
    guest.wait_for_agent(Duration::from_secs(180))?;
    let said = probe::ask(
        &mut guest,
        &[
            ("running", "systemctl is-system-running --wait"),
            ("failed", "systemctl --failed --no-legend --plain"),
            ("data", "findmnt -no SOURCE,FSTYPE /run/landfall/data"),
            ("status", "landfall-machine status"),
            ("secrets", "ls /run/secrets"),
            ("journal", "journalctl -b --no-pager -o cat"),
        ],
    )?;
    guest.power_off(Duration::from_secs(180))?;
    Ok((said, wrong))
}

/// Gives what the console said once the file system is mounted.
fn by_recovery_key(machine: &Machine, recovery: &str) -> Result<String, Error> {
    let mut guest = start(machine, "recovery")?;
    guest.type_line(recovery)?;
    guest.wait_for(&["Starting vm", "LANDFALL UNLOCK wrong"], Duration::from_secs(300))?;
    let console = guest.console();
    guest.pull_the_plug();
    Ok(console)
}

/// A boot entry whose generation is gone, started by the firmware itself: what the console said.
fn rescue(machine: &Machine, recovery: &str) -> Result<String, Error> {
    let options = image::options(&machine.disk, "landfall.generation=1")?;
    let options = options.replace("landfall.generation=1", "landfall.generation=99");
    let mut config = machine.config("rescue");
    config.machine.firmware = Firmware::Bios;
    config.machine.drives = vec![machine.target()];
    config.machine.extra = directly(machine, &options)?;
    let mut guest = Guest::start(&config)?;
    asked(&mut guest)?;
    guest.type_line(recovery)?;
    guest.wait_for(&["LANDFALL FAILED step=stage1"], Duration::from_secs(300))?;
    for typed in ["", "a guess", recovery] {
        guest.wait_for(&["LANDFALL PROMPT step=rescue"], Duration::from_secs(300))?;
        guest.type_line(typed)?;
    }
    guest.wait_for(&["comes to the console"], Duration::from_secs(300))?;
    std::thread::sleep(Duration::from_secs(3));
    guest.type_line("")?;
    std::thread::sleep(Duration::from_secs(3));
    guest.type_line("echo answer:$((6*7))")?;
    guest.wait_for(&["answer:42"], Duration::from_secs(60))?;
    let console = guest.console();
    guest.pull_the_plug();
    Ok(console)
}

/// QEMU's words for starting the medium's kernel and initrds with these options.
fn directly(machine: &Machine, options: &str) -> Result<Vec<String>, Error> {
    let (kernel, initrd) = image::boot_files(&fixture().medium, HOST, machine.folder())?;
    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
    Ok(["-kernel", &kernel, "-initrd", &initrd, "-append", options].map(str::to_owned).to_vec())
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn encrypted_disk_holds_no_plain_file_system() {
    let story = story();
    assert_eq!(story.header, MAGIC);
    let slots = story.json["keyslots"].as_object().expect("key slots");
    let kinds: Vec<(&str, &str)> = slots
        .iter()
        .map(|(slot, about)| (slot.as_str(), about["kdf"]["type"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(kinds, [("0", "argon2id"), ("1", "pbkdf2")]);
    assert_eq!(story.json["segments"]["0"]["sector_size"], 4096);
    assert!(!story.holds_plain_text);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn passphrase_is_typed_on_the_hosts_keyboard_layout() {
    let story = story();
    assert!(story.wrong.contains("UNLOCK wrong"), "the keys of a US layout opened it: {}", story.wrong);
    assert_eq!(story.said["running"], "running", "{}", story.said["failed"]);
    assert_eq!(story.said["failed"], "");
    assert!(story.said["data"].starts_with("/dev/mapper/landfall"), "{}", story.said["data"]);
    assert!(story.said["status"].contains(" encrypted"), "{}", story.said["status"]);
    assert!(!story.said["status"].contains("not encrypted"), "{}", story.said["status"]);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn recovery_key_is_for_the_admins_alone_and_opens_the_disk() {
    let story = story();
    assert_eq!(story.recovery.len(), 71);
    for (place, text) in [
        ("report", &story.report),
        ("console of the install", &story.install_console),
        ("journal", &story.said["journal"]),
    ] {
        assert!(!text.contains(&story.recovery) && !text.contains(PASSPHRASE), "a key is in the {place}");
    }
    assert!(!story.said["secrets"].lines().any(|name| name == "disk"), "{}", story.said["secrets"]);
    assert!(story.by_recovery_key.contains("UNLOCK done"), "{}", story.by_recovery_key);
    assert!(!story.by_recovery_key.contains("was repaired"), "power-off left the file system dirty");
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn rescue_shell_is_for_who_can_open_the_disk() {
    let story = story();
    let (before, after) = story.rescue.split_once("LANDFALL FAILED").expect("a start that fails");
    assert!(!before.contains("landfall# "), "{before}");
    assert_eq!(after.matches("That is no key of this disk.").count(), 2, "{after}");
    assert_eq!(after.matches("LANDFALL PROMPT step=rescue").count(), 3, "{after}");
    assert!(!story.rescue.contains(&story.recovery), "the recovery key was shown while it was typed");
}

/// An installation by hand in progress, the questions on the screen.
struct ByHand {
    guest: Guest,
    folder: PathBuf,
}

impl ByHand {
    /// The medium's attended entry, started by the firmware itself.
    fn start(machine: &Machine) -> Result<Self, Error> {
        let fixture = fixture();
        let options = image::unattended_options(&fixture.medium)?;
        let attended: Vec<&str> =
            options.split(' ').filter(|word| !word.starts_with("landfall.unattended")).collect();
        let mut config = machine.config("by-hand");
        config.machine.drives = vec![Drive::stick(&machine.stick), machine.target()];
        config.machine.extra = directly(machine, &attended.join(" "))?;
        Ok(Self { guest: Guest::start(&config)?, folder: machine.folder().to_path_buf() })
    }

    /// Waits for a question. What is typed before it is read is no answer to it.
    fn is_asked(&mut self, step: &str) -> Result<(), Error> {
        let wanted = format!("LANDFALL PROMPT step={step}");
        let line = self.guest.wait_for(&["LANDFALL PROMPT", "LANDFALL REFUSED"], Duration::from_secs(300))?;
        assert!(line.ends_with(&wanted), "{line} came where {wanted} should\n{}", self.guest.console());
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    /// The texts of the QR codes that a camera finds on the screen.
    fn photographed(&mut self) -> Result<Vec<String>, Error> {
        let file = self.folder.join("screen.ppm");
        let arguments = serde_json::json!({ "filename": file, "format": "ppm" });
        self.guest.monitor("screendump", arguments)?;
        let bytes = std::fs::read(&file).expect("a picture of the screen");
        let (width, height, pixels) = pixels(&bytes).expect("a PPM picture");
        let grey = |x, y| pixels.get((y * width + x) * 3).copied().unwrap_or(0);
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
        let codes = picture.detect_grids();
        Ok(codes.iter().filter_map(|code| code.decode().ok()).map(|(_, text)| text).collect())
    }
}

/// Width, height and colours of a binary PPM (ppm(5)).
fn pixels(bytes: &[u8]) -> Option<(usize, usize, &[u8])> {
    let mut rest = bytes;
    let mut words = [""; 4];
    for word in &mut words {
        let end = rest.iter().position(u8::is_ascii_whitespace)?;
        *word = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 1..];
    }
    Some((words[1].parse().ok()?, words[2].parse().ok()?, rest))
}

/// Whether cryptsetup of this computer opens the machine's disk with a key.
fn opens(machine: &Machine, key: &str) -> Result<bool, Error> {
    let data = image::partition(&machine.disk, 3)?;
    let mut header = vec![0; usize::try_from(HEADER_BYTES).expect("a length")];
    let disk = File::open(&machine.disk).expect("the disk's image");
    disk.read_exact_at(&mut header, data.offset).expect("reading the header");
    let file = machine.folder().join("header");
    std::fs::write(&file, header).expect("a copy of the header");
    let mut cryptsetup = Command::new(tools::program("cryptsetup")?);
    cryptsetup.args(["open", "--type", "luks2", "--test-passphrase", "--key-file", "-"]).arg(&file);
    Ok(run_with_input(&mut cryptsetup, key.as_bytes()).is_ok())
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn a_person_types_the_passphrase_and_photographs_the_recovery_key() -> Result<(), Error> {
    tools::ensure(&[Need::Encryption])?;
    let shape = Shape { starts: Starts::Uefi, ..Shape::default() };
    let machine = Machine::shaped(fixture(), "by-hand", shape)?;
    let mut person = ByHand::start(&machine)?;
    person.is_asked("console")?;
    person.guest.press(&["ret"])?;
    for _ in 0..2 {
        person.is_asked("passphrase")?;
        person.guest.press(&KEYS)?;
    }
    person.is_asked("recovery-key")?;
    let keys = person.photographed()?;
    let [recovery] = &keys[..] else { panic!("QR codes on the screen: {keys:?}") };
    assert_eq!(recovery.len(), 71);
    person.guest.press(&["w", "r", "i", "t", "t", "e", "n", "ret"])?;
    person.is_asked("confirm")?;
    assert!(person.photographed()?.is_empty(), "the recovery key is still on the screen");
    person.guest.press(&["z", "e", "s", "ret"])?;
    person.guest.wait_for(&["Copying layers"], Duration::from_secs(300))?;
    let console = person.guest.console();
    person.guest.pull_the_plug();

    assert!(opens(&machine, recovery)?, "the photographed recovery key does not open the disk");
    assert!(opens(&machine, PASSPHRASE)?, "the passphrase does not open the disk");
    assert!(!opens(&machine, AS_US)?, "the keys were taken as those of a US keyboard");
    for words in [recovery.as_str(), PASSPHRASE] {
        assert!(!console.contains(words), "a key is on the other console");
    }
    assert!(console.contains("LUKS2, opened by passphrase, and by its recovery key"), "{console}");
    Ok(())
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn initrds_stay_small() -> Result<(), Error> {
    let files = image::esp_files(&fixture().medium)?;
    for (name, most_bytes) in [("initrd", 12_000_000), ("unlock", 10_000_000), ("keymap", 500_000)] {
        let found = files.iter().find(|(path, _)| path.rsplit('/').next() == Some(name));
        let (_, bytes) = found.unwrap_or_else(|| panic!("the medium has no {name}"));
        assert!(bytes.len() <= most_bytes, "{name} has {} bytes", bytes.len());
    }
    Ok(())
}
