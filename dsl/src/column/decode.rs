//! Views to typed columns: numbers, timestamps, addresses, durations, severities.

mod times;

use base64::Engine as _;

use super::{
    cells::{Cells, Column},
    json, register,
    value::{Absence, Cidr, Severity, ip_to_u128},
    view::{Arena, Kind, View},
};
use crate::types::Type;

pub use times::{TimestampReader, timestamp};

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
        Type::Bytes => Column::Bytes(bytes(arena, views)),
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

/// The bytes behind Base64 text.
fn bytes(arena: &mut Arena, views: &[View]) -> Vec<View> {
    let mut found = texts(arena, views, false);
    for view in &mut found {
        if view.is_absent() {
            continue;
        }
        *view = match base64(arena.get(*view)) {
            Some(bytes) => arena.text(&bytes),
            None => View::absent(Absence::Parse),
        };
    }
    found
}

/// Reads Base64, standard or URL-safe, padded or not.
pub fn base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let digits = &text[..text.len() - padding];
    STANDARD_NO_PAD.decode(digits).or_else(|_| URL_SAFE_NO_PAD.decode(digits)).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

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
