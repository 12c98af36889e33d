//! JSON text that is known to be valid: walking it, unescaping it, writing it.
//!
//! Invariant: nothing here recurses, and broken text gives nonsense but never a panic or an endless loop.

use std::{borrow::Cow, ops::Range};

use memchr::memchr2;

use super::{
    value::{Absence, Value},
    view::{Kind, View},
};

/// Returns the first byte at or after `at` that is no white space.
#[inline]
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Returns the closing quote of the string whose first byte (behind the opening quote) is at `at`, and whether it has escapes.
#[inline]
pub fn string_end(text: &[u8], mut at: usize) -> (usize, bool) {
    let mut escaped = false;
    while at < text.len() {
        let Some(found) = memchr2(b'"', b'\\', &text[at..]) else { break };
        at += found;
        if text[at] == b'"' {
            return (at, escaped);
        }
        escaped = true;
        at += 2;
    }
    (text.len(), escaped)
}

/// Returns the byte behind the value that starts at `at` (no white space before it).
pub fn value_end(text: &[u8], mut at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => (string_end(text, at + 1).0 + 1).min(text.len()),
        Some(b'{' | b'[') => {
            let mut depth = 0usize;
            while let Some(&byte) = text.get(at) {
                match byte {
                    b'"' => at = string_end(text, at + 1).0,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            return at + 1;
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            text.len()
        }
        _ => {
            while let Some(&byte) = text.get(at) {
                if matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
                    break;
                }
                at += 1;
            }
            at
        }
    }
}

/// One member of an object, as places in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The key between its quotes, still escaped.
    pub key: Range<usize>,
    /// Whether the key has escapes.
    pub escaped: bool,
    /// The value.
    pub value: Range<usize>,
}

impl Member {
    /// Returns the key, unescaped.
    pub fn key<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        unescaped(text.get(self.key.clone()).unwrap_or_default(), self.escaped)
    }
}

/// The members of an object, in the order in which they stand; repeated keys come repeatedly.
#[derive(Debug, Clone)]
pub struct Members<'t> {
    text: &'t [u8],
    at: usize,
}

/// Walks the members of an object; anything else has none.
pub fn members(text: &[u8]) -> Members<'_> {
    let start = skip_space(text, 0);
    let at = if text.get(start) == Some(&b'{') { start + 1 } else { text.len() };
    Members { text, at }
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let mut at = skip_space(self.text, self.at);
        if self.text.get(at) == Some(&b',') {
            at = skip_space(self.text, at + 1);
        }
        if self.text.get(at) != Some(&b'"') {
            self.at = self.text.len();
            return None;
        }
        let (end, escaped) = string_end(self.text, at + 1);
        let key = at + 1..end;
        at = skip_space(self.text, end + 1);
        if self.text.get(at) != Some(&b':') {
            self.at = self.text.len();
            return None;
        }
        at = skip_space(self.text, at + 1);
        let end = value_end(self.text, at);
        self.at = end;
        Some(Member { key, escaped, value: at..end })
    }
}

/// The elements of an array, as places in its text.
#[derive(Debug, Clone)]
pub struct Elements<'t> {
    text: &'t [u8],
    at: usize,
}

/// Walks the elements of an array; anything else has none.
pub fn elements(text: &[u8]) -> Elements<'_> {
    let start = skip_space(text, 0);
    let at = if text.get(start) == Some(&b'[') { start + 1 } else { text.len() };
    Elements { text, at }
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let mut at = skip_space(self.text, self.at);
        if self.text.get(at) == Some(&b',') {
            at = skip_space(self.text, at + 1);
        }
        if matches!(self.text.get(at), None | Some(b']')) {
            self.at = self.text.len();
            return None;
        }
        let end = value_end(self.text, at);
        // Broken text such as `}` has a value of no bytes: stop rather than stand still.
        self.at = if end > at { end } else { self.text.len() };
        (end > at).then_some(at..end)
    }
}

/// The members of an object as text: keys unescaped, values as they stand.
pub fn object(text: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    members(text.as_bytes()).map(move |member| {
        let raw = text.get(member.key.clone()).unwrap_or_default();
        let key = if member.escaped { Cow::Owned(unescape_text(raw)) } else { Cow::Borrowed(raw) };
        (key, text.get(member.value).unwrap_or_default())
    })
}

/// The elements of an array as text, as they stand.
pub fn array(text: &str) -> impl Iterator<Item = &str> {
    elements(text.as_bytes()).map(move |element| text.get(element).unwrap_or_default())
}

/// Returns where the value of that key stands; the last of several wins.
pub fn member(text: &[u8], key: &[u8]) -> Option<Range<usize>> {
    members(text).filter(|member| &*member.key(text) == key).last().map(|member| member.value)
}

/// Returns a view of the value at `value` in `text`, which itself starts at `base` in the arena.
pub fn view(text: &[u8], value: Range<usize>, base: usize) -> View {
    let Some(bytes) = text.get(value.clone()) else { return View::MISSING };
    let at = base + value.start;
    match bytes.first() {
        Some(b'"') => {
            let (end, escaped) = string_end(bytes, 1);
            let kind = if escaped { Kind::Escaped } else { Kind::Text };
            View::new(kind, at + 1, end - 1)
        }
        Some(b'{') => View::new(Kind::Object, at, bytes.len()),
        Some(b'[') => View::new(Kind::Array, at, bytes.len()),
        Some(b't') => View::bool(true),
        Some(b'f') => View::bool(false),
        Some(b'n') => View::absent(Absence::Null),
        Some(_) => View::new(Kind::Number, at, bytes.len()),
        None => View::MISSING,
    }
}

/// Reads one JSON value: scalars decoded, lists and objects as their text, null as absent.
pub fn value(text: &str) -> Value<'_> {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'"') => {
            let (end, escaped) = string_end(bytes, 1);
            let raw = text.get(1..end).unwrap_or_default();
            if escaped { Value::owned(unescape_text(raw)) } else { Value::text(raw) }
        }
        Some(b'{' | b'[') => Value::Json(Cow::Borrowed(text)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Absent(Absence::Null),
        Some(_) => number(bytes),
        None => Value::Absent(Absence::Missing),
    }
}

/// Reads a JSON number: an `int` if it is an integer that fits, otherwise a float.
pub fn number<'a>(text: &[u8]) -> Value<'a> {
    match int(text) {
        Ok(number) => Value::Int(number),
        Err(_) => match fast_float2::parse::<f64, _>(text) {
            Ok(number) if number.is_finite() => Value::Float(number),
            Ok(_) => Value::Absent(Absence::OutOfRange),
            Err(_) => Value::Absent(Absence::Parse),
        },
    }
}

/// Reads a JSON integer. A number with a fraction or exponent is none (`Type`), one beyond 64 bits is `OutOfRange`.
#[inline]
pub fn int(text: &[u8]) -> Result<i64, Absence> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(Absence::Type);
    }
    let mut number = 0i64;
    // Eighteen digits always fit: no check a digit on the usual way.
    if digits.len() <= 18 {
        for &byte in digits {
            if !byte.is_ascii_digit() {
                return Err(Absence::Type);
            }
            number = number * 10 + i64::from(byte - b'0');
        }
        return Ok(if negative { -number } else { number });
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(Absence::Type);
    }
    for &byte in digits {
        let digit = i64::from(byte - b'0');
        let next = number
            .checked_mul(10)
            .and_then(|n| if negative { n.checked_sub(digit) } else { n.checked_add(digit) });
        number = next.ok_or(Absence::OutOfRange)?;
    }
    Ok(number)
}

/// Unescapes the inside of a JSON string, borrowing where there is nothing to do.
pub fn unescaped(raw: &[u8], escaped: bool) -> Cow<'_, [u8]> {
    if !escaped {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    unescape(raw, &mut out);
    Cow::Owned(out)
}

fn unescape_text(raw: &str) -> String {
    let mut out = Vec::with_capacity(raw.len());
    unescape(raw.as_bytes(), &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends the text that the inside of a JSON string means. A lone surrogate becomes U+FFFD.
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some(&letter) = rest.get(at + 1) else {
            return;
        };
        rest = &rest[at + 2..];
        let plain = match letter {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let (character, used) = unicode_escape(rest);
                rest = &rest[used.min(rest.len())..];
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        };
        out.push(plain);
    }
    out.extend_from_slice(rest);
}

/// Reads what follows `\u`: the character, and how many bytes it took.
fn unicode_escape(rest: &[u8]) -> (char, usize) {
    let hex = |at: usize| {
        let digits = rest.get(at..at + 4)?;
        digits.iter().try_fold(0u32, |sum, &digit| Some(sum * 16 + char::from(digit).to_digit(16)?))
    };
    let Some(first) = hex(0) else { return (char::REPLACEMENT_CHARACTER, 0) };
    if (0xD800..0xDC00).contains(&first)
        && rest.get(4..6) == Some(b"\\u")
        && let Some(second) = hex(6)
        && (0xDC00..0xE000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

/// Appends text as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            0..=31 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text[plain..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let digits = [b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(&digits);
        }
        plain = at + 1;
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

/// Appends an integer.
pub fn write_int(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a float so that reading it gives the same number, always recognizable as a float: `31.0`, `1e300`.
pub fn write_float(out: &mut Vec<u8>, number: f64) {
    use std::io::Write as _;
    if number.is_finite() {
        write!(out, "{number:?}").expect("a vector takes every byte");
    } else {
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_members_and_elements() {
        let text = r#" {"a" : 1, "b\u0041":[1, {"x":"]"}] ,"c":"\"", "d":{}, "a":null} "#;
        let found: Vec<_> = object(text).map(|(key, value)| (key.into_owned(), value)).collect();
        assert_eq!(
            found,
            [
                ("a".to_owned(), "1"),
                ("bA".to_owned(), r#"[1, {"x":"]"}]"#),
                ("c".to_owned(), r#""\"""#),
                ("d".to_owned(), "{}"),
                ("a".to_owned(), "null"),
            ]
        );
        assert_eq!(array(found[1].1).collect::<Vec<_>>(), ["1", r#"{"x":"]"}"#]);
        assert_eq!(array("[]").count() + object("{ }").count() + array("7").count(), 0);
        let at = member(text.as_bytes(), b"a").unwrap();
        assert_eq!(&text[at], "null", "the last of several wins");
    }

    #[test]
    fn broken_text_ends() {
        for text in ["{", "[", "[}", "{\"a\"", "{\"a\":", "[\"", "[,,,]", "{\"a\\", "\"\\u12", "]"]
        {
            assert!(object(text).count() < 5 && array(text).count() < 5, "{text}");
            assert!(value_end(text.as_bytes(), 0) <= text.len());
            let _value = value(text);
        }
    }

    #[test]
    fn strings_survive_both_ways() {
        for text in ["", "plain", "q\"\\/\n\r\t\u{8}\u{c}\u{1}\u{7f}", "zwölf 🦀"] {
            let mut out = Vec::new();
            write_string(&mut out, text.as_bytes());
            let json = String::from_utf8(out).unwrap();
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert_eq!(value(&json), Value::text(text));
        }
        assert_eq!(value(r#""\ud83e\udd80 \ud800 \/""#), Value::text("🦀 \u{fffd} /"));
    }

    #[test]
    fn numbers_are_read_and_written() {
        let max = i64::MAX.to_string();
        let min = i64::MIN.to_string();
        assert_eq!((int(max.as_bytes()), int(min.as_bytes())), (Ok(i64::MAX), Ok(i64::MIN)));
        assert_eq!(int(b"9223372036854775808"), Err(Absence::OutOfRange));
        assert_eq!(
            (int(b"2e2"), int(b"200.0"), int(b"-")),
            (Err(Absence::Type), Err(Absence::Type), Err(Absence::Type))
        );
        assert_eq!(number(b"9223372036854775808"), Value::Float(9_223_372_036_854_775_808.0));
        for n in [0, -1, 42, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_int(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
        }
        for (n, text) in [(31.0, "31.0"), (1e300, "1e300"), (-0.5, "-0.5"), (f64::INFINITY, "null")]
        {
            let mut out = Vec::new();
            write_float(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
