//! A machine that is installed again over its state (`existing = "keep-state"`), with the plug pulled twice on the way;
//! and its swap, its menu and a disk beside its own.

use landfall_qemu_tests::direct::{LIMIT, Stick};
use landfall_qemu_tests::encrypted::{edit, recovery_key};
use landfall_qemu_tests::error::Doing;
use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::guest::{Bus, Drive, Guest};
use landfall_qemu_tests::probe::{self, Script};
use landfall_qemu_tests::rehearsal::{Machine, Shape, Starts};
use landfall_qemu_tests::site::{HOST, Site};
use landfall_qemu_tests::{Result, image, process, tools};
use std::path::Path;
use std::process::Command;
use toml::{Table, Value};

/// As most machines are.
const UEFI: Shape = Shape { starts: Starts::Uefi, bus: Bus::Virtio, sector_bytes: 512, tpm: false };
/// A LUKS2 header with its key slots (cryptsetup(8)).
const HEADER_BYTES: usize = 16 << 20;

/// What must be the same before and after.
const STAYS: &[Script] = &[
    ("machine-id", "cat /etc/machine-id"),
    ("ssh-keys", "sha256sum /etc/ssh/ssh_host_*_key"),
    ("identity", "stat -c %a /run/landfall/data/landfall/state/identity.key 2>/dev/null || echo sealed"),
    ("marks", "cat /home/sam/lf-kept /var/lib/lf-kept /root/lf-root"),
];
const EACH: &[Script] = &[
    ("running", "systemctl is-system-running --wait"),
    ("failed", "systemctl --failed --no-legend --plain"),
    ("swap", "tail -n +2 /proc/swaps"),
    ("media", "cat /srv/media/film"),
    ("generation", "grep ^generation /run/landfall/boot.toml"),
    ("system", "cat /etc/system"),
    ("secrets", "ls /run/secrets | wc -l"),
];

mod long {
    use super::*;

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn state_is_kept_over_a_new_system_and_a_power_cut() -> Result<()> {
        let first = Stick::make("keep", |site| settings(site, "partition:256Mi", "first"))?;
        let again = Stick::make("keep-again", |site| settings(site, "file:64Mi", "second"))?;
        let machine = Machine::shaped(&first.fixture, "keep", UEFI)?;
        // A blank disk has no state: it is installed as ever.
        first.install(&machine, &machine.stick, "install")?;
        let mut guest = machine.boot("first", None)?;
        let each = probe::ask(&mut guest, EACH)?;
        assert_eq!((each["running"].as_str(), each["failed"].as_str()), ("running", ""), "{each:?}");
        assert!(each["swap"].starts_with("/dev/") && each["swap"].lines().count() == 1, "{}", each["swap"]);
        assert!(each["media"].contains("[status"), "{}", each["media"]);
        guest.root(probe::MARKS)?;
        let before = probe::ask(&mut guest, STAYS)?;
        guest.power_off(LIMIT)?;
        let stick = machine.folder().join("again.img");
        image::copy(&again.fixture.medium, &stick)?;
        for (phase, at) in [("cut1", "Copying layers"), ("cut2", "Reading the EFI system partition back")] {
            cut(&again, &machine, &stick, (phase, at))?;
        }
        again.install(&machine, &stick, "resumed")?;
        judge_disk(&machine.disk)?;
        let mut guest = machine.boot_beside("second", None, vec![media(machine.folder())?])?;
        let each = probe::ask(&mut guest, EACH)?;
        assert_eq!(probe::ask(&mut guest, STAYS)?, before);
        assert!(
            before["marks"].starts_with("mark\nmark\nmark") && before["identity"] == "sealed",
            "{before:?}"
        );
        assert_eq!((each["running"].as_str(), each["failed"].as_str()), ("running", ""), "{each:?}");
        assert_eq!((each["generation"].as_str(), each["system"].as_str()), ("generation = 2", "second"));
        assert!(each["swap"].starts_with("/run/landfall/data/landfall/swap"), "{}", each["swap"]);
        assert_eq!((each["swap"].lines().count(), each["media"].as_str()), (1, "film"));
        assert_ne!(each["secrets"], "0");
        guest.power_off(LIMIT)
    }
    /// The volume stays, down to its header; what is in it is read, for the generation's number comes from there.
    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn an_encrypted_disk_keeps_its_volume_and_is_not_touched_where_nothing_opens_it() -> Result<()> {
        let first = Stick::make("keep-encrypted", |site| encrypted(site, "four yaks and a half"))?;
        let wrong = Stick::make("keep-locked", |site| encrypted(site, "quite another one"))?;
        let again = Stick::make("keep-unlocked", |site| encrypted(site, "four yaks and a half"))?;
        let machine = Machine::shaped(&first.fixture, "keep_encrypted", UEFI)?;
        first.install(&machine, &machine.stick, "install")?;
        let whole = image::sha256(&machine.disk)?;
        let volume = image::partition(&machine.disk, 3)?;
        let header = image::bytes(&machine.disk, volume.offset, HEADER_BYTES)?;
        let stick = machine.folder().join("again.img");
        image::copy(&wrong.fixture.medium, &stick)?;
        let mut guest = wrong.start(&machine, &stick, "locked")?;
        let line = guest.wait_for(&["LANDFALL INSTALL", "LANDFALL REFUSED", "LANDFALL FAILED"], LIMIT)?;
        guest.pull_the_plug();
        assert!(line.contains("reason=state-locked"), "{line}");
        assert_eq!(image::sha256(&machine.disk)?, whole);
        image::copy(&again.fixture.medium, &stick)?;
        again.install(&machine, &stick, "again")?;
        assert_eq!(image::bytes(&machine.disk, volume.offset, HEADER_BYTES)?, header);
        let files = image::esp_files(&machine.disk)?;
        let entries: Vec<&str> =
            files.iter().filter_map(|(name, _)| name.strip_prefix("loader/entries/")).collect();
        assert_eq!(entries, ["landfall-2+3.conf"]);
        let marker = image::partition(&machine.disk, 1)?.name;
        assert!(marker.starts_with("landfall-done-"), "{marker}");
        Ok(())
    }

    /// The first system's recovery key opens the volume for the second installation; nothing is asked at any start.
    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test --all"]
    fn a_disk_of_the_tpm_keeps_its_state_and_opens_for_the_new_system_alone() -> Result<()> {
        let shared = Fixture::shared()?;
        let first = shared.variant("keep-tpm", &[HOST], |site| edit(site, TPM, None))?;
        let machine = Machine::shaped(&first, "keep_tpm", Shape { tpm: true, ..Shape::default() })?;
        machine.install()?;
        let recovery = recovery_key(&first.site, &machine.stick)?;
        let mut guest = machine.boot("first", None)?;
        guest.root(probe::MARKS)?;
        let before = probe::ask(&mut guest, STAYS)?;
        let old = key_slots(&mut guest)?;
        guest.power_off(LIMIT)?;
        let again = shared.variant("keep-tpm-again", &[HOST], |site| {
            edit(site, TPM_AGAIN, Some(("disk", recovery.as_str())))?;
            edit(site, "[files.\"/etc/system\"]\ntext = \"second\\n\"\n", Some(("pin", "kopf-7-stand")))
        })?;
        let stick = machine.folder().join("again.img");
        image::copy(&again.medium, &stick)?;
        machine.install_on(vec![Drive::stick(&stick), machine.target()])?;
        let mut guest = machine.boot("second", None)?;
        let console = guest.console();
        assert!(console.contains("LANDFALL UNLOCK done by=tpm2"), "{console}");
        for question in ["LANDFALL UNLOCK locked", "LANDFALL UNLOCK ask", "LANDFALL UNLOCK pin"] {
            assert!(!console.contains(question), "{console}");
        }
        assert_eq!(probe::ask(&mut guest, STAYS)?, before);
        assert!(
            before["marks"].starts_with("mark\nmark\nmark") && before["identity"] == "sealed",
            "{before:?}"
        );
        let each = probe::ask(&mut guest, EACH)?;
        assert_eq!((each["generation"].as_str(), each["system"].as_str()), ("generation = 2", "second"));
        let new = key_slots(&mut guest)?;
        // Of the old slots only the recovery key's is there; with the PIN and without, the TPM has one each at least.
        assert!(new.sealed.iter().all(|policy| !old.sealed.contains(policy)), "{old:?} {new:?}");
        assert!(!old.sealed.is_empty() && new.sealed.len() >= 2, "{old:?} {new:?}");
        assert_eq!((old.others, new.others), (1, 1), "{old:?} {new:?}");
        guest.power_off(LIMIT)
    }
}

const TPM: &str = "[disk]\nexisting = \"keep-state\"\n[disk.encrypt]\nunlock = [\"tpm2\"]\n";
/// The PIN's slot is for who cannot do without: the TPM alone is asked first.
const TPM_AGAIN: &str = "[secrets.disk]\nfile = \"secrets/disk.age\"\n[secrets.pin]\nfile = \"secrets/pin.age\"\n\
    [disk]\nexisting = \"keep-state\"\n[disk.encrypt]\nunlock = [\"tpm2\", \"tpm2+pin\"]\n\
    passphrase = { secret = \"disk\" }\npin = { secret = \"pin\" }\n";

/// Key slots of a machine's disk.
#[derive(Debug)]
struct KeySlots {
    /// The policies of those that its TPM opens.
    sealed: Vec<String>,
    /// How many a passphrase or recovery key opens.
    others: usize,
}

fn key_slots(guest: &mut Guest) -> Result<KeySlots> {
    let dump = guest.root("cryptsetup luksDump --dump-json-metadata /dev/vda3")?;
    let header: serde_json::Value = serde_json::from_str(&dump).expect("metadata of LUKS2");
    let tokens: Vec<&serde_json::Value> = header["tokens"].as_object().expect("tokens").values().collect();
    let policy = |token: &&serde_json::Value| token["tpm2-policy-hash"].as_str().map(str::to_owned);
    let slots = header["keyslots"].as_object().expect("key slots").len();
    Ok(KeySlots { sealed: tokens.iter().filter_map(policy).collect(), others: slots - tokens.len() })
}

/// A host that keeps its state, with some swap, a disk that may be there, and a file that tells its systems apart.
fn settings(site: &Site, swap: &str, system: &str) -> Result<()> {
    let table = |key: &str, value: Value| Value::Table(Table::from_iter([(key.to_owned(), value)]));
    site.edit(&format!("hosts/{HOST}.toml"), |host| {
        if let Some(disk) = host.get_mut("disk").and_then(Value::as_table_mut) {
            disk.insert("existing".into(), "keep-state".into());
            disk.insert("swap".into(), swap.into());
        }
        host.insert("boot".into(), table("timeout", Value::from(1)));
        host.insert("files".into(), table("/etc/system", table("text", Value::from(format!("{system}\n")))));
        host.insert("mounts".into(), table("/srv/media", table("label", "media".into())));
    })
}

/// A host that keeps its state on an encrypted disk; its secret is the passphrase.
fn encrypted(site: &Site, passphrase: &str) -> Result<()> {
    site.edit(&format!("hosts/{HOST}.toml"), |host| {
        let secret = |key: &str, value: &str| Table::from_iter([(key.to_owned(), Value::from(value))]);
        if let Some(disk) = host.get_mut("disk").and_then(Value::as_table_mut) {
            disk.insert("existing".into(), "keep-state".into());
            let encrypt = Table::from_iter([
                ("unlock".to_owned(), Value::Array(vec!["passphrase".into()])),
                ("passphrase".to_owned(), Value::Table(secret("secret", "disk"))),
            ]);
            disk.insert("encrypt".into(), Value::Table(encrypt));
        }
        let file = Value::Table(secret("file", "secrets/disk.age"));
        match host.get_mut("secrets").and_then(Value::as_table_mut) {
            Some(secrets) => drop(secrets.insert("disk".into(), file)),
            None => drop(
                host.insert("secrets".into(), Value::Table(Table::from_iter([("disk".to_owned(), file)]))),
            ),
        }
    })?;
    let mut set = site.landfall(&["secret", "set", "disk"]);
    process::run_with_input(&mut set, passphrase.as_bytes()).map(drop)
}

/// A disk with one file.
fn media(folder: &Path) -> Result<Drive> {
    let (tree, image) = (folder.join("media"), folder.join("media.img"));
    std::fs::create_dir(&tree)
        .and_then(|()| std::fs::write(tree.join("film"), "film\n"))
        .doing("making", &tree)?;
    image::blank(&image, 64 << 20)?;
    let mut mke2fs = Command::new(tools::program("mke2fs")?);
    process::run(mke2fs.args(["-q", "-t", "ext4", "-L", "media", "-d"]).arg(&tree).arg(&image))?;
    Ok(Drive::disk(&image, "MEDIA"))
}

/// Lets the installer run until it says `at`, and pulls the plug.
fn cut(again: &Stick, machine: &Machine, stick: &Path, (phase, at): (&str, &str)) -> Result<()> {
    let mut guest = again.start(machine, stick, phase)?;
    let line = guest.wait_for(&[at, "LANDFALL INSTALL", "LANDFALL REFUSED", "LANDFALL PROMPT"], LIMIT)?;
    guest.pull_the_plug();
    assert!(line.contains(at), "{line}");
    let marker = image::partition(&machine.disk, 1)?.name;
    assert!(marker.starts_with("landfall-keeping-"), "{marker}");
    Ok(())
}

/// One system is on it, the second, and whole.
fn judge_disk(disk: &Path) -> Result<()> {
    image::check(disk)?;
    let marker = image::partition(disk, 1)?.name;
    assert!(marker.starts_with("landfall-done-"), "{marker}");
    let mut manifests = image::data_names(disk, "landfall/generations")?;
    manifests.sort();
    assert_eq!(manifests, ["2.toml", "2.toml.minisig"]);
    let files = image::esp_files(disk)?;
    let entries: Vec<&str> =
        files.iter().filter_map(|(name, _)| name.strip_prefix("loader/entries/")).collect();
    assert_eq!(entries, ["landfall-2+3.conf"]);
    let menu = files.iter().find(|(name, _)| name == "loader/loader.conf").map(|(_, bytes)| bytes.as_slice());
    assert!(menu.is_some_and(|text| text.starts_with(b"timeout 1\n")), "{menu:?}");
    Ok(())
}
