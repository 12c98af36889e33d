//! Which ClickHouse partition a row belongs to, computed here so that a block holds one partition only.
//!
//! Expressions beyond this file's list are left to the server: such a table's blocks may hold several partitions.

use jiff::tz::TimeZone;

use super::{
    columns::{Decoded, Values},
    text::with_text,
    time::{Calendar, DAY, civil, days},
    types::{Scalar, Type, call, split, unquote},
};

/// A partition key that can be computed.
#[derive(Debug, Clone)]
pub(super) struct PartitionKey {
    parts: Vec<Expr>,
}

/// A column as the expression reads it.
#[derive(Debug, Clone)]
pub(super) struct KeyColumn {
    /// Its place among the bound columns.
    pub(super) at: usize,
    /// Its type.
    pub(super) ty: Type,
}

#[derive(Debug, Clone)]
enum Expr {
    Column(usize, Scalar),
    Number(i128),
    Cut(Cut, Box<Self>, Calendar),
    Divide(Box<Self>, Box<Self>),
    Remainder(Box<Self>, Box<Self>),
}

/// What a date function leaves of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Day,
    Hour,
    Monday,
    Sunday,
    Month,
    Quarter,
    Year,
    MonthNumber,
    DayNumber,
    YearNumber,
}

/// Function names in lower case, as the server compares these.
const CUTS: [(&str, Cut); 13] = [
    ("todate", Cut::Day),
    ("todate32", Cut::Day),
    ("tostartofday", Cut::Day),
    ("tostartofhour", Cut::Hour),
    ("tomonday", Cut::Monday),
    ("tostartofweek", Cut::Sunday),
    ("tostartofmonth", Cut::Month),
    ("tostartofquarter", Cut::Quarter),
    ("tostartofyear", Cut::Year),
    ("toyyyymm", Cut::MonthNumber),
    ("toyyyymmdd", Cut::DayNumber),
    ("toyear", Cut::YearNumber),
    ("date", Cut::Day),
];

#[derive(PartialEq)]
enum Value {
    Null,
    Number(i128),
    /// Seconds since 1970.
    Moment(i64),
    /// Days since 1970.
    Day(i64),
}

impl PartitionKey {
    /// Reads the key as `system.tables` prints it; `None` where it has anything unknown. No key at all is a key of no parts.
    pub(super) fn parse(
        text: &str,
        zone: &TimeZone,
        column: &dyn Fn(&str) -> Option<KeyColumn>,
    ) -> Option<Self> {
        let text = text.trim();
        let parts = match call(text) {
            _ if text.is_empty() => Vec::new(),
            ("tuple" | "", Some(args)) => split(args),
            _ => vec![text],
        };
        let parts =
            parts.into_iter().map(|part| expr(part, zone, column)).collect::<Option<_>>()?;
        Some(Self { parts })
    }

    /// Whether every row falls into the same partition.
    pub(super) fn is_constant(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether all rows surely fall into one partition, as far as the first and the last moment tell.
    pub(super) fn is_shared(&mut self, decoded: &[Decoded]) -> bool {
        self.parts.iter_mut().all(|part| part.is_shared(decoded))
    }

    /// Appends the row's partition value in a form of its own: equal bytes exactly where the value is equal.
    pub(super) fn write(
        &mut self,
        decoded: &[Decoded],
        row: usize,
        arena: &[u8],
        out: &mut Vec<u8>,
    ) {
        for part in &mut self.parts {
            if let Expr::Column(at, scalar) = part {
                raw(&decoded[*at], scalar, row, arena, out);
                continue;
            }
            match part.value(decoded, row) {
                Value::Null => out.push(0),
                Value::Number(number) => {
                    out.push(1);
                    out.extend_from_slice(&number.to_le_bytes());
                }
                Value::Moment(number) | Value::Day(number) => {
                    out.push(1);
                    out.extend_from_slice(&i128::from(number).to_le_bytes());
                }
            }
        }
    }
}

/// A plain column's value: its bytes with their length in front.
fn raw(decoded: &Decoded, scalar: &Scalar, row: usize, arena: &[u8], out: &mut Vec<u8>) {
    let mut put = |bytes: &[u8]| {
        out.push(2);
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match &decoded.values {
        Values::Fixed(bytes) => {
            let width = scalar.width().expect("fixed values belong to a fixed-width type");
            put(&bytes[row * width..(row + 1) * width]);
        }
        Values::Views(views) => with_text(views[row], arena, put),
        Values::List(..) | Values::Entries(..) => unreachable!("keys are scalars"),
    }
    // NULL and a default look alike in the bytes.
    out.push(u8::from(decoded.state[row] != 0));
}

impl Expr {
    fn is_shared(&mut self, decoded: &[Decoded]) -> bool {
        match self {
            Self::Number(_) => true,
            Self::Column(at, scalar) => {
                let Decoded { state, values } = &decoded[*at];
                let is_one = match (values, scalar.width()) {
                    (Values::Fixed(bytes), Some(width)) => {
                        bytes.chunks_exact(width).all(|value| *value == bytes[..width])
                    }
                    (Values::Views(views), _) => views.iter().all(|view| *view == views[0]),
                    _ => false,
                };
                is_one && state.iter().all(|one| *one == state[0])
            }
            Self::Cut(cut, of, calendar) => {
                let Self::Column(at, scalar) = &**of else { return false };
                let Some((first, last)) = span(&decoded[*at], scalar) else { return false };
                // Every cut is made at a whole quarter of an hour, and in UTC none goes back.
                calendar.is_same_quarter(first, last)
                    || calendar.is_steady() && cut.of(first) == cut.of(last)
            }
            Self::Divide(..) | Self::Remainder(..) => false,
        }
    }

    fn value(&mut self, decoded: &[Decoded], row: usize) -> Value {
        match self {
            Self::Number(number) => Value::Number(*number),
            Self::Column(at, scalar) => stored(&decoded[*at], scalar, row),
            Self::Cut(cut, of, calendar) => {
                let local = match of.value(decoded, row) {
                    Value::Null => return Value::Null,
                    Value::Day(day) => day * DAY,
                    Value::Moment(seconds) => calendar.local(seconds),
                    Value::Number(number) => calendar.local(number as i64),
                };
                cut.of(local)
            }
            Self::Divide(a, b) => arithmetic(a, b, decoded, row, i128::checked_div),
            Self::Remainder(a, b) => arithmetic(a, b, decoded, row, i128::checked_rem),
        }
    }
}

fn arithmetic(
    a: &mut Expr,
    b: &mut Expr,
    decoded: &[Decoded],
    row: usize,
    compute: fn(i128, i128) -> Option<i128>,
) -> Value {
    let number = |value| match value {
        Value::Null => None,
        Value::Number(number) => Some(number),
        Value::Moment(number) | Value::Day(number) => Some(i128::from(number)),
    };
    let (a, b) = (number(a.value(decoded, row)), number(b.value(decoded, row)));
    a.zip(b).and_then(|(a, b)| compute(a, b)).map_or(Value::Null, Value::Number)
}

impl Cut {
    fn of(self, local: i64) -> Value {
        let day = local.div_euclid(DAY);
        let (year, month, of_month) = civil(day);
        match self {
            Self::Day => Value::Day(day),
            Self::Hour => Value::Number(i128::from(local.div_euclid(3600))),
            // 1970-01-01 was a Thursday.
            Self::Monday => Value::Day(day - (day + 3).rem_euclid(7)),
            Self::Sunday => Value::Day(day - (day + 4).rem_euclid(7)),
            Self::Month => Value::Day(days(year, month, 1)),
            Self::Quarter => Value::Day(days(year, (month - 1) / 3 * 3 + 1, 1)),
            Self::Year => Value::Day(days(year, 1, 1)),
            Self::MonthNumber => Value::Number(i128::from(year * 100 + month)),
            Self::DayNumber => Value::Number(i128::from(year * 10_000 + month * 100 + of_month)),
            Self::YearNumber => Value::Number(i128::from(year)),
        }
    }
}

/// The first and the last moment of a column, in seconds since 1970.
fn span(decoded: &Decoded, scalar: &Scalar) -> Option<(i64, i64)> {
    let Values::Fixed(bytes) = &decoded.values else { return None };
    match scalar {
        Scalar::DateTime(_) => {
            let moments =
                bytes.as_chunks().0.iter().map(|value| i64::from(u32::from_le_bytes(*value)));
            bounds(moments)
        }
        Scalar::DateTime64(precision, _) => {
            let moments = bytes.as_chunks().0.iter().map(|value| i64::from_le_bytes(*value));
            let ticks = 10_i64.pow(u32::from(*precision));
            bounds(moments).map(|(first, last)| (first.div_euclid(ticks), last.div_euclid(ticks)))
        }
        _ => None,
    }
}

fn bounds(mut moments: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
    let first = moments.next()?;
    Some(moments.fold((first, first), |(low, high), moment| (low.min(moment), high.max(moment))))
}

fn stored(decoded: &Decoded, scalar: &Scalar, row: usize) -> Value {
    let (Values::Fixed(bytes), Some(width)) = (&decoded.values, scalar.width()) else {
        return Value::Null;
    };
    let bytes = &bytes[row * width..(row + 1) * width];
    let unsigned = bytes.iter().rev().fold(0_i128, |number, &byte| number << 8 | i128::from(byte));
    let bits = 8 * width as u32;
    let signed = if bits < 128 && unsigned >> (bits - 1) & 1 == 1 {
        unsigned - (1 << bits)
    } else {
        unsigned
    };
    match scalar {
        Scalar::Int { signed: false, .. } | Scalar::Bool => Value::Number(unsigned),
        Scalar::Int { signed: true, .. } | Scalar::Enum(_) => Value::Number(signed),
        Scalar::Date => Value::Day(unsigned as i64),
        Scalar::Date32 => Value::Day(signed as i64),
        Scalar::DateTime(_) => Value::Moment(unsigned as i64),
        Scalar::DateTime64(precision, _) => {
            Value::Moment((signed as i64).div_euclid(10_i64.pow(u32::from(*precision))))
        }
        _ => Value::Null,
    }
}

fn expr(text: &str, zone: &TimeZone, column: &dyn Fn(&str) -> Option<KeyColumn>) -> Option<Expr> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(Expr::Number(number));
    }
    let name = text.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(text);
    if let Some(KeyColumn { at, ty }) = column(name) {
        // NULL in a key needs a setting of the table that nobody should use.
        return match ty {
            Type::Scalar(scalar) | Type::Low(scalar, false) => Some(Expr::Column(at, scalar)),
            _ => None,
        };
    }
    if let Some((a, b)) = infix(text, " % ") {
        let (a, b) = (number(expr(a, zone, column)?)?, number(expr(b, zone, column)?)?);
        return Some(Expr::Remainder(Box::new(a), Box::new(b)));
    }
    let (name, args) = call(text);
    let args = split(args?);
    match (name, args.as_slice()) {
        ("", [inner]) => return expr(inner, zone, column),
        ("intDiv", [a, b]) => {
            let (a, b) = (number(expr(a, zone, column)?)?, number(expr(b, zone, column)?)?);
            return Some(Expr::Divide(Box::new(a), Box::new(b)));
        }
        ("modulo", [a, b]) => {
            let (a, b) = (number(expr(a, zone, column)?)?, number(expr(b, zone, column)?)?);
            return Some(Expr::Remainder(Box::new(a), Box::new(b)));
        }
        _ => {}
    }
    let name = name.to_ascii_lowercase();
    let mut cut = CUTS.iter().find(|(known, _)| *known == name)?.1;
    let (of, mut rest) = args.split_first()?;
    if cut == Cut::Sunday
        && let Some((mode, behind)) = rest.split_first()
    {
        // Odd modes start weeks on Monday.
        cut = if mode.parse::<u8>().ok()? % 2 == 1 { Cut::Monday } else { Cut::Sunday };
        rest = behind;
    }
    let of = expr(of, zone, column)?;
    let own = match &of {
        Expr::Column(_, Scalar::DateTime(zone) | Scalar::DateTime64(_, zone)) => zone.0.clone(),
        Expr::Column(_, Scalar::Date | Scalar::Date32) | Expr::Cut(..) => None,
        _ => return None,
    };
    let zone = match rest {
        [] => own.unwrap_or_else(|| zone.clone()),
        [named] => TimeZone::get(&unquote(named)?).ok()?,
        _ => return None,
    };
    Some(Expr::Cut(cut, Box::new(of), Calendar::new(&zone)))
}

/// The expression, if its value is a number; a moment's ticks are not what `stored` gives.
fn number(expr: Expr) -> Option<Expr> {
    match &expr {
        Expr::Column(_, Scalar::Int { .. } | Scalar::DateTime(_) | Scalar::Date)
        | Expr::Number(_)
        | Expr::Divide(..)
        | Expr::Remainder(..)
        | Expr::Cut(Cut::MonthNumber | Cut::DayNumber | Cut::YearNumber, ..) => Some(expr),
        _ => None,
    }
}

fn infix<'a>(text: &'a str, sign: &str) -> Option<(&'a str, &'a str)> {
    let mut depth = 0_i32;
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ if depth == 0 && text.is_char_boundary(at) && text[at..].starts_with(sign) => {
                return Some((&text[..at], &text[at + sign.len()..]));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(key: &str, ty: &str, seconds: &[u32]) -> Option<Vec<Vec<u8>>> {
        let ty = Type::parse(ty).unwrap();
        let column = |name: &str| (name == "t").then(|| KeyColumn { at: 0, ty: ty.clone() });
        let mut key = PartitionKey::parse(key, &TimeZone::UTC, &column)?;
        let bytes = seconds.iter().flat_map(|second| second.to_le_bytes()).collect();
        let decoded = Decoded { state: vec![0; seconds.len()], values: Values::Fixed(bytes) };
        let is_shared = key.is_shared(std::slice::from_ref(&decoded));
        let row = |row| {
            let mut out = Vec::new();
            key.write(std::slice::from_ref(&decoded), row, &[], &mut out);
            out
        };
        let keys: Vec<_> = (0..seconds.len()).map(row).collect();
        assert!(
            !is_shared || keys.iter().all(|key| *key == keys[0]),
            "no key is shared that is not"
        );
        Some(keys)
    }

    fn is_shared(key: &str, ty: &str, seconds: &[u32]) -> bool {
        let ty = Type::parse(ty).unwrap();
        let column = |name: &str| (name == "t").then(|| KeyColumn { at: 0, ty: ty.clone() });
        let mut key = PartitionKey::parse(key, &TimeZone::UTC, &column).unwrap();
        let bytes = seconds.iter().flat_map(|second| second.to_le_bytes()).collect();
        let decoded = Decoded { state: vec![0; seconds.len()], values: Values::Fixed(bytes) };
        key.is_shared(std::slice::from_ref(&decoded))
    }

    #[test]
    fn neighbors_are_seen_to_share_their_partition() {
        // 2026-11-21 12:00 to 12:14, and noon again on the next day, UTC.
        let (near, far) =
            ([1_795_262_400, 1_795_263_299, 1_795_262_401], [1_795_262_400, 1_795_348_800]);
        for ty in ["DateTime('UTC')", "DateTime('Europe/Berlin')", "DateTime('Asia/Kathmandu')"] {
            for key in ["toDate(t)", "toYYYYMM(t)", "toStartOfHour(t)", "(toMonday(t), 3)"] {
                assert!(is_shared(key, ty, &near), "{key} {ty}");
            }
            assert!(!is_shared("toDate(t)", ty, &far));
        }
        assert!(is_shared("toYYYYMM(t)", "DateTime('UTC')", &far), "no step back in UTC");
        assert!(!is_shared("t", "UInt32", &near) && is_shared("t", "UInt32", &[5, 5]));
        // Berlin's clocks go back at 01:00 UTC: days that end in local time are no steady cut.
        let back = [1_792_875_600, 1_792_890_000];
        assert!(!is_shared("toStartOfHour(t)", "DateTime('Europe/Berlin')", &back));
    }

    #[test]
    fn rows_of_one_partition_have_one_key() {
        // 2026-11-21 23:00 and 2026-11-22 00:30, UTC.
        let moments = [1_795_302_000, 1_795_307_400];
        let same = |key: &str, ty: &str| keys(key, ty, &moments).map(|keys| keys[0] == keys[1]);
        assert_eq!(same("toDate(t)", "DateTime('UTC')"), Some(false));
        assert_eq!(same("toDate(t)", "DateTime('Europe/Berlin')"), Some(true));
        assert_eq!(same("toDate(t, 'Europe/Berlin')", "DateTime('UTC')"), Some(true));
        assert_eq!(same("toYYYYMM(t)", "DateTime('UTC')"), Some(true));
        assert_eq!(same("toMonday(t)", "DateTime('UTC')"), Some(true));
        assert_eq!(
            same("toStartOfWeek(t)", "DateTime('UTC')"),
            Some(false),
            "2026-11-22 is a Sunday"
        );
        assert_eq!(same("toStartOfHour(t)", "DateTime('UTC')"), Some(false));
        assert_eq!(same("(toYear(t), toStartOfQuarter(t))", "DateTime('UTC')"), Some(true));
        assert_eq!(same("t % 2", "UInt32"), Some(true));
        assert_eq!(same("intDiv(t, 1000)", "UInt32"), Some(false));
        assert_eq!(same("t", "UInt32"), Some(false));
        assert_eq!(same("", "UInt32"), Some(true));
        assert_eq!(same("tuple()", "UInt32"), Some(true));
        assert_eq!(same("cityHash64(t) % 8", "UInt32"), None);
        assert_eq!(same("toStartOfInterval(t, toIntervalDay(1))", "DateTime"), None);
    }
}
