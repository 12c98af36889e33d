//! A row that a lookup found: its JSON text, and the values that the declared type reads from it, read once.

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::{Arc, OnceLock},
};

use crate::{
    column::{Absence, Arena, Cells, Cidr, Column, Record, Severity, View, decode, json},
    types::Type,
};

/// A row of a lookup as JSON text. Clones share the text, and what was read from it.
#[derive(Clone)]
pub struct Row(Arc<Found>);

struct Found {
    text: Box<str>,
    ready: OnceLock<Ready>,
}

/// The values of a row, apart from any batch: whoever needs them copies them.
pub(super) struct Ready {
    /// Stands for the type by which it was read.
    of: u64,
    /// The texts of all values, one behind the other.
    bytes: Box<[u8]>,
    /// A record's own cell, then its fields' in declared order; one cell for everything else. None: the text is no JSON.
    cells: Box<[Cell]>,
}

/// One value. Views point into the row's own bytes.
#[derive(Clone)]
enum Cell {
    Absent(Absence),
    View(View),
    Bool(bool),
    /// Also timestamps and durations.
    Int(i64),
    Float(f64),
    Severity(Severity),
    /// Two halves keep a cell small: most are views.
    Ip([u64; 2]),
    Cidr(Box<Cidr>),
    /// The record is there; its fields follow.
    Record,
}

/// What a batch takes for one distinct key.
pub(super) enum Pick<'a> {
    Absent(Absence),
    Row(&'a Ready),
}

impl Row {
    /// What the type `ty` reads from the row. `of` stands for that type, the same number every time.
    ///
    /// A row belongs to one lookup, whose type does not change; one that went to another is read anew by its caller.
    pub(super) fn ready(&self, ty: &Type, of: u64) -> Option<&Ready> {
        let ready = self.0.ready.get_or_init(|| Ready::read(&self.0.text, ty, of));
        (ready.of == of).then_some(ready)
    }

    /// The same text, of which nothing was read yet.
    pub(super) fn unread(&self) -> Self {
        (*self.0.text).into()
    }

    /// About how much memory it holds.
    pub fn weight(&self) -> usize {
        // Behind the text: the counts, a cell a value, and the values' bytes once more.
        self.0.text.len() * 2 + 160
    }
}

impl Ready {
    fn read(text: &str, ty: &Type, of: u64) -> Self {
        let mut ready = Self { of, bytes: Box::default(), cells: Box::default() };
        if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
            return ready;
        }
        let mut arena = Arena::default();
        let start = json::skip_space(text.as_bytes(), 0);
        let end = json::value_end(text.as_bytes(), start);
        let base = arena.push(text.as_bytes());
        let view = json::view(text.as_bytes(), start..end, base);
        let column = typed(&mut arena, &[view], ty, false);
        let (mut bytes, mut cells) = (Vec::new(), Vec::new());
        flatten(&arena, &column, &mut bytes, &mut cells);
        ready.bytes = bytes.into();
        ready.cells = cells.into();
        ready
    }

    /// What a batch takes of it.
    pub(super) fn pick(&self) -> Pick<'_> {
        if self.cells.is_empty() {
            // The back end answered with something that is no JSON.
            return Pick::Absent(Absence::LookupFailed);
        }
        Pick::Row(self)
    }
}

/// The values of all picks as a column of that type, one row a pick.
pub(super) fn column(arena: &mut Arena, picks: &[Pick<'_>], ty: &Type) -> Column {
    let mut bases = Vec::with_capacity(picks.len());
    for pick in picks {
        bases.push(match pick {
            Pick::Row(ready) if !ready.bytes.is_empty() => arena.push(&ready.bytes),
            Pick::Row(_) | Pick::Absent(_) => 0,
        });
    }
    build(picks, &bases, ty, &mut 0)
}

fn build(picks: &[Pick<'_>], bases: &[usize], ty: &Type, next: &mut usize) -> Column {
    let at = *next;
    *next += 1;
    match ty {
        Type::Bool => Column::Bool(cells(picks, at, |cell| match cell {
            Cell::Bool(value) => Some(*value),
            _ => None,
        })),
        Type::Int => Column::Int(numbers(picks, at)),
        Type::Timestamp => Column::Timestamp(numbers(picks, at)),
        Type::Duration => Column::Duration(numbers(picks, at)),
        Type::Float => Column::Float(cells(picks, at, |cell| match cell {
            Cell::Float(value) => Some(*value),
            _ => None,
        })),
        Type::Ip => Column::Ip(cells(picks, at, |cell| match cell {
            Cell::Ip([high, low]) => Some(u128::from(*high) << 64 | u128::from(*low)),
            _ => None,
        })),
        Type::Cidr => Column::Cidr(cells(picks, at, |cell| match cell {
            Cell::Cidr(block) => Some(**block),
            _ => None,
        })),
        Type::Severity => Column::Severity(cells(picks, at, |cell| match cell {
            Cell::Severity(severity) => Some(*severity),
            _ => None,
        })),
        Type::Text | Type::Enum(_) => Column::Text(views(picks, bases, at)),
        Type::Bytes => Column::Bytes(views(picks, bases, at)),
        Type::Record(shape) if !shape.open => {
            let state = picks.iter().map(|pick| match pick {
                Pick::Absent(why) => *why as u8,
                Pick::Row(ready) => match &ready.cells[at] {
                    Cell::Absent(why) => *why as u8,
                    _ => 0,
                },
            });
            let state = state.collect();
            let mut field = |ty: &Type| Arc::new(build(picks, bases, ty, next));
            let fields = shape.fields.iter();
            let fields =
                fields.map(|one| (one.name.clone(), field(&one.ty.base))).collect::<Vec<_>>();
            Column::Record(Record { fields, state })
        }
        Type::Number
        | Type::List(_)
        | Type::Map(_)
        | Type::Record(_)
        | Type::Any
        | Type::Regex
        | Type::Pattern(_)
        | Type::Glob
        | Type::Null => Column::Json(views(picks, bases, at)),
    }
}

fn views(picks: &[Pick<'_>], bases: &[usize], at: usize) -> Vec<View> {
    let view = |(pick, base): (&Pick<'_>, &usize)| match pick {
        Pick::Absent(why) => View::absent(*why),
        Pick::Row(ready) => match &ready.cells[at] {
            Cell::View(view) => view.moved(*base),
            Cell::Absent(why) => View::absent(*why),
            _ => View::absent(Absence::Type),
        },
    };
    picks.iter().zip(bases).map(view).collect()
}

fn numbers(picks: &[Pick<'_>], at: usize) -> Cells<i64> {
    cells(picks, at, |cell| match cell {
        Cell::Int(number) => Some(*number),
        _ => None,
    })
}

#[inline(always)]
fn cells<T: Copy + Default>(
    picks: &[Pick<'_>],
    at: usize,
    read: impl Fn(&Cell) -> Option<T>,
) -> Cells<T> {
    let mut cells = Cells::with_capacity(picks.len());
    for pick in picks {
        cells.push(match pick {
            Pick::Absent(why) => Err(*why),
            Pick::Row(ready) => match &ready.cells[at] {
                Cell::Absent(why) => Err(*why),
                cell => read(cell).ok_or(Absence::Type),
            },
        });
    }
    cells
}

/// The first row of a column as cells; texts go into `bytes`.
fn flatten(arena: &Arena, column: &Column, bytes: &mut Vec<u8>, cells: &mut Vec<Cell>) {
    if let Some(why) = column.absence(0) {
        cells.push(Cell::Absent(why));
    } else {
        cells.push(match column {
            Column::Bool(values) => Cell::Bool(values.values[0]),
            Column::Int(values) | Column::Timestamp(values) | Column::Duration(values) => {
                Cell::Int(values.values[0])
            }
            Column::Float(values) => Cell::Float(values.values[0]),
            Column::Ip(values) => {
                Cell::Ip([(values.values[0] >> 64) as u64, values.values[0] as u64])
            }
            Column::Cidr(values) => Cell::Cidr(Box::new(values.values[0])),
            Column::Severity(values) => Cell::Severity(values.values[0]),
            Column::Text(views) | Column::Bytes(views) | Column::Json(views) => {
                let view = View::new(views[0].kind(), bytes.len(), views[0].len());
                bytes.extend_from_slice(arena.get(views[0]));
                Cell::View(view)
            }
            Column::Record(_) => Cell::Record,
        });
    }
    if let Column::Record(record) = column {
        for (_, field) in &record.fields {
            flatten(arena, field, bytes, cells);
        }
    }
}

/// Decodes views by type; records of closed shape field by field.
fn typed(arena: &mut Arena, views: &[View], ty: &Type, coerce: bool) -> Column {
    let Type::Record(shape) = ty else {
        return decode::column(arena, views, ty, coerce);
    };
    let objects = decode::column(arena, views, ty, false);
    let Column::Json(objects) = objects else { return objects };
    if shape.open {
        return Column::Json(objects);
    }
    let state = objects.iter().map(|view| view.absence().map_or(0, |why| why as u8)).collect();
    let fields = shape
        .fields
        .iter()
        .map(|field| {
            let members: Vec<View> = objects
                .iter()
                .map(|&view| {
                    if view.is_absent() {
                        return view;
                    }
                    let text = arena.get(view);
                    json::member(text, field.name.as_bytes())
                        .map_or(View::MISSING, |at| json::view(text, at, view.offset()))
                })
                .collect();
            let column = typed(arena, &members, &field.ty.base, field.coerce);
            (field.name.clone(), Arc::new(column))
        })
        .collect();
    Column::Record(Record { fields, state })
}

impl Deref for Row {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0.text
    }
}

/// Rows are found by their text.
impl Borrow<str> for Row {
    fn borrow(&self) -> &str {
        &self.0.text
    }
}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl From<Box<str>> for Row {
    fn from(text: Box<str>) -> Self {
        Self(Arc::new(Found { text, ready: OnceLock::new() }))
    }
}

impl From<&str> for Row {
    fn from(text: &str) -> Self {
        Box::<str>::from(text).into()
    }
}

impl From<String> for Row {
    fn from(text: String) -> Self {
        text.into_boxed_str().into()
    }
}

impl From<Arc<str>> for Row {
    fn from(text: Arc<str>) -> Self {
        (*text).into()
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Row {}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Row").field(&&*self.0.text).finish()
    }
}
