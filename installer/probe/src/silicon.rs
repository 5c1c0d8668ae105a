//! What a processor's name says of the machine around it.
//!
//! Boxes at desks have processors for laptops too, so this tells only where nothing better does.

/// What ends the number of a processor for laptops (Intel, "Processor Names and Numbers": low power,
/// high performance, graphics of the tenth generation on, and those of the Core 2 and Core i's first
/// years; AMD's Ryzen and A series).
const SUFFIXES: &[&str] = &[
    "U", "Y", "P", "V", "H", "HX", "HK", "HS", "HQ", "MQ", "MX", "M", "QM", "XM", "LM", "UM", "G7", "G4",
    "G1",
];

/// What begins it: Core 2, Pentium and Celeron until 2010; netbooks' Atoms.
const PREFIXES: &[&str] = &["T", "P", "L", "SU", "SP", "SL", "U", "N2", "N4", "Z"];

/// Words of processors that are for laptops alone.
const MOBILE: &[&str] = &["Mobile", "Turion"];

/// Words beside "Xeon" that are for servers alone; EPYC is one by itself.
const SERVER: &[&str] = &["Platinum", "Gold", "Silver", "Bronze"];

/// The word of a processor's name that is of laptops' alone.
pub fn mobile(model: &str) -> Option<&str> {
    let workstation = words(model).any(|word| word == "Xeon");
    words(model).find(|word| {
        let ends = SUFFIXES.iter().any(|suffix| word.strip_suffix(suffix).is_some_and(is_number));
        let begins = PREFIXES.iter().any(|prefix| word.strip_prefix(prefix).is_some_and(is_number));
        // Of the Xeons, those with an M alone are.
        if workstation { word.ends_with('M') && ends } else { ends || begins || MOBILE.contains(word) }
    })
}

/// The word of a processor's name that is of servers' alone.
pub fn server(model: &str) -> Option<&str> {
    let xeon = words(model).any(|word| word == "Xeon");
    words(model).find(|word| *word == "EPYC" || (xeon && SERVER.contains(word)))
}

fn words(model: &str) -> impl Iterator<Item = &str> {
    model.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_number(stem: &str) -> bool {
    stem.len() >= 3 && stem.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_for_laptops() {
        for model in [
            "Intel(R) Core(TM) i7-10510U CPU @ 1.80GHz",
            "12th Gen Intel(R) Core(TM) i7-1260P",
            "11th Gen Intel(R) Core(TM) i5-1135G7 @ 2.40GHz",
            "Intel(R) Core(TM) i7-2720QM CPU @ 2.20GHz",
            "Intel(R) Core(TM) Ultra 7 258V",
            "Intel(R) Core(TM)2 Duo CPU     T7300  @ 2.00GHz",
            "Intel(R) Xeon(R) CPU E3-1505M v5 @ 2.80GHz",
            "Mobile AMD Sempron(tm) Processor 3500+",
            "AMD Turion(tm) 64 X2",
            "AMD Ryzen 7 PRO 4750U with Radeon Graphics",
            "AMD Ryzen 9 5900HX with Radeon Graphics",
            "AMD A8-4500M APU with Radeon(tm) HD Graphics",
        ] {
            assert!(mobile(model).is_some() && server(model).is_none(), "{model}");
        }
    }

    #[test]
    fn processors_for_desks_and_servers() {
        for model in [
            "Intel(R) Core(TM) i9-14900KF",
            "Intel(R) Core(TM) i5-8500T CPU @ 2.10GHz",
            "Intel(R) Core(TM)2 Quad CPU    Q6600  @ 2.40GHz",
            "Intel(R) Pentium(R) Gold G5400 CPU @ 3.70GHz",
            "AMD Ryzen 7 5700G with Radeon Graphics",
            "AMD Ryzen Threadripper 3970X 32-Core Processor",
            "AMD FX(tm)-8350 Eight-Core Processor",
            "Intel(R) Xeon(R) CPU L5420 @ 2.50GHz",
            "fixture",
            "",
            "Mé-1234Ü",
        ] {
            assert!(mobile(model).is_none() && server(model).is_none(), "{model}");
        }
        for model in [
            "AMD EPYC 7713 64-Core Processor",
            "Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz",
            "Intel(R) Xeon(R) Platinum 8352V CPU",
        ] {
            assert!(server(model).is_some() && mobile(model).is_none(), "{model}");
        }
    }
}
