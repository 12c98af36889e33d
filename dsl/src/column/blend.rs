//! Columns out of values and out of other columns: built row by row, converted, blended under a mask.

use std::sync::Arc;

use super::{
    cells::{Cells, Column, Record},
    decode, json,
    mask::Mask,
    print,
    value::{Absence, Value},
    view::{Arena, Kind, View},
};
use crate::types::Type;

/// The longest text one value may have: four times the largest record, and far below what a view can say.
const MAX_TEXT: usize = 4 << 20;

/// Where an arena stops to take computed text: five hundred times the payload of a micro-batch. Rules that double a text again and again end here.
const MAX_ARENA: usize = 256 << 20;

/// Returns the column read as that type: JSON numbers as numbers, JSON text as text, addresses and the like from text. What does not fit becomes absent.
///
/// As `any`, values that JSON has no type for are text: whether a batch mixes them with others must not change what they compare to.
pub fn narrow(arena: &mut Arena, column: &Arc<Column>, ty: &Type) -> Arc<Column> {
    match (&**column, ty) {
        (Column::Bool(_), Type::Bool | Type::Any)
        | (Column::Int(_), Type::Int | Type::Number | Type::Any)
        | (Column::Float(_), Type::Float | Type::Number | Type::Any)
        | (Column::Timestamp(_), Type::Timestamp)
        | (Column::Duration(_), Type::Duration)
        | (Column::Ip(_), Type::Ip)
        | (Column::Cidr(_), Type::Cidr)
        | (Column::Severity(_), Type::Severity)
        | (Column::Text(_), Type::Text | Type::Any)
        | (Column::Bytes(_), Type::Bytes)
        | (Column::Json(_), Type::Any)
        | (Column::Record(_), Type::Record(_) | Type::Map(_) | Type::Any) => column.clone(),
        (Column::Int(cells), Type::Float) => Arc::new(Column::Float(Cells {
            values: cells.values.iter().map(|&number| number as f64).collect(),
            state: cells.state.clone(),
        })),
        (Column::Text(views) | Column::Json(views), _) => {
            Arc::new(decode::column(arena, views, ty, false))
        }
        (
            Column::Bool(_)
            | Column::Int(_)
            | Column::Float(_)
            | Column::Timestamp(_)
            | Column::Duration(_)
            | Column::Ip(_)
            | Column::Cidr(_)
            | Column::Bytes(_)
            | Column::Severity(_)
            | Column::Record(_),
            _,
        ) => {
            let views = to_json(arena, column);
            Arc::new(decode::column(arena, &views, ty, false))
        }
    }
}

/// Returns the values as undecoded JSON; what is not a view yet is written into the arena.
pub fn to_json(arena: &mut Arena, column: &Column) -> Vec<View> {
    match column {
        Column::Text(views) | Column::Json(views) => views.clone(),
        Column::Bool(_)
        | Column::Int(_)
        | Column::Float(_)
        | Column::Timestamp(_)
        | Column::Duration(_)
        | Column::Ip(_)
        | Column::Cidr(_)
        | Column::Bytes(_)
        | Column::Severity(_)
        | Column::Record(_) => {
            let mut builder = Builder::new(arena, &Type::Any, column.len());
            for row in 0..column.len() {
                let value = print::value(arena, column, row);
                builder.push(arena, value);
            }
            match builder.finish(arena) {
                Column::Json(views) => views,
                _ => Vec::new(),
            }
        }
    }
}

/// Returns the column with bytes as the Base64 text that stands for them outside of expressions.
pub fn without_bytes(arena: &mut Arena, column: Arc<Column>) -> Arc<Column> {
    match &*column {
        Column::Bytes(_) => Arc::new(Column::Text(to_json(arena, &column))),
        Column::Record(record) => Arc::new(Column::Record(Record {
            fields: record
                .fields
                .iter()
                .map(|(key, column)| (key.clone(), without_bytes(arena, column.clone())))
                .collect(),
            state: record.state.clone(),
        })),
        _ => column,
    }
}

/// Returns `base` with the rows of `mask` taken from `over`. Where the two have different types both become JSON.
pub fn blend(arena: &mut Arena, base: Arc<Column>, over: &Arc<Column>, mask: &Mask) -> Arc<Column> {
    if mask.is_full() {
        return over.clone();
    }
    if mask.is_empty() {
        return base;
    }
    let mut base = base;
    if same_type(&base, over) {
        overlay(Arc::make_mut(&mut base), over, mask);
        return base;
    }
    let mut views = to_json(arena, &base);
    let over = to_json(arena, over);
    for row in mask.rows() {
        views[row] = over[row];
    }
    Arc::new(Column::Json(views))
}

/// Returns the column with all rows outside the mask missing.
pub fn only(column: &Arc<Column>, mask: &Mask) -> Arc<Column> {
    if mask.is_full() {
        return column.clone();
    }
    let mut empty = missing_like(column);
    overlay(&mut empty, column, mask);
    Arc::new(empty)
}

fn missing_like(column: &Column) -> Column {
    let rows = column.len();
    let why = Absence::Missing;
    match column {
        Column::Bool(_) => Column::Bool(Cells::absent(rows, why)),
        Column::Int(_) => Column::Int(Cells::absent(rows, why)),
        Column::Float(_) => Column::Float(Cells::absent(rows, why)),
        Column::Timestamp(_) => Column::Timestamp(Cells::absent(rows, why)),
        Column::Duration(_) => Column::Duration(Cells::absent(rows, why)),
        Column::Ip(_) => Column::Ip(Cells::absent(rows, why)),
        Column::Cidr(_) => Column::Cidr(Cells::absent(rows, why)),
        Column::Severity(_) => Column::Severity(Cells::absent(rows, why)),
        Column::Text(_) => Column::Text(vec![View::MISSING; rows]),
        Column::Bytes(_) => Column::Bytes(vec![View::MISSING; rows]),
        Column::Json(_) => Column::Json(vec![View::MISSING; rows]),
        Column::Record(record) => Column::Record(Record {
            fields: record
                .fields
                .iter()
                .map(|(key, column)| (key.clone(), Arc::new(missing_like(column))))
                .collect(),
            state: vec![why as u8; rows],
        }),
    }
}

fn same_type(a: &Column, b: &Column) -> bool {
    match (a, b) {
        (Column::Record(a), Column::Record(b)) => {
            a.fields.len() == b.fields.len()
                && a.fields
                    .iter()
                    .zip(&b.fields)
                    .all(|((key, a), (other, b))| key == other && same_type(a, b))
        }
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

fn overlay(base: &mut Column, over: &Column, mask: &Mask) {
    fn cells<T: Copy>(base: &mut Cells<T>, over: &Cells<T>, mask: &Mask) {
        for row in mask.rows() {
            base.values[row] = over.values[row];
            base.state[row] = over.state[row];
        }
    }
    match (base, over) {
        (Column::Bool(a), Column::Bool(b)) => cells(a, b, mask),
        (Column::Int(a), Column::Int(b))
        | (Column::Timestamp(a), Column::Timestamp(b))
        | (Column::Duration(a), Column::Duration(b)) => cells(a, b, mask),
        (Column::Float(a), Column::Float(b)) => cells(a, b, mask),
        (Column::Ip(a), Column::Ip(b)) => cells(a, b, mask),
        (Column::Cidr(a), Column::Cidr(b)) => cells(a, b, mask),
        (Column::Severity(a), Column::Severity(b)) => cells(a, b, mask),
        (Column::Text(a), Column::Text(b))
        | (Column::Bytes(a), Column::Bytes(b))
        | (Column::Json(a), Column::Json(b)) => {
            for row in mask.rows() {
                a[row] = b[row];
            }
        }
        (Column::Record(a), Column::Record(b)) => {
            for row in mask.rows() {
                a.state[row] = b.state[row];
            }
            for ((_, a), (_, b)) in a.fields.iter_mut().zip(&b.fields) {
                overlay(Arc::make_mut(a), b, mask);
            }
        }
        (base, over) => unreachable!("{base:?} and {over:?} were found to be of one type"),
    }
}

/// Puts computed text into the arena. What is too long, or too much for one batch, becomes absent.
pub fn store(arena: &mut Arena, kind: Kind, text: &[u8]) -> View {
    if text.len() > MAX_TEXT || arena.len() + text.len() > MAX_ARENA {
        return View::absent(Absence::OutOfRange);
    }
    let start = arena.push(text);
    View::new(kind, start, text.len())
}

/// Returns a column with every row the same value.
pub fn constant(arena: &mut Arena, value: Value<'_>, ty: &Type, rows: usize) -> Column {
    let mut one = Builder::new(arena, ty, 1);
    one.push(arena, value);
    one.finish(arena).gather(&vec![0; rows])
}

/// Builds a column row by row. Text that already stands in the arena is not copied.
///
/// The arena must not grow between [`Builder::new`] and [`Builder::finish`]: new text waits beside it.
#[derive(Debug)]
pub struct Builder {
    column: Column,
    text: Vec<u8>,
    base: usize,
}

impl Builder {
    /// A builder for a column of that static type.
    pub fn new(arena: &Arena, ty: &Type, rows: usize) -> Self {
        let column = match ty {
            Type::Bool => Column::Bool(Cells::with_capacity(rows)),
            Type::Int => Column::Int(Cells::with_capacity(rows)),
            Type::Float => Column::Float(Cells::with_capacity(rows)),
            Type::Text | Type::Enum(_) => Column::Text(Vec::with_capacity(rows)),
            Type::Bytes => Column::Bytes(Vec::with_capacity(rows)),
            Type::Timestamp => Column::Timestamp(Cells::with_capacity(rows)),
            Type::Duration => Column::Duration(Cells::with_capacity(rows)),
            Type::Ip => Column::Ip(Cells::with_capacity(rows)),
            Type::Cidr => Column::Cidr(Cells::with_capacity(rows)),
            Type::Severity => Column::Severity(Cells::with_capacity(rows)),
            Type::Number
            | Type::List(_)
            | Type::Map(_)
            | Type::Record(_)
            | Type::Any
            | Type::Regex
            | Type::Pattern(_)
            | Type::Glob
            | Type::Null => Column::Json(Vec::with_capacity(rows)),
        };
        Self { column, text: Vec::new(), base: arena.len() }
    }

    /// Appends a row. A value of another type than the column's is absent.
    pub fn push(&mut self, arena: &Arena, value: Value<'_>) {
        fn cell<T: Copy + Default>(cells: &mut Cells<T>, value: Option<T>, other: &Value<'_>) {
            cells.push(value.ok_or(match other {
                Value::Absent(why) => *why,
                _ => Absence::Type,
            }));
        }
        let text = &mut self.text;
        match &mut self.column {
            Column::Bool(cells) => {
                cell(cells, if let Value::Bool(v) = value { Some(v) } else { None }, &value);
            }
            Column::Int(cells) => {
                cell(cells, if let Value::Int(v) = value { Some(v) } else { None }, &value);
            }
            Column::Float(cells) => {
                let number = match value {
                    Value::Float(v) => Some(v),
                    Value::Int(v) => Some(v as f64),
                    _ => None,
                };
                cell(cells, number, &value);
            }
            Column::Timestamp(cells) => {
                cell(cells, if let Value::Timestamp(v) = value { Some(v) } else { None }, &value);
            }
            Column::Duration(cells) => {
                cell(cells, if let Value::Duration(v) = value { Some(v) } else { None }, &value);
            }
            Column::Ip(cells) => {
                cell(cells, if let Value::Ip(v) = value { Some(v) } else { None }, &value);
            }
            Column::Cidr(cells) => {
                cell(cells, if let Value::Cidr(v) = value { Some(v) } else { None }, &value);
            }
            Column::Severity(cells) => {
                cell(cells, if let Value::Severity(v) = value { Some(v) } else { None }, &value);
            }
            Column::Text(views) => views.push(match value {
                Value::Text(it) => place(arena, self.base, text, Kind::Text, it.as_bytes()),
                Value::Absent(why) => View::absent(why),
                _ => View::absent(Absence::Type),
            }),
            Column::Bytes(views) => views.push(match value {
                Value::Bytes(it) => place(arena, self.base, text, Kind::Text, &it),
                Value::Absent(why) => View::absent(why),
                _ => View::absent(Absence::Type),
            }),
            Column::Json(views) => views.push(json_view(arena, self.base, text, &value)),
            Column::Record(_) => {}
        }
    }

    /// Appends a row without a value.
    pub fn push_absent(&mut self, arena: &Arena, why: Absence) {
        self.push(arena, Value::Absent(why));
    }

    /// Returns a column that has no new text.
    pub fn into_column(self) -> Column {
        debug_assert!(self.text.is_empty(), "text would be lost");
        self.column
    }

    /// Writes the new text into the arena and returns the column.
    pub fn finish(self, arena: &mut Arena) -> Column {
        assert_eq!(arena.len(), self.base, "the arena grew while a column was built");
        arena.push(&self.text);
        self.column
    }
}

fn json_view(arena: &Arena, base: usize, text: &mut Vec<u8>, value: &Value<'_>) -> View {
    let start = text.len();
    let kind = match value {
        Value::Absent(why) => return View::absent(*why),
        Value::Bool(value) => return View::bool(*value),
        Value::Text(it) => return place(arena, base, text, Kind::Text, it.as_bytes()),
        Value::Json(it) => {
            let kind = if it.starts_with('[') { Kind::Array } else { Kind::Object };
            return place(arena, base, text, kind, it.as_bytes());
        }
        Value::Int(number) => {
            json::write_int(text, *number);
            Kind::Number
        }
        Value::Float(number) if number.is_finite() => {
            json::write_float(text, *number);
            Kind::Number
        }
        Value::Float(_) => return View::absent(Absence::OutOfRange),
        Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::Duration(_)
        | Value::Ip(_)
        | Value::Cidr(_)
        | Value::Severity(_) => {
            print::plain(text, value);
            Kind::Text
        }
    };
    View::new(kind, base + start, text.len() - start)
}

/// Finds bytes in the arena or adds them to the text beside it.
fn place(arena: &Arena, base: usize, text: &mut Vec<u8>, kind: Kind, bytes: &[u8]) -> View {
    let (start, at) = (arena.bytes().as_ptr() as usize, bytes.as_ptr() as usize);
    if at >= start && at + bytes.len() <= start + base {
        return View::new(kind, at - start, bytes.len());
    }
    if bytes.len() > MAX_TEXT || base + text.len() + bytes.len() > MAX_ARENA {
        return View::absent(Absence::OutOfRange);
    }
    let offset = base + text.len();
    text.extend_from_slice(bytes);
    View::new(kind, offset, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_arena_is_not_copied() {
        let mut arena = Arena::default();
        let view = arena.text(b"hello world");
        let mut builder = Builder::new(&arena, &Type::Text, 2);
        let word = &std::str::from_utf8(arena.get(view)).unwrap()[6..];
        builder.push(&arena, Value::text(word));
        builder.push(&arena, Value::owned("new".into()));
        let before = arena.len();
        let Column::Text(views) = builder.finish(&mut arena) else { panic!() };
        assert_eq!((arena.get(views[0]), arena.get(views[1])), (&b"world"[..], &b"new"[..]));
        assert_eq!(arena.len(), before + 3);
    }

    #[test]
    fn columns_of_two_types_blend_to_json() {
        let mut arena = Arena::default();
        let ints = Arc::new(Column::Int(Cells::constant(3, 7)));
        let mut mask = Mask::none(3);
        mask.set(1);
        let texts = Arc::new(constant(&mut arena, Value::text("x"), &Type::Text, 3));
        let mixed = blend(&mut arena, ints.clone(), &texts, &mask);
        let values: Vec<_> = (0..3).map(|row| print::value(&arena, &mixed, row)).collect();
        assert_eq!(values, [Value::Int(7), Value::text("x"), Value::Int(7)]);
        let back = narrow(&mut arena, &mixed, &Type::Int);
        assert_eq!(back.absence(1), Some(Absence::Type));
        assert_eq!(only(&ints, &mask).absence(0), Some(Absence::Missing));
    }
}
