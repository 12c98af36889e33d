//! Lists and maps as JSON text: walking them, reading their elements, writing new ones.
//!
//! Invariant: what a function does not touch keeps its bytes, and maps keep their order.

use std::{borrow::Cow, ops::Range};

use crate::{column::Value, functions::show};

/// The elements of an array, as ranges of its text.
pub(crate) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

/// The members of an object, as ranges of its text: the key between its quotes, and the value.
pub(crate) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

/// Walks an array; anything else has no elements.
pub(crate) fn element_ranges(list: &[u8]) -> Elements<'_> {
    let at = if list.first() == Some(&b'[') { 1 } else { list.len() };
    Elements { text: list, at }
}

/// Walks an object; anything else has no members.
pub(crate) fn member_ranges(map: &[u8]) -> Members<'_> {
    let at = if map.first() == Some(&b'{') { 1 } else { map.len() };
    Members { text: map, at }
}

/// The elements of an array as they are written.
pub(crate) fn elements(list: &str) -> impl Iterator<Item = &str> {
    element_ranges(list.as_bytes()).filter_map(|range| list.get(range))
}

/// The members of an object as they are written: the key between its quotes, and the value.
pub(crate) fn members(map: &str) -> impl Iterator<Item = (&str, &str)> {
    member_ranges(map.as_bytes()).filter_map(|(key, value)| Some((map.get(key)?, map.get(value)?)))
}

impl Iterator for Elements<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = skip_blanks(self.text, self.at);
        if start >= self.text.len() || self.text[start] == b']' {
            return None;
        }
        let end = value_end(self.text, start);
        if end == start {
            return None;
        }
        self.at = skip_comma(self.text, end);
        Some(start..end)
    }
}

impl Iterator for Members<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let quote = skip_blanks(self.text, self.at);
        if self.text.get(quote) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(self.text, quote);
        let colon = skip_blanks(self.text, key_end);
        let start = skip_blanks(self.text, colon + 1);
        let end = value_end(self.text, start);
        if end <= start || key_end < quote + 2 {
            return None;
        }
        self.at = skip_comma(self.text, end);
        Some((quote + 1..key_end - 1, start..end))
    }
}

fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && matches!(text[at], b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

fn skip_comma(text: &[u8], at: usize) -> usize {
    let at = skip_blanks(text, at);
    if text.get(at) == Some(&b',') { at + 1 } else { at }
}

/// Past the closing quote of the string that opens at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// Past the value that begins at `at`.
fn value_end(text: &[u8], mut at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'[' | b'{') => {
            let mut depth = 0_usize;
            while at < text.len() {
                match text[at] {
                    b'"' => {
                        at = string_end(text, at);
                        continue;
                    }
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => {
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
            while at < text.len()
                && !matches!(text[at], b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' | b':')
            {
                at += 1;
            }
            at
        }
    }
}

/// Undoes the escapes of a JSON string, given what stands between its quotes.
pub(crate) fn unescape(inner: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Cow::Borrowed(inner);
    };
    let mut out = String::with_capacity(inner.len());
    out.push_str(&inner[..first]);
    let mut chars = inner[first..].chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(escaped_char(&mut chars)),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Cow::Owned(out)
}

/// The character of `\uXXXX`, surrogate pairs joined; a lone half becomes U+FFFD.
fn escaped_char(chars: &mut std::str::Chars<'_>) -> char {
    fn unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
        let digits = chars.as_str().get(..4)?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        *chars = chars.as_str()[4..].chars();
        Some(unit)
    }
    let Some(high) = unit(chars) else { return char::REPLACEMENT_CHARACTER };
    if (0xD800..0xDC00).contains(&high) && chars.as_str().starts_with("\\u") {
        let mut ahead = chars.as_str()[2..].chars();
        if let Some(low) = unit(&mut ahead).filter(|low| (0xDC00..0xE000).contains(low)) {
            *chars = ahead;
            let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
    }
    char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Reads a JSON value as it is written. A number is an integer if it is a JSON integer that fits 64 bits.
pub(crate) fn decode(raw: &str) -> Value<'_> {
    use crate::column::Absence;
    match raw.as_bytes().first() {
        Some(b'"') => Value::Text(unescape(raw.get(1..raw.len().saturating_sub(1)).unwrap_or(""))),
        Some(b'[' | b'{') => Value::Json(Cow::Borrowed(raw)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'-' | b'0'..=b'9') => match raw.parse::<i64>() {
            Ok(number) => Value::Int(number),
            Err(_) => match fast_float2::parse::<f64, _>(raw) {
                Ok(number) if number.is_finite() => Value::Float(number),
                _ => Value::Absent(Absence::OutOfRange),
            },
        },
        _ => Value::Absent(Absence::Null),
    }
}

/// The same, giving the value its own memory where the text would have to be borrowed too long.
pub(crate) fn decode_within<'a>(whole: &Cow<'a, str>, raw: &str) -> Value<'a> {
    match decode(raw) {
        Value::Text(Cow::Borrowed(inner)) => Value::Text(super::signature::part_of(whole, inner)),
        Value::Json(_) => Value::Json(super::signature::part_of(whole, raw)),
        other => other.into_static(),
    }
}

/// Appends a value as JSON; an absent one as `null`.
pub(crate) fn write(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Absent(_) => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(number) => show::int(out, *number),
        Value::Float(number) if number.is_finite() => show::float(out, *number),
        Value::Float(_) => out.push_str("null"),
        Value::Json(raw) => out.push_str(raw),
        Value::Text(text) => write_text(out, text),
        Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Ip(_)
        | Value::Cidr(_)
        | Value::Severity(_) => {
            out.push('"');
            show::scalar(out, value);
            out.push('"');
        }
    }
}

/// Appends text as a JSON string.
pub(crate) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            8 => "\\b",
            12 => "\\f",
            0..=31 => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        } else {
            out.push_str(escape);
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Writes an array.
#[derive(Debug)]
pub(crate) struct ListText {
    out: String,
}

impl ListText {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { out: "[".into() }
    }

    fn comma(&mut self) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
    }

    /// Appends an element as it is written.
    pub(crate) fn raw(&mut self, raw: &str) {
        self.comma();
        self.out.push_str(raw);
    }

    /// Appends text.
    pub(crate) fn text(&mut self, text: &str) {
        self.comma();
        write_text(&mut self.out, text);
    }

    /// Appends a value.
    pub(crate) fn value(&mut self, value: &Value<'_>) {
        self.comma();
        write(&mut self.out, value);
    }

    /// The list.
    pub(crate) fn finish(mut self) -> Value<'static> {
        self.out.push(']');
        Value::Json(Cow::Owned(self.out))
    }
}

/// Writes an object.
#[derive(Debug)]
pub(crate) struct MapText {
    out: String,
}

impl MapText {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { out: "{".into() }
    }

    fn comma(&mut self) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
    }

    /// Appends a member whose key and value are as they are written.
    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.comma();
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out.push_str(value);
    }

    /// Appends a member with a plain key.
    pub(crate) fn value(&mut self, key: &str, value: &Value<'_>) {
        self.comma();
        write_text(&mut self.out, key);
        self.out.push(':');
        write(&mut self.out, value);
    }

    /// The map.
    pub(crate) fn finish(mut self) -> Value<'static> {
        self.out.push('}');
        Value::Json(Cow::Owned(self.out))
    }
}
