//! Functions: conversion and presence.

use super::{
    Family, Function, Kernel, Param, RowArg, Takes,
    encoding::unhex,
    read::{self, SeverityScheme, Unit},
    show,
    signature::{
        INT, WRONG_TYPE, bool, choice_arg, int_arg, left_out, may, maybe_text, needs, rest, text,
        type_at, value_arg,
    },
    twin::{Nulls, STORED, Sql, When, twin},
};
use crate::{
    column::{Absence, Cidr, Value, decode},
    eval::RowContext,
    types::{Ty, Type},
};

/// Conversion and presence.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "int",
        &[needs("x", Takes::Any), may("base", INT)],
        |args| converted(args, Type::Int, &[Type::Int, Type::Bool, Type::Severity]),
        "Reads text or a number as an integer; a float is cut towards zero.",
        &[("int(\"12\")", "12"), ("int(\"ff\", base: 16)", "255"), ("int(12.9)", "12")],
        Kernel::Rows(to_int),
        twin("accurateCastOrNull({0}, 'Int64')").forms(&[(When::Given(1), ""), (When::Number(0), "accurateCastOrNull(trunc({0}), 'Int64')")]),
    ),
    entry(
        "float",
        &[needs("x", Takes::Any)],
        |args| converted(args, Type::Float, &[Type::Int, Type::Float, Type::Number, Type::Bool]),
        "Reads text or a number as a float.",
        &[("float(\"0.25\")", "0.25"), ("float(3)", "3.0")],
        Kernel::Rows(to_float),
        twin("accurateCastOrNull({0}, 'Float64')"),
    ),
    entry(
        "bool",
        &[needs("x", Takes::Any)],
        |args| converted(args, Type::Bool, &[Type::Bool]),
        "Reads `true yes on 1` and `false no off 0`, in any case, as a truth value.",
        &[("bool(\"YES\")", "true"), ("bool(0)", "false")],
        Kernel::Rows(to_bool),
        twin("multiIf(lower(toString({0})) IN ('true', 'yes', 'on', '1'), true, lower(toString({0})) IN ('false', 'no', 'off', '0'), false, NULL)"),
    ),
    entry(
        "string",
        &[needs("x", Takes::Any)],
        |args| match type_at(args, 0) {
            Type::Any
            | Type::Null
            | Type::Bytes
            | Type::List(_)
            | Type::Map(_)
            | Type::Record(_) => Ty::optional(Type::Text),
            _ => Ty::required(Type::Text),
        },
        "The value as text; lists and maps have none (`encode_json` writes them), nor have bytes that are not UTF-8.",
        &[("string(42)", "\"42\""), ("string(5m)", "\"5m\"")],
        Kernel::Rows(to_text),
        twin("toString({0})").note("times, durations and severities have another spelling there"),
    ),
    entry(
        "timestamp",
        &[needs("x", Takes::Any), may("unit", Takes::Choice(&["s", "ms", "us", "ns", "auto"]))],
        |args| converted(args, Type::Timestamp, &[Type::Timestamp]),
        "Reads RFC 3339 text or an epoch number; without a unit its magnitude says which.",
        &[
            ("timestamp(1767225600)", "\"2026-01-01T00:00:00Z\""),
            ("timestamp(\"2026-01-01T01:00:00+01:00\")", "\"2026-01-01T00:00:00Z\""),
            ("timestamp(1500, unit: ms)", "\"1970-01-01T00:00:01.500Z\""),
        ],
        Kernel::Rows(to_timestamp),
        twin("parseDateTime64BestEffortOrNull({0}, 9, 'UTC')").forms(&[(When::Choice(1, "s"), "fromUnixTimestamp64Second(toInt64({0}), 'UTC')"), (When::Choice(1, "ms"), "fromUnixTimestamp64Milli(toInt64({0}), 'UTC')"), (When::Choice(1, "us"), "fromUnixTimestamp64Micro(toInt64({0}), 'UTC')"), (When::Choice(1, "ns"), "fromUnixTimestamp64Nano(toInt64({0}), 'UTC')"), (When::Number(0), "fromUnixTimestamp64Nano(toInt64({0} * multiIf(abs({0}) < 1e11, 1000000000, abs({0}) < 1e14, 1000000, abs({0}) < 1e17, 1000, 1)), 'UTC')")]).note("more spellings are read there"),
    ),
    entry(
        "duration",
        &[needs("x", Takes::Any)],
        |args| converted(args, Type::Duration, &[Type::Duration]),
        "Reads text such as `1h30m` or `1.5s` as a duration.",
        &[("duration(\"90s\")", "\"1m30s\"")],
        Kernel::Rows(to_duration),
        Sql::None("there is no type for a column of durations"),
    ),
    entry(
        "bytes",
        &[needs("x", Takes::Any), may("from", Takes::Choice(&["base64", "hex"]))],
        |args| converted(args, Type::Bytes, &[Type::Bytes]),
        "The bytes of a text in UTF-8, or those that stand in it as `base64` or `hex`. As JSON, and in a column, bytes are Base64 text.",
        &[
            ("bytes(\"hi!\")", "\"aGkh\""),
            ("bytes(\"686921\", from: hex) == bytes(\"hi!\")", "true"),
            ("string(bytes(\"aGkh\", from: base64))", "\"hi!\""),
        ],
        Kernel::Rows(to_bytes),
        Sql::None("a column holds bytes as Base64 text"),
    ),
    entry(
        "ip",
        &[needs("x", Takes::Any)],
        |args| converted(args, Type::Ip, &[Type::Ip]),
        "Reads text as an address.",
        &[("ip(\"192.0.2.1\")", "\"192.0.2.1\""), ("ip(\"::1\")", "\"::1\"")],
        Kernel::Rows(to_ip),
        twin("toIPv6OrNull({0})"),
    ),
    entry(
        "cidr",
        &[needs("x", Takes::Any)],
        |args| converted(args, Type::Cidr, &[Type::Cidr, Type::Ip]),
        "Reads text or an address as a block of addresses; host bits are cleared.",
        &[("cidr(\"10.1.2.3/8\")", "\"10.0.0.0/8\"")],
        Kernel::Rows(to_cidr),
        Sql::None("there is no type for a column of address blocks"),
    ),
    entry(
        "parse_severity",
        &[needs("x", Takes::Any), may("scheme", Takes::Choice(SCHEMES))],
        |args| converted(args, Type::Severity, &[Type::Severity]),
        "Reads a severity from its name in any case, or from a number (0–7 syslog, 8–24 OpenTelemetry, 30–60 pino, unless a scheme is named).",
        &[
            ("parse_severity(\"Warning\")", "\"warn\""),
            ("parse_severity(30)", "\"info\""),
            ("parse_severity(3, scheme: otel)", "\"trace\""),
        ],
        Kernel::Rows(to_severity),
        Sql::None(STORED),
    ),
    entry(
        "type_of",
        &[needs("x", Takes::Any)],
        text,
        "The name of the value's type: `missing` or `null` where there is none.",
        &[
            ("type_of(1.5)", "\"float\""),
            ("type_of([1])", "\"list\""),
            ("type_of(null)", "\"null\""),
        ],
        Kernel::RowsWithAbsent(type_of),
        Sql::None("a column has one type"),
    ),
    entry(
        "fault",
        &[needs("x", Takes::Any)],
        maybe_text,
        "Why the value is absent, as a word; absent itself where there is a value.",
        &[("fault(int(\"x\"))", "\"parse\"")],
        Kernel::RowsWithAbsent(fault),
        Sql::None("a null has no cause there"),
    ),
    entry(
        "coalesce",
        &[needs("a", Takes::Any), needs("b", Takes::Any), rest("more", Takes::Any)],
        first_present,
        "The first argument that is present.",
        &[("coalesce(null, int(\"x\"), 3)", "3")],
        Kernel::RowsWithAbsent(coalesce),
        twin("coalesce({*})").nulls(Nulls::Answer),
    ),
    entry(
        "is_empty",
        &[needs("x", Takes::Any)],
        bool,
        "Whether the value is absent, `\"\"`, `[]` or `{}`.",
        &[("is_empty(\"\")", "true"), ("is_empty([0])", "false")],
        Kernel::RowsWithAbsent(is_empty),
        twin("ifNull(empty({0}), true)").nulls(Nulls::Answer),
    ),
];

const SCHEMES: &[&str] = &["auto", "otel", "syslog", "journald", "pino", "bunyan", "klog"];

const fn entry(
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
        ..Function::new(name, Family::Conversion, params, returns, doc, examples, kernel)
    }
}

/// A conversion that cannot fail from some types.
fn converted(args: &[Option<Ty>], to: Type, surely_from: &[Type]) -> Ty {
    let sure = surely_from.contains(&type_at(args, 0));
    Ty { base: to, optional: !sure }
}

/// The type that all arguments have, `any` where they differ; absent only if every one may be.
fn first_present(args: &[Option<Ty>]) -> Ty {
    let known = || args.iter().flatten();
    let mut bases = known().map(|ty| &ty.base).filter(|base| **base != Type::Null);
    let first = bases.next().cloned().unwrap_or(Type::Null);
    let base = match bases.find(|base| **base != first) {
        None => first,
        Some(other) if first.is_number() && other.is_number() => Type::Number,
        Some(_) => Type::Any,
    };
    Ty { base, optional: known().all(|ty| ty.optional || ty.base == Type::Null) }
}

fn to_int<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(value) = value_arg(args, 0) else { return WRONG_TYPE };
    if !left_out(args, 1) {
        let Some(base) = int_arg(args, 1).filter(|base| (2..=36).contains(base)) else {
            return Value::Absent(Absence::OutOfRange);
        };
        let Value::Text(text) = value else { return WRONG_TYPE };
        return Value::or_absent(
            i64::from_str_radix(text, base as u32).ok().map(Value::Int),
            Absence::Parse,
        );
    }
    match value {
        Value::Int(number) => Value::Int(*number),
        Value::Bool(truth) => Value::Int(i64::from(*truth)),
        Value::Severity(severity) => Value::Int(i64::from(severity.0)),
        Value::Float(number) => {
            Value::or_absent(whole(*number).map(Value::Int), Absence::OutOfRange)
        }
        Value::Text(text) => Value::or_absent(read::int(text).map(Value::Int), Absence::Parse),
        _ => WRONG_TYPE,
    }
}

/// A float without its fraction, if 64 bits hold it.
pub(super) fn whole(number: f64) -> Option<i64> {
    // 2^63 is exact as a float, i64::MAX is not.
    let limit = 9_223_372_036_854_775_808.0;
    let cut = number.trunc();
    (-limit..limit).contains(&cut).then_some(cut as i64)
}

fn to_float<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Float(number)) => Value::Float(*number),
        Some(Value::Int(number)) => Value::Float(*number as f64),
        Some(Value::Bool(truth)) => Value::Float(f64::from(u8::from(*truth))),
        Some(Value::Text(text)) => {
            Value::or_absent(read::float(text).map(Value::Float), Absence::Parse)
        }
        _ => WRONG_TYPE,
    }
}

fn to_bool<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Bool(truth)) => Value::Bool(*truth),
        Some(Value::Int(number @ (0 | 1))) => Value::Bool(*number == 1),
        Some(Value::Int(_)) => Value::Absent(Absence::OutOfRange),
        Some(Value::Text(text)) => {
            Value::or_absent(read::bool(text).map(Value::Bool), Absence::Parse)
        }
        _ => WRONG_TYPE,
    }
}

fn to_text<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Text(text)) => Value::Text(text.clone()),
        Some(Value::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::owned(text.to_owned()),
            Err(_) => Value::Absent(Absence::Parse),
        },
        None | Some(Value::Json(_) | Value::Absent(_)) => WRONG_TYPE,
        Some(value) => {
            let mut out = String::new();
            show::scalar(&mut out, value);
            Value::owned(out)
        }
    }
}

fn to_timestamp<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let unit = choice_arg(args, 1).and_then(Unit::named);
    let (read, why) = match value_arg(args, 0) {
        Some(Value::Timestamp(nanos)) => (Some(*nanos), Absence::Type),
        Some(Value::Int(number)) => (read::epoch_int(*number, unit), Absence::OutOfRange),
        Some(Value::Float(number)) => (read::epoch_float(*number, unit), Absence::OutOfRange),
        Some(Value::Text(text)) => (timestamp_from_text(text, unit), Absence::Parse),
        _ => (None, Absence::Type),
    };
    Value::or_absent(read.map(Value::Timestamp), why)
}

/// RFC 3339, or an epoch number written as text.
pub fn timestamp_from_text(text: &str, unit: Option<Unit>) -> Option<i64> {
    read::timestamp(text)
        .or_else(|| read::int(text).and_then(|number| read::epoch_int(number, unit)))
        .or_else(|| {
            let (whole, fraction) = text.split_once('.')?;
            let number = read::int(whole)?;
            let unit = unit.unwrap_or_else(|| Unit::by_magnitude(number as f64));
            // The fraction apart from the whole: as one float it would lose digits.
            let fraction = read::scaled(fraction.get(..fraction.len().min(18))?, 1)
                .and_then(|_| read::scaled(&format!("0.{fraction}"), i128::from(unit.nanos())))?;
            let fraction = i64::try_from(fraction).ok()?;
            let nanos = read::epoch_int(number, Some(unit))?;
            nanos.checked_add(if text.starts_with('-') { -fraction } else { fraction })
        })
}

fn to_duration<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Duration(nanos)) => Value::Duration(*nanos),
        Some(Value::Text(text)) => {
            Value::or_absent(read::duration(text).map(Value::Duration), Absence::Parse)
        }
        _ => WRONG_TYPE,
    }
}

fn to_bytes<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Bytes(bytes)) => Value::Bytes(bytes.clone()),
        Some(Value::Text(text)) => {
            let read = match choice_arg(args, 1) {
                Some("base64") => decode::base64(text.as_bytes()),
                Some(_) => unhex(text),
                None => Some(text.as_bytes().to_vec()),
            };
            Value::or_absent(read.map(|bytes| Value::Bytes(bytes.into())), Absence::Parse)
        }
        _ => WRONG_TYPE,
    }
}

fn to_ip<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Ip(address)) => Value::Ip(*address),
        Some(Value::Text(text)) => Value::or_absent(read::ip(text).map(Value::Ip), Absence::Parse),
        _ => WRONG_TYPE,
    }
}

fn to_cidr<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Cidr(block)) => Value::Cidr(*block),
        Some(Value::Ip(address)) => Value::Cidr(Cidr::new(*address, 128)),
        Some(Value::Text(text)) => {
            Value::or_absent(read::cidr(text).map(Value::Cidr), Absence::Parse)
        }
        _ => WRONG_TYPE,
    }
}

fn to_severity<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let scheme =
        choice_arg(args, 1).and_then(SeverityScheme::named).unwrap_or(SeverityScheme::Auto);
    let (read, why) = match value_arg(args, 0) {
        Some(Value::Severity(severity)) => (Some(*severity), Absence::Type),
        Some(Value::Int(number)) => (read::severity_number(*number, scheme), Absence::OutOfRange),
        Some(Value::Float(number)) if number.fract() == 0.0 => (
            whole(*number).and_then(|number| read::severity_number(number, scheme)),
            Absence::OutOfRange,
        ),
        Some(Value::Text(text)) => (read::severity(text, scheme), Absence::Parse),
        _ => (None, Absence::Type),
    };
    Value::or_absent(read.map(Value::Severity), why)
}

fn type_of<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(value) = value_arg(args, 0) else { return WRONG_TYPE };
    Value::text(match value {
        Value::Absent(Absence::Null) => "null",
        Value::Absent(_) => "missing",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Timestamp(_) => "timestamp",
        Value::Duration(_) => "duration",
        Value::Ip(_) => "ip",
        Value::Cidr(_) => "cidr",
        Value::Severity(_) => "severity",
        Value::Json(raw) if raw.starts_with('[') => "list",
        Value::Json(_) => "map",
    })
}

fn fault<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    match value_arg(args, 0) {
        Some(Value::Absent(why)) => Value::text(why.name()),
        _ => Value::Absent(Absence::Missing),
    }
}

fn coalesce<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let mut why = Absence::Missing;
    for arg in args {
        match arg {
            RowArg::Value(Value::Absent(cause)) => why = *cause,
            RowArg::Value(value) => return value.clone(),
            _ => {}
        }
    }
    Value::Absent(why)
}

fn is_empty<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    Value::Bool(match value_arg(args, 0) {
        None | Some(Value::Absent(_)) => true,
        Some(Value::Text(text)) => text.is_empty(),
        Some(Value::Bytes(bytes)) => bytes.is_empty(),
        Some(Value::Json(raw)) => is_empty_json(raw),
        Some(_) => false,
    })
}

/// Whether a list or map has nothing in it.
pub(super) fn is_empty_json(raw: &str) -> bool {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
    inner.bytes().all(|byte| byte.is_ascii_whitespace())
}
