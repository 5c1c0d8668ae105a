//! The form of a machine of metal: laptop, desktop or server.
//!
//! Chassis types lie: mini PCs carry the board of a laptop with its "notebook", iMacs say
//! "laptop", servers "other". So what the hardware cannot lack is asked first: a laptop has a
//! battery, a server a management processor and no radio.

use crate::machine::Machine;
use crate::pci::PciDevice;
use crate::tried::{Decision, Found, Rule, Seen, decide};
use crate::{chipset, names, numbers, silicon};

/// Forms that a chassis type tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chassis {
    /// With a battery; the word is systemd's.
    Portable(&'static str),
    /// At a desk.
    Desk,
    /// In a rack.
    Rack,
    /// Says nothing: other, unknown, none.
    Unknown,
}

/// SMBIOS 3.7, table 17: "System Enclosure or Chassis Types".
pub fn chassis(kind: Option<u8>) -> Chassis {
    match kind {
        Some(8 | 9) => Chassis::Portable("laptop"),
        Some(10 | 14) => Chassis::Portable("notebook"),
        Some(11) => Chassis::Portable("handheld"),
        Some(30) => Chassis::Portable("tablet"),
        Some(31) => Chassis::Portable("convertible"),
        Some(32) => Chassis::Portable("detachable"),
        Some(3..=7 | 13 | 15 | 16 | 24 | 33..=36) => Chassis::Desk,
        Some(17 | 23 | 25..=29) => Chassis::Rack,
        _ => Chassis::Unknown,
    }
}

/// Graphics of management processors: ASPEED, Matrox G200 of several makers, HiSilicon, ATI's
/// ES1000, XGI's Z-series, and HP's iLO, which is a system peripheral.
const MANAGEMENT: &[&str] = &[
    "1a03:2000",
    "102b:0522",
    "102b:0530",
    "102b:0532",
    "102b:0533",
    "102b:0534",
    "102b:0536",
    "102b:0538",
    "102b:0540",
    "19e5:1711",
    "1002:515e",
    "18ca:0020",
    "18ca:0021",
    "103c:3306",
    "103c:3307",
    "103c:22f6",
];

const RULES: &[Rule] = &[
    Rule { name: "a management processor, and no battery", looks_at: Seen::Pci, find: management },
    Rule { name: "a system battery", looks_at: Seen::Supplies, find: battery },
    Rule { name: "an IPMI interface, and no battery", looks_at: Seen::Pci, find: ipmi },
    Rule { name: "a maker's number", looks_at: Seen::Names, find: numbered },
    Rule { name: "a server's family", looks_at: Seen::Names, find: |m| named(m, names::SERVER, "server") },
    Rule { name: "a chassis that stands at a desk alone", looks_at: Seen::Chassis, find: precise_desk },
    Rule { name: "a portable family", looks_at: Seen::Names, find: |m| named(m, names::PORTABLE, "laptop") },
    Rule { name: "the chassis of a rack", looks_at: Seen::Chassis, find: rack },
    Rule { name: "a maker of servers", looks_at: Seen::Makers, find: server_maker },
    Rule {
        name: "a stationary family",
        looks_at: Seen::Names,
        find: |m| named(m, names::STATIONARY, "desktop"),
    },
    Rule { name: "a fabric of clusters, and no sound", looks_at: Seen::Pci, find: fabric },
    Rule { name: "wired network, no sound and no radio", looks_at: Seen::Pci, find: headless },
    Rule {
        name: "a maker of portable machines",
        looks_at: Seen::Makers,
        find: |m| made(m, names::PORTABLE_MAKERS, "laptop"),
    },
    Rule {
        name: "a maker of stationary machines",
        looks_at: Seen::Makers,
        find: |m| made(m, names::STATIONARY_MAKERS, "desktop"),
    },
    Rule { name: "no supply that the kernel knows of", looks_at: Seen::Supplies, find: no_supply },
    Rule { name: "three wired ports", looks_at: Seen::Pci, find: many_ports },
    Rule { name: "a portable chassis", looks_at: Seen::Chassis, find: portable },
    Rule { name: "a radio and no wired port", looks_at: Seen::Pci, find: radio_alone },
    Rule { name: "coreboot's default chassis in a Chromebook", looks_at: Seen::Firmware, find: chromebook },
    Rule { name: "the chassis of a desk", looks_at: Seen::Chassis, find: desk },
    Rule { name: "an AC adapter that the firmware watches", looks_at: Seen::Supplies, find: adapter },
    Rule {
        name: "no chassis type, and a maker of mostly portable machines",
        looks_at: Seen::Makers,
        find: left_out,
    },
    Rule {
        name: "no chassis type, and firmware in the name of the machine's maker",
        looks_at: Seen::Firmware,
        find: own_firmware,
    },
    Rule { name: "a firmware maker of laptops", looks_at: Seen::Firmware, find: mobile_firmware },
    Rule { name: "a server's processors", looks_at: Seen::Processor, find: server_silicon },
    Rule { name: "a mobile chipset and a radio", looks_at: Seen::Pci, find: mobile_chipset },
    Rule { name: "mobile silicon", looks_at: Seen::Processor, find: mobile_silicon },
];

/// The form: `laptop`, `desktop` or `server`, with every rule that was tried.
pub fn of(machine: &Machine) -> Decision {
    decide(RULES, machine, ("desktop", "nothing tells, and most machines of unknown form are desktops"))
}

/// Workstations have such a chip too, and beside it what no server has: a radio.
fn managed(machine: &Machine, device: Option<&PciDevice>) -> Found {
    let device = device?;
    let server = !machine.battery && !machine.has_kind("0280");
    server.then(|| ("server", format!("{} is {} of class {}", device.slot, device.id(), device.class)))
}

fn management(machine: &Machine) -> Found {
    managed(machine, machine.devices().iter().find(|device| MANAGEMENT.contains(&device.id().as_str())))
}

/// PCI Code and ID Assignment 1.16, class 0c, subclass 07.
fn ipmi(machine: &Machine) -> Found {
    managed(machine, machine.devices().iter().find(|device| device.kind() == "0c07"))
}

/// All-in-ones, mini PCs and sticks: nobody writes those types by accident, as one does "desktop".
fn precise_desk(machine: &Machine) -> Found {
    matches!(machine.chassis_type, Some(13 | 35 | 36)).then(|| ("desktop", machine.chassis_words()))
}

fn battery(machine: &Machine) -> Found {
    let battery = machine.supplies().iter().find(|supply| supply.is_system_battery())?;
    Some(("laptop", format!("the battery {}", battery.name)))
}

fn named(machine: &Machine, families: &[&str], form: &'static str) -> Found {
    Some((form, names::family(families, &machine.product_texts())?))
}

fn numbered(machine: &Machine) -> Found {
    numbers::form(&machine.product_texts(), &machine.maker_texts())
}

fn made(machine: &Machine, makers: &[&str], form: &'static str) -> Found {
    Some((form, names::maker(makers, &machine.maker_texts())?))
}

fn rack(machine: &Machine) -> Found {
    (chassis(machine.chassis_type) == Chassis::Rack).then(|| ("server", machine.chassis_words()))
}

fn server_maker(machine: &Machine) -> Found {
    let board = machine.board.as_deref().unwrap_or_default();
    // Supermicro's boards for desks begin with C.
    if board.starts_with('C') { None } else { made(machine, names::SERVER_MAKERS, "server") }
}

/// A list with the host's own bridges, not a part of one.
fn is_whole(machine: &Machine) -> bool {
    ["0600", "0601"].iter().all(|kind| machine.has_kind(kind))
}

fn has_sound(machine: &Machine) -> bool {
    ["0401", "0403", "0480"].iter().any(|kind| machine.has_kind(kind))
}

fn fabric(machine: &Machine) -> Found {
    let device = machine.devices().iter().find(|device| matches!(device.kind(), "0207" | "0208"))?;
    (!has_sound(machine)).then(|| ("server", format!("{} is of class {}", device.slot, device.class)))
}

fn headless(machine: &Machine) -> Found {
    let bare = machine.has_kind("0200") && !machine.has_kind("0280") && !has_sound(machine);
    let stationary = !matches!(chassis(machine.chassis_type), Chassis::Portable(_));
    (is_whole(machine) && bare && stationary)
        .then(|| ("server", "an Ethernet card, and neither sound nor Wi-Fi".into()))
}

fn no_supply(machine: &Machine) -> Found {
    let none = machine.power.as_ref().is_some_and(Vec::is_empty);
    none.then(|| ("desktop", format!("{}, but no AC adapter", machine.chassis_words())))
}

/// Atheros's radios say that they are wired (vendor 168c; its wired ones are 1969).
fn is_radio(device: &PciDevice) -> bool {
    device.kind() == "0280" || (device.kind() == "0200" && device.vendor == "168c")
}

fn wired(machine: &Machine) -> Vec<&PciDevice> {
    machine.devices().iter().filter(|device| device.kind() == "0200" && !is_radio(device)).collect()
}

fn radio(machine: &Machine) -> Option<&PciDevice> {
    machine.devices().iter().find(|device| is_radio(device))
}

/// Boxes that route have the board of a laptop, its chassis type, and more ports than any laptop.
fn many_ports(machine: &Machine) -> Found {
    let ports = wired(machine).len();
    (ports >= 3).then(|| ("desktop", format!("{ports} Ethernet cards")))
}

/// Every board for a desk has a wired port; flat laptops and tablets have none.
fn radio_alone(machine: &Machine) -> Found {
    let radio = radio(machine)?;
    let alone = is_whole(machine) && wired(machine).is_empty();
    alone.then(|| ("laptop", format!("{} is a radio, and no Ethernet card", radio.slot)))
}

fn portable(machine: &Machine) -> Found {
    matches!(chassis(machine.chassis_type), Chassis::Portable(_)).then(|| ("laptop", machine.chassis_words()))
}

/// coreboot says "desktop" unless a board sets more (coreboot, `src/lib/smbios_defaults.c`).
fn chromebook(machine: &Machine) -> Found {
    /// Boards of Chromeboxes and Chromebases (ChromiumOS, "Developer information for devices").
    const BOXES: &[&str] = &[
        "stumpy",
        "panther",
        "zako",
        "tricky",
        "mccloud",
        "guado",
        "rikku",
        "tidus",
        "buddy",
        "monroe",
        "teemo",
        "sion",
        "fizz",
        "kench",
        "jax",
        "bleemo",
        "wukong",
        "kalista",
        "karma",
        "puff",
        "noibat",
        "wyvern",
        "duffy",
        "kaisa",
        "faffy",
        "dooly",
        "ambassador",
        "brask",
        "kuldax",
        "aurash",
        "lisbon",
        "gladios",
        "moli",
        "kinox",
        "genesis",
        "endeavour",
    ];
    const MAKERS: &[&str] = &["google", "acer", "asus", "dell", "hp", "lenovo", "samsung", "toshiba"];
    let bios = machine.bios_vendor.as_deref()?;
    let product = machine.product.as_deref()?.to_ascii_lowercase();
    let book = names::maker(MAKERS, &machine.maker_texts()).is_some() && !BOXES.contains(&product.as_str());
    (bios == "coreboot" && book).then(|| ("laptop", format!("coreboot on the board \"{product}\"")))
}

fn desk(machine: &Machine) -> Found {
    (chassis(machine.chassis_type) == Chassis::Desk).then(|| ("desktop", machine.chassis_words()))
}

fn adapter(machine: &Machine) -> Found {
    let adapter = machine.supplies().iter().find(|supply| supply.kind == "Mains")?;
    Some(("laptop", format!("the AC adapter {}", adapter.name)))
}

fn left_out(machine: &Machine) -> Found {
    let unknown = chassis(machine.chassis_type) == Chassis::Unknown;
    if unknown { made(machine, names::MOSTLY_PORTABLE_MAKERS, "laptop") } else { None }
}

/// Makers of laptops have their name put on the firmware. Boards for desks, whose makers forget the
/// chassis type as well, bear AMI's, Award's or Phoenix's.
fn own_firmware(machine: &Machine) -> Found {
    let unknown = chassis(machine.chassis_type) == Chassis::Unknown;
    let first = |text: &Option<String>| {
        let word = text.as_deref()?.split_whitespace().next()?;
        Some(names::squash(word)).filter(|word| !word.is_empty())
    };
    let (maker, bios) = (first(&machine.vendor)?, first(&machine.bios_vendor)?);
    (unknown && maker == bios).then(|| ("laptop", format!("the firmware is {maker}'s, like the machine")))
}

/// Where nothing says more, most machines with both are laptops.
fn mobile_chipset(machine: &Machine) -> Found {
    let bridge = chipset::mobile(machine.devices())?;
    let radio = radio(machine)?;
    Some(("laptop", format!("{} is {}, and {} a radio", bridge.slot, bridge.id(), radio.slot)))
}

fn mobile_firmware(machine: &Machine) -> Found {
    let bios = machine.bios_vendor.as_deref()?;
    names::maker(&["insyde"], &[bios.to_owned()]).map(|because| ("laptop", because))
}

/// Several sockets, or a processor that is sold for servers; workstations have a radio or sound.
fn server_silicon(machine: &Machine) -> Found {
    let cpu = &machine.cpu;
    let model = cpu.model.as_deref().and_then(silicon::server);
    let because = match model {
        Some(word) => format!("the processor is {word}"),
        None if cpu.sockets >= 2 => format!("processors in {} sockets", cpu.sockets),
        None => return None,
    };
    (radio(machine).is_none() && !has_sound(machine)).then_some(("server", because))
}

fn mobile_silicon(machine: &Machine) -> Found {
    let word = silicon::mobile(machine.cpu.model.as_deref()?)?;
    let radio = radio(machine)?;
    Some(("laptop", format!("the processor {word}, and {} a radio", radio.slot)))
}
