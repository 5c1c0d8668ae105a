//! The clock is never earlier than the build: a machine whose battery is empty would else refuse
//! every certificate, the tailnet's among them.

use super::outcome::Outcome;
use crate::error::{Error, Result};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

/// Later than this no build can have been: a damaged number must not throw the clock away.
const LATEST_EPOCH: u64 = 7_258_118_400;

/// Sets the clock forward to `epoch` (seconds since 1970) if it is behind.
pub fn floor(epoch: u64) -> Result<Outcome> {
    let now = clock_gettime(ClockId::Realtime).tv_sec;
    match target(now, epoch) {
        None => Ok(Outcome::Done("not behind the build".into())),
        Some(tv_sec) => {
            let time = Timespec { tv_sec, tv_nsec: 0 };
            clock_settime(ClockId::Realtime, time)
                .map_err(Error::errno("setting the clock forward to the build's date"))?;
            Ok(Outcome::Done("set forward to the build's date".into()))
        }
    }
}

fn target(now: i64, epoch: u64) -> Option<i64> {
    let epoch = i64::try_from(epoch.min(LATEST_EPOCH)).ok()?;
    (now < epoch).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forward_and_never_absurdly_far() {
        assert_eq!(target(100, 200), Some(200));
        assert_eq!(target(200, 200), None);
        assert_eq!(target(300, 200), None);
        assert_eq!(target(-5, 0), Some(0));
        assert_eq!(target(0, u64::MAX), Some(LATEST_EPOCH as i64));
    }
}
