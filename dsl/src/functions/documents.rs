//! Whole documents in text: JSON, logfmt, pairs of key and value.

use std::borrow::Cow;

use super::{
    RowArg, items,
    items::{MapText, Ordered},
    pattern::unquote,
    signature::{UNREADABLE, WRONG_TYPE, int_arg, left_out, part_of, text_arg, text_ref},
};
use crate::{
    column::{Absence, Value, json},
    eval::RowContext,
};

/// Deepest nesting that events have, too.
const DEPTH_MAX: i64 = 64;

/// `parse_json(s, max_depth)`
pub(super) fn parse_json<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
    let max = match int_arg(args, 1) {
        Some(max) => max,
        None if left_out(args, 1) => DEPTH_MAX,
        None => return WRONG_TYPE,
    };
    let raw = text.trim_matches([' ', '\t', '\r', '\n']);
    // Counted first: the check of the syntax recurses.
    let Some(lines) = depth_and_lines(raw, max) else {
        return Value::Absent(Absence::OutOfRange);
    };
    if serde_json::from_str::<&serde_json::value::RawValue>(raw).is_err() {
        return UNREADABLE;
    }
    if lines {
        // An event is one line, so what becomes a part of it has no line ends.
        return match items::decode(&minified(raw)) {
            value @ Value::Json(_) => value.into_static(),
            scalar => scalar.into_static(),
        };
    }
    let raw = match &text {
        Cow::Borrowed(whole) => Cow::Borrowed(within(whole, raw)),
        Cow::Owned(_) => Cow::Owned(raw.to_owned()),
    };
    match raw {
        Cow::Borrowed(raw) => items::decode(raw),
        Cow::Owned(raw) => items::decode(&raw).into_static(),
    }
}

/// The same part of a text with the life of the text.
fn within<'a>(whole: &'a str, part: &str) -> &'a str {
    match part_of(&Cow::Borrowed(whole), part) {
        Cow::Borrowed(part) => part,
        Cow::Owned(_) => whole,
    }
}

/// Whether there are line ends outside strings; nothing if it nests deeper than `max`.
fn depth_and_lines(raw: &str, max: i64) -> Option<bool> {
    let bytes = raw.as_bytes();
    let (mut depth, mut lines, mut at) = (0_i64, false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = json::string_end(bytes, at + 1).0,
            b'[' | b'{' => {
                depth += 1;
                if depth > max.min(i64::from(u8::MAX) / 2) {
                    return None;
                }
            }
            b']' | b'}' => depth -= 1,
            b'\n' | b'\r' => lines = true,
            _ => {}
        }
        at += 1;
    }
    Some(lines)
}

/// Whether the text is JSON, nested no deeper than events are.
pub(super) fn is_json(raw: &str) -> bool {
    depth_and_lines(raw, DEPTH_MAX).is_some()
        && serde_json::from_str::<&serde_json::value::RawValue>(raw).is_ok()
}

/// The JSON text without white space between its tokens.
pub(super) fn minified(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len());
    let (mut from, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = json::string_end(bytes, at + 1).0 + 1,
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.push_str(raw.get(from..at).unwrap_or(""));
                at += 1;
                from = at;
            }
            _ => at += 1,
        }
    }
    out.push_str(raw.get(from..).unwrap_or(""));
    out
}

/// The pairs as a map of texts.
fn map_of_texts(pairs: Ordered<'_, Cow<'_, str>>) -> Value<'static> {
    let mut map = MapText::new();
    for (key, value) in pairs.members {
        map.value(&key, &Value::Text(value));
    }
    map.finish()
}

/// `parse_logfmt(s)`
pub(super) fn parse_logfmt<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let mut pairs = Ordered::default();
    let mut any = false;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (key, behind) = rest.split_at(end);
        let (value, behind) = match behind.strip_prefix('=') {
            Some(behind) => {
                any |= !key.is_empty();
                value(behind)
            }
            None => (Cow::Borrowed("true"), behind),
        };
        if !key.is_empty() {
            pairs.put(Cow::Borrowed(key), value);
        }
        rest = behind.trim_start();
    }
    // Words alone are prose, not logfmt.
    if any { map_of_texts(pairs) } else { Value::Absent(Absence::NoMatch) }
}

/// A quoted value, or one up to the next white space.
fn value(text: &str) -> (Cow<'_, str>, &str) {
    if let Some((value, behind)) = unquote(text) {
        return (value, behind);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (Cow::Borrowed(&text[..end]), &text[end..])
}

/// `parse_kv(s, kv, sep, quote)`
pub(super) fn parse_kv<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let kv = text_ref(args, 1).unwrap_or("=");
    let sep = text_ref(args, 2).unwrap_or(" ");
    let quote = text_ref(args, 3).unwrap_or("\"");
    if kv.is_empty() || sep.is_empty() {
        return Value::Absent(Absence::OutOfRange);
    }
    let mut pairs = Ordered::default();
    let mut rest = text;
    while !rest.is_empty() {
        let pair_end = rest.find(sep).unwrap_or(rest.len());
        // Looked for in the pair alone, so that text without any is not searched again and again.
        let until = (pair_end + kv.len()).min(rest.len());
        let middle = memchr::memmem::find(&rest.as_bytes()[..until], kv.as_bytes());
        let Some(middle) = middle.filter(|middle| *middle < pair_end) else {
            rest = rest.get(pair_end + sep.len()..).unwrap_or("");
            continue;
        };
        let key = rest[..middle].trim();
        let behind = &rest[middle + kv.len()..];
        let quoted = (!quote.is_empty())
            .then(|| behind.trim_start().strip_prefix(quote))
            .flatten()
            .and_then(|inner| inner.split_once(quote));
        let (value, behind) = quoted.unwrap_or_else(|| {
            let end = behind.find(sep).unwrap_or(behind.len());
            (behind[..end].trim(), &behind[end..])
        });
        if !key.is_empty() {
            pairs.put(Cow::Borrowed(key), Cow::Borrowed(value));
        }
        rest = match behind.find(sep) {
            Some(at) => &behind[at + sep.len()..],
            None => "",
        };
    }
    if pairs.members.is_empty() { Value::Absent(Absence::NoMatch) } else { map_of_texts(pairs) }
}
