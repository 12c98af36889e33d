//! strptime formats, compiled once: text to an instant.
//!
//! Own code because a log line's time is read for every event: the general parsers take many times as long.

use super::show::{days_from_civil, days_in_month};

const SECOND: i64 = 1_000_000_000;
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Says what is wrong with a format, if anything is.
pub fn wrong_format(format: &str) -> Option<String> {
    TimeFormat::compile(format).err()
}

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeFormat {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// Any white space, also none.
    Blank,
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    WeekdayName,
    Hour,
    HalfDayHour,
    HalfDay,
    Minute,
    Second,
    /// Digits of a fraction of a second.
    Fraction,
    /// The same with its point or comma, which may be missing.
    PointFraction,
    Offset,
    ZoneName,
    Epoch,
}

/// What a text said. Parts that it did not name are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// The year.
    pub(super) year: Option<i64>,
    /// 1 to 12.
    pub(super) month: Option<i64>,
    /// 1 to 31.
    pub(super) day: Option<i64>,
    /// Nanoseconds since midnight.
    pub(super) nanos: i64,
    /// Seconds ahead of UTC.
    pub(super) offset: Option<i64>,
    /// Nanoseconds since 1970, if the text said so outright.
    pub(super) epoch: Option<i64>,
}

impl TimeFormat {
    /// Compiles a format; the error is the part that is not known.
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        compile_into(format, &mut parts)?;
        Ok(Self { parts })
    }

    /// Whether a text in this format names its year.
    pub(super) fn has_year(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Year | Part::ShortYear | Part::Epoch))
    }

    /// Reads the whole text; without an offset it is UTC, without a date the first day of 1970.
    pub(super) fn read(&self, text: &str) -> Option<i64> {
        self.moment(text)?.nanos(1970, 0)
    }

    /// Reads the whole text.
    pub(super) fn moment(&self, text: &str) -> Option<Moment> {
        let mut left = text.as_bytes();
        let mut moment = Moment::default();
        let (mut hour, mut minute, mut second, mut fraction) = (0, 0, 0, 0);
        let mut afternoon = None;
        let mut day_of_year = None;
        for part in &self.parts {
            match part {
                Part::Text(expected) => left = left.strip_prefix(expected.as_bytes())?,
                Part::Blank => left = left.trim_ascii_start(),
                Part::Year => moment.year = Some(digits(&mut left, 4)?),
                Part::ShortYear => {
                    let year = digits(&mut left, 2)?;
                    moment.year = Some(if year < 69 { 2000 + year } else { 1900 + year });
                }
                Part::Month => moment.month = Some(digits(&mut left, 2)?),
                Part::MonthName => moment.month = Some(name(&mut left, &MONTHS)?),
                Part::Day => {
                    left = left.trim_ascii_start();
                    moment.day = Some(digits(&mut left, 2)?);
                }
                Part::DayOfYear => day_of_year = Some(digits(&mut left, 3)?),
                Part::WeekdayName => {
                    name(&mut left, &DAYS)?;
                }
                Part::Hour => {
                    left = left.trim_ascii_start();
                    hour = digits(&mut left, 2)?;
                }
                Part::HalfDayHour => {
                    left = left.trim_ascii_start();
                    hour = digits(&mut left, 2).filter(|hour| (1..=12).contains(hour))? % 12;
                }
                Part::HalfDay => {
                    let (word, rest) = left.split_at_checked(2)?;
                    afternoon = Some(match word {
                        b"AM" | b"am" => false,
                        b"PM" | b"pm" => true,
                        _ => return None,
                    });
                    left = rest;
                }
                Part::Minute => minute = digits(&mut left, 2)?,
                Part::Second => second = digits(&mut left, 2)?,
                Part::Fraction => fraction = self::fraction(&mut left)?,
                Part::PointFraction => {
                    if let [b'.' | b',', rest @ ..] = left {
                        left = rest;
                        fraction = self::fraction(&mut left)?;
                    }
                }
                Part::Offset => moment.offset = Some(offset(&mut left)?),
                Part::ZoneName => {
                    let length = left.iter().take_while(|b| b.is_ascii_alphabetic()).count();
                    let (word, rest) = left.split_at(length);
                    // Other abbreviations mean several zones each.
                    moment.offset = Some(matches!(word, b"UTC" | b"GMT" | b"Z").then_some(0)?);
                    left = rest;
                }
                Part::Epoch => moment.epoch = Some(epoch(&mut left)?),
            }
        }
        if !left.is_empty() || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        if afternoon == Some(true) && hour < 12 {
            hour += 12;
        }
        moment.nanos = (hour * 3600 + minute * 60 + second.min(59)) * SECOND + fraction;
        if let Some(number) = day_of_year {
            let (year, days) = (moment.year?, number - 1);
            let (_, month, day) = super::show::civil(days_from_civil(year, 1, 1) + days);
            (moment.month, moment.day) = (Some(month), Some(day));
        }
        if let Some(epoch) = moment.epoch {
            moment.epoch = Some(epoch.checked_add(fraction)?);
        }
        Some(moment)
    }
}

impl Moment {
    /// Nanoseconds since 1970, given the year and the offset to take where the text names none.
    pub(super) fn nanos(&self, year: i64, offset: i64) -> Option<i64> {
        if self.epoch.is_some() {
            return self.epoch;
        }
        let year = self.year.unwrap_or(year);
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        (days_from_civil(year, month, day) * 86_400 - self.offset.unwrap_or(offset))
            .checked_mul(SECOND)?
            .checked_add(self.nanos)
    }
}

fn compile_into(format: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let mut chars = format.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        if c != '%' && !c.is_whitespace() {
            text.push(c);
            continue;
        }
        let directive = if c == '%' { chars.next() } else { Some('n') };
        if directive == Some('%') {
            text.push('%');
            continue;
        }
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text).into()));
        }
        parts.push(match directive {
            Some('Y') => Part::Year,
            Some('y') => Part::ShortYear,
            Some('m') => Part::Month,
            Some('b' | 'B' | 'h') => Part::MonthName,
            Some('d' | 'e') => Part::Day,
            Some('j') => Part::DayOfYear,
            Some('a' | 'A') => Part::WeekdayName,
            Some('H' | 'k') => Part::Hour,
            Some('I' | 'l') => Part::HalfDayHour,
            Some('p' | 'P') => Part::HalfDay,
            Some('M') => Part::Minute,
            Some('S') => Part::Second,
            Some('f' | 'N' | 'L') => Part::Fraction,
            Some('z') => Part::Offset,
            Some('Z') => Part::ZoneName,
            Some('s') => Part::Epoch,
            Some('n' | 't') => Part::Blank,
            Some(all @ ('T' | 'F' | 'D' | 'R')) => {
                let whole = match all {
                    'T' => "%H:%M:%S",
                    'F' => "%Y-%m-%d",
                    'D' => "%m/%d/%y",
                    _ => "%H:%M",
                };
                compile_into(whole, parts)?;
                continue;
            }
            Some('.') => {
                // `%.f` and `%.3f`: the point belongs to the fraction and both may be missing.
                let rest = chars.as_str().trim_start_matches(|c: char| c.is_ascii_digit());
                let Some(after) = rest.strip_prefix('f') else {
                    return Err(format!("`%.{}` is no time format", chars.as_str()));
                };
                chars = after.chars();
                Part::PointFraction
            }
            Some(':') => {
                let Some(after) = chars.as_str().strip_prefix('z') else {
                    return Err("`%:` must be followed by `z`".into());
                };
                chars = after.chars();
                Part::Offset
            }
            Some(other) => return Err(format!("`%{other}` is no time format")),
            None => return Err("`%` stands at the end of the time format".into()),
        });
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    Ok(())
}

/// One to `most` digits.
fn digits(text: &mut &[u8], most: usize) -> Option<i64> {
    let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(count);
    *text = rest;
    (count > 0).then(|| number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Digits behind a point, as nanoseconds; more than nine are cut.
fn fraction(text: &mut &[u8]) -> Option<i64> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(count);
    *text = rest;
    let digits = number.iter().map(|digit| i64::from(digit - b'0'));
    (count > 0)
        .then(|| digits.chain(std::iter::repeat(0)).take(9).fold(0, |sum, digit| sum * 10 + digit))
}

/// A name or its first three letters, in any case; the number counts from 1.
fn name(text: &mut &[u8], names: &[&str]) -> Option<i64> {
    let length = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, rest) = text.split_at(length);
    let found = names.iter().position(|name| {
        name.as_bytes().eq_ignore_ascii_case(word)
            || name.as_bytes()[..3].eq_ignore_ascii_case(word)
            || (word.eq_ignore_ascii_case(b"sept") && name.starts_with("sept"))
    })?;
    *text = rest;
    Some(found as i64 + 1)
}

/// `+0200`, `+02:00`, `-08`, `Z`.
fn offset(text: &mut &[u8]) -> Option<i64> {
    let sign = match text.first()? {
        b'Z' | b'z' => {
            *text = &text[1..];
            return Some(0);
        }
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *text = &text[1..];
    let hours = digits(text, 2)?;
    if let [b':', rest @ ..] = text {
        *text = rest;
    }
    let minutes = digits(text, 2).unwrap_or(0);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn epoch(text: &mut &[u8]) -> Option<i64> {
    let negative = text.first() == Some(&b'-');
    if negative {
        *text = &text[1..];
    }
    let seconds = digits(text, 11)?;
    (if negative { -seconds } else { seconds }).checked_mul(SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, text: &str, expected: &str) {
        let read = TimeFormat::compile(format).unwrap().read(text);
        assert_eq!(read, super::super::read::timestamp(expected), "{format} on {text}");
    }

    #[test]
    fn formats_of_logs() {
        check("%d/%b/%Y:%H:%M:%S %z", "01/May/2026:10:00:00 +0200", "2026-05-01T08:00:00Z");
        check("%Y-%m-%d %H:%M:%S%.f", "2026-05-01 10:00:00,250", "2026-05-01T10:00:00.25Z");
        check("%Y-%m-%d %H:%M:%S%.f", "2026-05-01 10:00:00", "2026-05-01T10:00:00Z");
        check("%FT%T.%fZ", "2026-05-01T10:00:00.123456789Z", "2026-05-01T10:00:00.123456789Z");
        check("%a %b %e %I:%M %p %Y", "Fri May  1 12:05 AM 2026", "2026-05-01T00:05:00Z");
        check("%s", "1767225600", "2026-01-01T00:00:00Z");
        check("%Y%j", "2026032", "2026-02-01T00:00:00Z");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let format = TimeFormat::compile("%Y-%m-%d").unwrap();
        for text in ["2026-02-30", "2026-13-01", "2026-01-01x", "", "2026-01", "x"] {
            assert_eq!(format.read(text), None, "{text}");
        }
        for bad in ["%Q", "%", "%.x", "%:x"] {
            assert!(TimeFormat::compile(bad).is_err(), "{bad}");
        }
    }
}
