//! Which of a host's generations this machine gets, where the host leaves that to the hardware.

use super::hosts::{self, Chosen};
use super::refusal::Refusal;
use crate::probe::Machine;
use landfall_hosts::profiles::{Unfit, variant_name};
use std::path::Path;

/// What the facts make of a host.
#[derive(Debug)]
pub enum Fitting {
    /// This generation, and what decided; nothing did where the host has one alone.
    One(Box<Chosen>, Vec<String>),
    /// The rules leave it open: why.
    Open(Unfit),
}

/// The generation of `host` whose profiles fit the machine, from the medium in `folder`.
///
/// # Errors
/// A refusal, where its manifest is damaged.
pub fn fitting(folder: &Path, host: &Chosen, machine: &Machine) -> Result<Fitting, Refusal> {
    let Some(variants) = &host.manifest.variants else {
        return Ok(Fitting::One(Box::new(host.clone()), Vec::new()));
    };
    match variants.choose(&machine.facts()) {
        Ok(fit) => Ok(Fitting::One(Box::new(read(folder, host, &fit.set)?), fit.because)),
        Err(unfit) => Ok(Fitting::Open(unfit)),
    }
}

/// Reads and checks the generation of `host` for a set of profiles.
///
/// # Errors
/// A refusal, where it is damaged.
pub fn read(folder: &Path, host: &Chosen, set: &str) -> Result<Chosen, Refusal> {
    let variants = host.manifest.variants.as_ref();
    let wanted = variants.and_then(|variants| variants.sets.get(set)).map(String::as_str);
    hosts::manifest(folder, &variant_name(&host.manifest.host, set), wanted.unwrap_or_default())
}

/// The names of all sets that the medium has of `host`.
pub fn sets(host: &Chosen) -> Vec<String> {
    host.manifest.variants.iter().flat_map(|variants| variants.sets.keys().cloned()).collect()
}

/// The refusal where the rules leave it open, with the facts that rules could ask for.
pub fn refused(host: &Chosen, unfit: &Unfit, machine: &Machine) -> Refusal {
    let sets = sets(host);
    let host = &host.manifest.host;
    let slug = match unfit {
        Unfit::Nothing(_) | Unfit::Unknown(_) => "no-profile-fits",
        Unfit::Tie(..) => "several-profiles-fit",
    };
    let facts = [
        ("chassis", machine.chassis.clone()),
        ("battery", Some(machine.battery.to_string())),
        ("hypervisor", machine.hypervisor.clone()),
        ("vendor", machine.vendor.clone()),
        ("product", machine.product.clone()),
        ("gpu", Some(machine.gpu.join(" "))),
    ];
    let facts: Vec<String> =
        facts.into_iter().filter_map(|(key, value)| Some(format!("{key} = {:?}", value?))).collect();
    let pins = if sets.is_empty() { String::new() } else { format!(" (there are {})", sets.join(", ")) };
    Refusal::new(
        slug,
        format!("{unfit}, and {host} leaves that to the hardware. The machine's facts: {}", facts.join(", ")),
        format!(
            "write the profile into hosts/{host}.toml, such as device = \"laptop\"{pins}, and build the medium again"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_hosts::manifest::{BlobRef, InstallSpec, Manifest};
    use landfall_hosts::paths::data;
    use landfall_hosts::profiles::{Profiles, Variants};

    fn host(sets: &[(&str, &str)], device: &[(&str, &str)]) -> Chosen {
        let sets = sets.iter().map(|(set, hash)| ((*set).to_owned(), (*hash).to_owned())).collect();
        let profiles: Profiles =
            device.iter().map(|(name, rule)| ((*name).to_owned(), toml::from_str(rule).unwrap())).collect();
        let variants = Variants { sets, slots: [("device".to_owned(), profiles)].into() };
        let manifest = Manifest {
            format: 1,
            site: "s".into(),
            host: "h".into(),
            profiles: vec![],
            serial: 1,
            kernel_release: "6".into(),
            cmdline: String::new(),
            site_commit: None,
            epoch: 0,
            variants: Some(variants),
            install: InstallSpec::default(),
            kernel: BlobRef { name: "vmlinuz".into(), sha256: "0".into(), size: 1 },
            initrds: vec![],
            efi: vec![],
            bios: None,
            layers: vec![],
        };
        Chosen { bytes: toml::to_string(&manifest).unwrap().into_bytes(), manifest, signature: None }
    }

    #[test]
    fn the_machines_own_generation_is_read_and_a_damaged_one_refused() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join(data::GENERATIONS);
        std::fs::create_dir_all(&folder).unwrap();
        let mut vm = host(&[], &[]).manifest;
        (vm.variants, vm.profiles) = (None, vec!["vm".into()]);
        let text = toml::to_string(&vm).unwrap();
        std::fs::write(folder.join("h@vm.toml"), &text).unwrap();
        let hash = crate::bytes::hex(&<sha2::Sha256 as sha2::Digest>::digest(text.as_bytes()));
        let rules = [("vm", "virtual = true"), ("laptop", "battery = true")];
        let good = host(&[("vm", &hash), ("laptop", "00")], &rules);
        let machine = |hypervisor: bool, battery: bool| Machine {
            hypervisor: hypervisor.then(|| "kvm".to_owned()),
            battery,
            ..Machine::default()
        };
        let Ok(Fitting::One(chosen, because)) = fitting(top.path(), &good, &machine(true, false)) else {
            panic!("the vm's");
        };
        assert_eq!(chosen.manifest.profiles, ["vm"]);
        assert!(because[0].starts_with("vm: "), "{because:?}");
        assert_eq!(fitting(top.path(), &good, &machine(false, true)).unwrap_err().slug, "manifest-corrupt");
        assert_eq!(read(top.path(), &good, "../x").unwrap_err().slug, "manifest-corrupt");
        assert!(matches!(
            fitting(top.path(), &good, &machine(false, false)),
            Ok(Fitting::Open(Unfit::Nothing(_)))
        ));
        assert!(matches!(
            fitting(top.path(), &good, &machine(true, true)),
            Ok(Fitting::Open(Unfit::Tie(..)))
        ));
        let other = host(&[("vm", "11")], &rules);
        assert_eq!(fitting(top.path(), &other, &machine(true, false)).unwrap_err().slug, "manifest-corrupt");
    }

    #[test]
    fn a_refusal_names_facts_and_sets() {
        let host = host(&[("laptop", "")], &[]);
        let machine = Machine { product: Some("X1".into()), ..Machine::default() };
        let tie = Unfit::Tie("device".into(), vec!["a".into(), "b".into()]);
        let refusal = refused(&host, &tie, &machine);
        assert_eq!(refusal.slug, "several-profiles-fit");
        assert!(refusal.message.contains("product = \"X1\"") && refusal.remedy.contains("hosts/h.toml"));
        assert!(refusal.remedy.contains("laptop"), "{}", refusal.remedy);
    }
}
