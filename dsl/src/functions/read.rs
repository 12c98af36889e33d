//! Text and numbers read as the language's types: what `int(x)`, `ip(x)`, `coerce` and captures share.
//!
//! Invariant: nothing guesses. Blanks around a number, hexadecimal and trailing text are refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::column::{Cidr, Severity, value::ip_to_u128};

const SECOND: i64 = 1_000_000_000;

/// How an epoch number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Unit {
    /// The unit of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "s" => Self::Seconds,
            "ms" => Self::Millis,
            "us" => Self::Micros,
            "ns" => Self::Nanos,
            _ => return None,
        })
    }

    /// Nanoseconds in one.
    pub fn nanos(self) -> i64 {
        match self {
            Self::Seconds => SECOND,
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }

    /// The unit that puts a number between the years 1973 and 5138; smaller numbers are seconds.
    pub fn by_magnitude(number: f64) -> Self {
        match number.abs() {
            n if n < 1e11 => Self::Seconds,
            n if n < 1e14 => Self::Millis,
            n if n < 1e17 => Self::Micros,
            _ => Self::Nanos,
        }
    }
}

/// A decimal integer, perhaps with a sign.
pub fn int(text: &str) -> Option<i64> {
    if text.len() > 40 {
        return None;
    }
    text.parse().ok()
}

/// A decimal number, perhaps with a sign, a fraction, an exponent. Never NaN or infinite.
pub fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    fast_float2::parse::<f64, _>(text).ok().filter(|number| number.is_finite())
}

/// `true`, `yes`, `on`, `1` and their opposites, in any case.
pub fn bool(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "yes", "on", "1"]) {
        Some(true)
    } else if is(["false", "no", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// An instant in RFC 3339 with a zone (`T` may be a blank); nanoseconds since 1970.
pub fn timestamp(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    if b.len() < 20 || !matches!(b[10], b'T' | b't' | b' ') {
        return None;
    }
    let marks = b[4] == b'-' && b[7] == b'-' && b[13] == b':' && b[16] == b':';
    if !marks {
        return None;
    }
    let (year, month, day) = (number(&b[0..4])?, number(&b[5..7])?, number(&b[8..10])?);
    let (hour, minute) = (number(&b[11..13])?, number(&b[14..16])?);
    let second = number(&b[17..19])?;
    if !(1..=12).contains(&month)
        || !(1..=days_in_month(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut at = 19;
    let mut fraction = 0;
    if b[at] == b'.' {
        at += 1;
        let start = at;
        let mut scale = SECOND / 10;
        while at < b.len() && b[at].is_ascii_digit() {
            fraction += i64::from(b[at] - b'0') * scale;
            scale /= 10;
            at += 1;
        }
        if at == start {
            return None;
        }
    }
    let offset = match b.get(at..)? {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let (hours, minutes) = match zone {
                [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => {
                    (number(&[*h1, *h2])?, number(&[*m1, *m2])?)
                }
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    // A leap second is the last second of its minute: nanoseconds since 1970 have no place of their own for it.
    let seconds =
        days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59)
            - offset;
    seconds.checked_mul(SECOND)?.checked_add(fraction)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// An epoch integer; without a unit its magnitude says which.
pub fn epoch_int(number: i64, unit: Option<Unit>) -> Option<i64> {
    number.checked_mul(unit.unwrap_or_else(|| Unit::by_magnitude(number as f64)).nanos())
}

/// An epoch number with a fraction; without a unit its magnitude says which.
pub fn epoch_float(number: f64, unit: Option<Unit>) -> Option<i64> {
    let scale = unit.unwrap_or_else(|| Unit::by_magnitude(number)).nanos();
    let whole = number.trunc();
    // Whole and fraction apart: a float of 2026 in nanoseconds has steps of 256.
    let nanos = whole * scale as f64;
    if !(-9.2e18..=9.2e18).contains(&nanos) {
        return None;
    }
    let fraction = ((number - whole) * scale as f64).round() as i64;
    (whole as i64).checked_mul(scale)?.checked_add(fraction)
}

/// A duration as rules write it: `5m`, `1h30m`, `1.5s`, `-250ms`.
pub fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        let size: i128 = match unit.trim() {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        total = total.checked_add(scaled(number, size)?)?;
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// `number` (digits, perhaps with a fraction) times `size`, exactly, cut towards zero.
pub(crate) fn scaled(number: &str, size: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 20 || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut sum = whole.checked_mul(size)?;
    let mut part: i128 = 0;
    for digit in fraction.bytes().take(18) {
        part = part * 10 + i128::from(char::from(digit).to_digit(10)?);
    }
    let digits = fraction.len().min(18) as u32;
    sum = sum.checked_add(part.checked_mul(size)? / 10_i128.checked_pow(digits)?)?;
    Some(sum)
}

/// An address, IPv4 or IPv6, without port, brackets or zone.
pub fn ip(text: &str) -> Option<u128> {
    if text.len() > 45 {
        return None;
    }
    let address = if text.contains(':') {
        IpAddr::V6(text.parse::<Ipv6Addr>().ok()?)
    } else {
        IpAddr::V4(text.parse::<Ipv4Addr>().ok()?)
    };
    Some(ip_to_u128(address))
}

/// A block of addresses; a single address is a block of one.
pub fn cidr(text: &str) -> Option<Cidr> {
    Cidr::parse(text)
}

/// How numbers stand for severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeverityScheme {
    /// 0–7 syslog, 8–24 OpenTelemetry, 30–60 pino.
    Auto,
    /// OpenTelemetry, 1–24.
    Otel,
    /// Syslog and journald, 0–7, 0 is the gravest.
    Syslog,
    /// pino and bunyan, 10–60.
    Pino,
}

impl SeverityScheme {
    /// The scheme of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "auto" | "klog" => Self::Auto,
            "otel" => Self::Otel,
            "syslog" | "journald" => Self::Syslog,
            "pino" | "bunyan" => Self::Pino,
            _ => return None,
        })
    }
}

/// A severity by name or number, in any case.
pub fn severity(text: &str, scheme: SeverityScheme) -> Option<Severity> {
    const WORDS: [(&str, u8); 30] = [
        ("info", 9),
        ("error", 17),
        ("warn", 13),
        ("warning", 13),
        ("debug", 5),
        ("trace", 1),
        ("notice", 10),
        ("fatal", 21),
        ("critical", 18),
        ("err", 17),
        ("crit", 18),
        ("information", 9),
        ("informational", 9),
        ("dbg", 5),
        ("trc", 1),
        ("verbose", 1),
        ("finest", 1),
        ("finer", 1),
        ("fine", 5),
        ("config", 9),
        ("severe", 17),
        ("alert", 18),
        ("emerg", 21),
        ("emergency", 21),
        ("panic", 21),
        ("dpanic", 21),
        ("default", 9),
        ("wrn", 13),
        ("inf", 9),
        ("ftl", 21),
    ];
    let text = text.trim();
    if let Some((_, number)) = WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)) {
        return Some(Severity(*number));
    }
    if let [letter] = text.as_bytes()
        && let Some(number) = match letter.to_ascii_uppercase() {
            b'T' => Some(1),
            b'D' => Some(5),
            b'I' => Some(9),
            b'N' => Some(10),
            b'W' => Some(13),
            b'E' => Some(17),
            b'C' => Some(18),
            b'F' => Some(21),
            _ => None,
        }
    {
        return Some(Severity(number));
    }
    severity_number(int(text)?, scheme)
}

/// A severity by its number.
///
/// Where schemes overlap, 10 and 20 are OpenTelemetry's: to take an error for debug noise would lose it.
pub fn severity_number(number: i64, scheme: SeverityScheme) -> Option<Severity> {
    let scheme = match scheme {
        SeverityScheme::Auto => match number {
            0..=7 => SeverityScheme::Syslog,
            8..=24 => SeverityScheme::Otel,
            _ => SeverityScheme::Pino,
        },
        known => known,
    };
    let number = match (scheme, number) {
        (SeverityScheme::Otel, 1..=24) => number as u8,
        (SeverityScheme::Syslog, 0..=7) => [21, 18, 18, 17, 13, 10, 9, 5][number as usize],
        (SeverityScheme::Pino, 10..=60) => match number / 10 {
            1 => 1,
            2 => 5,
            3 => 9,
            4 => 13,
            5 => 17,
            _ => 21,
        },
        _ => return None,
    };
    // Only named severities are stored: the enum of the tables has no others.
    Severity::named(Severity(number).name())
}
