//! A machine whose disk the TPM opens, told once: installed and started with nobody there, then by an entry that it
//! sealed its key to before that had ever started, then with other programs on its ESP.

use landfall_hosts::manifest::{BlobRef, Manifest};
use landfall_qemu_tests::encrypted::{add, edit, swap, until_lock};
use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::rehearsal::{Machine, Shape};
use landfall_qemu_tests::site::{HOST, Site};
use landfall_qemu_tests::{Error, image, probe};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// A kernel of Debian's that is signed like the usual one.
const OTHER_KERNEL: &str = "linux-image-rt-amd64";
const OPENED: &str = "LANDFALL UNLOCK done by=tpm2";
const LOCKED: &str = "LANDFALL UNLOCK locked";

/// What was seen.
struct Story {
    install_console: String,
    first: String,
    said: BTreeMap<String, String>,
    sealed: String,
    by_new_entry: String,
    entries: Vec<String>,
    other_kernel: String,
    other_initrd: String,
    as_before: String,
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| tell().expect("a machine with a TPM"))
}

fn by_tpm(site: &Site) -> Result<(), Error> {
    edit(site, "[disk.encrypt]\nunlock = [\"tpm2\"]\n", None)
}

fn by_tpm_with_another_kernel(site: &Site) -> Result<(), Error> {
    by_tpm(site)?;
    edit(site, &format!("[kernel]\npackage = \"{OTHER_KERNEL}\"\n"), None)
}

fn manifest(medium: &Path) -> Result<Manifest, Error> {
    let bytes = image::data_file(medium, &format!("landfall/generations/{HOST}.toml"))?;
    Ok(toml::from_str(&String::from_utf8_lossy(&bytes)).expect("a manifest"))
}

fn tell() -> Result<Story, Error> {
    let shared = Fixture::shared()?;
    let fixture = shared.variant("tpm", &[HOST], by_tpm)?;
    let other = shared.variant("tpm-kernel", &[HOST], by_tpm_with_another_kernel)?;
    let machine = Machine::shaped(&fixture, "tpm", Shape { tpm: true, ..Shape::default() })?;
    let installed = machine.install()?;
    let (second, other_kernel) = second(&machine, &fixture.medium, &other.medium)?;
    let mut guest = machine.boot("boot", None)?;
    let first = guest.console();
    let scripts = [
        ("running", "systemctl is-system-running --wait"),
        ("failed", "systemctl --failed --no-legend --plain"),
        ("data", "findmnt -no SOURCE,FSTYPE /run/landfall/data"),
    ];
    let said = probe::ask(&mut guest, &scripts)?;
    let sealed = guest.shell(&new_entries(&second), Duration::from_secs(240))?;
    guest.power_off(Duration::from_secs(180))?;
    let by_new_entry = until_lock(&machine, "new-entry")?;
    let entries = image::esp_files(&machine.disk)?.into_iter().map(|(name, _)| name).collect();
    let other_kernel = with_another(&machine, "kernel", &second.kernel, |_| other_kernel)?;
    let initrd = second.initrds.iter().find(|blob| blob.name == "initrd").expect("an initrd");
    // Something behind it that does nothing, so that only what is measured differs.
    let other_initrd = with_another(&machine, "initrd", initrd, |old| [old, &[0; 512]].concat())?;
    // The second entry has had its tries: the first one starts again.
    let as_before = until_lock(&machine, "as-before")?;
    Ok(Story {
        install_console: installed.console,
        first,
        said,
        sealed: format!("{}{}", sealed.stdout, sealed.stderr),
        by_new_entry,
        entries,
        other_kernel,
        other_initrd,
        as_before,
    })
}

/// The machine's second generation: the first one with a word more on its command line, and with the initrds of the
/// other kernel, too, so that this one finds its modules there and all but the kernel can stay as it is. Puts
/// these on the ESP, and gives the other kernel.
fn second(machine: &Machine, own: &Path, others: &Path) -> Result<(Manifest, Vec<u8>), Error> {
    let (mut second, other, files) = (manifest(own)?, manifest(others)?, image::esp_files(others)?);
    assert_ne!(second.kernel_release, other.kernel_release);
    let content = |blob: &BlobRef| {
        let found = files.iter().find(|(name, _)| *name == blob.esp_path());
        found.map(|(_, bytes)| bytes.clone()).expect("on the medium's ESP")
    };
    second.cmdline.push_str(" test=2");
    for blob in other.initrds.iter().filter(|blob| ["initrd", "unlock"].contains(&blob.name.as_str())) {
        add(&machine.disk, &blob.esp_path(), &content(blob))?;
        second.initrds.push(blob.clone());
    }
    Ok((second, content(&other.kernel)))
}

/// A script that adds two entries of the second generation, newest in the menu, for which the machine seals its key;
/// and takes one of them away again.
fn new_entries(second: &Manifest) -> String {
    let manifest = toml::to_string(second).expect("TOML");
    let initrds: Vec<String> =
        second.initrds.iter().map(|blob| format!("initrd /{}", blob.esp_path())).collect();
    format!(
        "set -e; cat > /run/landfall/data/landfall/generations/2.toml <<'END'\n{manifest}\nEND\n\
         mount -o remount,rw /efi; cd /efi/loader/entries\n\
         sed -e '/^initrd/d' -e 's/^version .*/version 992/' -e 's/generation=1/generation=2/' \
         -e '/^options/s/$/ test=2/' landfall-1*.conf > landfall-2+3.conf\n\
         printf '{}\\n' >> landfall-2+3.conf\n\
         sed -e 's/^options *\\(landfall.mode=boot\\) \\(.*\\)/options \\2 \\1/' landfall-2+3.conf > landfall-3+3.conf\n\
         for n in 2 3; do landfall-machine seal landfall-$n.conf; done\n\
         rm landfall-3+3.conf; landfall-machine seal; mount -o remount,ro /efi",
        initrds.join("\\n")
    )
}

/// Starts the machine with other bytes in the place of a file of its ESP, and puts the old ones back.
fn with_another(
    machine: &Machine,
    name: &str,
    blob: &BlobRef,
    change: impl FnOnce(&[u8]) -> Vec<u8>,
) -> Result<String, Error> {
    let old = swap(&machine.disk, &blob.esp_path(), b"")?;
    swap(&machine.disk, &blob.esp_path(), &change(&old))?;
    let console = until_lock(machine, &format!("other-{name}"))?;
    swap(&machine.disk, &blob.esp_path(), &old)?;
    Ok(console)
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn tpm_opens_the_disk_with_nobody_there() {
    let story = story();
    assert!(!story.install_console.contains("cannot be told for sure"), "{}", story.install_console);
    assert!(story.first.contains(OPENED), "{}", story.first);
    assert_eq!(story.said["running"], "running", "{}", story.said["failed"]);
    assert!(story.said["data"].starts_with("/dev/mapper/landfall"), "{}", story.said["data"]);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn another_initrd_finds_the_disk_locked() {
    let story = story();
    assert!(story.other_initrd.contains(LOCKED), "{}", story.other_initrd);
    assert!(story.other_initrd.contains("LANDFALL UNLOCK ask"), "{}", story.other_initrd);
    assert!(!story.other_initrd.contains(OPENED));
    assert!(story.as_before.contains(OPENED), "{}", story.as_before);
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn another_signed_kernel_finds_the_disk_locked() {
    let story = story();
    assert!(story.other_kernel.contains(LOCKED), "{}", story.other_kernel);
    assert!(story.other_kernel.contains("LANDFALL UNLOCK ask"), "{}", story.other_kernel);
    assert!(!story.other_kernel.contains(OPENED));
}

#[test]
#[ignore = "boots QEMU: run by cargo xtask test"]
fn entry_that_was_sealed_for_opens_the_disk_at_its_first_start() {
    let story = story();
    let lines: Vec<&str> = story.sealed.lines().collect();
    let words = |new: u8, gone: u8| format!("key slots sealed to the TPM: {new} new, {gone} taken away");
    assert_eq!(lines, [words(1, 0), words(1, 0), words(0, 1)]);
    assert!(story.by_new_entry.contains(OPENED), "{}", story.by_new_entry);
    // systemd-boot took it: it has a try less.
    assert!(
        story.entries.iter().any(|name| name == "loader/entries/landfall-2+2-1.conf"),
        "{:?}",
        story.entries
    );
}
