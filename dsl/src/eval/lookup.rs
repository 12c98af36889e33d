//! Lookups: the distinct keys of a batch in one question, the answers spread over its rows.

use std::{collections::HashMap, sync::Arc};

use super::{
    Answer,
    machine::{Machine, Operand},
};
use crate::{
    column::{Absence, Arena, Column, Mask, Record, Value, View, decode, json, print},
    plan::ExprId,
    types::Type,
};

/// Stands between the parts of a key.
const SEPARATOR: u8 = 0x1f;

impl Machine<'_> {
    pub(super) fn lookup(&mut self, lookup: usize, args: &[ExprId], within: &Mask) -> Arc<Column> {
        let operands: Vec<Operand<'_>> =
            args.iter().map(|arg| self.operand(*arg, within)).collect();
        let mut places: HashMap<Box<[u8]>, u32> = HashMap::new();
        let mut keys: Vec<String> = Vec::new();
        let mut asked: Vec<Result<u32, Absence>> = vec![Err(Absence::Missing); self.rows()];
        let mut key = Vec::new();
        for row in within.rows() {
            asked[row] = match key_of(&mut key, &self.batch.arena, &operands, row) {
                Some(why) => Err(why),
                None => Ok(places.get(&*key).copied().unwrap_or_else(|| {
                    let place = keys.len() as u32;
                    keys.push(String::from_utf8_lossy(&key).into_owned());
                    places.insert(key.as_slice().into(), place);
                    place
                })),
            };
        }
        let answers = if keys.is_empty() {
            Vec::new()
        } else {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            self.lookups.resolve(lookup, &keys)
        };
        let mut views: Vec<View> = (0..keys.len())
            .map(|place| answer(&mut self.batch.arena, answers.get(place)))
            .collect();
        // Behind the answers one place a cause, for rows that have no key.
        views.extend(Absence::ALL.map(View::absent));
        let rows: Vec<u32> = asked
            .iter()
            .map(|place| match place {
                Ok(place) => *place,
                Err(why) => keys.len() as u32 + *why as u32 - 1,
            })
            .collect();
        let ty = &self.plan.lookups[lookup].yields.base;
        let column = typed(&mut self.batch.arena, &views, ty, false);
        Arc::new(column.gather(&rows))
    }
}

/// Writes the key of a row: its parts as text. Returns the cause where a part is absent.
fn key_of(
    key: &mut Vec<u8>,
    arena: &Arena,
    operands: &[Operand<'_>],
    row: usize,
) -> Option<Absence> {
    key.clear();
    for (place, operand) in operands.iter().enumerate() {
        if place > 0 {
            key.push(SEPARATOR);
        }
        match operand.value(arena, row) {
            Value::Absent(why) => return Some(why),
            value => print::plain(key, &value),
        }
    }
    None
}

/// Puts an answer into the arena. Text that is no JSON counts as a failure of the back end.
fn answer(arena: &mut Arena, answer: Option<&Answer>) -> View {
    match answer {
        Some(Answer::Found(text)) => {
            if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
                return View::absent(Absence::LookupFailed);
            }
            let bytes = text.as_bytes();
            let start = json::skip_space(bytes, 0);
            let end = json::value_end(bytes, start);
            let base = arena.push(bytes);
            json::view(bytes, start..end, base)
        }
        Some(Answer::Miss) => View::absent(Absence::LookupMiss),
        Some(Answer::Failed) | None => View::absent(Absence::LookupFailed),
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
