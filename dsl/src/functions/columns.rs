//! Short words for kernels that work on whole columns.

use std::{borrow::Cow, sync::Arc};

use crate::{
    column::{Absence, Arena, Column, Kind, Mask, Record, Value, View, blend::Builder, print},
    eval::CallContext,
    types::{Shape, Type},
};

/// A column of that type, each row of the mask computed by itself.
pub(super) fn each_row(
    context: &mut CallContext<'_, '_>,
    mask: &Mask,
    ty: &Type,
    mut compute: impl for<'x> FnMut(&'x Arena, usize) -> Value<'x>,
) -> Arc<Column> {
    let rows = context.rows();
    let arena = &mut context.batch.arena;
    let mut builder = Builder::new(arena, ty, rows);
    for row in 0..rows {
        if mask.has(row) {
            builder.push(arena, compute(arena, row));
        } else {
            builder.push_absent(arena, Absence::Missing);
        }
    }
    Arc::new(builder.finish(arena))
}

/// A record's field while it is built.
///
/// Text, lists and maps go straight to views, as all fields share one place for new text; everything else has a builder, which then adds none.
enum Field {
    Text(Vec<View>),
    Json(Vec<View>),
    Other(Builder),
}

/// A column of records, each row of the mask computed by itself: a value a field (text, numbers, instants, addresses), or why there is no record.
pub(super) fn each_record(
    context: &mut CallContext<'_, '_>,
    mask: &Mask,
    shape: &Shape,
    mut compute: impl for<'x> FnMut(&'x Arena, usize, &mut Vec<Value<'x>>) -> Result<(), Absence>,
) -> Arc<Column> {
    let rows = context.rows();
    let arena = &mut context.batch.arena;
    let mut fields: Vec<Field> = shape
        .fields
        .iter()
        .map(|field| match field.ty.base {
            Type::Text => Field::Text(Vec::with_capacity(rows)),
            Type::Any => Field::Json(Vec::with_capacity(rows)),
            _ => Field::Other(Builder::new(arena, &field.ty.base, rows)),
        })
        .collect();
    let mut state = Vec::with_capacity(rows);
    let mut new_text = Vec::new();
    for row in 0..rows {
        let mut values = Vec::with_capacity(fields.len());
        let outcome =
            if mask.has(row) { compute(arena, row, &mut values) } else { Err(Absence::Missing) };
        let otherwise = outcome.err().unwrap_or(Absence::Missing);
        if outcome.is_err() {
            values.clear();
        }
        state.push(outcome.map_or_else(|why| why as u8, |()| 0));
        let mut values = values.into_iter();
        for field in &mut fields {
            let value = values.next().unwrap_or(Value::Absent(otherwise));
            match field {
                Field::Text(views) | Field::Json(views) => {
                    views.push(text_view(arena, &mut new_text, &value));
                }
                Field::Other(builder) => builder.push(arena, value),
            }
        }
    }
    let columns: Vec<Column> = fields
        .into_iter()
        .map(|field| match field {
            Field::Text(views) => Column::Text(views),
            Field::Json(views) => Column::Json(views),
            Field::Other(builder) => builder.finish(arena),
        })
        .collect();
    arena.push(&new_text);
    let names = shape.fields.iter().map(|field| field.name.clone());
    Arc::new(Column::Record(Record {
        fields: names.zip(columns.into_iter().map(Arc::new)).collect(),
        state,
    }))
}

/// A view of text: where it stands in the arena, or will stand once the new text is added to it.
fn text_view(arena: &Arena, new_text: &mut Vec<u8>, value: &Value<'_>) -> View {
    let (kind, text) = match value {
        Value::Text(text) => (Kind::Text, text.as_bytes()),
        Value::Json(text) if text.starts_with('[') => (Kind::Array, text.as_bytes()),
        Value::Json(text) => (Kind::Object, text.as_bytes()),
        Value::Absent(why) => return View::absent(*why),
        _ => return View::absent(Absence::Type),
    };
    let offset = (text.as_ptr() as usize).wrapping_sub(arena.bytes().as_ptr() as usize);
    if offset <= arena.len() && text.len() <= arena.len() - offset {
        return View::new(kind, offset, text.len());
    }
    let offset = arena.len() + new_text.len();
    new_text.extend_from_slice(text);
    View::new(kind, offset, text.len())
}

/// The row's text, or why there is none.
pub(super) fn text_of<'x>(
    arena: &'x Arena,
    column: &Column,
    row: usize,
) -> Result<Cow<'x, str>, Absence> {
    match print::value(arena, column, row) {
        Value::Text(text) => Ok(text),
        Value::Absent(why) => Err(why),
        _ => Err(Absence::Type),
    }
}
