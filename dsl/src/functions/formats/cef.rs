//! Events of security devices: CEF and LEEF, with or without a syslog header before them.

use std::borrow::Cow;

use crate::{
    column::{Absence, Value},
    functions::{
        items::{MapText, Ordered},
        read,
        records::{FieldSpec, unless_dash},
    },
    types::Type,
};

/// What `parse_cef` yields.
pub(super) const CEF: &[FieldSpec] = &[
    ("version", Type::Text, false),
    ("vendor", Type::Text, true),
    ("product", Type::Text, true),
    ("device_version", Type::Text, true),
    ("signature", Type::Text, true),
    ("name", Type::Text, true),
    ("severity", Type::Text, true),
    ("extension", Type::Any, false),
];

/// What `parse_leef` yields.
pub(super) const LEEF: &[FieldSpec] = &[
    ("version", Type::Text, false),
    ("vendor", Type::Text, true),
    ("product", Type::Text, true),
    ("device_version", Type::Text, true),
    ("event_id", Type::Text, true),
    ("attributes", Type::Any, false),
];

/// Reads `CEF:0|vendor|product|version|signature|name|severity|key=value …`.
pub(super) fn cef(text: &str) -> Option<Vec<Value<'_>>> {
    let (_, behind) = text.split_once("CEF:")?;
    let mut fields = Vec::with_capacity(CEF.len());
    let mut rest = behind;
    for _ in 0..7 {
        match bar(rest) {
            Some((field, behind)) => {
                fields.push(header(field));
                rest = behind;
            }
            // Some leave out the last bar where there is no extension.
            None if fields.len() == 6 => {
                fields.push(header(rest));
                rest = "";
            }
            None => return None,
        }
    }
    let version = behind.split('|').next()?.trim();
    read::int(version.split('.').next()?)?;
    fields.push(extension(rest.trim()));
    Some(fields)
}

/// The text before the next `|` that is not escaped, and what follows it.
fn bar(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'|' => return Some((&text[..at], &text[at + 1..])),
            _ => at += 1,
        }
    }
    None
}

fn header(text: &str) -> Value<'_> {
    let text = text.trim();
    if text.contains('\\') { Value::Text(unescaped(text)) } else { unless_dash(text) }
}

/// The text with `\|`, `\=`, `\\`, `\n` and `\r` undone.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other @ ('|' | '=' | '\\')) => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Pairs whose values may hold blanks: a value ends where a blank, a key and `=` follow.
fn extension(text: &str) -> Value<'static> {
    let bytes = text.as_bytes();
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-[]:".contains(byte);
    // Where each key begins, and its `=`.
    let mut keys: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'=' => {
                let length = bytes[..at].iter().rev().take_while(|byte| is_key(byte)).count();
                let start = at - length;
                let after_blank = start == 0 || bytes[start - 1].is_ascii_whitespace();
                let past = keys.last().is_none_or(|(_, equals)| start > *equals);
                if length > 0 && after_blank && past {
                    keys.push((start, at));
                }
            }
            _ => {}
        }
        at += 1;
    }
    let mut pairs = Ordered::default();
    for (index, (start, equals)) in keys.iter().enumerate() {
        let end = keys.get(index + 1).map_or(text.len(), |(next, _)| *next);
        let value = text.get(equals + 1..end).unwrap_or("").trim_end();
        pairs.put(Cow::Borrowed(&text[*start..*equals]), unescaped(value));
    }
    map(pairs)
}

fn map(pairs: Ordered<'_, Cow<'_, str>>) -> Value<'static> {
    let mut out = MapText::new();
    for (key, value) in pairs.members {
        out.value(&key, &Value::Text(value));
    }
    out.finish()
}

/// Reads `LEEF:1.0|vendor|product|version|event|key=value<tab>…`; version 2 names its separator.
pub(super) fn leef(text: &str) -> Option<Vec<Value<'_>>> {
    let (_, rest) = text.split_once("LEEF:")?;
    let mut parts = rest.splitn(6, '|');
    let version = parts.next()?.trim();
    let major = read::float(version)?;
    let mut fields = vec![Value::text(version)];
    for _ in 0..4 {
        fields.push(unless_dash(parts.next()?.trim()));
    }
    let rest = parts.next().unwrap_or("");
    let (sep, attributes) = if major < 2.0 {
        ('\t', rest)
    } else {
        match rest.split_once('|') {
            Some((sep, attributes)) if sep.chars().count() <= 5 && !sep.contains('=') => {
                (separator(sep)?, attributes)
            }
            _ => ('\t', rest),
        }
    };
    let mut pairs = Ordered::default();
    for pair in attributes.split(sep) {
        if let Some((key, value)) = pair.split_once('=') {
            pairs.put(Cow::Borrowed(key.trim()), Cow::Borrowed(value.trim_end()));
        }
    }
    fields.push(if pairs.members.is_empty() && !attributes.trim().is_empty() {
        Value::Absent(Absence::Parse)
    } else {
        map(pairs)
    });
    Some(fields)
}

/// `^`, `x5E` or `0x5e`; nothing means a tab.
fn separator(text: &str) -> Option<char> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix('x'));
    match digits {
        Some(digits) if !digits.is_empty() => char::from_u32(u32::from_str_radix(digits, 16).ok()?),
        _ => Some(text.chars().next().unwrap_or('\t')),
    }
}
