//! Functions: encoding.

use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::{
    Family, Function, Kernel, Param, RowArg, Takes, items, show,
    signature::{
        BLOB, BOOL, TEXT, UNREADABLE, WRONG_TYPE, bytes_ref, json_ref, may, maybe_text, needs,
        text, text_arg, text_ref, value_arg,
    },
    twin::{STORED, Sql, When, twin},
};
use crate::{
    column::{Value, decode},
    eval::RowContext,
    types::Ty,
};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encoding.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "encode_json",
        &[needs("x", Takes::Any), may("pretty", BOOL)],
        text,
        "The value as JSON text.",
        &[("encode_json({ a: 1 })", "\"{\\\"a\\\":1}\""), ("encode_json(\"a\")", "\"\\\"a\\\"\"")],
        Kernel::Rows(encode_json),
        twin("toJSONString({0})").forms(&[(When::Given(1), "")]),
    ),
    entry(
        "encode_logfmt",
        &[needs("map", Takes::Map)],
        text,
        "The map's members as `key=value`, quoted where needed.",
        &[("encode_logfmt({ a: 1, b: \"x y\" })", "\"a=1 b=\\\"x y\\\"\"")],
        Kernel::Rows(encode_logfmt),
        Sql::None(STORED),
    ),
    entry(
        "encode_base64",
        &[needs("s", BLOB)],
        text,
        "The bytes in Base64.",
        &[("encode_base64(\"hi!\")", "\"aGkh\"")],
        Kernel::Rows(|args, _| {
            bytes_ref(args, 0).map_or(WRONG_TYPE, |bytes| {
                Value::owned(base64::engine::general_purpose::STANDARD.encode(bytes))
            })
        }),
        twin("base64Encode({0})"),
    ),
    entry(
        "decode_base64",
        &[needs("s", TEXT)],
        maybe_text,
        "The text behind Base64, standard or URL-safe, padded or not.",
        &[("decode_base64(\"aGkh\")", "\"hi!\"")],
        Kernel::Rows(|args, _| {
            let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
            decoded(decode::base64(text.as_bytes()))
        }),
        twin("nullIf(tryBase64Decode({0}), '')")
            .note("only standard Base64 there; tryBase64URLDecode reads the other"),
    ),
    entry(
        "encode_hex",
        &[needs("s", BLOB)],
        text,
        "The bytes as lower-case hex digits.",
        &[("encode_hex(\"hi\")", "\"6869\"")],
        Kernel::Rows(|args, _| {
            bytes_ref(args, 0).map_or(WRONG_TYPE, |bytes| Value::owned(hex(bytes)))
        }),
        twin("lower(hex({0}))"),
    ),
    entry(
        "decode_hex",
        &[needs("s", TEXT)],
        maybe_text,
        "The text behind hex digits.",
        &[("decode_hex(\"6869\")", "\"hi\"")],
        Kernel::Rows(|args, _| {
            let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
            decoded(unhex(text))
        }),
        twin("if(length({0}) % 2 = 0 AND match({0}, '^[0-9A-Fa-f]*$'), unhex({0}), NULL)"),
    ),
    entry(
        "encode_percent",
        &[needs("s", BLOB)],
        text,
        "The text with everything but letters, digits and `-_.~` as `%XX`.",
        &[("encode_percent(\"a b/c\")", "\"a%20b%2Fc\"")],
        Kernel::Rows(|args, _| {
            bytes_ref(args, 0).map_or(WRONG_TYPE, |bytes| {
                Value::owned(percent_encoding::percent_encode(bytes, RESERVED).to_string())
            })
        }),
        twin("encodeURLComponent({0})").note("`!*'()` are left alone there"),
    ),
    entry(
        "decode_percent",
        &[needs("s", TEXT)],
        maybe_text,
        "The text with `%XX` undone; what is no such escape stays.",
        &[("decode_percent(\"a%20b\")", "\"a b\"")],
        Kernel::Rows(|args, _| {
            let Some(text) = text_arg(args, 0) else { return WRONG_TYPE };
            if !text.contains('%') {
                return Value::Text(text);
            }
            decoded(Some(percent_encoding::percent_decode_str(&text).collect()))
        }),
        twin("decodeURLComponent({0})"),
    ),
];

/// An entry of this family: its functions stand in two files.
pub(super) const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
    sql: Sql,
) -> Function {
    Function {
        sql,
        ..Function::new(name, Family::Encoding, params, returns, doc, examples, kernel)
    }
}

/// Bytes as text, absent where they are none.
fn decoded(bytes: Option<Vec<u8>>) -> Value<'static> {
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map_or(UNREADABLE, Value::owned)
}

/// Bytes as lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// Bytes behind hex digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
        })
        .collect()
}

fn encode_json<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(value) = value_arg(args, 0) else { return WRONG_TYPE };
    let pretty = matches!(value_arg(args, 1), Some(Value::Bool(true)));
    let mut out = String::new();
    match value {
        Value::Json(raw) if pretty => indented(&mut out, raw, 0),
        value => items::write(&mut out, value),
    }
    Value::owned(out)
}

/// Writes JSON over several lines, two blanks a level; scalars keep their bytes.
fn indented(out: &mut String, raw: &str, level: usize) {
    // Deeper than any event may be: written as it is, so that no text can exhaust the stack.
    const DEEPEST: usize = 64;
    let line = |out: &mut String, level: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    };
    let list = raw.starts_with('[');
    if (!list && !raw.starts_with('{')) || level >= DEEPEST {
        out.push_str(raw);
        return;
    }
    out.push(if list { '[' } else { '{' });
    let mut any = false;
    let mut item = |key: Option<&str>, value: &str| {
        if any {
            out.push(',');
        }
        any = true;
        line(out, level + 1);
        if let Some(key) = key {
            out.push('"');
            out.push_str(key);
            out.push_str("\": ");
        }
        indented(out, value, level + 1);
    };
    if list {
        items::elements(raw).for_each(|value| item(None, value));
    } else {
        items::members(raw).for_each(|(key, value)| item(Some(key), value));
    }
    if any {
        line(out, level);
    }
    out.push(if list { ']' } else { '}' });
}

fn encode_logfmt<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = json_ref(args, 0) else { return WRONG_TYPE };
    let mut out = String::new();
    for (key, raw) in items::members(map) {
        if !out.is_empty() {
            out.push(' ');
        }
        let key = items::unescape(key);
        out.extend(key.chars().map(|c| if c <= ' ' || c == '=' || c == '"' { '_' } else { c }));
        out.push('=');
        let mut value = String::new();
        match items::decode(raw) {
            Value::Json(raw) => value.push_str(&raw),
            Value::Absent(_) => value.push_str("null"),
            scalar => show::scalar(&mut value, &scalar),
        }
        let quoted = value.is_empty()
            || value.chars().any(|c| c <= ' ' || matches!(c, '=' | '"' | '\\' | '\u{7f}'));
        if quoted {
            items::write_text(&mut out, &value);
        } else {
            out.push_str(&value);
        }
    }
    Value::owned(out)
}
