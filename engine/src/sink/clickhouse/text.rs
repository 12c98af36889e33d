//! Values as text: escapes undone and added, numbers and addresses printed, members of JSON objects.
//!
//! JSON text in a batch is known to be valid, so walking it needs no errors.

use std::io::Write as _;

use logmon_dsl::column::{Kind, View};

/// Appends a length as ClickHouse's variable-length number.
#[inline(always)]
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends text with its length in front.
#[inline(always)]
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len());
    out.extend_from_slice(text);
}

/// Gives the text of a view to `take`: text without its escapes, everything else as JSON. Absent values have none.
#[inline]
pub(super) fn with_text<R>(view: View, arena: &[u8], take: impl FnOnce(&[u8]) -> R) -> R {
    match view.kind() {
        Kind::Absent | Kind::Spread => take(b""),
        Kind::Bool => take(if view.len() == 1 { b"true" } else { b"false" }),
        Kind::Text | Kind::Number | Kind::Array | Kind::Object => take(slice(view, arena)),
        Kind::Escaped => {
            let raw = slice(view, arena);
            let mut text = Vec::with_capacity(raw.len());
            unescape(raw, &mut text);
            take(&text)
        }
    }
}

/// The bytes that a view points at.
#[inline(always)]
pub(super) fn slice(view: View, arena: &[u8]) -> &[u8] {
    &arena[view.offset()..view.offset() + view.len()]
}

/// Appends the text between the quotes of a JSON string without its escapes.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let after = &rest[at + 1..];
        let Some(&letter) = after.first() else { return };
        rest = &after[1..];
        match letter {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (high, behind) = unit(rest);
                rest = behind;
                let code = if (0xd800..0xdc00).contains(&high) && rest.starts_with(b"\\u") {
                    let (low, behind) = unit(&rest[2..]);
                    rest = behind;
                    0x10000 + ((high - 0xd800) << 10) + (low & 0x3ff)
                } else {
                    high
                };
                let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}

fn unit(digits: &[u8]) -> (u32, &[u8]) {
    let (digits, rest) = digits.split_at(digits.len().min(4));
    let value = digits.iter().fold(0, |value, &digit| {
        value * 16 + char::from(digit).to_digit(16).unwrap_or_default()
    });
    (value, rest)
}

/// Appends text as a JSON string.
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                write!(out, "\\u{byte:04x}").expect("memory takes all writes");
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends a view as JSON.
pub(super) fn put_json(view: View, arena: &[u8], out: &mut Vec<u8>) {
    match view.kind() {
        Kind::Absent => out.extend_from_slice(b"null"),
        Kind::Spread => out.extend_from_slice(b"{}"),
        Kind::Bool => out.extend_from_slice(if view.len() == 1 { b"true" } else { b"false" }),
        Kind::Text => quote(slice(view, arena), out),
        Kind::Escaped => {
            out.push(b'"');
            out.extend_from_slice(slice(view, arena));
            out.push(b'"');
        }
        Kind::Number | Kind::Array | Kind::Object => out.extend_from_slice(slice(view, arena)),
    }
}

/// Appends a float so that reading it gives the same one, and so that it is seen to be a float.
pub(super) fn put_float(number: f64, out: &mut Vec<u8>) {
    write!(out, "{number:?}").expect("memory takes all writes");
}

/// Appends a duration in the largest units that say it exactly: `1h30m`, `250ms`.
pub(super) fn put_duration(nanos: i64, out: &mut Vec<u8>) {
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
    for (size, unit) in UNITS {
        if left >= size {
            write!(out, "{}{unit}", left / size).expect("memory takes all writes");
            left %= size;
        }
    }
}

/// The view of the JSON value that starts at `at`, and where it ends. Text without escapes is seen to be so.
pub(super) fn value_at(arena: &[u8], at: usize) -> (View, usize) {
    match arena[at] {
        b'"' => {
            let (end, escaped) = text_end(arena, at + 1);
            let kind = if escaped { Kind::Escaped } else { Kind::Text };
            (View::new(kind, at + 1, end - at - 1), end + 1)
        }
        b'{' | b'[' => {
            let end = nested_end(arena, at);
            let kind = if arena[at] == b'{' { Kind::Object } else { Kind::Array };
            (View::new(kind, at, end - at), end)
        }
        b't' => (View::bool(true), at + 4),
        b'f' => (View::bool(false), at + 5),
        b'n' => (View::absent(logmon_dsl::column::Absence::Null), at + 4),
        _ => {
            let rest = &arena[at..];
            let len = rest
                .iter()
                .position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
                .unwrap_or(rest.len());
            (View::new(Kind::Number, at, len), at + len.max(1))
        }
    }
}

/// Gives every member of the object that a view points at to `take`: the key's view and the value's.
pub(super) fn members(object: View, arena: &[u8], mut take: impl FnMut(View, View)) {
    let end = object.offset() + object.len() - 1;
    let mut at = skip(arena, object.offset() + 1);
    while at < end {
        let (key, behind) = value_at(arena, at);
        let colon = skip(arena, behind);
        let (value, behind) = value_at(arena, skip(arena, colon + 1));
        take(key, value);
        at = skip(arena, behind);
        if arena[at] == b',' {
            at = skip(arena, at + 1);
        }
    }
}

/// Gives every element of the array that a view points at to `take`.
pub(super) fn elements(array: View, arena: &[u8], mut take: impl FnMut(View)) {
    let end = array.offset() + array.len() - 1;
    let mut at = skip(arena, array.offset() + 1);
    while at < end {
        let (value, behind) = value_at(arena, at);
        take(value);
        at = skip(arena, behind);
        if arena[at] == b',' {
            at = skip(arena, at + 1);
        }
    }
}

fn skip(arena: &[u8], mut at: usize) -> usize {
    while matches!(arena[at], b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

/// Where the text that starts here ends (at its quote), and whether it has escapes.
fn text_end(arena: &[u8], start: usize) -> (usize, bool) {
    let (mut at, mut escaped) = (start, false);
    while let Some(found) = memchr::memchr2(b'"', b'\\', &arena[at..]) {
        at += found;
        if arena[at] == b'"' {
            return (at, escaped);
        }
        escaped = true;
        at += 2;
    }
    (arena.len(), escaped)
}

fn nested_end(arena: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < arena.len() {
        match arena[at] {
            b'"' => at = text_end(arena, at + 1).0,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        let mut text = Vec::new();
        unescape(r#"a\"\\\/\b\n\u00e4\ud83d\ude00\u0000z"#.as_bytes(), &mut text);
        assert_eq!(text, "a\"\\/\u{8}\nä😀\0z".as_bytes());
        let mut quoted = Vec::new();
        quote("a\"\u{1}\nö".as_bytes(), &mut quoted);
        assert_eq!(quoted, "\"a\\\"\\u0001\\nö\"".as_bytes());
    }

    #[test]
    fn members_and_elements_are_walked() {
        let text = br#"{ "a" : [1, {"x":"]"}, "y\""] , "b\n":{}, "c": -1.5e3 }"#;
        let mut seen = Vec::new();
        members(View::new(Kind::Object, 0, text.len()), text, |key, value| {
            seen.push((slice(key, text).to_vec(), value.kind(), slice(value, text).to_vec()));
        });
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1], (b"b\\n".to_vec(), Kind::Object, b"{}".to_vec()));
        assert_eq!(seen[2], (b"c".to_vec(), Kind::Number, b"-1.5e3".to_vec()));
        let mut kinds = Vec::new();
        let array = value_at(text, 8).0;
        elements(array, text, |value| kinds.push(value.kind()));
        assert_eq!(kinds, [Kind::Number, Kind::Object, Kind::Escaped]);
    }

    #[test]
    fn durations_are_exact() {
        let text = |nanos| {
            let mut out = Vec::new();
            put_duration(nanos, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!([text(5_400_000_000_000), text(-250_000_000), text(0)], ["1h30m", "-250ms", "0s"]);
    }
}
