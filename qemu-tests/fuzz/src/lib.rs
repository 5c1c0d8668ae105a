//! What the fuzz targets of all crates share.
//!
//! A target is a test: it feeds a parser first every file of its corpus as it stands, then inputs
//! that are made of the corpus by edits, until its time is over. An input that panics is shrunk
//! and printed; one that takes too long ends the process with its words.
//!
//! The corpus of the target `NAME` is the folder `tests/corpus/NAME` of its crate.

mod bound;
mod corpus;
mod edit;

pub use bolero;
pub use corpus::{Corpus, Input, disk_image, generated, packed_disk};

use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// The environment variable with the seconds that each target runs.
pub const SECONDS: &str = "LANDFALL_FUZZ_SECONDS";
/// Seconds of each target where nothing else is asked for.
const DEFAULT_SECONDS: u64 = 1;

/// Runs a target: `target!("NAME", |bytes: &[u8]| parse(bytes))`.
///
/// The check must not panic, and must come back soon.
#[macro_export]
macro_rules! target {
    ($name:literal, $check:expr) => {{
        let corpus = $crate::Corpus::read(env!("CARGO_MANIFEST_DIR"), $name);
        let check = $crate::bounded($name, $check);
        corpus.each(&check);
        $crate::bolero::check!()
            .with_test_time($crate::time())
            .with_generator(corpus)
            .for_each(|input: &$crate::Input| check(&input.0));
    }};
}

/// How long each target runs.
pub fn time() -> Duration {
    let asked = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(DEFAULT_SECONDS))
}

/// The check, with a bound on its time.
pub fn bounded(name: &'static str, check: impl Fn(&[u8])) -> impl Fn(&[u8]) {
    // A check that panicked is never trusted again: the test ends there.
    let both = AssertUnwindSafe((bound::Watch::new(name), check));
    move |bytes: &[u8]| {
        let (watch, check) = &*both;
        watch.over(bytes, || check(bytes));
    }
}
