//! Ever longer pauses between attempts.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: what a person put right is noticed within it.
const LONGEST: Duration = Duration::from_secs(300);

/// Pauses that double up to a limit.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The pause before the next attempt.
    pub fn pause(&mut self) -> Duration {
        let factor = 2u32.saturating_pow(self.attempts.min(16));
        self.attempts = self.attempts.saturating_add(1);
        (FIRST * factor).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_and_never_overflows() {
        let mut backoff = Backoff::default();
        let first: Vec<u64> = (0..10).map(|_| backoff.pause().as_secs()).collect();
        assert_eq!(first, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        backoff.attempts = u32::MAX;
        assert_eq!(backoff.pause(), LONGEST);
    }
}
