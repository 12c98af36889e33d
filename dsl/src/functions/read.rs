//! Text and numbers read as the language's types: what `int(x)`, `ip(x)`, `coerce` and captures share.
//!
//! Invariant: nothing guesses. Blanks around a number, hexadecimal and trailing text are refused.

use crate::column::{Cidr, Severity, decode};

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
    decode::timestamp(text.as_bytes()).ok()
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
    // Longer than any duration can need, short enough that sums stay exact.
    const LONGEST: usize = 128;
    if text.len() > LONGEST {
        return None;
    }
    decode::duration(text.as_bytes()).ok()
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
    decode::ip(text.as_bytes())
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
    match int(text.trim()) {
        Some(number) => severity_number(number, scheme),
        None => decode::severity(text.as_bytes()),
    }
}

/// A severity by its number.
pub fn severity_number(number: i64, scheme: SeverityScheme) -> Option<Severity> {
    match (scheme, number) {
        (SeverityScheme::Auto, _) => decode::severity_number(number),
        (SeverityScheme::Otel, 1..=24) => Some(Severity(number as u8)),
        (SeverityScheme::Syslog, 0..=7) => decode::severity_number(number),
        (SeverityScheme::Pino, 10..=19) => Some(Severity(1)),
        (SeverityScheme::Pino, 20..=29) => Some(Severity(5)),
        (SeverityScheme::Pino, 30..=60) => decode::severity_number(number / 10 * 10),
        _ => None,
    }
}
