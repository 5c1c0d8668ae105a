//! What the facts say: the profile, the hypervisor, NVIDIA's GPUs.

use crate::machine::Machine;
use crate::nvidia::{self, Nvidia};
use crate::pci::PciDevice;
use crate::tried::{Decision, Tried};
use crate::{form, virt};
use landfall_hosts::profiles::{self, Best, Profiles};
use landfall_hosts::rule;
use landfall_hosts::site::load::shipped_profiles;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the facts say, as `landfall probe --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Debian's name of the architecture.
    pub arch: String,
    /// The profile: `laptop`, `desktop`, `server`, `vm`.
    pub profile: String,
    /// The profile of the GPU, where there is one for it: `nvidia`.
    pub gpu_profile: Option<String>,
    /// The hypervisor.
    pub virtualization: Virtualization,
    /// A system battery.
    pub battery: bool,
    /// NVIDIA's GPUs.
    pub nvidia: Nvidia,
    /// Display devices.
    pub gpus: Vec<Gpu>,
    /// The facts that decided.
    pub because: Because,
    /// Every rule that was tried.
    #[serde(skip)]
    pub tried: BTreeMap<&'static str, Vec<Tried>>,
}

/// The hypervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Virtualization {
    /// By `systemd-detect-virt`'s names; `none` on bare metal.
    pub kind: String,
}

/// A display device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Where it is.
    pub slot: String,
    /// Maker's id.
    pub vendor: String,
    /// Chip's id.
    pub device: String,
    /// PCI class.
    pub class: String,
    /// Name for people, where the list of names is installed.
    pub name: Option<String>,
    /// The firmware drew on it.
    pub boot_vga: Option<bool>,
}

/// The facts that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Because {
    /// The profile.
    pub profile: Vec<String>,
    /// The hypervisor.
    pub virtualization: Vec<String>,
    /// NVIDIA's GPUs.
    pub nvidia: Vec<String>,
}

impl Answer {
    /// What the facts say by the shipped rules. `name` finds a chip's name.
    pub fn of(machine: &Machine, name: &dyn Fn(&PciDevice) -> Option<String>) -> Self {
        let kind = virt::kind(machine);
        let form = form::of(machine);
        let (nvidia, nvidia_because) = nvidia::find(machine.devices());
        let profile = profile(machine, &form, &kind);
        let gpus = shipped_profiles("gpu");
        let gpu = |device: &PciDevice| Gpu {
            slot: device.slot.clone(),
            vendor: device.vendor.clone(),
            device: device.device.clone(),
            class: device.class.clone(),
            name: name(device),
            boot_vga: device.boot_vga,
        };
        Self {
            arch: machine.arch.clone(),
            profile: profile.answer,
            gpu_profile: match profiles::best(&gpus, &machine.facts()) {
                Best::One(name, _) => Some(name),
                Best::None | Best::Tie(_) => None,
            },
            virtualization: Virtualization { kind: kind.answer },
            battery: machine.battery,
            nvidia,
            gpus: machine.devices().iter().filter(|device| device.is_display()).map(gpu).collect(),
            because: Because {
                profile: profile.because,
                virtualization: kind.because,
                nvidia: nvidia_because,
            },
            tried: BTreeMap::from([
                ("form", form.tried),
                ("gpu", tried(machine, &gpus)),
                ("profile", profile.tried),
                ("virtualization", kind.tried),
            ]),
        }
    }
}

/// The profile of the highest rank that matches; else the form itself.
fn profile(machine: &Machine, form: &Decision, kind: &Decision) -> Decision {
    let profiles = shipped_profiles("device");
    let origin = if kind.answer == "none" { form } else { kind };
    let mut because = origin.because.clone();
    let answer = match profiles::best(&profiles, &machine.facts()) {
        Best::One(name, lines) => {
            because.extend(lines);
            name
        }
        Best::None | Best::Tie(_) => form.answer.clone(),
    };
    Decision { answer, because, tried: tried(machine, &profiles) }
}

/// Every profile's rule, and what it found.
fn tried(machine: &Machine, profiles: &Profiles) -> Vec<Tried> {
    let one = |(name, rule)| {
        let verdict = rule::matches(rule, &machine.facts());
        let (rank, facts) = (profiles::rank(rule), verdict.because.join(", "));
        Tried { rule: format!("{name} (rank {rank})"), holds: verdict.matches, facts }
    };
    profiles.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::Supply;

    fn answer(machine: Machine) -> Answer {
        let mut machine = machine;
        machine.derive();
        Answer::of(&machine, &|_| None)
    }

    fn metal(product: &str, chassis: u8) -> Machine {
        Machine { product: Some(product.into()), chassis_type: Some(chassis), ..Machine::default() }
    }

    fn device(id: &str, class: &str) -> PciDevice {
        let (vendor, device) = id.split_once(':').unwrap();
        PciDevice {
            vendor: vendor.into(),
            device: device.into(),
            class: class.into(),
            ..PciDevice::default()
        }
    }

    #[test]
    fn nothing_known_is_a_desktop() {
        let answer = answer(Machine::default());
        assert_eq!((answer.profile.as_str(), answer.virtualization.kind.as_str()), ("desktop", "none"));
        assert!(!answer.because.profile.is_empty());
    }

    #[test]
    fn a_battery_beats_a_chassis_that_lies() {
        let battery = Supply { name: "BAT0".into(), kind: "Battery".into(), ..Supply::default() };
        let lies = Machine { power: Some(vec![battery]), ..metal("X", 3) };
        assert_eq!(answer(lies).profile, "laptop");
        assert_eq!(answer(metal("X", 10)).profile, "laptop");
        assert_eq!(answer(Machine { power: Some(vec![]), ..metal("X", 10) }).profile, "desktop");
        assert_eq!(answer(metal("iMac20,1", 9)).profile, "desktop");
    }

    #[test]
    fn a_management_processor_makes_a_server_where_no_radio_is() {
        let with = |devices: &[(&str, &str)]| {
            let devices = devices.iter().map(|(id, class)| device(id, class)).collect();
            answer(Machine { pci_devices: Some(devices), ..metal("X", 3) }).profile
        };
        assert_eq!(with(&[("1a03:2000", "030000")]), "server");
        assert_eq!(with(&[("1d0f:0001", "0c0701")]), "server");
        assert_eq!(with(&[("1a03:2000", "030000"), ("8086:2725", "028000")]), "desktop");
    }

    #[test]
    fn an_exact_chassis_beats_a_name_and_a_left_out_one_asks_the_maker() {
        assert_eq!(answer(metal("YOGA AIO 7 27ACH6", 13)).profile, "desktop");
        assert_eq!(answer(metal("YOGA 7", 31)).profile, "laptop");
        let made = |chassis| Machine { vendor: Some("eMachines".into()), ..metal("E510", chassis) };
        assert_eq!((answer(made(1)).profile, answer(made(3)).profile), ("laptop".into(), "desktop".into()));
    }

    #[test]
    fn families_and_numbers_of_makers() {
        let of = |product: &str, chassis| answer(metal(product, chassis)).profile;
        assert_eq!(of("Some LapBook Pro", 3), "laptop");
        assert_eq!(of("Lenovo Flex System x240 M5 Compute Node", 28), "server");
        let intel = |board: &str| Machine {
            board_vendor: Some("Intel Corporation".into()),
            board: Some(board.into()),
            ..metal("", 3)
        };
        assert_eq!(answer(intel("S1200BTL")).profile, "server");
        assert_eq!(answer(intel("STK1AW32SC")).profile, "desktop");
        let known = |power| Machine { power, bios_vendor: Some("coreboot".into()), ..metal("Newboard", 3) };
        let google = |power| Machine { vendor: Some("Google".into()), ..known(power) };
        assert_eq!(answer(google(None)).profile, "laptop");
        assert_eq!(answer(google(Some(vec![]))).profile, "desktop");
    }

    #[test]
    fn ports_and_chipsets_tell_where_no_name_does() {
        const HOST: [(&str, &str); 2] = [("8086:0000", "060000"), ("8086:9d4e", "060100")];
        let wired = ("8086:15f3", "020000");
        let of = |chassis: u8, more: &[(&str, &str)]| {
            let devices = HOST.iter().chain(more).map(|(id, class)| device(id, class)).collect();
            answer(Machine { pci_devices: Some(devices), ..metal("X", chassis) }).profile
        };
        let (radio, atheros, sound) =
            (("8086:2725", "028000"), ("168c:001c", "020000"), ("8086:9d70", "040300"));
        for (chassis, more, form) in [
            (9, &[wired, wired, wired, sound][..], "desktop"),
            (9, &[wired, radio], "laptop"),
            (3, &[radio, sound], "laptop"),
            (3, &[atheros, sound], "laptop"),
            (3, &[wired, radio], "desktop"),
            (2, &[wired, radio], "laptop"),
            (2, &[wired, sound], "desktop"),
        ] {
            assert_eq!(of(chassis, more), form, "chassis {chassis}, {more:?}");
        }
    }

    #[test]
    fn processors_tell_where_nothing_else_does() {
        let of = |model: &str, sockets, more: &[(&str, &str)]| {
            let devices = more.iter().map(|(id, class)| device(id, class)).collect();
            let mut machine = Machine { pci_devices: Some(devices), ..metal("X", 2) };
            (machine.cpu.model, machine.cpu.sockets) = (Some(model.into()), sockets);
            answer(machine).profile
        };
        let (radio, sound) = (("8086:2725", "028000"), ("8086:9d70", "040300"));
        assert_eq!(of("AMD EPYC 7713 64-Core Processor", 1, &[]), "server");
        assert_eq!(of("Intel(R) Xeon(R) CPU E5520", 2, &[]), "server");
        assert_eq!(of("Intel(R) Xeon(R) CPU E5520", 2, &[sound]), "desktop");
        assert_eq!(of("Intel(R) Core(TM) i7-10510U", 1, &[radio]), "laptop");
        assert_eq!(of("Intel(R) Core(TM) i7-10510U", 1, &[]), "desktop");
    }

    #[test]
    fn firmware_in_the_name_of_the_maker_is_a_laptops_where_no_chassis_tells() {
        let of = |vendor: &str, bios: &str, chassis: u8| {
            let named = Machine { vendor: Some(vendor.into()), ..metal("E510", chassis) };
            answer(Machine { bios_vendor: Some(bios.into()), ..named }).profile
        };
        assert_eq!(of("Someone Inc.", "SOMEONE", 1), "laptop");
        assert_eq!(of("Someone Inc.", "SOMEONE", 3), "desktop");
        assert_eq!(of("Someone Inc.", "American Megatrends Inc.", 1), "desktop");
        assert_eq!(of("***", "---", 1), "desktop", "no words");
    }

    #[test]
    fn hypervisors() {
        let signed = |text: &str| Machine { signature: Some(text.into()), ..Machine::default() };
        let kind = |machine: Machine| answer(machine).virtualization.kind;
        assert_eq!(kind(signed("KVMKVMKVM")), "kvm");
        assert_eq!(kind(signed("bhyve bhyve ")), "bhyve");
        assert_eq!(kind(signed("\u{fffd}\u{fffd}")), "none");
        let posing = Machine { chassis_vendor: Some("QEMU".into()), ..signed("Microsoft Hv") };
        assert_eq!(kind(posing), "kvm");
        let dom0 = Machine {
            hypervisor_type: Some("xen".into()),
            xen_capabilities: Some("control_d".into()),
            ..Machine::default()
        };
        assert_eq!(kind(dom0), "none");
        let metal = Machine { vendor: Some("Amazon EC2".into()), ..metal("i3.metal", 23) };
        assert_eq!(kind(metal), "none");
        assert_eq!(answer(signed("KVMKVMKVM")).profile, "vm");
    }

    #[test]
    fn the_words_of_the_command_line_stay() {
        let json = serde_json::to_value(answer(metal("X", 3))).unwrap();
        for key in ["arch", "profile", "battery", "gpus", "because"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        assert!(json["nvidia"]["driver"].is_null() && json["virtualization"]["kind"].is_string());
    }

    #[test]
    fn facts_replay() {
        let mut machine = Machine { signature: Some("VMwareVMware".into()), ..metal("X", 1) };
        machine.derive();
        let text = serde_json::to_string(&machine).unwrap();
        let again: Machine = serde_json::from_str(&text).unwrap();
        assert_eq!(machine, again);
        for bad in ["[]", "{\"pci_devices\": 3}", "{\"chassis_type\": 999}", "", "\0"] {
            assert!(serde_json::from_str::<Machine>(bad).is_err() || bad == "[]", "{bad}");
        }
    }
}
