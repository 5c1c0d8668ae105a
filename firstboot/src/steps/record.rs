//! `state/steps.json`: what each step came to, for `landfall-machine status` and for people.

use crate::boot::report::boot_id;
use crate::error::{Error, Result};
use crate::files::{self, Access};
use crate::roots::Roots;
use landfall_hosts::paths::state;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// A step's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All is as declared.
    Done,
    /// A person must do something.
    Waiting,
    /// It will come by itself.
    Pending,
    /// It went wrong and is tried again.
    Failed,
}

impl State {
    /// The word in records and on the console.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// One step's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// In words: what it waits for, what went wrong.
    pub detail: String,
    /// Seconds since 1970 when it came to this state.
    pub since: u64,
    /// Seconds since 1970 when it was first done on this machine.
    pub first_done: Option<u64>,
    /// Attempts in this boot.
    pub attempts: u32,
}

/// All steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 1.
    pub schema: u32,
    /// The boot of the last run.
    pub boot_id: String,
    /// In the order of the run.
    pub steps: Vec<StepRecord>,
}

impl Record {
    /// The stored record; an empty one if there is none or it is damaged, for every step can be
    /// repeated. What an older boot came to is kept as "not looked at yet".
    pub fn load(roots: &Roots) -> Self {
        let text = files::read_text(&roots.state(state::STEPS)).ok().flatten();
        let stored: Option<Self> = text.and_then(|text| serde_json::from_str(&text).ok());
        let mut record = stored.unwrap_or_default();
        record.schema = 1;
        let boot_id = boot_id(roots);
        if record.boot_id != boot_id {
            record.boot_id = boot_id;
            for step in &mut record.steps {
                step.attempts = 0;
            }
        }
        record
    }

    /// Stores it.
    pub fn save(&self, roots: &Roots) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::Refused(format!("recording the steps: {error}")))?;
        let access = Access {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mode: 0o644,
        };
        files::replace(&roots.state(state::STEPS), &text, access)
    }

    /// Takes in an attempt. True when there is something new to say.
    pub fn set(&mut self, name: &str, state: State, detail: &str, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let first = (state == State::Done).then_some(now);
        let Some(step) = self.steps.iter_mut().find(|step| step.name == name) else {
            self.steps.push(StepRecord {
                name: name.to_owned(),
                state,
                detail: detail.to_owned(),
                since: now,
                first_done: first,
                attempts: 1,
            });
            return true;
        };
        let changed = step.attempts == 0 || step.state != state || step.detail != detail;
        if step.state != state {
            step.since = now;
        }
        step.state = state;
        detail.clone_into(&mut step.detail);
        step.first_done = step.first_done.or(first);
        step.attempts = step.attempts.saturating_add(1);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(steps: &[u8]) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots::under(dir.path());
        std::fs::create_dir_all(roots.state("")).unwrap();
        std::fs::write(roots.state(state::STEPS), steps).unwrap();
        (dir, roots)
    }

    #[test]
    fn hostile_records_are_begun_anew() {
        for text in [
            &b""[..],
            b"{",
            b"[]",
            b"{\"schema\":1,\"boot_id\":7,\"steps\":[]}",
            b"{\"schema\":1,\"boot_id\":\"\",\"steps\":[{\"name\":\"x\",\"state\":\"odd\"}]}",
            b"\xff\xff",
        ] {
            let (_dir, roots) = world(text);
            assert!(Record::load(&roots).steps.is_empty());
        }
    }

    #[test]
    fn keeps_when_a_step_was_first_done_over_boots() {
        let (_dir, roots) = world(b"");
        let mut record = Record::load(&roots);
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        assert!(record.set("x", State::Done, "", at(5)));
        assert!(!record.set("x", State::Done, "", at(6)));
        assert!(record.set("x", State::Failed, "no", at(7)));
        record.save(&roots).unwrap();
        std::fs::create_dir_all(roots.proc("sys/kernel/random")).unwrap();
        std::fs::write(roots.proc("sys/kernel/random/boot_id"), "next").unwrap();
        let mut record = Record::load(&roots);
        assert!(record.set("x", State::Failed, "no", at(9)));
        let step = &record.steps[0];
        assert_eq!((step.first_done, step.since, step.attempts), (Some(5), 7, 1));
    }
}
