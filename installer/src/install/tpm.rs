//! The TPM at an installation: whether it may be used, and sealing the disk's key to the start of the
//! machine's own boot entry, before that has ever happened. On a disk that is kept, the slots of entries
//! that are replaced go.

use super::effects::Decided;
use super::esp;
use super::refusal::Refusal;
use super::target::Target;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::luks::{Sealing, Volume, securityfs};
use crate::probe::Machine;
use landfall_hosts::host::Unlock;
use landfall_hosts::manifest::{EncryptSpec, Manifest};
use landfall_measure::{Digest, Entry, Tpm};
use std::path::Path;

/// Refuses what this machine's TPM cannot do, before anything is written; `sys` is where sysfs is
/// mounted.
pub fn allowed(
    host: &str,
    spec: Option<&EncryptSpec>,
    machine: &Machine,
    sys: &Path,
) -> std::result::Result<(), Refusal> {
    let Some(spec) = spec else {
        return Ok(());
    };
    let asks = |way: Unlock| spec.unlock.contains(&way);
    if asks(Unlock::Tpm2) && machine.secure_boot != Some(true) {
        return Err(Refusal::new(
            "tpm-without-secure-boot",
            format!("{host} unlocks its disk by the TPM alone, and Secure Boot is off on this machine"),
            format!(
                "turn Secure Boot on in the firmware, or take \"tpm2\" out of [disk] encrypt in hosts/{host}.toml \
                 (\"tpm2+pin\" and \"passphrase\" work without) and build the medium again"
            ),
        ));
    }
    let wanted = asks(Unlock::Tpm2Pin) || asks(Unlock::Tpm2);
    if !wanted || asks(Unlock::Passphrase) || Tpm::find(sys).is_some() {
        return Ok(());
    }
    let why = match (machine.tpm2, machine.firmware.as_str()) {
        (false, _) => "shows no TPM 2",
        (true, "uefi") => "has a TPM 2 without SHA-256",
        (true, _) => "was started in BIOS mode",
    };
    Err(Refusal::new(
        "no-tpm",
        format!("{host} unlocks its disk by the TPM, and this machine {why}"),
        format!(
            "turn it on in the firmware (often called security device, fTPM or PTT, with UEFI boot), or add \
             \"passphrase\" to unlock in hosts/{host}.toml and build the medium again"
        ),
    ))
}

/// Identity of the volume, where its host's boot entry must name it: a start that a TPM opens a
/// disk for must open that one.
pub fn identity(target: &Target, manifest: &Manifest) -> Result<Option<Digest>> {
    let mut ways = manifest.install.encrypt.iter().flat_map(|spec| &spec.unlock);
    if !ways.any(|way| way.tpm_pin().is_some()) {
        return Ok(None);
    }
    Volume::on(&target.data.path).header().map(|header| Some(header.identity))
}

/// Seals the key of the volume to the first start of the machine's own entry, which is of generation
/// `number`.
pub fn seal(context: &Context, target: &Target, decided: &Decided<'_>, number: u64) -> Result<()> {
    let manifest = &decided.chosen.manifest;
    let ways = manifest.install.encrypt.iter().flat_map(|spec| &spec.unlock);
    let ways: Vec<bool> = ways.filter_map(|way| way.tpm_pin()).collect();
    let (Some((key, typed)), false) = (decided.to_seal(), ways.is_empty()) else {
        return Ok(());
    };
    let Some(tpm) = Tpm::find(&context.roots.sys) else {
        context.consoles.say(
            "This machine shows no TPM 2 that can be used (it needs one, and a start by UEFI): the disk opens by \
             its passphrase or recovery key.",
        );
        return Ok(());
    };
    let text = esp::entry_text(target, manifest, number)?;
    let entry = Entry::parse(&text).map_err(|error| Error::Words(error.to_string()))?;
    let _log = securityfs(&context.roots).map_err(|error| context.consoles.say(error.chain()));
    let foreseen = tpm.foresee(&decided.medium_esp, &entry).map_err(Error::Words)?;
    if let Some(why) = foreseen.doubt {
        context.consoles.say(format!(
            "Warning: what this firmware measures cannot be told for sure: {why}. If the first start asks for \
             the recovery key or passphrase, that was it; it is asked for once."
        ));
    }
    let volume = Volume::on(&target.data.path);
    let sealing = Sealing { roots: &context.roots, volume: &volume, key };
    for pcrs in &foreseen.starts {
        for pin in &ways {
            let pin = if *pin { Some(typed.ok_or_else(no_pin)?) } else { None };
            sealing.add(pcrs, pin).map_err(|error| refused(&manifest.host, &error))?;
        }
    }
    context.consoles.say("The disk's key is sealed to the TPM, for this machine's own start.");
    Ok(())
}

/// Key slots of a kept volume that its TPM opens for entries which are going to be replaced.
///
/// A slot for the very start that comes now is among them, where a run was cut off after it had sealed: the TPM may
/// have been cleared since, or another PIN be wanted.
pub fn sealed_before(volume: &Volume) -> Result<Vec<u32>> {
    Ok(volume.header()?.spent(&[]))
}

/// Takes such slots away, once nothing starts any more that they open the disk for: else whoever puts the old
/// programs back on the ESP starts them.
pub fn take_away(volume: &Volume, slots: &[u32]) -> Result<()> {
    slots.iter().try_for_each(|slot| volume.wipe(*slot))
}

fn refused(host: &str, error: &Error) -> Error {
    Error::Words(format!(
        "the TPM does not take the disk's key: {}. Clear the TPM in the firmware and start the installation \
         again, or take tpm2 out of unlock in hosts/{host}.toml, put \"passphrase\" there, and build the \
         medium again",
        error.chain()
    ))
}

fn no_pin() -> Error {
    Error::Words("sealing the disk's key: no PIN was settled; start the installation again".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::luks::RecoveryKey;
    use crate::tools;
    use age::secrecy::SecretString;

    fn slug(unlock: &[Unlock], change: impl FnOnce(&mut Machine)) -> Option<&'static str> {
        let spec = EncryptSpec { unlock: unlock.to_vec(), ..EncryptSpec::default() };
        let mut machine =
            Machine { firmware: "uefi".into(), secure_boot: Some(true), tpm2: true, ..Machine::default() };
        change(&mut machine);
        let sys = tempfile::tempdir().unwrap();
        if machine.firmware == "uefi" {
            std::fs::create_dir_all(sys.path().join("firmware/efi")).unwrap();
        }
        if machine.tpm2 {
            let tpm = sys.path().join("class/tpm/tpm0");
            std::fs::create_dir_all(tpm.join("pcr-sha256")).unwrap();
            std::fs::write(tpm.join("tpm_version_major"), "2\n").unwrap();
        }
        allowed("vm", Some(&spec), &machine, sys.path()).err().map(|refusal| refusal.slug)
    }

    #[test]
    fn the_tpm_alone_needs_secure_boot_whatever_else_is_listed() {
        use Unlock::{Passphrase, Tpm2, Tpm2Pin};
        let off = |machine: &mut Machine| machine.secure_boot = Some(false);
        for unlock in [&[Tpm2][..], &[Tpm2, Passphrase], &[Tpm2Pin, Tpm2]] {
            assert_eq!(slug(unlock, |_| {}), None);
            assert_eq!(slug(unlock, off), Some("tpm-without-secure-boot"));
            assert_eq!(slug(unlock, |machine| machine.secure_boot = None), Some("tpm-without-secure-boot"));
        }
        assert_eq!(slug(&[Tpm2Pin], off), None);
        assert_eq!(slug(&[Passphrase], off), None);
    }

    #[test]
    fn without_a_tpm_only_a_passphrase_will_do() {
        use Unlock::{Passphrase, Tpm2, Tpm2Pin};
        let none = |machine: &mut Machine| machine.tpm2 = false;
        assert_eq!(slug(&[Tpm2], none), Some("no-tpm"));
        assert_eq!(slug(&[Tpm2Pin], none), Some("no-tpm"));
        assert_eq!(slug(&[Tpm2Pin, Passphrase], none), None);
        assert_eq!(slug(&[Tpm2, Passphrase], none), None);
        assert_eq!(slug(&[Passphrase], none), None);
        let bios = |machine: &mut Machine| machine.firmware = "bios".into();
        assert_eq!(slug(&[Tpm2Pin], bios), Some("no-tpm"));
    }

    /// A key slot of a passphrase, dressed up as one for a TPM with these PCRs.
    fn dress(volume: &Volume, keyslot: u32, pcrs: &str) {
        let json = format!(
            r#"{{"type":"systemd-tpm2","keyslots":["{keyslot}"],"tpm2-blob":"AAAA","tpm2-pcrs":{pcrs},
            "tpm2-pcr-bank":"sha256","tpm2-primary-alg":"ecc","tpm2-policy-hash":"{}","tpm2-pin":false}}"#,
            "ab".repeat(32)
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json).unwrap();
        let (from, device) = (file.path().to_string_lossy(), volume.path().to_string_lossy());
        tools::must("cryptsetup", &["token", "import", "--json-file", &from, &device]).unwrap();
    }

    #[test]
    fn slots_of_entries_that_go_are_taken_away_and_no_others() {
        if ["cryptsetup", "systemd-cryptenroll"].iter().any(|name| tools::find(name).is_none()) {
            eprintln!("not tested: this computer lacks cryptsetup or systemd-cryptenroll");
            return;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(32 << 20).unwrap();
        let (volume, recovery) = (Volume::on(file.path()), RecoveryKey::random().unwrap());
        volume.format(&recovery).unwrap();
        let passphrase = SecretString::from("stands for the TPM".to_owned());
        volume.add_passphrase(&recovery, &passphrase, 32 * 1024).unwrap();
        dress(&volume, 1, "[7]");
        assert!(sealed_before(&volume).unwrap().is_empty());
        dress(&volume, 0, "[4,7,9,12]");
        let identity = volume.header().unwrap().identity;
        let slots = sealed_before(&volume).unwrap();
        assert_eq!(slots, [0]);
        take_away(&volume, &slots).unwrap();
        let header = volume.header().unwrap();
        assert_eq!(header.slots.iter().map(|slot| slot.keyslot).collect::<Vec<_>>(), [1]);
        assert_eq!(header.identity, identity);
        assert!(!volume.knows(&passphrase).unwrap() && volume.knows(recovery.secret()).unwrap());
    }
}
