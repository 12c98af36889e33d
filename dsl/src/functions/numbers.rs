//! Functions: numbers. Integers stay integers; nothing yields NaN.

use std::cmp::Ordering;

use super::{
    Family, Function, Kernel, Param, RowArg, Takes,
    conversion::whole,
    signature::{INT, WRONG_TYPE, int_arg, left_out, may, needs, rest, text, type_at, value_arg},
    twin::{Nulls, Sql, When, twin},
};
use crate::{
    column::{Absence, Value},
    eval::RowContext,
    types::{Ty, Type},
};

const NUMBER: &[Param] = &[needs("x", Takes::Number)];

/// Numbers.
pub const FUNCTIONS: &[Function] = &[
    entry(
        "abs",
        NUMBER,
        same_number,
        "The number without its sign.",
        &[("abs(-3)", "3")],
        Kernel::Rows(|args, _| match number(args, 0) {
            Some(Number::Int(n)) => {
                Value::or_absent(n.checked_abs().map(Value::Int), Absence::Overflow)
            }
            Some(Number::Float(n)) => Value::float(n.abs()),
            None => WRONG_TYPE,
        }),
        twin("abs({0})"),
    ),
    entry(
        "floor",
        NUMBER,
        same_number,
        "The next whole number downwards, of the same type.",
        &[("floor(1.7)", "1.0"), ("floor(-1.2)", "-2.0")],
        Kernel::Rows(|args, _| on_float(args, f64::floor)),
        twin("floor({0})"),
    ),
    entry(
        "ceil",
        NUMBER,
        same_number,
        "The next whole number upwards, of the same type.",
        &[("ceil(1.2)", "2.0")],
        Kernel::Rows(|args, _| on_float(args, f64::ceil)),
        twin("ceil({0})"),
    ),
    entry(
        "sign",
        NUMBER,
        |_| Ty::required(Type::Int),
        "-1, 0 or 1.",
        &[("sign(-2.5)", "-1")],
        Kernel::Rows(|args, _| match number(args, 0) {
            Some(Number::Int(n)) => Value::Int(n.signum()),
            Some(Number::Float(0.0)) => Value::Int(0),
            Some(Number::Float(n)) => Value::Int(if n > 0.0 { 1 } else { -1 }),
            None => WRONG_TYPE,
        }),
        twin("sign({0})"),
    ),
    entry(
        "sqrt",
        NUMBER,
        maybe_float,
        "The square root, absent for negative numbers.",
        &[("sqrt(9)", "3.0")],
        Kernel::Rows(|args, _| {
            number(args, 0).map_or(WRONG_TYPE, |n| Value::float(n.as_float().sqrt()))
        }),
        twin("if({0} < 0, NULL, sqrt({0}))"),
    ),
    entry(
        "log",
        &[needs("x", Takes::Number), may("base", Takes::Number)],
        maybe_float,
        "The natural logarithm, or that to a base; absent for numbers that are not above zero.",
        &[("log(1)", "0.0"), ("log(8, 2)", "3.0")],
        Kernel::Rows(log),
        twin("if({0} > 0, log({0}), NULL)")
            .forms(&[(When::Given(1), "if({0} > 0, log({0}) / log({1}), NULL)")]),
    ),
    entry(
        "pow",
        &[needs("x", Takes::Number), needs("y", Takes::Number)],
        maybe_float,
        "`x` to the power of `y`, as a float.",
        &[("pow(2, 10)", "1024.0")],
        Kernel::Rows(|args, _| match number(args, 0).zip(number(args, 1)) {
            Some((x, y)) => finite(x.as_float().powf(y.as_float())),
            None => WRONG_TYPE,
        }),
        twin("pow({0}, {1})").note("what is not finite is absent here"),
    ),
    entry(
        "round",
        &[needs("x", Takes::Number), may("digits", INT)],
        same_number,
        "The number with that many digits behind the point (0), halves to the even neighbor.",
        &[("round(2.5)", "2.0"), ("round(3.14159, 2)", "3.14"), ("round(1250, -2)", "1200")],
        Kernel::Rows(round),
        twin("round({0}, {1|0})"),
    ),
    entry(
        "min",
        &[needs("a", Takes::Any), needs("b", Takes::Any), rest("more", Takes::Any)],
        common,
        "The smallest of the arguments, which are numbers or all of one type.",
        &[("min(3, 1, 2)", "1")],
        Kernel::Rows(|args, _| extreme(args, Ordering::Less)),
        twin("least({*})").nulls(Nulls::Wrap),
    ),
    entry(
        "max",
        &[needs("a", Takes::Any), needs("b", Takes::Any), rest("more", Takes::Any)],
        common,
        "The largest of the arguments, which are numbers or all of one type.",
        &[("max(3, 1, 2)", "3"), ("max(2s, 1m)", "\"1m\"")],
        Kernel::Rows(|args, _| extreme(args, Ordering::Greater)),
        twin("greatest({*})").nulls(Nulls::Wrap),
    ),
    entry(
        "clamp",
        &[needs("x", Takes::Number), needs("low", Takes::Number), needs("high", Takes::Number)],
        common,
        "The number, but not below `low` nor above `high`.",
        &[("clamp(120, 0, 100)", "100")],
        Kernel::Rows(clamp),
        twin("greatest({1}, least({0}, {2}))").nulls(Nulls::Wrap),
    ),
    entry(
        "div",
        &[needs("a", INT), needs("b", INT)],
        |_| Ty::optional(Type::Int),
        "Integer division, cut towards zero; absent for a zero divisor.",
        &[("div(7, 2)", "3"), ("div(-7, 2)", "-3")],
        Kernel::Rows(|args, _| match int_arg(args, 0).zip(int_arg(args, 1)) {
            Some((_, 0)) => Value::Absent(Absence::DivisionByZero),
            Some((a, b)) => Value::or_absent(a.checked_div(b).map(Value::Int), Absence::Overflow),
            None => WRONG_TYPE,
        }),
        twin("intDiv({0}, nullIf({1}, 0))"),
    ),
    entry(
        "percent",
        &[needs("ratio", Takes::Number), may("digits", INT)],
        text,
        "A ratio as text in percent, with one digit behind the point unless told otherwise.",
        &[("percent(0.0512)", "\"5.1%\""), ("percent(0.5, 0)", "\"50%\"")],
        Kernel::Rows(percent),
        twin("concat(toDecimalString({0} * 100, {1|1}), '%')")
            .note("the last digit may differ by rounding"),
    ),
    entry(
        "human_bytes",
        &[needs("n", Takes::Number)],
        text,
        "A number of bytes as text for people.",
        &[("human_bytes(1536)", "\"1.5 KiB\""), ("human_bytes(900)", "\"900 B\"")],
        Kernel::Rows(human_bytes),
        twin("formatReadableSize({0})").note("always two digits behind the point there"),
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
    Function { sql, ..Function::new(name, Family::Numbers, params, returns, doc, examples, kernel) }
}

/// A number as it came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(super) fn as_float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn value(self) -> Value<'static> {
        match self {
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
        }
    }
}

fn number(args: &[RowArg<'_>], index: usize) -> Option<Number> {
    value_arg(args, index).and_then(as_number)
}

pub(super) fn as_number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Int(number) => Some(Number::Int(*number)),
        Value::Float(number) => Some(Number::Float(*number)),
        _ => None,
    }
}

/// `int` of an `int`, `float` of a `float`, else decided per row.
fn same_number(args: &[Option<Ty>]) -> Ty {
    Ty::required(match type_at(args, 0) {
        known @ (Type::Int | Type::Float) => known,
        _ => Type::Number,
    })
}

fn maybe_float(_: &[Option<Ty>]) -> Ty {
    Ty::optional(Type::Float)
}

/// The type all arguments share; integers beside floats give either.
fn common(args: &[Option<Ty>]) -> Ty {
    let mut bases = args.iter().flatten().map(|ty| &ty.base);
    let first = bases.next().cloned().unwrap_or(Type::Any);
    Ty::required(match bases.find(|base| **base != first) {
        None => first,
        Some(other) if first.is_number() && other.is_number() => Type::Number,
        Some(_) => Type::Any,
    })
}

/// A float that must be a number of finite size.
fn finite(number: f64) -> Value<'static> {
    if number.is_finite() { Value::Float(number) } else { Value::Absent(Absence::OutOfRange) }
}

fn on_float<'a>(args: &[RowArg<'a>], round: fn(f64) -> f64) -> Value<'a> {
    match number(args, 0) {
        Some(Number::Int(n)) => Value::Int(n),
        Some(Number::Float(n)) => Value::float(round(n)),
        None => WRONG_TYPE,
    }
}

fn log<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(x) = number(args, 0) else { return WRONG_TYPE };
    if left_out(args, 1) {
        return finite(x.as_float().ln());
    }
    let Some(base) = number(args, 1) else { return WRONG_TYPE };
    finite(match base {
        // Exact where people expect it: log(8, 2) is 3, not 2.9999999999999996.
        Number::Int(2) => x.as_float().log2(),
        Number::Int(10) => x.as_float().log10(),
        base => x.as_float().ln() / base.as_float().ln(),
    })
}

fn round<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let digits = int_arg(args, 1).unwrap_or(0).clamp(-400, 400) as i32;
    match number(args, 0) {
        Some(Number::Int(n)) if digits >= 0 => Value::Int(n),
        Some(Number::Int(n)) => {
            let Some(step) = 10_i128.checked_pow(digits.unsigned_abs()) else {
                return Value::Int(0);
            };
            let n = i128::from(n);
            let (down, over) = (n.div_euclid(step), n.rem_euclid(step));
            let up = over * 2 > step || (over * 2 == step && down % 2 != 0);
            let rounded = (down + i128::from(up)) * step;
            Value::or_absent(i64::try_from(rounded).ok().map(Value::Int), Absence::Overflow)
        }
        Some(Number::Float(n)) if digits == 0 => Value::float(n.round_ties_even()),
        Some(Number::Float(n)) => {
            let scale = 10_f64.powi(digits);
            let scaled = n * scale;
            // Beyond 2^53 a float has no digits behind the point to round.
            if scale == 0.0 {
                Value::Float(0.0)
            } else if !scaled.is_finite() || scaled.abs() >= 9_007_199_254_740_992.0 {
                Value::Float(n)
            } else {
                Value::float(scaled.round_ties_even() / scale)
            }
        }
        None => WRONG_TYPE,
    }
}

/// How two values compare: numbers by exact value, all others within their type.
pub(super) fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Float(b)) => compare_mixed(*a, *b),
        (Value::Float(a), Value::Int(b)) => compare_mixed(*b, *a).map(Ordering::reverse),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => {
            Some(a.cmp(b))
        }
        (Value::Ip(a), Value::Ip(b)) => Some(a.cmp(b)),
        (Value::Severity(a), Value::Severity(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn compare_mixed(a: i64, b: f64) -> Option<Ordering> {
    match whole(b) {
        // Equal whole parts: the fraction decides.
        Some(cut) if cut == a => 0.0.partial_cmp(&b.fract()),
        Some(cut) => Some(a.cmp(&cut)),
        None if b.is_nan() => None,
        None => Some(if b > 0.0 { Ordering::Less } else { Ordering::Greater }),
    }
}

fn extreme<'a>(args: &[RowArg<'a>], wanted: Ordering) -> Value<'a> {
    let mut best: Option<&Value<'a>> = None;
    for arg in args {
        let RowArg::Value(value) = arg else { continue };
        match best.map(|best| compare(value, best)) {
            None => best = Some(value),
            Some(Some(order)) if order == wanted => best = Some(value),
            Some(Some(_)) => {}
            Some(None) => return WRONG_TYPE,
        }
    }
    best.map_or(WRONG_TYPE, Value::clone)
}

fn clamp<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let (Some(x), Some(low), Some(high)) = (number(args, 0), number(args, 1), number(args, 2))
    else {
        return WRONG_TYPE;
    };
    let (x, low, high) = (x.value(), low.value(), high.value());
    if compare(&low, &high) == Some(Ordering::Greater) {
        return Value::Absent(Absence::OutOfRange);
    }
    if compare(&x, &low) == Some(Ordering::Less) {
        low
    } else if compare(&x, &high) == Some(Ordering::Greater) {
        high
    } else {
        x
    }
}

fn percent<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    let Some(ratio) = number(args, 0) else { return WRONG_TYPE };
    let digits = int_arg(args, 1).unwrap_or(1).clamp(0, 15) as usize;
    Value::owned(format!("{:.digits$}%", ratio.as_float() * 100.0))
}

fn human_bytes<'a>(args: &[RowArg<'a>], _: &RowContext<'a>) -> Value<'a> {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(bytes) = number(args, 0) else { return WRONG_TYPE };
    let mut size = bytes.as_float();
    let mut unit = 0;
    // 1023.95 and more would print as 1024.0.
    while size.abs() >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0);
    Value::owned(format!("{size:.digits$} {}", UNITS[unit]))
}
