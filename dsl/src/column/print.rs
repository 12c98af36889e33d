//! Values to text: as JSON a person expects, and as they read inside other text.

use std::io::Write as _;

use base64::Engine as _;

use super::{
    cells::{Cells, Column, Record},
    json,
    value::{Absence, Value, u128_to_ip},
    view::{Arena, Kind, View},
};

/// Appends a value as it reads inside other text: text without quotes, everything else as in JSON without quotes. Absent appends nothing.
pub fn plain(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Absent(_) => {}
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int(number) => json::write_int(out, *number),
        Value::Float(number) => json::write_float(out, *number),
        Value::Text(text) | Value::Json(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => base64(out, bytes),
        Value::Timestamp(nanos) => timestamp(out, *nanos),
        Value::Duration(nanos) => duration(out, *nanos),
        Value::Ip(address) => ip(out, *address),
        Value::Cidr(block) => write!(out, "{block}").expect("a vector takes every byte"),
        Value::Severity(severity) => out.extend_from_slice(severity.name().as_bytes()),
    }
}

/// Appends bytes as Base64, standard and padded.
pub fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a value as JSON; absent is null.
pub fn json(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Absent(_) => out.extend_from_slice(b"null"),
        Value::Text(text) => json::write_string(out, text.as_bytes()),
        Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Ip(_)
        | Value::Cidr(_)
        | Value::Severity(_) => {
            out.push(b'"');
            plain(out, value);
            out.push(b'"');
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => plain(out, value),
    }
}

/// Appends what a view points at as JSON, byte for byte as it came where it came from an event.
pub fn view(out: &mut Vec<u8>, arena: &Arena, view: View) {
    match view.kind() {
        Kind::Absent => out.extend_from_slice(b"null"),
        Kind::Text => json::write_string(out, arena.get(view)),
        Kind::Escaped => {
            out.push(b'"');
            out.extend_from_slice(arena.get(view));
            out.push(b'"');
        }
        Kind::Number | Kind::Array | Kind::Object => out.extend_from_slice(arena.get(view)),
        Kind::Bool => out.extend_from_slice(if view.len() == 1 { b"true" } else { b"false" }),
        Kind::Spread => out.extend_from_slice(b"{}"),
    }
}

/// Appends one row of a column as JSON; absent is null.
pub fn cell(out: &mut Vec<u8>, arena: &Arena, column: &Column, row: usize) {
    match column {
        Column::Text(views) | Column::Json(views) => view(out, arena, views[row]),
        Column::Record(record) => self::record(out, arena, record, row),
        Column::Bool(_)
        | Column::Int(_)
        | Column::Float(_)
        | Column::Timestamp(_)
        | Column::Duration(_)
        | Column::Ip(_)
        | Column::Cidr(_)
        | Column::Bytes(_)
        | Column::Severity(_) => json(out, &value(arena, column, row)),
    }
}

fn record(out: &mut Vec<u8>, arena: &Arena, record: &Record, row: usize) {
    if record.state[row] != 0 {
        out.extend_from_slice(b"null");
        return;
    }
    out.push(b'{');
    let start = out.len();
    for (key, column) in &record.fields {
        // An absent field of a record is left out.
        if column.absence(row).is_some() {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        json::write_string(out, key.as_bytes());
        out.push(b':');
        cell(out, arena, column, row);
    }
    out.push(b'}');
}

/// Returns one row of a column as a value. Views are read by their kind: JSON numbers as numbers, JSON text as text.
pub fn value<'a>(arena: &'a Arena, column: &Column, row: usize) -> Value<'a> {
    fn of<'a, T: Copy + Default>(
        cells: &Cells<T>,
        row: usize,
        wrap: impl Fn(T) -> Value<'a>,
    ) -> Value<'a> {
        cells.get(row).map_or_else(Value::Absent, wrap)
    }
    match column {
        Column::Bool(cells) => of(cells, row, Value::Bool),
        Column::Int(cells) => of(cells, row, Value::Int),
        Column::Float(cells) => of(cells, row, Value::Float),
        Column::Timestamp(cells) => of(cells, row, Value::Timestamp),
        Column::Duration(cells) => of(cells, row, Value::Duration),
        Column::Ip(cells) => of(cells, row, Value::Ip),
        Column::Cidr(cells) => of(cells, row, Value::Cidr),
        Column::Severity(cells) => of(cells, row, Value::Severity),
        Column::Bytes(views) => match views[row].absence() {
            Some(why) => Value::Absent(why),
            None => Value::Bytes(arena.get(views[row]).into()),
        },
        Column::Text(views) | Column::Json(views) => view_value(arena, views[row]),
        Column::Record(record) => {
            if let Some(why) = Absence::from_code(record.state[row]) {
                return Value::Absent(why);
            }
            let mut text = Vec::new();
            self::record(&mut text, arena, record, row);
            Value::Json(String::from_utf8(text).unwrap_or_default().into())
        }
    }
}

/// Returns what a view points at as a value.
pub fn view_value(arena: &Arena, view: View) -> Value<'_> {
    let text = || std::str::from_utf8(arena.get(view)).unwrap_or_default();
    match view.kind() {
        Kind::Absent => Value::Absent(view.absence().unwrap_or(Absence::Missing)),
        Kind::Text => Value::text(text()),
        Kind::Escaped => {
            let text = json::unescaped(arena.get(view), true).into_owned();
            Value::owned(String::from_utf8(text).unwrap_or_default())
        }
        Kind::Number => json::number(arena.get(view)),
        Kind::Bool => Value::Bool(view.len() == 1),
        Kind::Array | Kind::Object => Value::Json(text().into()),
        Kind::Spread => Value::Json("{}".into()),
    }
}

/// Appends an address.
pub fn ip(out: &mut Vec<u8>, address: u128) {
    write!(out, "{}", u128_to_ip(address)).expect("a vector takes every byte");
}

/// Appends a timestamp as RFC 3339 in UTC, with 0, 3, 6 or 9 digits of fraction.
pub fn timestamp(out: &mut Vec<u8>, nanos: i64) {
    let seconds = nanos.div_euclid(1_000_000_000);
    let fraction = nanos.rem_euclid(1_000_000_000);
    let (year, month, day) = date_of(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    digits(out, year, 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    digits(out, second / 3_600, 2);
    out.push(b':');
    digits(out, second / 60 % 60, 2);
    out.push(b':');
    digits(out, second % 60, 2);
    if fraction != 0 {
        out.push(b'.');
        if fraction % 1_000_000 == 0 {
            digits(out, fraction / 1_000_000, 3);
        } else if fraction % 1_000 == 0 {
            digits(out, fraction / 1_000, 6);
        } else {
            digits(out, fraction, 9);
        }
    }
    out.push(b'Z');
}

fn digits(out: &mut Vec<u8>, number: i64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut left = number;
    for place in out[start..].iter_mut().rev() {
        *place = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, by counting years from March.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Appends a duration as rules write it: `1m30s`, `250ms`, `0s`.
pub fn duration(out: &mut Vec<u8>, nanos: i64) {
    const UNITS: [(u64, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    if nanos == 0 {
        out.extend_from_slice(b"0s");
        return;
    }
    if nanos < 0 {
        out.push(b'-');
    }
    let mut left = nanos.unsigned_abs();
    for (unit, name) in UNITS {
        if left >= unit {
            json::write_int(out, (left / unit) as i64);
            out.extend_from_slice(name.as_bytes());
            left %= unit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{decode, value::Cidr, value::Severity};

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_come_back() {
        for nanos in
            [0, 1, -1, 1_777_629_600_000_000_000, 951_782_400_120_000_000, i64::MAX, i64::MIN]
        {
            let printed = text(|out| timestamp(out, nanos));
            assert_eq!(decode::timestamp(printed.as_bytes()), Ok(nanos), "{printed}");
        }
        assert_eq!(text(|out| timestamp(out, 1_120_000_000)), "1970-01-01T00:00:01.120Z");
    }

    #[test]
    fn durations_come_back() {
        for (nanos, expected) in [
            (0, "0s"),
            (90_000_000_000, "1m30s"),
            (-1_500_000_000, "-1s500ms"),
            (86_400_000_000_001, "1d1ns"),
        ] {
            let printed = text(|out| duration(out, nanos));
            assert_eq!(printed, expected);
            assert_eq!(decode::duration(printed.as_bytes()), Ok(nanos));
        }
    }

    #[test]
    fn values_print_as_json() {
        let ip = decode::ip(b"10.0.0.1").unwrap();
        for (value, expected) in [
            (Value::Absent(Absence::Parse), "null"),
            (Value::Float(31.0), "31.0"),
            (Value::Ip(ip), "\"10.0.0.1\""),
            (Value::Cidr(Cidr::parse("10.0.0.0/8").unwrap()), "\"10.0.0.0/8\""),
            (Value::Severity(Severity(13)), "\"warn\""),
            (Value::text("a\"b"), "\"a\\\"b\""),
            (Value::Json("[1, 2]".into()), "[1, 2]"),
        ] {
            assert_eq!(text(|out| json(out, &value)), expected);
        }
    }
}
