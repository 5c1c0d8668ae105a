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
    /// After the first write: the medium installs again.
    Failed {
        /// Which step.
        step: &'static str,
        /// Why.
        error: Error,
    },
    /// This very medium has installed this machine already.
    AlreadyDone {
        /// What it installed.
        host: String,
    },
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
            Self::Failed { step, error } => {
                Some(Outcome::Failed { step: (*step).to_owned(), message: error.chain() })
            }
            Self::AlreadyDone { .. } => None,
        }
    }
}

/// Says it on every console.
pub fn say(context: &Context, stop: &Stop) {
    let consoles = &context.consoles;
    consoles.say("");
    match stop {
        Stop::Refused(refusal) => {
            consoles.say(format!("Not installed: {}", refusal.message));
            consoles.say(format!("What to do: {}", refusal.remedy));
            consoles.say("No disk of this machine was changed.");
            consoles.sentinel("REFUSED", &[("reason", refusal.slug)]);
        }
        Stop::Failed { step, error } => {
            consoles.say(format!("The installation failed while it was {step}: {}", error.chain()));
            consoles.say("The target disk is half written. Nothing else was touched.");
            consoles.say("What to do: try again; if it fails again, the disk or the medium is bad.");
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
