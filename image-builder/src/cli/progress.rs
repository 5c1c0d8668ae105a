//! Events as bars on a terminal, and as plain lines elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use landfall_hosts::event::{Event, Progress, Task};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds between two plain lines of one task: often enough to see life, seldom enough for a log.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Renders events to standard error.
pub struct Bars {
    mode: Mode,
    tasks: Mutex<BTreeMap<Task, Running>>,
}

enum Mode {
    Quiet,
    Plain,
    Terminal(MultiProgress),
}

struct Running {
    what: String,
    total: u64,
    done: u64,
    began: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

impl Bars {
    /// Chooses the view by what standard error is.
    pub fn new(quiet: bool) -> Self {
        let mode = if quiet {
            Mode::Quiet
        } else if std::io::stderr().is_terminal() {
            Mode::Terminal(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
        } else {
            Mode::Plain
        };
        Self { mode, tasks: Mutex::new(BTreeMap::new()) }
    }

    fn begin(&self, task: Task, what: String, total: u64) {
        let bar = match &self.mode {
            Mode::Terminal(multi) => {
                let bar = multi.add(ProgressBar::new(total));
                bar.set_style(style(task, total));
                bar.set_prefix(verb(task));
                bar.set_message(what.clone());
                bar.enable_steady_tick(Duration::from_millis(200));
                Some(bar)
            }
            Mode::Plain => {
                eprintln!("{:<10} {what}", verb(task));
                None
            }
            Mode::Quiet => None,
        };
        let now = Instant::now();
        let running = Running { what, total, done: 0, began: now, said: now, bar };
        self.lock().insert(task, running);
    }

    fn advance(&self, task: Task, by: u64) {
        let mut tasks = self.lock();
        let Some(running) = tasks.get_mut(&task) else { return };
        running.done = running.done.saturating_add(by);
        if let Some(bar) = &running.bar {
            bar.inc(by);
        } else if matches!(self.mode, Mode::Plain) && running.said.elapsed() >= PLAIN_INTERVAL {
            running.said = Instant::now();
            eprintln!("{:<10} {}: {}", verb(task), running.what, amount(task, running));
        }
    }

    fn end(&self, task: Task) {
        let Some(running) = self.lock().remove(&task) else { return };
        match running.bar {
            Some(bar) => bar.finish_and_clear(),
            None if matches!(self.mode, Mode::Plain) => {
                let seconds = running.began.elapsed().as_secs_f64();
                eprintln!("{:<10} {}: done in {seconds:.1} s", verb(task), running.what);
            }
            None => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Task, Running>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn event(&self, event: Event) {
        match event {
            Event::Begin { task, what, total } => self.begin(task, what, total),
            Event::Advance { task, by } => self.advance(task, by),
            Event::End { task } => self.end(task),
            Event::Note(line) => match &self.mode {
                Mode::Quiet => {}
                Mode::Plain => eprintln!("{line}"),
                Mode::Terminal(multi) => drop(multi.println(line)),
            },
        }
    }
}

fn verb(task: Task) -> &'static str {
    match task {
        Task::Download => "download",
        Task::Unpack => "unpack",
        Task::Configure => "configure",
        Task::Pack => "pack",
        Task::Write => "write",
        Task::Verify => "verify",
    }
}

fn counts_bytes(task: Task) -> bool {
    matches!(task, Task::Download | Task::Write | Task::Verify)
}

fn style(task: Task, total: u64) -> ProgressStyle {
    let template = match (total, counts_bytes(task)) {
        (0, _) => "{prefix:<10} {msg} {spinner} {elapsed}",
        (_, true) => "{prefix:<10} {msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left",
        (_, false) => "{prefix:<10} {msg} [{bar:30}] {pos}/{len} {per_sec} {eta} left",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn amount(task: Task, running: &Running) -> String {
    let rate = running.done as f64 / running.began.elapsed().as_secs_f64().max(0.001);
    let left = running.total.saturating_sub(running.done) as f64 / rate.max(0.001);
    match counts_bytes(task) {
        true => format!(
            "{} of {} MB, {:.1} MB/s, {left:.0} s left",
            running.done / 1_000_000,
            running.total / 1_000_000,
            rate / 1e6
        ),
        false => format!("{} of {}, {left:.0} s left", running.done, running.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_out_of_order_do_no_harm() {
        let bars = Bars::new(true);
        bars.event(Event::Advance { task: Task::Pack, by: 3 });
        bars.event(Event::End { task: Task::Pack });
        bars.event(Event::Begin { task: Task::Pack, what: "x".into(), total: 0 });
        bars.event(Event::Advance { task: Task::Pack, by: u64::MAX });
        bars.event(Event::Advance { task: Task::Pack, by: 1 });
        bars.event(Event::End { task: Task::Pack });
    }
}
