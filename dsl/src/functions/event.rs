//! Functions: the event itself.

use super::{
    Family, Function, Kernel, RowArg, read,
    signature::{TEXT, WRONG_TYPE, needs, text, text_ref},
    twin::{STORED, Sql},
};
use crate::{column::Value, eval::RowContext};

/// The event itself.
pub const FUNCTIONS: &[Function] = &[Function {
    name: "template",
    family: Family::Event,
    params: &[needs("s", TEXT)],
    returns: text,
    doc: "The text with `<*>` for numbers, hexadecimal ids, UUIDs, addresses, times and quoted parts: the same for all lines of one log statement.",
    examples: &[
        ("template(\"conn 17 reset\")", "\"conn <*> reset\""),
        ("template(\"GET /cart/42 from 10.0.0.1:5000\")", "\"GET /cart/<*> from <*>\""),
    ],
    kernel: Kernel::Rows(template),
    sql: Sql::None(STORED),
}];

/// Stands for what differs from line to line.
const HOLE: &str = "<*>";

fn template<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'"' || (byte == b'\'' && !follows_word(bytes, at)) {
            // A quote that nothing closes is only a quote.
            if let Some(length) = memchr::memchr(byte, &bytes[at + 1..]) {
                out.push(char::from(byte));
                out.push_str(HOLE);
                out.push(char::from(byte));
                at += length + 2;
                continue;
            }
        }
        let end = at + bytes[at..].iter().take_while(|byte| is_token(**byte)).count();
        if end == at {
            let length = text[at..].chars().next().map_or(1, char::len_utf8);
            out.push_str(&text[at..at + length]);
            at += length;
            continue;
        }
        let token = &text[at..end];
        let kept = token.trim_end_matches(['.', ':', '-', '+']);
        mask_token(&mut out, kept);
        out.push_str(&token[kept.len()..]);
        at = end;
    }
    Value::owned(out)
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1].is_ascii_alphanumeric()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-' | b'+')
}

/// Writes a run of letters, digits and what stands inside numbers, times and addresses.
fn mask_token(out: &mut String, token: &str) {
    if !token.bytes().any(|byte| byte.is_ascii_digit()) && !token.contains("::") {
        out.push_str(token);
        return;
    }
    let address = token.rsplit_once(':').map_or(token, |(host, _)| host);
    if read::ip(token).is_some()
        || read::ip(address).is_some()
        || is_uuid(token)
        || looks_like_time(token)
    {
        out.push_str(HOLE);
        return;
    }
    let mut from = 0;
    for (at, byte) in token.bytes().enumerate() {
        if matches!(byte, b'.' | b':' | b'-' | b'+') {
            mask_word(out, &token[from..at]);
            out.push(char::from(byte));
            from = at + 1;
        }
    }
    mask_word(out, &token[from..]);
}

fn is_uuid(token: &str) -> bool {
    token.len() == 36
        && token.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Digits with the marks of dates, times and decimal numbers only.
fn looks_like_time(token: &str) -> bool {
    token.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-')
        && token.bytes().all(|byte| {
            byte.is_ascii_digit() || matches!(byte, b'.' | b':' | b'-' | b'+' | b'T' | b'Z')
        })
}

/// Writes a word with its runs of digits masked; as a whole where it is a hexadecimal id.
fn mask_word(out: &mut String, word: &str) {
    const ID_MIN: usize = 8;
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = digits.bytes().any(|byte| byte.is_ascii_digit());
    if hex && has_digit && (digits.len() >= ID_MIN || digits.len() < word.len()) {
        out.push_str(HOLE);
        return;
    }
    let mut masked = false;
    for c in word.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !masked {
            out.push_str(HOLE);
        }
        masked = c.is_ascii_digit();
    }
}
