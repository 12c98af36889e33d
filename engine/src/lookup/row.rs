//! Rows as the rules declare them: members by name and type, from whatever shape the data have.

use logmon_dsl::types::{FieldType, Shape, Ty, Type};
use serde_json::{Map, Number, Value};

/// A value as a member of this type, if it can be one. Empty text stands for "unknown" in tables and databases.
pub(super) fn fit(value: &Value, ty: &Type) -> Option<Value> {
    match (ty, value) {
        (_, Value::Null) => None,
        (_, Value::String(text)) if text.trim().is_empty() => None,
        (Type::Int, Value::Number(number)) => {
            if number.is_f64() {
                whole(number.as_f64()?)
            } else {
                Some(value.clone())
            }
        }
        (Type::Int, Value::String(text)) => {
            // Some databases write autonomous systems as text, `AS15169`.
            let text = text.trim();
            let digits = text.strip_prefix("AS").unwrap_or(text);
            digits.parse::<i64>().ok().map(Value::from)
        }
        (Type::Float, Value::Number(_)) => Some(value.clone()),
        (Type::Number | Type::Float, Value::String(text)) => {
            let number: f64 = text.trim().parse().ok()?;
            Number::from_f64(number).map(Value::Number)
        }
        (Type::Bool, Value::Bool(_)) => Some(value.clone()),
        (Type::Bool, Value::String(text)) => match text.trim() {
            "true" | "yes" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        (Type::Text, Value::Number(number)) => Some(Value::String(number.to_string())),
        (
            Type::Text | Type::Ip | Type::Cidr | Type::Timestamp | Type::Duration | Type::Severity,
            Value::String(_),
        ) => Some(value.clone()),
        (Type::Severity | Type::Timestamp | Type::Number, Value::Number(_)) => Some(value.clone()),
        (Type::List(_), Value::Array(_)) | (Type::Map(_) | Type::Record(_), Value::Object(_)) => {
            Some(value.clone())
        }
        (Type::Any, _) => Some(value.clone()),
        _ => None,
    }
}

/// The declared record, where the lookup yields one.
pub(super) fn shape(yields: &Ty) -> Option<&Shape> {
    match &yields.base {
        Type::Record(shape) => Some(shape),
        _ => None,
    }
}

/// A record of the declared members that `find` knows; `None` if it knows none.
///
/// An open shape also keeps what `rest` holds under names of its own.
pub(super) fn record(
    shape: &Shape,
    mut find: impl FnMut(&FieldType) -> Option<Value>,
    rest: impl FnOnce() -> Map<String, Value>,
) -> Option<Map<String, Value>> {
    let mut members = if shape.open { rest() } else { Map::new() };
    for field in &shape.fields {
        match find(field) {
            Some(value) => {
                members.insert(field.name.to_string(), value);
            }
            // What the data hold under that name does not fit the declared type.
            None => {
                members.remove(&*field.name);
            }
        }
    }
    (!members.is_empty()).then_some(members)
}

/// A float without a fraction that fits 64 bits.
fn whole(number: f64) -> Option<Value> {
    // Above 2^53 a float no longer tells neighbors apart.
    let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    exact.then(|| Value::from(number as i64))
}
