//! Rows as the rules declare them: members by name and type, from whatever shape the data have.

use logmon_dsl::{
    diagnostic::Diagnostic,
    eval::Answer,
    types::{FieldType, Shape, Ty, Type},
};
use serde_json::{Map, Number, Value};

use super::shape::{Bound, Column};
use crate::config::KeyedTable;

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
            Type::Text
            | Type::Bytes
            | Type::Ip
            | Type::Cidr
            | Type::Timestamp
            | Type::Duration
            | Type::Severity,
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

/// A row of a table or of JSON as an answer: its members under the declared names and in the declared types.
pub(super) fn answer(bound: &Bound, row: Map<String, Value>) -> Answer {
    let Some(shape) = bound.shape() else {
        return Answer::Found(Value::Object(row).to_string().into());
    };
    let mut columns = bound.columns.iter();
    let find = |field: &FieldType| fit(at_path(&row, columns.next()?)?, &field.ty.base);
    // A row without any of the members is still a row.
    let members = record(shape, find, || row.clone()).unwrap_or_default();
    Answer::Found(Value::Object(members).to_string().into())
}

/// A single value as an answer.
pub(super) fn single(bound: &Bound, value: &Value) -> Answer {
    match fit(value, &bound.decl.yields.base) {
        Some(value) => Answer::Found(value.to_string().into()),
        None => Answer::Miss,
    }
}

/// A row as JSON text: kept as it was written, unless fields have other names there.
pub(super) fn json_answer(bound: &Bound, text: &str) -> Result<Answer, String> {
    let text = text.trim();
    let is_named = bound.fields().all(|(_, field, column)| *field.name == *column);
    let wants_object = matches!(bound.decl.yields.base, Type::Record(_) | Type::Map(_));
    if wants_object && !text.starts_with('{') {
        return Err("is no JSON object".into());
    }
    let not_json = |error: serde_json::Error| format!("is no JSON: {error}");
    if is_named {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(not_json)?;
        return Ok(if text == "null" { Answer::Miss } else { Answer::Found(text.into()) });
    }
    let row = serde_json::from_str(text).map_err(not_json)?;
    Ok(answer(bound, row))
}

/// The value at `country.iso_code` or `subdivisions.0.iso_code`; a member with that whole name comes first.
pub(super) fn at_path<'a>(record: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = record.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    let mut value = record.get(first)?;
    for part in rest.split('.') {
        value = match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => value.get(part)?,
        };
    }
    Some(value)
}

/// The column that is the answer where the rules declare a single value: the one that is named, or the only one beside the key.
pub(super) fn value_column(
    bound: &Bound,
    table: &KeyedTable,
    columns: &[Column],
) -> Result<String, Vec<Diagnostic>> {
    let others: Vec<&Column> =
        columns.iter().filter(|has| !table.key.contains(&has.name)).collect();
    let column = match (&table.value, others.as_slice()) {
        (Some(name), _) => {
            columns.iter().find(|has| has.name == *name).ok_or_else(|| {
                vec![bound.wrong_whole(&format!(
                    "value: the table `{}` has no column `{name}`",
                    table.table
                ))]
            })?
        }
        (None, [only]) => only,
        (None, _) => {
            let message = format!(
                "a single value is declared, and beside the key the table `{}` has {} columns; name one with `value`",
                table.table,
                others.len()
            );
            return Err(vec![bound.wrong_whole(&message)]);
        }
    };
    if !column.kind.fits(&bound.decl.yields.base) {
        let message = format!(
            "the column `{}` of the table `{}` is `{}`",
            column.name, table.table, column.ty
        );
        return Err(vec![bound.wrong_whole(&message)]);
    }
    Ok(column.name.clone())
}
