//! Progress: a bar on screens, plain lines on serial consoles and in the log.

use crate::bytes::human;
use crate::console::{Consoles, Kind, ScreenLine};
use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a serial console hears of it.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Redraws of a screen in a second.
const DRAWS_PER_SECOND: u8 = 8;

/// The progress of one step that moves bytes.
pub struct Bar {
    consoles: Consoles,
    title: String,
    total: u64,
    done: AtomicU64,
    begun: Instant,
    last_line: Mutex<Instant>,
    screens: Vec<ProgressBar>,
}

struct Above(Vec<MultiProgress>);

impl ScreenLine for Above {
    fn line(&self, line: &str) {
        for screen in &self.0 {
            let _ = screen.println(line);
        }
    }
}

impl Bar {
    /// Begins a step of `total` bytes.
    pub fn begin(consoles: &Consoles, title: &str, total: u64) -> Self {
        consoles.say(format!("{title}: {}", human(total)));
        let mut multis = Vec::new();
        let mut screens = Vec::new();
        for screen in consoles.list().iter().filter(|console| console.kind == Kind::Screen) {
            let (Ok(read), Ok(write)) = (screen.file().try_clone(), screen.file().try_clone()) else {
                continue;
            };
            let term = Term::read_write_pair(read, write);
            let target = ProgressDrawTarget::term(term, DRAWS_PER_SECOND);
            let multi = MultiProgress::with_draw_target(target);
            let bar = multi.add(ProgressBar::new(total));
            bar.set_style(style());
            bar.set_message(title.to_owned());
            multis.push(multi);
            screens.push(bar);
        }
        if !screens.is_empty() {
            consoles.set_screen_owner(Some(Box::new(Above(multis))));
        }
        let now = Instant::now();
        Self {
            consoles: consoles.clone(),
            title: title.to_owned(),
            total,
            done: AtomicU64::new(0),
            begun: now,
            last_line: Mutex::new(now),
            screens,
        }
    }

    /// So many bytes more.
    pub fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        for screen in &self.screens {
            screen.set_position(done);
        }
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            self.consoles.progress_line(&self.line(done));
        }
    }

    fn line(&self, done: u64) -> String {
        let percent = u128::from(done) * 100 / u128::from(self.total.max(1));
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = done as f64 / seconds;
        let left = self.total.saturating_sub(done) as f64 / rate.max(1.0);
        format!("{}: {percent} %, {}/s, {left:.0} s left", self.title, human(rate as u64))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        for screen in &self.screens {
            screen.finish_and_clear();
        }
        self.consoles.set_screen_owner(None);
    }
}

/// Plain ASCII: a console's font need not have block characters.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg} [{bar:30}] {percent} % {bytes_per_sec} {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
