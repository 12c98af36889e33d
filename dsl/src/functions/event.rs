//! Functions: the event itself.

use super::{
    Family, Function, Given, Kernel, Param, RowArg, Takes, items, read,
    signature::{
        TEXT, WRONG_TYPE, bool, int, json_ref, maybe_text, needs, rest, text, text_arg, text_ref,
        value_arg,
    },
    twin::{Nulls, STORED, Sql, twin},
};
use crate::{
    column::Value,
    eval::RowContext,
    types::{Ty, Type},
};

/// The event itself.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "template",
        &[needs("s", TEXT)],
        text,
        "The text with `<*>` for numbers, hexadecimal ids, UUIDs, addresses, times and quoted parts: the same for all lines of one log statement.",
        &[
            ("template(\"conn 17 reset\")", "\"conn <*> reset\""),
            ("template(\"GET /cart/42 from 10.0.0.1:5000\")", "\"GET /cart/<*> from <*>\""),
        ],
        Kernel::Rows(template),
        (Given::Nothing, Sql::None(STORED)),
    ),
    entry(
        "event_hash",
        &[needs("x", Takes::Any), rest("more", Takes::Any)],
        text,
        "16 hex digits over all arguments and their order: equal values, equal text. An absent argument counts as null.",
        &[
            ("event_hash(\"a\", 1) == event_hash(\"a\", 1)", "true"),
            ("event_hash(\"ab\", \"c\") == event_hash(\"a\", \"bc\")", "false"),
        ],
        Kernel::RowsWithAbsent(event_hash),
        (Given::Nothing, Sql::None(STORED)),
    ),
    entry(
        "size_of",
        &[needs("x", Takes::Any)],
        int,
        "How many bytes the value takes as JSON; `size_of(.)` is the event with everything that rules wrote.",
        &[("size_of({ a: \"b\" })", "9")],
        Kernel::Rows(|args, _| match value_arg(args, 0) {
            Some(value) => {
                let mut out = String::new();
                items::write(&mut out, value);
                Value::Int(out.len() as i64)
            }
            None => WRONG_TYPE,
        }),
        (Given::Nothing, Sql::None("a stored row has another size")),
    ),
    entry(
        "has_tag",
        &[needs("tag", TEXT)],
        bool,
        "Whether the list `.tags` has that element; without such a list it does not.",
        &[("has_tag(\"x\")", "false")],
        Kernel::RowsWithAbsent(has_tag),
        (Given::Field("tags"), twin("ifNull(has({1}, {0}), false)").nulls(Nulls::Answer)),
    ),
    entry(
        "weight",
        &[],
        |_| Ty::required(Type::Float),
        "How many events this one stands for after sampling: the number in `.sample_weight`, 1 where there is none.",
        &[("weight()", "1.0")],
        Kernel::RowsWithAbsent(|args, _| {
            Value::Float(match args.first() {
                Some(RowArg::Value(Value::Int(weight))) if *weight > 0 => *weight as f64,
                Some(RowArg::Value(Value::Float(weight))) if *weight > 0.0 => *weight,
                _ => 1.0,
            })
        }),
        (Given::Field("sample_weight"), twin("ifNull({0}, 1)").nulls(Nulls::Answer)),
    ),
    entry(
        "host",
        &[],
        maybe_text,
        "The event's host: the text in `.host`.",
        &[("host() ?? \"none\"", "\"none\"")],
        Kernel::Rows(|args, _| text_arg(args, 0).map_or(WRONG_TYPE, Value::Text)),
        (Given::Field("host"), twin("{0}")),
    ),
    entry(
        "rule_name",
        &[],
        maybe_text,
        "The name of the rule that asks, for marks that say who left them.",
        &[("rule_name()", "\"r\"")],
        Kernel::Rows(|args, _| text_arg(args, 0).map_or(WRONG_TYPE, Value::Text)),
        (Given::Rule, Sql::None("a query has no rule")),
    ),
];

const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
    given: (Given, Sql),
) -> Function {
    let (given, sql) = given;
    Function {
        given,
        sql,
        ..Function::new(name, Family::Event, params, returns, doc, examples, kernel)
    }
}

fn event_hash<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let mut all = String::new();
    for arg in args {
        if let RowArg::Value(value) = arg {
            items::write(&mut all, value);
            all.push('\n');
        }
    }
    Value::owned(format!("{:016x}", xxhash_rust::xxh3::xxh3_64(all.as_bytes())))
}

fn has_tag<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some((tag, tags)) = text_ref(args, 0).zip(json_ref(args, 1)) else {
        return Value::Bool(false);
    };
    let is = |raw: &str| matches!(items::decode(raw), Value::Text(text) if text == tag);
    Value::Bool(items::is_list(tags) && items::elements(tags).any(is))
}

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
