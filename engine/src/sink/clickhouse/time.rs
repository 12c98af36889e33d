//! Moments and days: read from RFC 3339 text and epoch numbers, cut into calendar units.
//!
//! Nanoseconds since 1970 in 64 bits reach from 1677 to 2262; what lies outside is out of range.

use jiff::{Timestamp, tz::TimeZone};
use logmon_dsl::column::Absence;

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;
/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Reads RFC 3339 and remembers the last date, since events of one batch mostly share theirs.
#[derive(Debug, Default)]
pub(super) struct Reader {
    date: [u8; 10],
    days: i64,
}

impl Reader {
    /// Nanoseconds since 1970 of `2026-11-21T17:40:00.123Z` or with an offset.
    #[inline]
    pub(super) fn rfc3339(&mut self, text: &[u8]) -> Result<i64, Absence> {
        let (Some(date), Some(clock)) = (text.first_chunk::<10>(), text.get(11..19)) else {
            return Err(Absence::Parse);
        };
        if !matches!(text[10], b'T' | b't' | b' ') || clock[2] != b':' || clock[5] != b':' {
            return Err(Absence::Parse);
        }
        if *date != self.date {
            self.days = day(date).ok_or(Absence::Parse)?;
            self.date = *date;
        }
        let part = |at: usize| two(clock[at], clock[at + 1]).ok_or(Absence::Parse);
        let (hour, minute, second) = (part(0)?, part(3)?, part(6)?);
        if hour > 23 || minute > 59 || second > 60 {
            return Err(Absence::Parse);
        }
        let mut rest = &text[19..];
        let mut nanos = 0;
        if let [b'.', digits @ ..] = rest {
            let n = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if n == 0 {
                return Err(Absence::Parse);
            }
            let mut unit = SECOND;
            for &digit in digits.iter().take(n.min(9)) {
                unit /= 10;
                nanos += i64::from(digit - b'0') * unit;
            }
            rest = &digits[n..];
        }
        let offset = match rest {
            [b'Z' | b'z'] => 0,
            &[sign @ (b'+' | b'-'), a, b, b':', c, d] => {
                let (Some(hours), Some(minutes)) = (two(a, b), two(c, d)) else {
                    return Err(Absence::Parse);
                };
                if hours > 23 || minutes > 59 {
                    return Err(Absence::Parse);
                }
                let offset = hours * 3600 + minutes * 60;
                if sign == b'-' { -offset } else { offset }
            }
            _ => return Err(Absence::Parse),
        };
        // A leap second is the last moment of its minute.
        let second = second.min(59);
        let seconds = self.days * DAY + hour * 3600 + minute * 60 + second - offset;
        let whole = seconds.checked_mul(SECOND).ok_or(Absence::OutOfRange)?;
        whole.checked_add(nanos).ok_or(Absence::OutOfRange)
    }
}

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

/// Nanoseconds since 1970 of an epoch number whose unit shows in its size: seconds, milli-, micro- or nanoseconds.
pub(super) fn epoch(number: i64) -> Result<i64, Absence> {
    let scale = match number.unsigned_abs() {
        0..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(scale).ok_or(Absence::OutOfRange)
}

/// The same for a number with a fraction.
pub(super) fn epoch_float(number: f64) -> Result<i64, Absence> {
    let scale = match number.abs() {
        n if n < 1e11 => 1e9,
        n if n < 1e14 => 1e6,
        n if n < 1e17 => 1e3,
        _ => 1.0,
    };
    // Whole and fraction apart: a float holds the nanoseconds of today with an error of 256 only.
    let (whole, fraction) = (number.trunc(), number.fract());
    let nanos = whole as i128 * scale as i128 + (fraction * scale).round() as i128;
    i64::try_from(nanos).map_err(|_| Absence::OutOfRange)
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

/// Writes a moment as RFC 3339 in UTC, with as many digits of a second as it has.
pub(super) fn print(nanos: i64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let (seconds, fraction) = (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND));
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let clock = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    let date = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    date.expect("memory takes all writes");
    if fraction != 0 {
        write!(out, ".{fraction:09}").expect("memory takes all writes");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
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
    fn moments_are_read_like_jiff_does() {
        let mut reader = Reader::default();
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-21T17:40:00.123456789Z",
            "2024-02-29t23:59:59.5+05:30",
            "1969-12-31 23:59:59.999-00:01",
            "2261-12-31T23:59:59Z",
            "2026-11-21T17:40:00.1234567891234Z",
        ] {
            let expected: Timestamp = text.parse().unwrap();
            let nanos = i64::try_from(expected.as_nanosecond()).unwrap();
            assert_eq!(reader.rfc3339(text.as_bytes()), Ok(nanos), "{text}");
        }
        for bad in ["", "2026-11-21", "2026-11-21T17:40:00", "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z", "2026-11-21T17:40:00.Z", "2026-11-21T17:40:00+0100", "2026-11-21T17:40:00ZZ"] {
            assert_eq!(reader.rfc3339(bad.as_bytes()), Err(Absence::Parse), "{bad}");
        }
        assert_eq!(reader.rfc3339(b"2263-01-01T00:00:00Z"), Err(Absence::OutOfRange));
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for number in (-200_000..200_000).step_by(37) {
            let (year, month, day) = civil(number);
            assert_eq!(days(year, month, day), number);
        }
        assert_eq!(day(b"2000-02-29"), Some(11_016));
        let mut text = Vec::new();
        print(1_500_000_000, &mut text);
        assert_eq!(text, b"1970-01-01T00:00:01.5Z");
    }

    #[test]
    fn epochs_show_their_unit() {
        let moment = 1_700_000_000_123_456_789;
        assert_eq!(epoch(moment), Ok(moment));
        assert_eq!(epoch(1_700_000_000_123), Ok(1_700_000_000_123_000_000));
        assert_eq!(epoch(1_700_000_000), Ok(1_700_000_000_000_000_000));
        assert_eq!(epoch_float(1_700_000_000.25), Ok(1_700_000_000_250_000_000));
    }

    #[test]
    fn calendars_know_summer_time() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut calendar = Calendar::new(&berlin);
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        for (moment, hours) in [("2026-01-01T00:00:00Z", 1), ("2026-07-01T00:00:00Z", 2), ("2026-03-29T00:59:59Z", 1), ("2026-03-29T01:00:00Z", 2)] {
            assert_eq!(calendar.local(at(moment)), at(moment) + hours * 3600, "{moment}");
        }
    }
}
