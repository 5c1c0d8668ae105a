//! Rules that were tried, and what decided.

use crate::machine::Machine;
use serde::{Deserialize, Serialize};

/// A rule that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// What it asks.
    pub rule: String,
    /// It holds.
    pub holds: bool,
    /// The facts that decided.
    pub facts: String,
}

/// An answer, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The answer.
    pub answer: String,
    /// The facts that decided.
    pub because: Vec<String>,
    /// Every rule up to the one that decided.
    pub tried: Vec<Tried>,
}

/// What a rule finds: its answer, and the facts for it.
pub(crate) type Found = Option<(&'static str, String)>;

/// One rule of a table.
pub(crate) struct Rule {
    /// What it asks.
    pub name: &'static str,
    /// What it looks at, for where it finds nothing.
    pub looks_at: Seen,
    /// Asks.
    pub find: fn(&Machine) -> Found,
}

/// The first rule that finds something decides; `none` and its reason where none does.
pub(crate) fn decide(rules: &[Rule], machine: &Machine, none: (&str, &str)) -> Decision {
    let mut tried = Vec::new();
    for rule in rules {
        let found = (rule.find)(machine);
        let seen = || rule.looks_at.words(machine);
        let facts = found.as_ref().map_or_else(seen, |(_, because)| because.clone());
        tried.push(Tried { rule: rule.name.to_owned(), holds: found.is_some(), facts });
        if let Some((answer, because)) = found {
            return Decision { answer: answer.to_owned(), because: vec![because], tried };
        }
    }
    Decision { answer: none.0.to_owned(), because: vec![none.1.to_owned()], tried }
}

/// Facts that rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// DMI's chassis type.
    Chassis,
    /// DMI's texts, all of them.
    Dmi,
    /// The firmware's maker.
    Firmware,
    /// What the kernel says of itself and of its hypervisor.
    Kernel,
    /// Who made machine and board.
    Makers,
    /// What machine and board are called.
    Names,
    /// PCI functions.
    Pci,
    /// The processor.
    Processor,
    /// CPUID's signature.
    Signature,
    /// Power supplies.
    Supplies,
}

impl Seen {
    /// What is there, in words.
    fn words(self, machine: &Machine) -> String {
        let text = |what: &str, text: &Option<String>| match text {
            Some(text) => format!("{what} is \"{text}\""),
            None => format!("{what} is not known"),
        };
        match self {
            Self::Chassis => machine.chassis_words(),
            Self::Dmi => listed("DMI says", &machine.dmi_texts()),
            Self::Firmware => text("the firmware's maker", &machine.bios_vendor),
            Self::Kernel => {
                let xen = [&machine.hypervisor_type, &machine.xen_features, &machine.xen_capabilities];
                let all = [&machine.kernel_release].into_iter().chain(xen);
                listed("the kernel says", &all.flatten().cloned().collect::<Vec<_>>())
            }
            Self::Makers => listed("made by", &machine.maker_texts()),
            Self::Names => listed("called", &machine.product_texts()),
            Self::Pci => match &machine.pci_devices {
                Some(devices) => format!("{} PCI functions", devices.len()),
                None => "PCI functions are not known".into(),
            },
            Self::Processor => match machine.cpu.hypervisor_flag {
                Some(flag) => {
                    let flag = if flag { "with" } else { "without" };
                    format!("{}, {flag} the flag hypervisor", text("the processor", &machine.cpu.model))
                }
                None => "the processor is not known".into(),
            },
            Self::Signature => text("CPUID's signature", &machine.signature),
            Self::Supplies => match &machine.power {
                Some(supplies) => {
                    let one = |supply: &crate::power::Supply| format!("{} ({})", supply.name, supply.kind);
                    listed("supplies", &supplies.iter().map(one).collect::<Vec<_>>())
                }
                None => "power supplies are not known".into(),
            },
        }
    }
}

fn listed(what: &str, texts: &[String]) -> String {
    if texts.is_empty() { format!("{what} nothing") } else { format!("{what} {}", texts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_finds_nothing_says_what_it_saw() {
        let rules = [Rule { name: "a name", looks_at: Seen::Names, find: |_| None }];
        let machine = Machine { product: Some("X1".into()), ..Machine::default() };
        let decision = decide(&rules, &machine, ("none", "nothing tells"));
        assert_eq!((decision.answer.as_str(), decision.because[0].as_str()), ("none", "nothing tells"));
        assert_eq!(decision.tried[0].facts, "called X1");
        for seen in [Seen::Pci, Seen::Processor, Seen::Supplies, Seen::Signature, Seen::Chassis] {
            assert!(!seen.words(&Machine::default()).is_empty(), "{seen:?}");
        }
    }
}
