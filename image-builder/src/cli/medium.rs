//! The medium that `flash` writes and `run` boots: built, and made personal.

use super::build::{self, Composed, Request};
use super::carry::{self, Carried};
use super::context::Context;
use super::failure::Failure;
use super::progress::Bars;
use super::secret::IdentityArg;
use crate::builder::identity::make_attended;
use crate::media::Identity;
use clap::Args;
use landfall_hosts::event::Progress;
use std::path::Path;

/// What both commands take.
#[derive(Debug, Args)]
pub struct MediumArgs {
    /// The lock must have everything already
    #[arg(long)]
    locked: bool,
    /// Put no identity on the medium: the machine boots and waits for one
    #[arg(long, conflicts_with = "unattended")]
    no_identity: bool,
    #[command(flatten)]
    identity: IdentityArg,
}

/// One medium to be.
pub(super) struct Medium<'a> {
    /// Hosts that it installs.
    pub(super) hosts: &'a [String],
    /// The one that it installs by itself.
    pub(super) unattended: Option<&'a str>,
    /// How.
    pub(super) args: &'a MediumArgs,
}

impl Medium<'_> {
    /// The identities that it carries wrapped: asks for the passphrase, so it comes before the long build.
    pub(super) fn carried(&self, context: &Context) -> Result<Carried, Failure> {
        match self.args.no_identity || self.unattended.is_some() {
            true => Ok(Carried::new()),
            false => carry::wrapped(&context.site_dir()?, self.hosts, &self.args.identity, context),
        }
    }

    /// Builds it as a file. The caller has become root.
    pub(super) fn compose(
        &self,
        out: &Path,
        carried: &Carried,
        context: &Context,
        bars: &Bars,
    ) -> Result<Composed, Failure> {
        let request = Request {
            hosts: self.hosts,
            unattended: self.unattended,
            locked: self.args.locked,
            identity: self.args.identity.identity.clone(),
            out,
        };
        let composed = build::compose(&request, context, bars as &dyn Progress)?;
        match self.unattended {
            Some(host) => composed.make_unattended(&request, host)?,
            None => {
                let wrapped =
                    carried.iter().map(|(host, bytes)| (host.as_str(), Identity::Wrapped(bytes))).collect();
                make_attended(&composed.places, &composed.lock, out, wrapped)?;
            }
        }
        Ok(composed)
    }
}
