//! A machine whose disk the TPM opens with a PIN: only the right one opens it, and after a change of what starts the
//! recovery key seals it anew.

use landfall_hosts::manifest::Manifest;
use landfall_qemu_tests::encrypted::{edit, recovery_key, swap};
use landfall_qemu_tests::fixture::Fixture;
use landfall_qemu_tests::guest::Guest;
use landfall_qemu_tests::rehearsal::{Machine, Shape};
use landfall_qemu_tests::site::{HOST, Site};
use landfall_qemu_tests::{Error, image};
use std::sync::OnceLock;
use std::time::Duration;

const PIN: &str = "kopf-7-stand";
const WRONG_PIN: &str = "kopf-7-stamd";
const NEW_PIN: &str = "hand-8-stand";
const ENCRYPT: &str = "[secrets.pin]\nfile = \"secrets/pin.age\"\n\
    [disk.encrypt]\nunlock = [\"tpm2+pin\"]\npin = { secret = \"pin\" }\n";

const LIMIT: Duration = Duration::from_secs(300);

/// What the console said at each boot.
struct Story {
    install: String,
    by_pin: String,
    by_recovery_key: String,
    by_new_pin: String,
}

fn story() -> &'static Story {
    static STORY: OnceLock<Story> = OnceLock::new();
    STORY.get_or_init(|| tell().expect("a machine with a TPM and a PIN"))
}

fn tell() -> Result<Story, Error> {
    let change = |site: &Site| edit(site, ENCRYPT, Some(("pin", PIN)));
    let fixture = Fixture::shared()?.variant("tpm-pin", &[HOST], change)?;
    let machine = Machine::shaped(&fixture, "tpm-pin", Shape { tpm: true, ..Shape::default() })?;
    let install = machine.install()?.console;
    let recovery = recovery_key(&fixture.site, &machine.stick)?;
    let by_pin = typed(&machine, "pin", &[("pin", WRONG_PIN), ("pin", PIN)], "done by=tpm2")?;
    let manifest = image::data_file(&fixture.medium, &format!("landfall/generations/{HOST}.toml"))?;
    let manifest: Manifest = toml::from_str(&String::from_utf8_lossy(&manifest)).expect("a manifest");
    let initrd = manifest.initrds.iter().find(|blob| blob.name == "initrd").expect("an initrd").esp_path();
    let old = swap(&machine.disk, &initrd, b"")?;
    swap(&machine.disk, &initrd, &[old.as_slice(), &[0; 512]].concat())?;
    let answers = [("ask", recovery.as_str()), ("newpin", NEW_PIN), ("newpin", NEW_PIN)];
    let by_recovery_key = typed(&machine, "recovery", &answers, "sealed")?;
    let by_new_pin = typed(&machine, "new-pin", &[("pin", NEW_PIN)], "done by=tpm2")?;
    Ok(Story { install, by_pin, by_recovery_key, by_new_pin })
}

/// Boots, and types each answer behind the sentinel of its question, until the last sentinel. Gives what the console
/// said.
fn typed(machine: &Machine, name: &str, answers: &[(&str, &str)], last: &str) -> Result<String, Error> {
    let mut config = machine.config(name);
    config.machine.drives = vec![machine.target()];
    let mut guest = Guest::start(&config)?;
    for (question, answer) in answers {
        guest.wait_for(&[&format!("LANDFALL UNLOCK {question}")], LIMIT)?;
        guest.type_line(answer)?;
    }
    guest.wait_for(&[&format!("LANDFALL UNLOCK {last}")], LIMIT)?;
    let console = guest.console();
    guest.pull_the_plug();
    Ok(console)
}

/// Only `--all` runs them: the PIN is asked for in the way of the passphrase, and `tpm.rs` has the sealing.
mod long {
    use super::*;

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test"]
    fn tpm_opens_the_disk_with_the_right_pin_alone() {
        let story = story();
        assert!(story.by_pin.contains("LANDFALL UNLOCK wrong"), "{}", story.by_pin);
        assert!(story.by_pin.contains("LANDFALL UNLOCK done by=tpm2"), "{}", story.by_pin);
        for console in [&story.install, &story.by_pin, &story.by_recovery_key, &story.by_new_pin] {
            assert!(![PIN, NEW_PIN, WRONG_PIN].iter().any(|pin| console.contains(pin)), "{console}");
        }
    }

    #[test]
    #[ignore = "boots QEMU: run by cargo xtask test"]
    fn recovery_key_seals_again_what_a_change_had_locked() {
        let story = story();
        assert!(story.by_recovery_key.contains("LANDFALL UNLOCK locked"), "{}", story.by_recovery_key);
        assert!(story.by_recovery_key.contains("sealed to the TPM again"), "{}", story.by_recovery_key);
        assert!(story.by_new_pin.contains("LANDFALL UNLOCK done by=tpm2"), "{}", story.by_new_pin);
        assert!(!story.by_new_pin.contains("LANDFALL UNLOCK ask"), "{}", story.by_new_pin);
    }
}
