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
    ("15ad", "0740", "vmware"),
    ("15ad", "0405", "vmware"),
    ("80ee", "beef", "oracle"),
    ("80ee", "cafe", "oracle"),
    ("1414", "5353", "microsoft"),
    ("5853", "0001", "xen"),
    ("1ab8", "4000", "parallels"),
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

fn xen_dom0(machine: &Machine) -> Found {
    let control = machine.xen_capabilities.as_deref().is_some_and(|text| text.contains("control_d"));
    control.then(|| ("none", "/proc/xen/capabilities says control_d".into()))
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

fn posing(machine: &Machine) -> Found {
    if machine.signature.as_deref() != Some("Microsoft Hv") {
        return None;
    }
    let fields = machine.dmi_texts();
    let marks = ["QEMU", "pc-q35", "pc-i440fx"];
    let field = fields.iter().find(|text| marks.iter().any(|mark| text.starts_with(mark)))?;
    hit("kvm", format!("CPUID says \"Microsoft Hv\", and DMI \"{field}\""))
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
    // Accelerated guests of QEMU are the rule. A hypervisor flag without a signature, though, is
    // what is left of QEMU where KVM is hidden or not used.
    let flag = machine.cpu.hypervisor_flag;
    if kind == "qemu" && flag.is_none() && machine.arch == "amd64" {
        return hit("kvm", because);
    }
    Some((kind, because))
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
    hit(kind, format!("{} is {}", device.slot, device.id()))
}

fn flag(machine: &Machine) -> Found {
    (machine.cpu.hypervisor_flag == Some(true))
        .then(|| ("vm-other", "/proc/cpuinfo has the flag hypervisor".into()))
}
