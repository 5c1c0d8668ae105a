//! Which hypervisor, by the names of `systemd-detect-virt` (systemd, `src/basic/virt.c`).

use crate::machine::Machine;
use crate::tried::{Decision, Found, Rule, Seen, decide};

/// What each hypervisor leaves in CPUID leaf 0x40000000.
const SIGNATURES: &[(&str, &str)] = &[
    ("XenVMMXenVMM", "xen"),
    ("KVMKVMKVM", "kvm"),
    ("Linux KVM Hv", "kvm"),
    ("TCGTCGTCGTCG", "qemu"),
    ("VMwareVMware", "vmware"),
    ("Microsoft Hv", "microsoft"),
    ("bhyve bhyve", "bhyve"),
    ("QNXQVMBSQG", "qnx"),
    ("ACRNACRNACRN", "acrn"),
    ("SRESRESRESRE", "sre"),
    ("Apple VZ", "apple"),
    ("VBoxVBoxVBox", "oracle"),
    ("prl hyperv", "parallels"),
    ("lrpepyh  vr", "parallels"),
];

/// What begins a DMI string of a guest. Those of clouds and of desktop hypervisors, which run on
/// top of KVM and others, are asked before CPUID, as systemd does.
const DMI_FIRST: &[(&str, &str)] = &[
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Amazon EC2", "amazon"),
    ("Parallels", "parallels"),
    ("Google Compute Engine", "google"),
];

/// The same for those that CPUID names better.
const DMI_LAST: &[(&str, &str)] = &[
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("RHEV", "kvm"),
    ("AHV", "kvm"),
    ("oVirt", "kvm"),
    ("CloudStack KVM", "kvm"),
    ("Alibaba Cloud ECS", "kvm"),
    ("UpCloud", "kvm"),
    ("DigitalOcean", "kvm"),
    ("Hetzner", "kvm"),
    ("Vultr", "kvm"),
    ("Scaleway", "kvm"),
    ("Linode", "kvm"),
    ("Exoscale", "kvm"),
    ("Cloud Hypervisor", "kvm"),
    ("QEMU", "qemu"),
    ("pc-q35", "qemu"),
    ("pc-i440fx", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("Bochs", "bochs"),
    ("Xen", "xen"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Apple Virtualization", "apple"),
];

/// Devices that only hypervisors make.
const PCI: &[(&str, &str, &str)] = &[
    ("1b36", "", "qemu"),
    ("1af4", "", "qemu"),
    // The Bochs display, which QEMU's guests have as "std".
    ("1234", "1111", "qemu"),
    ("15ad", "", "vmware"),
    ("80ee", "", "oracle"),
    ("1414", "5353", "microsoft"),
    ("5853", "", "xen"),
    ("1ab8", "", "parallels"),
    ("fb5d", "", "bhyve"),
    ("106b", "1a05", "apple"),
];

/// The kind, `none` on bare metal, with every rule that was tried.
pub fn kind(machine: &Machine) -> Decision {
    decide(RULES, machine, ("none", "neither CPUID, DMI, PCI nor the kernel names a hypervisor"))
}

const RULES: &[Rule] = &[
    Rule { name: "Xen's own domain 0 is bare metal", looks_at: Seen::Kernel, find: xen_dom0 },
    Rule { name: "an instance type of bare metal", looks_at: Seen::Names, find: cloud_metal },
    Rule { name: "Windows' subsystem for Linux", looks_at: Seen::Kernel, find: wsl },
    Rule { name: "DMI of a cloud or desktop hypervisor", looks_at: Seen::Dmi, find: |m| dmi(m, DMI_FIRST) },
    Rule { name: "QEMU that poses as Hyper-V", looks_at: Seen::Signature, find: posing },
    Rule { name: "CPUID signature", looks_at: Seen::Signature, find: signature },
    Rule { name: "the kernel's hypervisor type", looks_at: Seen::Kernel, find: kernel_type },
    Rule { name: "DMI of a hypervisor", looks_at: Seen::Dmi, find: last_dmi },
    Rule { name: "Hyper-V's DMI", looks_at: Seen::Dmi, find: hyper_v },
    Rule { name: "devices that only hypervisors make", looks_at: Seen::Pci, find: devices },
    Rule { name: "the processor's hypervisor flag", looks_at: Seen::Processor, find: flag },
];

fn hit(kind: &'static str, because: String) -> Found {
    Some((kind, because))
}

/// `/proc/xen` is mounted by Xen's tools alone, so that an initrd has only the feature's bit.
fn xen_dom0(machine: &Machine) -> Found {
    /// `XENFEAT_dom0` (Xen, `public/features.h`).
    const DOM0: u64 = 1 << 11;
    if machine.xen_capabilities.as_deref().is_some_and(|text| text.contains("control_d")) {
        return Some(("none", "/proc/xen/capabilities says control_d".into()));
    }
    let features = u64::from_str_radix(machine.xen_features.as_deref()?, 16).ok()?;
    (features & DOM0 != 0).then(|| ("none", "/sys/hypervisor/properties/features has dom0's bit".into()))
}

fn cloud_metal(machine: &Machine) -> Found {
    let cloud = ["Amazon EC2", "Google", "Alibaba Cloud"];
    let vendor = machine.vendor.as_deref().is_some_and(|vendor| cloud.contains(&vendor));
    let product = machine.product.as_deref()?;
    let metal = product.ends_with(".metal") || product.contains(".metal-") || product.ends_with("-metal");
    (vendor && metal).then(|| ("none", format!("the product is \"{product}\"")))
}

fn wsl(machine: &Machine) -> Found {
    let release = machine.kernel_release.as_deref().unwrap_or_default().to_ascii_lowercase();
    if release.contains("microsoft") || release.contains("wsl") {
        return hit("wsl", format!("the kernel is {release}"));
    }
    // The paravirtual GPU of Windows' subsystem; its guests have no SMBIOS, others of Hyper-V do.
    let gpu = machine.devices().iter().any(|device| device.id() == "1414:008e");
    let bare = machine.vendor.is_none() && machine.product.is_none();
    (gpu && bare).then(|| ("wsl", "a GPU 1414:008e and no DMI".into()))
}

fn dmi(machine: &Machine, table: &[(&str, &'static str)]) -> Found {
    let fields = machine.dmi_texts();
    table.iter().find_map(|(mark, kind)| {
        let field = fields.iter().find(|text| text.starts_with(mark))?;
        hit(kind, format!("DMI says \"{field}\""))
    })
}

/// KVM and Xen can show Windows the signature of Hyper-V (QEMU, "Hyper-V Enlightenments"; Xen,
/// "viridian"). Hyper-V itself has DMI and devices of Microsoft's alone.
fn posing(machine: &Machine) -> Found {
    if machine.signature.as_deref() != Some("Microsoft Hv") {
        return None;
    }
    let others = DMI_LAST.iter().filter(|(_, kind)| *kind != "microsoft");
    let fields = machine.dmi_texts();
    let named = others.into_iter().find_map(|(mark, kind)| {
        Some((*kind, format!("DMI \"{}\"", fields.iter().find(|text| text.starts_with(mark))?)))
    });
    let device = || {
        let device =
            machine.devices().iter().find(|device| matches!(device.vendor.as_str(), "1b36" | "1234"))?;
        Some(("kvm", format!("{} is {}", device.slot, device.id())))
    };
    let (kind, because) = named.or_else(device)?;
    let kind = if kind == "qemu" { "kvm" } else { kind };
    hit(kind, format!("CPUID says \"Microsoft Hv\", and {because}"))
}

fn signature(machine: &Machine) -> Found {
    let text = machine.signature.as_deref()?;
    let (_, kind) = SIGNATURES.iter().find(|(mark, _)| text.trim() == *mark)?;
    hit(kind, format!("CPUID's signature is \"{text}\""))
}

fn kernel_type(machine: &Machine) -> Found {
    let text = machine.hypervisor_type.as_deref()?;
    (text == "xen").then(|| ("xen", "/sys/hypervisor/type is xen".into()))
}

fn last_dmi(machine: &Machine) -> Found {
    let (kind, because) = dmi(machine, DMI_LAST)?;
    hit(accelerated(kind, machine), because)
}

/// What QEMU's own marks say where CPUID says nothing.
fn accelerated(kind: &'static str, machine: &Machine) -> &'static str {
    // Accelerated guests of QEMU are the rule. A hypervisor flag without a signature, though, is
    // what is left of QEMU where KVM is hidden or not used.
    let flag = machine.cpu.hypervisor_flag;
    if kind == "qemu" && flag.is_none() && machine.arch == "amd64" { "kvm" } else { kind }
}

fn hyper_v(machine: &Machine) -> Found {
    let is = |text: &Option<String>, wanted| text.as_deref() == Some(wanted);
    let hyper_v = is(&machine.vendor, "Microsoft Corporation") && is(&machine.product, "Virtual Machine");
    hyper_v.then(|| ("microsoft", "DMI says \"Microsoft Corporation\", \"Virtual Machine\"".into()))
}

fn devices(machine: &Machine) -> Found {
    // Network cards of some clouds speak virtio on bare metal too; there the processor says that
    // nothing is between.
    if machine.cpu.hypervisor_flag == Some(false) {
        return None;
    }
    let named = |d: &&crate::PciDevice| {
        PCI.iter().find(|(vendor, id, _)| d.vendor == *vendor && (id.is_empty() || d.device == *id))
    };
    let device = machine.devices().iter().find(|device| named(device).is_some())?;
    let (_, _, kind) = named(&device)?;
    hit(accelerated(kind, machine), format!("{} is {}", device.slot, device.id()))
}

fn flag(machine: &Machine) -> Found {
    (machine.cpu.hypervisor_flag == Some(true))
        .then(|| ("vm-other", "/proc/cpuinfo has the flag hypervisor".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PciDevice;

    fn says(machine: &Machine) -> String {
        kind(machine).answer
    }

    fn signed(signature: &str, product: &str) -> Machine {
        Machine { signature: Some(signature.into()), product: Some(product.into()), ..Machine::default() }
    }

    fn with(id: &str) -> Machine {
        let (vendor, device) = id.split_once(':').unwrap();
        let device = PciDevice { vendor: vendor.into(), device: device.into(), ..PciDevice::default() };
        Machine { arch: "amd64".into(), pci_devices: Some(vec![device]), ..Machine::default() }
    }

    #[test]
    fn hyper_v_is_what_has_no_other_name() {
        for (product, kind) in [
            ("Virtual Machine", "microsoft"),
            ("pc-q35-8.2", "kvm"),
            ("OpenStack Nova", "kvm"),
            ("AHV", "kvm"),
            ("Xen", "xen"),
        ] {
            assert_eq!(says(&signed("Microsoft Hv", product)), kind, "{product}");
        }
        let kvm = Machine { signature: Some("Microsoft Hv".into()), ..with("1b36:000c") };
        assert_eq!(says(&kvm), "kvm");
    }

    #[test]
    fn devices_tell_where_cpuid_and_dmi_are_silent() {
        for (id, kind) in [
            ("1234:1111", "kvm"),
            ("1af4:1041", "kvm"),
            ("15ad:07a0", "vmware"),
            ("80ee:beef", "oracle"),
            ("5853:0002", "xen"),
            ("1ab8:4005", "parallels"),
            ("fb5d:40fb", "bhyve"),
            ("8086:29c0", "none"),
        ] {
            assert_eq!(says(&with(id)), kind, "{id}");
        }
        let mut metal = with("1af4:1041");
        metal.cpu.hypervisor_flag = Some(false);
        assert_eq!(says(&metal), "none");
        let mut emulated = with("1af4:1041");
        emulated.cpu.hypervisor_flag = Some(true);
        assert_eq!(says(&emulated), "qemu");
    }

    #[test]
    fn xens_domain_0_is_metal_with_and_without_its_tools() {
        let xen = |features: &str, capabilities: Option<&str>| Machine {
            signature: Some("XenVMMXenVMM".into()),
            hypervisor_type: Some("xen".into()),
            xen_features: Some(features.into()),
            xen_capabilities: capabilities.map(str::to_owned),
            ..Machine::default()
        };
        assert_eq!(says(&xen("00002b05", None)), "none");
        assert_eq!(says(&xen("00002705", None)), "xen");
        assert_eq!(says(&xen("zz", Some("control_d"))), "none");
        assert_eq!(says(&xen("", None)), "xen");
    }
}
