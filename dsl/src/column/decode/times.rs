//! Moments as RFC 3339 writes them.

use crate::column::Absence;

/// Reads an RFC 3339 timestamp.
pub fn timestamp(text: &[u8]) -> Result<i64, Absence> {
    TimestampReader::default().read(text)
}

/// Reads RFC 3339 timestamps; remembers the last date, which most events of a batch share.
#[derive(Debug, Default)]
pub struct TimestampReader {
    date: [u8; 10],
    days: i64,
}

impl TimestampReader {
    /// Reads one: date, `T` or a space, time, up to nine digits of fraction (more are cut off), `Z` or an offset.
    pub fn read(&mut self, text: &[u8]) -> Result<i64, Absence> {
        let Some((head, mut rest)) = text.split_first_chunk::<19>() else {
            return Err(Absence::Parse);
        };
        if !matches!(head[10], b'T' | b't' | b' ') || head[13] != b':' || head[16] != b':' {
            return Err(Absence::Parse);
        }
        let [date @ .., _, _, _, _, _, _, _, _, _] = head;
        let days = self.days(date).ok_or(Absence::Parse)?;
        let two = |at: usize| two(head, at).ok_or(Absence::Parse);
        let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
        if hour > 23 || minute > 59 || second > 60 {
            return Err(Absence::Parse);
        }
        let mut nanos = 0i64;
        if let [b'.', fraction @ ..] = rest {
            let mut digits = 0;
            while let Some(digit) = fraction.get(digits).filter(|byte| byte.is_ascii_digit()) {
                if digits < 9 {
                    nanos = nanos * 10 + i64::from(digit - b'0');
                }
                digits += 1;
            }
            if digits == 0 {
                return Err(Absence::Parse);
            }
            nanos *= 10_i64.pow(9 - digits.min(9) as u32);
            rest = &fraction[digits..];
        }
        let offset = match rest {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (two_of(rest, 1)?, two_of(rest, 4)?);
                if hours > 23 || minutes > 59 {
                    return Err(Absence::Parse);
                }
                let offset = (hours * 60 + minutes) * 60;
                if *sign == b'-' { -offset } else { offset }
            }
            _ => return Err(Absence::Parse),
        };
        // A leap second is the last one of its minute, as everywhere in POSIX.
        let second = second.min(59);
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
        let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        i64::try_from(nanos).map_err(|_| Absence::OutOfRange)
    }

    fn days(&mut self, date: &[u8; 10]) -> Option<i64> {
        if *date == self.date {
            return Some(self.days);
        }
        if date[4] != b'-' || date[7] != b'-' {
            return None;
        }
        let year = two(date, 0)? * 100 + two(date, 2)?;
        let (month, day) = (two(date, 5)?, two(date, 8)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        if !(1..=length).contains(&day) {
            return None;
        }
        self.days = days_of(year, month, day);
        self.date = *date;
        Some(self.days)
    }
}

fn two(text: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens * 10 + ones))
}

fn two_of(text: &[u8], at: usize) -> Result<i64, Absence> {
    two(text, at).ok_or(Absence::Parse)
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, by counting years from March.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_agree_with_jiff() {
        for text in [
            "2026-05-01T10:00:00Z",
            "2024-02-29T23:59:59.123456789+05:30",
            "1970-01-01T00:00:00.5-00:01",
            "1999-12-31 00:00:01.000001Z",
            "1700-03-01T00:00:00Z",
        ] {
            let expected: jiff::Timestamp = text.parse().unwrap();
            let nanos = i64::try_from(expected.as_nanosecond()).unwrap();
            assert_eq!(timestamp(text.as_bytes()), Ok(nanos), "{text}");
        }
        for bad in [
            "",
            "2026-05-01",
            "2026-02-29T00:00:00Z",
            "2026-05-01T24:00:00Z",
            "2026-05-01T10:00:00",
            "2026-05-01T10:00:00.Z",
            "2026-05-01T10:00:00+1:00",
            "x026-05-01T10:00:00Z",
        ] {
            assert_eq!(timestamp(bad.as_bytes()), Err(Absence::Parse), "{bad}");
        }
        assert_eq!(timestamp(b"9999-01-01T00:00:00Z"), Err(Absence::OutOfRange));
        let mut reader = TimestampReader::default();
        for text in ["2026-05-01T00:00:00Z", "2026-05-01T00:00:01Z", "2026-05-02T00:00:00Z"] {
            assert_eq!(reader.read(text.as_bytes()), timestamp(text.as_bytes()));
        }
    }
}
