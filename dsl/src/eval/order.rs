//! Equality and order: tight loops for columns against constants, and the order of any two values.

use std::cmp::Ordering;

use crate::{
    column::{Arena, Cells, Column, Kind, Mask, Severity, Value, View, decode, json, print},
    plan::CompareOp,
};

/// Up to here every integer is a float too.
const EXACT: u64 = 1 << 53;

/// Whether an order is what the operator asks for.
#[inline]
fn wanted(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order == Ordering::Equal,
        CompareOp::Lt => order == Ordering::Less,
        CompareOp::Le => order != Ordering::Greater,
        CompareOp::Gt => order == Ordering::Greater,
        CompareOp::Ge => order != Ordering::Less,
    }
}

/// The rows of `within` where the column's value stands so to the constant.
pub(super) fn column_literal(
    arena: &Arena,
    op: CompareOp,
    column: &Column,
    literal: &Value<'_>,
    within: &Mask,
) -> Mask {
    let mask = match (column, literal) {
        (_, Value::Absent(_)) => return Mask::none(within.len()),
        (Column::Int(cells), Value::Int(with))
        | (Column::Timestamp(cells), Value::Timestamp(with))
        | (Column::Duration(cells), Value::Duration(with)) => cells_literal(op, cells, *with),
        (Column::Float(cells), Value::Float(with)) => cells_literal(op, cells, *with),
        // Both are exact in the other's type.
        (Column::Float(cells), Value::Int(with)) if with.unsigned_abs() <= EXACT => {
            cells_literal(op, cells, *with as f64)
        }
        (Column::Severity(cells), Value::Severity(with)) => cells_literal(op, cells, *with),
        (Column::Ip(cells), Value::Ip(with)) => cells_literal(op, cells, *with),
        (Column::Cidr(cells), Value::Cidr(with)) => cells_literal(op, cells, *with),
        (Column::Bool(cells), Value::Bool(with)) => cells_literal(op, cells, *with),
        (Column::Text(views), Value::Text(with)) => {
            text_literal(arena, op, views, with.as_bytes(), within)
        }
        _ => Mask::filter(within, |row| {
            compare(&print::value(arena, column, row), literal)
                .is_some_and(|order| wanted(op, order))
        }),
    };
    mask.and(within)
}

/// One loop an operator, so that each compiles to comparisons without a branch.
fn cells_literal<T: Copy + PartialOrd>(op: CompareOp, cells: &Cells<T>, with: T) -> Mask {
    let (values, state) = (&cells.values[..], &cells.state[..]);
    let rows = state.len().min(values.len());
    match op {
        CompareOp::Eq => Mask::from_fn(rows, |row| state[row] == 0 && values[row] == with),
        CompareOp::Lt => Mask::from_fn(rows, |row| state[row] == 0 && values[row] < with),
        CompareOp::Le => Mask::from_fn(rows, |row| state[row] == 0 && values[row] <= with),
        CompareOp::Gt => Mask::from_fn(rows, |row| state[row] == 0 && values[row] > with),
        CompareOp::Ge => Mask::from_fn(rows, |row| state[row] == 0 && values[row] >= with),
    }
}

fn text_literal(arena: &Arena, op: CompareOp, views: &[View], with: &[u8], within: &Mask) -> Mask {
    if op == CompareOp::Eq {
        return Mask::from_fn(views.len(), |row| {
            let view = views[row];
            view.len() == with.len() && view.kind() == Kind::Text && arena.get(view) == with
        });
    }
    Mask::filter(within, |row| {
        let view = views[row];
        view.kind() == Kind::Text && wanted(op, arena.get(view).cmp(with))
    })
}

/// The rows of `within` where two columns' values stand so to each other.
pub(super) fn columns(
    arena: &Arena,
    op: CompareOp,
    left: &Column,
    right: &Column,
    within: &Mask,
) -> Mask {
    fn cells<T: Copy + PartialOrd>(
        op: CompareOp,
        a: &Cells<T>,
        b: &Cells<T>,
        within: &Mask,
    ) -> Mask {
        Mask::filter(within, |row| {
            a.state[row] == 0
                && b.state[row] == 0
                && a.values[row].partial_cmp(&b.values[row]).is_some_and(|order| wanted(op, order))
        })
    }
    match (left, right) {
        (Column::Int(a), Column::Int(b))
        | (Column::Timestamp(a), Column::Timestamp(b))
        | (Column::Duration(a), Column::Duration(b)) => cells(op, a, b, within),
        (Column::Float(a), Column::Float(b)) => cells(op, a, b, within),
        (Column::Severity(a), Column::Severity(b)) => cells(op, a, b, within),
        (Column::Ip(a), Column::Ip(b)) => cells(op, a, b, within),
        (Column::Text(a), Column::Text(b)) => Mask::filter(within, |row| {
            a[row].is_present()
                && b[row].is_present()
                && wanted(op, arena.get(a[row]).cmp(arena.get(b[row])))
        }),
        _ => Mask::filter(within, |row| {
            compare(&print::value(arena, left, row), &print::value(arena, right, row))
                .is_some_and(|order| wanted(op, order))
        }),
    }
}

/// The order of two values; `None` where they cannot be compared, absent ones included.
///
/// Text stands for an address, a time, a duration or a severity where the other side is one. Lists and maps are equal or not, and have no order: unequal ones
/// give `None`.
pub(super) fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    use Value::{
        Absent, Bool, Bytes, Cidr, Duration, Float, Int, Ip, Json, Severity, Text, Timestamp,
    };
    match (a, b) {
        (Absent(_), _) | (_, Absent(_)) => None,
        (Bool(a), Bool(b)) => Some(a.cmp(b)),
        (Int(a), Int(b)) | (Timestamp(a), Timestamp(b)) | (Duration(a), Duration(b)) => {
            Some(a.cmp(b))
        }
        (Float(a), Float(b)) => a.partial_cmp(b),
        (Int(a), Float(b)) => int_float(*a, *b),
        (Float(a), Int(b)) => int_float(*b, *a).map(Ordering::reverse),
        (Text(a), Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Bytes(a), Bytes(b)) => Some(a.cmp(b)),
        (Ip(a), Ip(b)) => Some(a.cmp(b)),
        (Cidr(a), Cidr(b)) => Some(a.cmp(b)),
        (Severity(a), Severity(b)) => Some(a.cmp(b)),
        (Json(a), Json(b)) => same_json(a, b).then_some(Ordering::Equal),
        (Text(text), other) => compare(&read_as(text, other)?, other),
        (other, Text(text)) => compare(other, &read_as(text, other)?),
        _ => None,
    }
}

/// Text read as what the other value is.
fn read_as(text: &str, like: &Value<'_>) -> Option<Value<'static>> {
    let bytes = text.as_bytes();
    match like {
        Value::Ip(_) => decode::ip(bytes).map(Value::Ip),
        Value::Cidr(_) => crate::column::Cidr::parse(text).map(Value::Cidr),
        Value::Timestamp(_) => decode::timestamp(bytes).ok().map(Value::Timestamp),
        Value::Duration(_) => decode::duration(bytes).ok().map(Value::Duration),
        Value::Severity(_) => decode::severity(bytes).map(Value::Severity),
        Value::Bytes(_) => decode::base64(bytes).map(|bytes| Value::Bytes(bytes.into())),
        Value::Absent(_)
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Json(_) => None,
    }
}

/// Compares by exact value: no rounding of large integers.
fn int_float(int: i64, float: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return None;
    }
    if float >= LIMIT {
        return Some(Ordering::Less);
    }
    if float < -LIMIT {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc();
    let order = int.cmp(&(whole as i64));
    Some(order.then_with(|| 0.0f64.partial_cmp(&(float - whole)).unwrap_or(Ordering::Equal)))
}

/// Whether two JSON texts mean the same: numbers by value, objects in any order.
pub(super) fn same_json(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (serde_json::from_str(a), serde_json::from_str(b)) {
        (Ok(a), Ok(b)) => same(&a, &b),
        _ => false,
    }
}

/// Recurses no deeper than `serde_json` reads.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Number(a), Number(b)) => {
            let (a, b) = (a.to_string(), b.to_string());
            let (a, b) = (json::number(a.as_bytes()), json::number(b.as_bytes()));
            compare(&a, &b) == Some(Ordering::Equal)
        }
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Whether a JSON list holds the value.
pub(super) fn list_has(list: &str, value: &Value<'_>) -> bool {
    json::array(list).any(|element| compare(&json::value(element), value) == Some(Ordering::Equal))
}

/// The severity that an integer literal stands for in a set of severities.
pub(super) fn severity_number(severity: Severity) -> i64 {
    i64::from(severity.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_exact_value() {
        let big = 9_007_199_254_740_993i64;
        let cases = [
            (Value::Int(big), Value::Float(9_007_199_254_740_992.0), Ordering::Greater),
            (Value::Int(2), Value::Float(2.5), Ordering::Less),
            (Value::Int(-2), Value::Float(-2.5), Ordering::Greater),
            (Value::Int(i64::MAX), Value::Float(9.3e18), Ordering::Less),
            (Value::Int(5), Value::Float(5.0), Ordering::Equal),
        ];
        for (a, b, expected) in cases {
            assert_eq!(compare(&a, &b), Some(expected), "{a:?} {b:?}");
            assert_eq!(compare(&b, &a), Some(expected.reverse()), "{b:?} {a:?}");
        }
        assert_eq!(compare(&Value::Int(1), &Value::text("1")), None);
    }

    #[test]
    fn json_is_compared_by_meaning() {
        assert!(same_json(r#"{"a":1,"b":[2.0]}"#, r#"{ "b" : [2], "a": 1.0 }"#));
        assert!(!same_json("[1,2]", "[2,1]"));
        assert!(list_has("[1, \"x\"]", &Value::text("x")));
    }
}
