//! Columns: one path's or expression's values for every row of a batch.

use std::sync::Arc;

use super::{
    mask::Mask,
    value::{Absence, Cidr, Severity},
    view::View,
};

/// Decoded values, one a row, and for each row whether it is there (0) or why not (the code of an [`Absence`]).
///
/// Where `state` is not 0 the value is the type's default and means nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cells<T> {
    /// One value a row.
    pub values: Vec<T>,
    /// One byte a row: 0, or the code of the absence.
    pub state: Vec<u8>,
}

impl<T: Copy + Default> Cells<T> {
    /// Room for that many rows.
    pub fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), state: Vec::with_capacity(rows) }
    }

    /// Every row absent for the same reason.
    pub fn absent(rows: usize, why: Absence) -> Self {
        Self { values: vec![T::default(); rows], state: vec![why as u8; rows] }
    }

    /// Every row the same value.
    pub fn constant(rows: usize, value: T) -> Self {
        Self { values: vec![value; rows], state: vec![0; rows] }
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: Result<T, Absence>) {
        match value {
            Ok(value) => {
                self.values.push(value);
                self.state.push(0);
            }
            Err(why) => {
                self.values.push(T::default());
                self.state.push(why as u8);
            }
        }
    }

    /// Writes a row.
    #[inline]
    pub fn set(&mut self, row: usize, value: Result<T, Absence>) {
        match value {
            Ok(value) => {
                self.values[row] = value;
                self.state[row] = 0;
            }
            Err(why) => {
                self.values[row] = T::default();
                self.state[row] = why as u8;
            }
        }
    }

    /// The row's value.
    #[inline]
    pub fn get(&self, row: usize) -> Result<T, Absence> {
        match Absence::from_code(self.state[row]) {
            None => Ok(self.values[row]),
            Some(why) => Err(why),
        }
    }

    /// The rows at these places, in this order.
    pub fn gather(&self, rows: &[u32]) -> Self {
        Self {
            values: rows.iter().map(|&row| self.values[row as usize]).collect(),
            state: rows.iter().map(|&row| self.state[row as usize]).collect(),
        }
    }
}

/// One path's or expression's values for a whole batch.
///
/// The variant is the run-time type. An expression whose static type is `any` may be any variant.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Truth values.
    Bool(Cells<bool>),
    /// 64-bit signed numbers.
    Int(Cells<i64>),
    /// Floats, never NaN.
    Float(Cells<f64>),
    /// Nanoseconds since 1970, UTC.
    Timestamp(Cells<i64>),
    /// Nanoseconds.
    Duration(Cells<i64>),
    /// Addresses, IPv4 in mapped form.
    Ip(Cells<u128>),
    /// Address blocks.
    Cidr(Cells<Cidr>),
    /// How grave.
    Severity(Cells<Severity>),
    /// Text. Views are of kind `Absent` or `Text` only.
    Text(Vec<View>),
    /// Bytes. Views of kind `Absent` or `Text` only, and what they point at need not be UTF-8.
    Bytes(Vec<View>),
    /// Undecoded JSON, also lists and maps. Views of any kind but `Spread`.
    Json(Vec<View>),
    /// Several named columns (a record of known shape).
    Record(Record),
}

/// A record of known shape: its fields as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Names and values, in the order of the type.
    pub fields: Vec<(Arc<str>, Arc<Column>)>,
    /// Per row 0, or why the whole record is absent (its fields are then absent too).
    pub state: Vec<u8>,
}

impl Column {
    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(cells) => cells.state.len(),
            Self::Int(cells) | Self::Timestamp(cells) | Self::Duration(cells) => cells.state.len(),
            Self::Float(cells) => cells.state.len(),
            Self::Ip(cells) => cells.state.len(),
            Self::Cidr(cells) => cells.state.len(),
            Self::Severity(cells) => cells.state.len(),
            Self::Text(views) | Self::Bytes(views) | Self::Json(views) => views.len(),
            Self::Record(record) => record.state.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why the row has no value; `None` if it has one.
    #[inline]
    pub fn absence(&self, row: usize) -> Option<Absence> {
        let state = match self {
            Self::Bool(cells) => cells.state[row],
            Self::Int(cells) | Self::Timestamp(cells) | Self::Duration(cells) => cells.state[row],
            Self::Float(cells) => cells.state[row],
            Self::Ip(cells) => cells.state[row],
            Self::Cidr(cells) => cells.state[row],
            Self::Severity(cells) => cells.state[row],
            Self::Text(views) | Self::Bytes(views) | Self::Json(views) => {
                return views[row].absence();
            }
            Self::Record(record) => record.state[row],
        };
        Absence::from_code(state)
    }

    /// The rows that have a value.
    pub fn present(&self) -> Mask {
        match self {
            Self::Bool(cells) => zeros(&cells.state),
            Self::Int(cells) | Self::Timestamp(cells) | Self::Duration(cells) => {
                zeros(&cells.state)
            }
            Self::Float(cells) => zeros(&cells.state),
            Self::Ip(cells) => zeros(&cells.state),
            Self::Cidr(cells) => zeros(&cells.state),
            Self::Severity(cells) => zeros(&cells.state),
            Self::Text(views) | Self::Bytes(views) | Self::Json(views) => {
                Mask::from_fn(views.len(), |row| views[row].is_present())
            }
            Self::Record(record) => zeros(&record.state),
        }
    }

    /// Every row missing, as undecoded JSON (the variant that fits every type).
    pub fn missing(rows: usize) -> Self {
        Self::Json(vec![View::MISSING; rows])
    }

    /// The rows at these places, in this order.
    pub fn gather(&self, rows: &[u32]) -> Self {
        match self {
            Self::Bool(cells) => Self::Bool(cells.gather(rows)),
            Self::Int(cells) => Self::Int(cells.gather(rows)),
            Self::Float(cells) => Self::Float(cells.gather(rows)),
            Self::Timestamp(cells) => Self::Timestamp(cells.gather(rows)),
            Self::Duration(cells) => Self::Duration(cells.gather(rows)),
            Self::Ip(cells) => Self::Ip(cells.gather(rows)),
            Self::Cidr(cells) => Self::Cidr(cells.gather(rows)),
            Self::Severity(cells) => Self::Severity(cells.gather(rows)),
            Self::Text(views) => Self::Text(rows.iter().map(|&row| views[row as usize]).collect()),
            Self::Bytes(views) => {
                Self::Bytes(rows.iter().map(|&row| views[row as usize]).collect())
            }
            Self::Json(views) => Self::Json(rows.iter().map(|&row| views[row as usize]).collect()),
            Self::Record(record) => Self::Record(Record {
                fields: record
                    .fields
                    .iter()
                    .map(|(name, column)| (name.clone(), Arc::new(column.gather(rows))))
                    .collect(),
                state: rows.iter().map(|&row| record.state[row as usize]).collect(),
            }),
        }
    }
}

fn zeros(state: &[u8]) -> Mask {
    Mask::from_fn(state.len(), |row| state[row] == 0)
}
