//! Parsers whose result is a record of known fields.

use std::{borrow::Cow, sync::Arc};

use super::columns::{each_record, text_of};
use crate::{
    column::{Absence, Column, Mask, Value},
    eval::CallContext,
    types::{Shape, Ty, Type},
};

/// A field of such a record: its name, its type, and whether it may be absent where the record is there.
pub(super) type FieldSpec = (&'static str, Type, bool);

fn shape(fields: &[FieldSpec]) -> Shape {
    Shape::closed(
        fields
            .iter()
            .map(|(name, base, optional)| (*name, Ty { base: base.clone(), optional: *optional })),
    )
}

/// The type of the parser's result: the record, absent where the text does not fit.
pub(super) fn record_type(fields: &[FieldSpec]) -> Ty {
    Ty::optional(Type::Record(Arc::new(shape(fields))))
}

/// Runs a parser over a column of text; it gives the fields in their order, or nothing.
pub(super) fn records(
    context: &mut CallContext<'_, '_>,
    mask: &Mask,
    fields: &[FieldSpec],
    parse: for<'t> fn(&'t str) -> Option<Vec<Value<'t>>>,
) -> Arc<Column> {
    let Some(column) = context.value(0) else { return Arc::new(Column::missing(context.rows())) };
    each_record(context, mask, &shape(fields), |arena, row, values| {
        match text_of(arena, &column, row)? {
            Cow::Borrowed(text) => values.extend(parse(text).ok_or(Absence::Parse)?),
            Cow::Owned(text) => {
                for value in parse(&text).ok_or(Absence::Parse)? {
                    values.push(value.into_static());
                }
            }
        }
        Ok(())
    })
}

/// The same for lines that may leave out the year: the parser is told the time.
pub(super) fn records_at(
    context: &mut CallContext<'_, '_>,
    mask: &Mask,
    fields: &[FieldSpec],
    parse: for<'t> fn(&'t str, i64) -> Option<Vec<Value<'t>>>,
) -> Arc<Column> {
    let Some(column) = context.value(0) else { return Arc::new(Column::missing(context.rows())) };
    let times: Vec<i64> = (0..context.rows()).map(|row| context.row_context(row).now).collect();
    each_record(context, mask, &shape(fields), |arena, row, values| {
        match text_of(arena, &column, row)? {
            Cow::Borrowed(text) => values.extend(parse(text, times[row]).ok_or(Absence::Parse)?),
            Cow::Owned(text) => {
                for value in parse(&text, times[row]).ok_or(Absence::Parse)? {
                    values.push(value.into_static());
                }
            }
        }
        Ok(())
    })
}

/// An integer that may be missing.
pub(super) fn maybe_int(number: Option<i64>) -> Value<'static> {
    Value::or_absent(number.map(Value::Int), Absence::Missing)
}

/// A number that may be missing.
pub(super) fn maybe_float(number: Option<f64>) -> Value<'static> {
    Value::or_absent(number.map(Value::Float), Absence::Missing)
}

/// Text, unless it is a lone `-`, which stands for nothing in logs.
pub(super) fn unless_dash(text: &str) -> Value<'_> {
    maybe(Some(text).filter(|text| !matches!(*text, "-" | "")))
}

/// Text that may be missing.
pub(super) fn maybe(text: Option<&str>) -> Value<'_> {
    Value::or_absent(text.map(Value::text), Absence::Missing)
}
