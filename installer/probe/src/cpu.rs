//! Processor and memory, and the signature that a hypervisor leaves in CPUID.

use crate::read;
use crate::roots::{Roots, Signature};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Longest part of a `/proc` file that is read: 4 096 processors of 2 KiB each.
const MAX_PROC_BYTES: u64 = 8 << 20;

/// The processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// `GenuineIntel`, `AuthenticAMD` …
    pub vendor: Option<String>,
    /// As the processor says.
    pub model: Option<String>,
    /// The `hypervisor` flag; unknown without a list of flags.
    pub hypervisor_flag: Option<bool>,
    /// Logical processors.
    pub threads: u32,
    /// Sockets, where the kernel says.
    pub sockets: u32,
}

/// From `/proc/cpuinfo`.
pub fn read(roots: &Roots) -> Cpu {
    parse(&proc_file(roots, "cpuinfo"))
}

fn parse(text: &str) -> Cpu {
    let mut cpu = Cpu::default();
    let mut sockets = std::collections::BTreeSet::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let clean = || read::clean(value.as_bytes());
        match key.trim() {
            "processor" => cpu.threads = cpu.threads.saturating_add(1),
            "vendor_id" if cpu.vendor.is_none() => cpu.vendor = clean(),
            "model name" if cpu.model.is_none() => cpu.model = clean(),
            "flags" if cpu.hypervisor_flag.is_none() => {
                cpu.hypervisor_flag = Some(value.split_whitespace().any(|flag| flag == "hypervisor"));
            }
            "physical id" => {
                sockets.insert(value.trim().to_owned());
            }
            _ => {}
        }
    }
    cpu.sockets = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
    cpu
}

/// Bytes of memory, from `/proc/meminfo`; 0 where it is not known.
pub fn memory_bytes(roots: &Roots) -> u64 {
    let text = proc_file(roots, "meminfo");
    let kib = text.lines().find_map(|line| {
        let rest = line.strip_prefix("MemTotal:")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    kib.unwrap_or(0).saturating_mul(1024)
}

fn proc_file(roots: &Roots, name: &str) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(roots.proc.join(name)) {
        // A file that breaks off is worth what was read of it.
        let _ = file.take(MAX_PROC_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The twelve bytes that a hypervisor leaves in CPUID leaf 0x40000000 (kernel,
/// `arch/x86/include/asm/processor.h`, `hypervisor_cpuid_base`).
pub fn signature(roots: &Roots) -> Option<String> {
    let bytes = match &roots.signature {
        Signature::Processor => of_this_processor()?,
        Signature::File(path) => {
            let mut bytes = Vec::new();
            std::fs::File::open(path).ok()?.take(12).read_to_end(&mut bytes).ok()?;
            bytes
        }
    };
    // KVM fills up with zeros.
    let text: Vec<u8> = bytes.into_iter().take_while(|byte| *byte != 0).collect();
    read::clean(&text)
}

#[cfg(target_arch = "x86_64")]
fn of_this_processor() -> Option<Vec<u8>> {
    use raw_cpuid::native_cpuid::cpuid_count;
    /// ECX bit 31 of leaf 1: reserved by both makers for hypervisors.
    const HYPERVISOR: u32 = 1 << 31;
    if cpuid_count(1, 0).ecx & HYPERVISOR == 0 {
        return None;
    }
    let leaf = cpuid_count(0x4000_0000, 0);
    Some([leaf.ebx, leaf.ecx, leaf.edx].iter().flat_map(|word| word.to_le_bytes()).collect())
}

#[cfg(not(target_arch = "x86_64"))]
fn of_this_processor() -> Option<Vec<u8>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor() {
        let one = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: X\nphysical id\t: 0\nflags\t\t: fpu hypervisor\n\n";
        let cpu = parse(&one.repeat(2));
        assert_eq!((cpu.threads, cpu.sockets, cpu.hypervisor_flag), (2, 1, Some(true)));
        assert_eq!(parse("flags : fpu hypervisors\n").hypervisor_flag, Some(false));
    }

    #[test]
    fn noise_is_nothing() {
        for text in ["", ":", ":::\n", "flags", "\0\0", "processor"] {
            assert_eq!(parse(text), Cpu::default(), "{text:?}");
        }
        assert_eq!(parse("vendor_id : \x1b[31m\x07").vendor.as_deref(), Some("[31m"));
    }
}
