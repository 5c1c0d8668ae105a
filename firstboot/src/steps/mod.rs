//! The first-boot unit: a list of steps that can be repeated, each with its recorded state. They
//! never block the boot and wait for each other only where one needs what another makes.

pub mod backoff;
pub mod clock;
pub mod list;
pub mod outcome;
pub mod record;
pub mod tailnet;

use crate::console::{Console, sentinel};
use crate::error::Result;
use crate::roots::Roots;
use crate::secrets::store::Store;
use crate::tools::Commands;
use backoff::Backoff;
use landfall_hosts::machine::Machine;
use outcome::Outcome;
use record::{Record, State};
use std::time::{Duration, SystemTime};

/// What steps work with.
pub struct Context<'a> {
    /// Where things stand.
    pub roots: &'a Roots,
    /// What is declared.
    pub machine: &'a Machine,
    /// Programs.
    pub commands: &'a dyn Commands,
    /// Where secrets go.
    pub store: &'a dyn Store,
    /// For people.
    pub console: &'a dyn Console,
    /// Time since some point, and waiting; tests turn the hands themselves.
    pub timer: &'a dyn Timer,
}

/// Time that only goes forward.
pub trait Timer {
    /// Since some fixed point.
    fn elapsed(&self) -> Duration;
    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The machine's own.
pub struct SystemTimer(std::time::Instant);

impl Default for SystemTimer {
    fn default() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Timer for SystemTimer {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// One step.
#[derive(Clone, Copy)]
pub struct Step {
    /// Its name in records and on the console.
    pub name: &'static str,
    /// True when "first boot is done" does not wait for it.
    pub background: bool,
    /// One attempt; it must be safe to repeat.
    pub attempt: fn(&Context) -> Result<Outcome>,
}

/// After so long, what does not come by itself is told as waited for.
const PATIENCE: Duration = Duration::from_secs(180);
/// Until then it is looked for so often: a boot is watched by a person.
const GLANCE: Duration = Duration::from_secs(2);

struct Turn {
    step: Step,
    backoff: Backoff,
    next: Duration,
    state: Option<State>,
}

/// Runs the steps until all are done; what waits is tried again, ever more seldom.
pub fn run(context: &Context, steps: &[Step]) -> Result<()> {
    let mut record = Record::load(context.roots);
    // A step of an older generation that is no more must not be waited for.
    record.steps.retain(|known| steps.iter().any(|step| step.name == known.name));
    let mut turns: Vec<Turn> = steps
        .iter()
        .map(|step| Turn { step: *step, backoff: Backoff::default(), next: Duration::ZERO, state: None })
        .collect();
    let mut announced = false;
    loop {
        for turn in &mut turns {
            if turn.state != Some(State::Done) && turn.next <= context.timer.elapsed() {
                attempt(context, turn, &mut record);
            }
        }
        record.save(context.roots)?;
        if !announced && settled(&turns, context.timer.elapsed()) {
            announce(context, &turns);
            announced = true;
        }
        let open = turns.iter().filter(|turn| turn.state != Some(State::Done));
        let Some(next) = open.map(|turn| turn.next).min() else {
            return Ok(());
        };
        let next = if announced { next } else { next.min(PATIENCE) };
        context.timer.sleep(next.saturating_sub(context.timer.elapsed()));
    }
}

fn attempt(context: &Context, turn: &mut Turn, record: &mut Record) {
    let (state, detail) = match (turn.step.attempt)(context) {
        Ok(Outcome::Done(detail)) => (State::Done, detail),
        Ok(Outcome::Waiting(detail)) => (State::Waiting, detail),
        Ok(Outcome::Pending(detail)) => (State::Pending, detail),
        Err(error) => (State::Failed, error.to_string()),
    };
    let elapsed = context.timer.elapsed();
    turn.next = elapsed
        + match state {
            State::Pending if elapsed < PATIENCE => GLANCE,
            _ => turn.backoff.pause(),
        };
    turn.state = Some(state);
    let changed = record.set(turn.step.name, state, &detail, SystemTime::now());
    if changed {
        let pairs = [("name", turn.step.name), ("state", state.word()), ("detail", detail.as_str())];
        context.console.line(&sentinel("STEP", &pairs));
    }
}

fn settled(turns: &[Turn], elapsed: Duration) -> bool {
    turns.iter().filter(|turn| !turn.step.background).all(|turn| match turn.state {
        Some(State::Done | State::Waiting) => true,
        _ => elapsed >= PATIENCE,
    })
}

fn announce(context: &Context, turns: &[Turn]) {
    let open: Vec<&str> = turns
        .iter()
        .filter(|turn| !turn.step.background && turn.state != Some(State::Done))
        .map(|turn| turn.step.name)
        .collect();
    if !open.is_empty() {
        let open = open.join(",");
        context.console.line(&sentinel("FIRSTBOOT", &[("waiting", &open)]));
    }
    context.console.line(&sentinel("FIRSTBOOT done", &[]));
}

#[cfg(test)]
mod tests;
