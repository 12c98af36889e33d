//! One value of one row on its way into a column: from text or a rule's result to the bytes of the column's type.

use std::{io::Write as _, net::IpAddr, str};

use jiff::tz::TimeZone;
use logmon_dsl::column::{
    Absence, Cidr, Column, Kind, Severity, View,
    decode::{self, TimestampReader},
    json, print,
    value::u128_to_ip,
};

use super::{
    text::{Short, slice, with_text},
    time::{self, Calendar, DAY, SECOND},
    types::{Enum, Scalar},
};

/// A value as the batch holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Absent(Absence),
    View(View),
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Time(i64),
    Duration(i64),
    Ip(u128),
    Cidr(Cidr),
    Severity(Severity),
}

impl Cell {
    /// A column's value. Records have none; their fields are read one by one.
    #[inline]
    pub(super) fn of(column: &Column, row: usize) -> Self {
        if let Some(why) = column.absence(row) {
            return Self::Absent(why);
        }
        match column {
            Column::Bool(cells) => Self::Bool(cells.values[row]),
            Column::Int(cells) => Self::Int(cells.values[row]),
            Column::Float(cells) => Self::Float(cells.values[row]),
            Column::Timestamp(cells) => Self::Time(cells.values[row]),
            Column::Duration(cells) => Self::Duration(cells.values[row]),
            Column::Ip(cells) => Self::Ip(cells.values[row]),
            Column::Cidr(cells) => Self::Cidr(cells.values[row]),
            Column::Severity(cells) => Self::Severity(cells.values[row]),
            Column::Text(views) | Column::Json(views) => Self::view(views[row]),
            // Bytes leave expressions as text.
            Column::Bytes(_) | Column::Record(_) => Self::Absent(Absence::Type),
        }
    }

    /// A view as a cell, absent where it is.
    #[inline]
    pub(super) fn view(view: View) -> Self {
        match view.absence() {
            Some(why) => Self::Absent(why),
            None => Self::View(view),
        }
    }

    /// Whether there is a value.
    #[inline]
    pub(super) fn is_present(self) -> bool {
        !matches!(self, Self::Absent(_))
    }

    /// A view of the value's text; what is no view already is printed behind `extra`, which starts at `base` of the arena.
    pub(super) fn to_view(self, base: usize, extra: &mut Vec<u8>) -> View {
        let start = extra.len();
        let kind = match self {
            Self::Absent(why) => return View::absent(why),
            Self::View(view) => return view,
            Self::Bool(value) => return View::bool(value),
            Self::Int(number) => {
                json::write_int(extra, number);
                Kind::Number
            }
            Self::Unsigned(number) => {
                write!(extra, "{number}").expect("memory takes all writes");
                Kind::Number
            }
            Self::Float(number) => {
                json::write_float(extra, number);
                // Infinity is no JSON number; it can still stand as text.
                if number.is_finite() { Kind::Number } else { Kind::Text }
            }
            Self::Time(nanos) => {
                print::timestamp(extra, nanos);
                Kind::Text
            }
            Self::Duration(nanos) => {
                print::duration(extra, nanos);
                Kind::Text
            }
            Self::Ip(address) => {
                print::ip(extra, address);
                Kind::Text
            }
            Self::Cidr(block) => {
                write!(extra, "{block}").expect("memory takes all writes");
                Kind::Text
            }
            Self::Severity(severity) => {
                extra.extend_from_slice(severity.name().as_bytes());
                Kind::Text
            }
        };
        View::new(kind, base + start, extra.len() - start)
    }
}

/// Turns cells into the bytes of one fixed-width type.
#[derive(Debug)]
pub(super) struct Converter {
    scalar: Scalar,
    reader: TimestampReader,
    calendar: Calendar,
    /// For an enumeration that has the severities' names: the number of every severity.
    severities: Option<[i16; 25]>,
    /// Short texts of an enumeration seen lately and their numbers, each at its only place.
    recent: Vec<(Short, i16)>,
}

/// How many texts of an enumeration are remembered.
const RECENT: usize = 64;

impl Converter {
    /// A converter for a type; `zone` is the server's, for types that name none.
    pub(super) fn new(scalar: Scalar, zone: &TimeZone) -> Self {
        let severities = match &scalar {
            Scalar::Enum(values) => severities(values),
            _ => None,
        };
        Self {
            scalar,
            reader: TimestampReader::default(),
            calendar: Calendar::new(zone),
            severities,
            recent: Vec::new(),
        }
    }

    /// The type.
    pub(super) fn scalar(&self) -> &Scalar {
        &self.scalar
    }

    /// Nanoseconds of a `DateTime64`'s tick; `None` for other types.
    pub(super) fn tick(&self) -> Option<i64> {
        match self.scalar {
            Scalar::DateTime64(precision, _) => Some(10_i64.pow(9 - u32::from(precision))),
            _ => None,
        }
    }

    /// The number of a short text in an enumeration, for most rows without a look at the names; `None` where there is none.
    #[inline]
    pub(super) fn enumerated(&mut self, view: View, arena: &[u8]) -> Option<i16> {
        let short = Short::of(view, arena).filter(|_| view.kind() == Kind::Text)?;
        if let Some(&(known, number)) = self.recent.get(short.place(RECENT))
            && known == short
        {
            return Some(number);
        }
        let Scalar::Enum(values) = &self.scalar else { return None };
        let number = enumerated(values, self.severities.as_ref(), Cell::View(view), arena).ok()?;
        if self.recent.is_empty() {
            self.recent.resize(RECENT, (Short::NONE, 0));
        }
        self.recent[short.place(RECENT)] = (short, number);
        Some(number)
    }

    /// Appends the value's bytes; where there is no value, nothing.
    #[inline]
    pub(super) fn put(
        &mut self,
        cell: Cell,
        arena: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Absence> {
        if let Cell::Absent(why) = cell {
            return Err(why);
        }
        match &self.scalar {
            Scalar::Int { bytes, signed } => {
                let (bytes, signed) = (*bytes, *signed);
                put_int(integer(cell, arena)?, bytes, signed, out)
            }
            Scalar::Float64 => {
                out.extend_from_slice(&float(cell, arena)?.to_le_bytes());
                Ok(())
            }
            Scalar::Float32 => {
                let number = float(cell, arena)?;
                let narrow = number as f32;
                if narrow.is_infinite() && number.is_finite() {
                    return Err(Absence::OutOfRange);
                }
                out.extend_from_slice(&narrow.to_le_bytes());
                Ok(())
            }
            Scalar::Bool => {
                out.push(u8::from(truth(cell, arena)?));
                Ok(())
            }
            Scalar::FixedText(width) => {
                let width = *width;
                let mut extra = Vec::new();
                let view = cell.to_view(arena.len(), &mut extra);
                if extra.is_empty() {
                    with_text(view, arena, |text| put_fixed(text, width, out))
                } else {
                    put_fixed(&extra, width, out)
                }
            }
            Scalar::Date | Scalar::Date32 => {
                let days = self.day(cell, arena)?;
                if self.scalar == Scalar::Date {
                    let days = u16::try_from(days).map_err(|_| Absence::OutOfRange)?;
                    out.extend_from_slice(&days.to_le_bytes());
                } else {
                    // The years 1900 to 2299, which is what the type holds.
                    let days = i32::try_from(days).map_err(|_| Absence::OutOfRange)?;
                    if !(-25_567..=120_529).contains(&days) {
                        return Err(Absence::OutOfRange);
                    }
                    out.extend_from_slice(&days.to_le_bytes());
                }
                Ok(())
            }
            Scalar::DateTime(_) => {
                let seconds = self.moment(cell, arena)?.div_euclid(SECOND);
                let seconds = u32::try_from(seconds).map_err(|_| Absence::OutOfRange)?;
                out.extend_from_slice(&seconds.to_le_bytes());
                Ok(())
            }
            &Scalar::DateTime64(precision, _) => {
                let nanos = self.moment(cell, arena)?;
                let ticks = nanos.div_euclid(10_i64.pow(9 - u32::from(precision)));
                out.extend_from_slice(&ticks.to_le_bytes());
                Ok(())
            }
            Scalar::Enum(values) => {
                let number = enumerated(values, self.severities.as_ref(), cell, arena)?;
                if values.bytes == 1 {
                    out.push(number as u8);
                } else {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                Ok(())
            }
            Scalar::Uuid => {
                let Cell::View(view) = cell else { return Err(Absence::Type) };
                let bytes = with_text(view, arena, uuid).ok_or(Absence::Parse)?;
                // Two 64-bit halves, each with its low byte first.
                out.extend(bytes[..8].iter().rev());
                out.extend(bytes[8..].iter().rev());
                Ok(())
            }
            Scalar::Ipv4 => match u128_to_ip(address(cell, arena)?) {
                IpAddr::V4(v4) => {
                    out.extend_from_slice(&u32::from(v4).to_le_bytes());
                    Ok(())
                }
                IpAddr::V6(_) => Err(Absence::OutOfRange),
            },
            Scalar::Ipv6 => {
                out.extend_from_slice(&address(cell, arena)?.to_be_bytes());
                Ok(())
            }
            Scalar::Text => unreachable!("text has no fixed width"),
        }
    }

    /// The value as nanoseconds since 1970: by type, RFC 3339 text, or an epoch number.
    #[inline]
    pub(super) fn moment(&mut self, cell: Cell, arena: &[u8]) -> Result<i64, Absence> {
        match cell {
            Cell::Absent(why) => Err(why),
            Cell::Time(nanos) => Ok(nanos),
            Cell::Int(number) => decode::epoch_int(number),
            Cell::Float(number) => {
                let mut digits = Vec::new();
                json::write_float(&mut digits, number);
                decode::epoch(&digits)
            }
            Cell::View(view) => match view.kind() {
                Kind::Text => self.reader.read(slice(view, arena)),
                Kind::Escaped => with_text(view, arena, |text| self.reader.read(text)),
                Kind::Number => decode::epoch(slice(view, arena)),
                _ => Err(Absence::Type),
            },
            _ => Err(Absence::Type),
        }
    }

    fn day(&mut self, cell: Cell, arena: &[u8]) -> Result<i64, Absence> {
        if let Cell::View(view) = cell
            && view.kind() == Kind::Text
            && let Some(days) = time::day(slice(view, arena))
        {
            return Ok(days);
        }
        let seconds = self.moment(cell, arena)?.div_euclid(SECOND);
        Ok(self.calendar.local(seconds).div_euclid(DAY))
    }
}

fn put_int(number: i128, bytes: u8, signed: bool, out: &mut Vec<u8>) -> Result<(), Absence> {
    let bits = u32::from(bytes) * 8;
    let (low, high) = if signed {
        (-(1_i128 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        (0, (1 << bits) - 1)
    };
    if !(low..=high).contains(&number) {
        return Err(Absence::OutOfRange);
    }
    out.extend_from_slice(&number.to_le_bytes()[..usize::from(bytes)]);
    Ok(())
}

fn integer(cell: Cell, arena: &[u8]) -> Result<i128, Absence> {
    match cell {
        Cell::Absent(why) => Err(why),
        Cell::Bool(value) => Ok(i128::from(value)),
        Cell::Int(number) | Cell::Duration(number) => Ok(i128::from(number)),
        Cell::Unsigned(number) => Ok(i128::from(number)),
        Cell::Float(number) => whole(number),
        Cell::Severity(severity) => Ok(i128::from(severity.0)),
        Cell::Time(_) | Cell::Ip(_) | Cell::Cidr(_) => Err(Absence::Type),
        Cell::View(view) => match view.kind() {
            Kind::Number | Kind::Text => {
                let digits = slice(view, arena);
                match parse_integer(digits) {
                    Some(number) => Ok(number),
                    None => decode::float(digits).and_then(whole),
                }
            }
            Kind::Bool => Ok(i128::from(view.len() == 1)),
            Kind::Escaped => Err(Absence::Parse),
            _ => Err(Absence::Type),
        },
    }
}

/// A float without a fraction as an integer: `200.0`, `2e2`.
fn whole(number: f64) -> Result<i128, Absence> {
    if number.fract() != 0.0 {
        return Err(if number.is_finite() { Absence::Type } else { Absence::OutOfRange });
    }
    Ok(number as i128)
}

fn float(cell: Cell, arena: &[u8]) -> Result<f64, Absence> {
    match cell {
        Cell::Float(number) => Ok(number),
        Cell::View(view) => match view.kind() {
            Kind::Number | Kind::Text => decode::float(slice(view, arena)),
            Kind::Escaped => Err(Absence::Parse),
            _ => Err(Absence::Type),
        },
        Cell::Bool(_) => Err(Absence::Type),
        other => integer(other, arena).map(|number| number as f64),
    }
}

/// Digits only, with a sign; more than 38 of them are no integer here.
fn parse_integer(text: &[u8]) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 38 {
        return None;
    }
    let mut number = 0_u64;
    if digits.len() <= 19 {
        for &digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number * 10 + u64::from(digit);
        }
        let number = i128::from(number);
        return Some(if negative { -number } else { number });
    }
    str::from_utf8(text).ok()?.parse().ok()
}

fn truth(cell: Cell, arena: &[u8]) -> Result<bool, Absence> {
    match cell {
        Cell::Absent(why) => Err(why),
        Cell::Bool(value) => Ok(value),
        Cell::View(view) if view.kind() == Kind::Bool => Ok(view.len() == 1),
        Cell::View(view) if view.kind() == Kind::Text => match slice(view, arena) {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(Absence::Parse),
        },
        other => match integer(other, arena)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Absence::OutOfRange),
        },
    }
}

fn put_fixed(text: &[u8], width: usize, out: &mut Vec<u8>) -> Result<(), Absence> {
    let start = out.len();
    if text.len() == 2 * width && text.iter().all(u8::is_ascii_hexdigit) {
        // Twice the width in hex digits are the bytes of an identifier.
        out.extend(text.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])));
        return Ok(());
    }
    if text.len() > width {
        return Err(Absence::OutOfRange);
    }
    out.extend_from_slice(text);
    out.resize(start + width, 0);
    Ok(())
}

fn nibble(digit: u8) -> u8 {
    (digit & 15) + if digit > b'9' { 9 } else { 0 }
}

fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut digits = [0; 32];
    match text.len() {
        32 => digits.copy_from_slice(text),
        36 => {
            let mut at = 0;
            for (place, &byte) in text.iter().enumerate() {
                if matches!(place, 8 | 13 | 18 | 23) {
                    if byte != b'-' {
                        return None;
                    }
                } else {
                    digits[at] = byte;
                    at += 1;
                }
            }
        }
        _ => return None,
    }
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some(std::array::from_fn(|at| nibble(digits[2 * at]) << 4 | nibble(digits[2 * at + 1])))
}

fn address(cell: Cell, arena: &[u8]) -> Result<u128, Absence> {
    match cell {
        Cell::Absent(why) => Err(why),
        Cell::Ip(address) => Ok(address),
        Cell::View(view) => match view.kind() {
            Kind::Text => decode::ip(slice(view, arena)).ok_or(Absence::Parse),
            Kind::Escaped => with_text(view, arena, decode::ip).ok_or(Absence::Parse),
            _ => Err(Absence::Type),
        },
        _ => Err(Absence::Type),
    }
}

/// The enumeration's number of every severity, if it has the names that severities need; a severity without a name of its own
/// takes the next lower name's.
fn severities(values: &Enum) -> Option<[i16; 25]> {
    values.number(b"info").and(values.number(b"error"))?;
    let mut numbers = [values.first(); 25];
    for (severity, number) in numbers.iter_mut().enumerate().skip(1) {
        let name = Severity(severity as u8).name();
        let lower =
            Severity::NAMED.iter().rev().filter(|(_, known)| usize::from(known.0) <= severity);
        let known = values.number(name.as_bytes());
        let known =
            known.or_else(|| lower.clone().find_map(|(name, _)| values.number(name.as_bytes())));
        *number = known.unwrap_or_else(|| values.first());
    }
    Some(numbers)
}

fn enumerated(
    values: &Enum,
    severities: Option<&[i16; 25]>,
    cell: Cell,
    arena: &[u8],
) -> Result<i16, Absence> {
    match cell {
        Cell::Severity(severity) => {
            let Some(numbers) = severities else {
                return values.number(severity.name().as_bytes()).ok_or(Absence::OutOfRange);
            };
            numbers.get(usize::from(severity.0)).copied().ok_or(Absence::OutOfRange)
        }
        Cell::View(view) if matches!(view.kind(), Kind::Text | Kind::Escaped) => {
            with_text(view, arena, |text| {
                if let Some(number) = values.number(text) {
                    return Ok(number);
                }
                let numbers = severities.ok_or(Absence::OutOfRange)?;
                decode::severity(text)
                    .map(|severity| numbers[usize::from(severity.0)])
                    .ok_or(Absence::Parse)
            })
        }
        other => {
            let number = integer(other, arena)?;
            let number = i64::try_from(number).map_err(|_| Absence::OutOfRange)?;
            if let Some(numbers) = severities {
                let severity = decode::severity_number(number).ok_or(Absence::OutOfRange)?;
                return Ok(numbers[usize::from(severity.0)]);
            }
            if values.has(number) { Ok(number as i16) } else { Err(Absence::OutOfRange) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(ty: &str, text: &[u8], kind: Kind) -> Result<Vec<u8>, Absence> {
        let ty = super::super::types::Type::parse(ty).unwrap();
        let mut converter = Converter::new(ty.scalar().unwrap().clone(), &TimeZone::UTC);
        let mut out = Vec::new();
        let view = View::new(kind, 0, text.len());
        converter.put(Cell::View(view), text, &mut out).map(|()| out)
    }

    #[test]
    fn numbers_never_wrap() {
        let number = |ty, text: &str| put(ty, text.as_bytes(), Kind::Number);
        assert_eq!(number("UInt8", "255"), Ok(vec![255]));
        assert_eq!(number("UInt8", "256"), Err(Absence::OutOfRange));
        assert_eq!(number("UInt8", "-1"), Err(Absence::OutOfRange));
        assert_eq!(number("Int8", "-128"), Ok(vec![128]));
        assert_eq!(number("UInt16", "2e2"), Ok(vec![200, 0]));
        assert_eq!(number("UInt16", "200.5"), Err(Absence::Type));
        assert_eq!(number("UInt64", "18446744073709551615"), Ok(vec![255; 8]));
        assert_eq!(number("Int64", "9223372036854775808"), Err(Absence::OutOfRange));
        assert_eq!(
            number("Int64", "99999999999999999999999999999999999999999"),
            Err(Absence::OutOfRange)
        );
        assert_eq!(number("Float32", "1e39"), Err(Absence::OutOfRange));
        assert_eq!(number("Date", "-1"), Err(Absence::OutOfRange));
        assert_eq!(put("UInt16", b"503", Kind::Text), Ok(vec![247, 1]));
        assert_eq!(put("UInt16", b"many", Kind::Text), Err(Absence::Parse));
        for endless in ["nan", "-inf", "1e400"] {
            assert_eq!(put("Float64", endless.as_bytes(), Kind::Text), Err(Absence::OutOfRange));
        }
    }

    #[test]
    fn text_becomes_addresses_enumerations_and_identifiers() {
        assert_eq!(put("IPv4", b"192.0.2.1", Kind::Text), Ok(vec![1, 2, 0, 192]));
        assert_eq!(put("IPv4", b"::1", Kind::Text), Err(Absence::OutOfRange));
        assert_eq!(put("IPv6", b"10.0.0.1", Kind::Text).unwrap()[10..], [255, 255, 10, 0, 0, 1]);
        for bad in ["1.2.3", "1.2.3.256", "01.2.3.4", "1..2.3", "1.2.3.4.5", ""] {
            assert_eq!(put("IPv4", bad.as_bytes(), Kind::Text), Err(Absence::Parse), "{bad}");
        }
        let severity = "Enum8('unset' = 0, 'debug' = 5, 'info' = 9, 'error' = 17)";
        assert_eq!(put(severity, b"ERROR", Kind::Text), Ok(vec![17]));
        assert_eq!(put(severity, b"warn", Kind::Text), Ok(vec![9]), "the next lower name");
        assert_eq!(put(severity, b"12", Kind::Number), Ok(vec![9]));
        assert_eq!(put(severity, b"7", Kind::Number), Ok(vec![5]), "syslog's debug");
        assert_eq!(put(severity, b"no idea", Kind::Text), Err(Absence::Parse));
        let id = put("UUID", b"00112233-4455-6677-8899-aabbccddeeff", Kind::Text).unwrap();
        assert_eq!(id[..2], [0x77, 0x66]);
        assert_eq!(put("FixedString(2)", b"aBcD", Kind::Text), Ok(vec![0xab, 0xcd]));
        assert_eq!(put("FixedString(4)", b"ab", Kind::Text), Ok(vec![b'a', b'b', 0, 0]));
        assert_eq!(put("FixedString(1)", b"abc", Kind::Text), Err(Absence::OutOfRange));
    }
}
