//! Functions: bytes in text, compressed text and other charsets, and rows of values as text.
//!
//! Invariant: what comes out of compressed text is bounded, however little went in.

use std::{borrow::Cow, io::Read as _};

use base64::Engine as _;

use super::{
    Function, Kernel, RowArg, Takes,
    encoding::{entry, unhex},
    items,
    signature::{
        BLOB, TEXT, UNREADABLE, WRONG_TYPE, choice_arg, json_ref, may, maybe_text, needs, text,
        text_ref, value_arg,
    },
    strings::LONGEST,
    twin::{STORED, Sql},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
};

/// How bytes stand in text.
const FROM: Takes = Takes::Choice(&["base64", "hex", "text"]);

/// Largest window of zstd, as a power of two: what a decoder keeps in memory.
const WINDOW_LOG_MAX: u32 = 23;

/// Bytes in text.
pub(super) const FUNCTIONS: &[Function] = &[
    entry(
        "encode_kv",
        &[needs("map", Takes::Map), may("kv", TEXT), may("sep", TEXT), may("quote", TEXT)],
        text,
        "The map's members as pairs (`=` between key and value, a blank between pairs, unless told otherwise), values quoted where needed.",
        &[("encode_kv({ a: 1, b: \"x;y\" }, kv: \":\", sep: \";\")", "\"a:1;b:\\\"x;y\\\"\"")],
        Kernel::Rows(encode_kv),
        Sql::None(STORED),
    ),
    entry(
        "encode_csv",
        &[needs("list", Takes::List), may("sep", TEXT)],
        text,
        "The list's elements as one line of CSV, quoted where needed; null is empty.",
        &[("encode_csv([\"a\", \"b,c\", 3])", "\"a,\\\"b,c\\\",3\"")],
        Kernel::Rows(encode_csv),
        Sql::None(STORED),
    ),
    entry(
        "decode_gzip",
        &[needs("s", BLOB), may("from", FROM)],
        maybe_text,
        "The text behind gzip: of bytes, or of a text in which they stand as Base64 (or `hex`); absent if it is longer than 1 MiB.",
        &[("decode_gzip(\"H4sIAAAAAAAC/8tIzcnJBwCGphA2BQAAAA==\")", "\"hello\"")],
        Kernel::Rows(|args, _| unpacked(args, gunzip)),
        Sql::None(STORED),
    ),
    entry(
        "decode_zstd",
        &[needs("s", BLOB), may("from", FROM)],
        maybe_text,
        "The text behind Zstandard: of bytes, or of a text in which they stand as Base64 (or `hex`); absent if it is longer than 1 MiB.",
        &[("decode_zstd(\"KLUv/SAFKQAAaGVsbG8=\")", "\"hello\"")],
        Kernel::Rows(|args, _| unpacked(args, unzstd)),
        Sql::None(STORED),
    ),
    entry(
        "decode_charset",
        &[needs("s", BLOB), needs("charset", TEXT), may("from", FROM)],
        maybe_text,
        "The text behind bytes in another charset (by its name on the web: `latin1`, `windows-1252`, `shift_jis`), or in a text in which they stand as Base64, `hex`, or `text` of one character a byte.",
        &[("decode_charset(\"R3L832U=\", \"latin1\")", "\"Grüße\"")],
        Kernel::Rows(decode_charset),
        Sql::None(STORED),
    ),
];

/// A value inside a line; lists and maps as JSON, null as nothing.
fn plain(raw: &str) -> String {
    let mut out = String::new();
    match items::decode(raw) {
        Value::Absent(_) => {}
        Value::Text(text) | Value::Json(text) => out.push_str(&text),
        scalar => super::show::scalar(&mut out, &scalar),
    }
    out
}

fn encode_kv<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(map) = json_ref(args, 0).filter(|raw| raw.starts_with('{')) else {
        return WRONG_TYPE;
    };
    let kv = text_ref(args, 1).unwrap_or("=");
    let sep = text_ref(args, 2).unwrap_or(" ");
    let quote = text_ref(args, 3).unwrap_or("\"");
    let mut out = String::new();
    for (key, raw) in items::members(map) {
        if !out.is_empty() {
            out.push_str(sep);
        }
        out.push_str(&items::unescape(key));
        out.push_str(kv);
        let value = plain(raw);
        let holds = |part: &str| !part.is_empty() && value.contains(part);
        if value.is_empty() || holds(kv) || holds(sep) || holds(quote) {
            out.push_str(quote);
            // A quote inside would end the value.
            out.push_str(&if holds(quote) { value.replace(quote, "'") } else { value });
            out.push_str(quote);
        } else {
            out.push_str(&value);
        }
        if out.len() > LONGEST {
            return Value::Absent(Absence::OutOfRange);
        }
    }
    Value::owned(out)
}

fn encode_csv<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(list) = json_ref(args, 0).filter(|raw| items::is_list(raw)) else {
        return WRONG_TYPE;
    };
    let sep = text_ref(args, 1).unwrap_or(",");
    let mut out = String::new();
    for (index, raw) in items::elements(list).enumerate() {
        if index > 0 {
            out.push_str(sep);
        }
        let value = plain(raw);
        let special = |c: char| matches!(c, '"' | '\n' | '\r');
        if value.contains(special) || !sep.is_empty() && value.contains(sep) {
            out.push('"');
            out.push_str(&value.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&value);
        }
    }
    Value::owned(out)
}

/// The argument's bytes, or those that stand in its text.
fn bytes_in<'x>(args: &'x [RowArg<'_>], from: Option<&str>) -> Result<Cow<'x, [u8]>, Absence> {
    match value_arg(args, 0) {
        Some(Value::Bytes(bytes)) => Ok(Cow::Borrowed(bytes)),
        Some(Value::Text(text)) => bytes_of(text, from).map(Cow::Owned).ok_or(Absence::Parse),
        _ => Err(Absence::Type),
    }
}

fn bytes_of(text: &str, from: Option<&str>) -> Option<Vec<u8>> {
    match from {
        Some("hex") => unhex(text),
        Some("text") => text.chars().map(|c| u8::try_from(c).ok()).collect(),
        _ => {
            use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
            let digits = text.trim().trim_end_matches('=');
            STANDARD_NO_PAD.decode(digits).or_else(|_| URL_SAFE_NO_PAD.decode(digits)).ok()
        }
    }
}

fn unpacked<'a>(args: &[RowArg<'a>], unpack: fn(&[u8]) -> Option<Vec<u8>>) -> Value<'a> {
    let bytes = match bytes_in(args, choice_arg(args, 1)) {
        Ok(bytes) => bytes,
        Err(why) => return Value::Absent(why),
    };
    match unpack(&bytes) {
        Some(bytes) if bytes.len() > LONGEST => Value::Absent(Absence::OutOfRange),
        Some(bytes) => String::from_utf8(bytes).map_or(UNREADABLE, Value::owned),
        None => UNREADABLE,
    }
}

/// Up to one byte more than the longest text.
fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(bytes);
    reader.take(LONGEST as u64 + 1).read_to_end(&mut out).ok()?;
    Some(out)
}

/// Up to one byte more than the longest text.
fn unzstd(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = zstd::stream::read::Decoder::new(bytes).ok()?;
    reader.window_log_max(WINDOW_LOG_MAX).ok()?;
    reader.take(LONGEST as u64 + 1).read_to_end(&mut out).ok()?;
    Some(out)
}

fn decode_charset<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(charset) = text_ref(args, 1) else { return WRONG_TYPE };
    let Some(encoding) = encoding_rs::Encoding::for_label(charset.as_bytes()) else {
        return Value::Absent(Absence::OutOfRange);
    };
    let bytes = match bytes_in(args, choice_arg(args, 2)) {
        Ok(bytes) => bytes,
        Err(why) => return Value::Absent(why),
    };
    match encoding.decode_without_bom_handling_and_without_replacement(&bytes) {
        Some(text) => Value::owned(text.into_owned()),
        None => UNREADABLE,
    }
}
