//! Views to typed columns: numbers, timestamps, addresses, durations, severities.

use super::{
    cells::{Cells, Column},
    json, register,
    value::{Absence, Cidr, Severity, ip_to_u128},
    view::{Arena, Kind, View},
};
use crate::types::Type;

/// Decodes what events brought as the declared type. `coerce` also reads text as numbers and numbers as text.
///
/// Lists, maps, records and `any` stay views; of the first three those of another kind become absent.
pub fn column(arena: &mut Arena, views: &[View], ty: &Type, coerce: bool) -> Column {
    match ty {
        Type::Text => Column::Text(texts(arena, views, coerce)),
        Type::Bool => Column::Bool(cells(arena, views, |view, text| bool(view, text, coerce))),
        Type::Int => Column::Int(cells(arena, views, |view, text| match view.kind() {
            Kind::Number => match json::int(text) {
                Err(Absence::Type) if coerce => whole(text),
                number => number,
            },
            Kind::Text if coerce => parsed(json::int(text.strip_prefix(b"+").unwrap_or(text))),
            Kind::Text
            | Kind::Absent
            | Kind::Escaped
            | Kind::Bool
            | Kind::Array
            | Kind::Object
            | Kind::Spread => Err(Absence::Type),
        })),
        Type::Float => Column::Float(cells(arena, views, |view, text| match view.kind() {
            Kind::Number => float(text),
            Kind::Text if coerce => text_float(text),
            Kind::Text
            | Kind::Absent
            | Kind::Escaped
            | Kind::Bool
            | Kind::Array
            | Kind::Object
            | Kind::Spread => Err(Absence::Type),
        })),
        Type::Timestamp => {
            let mut reader = TimestampReader::default();
            Column::Timestamp(cells(arena, views, |view, text| match view.kind() {
                Kind::Text if coerce && is_epoch(text) => epoch(text),
                Kind::Text => reader.read(text),
                Kind::Number if coerce => epoch(text),
                other => Err(no_text(other)),
            }))
        }
        Type::Duration => Column::Duration(cells(arena, views, |view, text| match view.kind() {
            Kind::Text => duration(text),
            other => Err(no_text(other)),
        })),
        Type::Ip => Column::Ip(cells(arena, views, |view, text| match view.kind() {
            Kind::Text => ip(text).ok_or(Absence::Parse),
            other => Err(no_text(other)),
        })),
        Type::Cidr => Column::Cidr(cells(arena, views, |view, text| match view.kind() {
            Kind::Text => {
                std::str::from_utf8(text).ok().and_then(Cidr::parse).ok_or(Absence::Parse)
            }
            other => Err(no_text(other)),
        })),
        Type::Severity => {
            let mut reader = SeverityReader::default();
            Column::Severity(cells(arena, views, |view, text| match view.kind() {
                Kind::Text => reader.read(text).ok_or(Absence::Parse),
                Kind::Number if coerce => {
                    json::int(text).ok().and_then(severity_number).ok_or(Absence::OutOfRange)
                }
                other => Err(no_text(other)),
            }))
        }
        Type::Enum(members) => {
            let mut texts = texts(arena, views, false);
            for view in &mut texts {
                if view.is_absent() {
                    continue;
                }
                let text = std::str::from_utf8(arena.get(*view)).unwrap_or_default();
                match members.find(text, coerce) {
                    Some(name) if **name == *text => {}
                    Some(name) => *view = arena.text(name.as_bytes()),
                    None => *view = View::absent(Absence::Parse),
                }
            }
            Column::Text(texts)
        }
        Type::Number => kinds(views, |kind| kind == Kind::Number),
        Type::List(_) => kinds(views, |kind| kind == Kind::Array),
        Type::Map(_) | Type::Record(_) => kinds(views, |kind| kind == Kind::Object),
        Type::Any => Column::Json(views.to_vec()),
        Type::Regex | Type::Pattern(_) | Type::Glob | Type::Null => kinds(views, |_| false),
    }
}

/// Text cannot be read from this kind; escaped text is simply no address, number or time.
fn no_text(kind: Kind) -> Absence {
    if kind == Kind::Escaped { Absence::Parse } else { Absence::Type }
}

fn cells<T: Copy + Default>(
    arena: &Arena,
    views: &[View],
    mut read: impl FnMut(View, &[u8]) -> Result<T, Absence>,
) -> Cells<T> {
    let mut state = vec![0; views.len()];
    let values = views.iter().zip(&mut state).map(|(&view, state)| {
        let value = match view.absence() {
            Some(why) => Err(why),
            None => read(view, arena.get(view)),
        };
        value.unwrap_or_else(|why| {
            *state = why as u8;
            T::default()
        })
    });
    Cells { values: values.collect(), state }
}

fn kinds(views: &[View], fits: impl Fn(Kind) -> bool) -> Column {
    let keep = |&view: &View| {
        if view.is_absent() || fits(view.kind()) { view } else { View::absent(Absence::Type) }
    };
    Column::Json(views.iter().map(keep).collect())
}

fn texts(arena: &mut Arena, views: &[View], coerce: bool) -> Vec<View> {
    let mut texts = views.to_vec();
    for view in &mut texts {
        match view.kind() {
            Kind::Text | Kind::Absent => {}
            Kind::Escaped => *view = plain(arena, *view),
            Kind::Number if coerce => *view = View::new(Kind::Text, view.offset(), view.len()),
            Kind::Bool if coerce => {
                let text: &[u8] = if view.len() == 1 { b"true" } else { b"false" };
                *view = arena.text(text);
            }
            Kind::Number | Kind::Bool | Kind::Array | Kind::Object | Kind::Spread => {
                *view = View::absent(Absence::Type);
            }
        }
    }
    texts
}

/// Returns the view with its escapes resolved; other views as they are.
pub fn plain(arena: &mut Arena, view: View) -> View {
    if view.kind() != Kind::Escaped {
        return view;
    }
    let mut text = Vec::with_capacity(view.len());
    json::unescape(arena.get(view), &mut text);
    arena.text(&text)
}

fn bool(view: View, text: &[u8], coerce: bool) -> Result<bool, Absence> {
    match view.kind() {
        Kind::Bool => Ok(view.len() == 1),
        Kind::Text if coerce => match text {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(Absence::Parse),
        },
        Kind::Text
        | Kind::Absent
        | Kind::Escaped
        | Kind::Number
        | Kind::Array
        | Kind::Object
        | Kind::Spread => Err(Absence::Type),
    }
}

/// An integer in text: what is none could not be parsed.
fn parsed(number: Result<i64, Absence>) -> Result<i64, Absence> {
    number.map_err(|why| if why == Absence::Type { Absence::Parse } else { why })
}

/// A number with fraction or exponent as an integer, if it is one.
fn whole(text: &[u8]) -> Result<i64, Absence> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let number = float(text)?;
    if number.fract() != 0.0 {
        Err(Absence::Type)
    } else if (-LIMIT..LIMIT).contains(&number) {
        Ok(number as i64)
    } else {
        Err(Absence::OutOfRange)
    }
}

/// Reads a float; what is not finite is out of range.
pub fn float(text: &[u8]) -> Result<f64, Absence> {
    if let Some(number) = register::decimal(text) {
        return Ok(number);
    }
    match fast_float2::parse::<f64, _>(text) {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(Absence::OutOfRange),
        Err(_) => Err(Absence::Parse),
    }
}

/// Reads a float in text: words for infinity and the like are no numbers.
fn text_float(text: &[u8]) -> Result<f64, Absence> {
    let digits = text.strip_prefix(b"+").or(text.strip_prefix(b"-")).unwrap_or(text);
    match digits.first() {
        Some(b'0'..=b'9' | b'.') => float(text),
        _ => Err(Absence::Parse),
    }
}

/// Reads a number since 1970 as seconds, milli-, micro- or nanoseconds, told apart by magnitude. A fraction is read exactly as it is written.
pub fn epoch(text: &[u8]) -> Result<i64, Absence> {
    let Some(point) = text.iter().position(|&byte| byte == b'.') else {
        return match json::int(text) {
            Err(Absence::Type) => epoch_int(whole(text)?),
            Ok(number) => epoch_int(number),
            Err(why) => Err(why),
        };
    };
    let (whole, fraction) = (&text[..point], &text[point + 1..]);
    let negative = whole.first() == Some(&b'-');
    if !fraction.iter().all(u8::is_ascii_digit) {
        return epoch_int(self::whole(text)?);
    }
    let number = json::int(whole)?;
    let mut unit = epoch_scale(number);
    let mut nanos = number.checked_mul(unit).ok_or(Absence::OutOfRange)?;
    for digit in fraction {
        unit /= 10;
        let part = i64::from(digit - b'0') * unit;
        nanos =
            nanos.checked_add(if negative { -part } else { part }).ok_or(Absence::OutOfRange)?;
    }
    Ok(nanos)
}

/// Whether a text is a number and nothing else, so that it cannot be a time of the calendar.
fn is_epoch(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let mut parts = digits.split(|&byte| byte == b'.');
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    parts.next().is_some_and(is_digits)
        && parts.next().is_none_or(is_digits)
        && parts.next().is_none()
}

/// Nanoseconds in the unit that an epoch number of this size counts in.
fn epoch_scale(number: i64) -> i64 {
    match number.unsigned_abs() {
        small if small < 100_000_000_000 => 1_000_000_000,
        small if small < 100_000_000_000_000 => 1_000_000,
        small if small < 100_000_000_000_000_000 => 1_000,
        _ => 1,
    }
}

/// Reads an integer since 1970: below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds.
pub fn epoch_int(number: i64) -> Result<i64, Absence> {
    number.checked_mul(epoch_scale(number)).ok_or(Absence::OutOfRange)
}

/// Reads an address; IPv4 in its usual form without a detour.
pub fn ip(text: &[u8]) -> Option<u128> {
    if let Some(v4) = register::ipv4(text) {
        return Some(0xffff_0000_0000 | u128::from(v4));
    }
    if !text.contains(&b':') {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().map(ip_to_u128)
}

/// Reads the name of a severity in any case, with the usual synonyms, or a number as text.
pub fn severity(text: &[u8]) -> Option<Severity> {
    let mut lower = [0u8; 16];
    let text = text.trim_ascii();
    let lower = lower.get_mut(..text.len())?;
    lower.copy_from_slice(text);
    lower.make_ascii_lowercase();
    let number = match &*lower {
        b"trace" | b"trc" | b"finest" | b"verbose" | b"t" => 1,
        b"debug" | b"dbg" | b"fine" | b"d" => 5,
        b"info" | b"information" | b"informational" | b"inf" | b"i" => 9,
        b"notice" | b"n" => 10,
        b"warn" | b"warning" | b"wrn" | b"w" => 13,
        b"error" | b"err" | b"eror" | b"severe" | b"e" => 17,
        b"critical" | b"crit" | b"alert" | b"c" => 18,
        b"fatal" | b"emergency" | b"emerg" | b"panic" | b"f" => 21,
        digits => return severity_number(json::int(digits).ok()?),
    };
    Some(Severity(number))
}

/// Reads severities; remembers what the few words meant that most events say.
#[derive(Debug, Default)]
struct SeverityReader {
    words: [(u64, usize, Option<Severity>); 16],
}

impl SeverityReader {
    fn read(&mut self, text: &[u8]) -> Option<Severity> {
        // Two loads that overlap hold a word of four to eight bytes.
        let (Some(&head), Some(&tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) else {
            return severity(text);
        };
        if text.len() > 8 {
            return severity(text);
        }
        let (head, tail) = (u32::from_le_bytes(head), u32::from_le_bytes(tail));
        let word = u64::from(head) | u64::from(tail) << 32;
        let place = (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as usize;
        let known = &mut self.words[place];
        if (known.0, known.1) != (word, text.len()) {
            *known = (word, text.len(), severity(text));
        }
        known.2
    }
}

/// Reads a number as a severity: 0 to 7 by syslog, 10 to 60 in tens by pino and bunyan where OpenTelemetry has none, else 1 to 24 by OpenTelemetry.
pub fn severity_number(number: i64) -> Option<Severity> {
    let number = match number {
        0..=1 => 21,
        2 => 18,
        3 => 17,
        4 => 13,
        5 => 10,
        6 => 9,
        7 => 5,
        8..=24 => number as u8,
        30 => 9,
        40 => 13,
        50 => 17,
        60 => 21,
        _ => return None,
    };
    Some(Severity(number))
}

/// Reads `1h30m`, `250ms`, `1.5s`, `-5m`: whole or decimal numbers with a unit, joined.
pub fn duration(text: &[u8]) -> Result<i64, Absence> {
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if rest.is_empty() {
        return Err(Absence::Parse);
    }
    let mut sum = 0i128;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 19 {
            return Err(Absence::Parse);
        }
        let whole = rest[..digits].iter().fold(0i128, |n, b| n * 10 + i128::from(b - b'0'));
        rest = &rest[digits..];
        let (mut part, mut scale) = (0i128, 1i128);
        if let [b'.', fraction @ ..] = rest {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return Err(Absence::Parse);
            }
            for byte in &fraction[..digits.min(15)] {
                part = part * 10 + i128::from(byte - b'0');
                scale *= 10;
            }
            rest = &fraction[digits..];
        }
        let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let unit: i128 = match &rest[..letters] {
            b"ns" => 1,
            b"us" => 1_000,
            b"ms" => 1_000_000,
            b"s" => 1_000_000_000,
            b"m" => 60_000_000_000,
            b"h" => 3_600_000_000_000,
            b"d" => 86_400_000_000_000,
            b"w" => 604_800_000_000_000,
            _ => return Err(Absence::Parse),
        };
        sum += whole * unit + part * unit / scale;
        rest = &rest[letters..];
    }
    i64::try_from(if negative { -sum } else { sum }).map_err(|_| Absence::OutOfRange)
}

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

    #[test]
    fn durations() {
        let cases: [(&str, Result<i64, Absence>); 9] = [
            ("1h30m", Ok(5_400_000_000_000)),
            ("250ms", Ok(250_000_000)),
            ("-1.5s", Ok(-1_500_000_000)),
            ("1w1d", Ok(691_200_000_000_000)),
            ("0s", Ok(0)),
            ("", Err(Absence::Parse)),
            ("5", Err(Absence::Parse)),
            ("5 m", Err(Absence::Parse)),
            ("9999999999999w", Err(Absence::OutOfRange)),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn addresses_agree_with_the_standard_library() {
        for text in [
            "10.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "::1",
            "2001:db8::8",
            "::ffff:1.2.3.4",
            "256.0.0.1",
            "01.0.0.1",
            "1.2.3",
            "1.2.3.4.",
            "",
            "x",
            "1..2.3",
        ] {
            let expected = text.parse().ok().map(ip_to_u128);
            assert_eq!(ip(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn declared_types_take_only_their_own_unless_coerced() {
        let mut arena = Arena::default();
        let payload = br#"["503", 503, 200.0, 9e99, true, "WARN", null, "a\u0062"]"#;
        let base = arena.push(payload);
        let views: Vec<View> =
            json::elements(payload).map(|at| json::view(payload, at, base)).collect();
        let Column::Int(strict) = column(&mut arena, &views, &Type::Int, false) else { panic!() };
        let got: Vec<_> = (0..7).map(|row| strict.get(row)).collect();
        let ty = Err(Absence::Type);
        assert_eq!(got, [ty, Ok(503), ty, ty, ty, ty, Err(Absence::Null)]);
        let Column::Int(lax) = column(&mut arena, &views, &Type::Int, true) else { panic!() };
        let got: Vec<_> = (0..6).map(|row| lax.get(row)).collect();
        assert_eq!(
            got,
            [Ok(503), Ok(503), Ok(200), Err(Absence::OutOfRange), ty, Err(Absence::Parse)]
        );
        let Column::Text(texts) = column(&mut arena, &views, &Type::Text, false) else { panic!() };
        assert_eq!(arena.get(texts[7]), b"ab");
        let Column::Float(floats) = column(&mut arena, &views, &Type::Float, true) else {
            panic!()
        };
        assert_eq!((floats.get(0), floats.get(2)), (Ok(503.0), Ok(200.0)));
        assert_eq!((text_float(b"inf"), text_float(b"+.5")), (Err(Absence::Parse), Ok(0.5)));
        assert_eq!(epoch(b"1777629600.123"), Ok(1_777_629_600_123_000_000));
        assert_eq!(epoch(b"-1.5"), Ok(-1_500_000_000));
        assert_eq!(epoch(b"1.7776296e9"), Ok(1_777_629_600_000_000_000));
        assert_eq!(epoch(b"1e300"), Err(Absence::OutOfRange));
        assert_eq!(epoch(b"1777629600123"), Ok(1_777_629_600_123_000_000));
        let severities = column(&mut arena, &views, &Type::Severity, true);
        let Column::Severity(severities) = severities else { panic!() };
        assert_eq!(severities.get(5), Ok(Severity(13)));
    }
}
