//! The facts of a machine, read once below given roots.

use crate::cpu::Cpu;
use crate::form::{self, Chassis};
use crate::pci::PciDevice;
use crate::power::Supply;
use crate::roots::Roots;
use crate::{cpu, firmware, pci, power, read, virt};
use landfall_hosts::rule::{FactMap, FactValue};
use serde::{Deserialize, Serialize};

/// A network card of hardware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nic {
    /// The kernel's name.
    pub name: String,
    /// Hardware address.
    pub mac: Option<String>,
    /// The kernel driver.
    pub driver: Option<String>,
    /// It is a radio.
    pub wireless: bool,
}

/// Facts of a machine: what was read, and at the top what rules ask for. Unknown is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// 1.
    pub schema: u32,
    /// Debian's name of the architecture.
    pub arch: String,
    /// DMI's system vendor.
    pub vendor: Option<String>,
    /// DMI's product name.
    pub product: Option<String>,
    /// DMI's product version, which is the product's name of some makers.
    pub version: Option<String>,
    /// DMI's product serial.
    pub serial: Option<String>,
    /// DMI's product UUID.
    pub uuid: Option<String>,
    /// DMI's board vendor.
    pub board_vendor: Option<String>,
    /// DMI's board name.
    pub board: Option<String>,
    /// DMI's BIOS vendor.
    pub bios_vendor: Option<String>,
    /// DMI's BIOS version.
    pub bios_version: Option<String>,
    /// DMI's chassis vendor.
    pub chassis_vendor: Option<String>,
    /// DMI's chassis type as it stands there.
    pub chassis_type: Option<u8>,
    /// Form as rules name it: `notebook`, `desktop`, `server` … whatever the chassis type says.
    pub chassis: Option<String>,
    /// `uefi` or `bios`.
    pub firmware: String,
    /// Bits of UEFI.
    pub uefi_bits: Option<u32>,
    /// Whether Secure Boot is enforced; unknown on BIOS.
    pub secure_boot: Option<bool>,
    /// The TPM's major version; none without one.
    pub tpm: Option<u32>,
    /// A TPM 2.0.
    pub tpm2: bool,
    /// A system battery.
    pub battery: bool,
    /// The hypervisor, by `systemd-detect-virt`'s names.
    pub hypervisor: Option<String>,
    /// The hypervisor's signature in CPUID.
    pub signature: Option<String>,
    /// `/sys/hypervisor/type`.
    pub hypervisor_type: Option<String>,
    /// `/sys/hypervisor/properties/features`, hexadecimal.
    pub xen_features: Option<String>,
    /// `/proc/xen/capabilities`.
    pub xen_capabilities: Option<String>,
    /// The running kernel's release.
    pub kernel_release: Option<String>,
    /// The processors.
    pub cpu: Cpu,
    /// Bytes of memory; 0 where it is not known.
    pub memory_bytes: u64,
    /// PCI functions as `vendor:device`.
    pub pci: Vec<String>,
    /// Display devices as `vendor:device`.
    pub gpu: Vec<String>,
    /// PCI functions; `None` without PCI.
    pub pci_devices: Option<Vec<PciDevice>>,
    /// Power supplies; `None` where the kernel knows no such class.
    pub power: Option<Vec<Supply>>,
    /// Hardware addresses of network cards.
    pub mac: Vec<String>,
    /// Network cards.
    pub network: Vec<Nic>,
}

/// Reads all facts below the roots.
pub fn probe(roots: &Roots) -> Machine {
    let dmi = roots.sys.join("class/dmi/id");
    let field = |name: &str| read::text(&dmi.join(name));
    let network = network(roots);
    let mut machine = Machine {
        schema: 1,
        arch: "amd64".into(),
        vendor: field("sys_vendor"),
        product: field("product_name"),
        version: field("product_version"),
        serial: field("product_serial"),
        uuid: field("product_uuid"),
        board_vendor: field("board_vendor"),
        board: field("board_name"),
        bios_vendor: field("bios_vendor"),
        bios_version: field("bios_version"),
        chassis_vendor: field("chassis_vendor"),
        chassis_type: field("chassis_type").and_then(|kind| kind.parse().ok()),
        firmware: firmware::kind(roots),
        uefi_bits: firmware::bits(roots),
        secure_boot: firmware::secure_boot(roots),
        tpm: firmware::tpm(roots),
        tpm2: firmware::tpm(roots) == Some(2),
        signature: cpu::signature(roots),
        hypervisor_type: read::text(&roots.sys.join("hypervisor/type")),
        xen_features: read::text(&roots.sys.join("hypervisor/properties/features")),
        xen_capabilities: read::text(&roots.proc.join("xen/capabilities")),
        kernel_release: read::text(&roots.proc.join("sys/kernel/osrelease")),
        cpu: cpu::read(roots),
        memory_bytes: cpu::memory_bytes(roots),
        pci_devices: pci::list(roots),
        power: power::list(roots),
        mac: network.iter().filter_map(|nic| nic.mac.clone()).collect(),
        network,
        ..Machine::default()
    };
    machine.derive();
    machine
}

fn network(roots: &Roots) -> Vec<Nic> {
    let class = roots.sys.join("class/net");
    let one = |name: String| {
        let at = class.join(&name);
        let driver = std::fs::read_link(at.join("device/driver")).ok();
        at.join("device").exists().then(|| Nic {
            mac: read::text(&at.join("address")),
            driver: driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned())),
            wireless: at.join("phy80211").exists() || at.join("wireless").exists(),
            name,
        })
    };
    read::names(&class).into_iter().filter_map(one).collect()
}

impl Machine {
    /// Works out again what follows from what was read: for facts that come from a file.
    pub fn derive(&mut self) {
        self.battery = self.supplies().iter().any(Supply::is_system_battery);
        self.pci = self.devices().iter().map(PciDevice::id).collect();
        self.pci.sort();
        self.gpu = self.devices().iter().filter(|device| device.is_display()).map(PciDevice::id).collect();
        self.gpu.sort();
        let kind = virt::kind(self).answer;
        self.hypervisor = (kind != "none").then_some(kind);
        self.chassis = Some(match (form::of(self).answer.as_str(), form::chassis(self.chassis_type)) {
            ("laptop", Chassis::Portable("handheld")) => "laptop".into(),
            ("laptop", Chassis::Portable(word)) => word.into(),
            (form, _) => form.into(),
        });
    }

    /// PCI functions, none where it is not known.
    pub fn devices(&self) -> &[PciDevice] {
        self.pci_devices.as_deref().unwrap_or_default()
    }

    /// Power supplies, none where it is not known.
    pub fn supplies(&self) -> &[Supply] {
        self.power.as_deref().unwrap_or_default()
    }

    /// A PCI function of this class and subclass is there.
    pub fn has_kind(&self, kind: &str) -> bool {
        self.devices().iter().any(|device| device.kind() == kind)
    }

    /// DMI's texts that say what the machine is called.
    pub fn product_texts(&self) -> Vec<String> {
        [&self.product, &self.version, &self.board].into_iter().flatten().cloned().collect()
    }

    /// DMI's texts that say who made it.
    pub fn maker_texts(&self) -> Vec<String> {
        [&self.vendor, &self.board_vendor].into_iter().flatten().cloned().collect()
    }

    /// DMI's texts in which hypervisors name themselves.
    pub fn dmi_texts(&self) -> Vec<String> {
        let fields = [&self.product, &self.vendor, &self.version, &self.board_vendor, &self.bios_vendor];
        let more = [&self.chassis_vendor, &self.bios_version];
        fields.into_iter().chain(more).flatten().cloned().collect()
    }

    /// The chassis type for people.
    pub fn chassis_words(&self) -> String {
        self.chassis_type.map_or("no chassis type".into(), |kind| format!("the chassis type is {kind}"))
    }

    /// What a host's or profile's rule may ask.
    pub fn facts(&self) -> FactMap {
        let text = |value: &str| FactValue::Text(value.to_owned());
        let optional = |value: &Option<String>| value.iter().map(|value| text(value)).collect();
        let memory = i64::try_from(self.memory_bytes).unwrap_or(i64::MAX);
        let all = |list: &[String]| list.iter().map(|value| text(value)).collect();
        FactMap::from([
            ("vendor".into(), optional(&self.vendor)),
            ("product".into(), optional(&self.product)),
            ("serial".into(), optional(&self.serial)),
            ("uuid".into(), optional(&self.uuid)),
            ("chassis".into(), optional(&self.chassis)),
            ("hypervisor".into(), optional(&self.hypervisor)),
            ("firmware".into(), vec![text(&self.firmware)]),
            ("virtual".into(), vec![FactValue::Flag(self.hypervisor.is_some())]),
            ("tpm2".into(), vec![FactValue::Flag(self.tpm2)]),
            ("battery".into(), vec![FactValue::Flag(self.battery)]),
            ("memory".into(), vec![FactValue::Number(memory)]),
            ("pci".into(), all(&self.pci)),
            ("gpu".into(), all(&self.gpu)),
            ("mac".into(), all(&self.mac)),
        ])
    }
}
