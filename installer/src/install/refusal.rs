//! Why an installation does not happen, in words that name the remedy.

use crate::context::Context;
use crate::error::Error;
use landfall_hosts::report::Outcome;

/// Nothing was written to the target: why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for scripts and tests.
    pub slug: &'static str,
    /// Why.
    pub message: String,
    /// What to do now.
    pub remedy: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(slug: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { slug, message: message.into(), remedy: remedy.into() }
    }
}

/// Why an attempt ended without an installed machine.
#[derive(Debug)]
pub enum Stop {
    /// Before the first write.
    Refused(Refusal),
    /// Not for what was found, but for what broke: the medium installs again.
    Failed {
        /// Which step.
        step: &'static str,
        /// Why.
        error: Error,
        /// What the target disk is now.
        left: Left,
    },
    /// This very medium has installed this machine already.
    AlreadyDone {
        /// What it installed.
        host: String,
    },
}

/// What a failure leaves of the target disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// As it was.
    Untouched,
    /// Nothing that starts.
    HalfWritten,
    /// The state of an earlier Landfall, and a system that a later run replaces.
    State,
}

impl Left {
    fn words(self) -> &'static str {
        match self {
            Self::Untouched => "No disk of this machine was changed.",
            Self::HalfWritten => "The target disk is half written. Nothing else was touched.",
            Self::State => {
                "The system on the target disk is half replaced; its state (home, var and what the host keeps) is \
                 still there. Nothing else was touched."
            }
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Stop {
    /// For the report; none where there is nothing to report.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Refused(refusal) => Some(Outcome::Refused {
                reason: refusal.slug.to_owned(),
                message: refusal.message.clone(),
                remedy: refusal.remedy.clone(),
            }),
            Self::Failed { step, error, .. } => {
                Some(Outcome::Failed { step: (*step).to_owned(), message: error.chain() })
            }
            Self::AlreadyDone { .. } => None,
        }
    }
}

/// How a disk that takes no more says so: to who writes (errno(3)), and in the kernel's log (`blk_errors`).
const FULL: [&str; 2] = ["No space left on device", "space allocation error"];

/// What to do after the first write. The plan made sure that all fits into the size that the disk says it has. Read
/// from the words, for programs and the writer of FAT give nothing else.
fn after_failure(error: &Error, kernel: &[String]) -> &'static str {
    let said = format!("{} {}", error.chain(), kernel.join(" "));
    match FULL.iter().any(|full| said.contains(full)) {
        true => {
            "the disk has less room than it says. If a hypervisor or a storage server lends it its room, make room \
             there and try again; if not, the disk lies about its size: use another one."
        }
        false => "try again; if it fails again, the disk or the medium is bad.",
    }
}

/// Says it on every console, with the errors that the kernel had meanwhile.
pub fn say(context: &Context, stop: &Stop, kernel: &[String]) {
    let consoles = &context.consoles;
    consoles.say("");
    match stop {
        Stop::Refused(refusal) => {
            consoles.say(format!("Not installed: {}", refusal.message));
            consoles.say(format!("What to do: {}", refusal.remedy));
            consoles.say("No disk of this machine was changed.");
            consoles.sentinel("REFUSED", &[("reason", refusal.slug)]);
        }
        Stop::Failed { step, error, left } => {
            consoles.say(format!("The installation failed while it was {step}: {}", error.chain()));
            for line in kernel {
                consoles.say(format!("The kernel said: {line}"));
            }
            consoles.say(left.words());
            consoles.say(format!("What to do: {}", after_failure(error, kernel)));
            consoles.sentinel("FAILED", &[("step", step)]);
        }
        Stop::AlreadyDone { host } => {
            consoles
                .say(format!("This medium has already installed {host}; it never does so twice by itself."));
            consoles.say("What to do: take it out and restart, or choose an entry of its boot menu.");
            consoles.sentinel("REFUSED", &[("reason", "already-done")]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_is_told_from_a_bad_one() {
        let system = |number| Error::io("copying")(std::io::Error::from_raw_os_error(number));
        let (full, bad) = (after_failure(&system(28), &[]), after_failure(&system(5), &[]));
        assert!(full.contains("less room than it says") && bad.contains("is bad"), "{full} {bad}");
        let kernel = ["critical space allocation error, dev sda, sector 1".to_owned()];
        assert_eq!(after_failure(&system(5), &kernel), full);
        let why = "mke2fs: No space left on device while writing out".to_owned();
        assert_eq!(after_failure(&Error::Program { program: "mke2fs".into(), why }, &[]), full);
    }
}
