//! The clock is never earlier than what was built: a dead RTC battery must not make certificates
//! "not yet valid".

use crate::context::Context;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

/// Moves the clock forward to `epoch` (seconds since 1970) where it is behind.
pub fn not_before(context: &Context, epoch: u64) {
    let Ok(floor) = i64::try_from(epoch) else {
        return;
    };
    if clock_gettime(ClockId::Realtime).tv_sec >= floor {
        return;
    }
    let floor = Timespec { tv_sec: floor, tv_nsec: 0 };
    match clock_settime(ClockId::Realtime, floor) {
        Ok(()) => {
            context.consoles.say("The clock was behind the build of this generation; it was set forward.")
        }
        Err(error) => context.consoles.say(format!("setting the clock forward: {error}")),
    }
}

/// Seconds since 1970 by the machine's clock.
pub fn now() -> u64 {
    u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0)
}

/// `20261122T203000Z`: sorts by time, and has no character that a path or shell minds.
pub fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Days since 1970 → year, month, day
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(951_782_400), "20000229T000000Z");
        assert_eq!(stamp(1_795_379_439), "20261122T203039Z");
        assert!(!stamp(u64::MAX).is_empty());
    }
}
