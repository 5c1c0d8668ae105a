//! Installing from a medium: find it, choose the host, plan or refuse, write, verify, report.

mod attempt;
mod bios;
mod content;
mod copy;
pub mod dialogue;
mod effects;
pub(crate) mod encrypt;
mod esp;
mod hash;
pub mod hosts;
pub mod identity;
mod keep;
pub mod medium;
mod plan;
mod progress;
pub(crate) mod prompt;
mod refusal;
mod report;
mod settle;
mod state;
mod summary;
mod swap;
mod target;
mod tpm;
pub mod unattended;
pub mod variant;
mod verify;
mod way;

pub use bios::firmware;
pub use content::{Content, look};
pub use plan::{Ask, Plan, Seen, plan};
pub use refusal::{Refusal, Stop};
pub use target::mend;
pub use unattended::has_bare_identity;

use crate::context::Context;
use crate::ending;
use crate::error::{Error, Result};
use attempt::{Attempt, Finished};
use landfall_hosts::host::OnError;
use prompt::Choice;

/// Installs, or says why not; ends with a restart or the power off.
pub fn run(context: &Context) {
    loop {
        let mut attempt = Attempt::new(context);
        match attempt.run() {
            Ok(finished) => done(context, &finished),
            Err(stop) => stopped(context, &attempt, &stop),
        }
    }
}

fn done(context: &Context, finished: &Finished) -> ! {
    let consoles = &context.consoles;
    consoles.say(format!("{} is installed. It took {:.0} seconds.", finished.host, finished.seconds));
    let seconds = format!("{:.1}", finished.seconds);
    consoles.sentinel("INSTALL done", &[("host", &finished.host), ("seconds", &seconds)]);
    if context.cmdline.power_off_after() {
        ending::power_off();
    }
    consoles.say("The machine restarts from its own disk. The medium can be taken out.");
    ending::restart()
}

/// Says why, keeps the report, and waits at a prompt or powers off. Comes back to try again.
fn stopped(context: &Context, attempt: &Attempt<'_>, stop: &Stop) {
    refusal::say(context, stop, &attempt.kernel_errors());
    if let Some(outcome) = stop.outcome() {
        attempt.save_report(outcome);
    }
    let unwatched = context.cmdline.unattended() && attempt.on_error() == OnError::Poweroff;
    if unwatched && !matches!(stop, Stop::AlreadyDone { .. }) {
        context.consoles.say("Nobody watches this installation: the machine powers off.");
        ending::power_off();
    }
    loop {
        match prompt::after_stop(context, stop, attempt.shell_is_free()) {
            Choice::Again => return,
            Choice::Disks => attempt.show_disks(),
            Choice::Report(outcome) => attempt.save_report(outcome),
            Choice::Shell => prompt::shell(context),
            Choice::Restart => ending::restart(),
            Choice::PowerOff => ending::power_off(),
        }
    }
}

/// `N` random bytes in hex.
pub fn random_hex<const N: usize>() -> Result<String> {
    Ok(crate::bytes::hex(&random::<N>()?))
}

/// `N` random bytes from the kernel.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut bytes = [0u8; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += getrandom(rest, GetRandomFlags::empty())
            .map_err(Error::io("asking the kernel for random bytes"))?;
    }
    Ok(bytes)
}
