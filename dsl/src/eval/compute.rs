//! Values out of values: members, arithmetic, `match`, records, lists, `f"…"`.

use std::sync::Arc;

use super::{
    analysis,
    machine::{Machine, Operand, literal_value},
    order,
};
use crate::{
    column::{
        Absence, Cells, Column, Kind, Mask, Record, Value, View,
        blend::{self, Builder},
        json, print,
    },
    plan::{ArithOp, CompareOp, ExprId, FormatPart, MatchPattern, RecordPart},
    types::Type,
};

impl<'m> Machine<'m> {
    pub(super) fn member(
        &mut self,
        of: ExprId,
        key: &str,
        ty: &Type,
        within: &Mask,
    ) -> Arc<Column> {
        let column = self.column(of, within);
        match &*column {
            Column::Record(record) => {
                match record.fields.iter().rev().find(|(name, _)| &**name == key) {
                    Some((_, field)) => field.clone(),
                    None => Arc::new(super::machine::missing_of(
                        &self.batch.arena,
                        ty,
                        record.state.len(),
                    )),
                }
            }
            Column::Json(views) => {
                let arena = &self.batch.arena;
                let mut found = vec![View::MISSING; views.len()];
                for row in within.rows() {
                    let view = views[row];
                    found[row] = match view.kind() {
                        Kind::Absent => view,
                        Kind::Object => {
                            let text = arena.get(view);
                            json::member(text, key.as_bytes())
                                .map_or(View::MISSING, |at| json::view(text, at, view.offset()))
                        }
                        Kind::Text
                        | Kind::Escaped
                        | Kind::Number
                        | Kind::Bool
                        | Kind::Array
                        | Kind::Spread => View::absent(Absence::Type),
                    };
                }
                Arc::new(Column::Json(found))
            }
            other => Arc::new(Column::Json(
                (0..other.len())
                    .map(|row| View::absent(other.absence(row).unwrap_or(Absence::Type)))
                    .collect(),
            )),
        }
    }

    pub(super) fn index(&mut self, of: ExprId, index: ExprId, within: &Mask) -> Arc<Column> {
        let list = self.column(of, within);
        let index = self.operand(index, within);
        let views = crate::column::blend::to_json(&mut self.batch.arena, &list);
        let arena = &self.batch.arena;
        let mut found = vec![View::MISSING; views.len()];
        for row in within.rows() {
            let view = views[row];
            let text = arena.get(view);
            found[row] = match (view.kind(), index.value(arena, row)) {
                (Kind::Absent, _) => view,
                (_, Value::Absent(why)) => View::absent(why),
                (Kind::Array, Value::Int(place)) => {
                    let place = if place >= 0 {
                        json::elements(text).nth(place as usize)
                    } else {
                        let length = json::elements(text).count() as i64;
                        let place = length.saturating_add(place);
                        if place < 0 { None } else { json::elements(text).nth(place as usize) }
                    };
                    place.map_or(View::absent(Absence::OutOfRange), |at| {
                        json::view(text, at, view.offset())
                    })
                }
                (Kind::Object, Value::Text(key)) => json::member(text, key.as_bytes())
                    .map_or(View::MISSING, |at| json::view(text, at, view.offset())),
                _ => View::absent(Absence::Type),
            };
        }
        Arc::new(Column::Json(found))
    }

    pub(super) fn each(&mut self, of: ExprId, keys: &[Arc<str>], within: &Mask) -> Arc<Column> {
        let list = self.column(of, within);
        let views = crate::column::blend::to_json(&mut self.batch.arena, &list);
        let mut found = vec![View::MISSING; views.len()];
        let mut text = Vec::new();
        for row in within.rows() {
            let view = views[row];
            if view.kind() != Kind::Array {
                found[row] = if view.is_absent() { view } else { View::absent(Absence::Type) };
                continue;
            }
            text.clear();
            text.push(b'[');
            let source = self.batch.arena.get(view);
            for element in json::elements(source) {
                let element = &source[element];
                let value = keys.iter().try_fold(element, |text, key| {
                    Some(&text[json::member(text, key.as_bytes())?])
                });
                if let Some(value) = value {
                    if text.len() > 1 {
                        text.push(b',');
                    }
                    text.extend_from_slice(value);
                }
            }
            text.push(b']');
            found[row] = blend::store(&mut self.batch.arena, Kind::Array, &text);
        }
        Arc::new(Column::Json(found))
    }

    pub(super) fn negate(&mut self, of: ExprId, within: &Mask) -> Arc<Column> {
        let column = self.column(of, within);
        let ints = |cells: &Cells<i64>| {
            let mut negated = Cells::with_capacity(cells.state.len());
            for row in 0..cells.state.len() {
                negated.push(cells.get(row).and_then(|n| n.checked_neg().ok_or(Absence::Overflow)));
            }
            negated
        };
        Arc::new(match &*column {
            Column::Int(cells) => Column::Int(ints(cells)),
            Column::Duration(cells) => Column::Duration(ints(cells)),
            Column::Float(cells) => Column::Float(Cells {
                values: cells.values.iter().map(|number| -number).collect(),
                state: cells.state.clone(),
            }),
            other => {
                let arena = &self.batch.arena;
                let mut builder = Builder::new(arena, &Type::Any, other.len());
                for row in 0..other.len() {
                    let value = match print::value(arena, other, row) {
                        Value::Int(n) => {
                            Value::or_absent(n.checked_neg().map(Value::Int), Absence::Overflow)
                        }
                        Value::Float(n) => Value::Float(-n),
                        Value::Absent(why) => Value::Absent(why),
                        _ => Value::Absent(Absence::Type),
                    };
                    builder.push(arena, value);
                }
                builder.finish(&mut self.batch.arena)
            }
        })
    }

    pub(super) fn arith(
        &mut self,
        op: ArithOp,
        left: ExprId,
        right: ExprId,
        ty: &Type,
        within: &Mask,
    ) -> Arc<Column> {
        let rows = self.rows();
        let left = self.operand(left, within);
        let right = self.operand(right, within);
        if let (Some(a), Some(b)) = (ints(&left), ints(&right))
            && *ty == Type::Int
        {
            return Arc::new(Column::Int(zip(rows, &a, &b, |a, b| int_arith(op, a, b))));
        }
        if let (Some(a), Some(b)) = (floats(&left), floats(&right))
            && *ty == Type::Float
        {
            return Arc::new(Column::Float(zip(rows, &a, &b, |a, b| float_arith(op, a, b))));
        }
        // What `any` brings is decided row by row.
        let arena = &self.batch.arena;
        let mut builder = Builder::new(arena, ty, rows);
        for row in 0..rows {
            let value = if within.has(row) {
                value_arith(op, left.value(arena, row), right.value(arena, row))
            } else {
                Value::Absent(Absence::Missing)
            };
            builder.push(arena, value);
        }
        Arc::new(builder.finish(&mut self.batch.arena))
    }

    pub(super) fn match_arms(
        &mut self,
        on: ExprId,
        arms: &'m [(Vec<MatchPattern>, ExprId)],
        ty: &Type,
        within: &Mask,
    ) -> Arc<Column> {
        let value = self.column(on, within);
        let mut left = within.clone();
        let mut result: Option<Arc<Column>> = None;
        for (patterns, arm) in arms {
            let mut holds = if patterns.is_empty() { left.clone() } else { Mask::none(left.len()) };
            for pattern in patterns {
                holds.add(&self.fits_pattern(&value, pattern, &left));
            }
            if holds.is_empty() {
                continue;
            }
            let column = self.column(*arm, &holds);
            result = Some(match result {
                None => column,
                Some(before) => self.blended(ty, before, &column, &holds),
            });
            left.remove(&holds);
            if left.is_empty() {
                break;
            }
        }
        let result = result.unwrap_or_else(|| {
            Arc::new(super::machine::missing_of(&self.batch.arena, ty, left.len()))
        });
        if left.is_empty() {
            return result;
        }
        let none = crate::column::blend::constant(
            &mut self.batch.arena,
            Value::Absent(Absence::NoMatch),
            ty,
            left.len(),
        );
        self.blended(ty, result, &Arc::new(none), &left)
    }

    fn fits_pattern(&self, value: &Arc<Column>, pattern: &MatchPattern, rows: &Mask) -> Mask {
        let compare = |op: CompareOp, with: &crate::plan::Literal| {
            order::column_literal(&self.batch.arena, op, value, &literal_value(with), rows)
        };
        debug_assert!(analysis::is_range(pattern) || matches!(pattern, MatchPattern::Is(_)));
        match pattern {
            MatchPattern::Is(crate::plan::Literal::Cidr(block)) => match &**value {
                Column::Ip(cells) => Mask::filter(rows, |row| {
                    cells.state[row] == 0 && block.contains(cells.values[row])
                }),
                _ => compare(CompareOp::Eq, &crate::plan::Literal::Cidr(*block)),
            },
            MatchPattern::Is(literal) => compare(CompareOp::Eq, literal),
            MatchPattern::Range { from, to, inclusive } => {
                let below = if *inclusive { CompareOp::Le } else { CompareOp::Lt };
                compare(CompareOp::Ge, from).and(&compare(below, to))
            }
        }
    }

    pub(super) fn record(&mut self, parts: &[RecordPart], within: &Mask) -> Arc<Column> {
        let rows = self.rows();
        let mut fields: Vec<(Arc<str>, Arc<Column>)> = Vec::with_capacity(parts.len());
        if parts.iter().all(|part| matches!(part, RecordPart::Member(..))) {
            for part in parts {
                if let RecordPart::Member(key, value) = part {
                    let column = self.column(*value, within);
                    fields.retain(|(other, _)| other != key);
                    fields.push((key.clone(), column));
                }
            }
            return Arc::new(Column::Record(Record { fields, state: vec![0; rows] }));
        }
        let columns: Vec<(Option<&Arc<str>>, Arc<Column>)> = parts
            .iter()
            .map(|part| match part {
                RecordPart::Member(key, value) => (Some(key), self.column(*value, within)),
                RecordPart::Spread(value) => (None, self.column(*value, within)),
            })
            .collect();
        let mut views = vec![View::MISSING; rows];
        let (mut text, mut part, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        for row in within.rows() {
            text.clear();
            text.extend_from_slice(b"{}");
            for (key, column) in &columns {
                if column.absence(row).is_some() {
                    continue;
                }
                part.clear();
                if let Some(key) = key {
                    part.push(b'{');
                    json::write_string(&mut part, key.as_bytes());
                    part.push(b':');
                }
                print::cell(&mut part, &self.batch.arena, column, row);
                if key.is_some() {
                    part.push(b'}');
                }
                merged.clear();
                super::fields::merge_text(&mut merged, &text, &part);
                std::mem::swap(&mut text, &mut merged);
            }
            views[row] = blend::store(&mut self.batch.arena, Kind::Object, &text);
        }
        Arc::new(Column::Json(views))
    }

    pub(super) fn list(&mut self, elements: &[ExprId], within: &Mask) -> Arc<Column> {
        let columns: Vec<Arc<Column>> =
            elements.iter().map(|element| self.column(*element, within)).collect();
        let mut views = vec![View::MISSING; self.rows()];
        let mut text = Vec::new();
        for row in within.rows() {
            text.clear();
            text.push(b'[');
            for (place, column) in columns.iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                print::cell(&mut text, &self.batch.arena, column, row);
            }
            text.push(b']');
            views[row] = blend::store(&mut self.batch.arena, Kind::Array, &text);
        }
        Arc::new(Column::Json(views))
    }

    pub(super) fn format(&mut self, parts: &'m [FormatPart], within: &Mask) -> Arc<Column> {
        enum Piece<'p> {
            Text(&'p str),
            Hole(Operand<'p>),
        }
        let pieces: Vec<Piece<'_>> = parts
            .iter()
            .map(|part| match part {
                FormatPart::Text(text) => Piece::Text(text),
                FormatPart::Hole(value) => Piece::Hole(self.operand(*value, within)),
            })
            .collect();
        let mut views = vec![View::MISSING; self.rows()];
        let mut text = std::mem::take(&mut self.state.scratch);
        for row in within.rows() {
            text.clear();
            let mut absent = None;
            for piece in &pieces {
                match piece {
                    Piece::Text(part) => text.extend_from_slice(part.as_bytes()),
                    Piece::Hole(hole) => match hole.value(&self.batch.arena, row) {
                        Value::Absent(why) => {
                            absent = Some(why);
                            break;
                        }
                        value => print::plain(&mut text, &value),
                    },
                }
            }
            views[row] = match absent {
                Some(why) => View::absent(why),
                None => blend::store(&mut self.batch.arena, Kind::Text, &text),
            };
        }
        self.state.scratch = text;
        Arc::new(Column::Text(views))
    }
}

/// One side of an arithmetic kernel: the same number for all rows, or one a row.
enum Side<'c, T> {
    One(T),
    Many(&'c [T], &'c [u8]),
    /// Converted on the way.
    Ints(&'c [i64], &'c [u8]),
}

fn ints<'c>(operand: &'c Operand<'_>) -> Option<Side<'c, i64>> {
    match operand {
        Operand::One(Value::Int(number)) => Some(Side::One(*number)),
        Operand::Many(column) => match &**column {
            Column::Int(cells) => Some(Side::Many(&cells.values, &cells.state)),
            _ => None,
        },
        Operand::One(_) => None,
    }
}

fn floats<'c>(operand: &'c Operand<'_>) -> Option<Side<'c, f64>> {
    match operand {
        Operand::One(Value::Int(number)) => Some(Side::One(*number as f64)),
        Operand::One(Value::Float(number)) => Some(Side::One(*number)),
        Operand::Many(column) => match &**column {
            Column::Int(cells) => Some(Side::Ints(&cells.values, &cells.state)),
            Column::Float(cells) => Some(Side::Many(&cells.values, &cells.state)),
            _ => None,
        },
        Operand::One(_) => None,
    }
}

trait Number: Copy {
    fn from_int(number: i64) -> Self;
}

impl Number for i64 {
    fn from_int(number: i64) -> Self {
        number
    }
}

impl Number for f64 {
    fn from_int(number: i64) -> Self {
        number as Self
    }
}

impl<T: Number> Side<'_, T> {
    #[inline]
    fn get(&self, row: usize) -> (T, u8) {
        match self {
            Self::One(value) => (*value, 0),
            Self::Many(values, state) => (values[row], state[row]),
            Self::Ints(values, state) => (T::from_int(values[row]), state[row]),
        }
    }
}

fn zip<T: Number, R: Copy + Default>(
    rows: usize,
    a: &Side<'_, T>,
    b: &Side<'_, T>,
    f: impl Fn(T, T) -> Result<R, Absence>,
) -> Cells<R> {
    let mut cells = Cells::with_capacity(rows);
    for row in 0..rows {
        let ((a, a_state), (b, b_state)) = (a.get(row), b.get(row));
        let state = if a_state != 0 { a_state } else { b_state };
        cells.push(match Absence::from_code(state) {
            Some(why) => Err(why),
            None => f(a, b),
        });
    }
    cells
}

fn int_arith(op: ArithOp, a: i64, b: i64) -> Result<i64, Absence> {
    match op {
        ArithOp::Add => a.checked_add(b).ok_or(Absence::Overflow),
        ArithOp::Sub => a.checked_sub(b).ok_or(Absence::Overflow),
        ArithOp::Mul => a.checked_mul(b).ok_or(Absence::Overflow),
        ArithOp::Rem if b == 0 => Err(Absence::DivisionByZero),
        ArithOp::Rem => Ok(a.wrapping_rem(b)),
        // Division of integers is a float and never comes here.
        ArithOp::Div => Err(Absence::Type),
    }
}

fn float_arith(op: ArithOp, a: f64, b: f64) -> Result<f64, Absence> {
    let result = match op {
        ArithOp::Add => a + b,
        ArithOp::Sub => a - b,
        ArithOp::Mul => a * b,
        ArithOp::Div | ArithOp::Rem if b == 0.0 => return Err(Absence::DivisionByZero),
        ArithOp::Div => a / b,
        ArithOp::Rem => a % b,
    };
    if result.is_finite() { Ok(result) } else { Err(Absence::OutOfRange) }
}

/// Arithmetic on any two values: numbers, times, durations, text.
fn value_arith<'a>(op: ArithOp, a: Value<'a>, b: Value<'a>) -> Value<'a> {
    use Value::{Absent, Duration, Float, Int, Text, Timestamp};
    fn float<'a>(op: ArithOp, a: f64, b: f64) -> Value<'a> {
        float_arith(op, a, b).map_or_else(Absent, Float)
    }
    let ints = |a, b| int_arith(op, a, b);
    match (a, b) {
        (Absent(why), _) | (_, Absent(why)) => Absent(why),
        (Int(a), Int(b)) if op == ArithOp::Div => float(op, a as f64, b as f64),
        (Int(a), Int(b)) => ints(a, b).map_or_else(Absent, Int),
        (Int(a), Float(b)) => float(op, a as f64, b),
        (Float(a), Int(b)) => float(op, a, b as f64),
        (Float(a), Float(b)) => float(op, a, b),
        (Timestamp(a), Timestamp(b)) if op == ArithOp::Sub => {
            ints(a, b).map_or_else(Absent, Duration)
        }
        (Timestamp(a), Duration(b)) if matches!(op, ArithOp::Add | ArithOp::Sub) => {
            ints(a, b).map_or_else(Absent, Timestamp)
        }
        (Duration(a), Timestamp(b)) if op == ArithOp::Add => {
            ints(a, b).map_or_else(Absent, Timestamp)
        }
        (Duration(a), Duration(b)) => match op {
            ArithOp::Add | ArithOp::Sub | ArithOp::Rem => ints(a, b).map_or_else(Absent, Duration),
            ArithOp::Div => float(op, a as f64, b as f64),
            ArithOp::Mul => Absent(Absence::Type),
        },
        (Duration(a), Int(b)) | (Int(b), Duration(a)) if op == ArithOp::Mul => {
            ints(a, b).map_or_else(Absent, Duration)
        }
        (Duration(a), Float(b)) | (Float(b), Duration(a)) if op == ArithOp::Mul => {
            nanos(float_arith(op, a as f64, b))
        }
        (Duration(a), Int(b)) if op == ArithOp::Div => nanos(float_arith(op, a as f64, b as f64)),
        (Duration(a), Float(b)) if op == ArithOp::Div => nanos(float_arith(op, a as f64, b)),
        (Text(a), Text(b)) if op == ArithOp::Add => Value::owned(a.into_owned() + &b),
        _ => Absent(Absence::Type),
    }
}

fn nanos<'a>(number: Result<f64, Absence>) -> Value<'a> {
    match number {
        Ok(number) if number.abs() < 9.2e18 => Value::Duration(number.round() as i64),
        Ok(_) => Value::Absent(Absence::Overflow),
        Err(why) => Value::Absent(why),
    }
}
