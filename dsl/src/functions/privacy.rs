//! Functions: privacy.

use std::borrow::Cow;

use super::{
    Family, Function, Kernel, Param, Regex, RowArg, Takes, detect, items, keyring, redact,
    signature::{
        INT, IP, TEXT, WRONG_TYPE, bool, int_arg, json_ref, left_out, may, needs, secret_arg, text,
        text_ref, type_at, value_arg,
    },
    twin::{STORED, Sql},
};
use crate::{
    column::{Absence, Cidr, Value},
    eval::RowContext,
    types::{Ty, Type},
};

/// Privacy.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "redact",
        &[
            needs("x", Takes::Any),
            needs("what", Takes::Detectors(detect::NAMES)),
            may("with", Takes::TextOrLambda),
        ],
        |args| {
            Ty::required(match type_at(args, 0) {
                // Only text is read and written: everything else passes, as what it is.
                Type::Record(_) => Type::Any,
                other => other,
            })
        },
        "The text, or the texts anywhere in a list or map, with everything replaced that the regexes (their group `secret`) and detectors find.",
        &[
            ("redact(\"mail bob@example.com\", [email])", "\"mail [redacted]\""),
            (
                "redact({ a: \"pin 12\" }, [re\"pin (?<secret>\\d+)\"], with: \"*\")",
                "{\"a\":\"pin *\"}",
            ),
        ],
        Kernel::Columns(redact::kernel),
        Sql::None(STORED),
    ),
    entry(
        "mask",
        &[needs("s", TEXT), may("keep", INT)],
        text,
        "The text with `*` for all but its last `keep` (4) characters.",
        &[("mask(\"4111111111111111\")", "\"************1111\"")],
        Kernel::Rows(mask),
        Sql::None(STORED),
    ),
    entry(
        "ip_mask",
        &[needs("ip", IP), may("v4", INT), may("v6", INT)],
        |_| Ty::required(Type::Cidr),
        "The network of an address: its first 24 bits (IPv4) or 48 bits (IPv6) unless told otherwise.",
        &[("ip_mask(ip\"203.0.113.9\")", "\"203.0.113.0/24\"")],
        Kernel::Rows(ip_mask),
        Sql::None("there is no type for a column of address blocks"),
    ),
    entry(
        "is_luhn",
        &[needs("s", TEXT)],
        bool,
        "Whether the text's digits (blanks and dashes between them) have a right Luhn check digit, as card numbers do.",
        &[
            ("is_luhn(\"4111 1111 1111 1111\")", "true"),
            ("is_luhn(\"4111 1111 1111 1112\")", "false"),
        ],
        Kernel::Rows(|args, _| {
            text_ref(args, 0).map_or(WRONG_TYPE, |text| Value::Bool(detect::is_luhn(text)))
        }),
        Sql::None(STORED),
    ),
    entry(
        "pseudonymize",
        &[needs("s", TEXT), needs("key", Takes::Secret), may("id", TEXT)],
        text,
        "32 hex digits that stand for the text under a secret key: equal texts stay equal, and without the key nobody finds the way back. A secret of lines `ID@DATE KEY` is a ring of keys: the one in force at the event's time is taken (or the one that `id` names), and its id stands in front, `2026q4_…`.",
        &[(
            "pseudonymize(\"bob\", secret(\"example\")) == pseudonymize(\"bob\", secret(\"example\"))",
            "true",
        )],
        Kernel::Rows(pseudonymize),
        Sql::None("a key must not stand in a query"),
    ),
    entry(
        "drop_keys_like",
        &[needs("map", Takes::Map), needs("re", Takes::Regex)],
        |_| Ty::required(Type::map(Type::Any)),
        "The map without members whose key matches the regex, in inner maps and lists too.",
        &[(
            "drop_keys_like({ user: { passwd: \"x\", id: 1 } }, re\"pass|token\")",
            "{\"user\":{\"id\":1}}",
        )],
        Kernel::Rows(drop_keys_like),
        Sql::None(STORED),
    ),
];

const fn entry(
    name: &'static str,
    params: &'static [Param],
    returns: fn(&[Option<Ty>]) -> Ty,
    doc: &'static str,
    examples: &'static [(&'static str, &'static str)],
    kernel: Kernel,
    sql: Sql,
) -> Function {
    Function { sql, ..Function::new(name, Family::Privacy, params, returns, doc, examples, kernel) }
}

fn mask<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(text) = text_ref(args, 0) else { return WRONG_TYPE };
    let keep = match int_arg(args, 1) {
        Some(keep) => usize::try_from(keep.max(0)).unwrap_or(usize::MAX),
        None if left_out(args, 1) => 4,
        None => return WRONG_TYPE,
    };
    let length = text.chars().count();
    // Text no longer than what is kept would leave as it came: then nothing is kept.
    let hidden = if length > keep { length - keep } else { length };
    Value::owned("*".repeat(hidden).chars().chain(text.chars().skip(hidden)).collect())
}

fn pseudonymize<'a>(args: &[RowArg<'a>], row: &RowContext<'a>) -> Value<'a> {
    let Some((text, secret)) = text_ref(args, 0).zip(secret_arg(args, 1)) else {
        return WRONG_TYPE;
    };
    let key = match text_ref(args, 2) {
        Some(id) => keyring::named(secret, id),
        None if left_out(args, 2) => Some(keyring::in_force(secret, row.now)),
        None => return WRONG_TYPE,
    };
    let Some(key) = key else { return Value::Absent(Absence::OutOfRange) };
    let digits = super::identity::pseudonym(text, key.key);
    Value::owned(match key.id {
        Some(id) => format!("{id}_{digits}"),
        None => digits,
    })
}

fn ip_mask<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(Value::Ip(address)) = value_arg(args, 0) else { return WRONG_TYPE };
    let v4 = int_arg(args, 1).unwrap_or(24).clamp(0, 32) as u8;
    let v6 = int_arg(args, 2).unwrap_or(48).clamp(0, 128) as u8;
    let is_v4 = crate::column::value::u128_to_ip(*address).is_ipv4();
    Value::Cidr(Cidr::new(*address, if is_v4 { 96 + v4 } else { v6 }))
}

fn drop_keys_like<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let (Some(map), Some(RowArg::Regex(regex))) = (json_ref(args, 0), args.get(1)) else {
        return WRONG_TYPE;
    };
    let mut out = String::with_capacity(map.len());
    write_without(&mut out, map, regex, 0);
    Value::Json(Cow::Owned(out))
}

/// Writes JSON without the members whose key matches.
fn write_without(out: &mut String, raw: &str, regex: &Regex, depth: usize) {
    // Deeper than any event may be: what cannot be looked into is not let through.
    const DEEPEST: usize = 128;
    let list = raw.starts_with('[');
    if !list && !raw.starts_with('{') {
        out.push_str(raw);
        return;
    }
    if depth >= DEEPEST {
        out.push_str("null");
        return;
    }
    out.push(if list { '[' } else { '{' });
    let mut first = true;
    let mut comma = |out: &mut String| {
        if !first {
            out.push(',');
        }
        first = false;
    };
    if list {
        for element in items::elements(raw) {
            comma(out);
            write_without(out, element, regex, depth + 1);
        }
    } else {
        for (key, value) in items::members(raw) {
            if !regex.matches(items::unescape(key).as_bytes()) {
                comma(out);
                out.push('"');
                out.push_str(key);
                out.push_str("\":");
                write_without(out, value, regex, depth + 1);
            }
        }
    }
    out.push(if list { ']' } else { '}' });
}
