//! Dates of archives, as seconds since 1970 in UTC.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub i64);

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl UnixSeconds {
    /// This computer's clock.
    #[must_use]
    pub fn now() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Self(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Reads the form of a Release file: `Sat, 12 Sep 2026 07:55:41 UTC`
    /// (Debian's wiki, DebianRepository/Format, "Date, Valid-Until"; RFC 2822 with a zone that is
    /// UTC, Z, GMT or +0000).
    #[must_use]
    pub fn parse_release(text: &str) -> Option<Self> {
        let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
        let mut words = rest.split_whitespace();
        let day: i64 = words.next()?.parse().ok()?;
        let month = words.next()?;
        let month = 1 + i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
        let year: i64 = words.next()?.parse().ok()?;
        let mut clock = words.next()?.split(':').map(str::parse::<i64>);
        let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
        let zone = words.next()?;
        let sane = (1970..=9999).contains(&year)
            && (1..=31).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..=60).contains(&second)
            && matches!(zone, "UTC" | "GMT" | "Z" | "+0000")
            && clock.next().is_none()
            && words.next().is_none();
        sane.then(|| Self(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second))
    }

    /// Reads what [`fmt::Display`] writes: RFC 3339 with whole seconds, in UTC.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
        let mut date = date.splitn(3, '-').map(|part| part.parse::<u16>().map(i64::from));
        let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
        let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u16>().map(i64::from));
        let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
        if !(1970..=9999).contains(&year) {
            return None;
        }
        let read = Self(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second);
        // Whatever is out of range comes out as another text.
        (read.to_string() == text).then_some(read)
    }
}

/// RFC 3339 in UTC.
impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, clock) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
            clock / 3600,
            clock / 60 % 60,
            clock % 60
        )
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The same page, civil_from_days.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::UnixSeconds;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else() {
        for seconds in [0, 951_782_400, 1_789_286_141] {
            assert_eq!(
                UnixSeconds::parse_rfc3339(&UnixSeconds(seconds).to_string()),
                Some(UnixSeconds(seconds))
            );
        }
        for text in ["", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "99999999999999999999-1-1T0:0:0Z"] {
            assert_eq!(UnixSeconds::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_release_date_goes_both_ways() {
        for (text, seconds, shown) in [
            ("Sat, 12 Sep 2026 07:55:41 UTC", 1_789_199_741, "2026-09-12T07:55:41Z"),
            ("Thu, 29 Feb 2024 00:00:00 +0000", 1_709_164_800, "2024-02-29T00:00:00Z"),
            ("Thu, 1 Jan 1970 00:00:00 UTC", 0, "1970-01-01T00:00:00Z"),
        ] {
            let parsed = UnixSeconds::parse_release(text).expect(text);
            assert_eq!(parsed.0, seconds, "{text}");
            assert_eq!(parsed.to_string(), shown);
        }
    }

    #[test]
    fn only_our_own_form_of_rfc_3339_is_read() {
        for text in [
            "",
            "2026-09-12",
            "2026-13-12T07:55:41Z",
            "2026-09-12T07:55:41",
            "2026-09-12T9223372036854775807:00:00Z",
        ] {
            assert_eq!(UnixSeconds::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "yesterday",
            "Sat, 12 Sep 2026",
            "Sat, 12 Sep 2026 07:55:41 CET",
            "Sat, 32 Sep 2026 07:55:41 UTC",
            "Sat, 12 Foo 2026 07:55:41 UTC",
            "Sat, 12 Sep 2026 25:00:00 UTC",
            "Sat, 12 Sep 99999999999 07:55:41 UTC",
        ] {
            assert_eq!(UnixSeconds::parse_release(text), None, "{text}");
        }
    }
}
