//! The shape of a machine that a host's rules fit. Pure.

use landfall_hosts::host::{Host, Unlock};
use landfall_hosts::machine;
use landfall_hosts::rule::{FactMap, FactValue, Rule, Wanted, matches, parse_size};
use landfall_hosts::swap::Swap;
use landfall_qemu::Bus;

const GIB: i64 = 1 << 30;
/// Sizes that are tried, smallest first; beside them the bounds that the rule names.
const SIZES_GIB: [i64; 11] = [16, 32, 64, 128, 240, 256, 480, 512, 1000, 2000, 4000];
/// What a disk or a machine is called whose rule does not say.
const ANY_SERIAL: &str = "REHEARSAL";
/// How the words of `transport` are emulated; any other word is no disk of QEMU's.
const BUSES: [(&str, Bus); 5] = [
    ("virtio", Bus::Virtio),
    ("nvme", Bus::Nvme),
    ("sata", Bus::Sata),
    ("usb", Bus::UsbDisk),
    ("mmc", Bus::SdCard),
];

/// Chassis that a person carries, as the shipped profile of laptops lists them.
const CARRIED: [&str; 4] = ["laptop", "notebook", "convertible", "tablet"];

/// What starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// UEFI with Secure Boot.
    SecureBoot,
    /// UEFI with Secure Boot off, for a host that hibernates.
    Uefi,
    /// SeaBIOS.
    Bios,
}

/// What the machine is made like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The bus of the target disk.
    pub bus: Bus,
    /// Its size.
    pub disk_bytes: u64,
    /// Its serial number.
    pub disk_serial: String,
    /// What starts it.
    pub starts: Starts,
    /// It has a TPM 2.
    pub tpm: bool,
    /// It says that it is a notebook.
    pub laptop: bool,
    /// What it says of itself: manufacturer, product, serial, uuid, where the host asks for them.
    pub words: Vec<(&'static str, String)>,
}

impl Shape {
    /// The word of `transport` for its disk.
    pub fn transport(&self) -> &'static str {
        BUSES.iter().find(|(_, bus)| *bus == self.bus).map_or("", |(word, _)| word)
    }
}

/// Why no emulated disk is like the one that the host names.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host}: no disk of QEMU's fits its disk.match, so a rehearsal would end in a refusal ({because}); rehearse a \
     host whose rule names transport, size or serial alone"
)]
pub struct Unlike {
    host: String,
    because: String,
}

/// A machine on which the host's own rules choose its disk, and which is otherwise like the machine's
/// facts, where the site has them, else like what the host's rule asks of a machine.
///
/// # Errors
/// If the disk's rule asks for what no emulated disk has.
pub fn shape(host: &Host, facts: Option<&FactMap>) -> Result<Shape, Unlike> {
    let rule = &host.disk.match_rule;
    let mut because = String::new();
    for (transport, bus) in BUSES {
        for size in sizes(rule, bus) {
            let serial = said(rule, "serial").unwrap_or_else(|| ANY_SERIAL.to_owned());
            let verdict = matches(rule, &disk(transport, size, &serial));
            if verdict.matches || is_superlative(rule) {
                let (bus, disk_bytes) = (bus, u64::try_from(size).unwrap_or_default());
                return Ok(Shape { bus, disk_bytes, disk_serial: serial, ..around(host, facts) });
            }
            because = verdict.because.join(", ");
        }
    }
    Err(Unlike { host: host.name.clone(), because })
}

/// The only disk of a machine is its smallest and its largest.
fn is_superlative(rule: &Rule) -> bool {
    let asked = |key: &str| key == "smallest" || key == "largest";
    !rule.keys.is_empty()
        && rule.keys.keys().all(|key| asked(key))
        && rule.any.is_empty()
        && rule.none.is_empty()
}

/// All but the disk.
fn around(host: &Host, facts: Option<&FactMap>) -> Shape {
    let rule = host.match_rule.clone().unwrap_or_default();
    let known = |key: &str| facts.and_then(|facts| facts.get(key)).and_then(|values| values.first());
    let text = |key: &str| match known(key) {
        Some(FactValue::Text(text)) => Some(text.clone()),
        _ => said(&rule, key),
    };
    let flag = |key: &str| {
        rule.keys.get(key) == Some(&Wanted::Flag(true)) || known(key) == Some(&FactValue::Flag(true))
    };
    let unlock = host.disk.encrypt.iter().flat_map(|encrypt| &encrypt.unlock);
    let carried = |word: String| CARRIED.contains(&word.as_str());
    let starts = match text("firmware").as_deref() {
        Some("bios") => Starts::Bios,
        _ if machine::swap(host) == Swap::PartitionOfMemory => Starts::Uefi,
        _ => Starts::SecureBoot,
    };
    let keys = [("manufacturer", "vendor"), ("product", "product"), ("serial", "serial"), ("uuid", "uuid")];
    Shape {
        bus: Bus::Virtio,
        disk_bytes: 0,
        disk_serial: String::new(),
        starts,
        tpm: flag("tpm2") || unlock.into_iter().any(|way| *way != Unlock::Passphrase),
        laptop: host.device.as_deref() == Some("laptop") || text("chassis").is_some_and(carried),
        words: keys.into_iter().filter_map(|(name, key)| Some((name, text(key)?))).collect(),
    }
}

fn disk(transport: &str, size: i64, serial: &str) -> FactMap {
    let text = |value: &str| vec![FactValue::Text(value.to_owned())];
    FactMap::from([
        ("transport".to_owned(), text(transport)),
        ("serial".to_owned(), text(serial)),
        ("size".to_owned(), vec![FactValue::Number(size)]),
        ("removable".to_owned(), vec![FactValue::Flag(false)]),
    ])
}

/// The first thing that a rule wants of `key`; what a glob leaves open is left out.
fn said(rule: &Rule, key: &str) -> Option<String> {
    let text = match rule.keys.get(key)? {
        Wanted::Text(text) => text.clone(),
        Wanted::OneOf(list) => list.first()?.clone(),
        Wanted::Flag(_) | Wanted::Number(_) => return None,
    };
    Some(text.replace(['*', '?'], ""))
}

/// An SD card's size is a power of two, which is also a bus's own demand.
fn sizes(rule: &Rule, bus: Bus) -> Vec<i64> {
    let text = said(rule, "size").unwrap_or_default();
    let bounds = text.split("..").filter_map(|bound| parse_size(bound).ok());
    let mut all: Vec<i64> = SIZES_GIB.iter().map(|gib| gib * GIB).chain(bounds).collect();
    all.retain(|size| *size > 0 && size % 512 == 0 && (bus != Bus::SdCard || size.count_ones() == 1));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(disk: &str, rest: &str) -> Host {
        toml::from_str(&format!("name = \"x\"\n{rest}\n[disk.match]\n{disk}\n")).unwrap()
    }

    #[test]
    fn the_rules_of_a_host_choose_the_disk_that_is_made() {
        let cases = [
            ("transport = \"virtio\"", Bus::Virtio, 16),
            ("transport = \"nvme\"\nsize = \"400G..1100G\"", Bus::Nvme, 480),
            ("size = \"..20G\"", Bus::Virtio, 16),
            ("transport = [\"sata\", \"nvme\"]", Bus::Nvme, 16),
            ("transport = \"mmc\"\nsize = \"100G..\"", Bus::SdCard, 128),
            ("smallest = true", Bus::Virtio, 16),
        ];
        for (rule, bus, gib) in cases {
            let shape = shape(&host(rule, ""), None).unwrap();
            assert_eq!((shape.bus, shape.disk_bytes >> 30), (bus, gib), "{rule}");
        }
        let serial = shape(&host("serial = \"WD-WX*\"", ""), None).unwrap();
        assert_eq!(serial.disk_serial, "WD-WX");
    }

    #[test]
    fn what_no_emulated_disk_has_is_said_before_anything_is_built() {
        let error = shape(&host("model = \"Samsung*\"", ""), None).unwrap_err().to_string();
        assert!(error.contains("model") && error.contains("refusal"), "{error}");
        assert!(shape(&host("", ""), None).is_err());
    }

    #[test]
    fn a_laptop_with_a_tpm_says_so() {
        let rest = "device = \"laptop\"\n[match]\nserial = \"PF3ABCDE\"\nvendor = \"LENOVO\"\n\
                    [disk.encrypt]\nunlock = [\"tpm2+pin\", \"passphrase\"]\n";
        let shape = shape(&host("transport = \"nvme\"", rest), None).unwrap();
        assert!(shape.laptop && shape.tpm && shape.starts == Starts::SecureBoot);
        let words = [("manufacturer", "LENOVO".to_owned()), ("serial", "PF3ABCDE".to_owned())];
        assert_eq!(shape.words, words);
    }

    #[test]
    fn a_host_that_hibernates_is_rehearsed_with_secure_boot_off() {
        let started = |swap: &str| {
            let disk = format!("transport = \"virtio\"\n[disk]\nswap = \"{swap}\"");
            let host: Host = toml::from_str(&format!("name = \"x\"\n[disk.match]\n{disk}\n")).unwrap();
            shape(&host, None).unwrap().starts
        };
        assert_eq!(started("partition:ram"), Starts::Uefi);
        assert_eq!(started("partition:4G"), Starts::SecureBoot);
    }

    #[test]
    fn a_chassis_of_the_facts_is_the_machines() {
        let facts =
            |word: &str| FactMap::from([("chassis".to_owned(), vec![FactValue::Text(word.to_owned())])]);
        let host = host("transport = \"nvme\"", "device = \"auto\"\n");
        assert!(shape(&host, Some(&facts("convertible"))).unwrap().laptop);
        assert!(!shape(&host, Some(&facts("desktop"))).unwrap().laptop);
    }

    #[test]
    fn facts_say_more_than_a_rule() {
        let host = host("transport = \"sata\"", "[match]\nvendor = \"Dell*\"\n");
        assert_eq!(shape(&host, None).unwrap().words, [("manufacturer", "Dell".to_owned())]);
        let text = |value: &str| vec![FactValue::Text(value.to_owned())];
        let facts = FactMap::from([
            ("vendor".to_owned(), text("Dell Inc.")),
            ("product".to_owned(), text("PowerEdge R210")),
            ("firmware".to_owned(), text("bios")),
            ("tpm2".to_owned(), vec![FactValue::Flag(true)]),
        ]);
        let shape = shape(&host, Some(&facts)).unwrap();
        assert!(shape.starts == Starts::Bios && shape.tpm && !shape.laptop);
        let words = [("manufacturer", "Dell Inc.".to_owned()), ("product", "PowerEdge R210".to_owned())];
        assert_eq!(shape.words, words);
    }
}
