//! Values as text: what `string(x)` gives, and what stands in JSON.

use std::fmt::Write;

use crate::column::{Value, value::u128_to_ip};

/// Units of durations, largest first, in nanoseconds.
pub(crate) const DURATION_UNITS: [(i64, &str); 7] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

/// Appends an integer.
pub(crate) fn int(out: &mut String, number: i64) {
    write(out, format_args!("{number}"));
}

/// Appends a float so that it reads back as the same float: `31.0`, `0.25`, `1e300`.
pub(crate) fn float(out: &mut String, number: f64) {
    if number.is_finite() {
        let magnitude = number.abs();
        if magnitude != 0.0 && !(1e-5..1e16).contains(&magnitude) {
            write(out, format_args!("{number:e}"));
        } else {
            write(out, format_args!("{number:?}"));
        }
    } else {
        out.push_str(if number > 0.0 { "inf" } else { "-inf" });
    }
}

/// Appends an instant in RFC 3339, UTC, with as many digits as it needs.
pub fn timestamp(out: &mut String, nanos: i64) {
    const SECOND: i64 = 1_000_000_000;
    let (seconds, fraction) = (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND));
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    write(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
    match fraction {
        0 => {}
        f if f % 1_000_000 == 0 => write(out, format_args!(".{:03}", f / 1_000_000)),
        f if f % 1_000 == 0 => write(out, format_args!(".{:06}", f / 1_000)),
        f => write(out, format_args!(".{f:09}")),
    }
    out.push('Z');
}

/// Appends a duration as rules write it: `1h30m`, `250ms`, `-5s`.
pub fn duration(out: &mut String, nanos: i64) {
    if nanos == 0 {
        out.push_str("0s");
        return;
    }
    if nanos < 0 {
        out.push('-');
    }
    let mut left = nanos.unsigned_abs();
    for (size, unit) in DURATION_UNITS {
        let count = left / size.unsigned_abs();
        if count > 0 {
            write(out, format_args!("{count}{unit}"));
            left %= size.unsigned_abs();
        }
    }
}

/// Appends a scalar as text; lists, maps and absent values add nothing.
pub fn scalar(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Absent(_) | Value::Json(_) => {}
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => int(out, *number),
        Value::Float(number) => float(out, *number),
        Value::Text(text) => out.push_str(text),
        Value::Timestamp(nanos) => timestamp(out, *nanos),
        Value::Duration(nanos) => duration(out, *nanos),
        Value::Ip(address) => write(out, format_args!("{}", u128_to_ip(*address))),
        Value::Cidr(block) => write(out, format_args!("{block}")),
        Value::Severity(severity) => out.push_str(severity.name()),
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}
