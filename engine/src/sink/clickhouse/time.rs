//! Days, months and years of moments, in a time zone.

use jiff::{Timestamp, tz::TimeZone};

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;
/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Days since 1970 of `2026-11-21`.
pub(super) fn day(text: &[u8]) -> Option<i64> {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = text else { return None };
    let year = two(a, b)? * 100 + two(c, d)?;
    let (month, day) = (two(e, f)?, two(g, h)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=last).contains(&day).then(|| days(year, month, day))
}

/// The local calendar of a time zone, remembering the last offset.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    zone: Option<TimeZone>,
    /// The quarter of an hour that `offset` belongs to. No zone changes its offset inside one.
    quarter: i64,
    offset: i64,
}

impl Calendar {
    /// The calendar of that zone.
    pub(super) fn new(zone: &TimeZone) -> Self {
        let is_utc = *zone == TimeZone::UTC || zone.iana_name() == Some("UTC");
        Self { zone: (!is_utc).then(|| zone.clone()), quarter: i64::MIN, offset: 0 }
    }

    /// Seconds since 1970 as the zone's clocks show them.
    #[inline]
    pub(super) fn local(&mut self, seconds: i64) -> i64 {
        let Some(zone) = &self.zone else { return seconds };
        let quarter = seconds.div_euclid(900);
        if quarter != self.quarter {
            self.offset = Timestamp::from_second(seconds)
                .map_or(0, |moment| i64::from(zone.to_offset(moment).seconds()));
            self.quarter = quarter;
        }
        seconds + self.offset
    }

    /// Whether the calendar never goes back: it is UTC.
    pub(super) fn is_steady(&self) -> bool {
        self.zone.is_none()
    }

    /// Whether both moments lie in the same quarter of an hour, on the clock and on the zone's clocks.
    pub(super) fn is_same_quarter(&mut self, a: i64, b: i64) -> bool {
        a.div_euclid(900) == b.div_euclid(900) && (self.local(a) - a) % 900 == 0
    }
}

/// Year, month and day of a day since 1970.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_of_march + 2) / 5 + 1;
    let month = if month_of_march < 10 { month_of_march + 3 } else { month_of_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970 of a year, month and day.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_of_march = (month + 9) % 12;
    let day_of_year = (153 * month_of_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[inline]
fn two(a: u8, b: u8) -> Option<i64> {
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| i64::from(a) * 10 + i64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for number in (-200_000..200_000).step_by(37) {
            let (year, month, day) = civil(number);
            assert_eq!(days(year, month, day), number);
        }
        assert_eq!(day(b"2000-02-29"), Some(11_016));
    }

    #[test]
    fn calendars_know_summer_time() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut calendar = Calendar::new(&berlin);
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        for (moment, hours) in [
            ("2026-01-01T00:00:00Z", 1),
            ("2026-07-01T00:00:00Z", 2),
            ("2026-03-29T00:59:59Z", 1),
            ("2026-03-29T01:00:00Z", 2),
        ] {
            assert_eq!(calendar.local(at(moment)), at(moment) + hours * 3600, "{moment}");
        }
    }
}
