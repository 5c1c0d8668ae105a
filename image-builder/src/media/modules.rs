//! Which kernel modules an initrd carries: what finds the medium or the disk, mounts it, and makes
//! a keyboard work, with everything those depend on.
//!
//! File formats: `modules.dep(5)`, `depmod(8)`; `modules.softdep` and `modules.alias` hold
//! modprobe.d(5) lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{MediaError, Result};
use super::trees::Trees;

/// Without these no medium and no machine of this kind boots.
pub(crate) const REQUIRED: &[&str] = &[
    "erofs",
    "overlay",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "sd_mod",
    "virtio_blk",
    "ahci",
    "nvme",
    "usb_storage",
    "xhci_pci",
    "efivarfs",
];

/// Taken where the kernel has them: a kernel may have any of them built in, or not at all.
const WANTED: &[&str] = &[
    // What vfat and EROFS may ask the kernel for by name: no modprobe answers in an initrd.
    "nls_utf8",
    "nls_iso8859_1",
    "crc32c_generic",
    "crc32c_intel",
    "libcrc32c",
    // Guests.
    "virtio_pci",
    "virtio_scsi",
    "virtio_net",
    "virtio_rng",
    "virtio_mmio",
    "vmw_pvscsi",
    "hv_vmbus",
    "hv_storvsc",
    "xen_blkfront",
    // Disks.
    "ata_piix",
    "ata_generic",
    "pata_acpi",
    "vmd",
    "sr_mod",
    "cdrom",
    "mptspi",
    "mptsas",
    "mpt3sas",
    "megaraid_sas",
    "aacraid",
    "hpsa",
    "smartpqi",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    "rtsx_pci_sdmmc",
    "ufshcd_pci",
    // USB: controllers, sticks, keyboards.
    "uas",
    "ehci_pci",
    "ohci_pci",
    "uhci_hcd",
    "usbhid",
    "hid_generic",
    "hid_multitouch",
    // Keyboards of laptops that hang off I2C.
    "i2c_hid_acpi",
    "intel_lpss_pci",
    "i2c_designware_platform",
    "hid_apple",
    "hid_logitech_dj",
    // What a machine is told by: its battery, and the addresses of its wired network cards.
    "battery",
    "ac",
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "r8169",
    "tg3",
    // Old disks' partitions and the kernel's random numbers under a hypervisor.
    "efi_pstore",
    "i8042",
    "atkbd",
];

/// The modules of one kernel that go into an initrd.
#[derive(Debug, Default)]
pub struct ModuleSet {
    /// Path below `usr/lib/modules/RELEASE`, unpacked → file of the computer, in order of paths.
    pub files: BTreeMap<String, PathBuf>,
    /// Index files, made anew for this subset: name → text.
    pub indices: BTreeMap<String, String>,
}

/// Selects the modules of the kernel `release` in `trees`: those of every initrd, and of `further`
/// what the kernel has.
pub fn select(trees: &Trees, release: &str, further: &[&str]) -> Result<ModuleSet> {
    let dir = format!("usr/lib/modules/{release}");
    let read = |name: &str| -> Result<String> {
        let path = trees.find(format!("{dir}/{name}")).ok_or_else(|| {
            MediaError::missing(
                format!("/{dir}/{name}"),
                "the kernel's package was not configured; build its layer again",
            )
        })?;
        std::fs::read_to_string(&path).map_err(MediaError::file("reading", &path))
    };
    let (softdep, alias) = (read("modules.softdep")?, read("modules.alias")?);
    let index = Index::parse(&read("modules.dep")?, &softdep, &alias);
    let builtin_text = read("modules.builtin")?;
    let builtin: BTreeSet<String> = builtin_text.lines().map(module_name).collect();
    let chosen = index.close(&builtin, further)?;

    let mut set = ModuleSet::default();
    for path in chosen.values() {
        let host = trees.find(format!("{dir}/{path}")).ok_or_else(|| {
            MediaError::missing(
                format!("/{dir}/{path}"),
                "modules.dep names it; build the kernel's layer again",
            )
        })?;
        set.files.insert(unpacked(path), host);
    }
    let has = |name: &str| chosen.contains_key(&name.replace('-', "_"));
    set.indices = BTreeMap::from([
        ("modules.dep".to_owned(), unpacked(&index.dep_of(&chosen))),
        ("modules.alias".to_owned(), keep_lines(&alias, |words| words.last().copied().is_some_and(has))),
        ("modules.softdep".to_owned(), keep_lines(&softdep, |words| words.get(1).copied().is_some_and(has))),
        (
            "modules.order".to_owned(),
            keep_lines(&read("modules.order")?, |words| {
                words.first().is_some_and(|path| has(&module_name(path)))
            }),
        ),
        ("modules.builtin".to_owned(), builtin_text),
    ]);
    Ok(set)
}

/// The bytes of a module, unpacked. Debian compresses each by itself; unpacked, the initrd's one zstd
/// stream is smaller than they are together, and the kernel, whose xz is slow, need not unpack them.
/// Signatures stand at a module's end and stay.
pub(crate) fn load(path: &Path) -> Result<Vec<u8>> {
    let packed = std::fs::read(path).map_err(MediaError::file("reading", path))?;
    if path.extension().is_none_or(|end| end != "xz") {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .map_err(MediaError::file("unpacking", path))?;
    Ok(bytes)
}

/// The same text with every module under its unpacked name.
fn unpacked(text: &str) -> String {
    text.replace(".ko.xz", ".ko")
}

/// `kernel/fs/nls/nls_cp437.ko.xz` → `nls_cp437`: `-` and `_` are one in module names.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split(".ko").next().unwrap_or(file);
    stem.replace('-', "_")
}

fn keep_lines(text: &str, keep: impl Fn(&[&str]) -> bool) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with('#') && keep(&words) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// `modules.dep` and `modules.softdep`, by module name.
#[derive(Debug, Default)]
struct Index {
    /// name → path and paths that it needs.
    deps: BTreeMap<String, (String, Vec<String>)>,
    /// name → names or aliases that it likes to have.
    soft: BTreeMap<String, Vec<String>>,
    /// alias without a wildcard → modules, in order.
    alias: BTreeMap<String, Vec<String>>,
}

impl Index {
    fn parse(dep: &str, softdep: &str, alias: &str) -> Self {
        let mut index = Self::default();
        for line in dep.lines() {
            let Some((path, needs)) = line.split_once(':') else {
                continue;
            };
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            index.deps.insert(module_name(path), (path.to_owned(), needs));
        }
        for line in softdep.lines() {
            let mut words = line.split_whitespace();
            if words.next() != Some("softdep") {
                continue;
            }
            let Some(name) = words.next() else { continue };
            let likes = words.filter(|word| !word.ends_with(':')).map(module_name);
            index.soft.entry(module_name(name)).or_default().extend(likes);
        }
        for line in alias.lines() {
            let mut words = line.split_whitespace();
            if let (Some("alias"), Some(name), Some(module)) = (words.next(), words.next(), words.next()) {
                // Wildcards match hardware; a soft dependency names an alias whole.
                if !name.contains(['*', '?', '[']) {
                    index.alias.entry(module_name(name)).or_default().push(module_name(module));
                }
            }
        }
        index
    }

    /// The wanted modules and all that they need: name → path.
    fn close(&self, builtin: &BTreeSet<String>, further: &[&str]) -> Result<BTreeMap<String, String>> {
        let missing =
            REQUIRED.iter().find(|name| !self.deps.contains_key(**name) && !builtin.contains(**name));
        if let Some(name) = missing {
            return Err(MediaError::missing(
                format!("the kernel module {name}"),
                "choose a kernel package that has it (kernel.package)",
            ));
        }
        let mut chosen = BTreeMap::new();
        let mut open: Vec<String> =
            REQUIRED.iter().chain(WANTED).chain(further).map(|name| (*name).to_owned()).collect();
        while let Some(name) = open.pop() {
            let Some((path, needs)) = self.deps.get(&name) else {
                // An alias leads to modules, which lead no further as aliases.
                let real = self.alias.get(&name).into_iter().flatten();
                open.extend(real.filter(|name| self.deps.contains_key(*name)).cloned());
                continue;
            };
            if chosen.insert(name.clone(), path.clone()).is_none() {
                open.extend(needs.iter().map(|path| module_name(path)));
                open.extend(self.soft.get(&name).into_iter().flatten().cloned());
            }
        }
        Ok(chosen)
    }

    /// The lines of `modules.dep` for the chosen modules, in order of names.
    fn dep_of(&self, chosen: &BTreeMap<String, String>) -> String {
        let mut out = String::new();
        for name in chosen.keys() {
            if let Some((path, needs)) = self.deps.get(name) {
                out.push_str(path);
                out.push(':');
                for need in needs {
                    out.push(' ');
                    out.push_str(need);
                }
                out.push('\n');
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\n\
        kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\nkernel/net/wifi.ko.xz:\nno colon here\n\
        kernel/drivers/usb/storage/usb-storage.ko.xz:\nkernel/lib/libcrc32c.ko.xz:\n";

    #[test]
    fn dependencies_come_along_and_strangers_stay_out() {
        let index = Index::parse(
            DEP,
            "# x\nsoftdep ext4 pre: crypto-crc32c post: gone\n",
            "alias crypto-crc32c libcrc32c\nalias pci:* wifi\nalias gone gone\nalias\n",
        );
        let builtin: BTreeSet<String> = REQUIRED.iter().map(|name| (*name).to_owned()).collect();
        let chosen = index.close(&builtin, &[]).unwrap();
        let names: Vec<&str> = chosen.keys().map(String::as_str).collect();
        assert_eq!(names, ["crc16", "ext4", "jbd2", "libcrc32c", "usb_storage"]);
        let text = index.dep_of(&chosen);
        assert!(text.starts_with("kernel/lib/crc16.ko.xz:\nkernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2"));
    }

    #[test]
    fn a_kernel_without_erofs_is_refused() {
        let error = Index::parse(DEP, "", "").close(&BTreeSet::new(), &[]).unwrap_err();
        assert!(error.to_string().contains("kernel module erofs"), "{error}");
    }
}
