//! Lookups: the distinct keys of a batch in one question, the answers spread over its rows.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::{
    Answer,
    machine::{Machine, Operand},
    recall::{Picked, Recall},
    row::{self, Pick, Row},
};
use crate::{
    column::{Absence, Arena, Column, Kind, Mask, Value, print},
    plan::ExprId,
    types::Type,
};

/// Stands between the parts of a key.
const SEPARATOR: u8 = 0x1f;

impl Machine<'_> {
    pub(super) fn lookup(&mut self, lookup: usize, args: &[ExprId], within: &Mask) -> Arc<Column> {
        let operands: Vec<Operand<'_>> =
            args.iter().map(|arg| self.operand(*arg, within)).collect();
        let recalls = &mut self.state.recalls;
        if recalls.len() <= lookup {
            recalls.resize_with(lookup + 1, Recall::default);
        }
        let mut recall = std::mem::take(&mut recalls[lookup]);
        let addresses = matches!(operands.as_slice(), [Operand::Many(column)] if matches!(**column, Column::Ip(_)));
        recall.begin(self.lookups.holds(lookup), addresses, self.rows());
        let places = places(&mut recall, &self.batch.arena, &operands, within, self.rows());
        let answers = self.ask(lookup, &recall, addresses);
        let ty = &self.plan.lookups[lookup].yields.base;
        let column = spread(&mut self.batch.arena, &recall, &answers, ty);
        let (found, missed) = recall.known();
        if found + missed > 0 {
            self.lookups.recalled(lookup, found, missed);
        }
        recall.remember(&answers);
        self.state.recalls[lookup] = recall;
        Arc::new(column.gather(&places))
    }

    /// Answers for the keys that this thread does not know.
    fn ask(&mut self, lookup: usize, recall: &Recall, addresses: bool) -> Vec<Answer> {
        if !recall.has_fresh() {
            return Vec::new();
        }
        if addresses {
            let number = |key: &[u8]| key.try_into().map_or(0, u128::from_le_bytes);
            let keys: Vec<u128> = recall.fresh().map(number).collect();
            return self.lookups.resolve_addresses(lookup, &keys);
        }
        let keys: Vec<Cow<'_, str>> = recall.fresh().map(String::from_utf8_lossy).collect();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        self.lookups.resolve(lookup, &keys)
    }
}

/// For each row the place of its key.
fn places(
    recall: &mut Recall,
    arena: &Arena,
    operands: &[Operand<'_>],
    within: &Mask,
    rows: usize,
) -> Vec<u32> {
    let mut places = vec![Recall::absent(Absence::Missing); rows];
    if let [Operand::Many(column)] = operands {
        match &**column {
            Column::Ip(cells) => {
                let hash = |row: usize| recall.hash(&cells.values[row].to_le_bytes());
                let hashes: Vec<u64> = within.rows().map(hash).collect();
                for (row, hash) in within.rows().zip(hashes) {
                    places[row] = match cells.get(row) {
                        Ok(address) => recall.place(&address.to_le_bytes(), hash),
                        Err(why) => Recall::absent(why),
                    };
                }
                return places;
            }
            Column::Text(views) => {
                let hash = |row: usize| recall.hash(arena.get(views[row]));
                let hashes: Vec<u64> = within.rows().map(hash).collect();
                for (row, hash) in within.rows().zip(hashes) {
                    places[row] = match views[row].absence() {
                        Some(why) => Recall::absent(why),
                        None => recall.place(arena.get(views[row]), hash),
                    };
                }
                return places;
            }
            _ => {}
        }
    }
    let mut key = Vec::new();
    for row in within.rows() {
        places[row] = if let Some(why) = key_of(&mut key, arena, operands, row) {
            Recall::absent(why)
        } else {
            let hash = recall.hash(&key);
            recall.place(&key, hash)
        };
    }
    places
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
        if let Operand::Many(column) = operand
            && let Column::Text(views) = &**column
            && views[row].kind() == Kind::Text
        {
            key.extend_from_slice(arena.get(views[row]));
            continue;
        }
        match operand.value(arena, row) {
            Value::Absent(why) => return Some(why),
            value => print::plain(key, &value),
        }
    }
    None
}

/// One row a place: the values of its answer.
fn spread(arena: &mut Arena, recall: &Recall, answers: &[Answer], ty: &Type) -> Column {
    let mut hasher = DefaultHasher::new();
    ty.hash(&mut hasher);
    let of = hasher.finish();
    // Rows that were read by another type; no caller that we know hands such rows over.
    let others: Vec<Option<Row>> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Found(row) if row.ready(ty, of).is_none() => Some(row.unread()),
            Answer::Found(_) | Answer::Miss | Answer::Failed => None,
        })
        .collect();
    let fresh = |index: usize| match answers.get(index) {
        Some(Answer::Found(row)) => {
            let row = others[index].as_ref().unwrap_or(row);
            row.ready(ty, of).map_or(Pick::Absent(Absence::LookupFailed), row::Ready::pick)
        }
        Some(Answer::Miss) => Pick::Absent(Absence::LookupMiss),
        Some(Answer::Failed) | None => Pick::Absent(Absence::LookupFailed),
    };
    let known = |slot: u32| match recall.row(slot) {
        Some(row) => {
            row.ready(ty, of).map_or(Pick::Absent(Absence::LookupFailed), row::Ready::pick)
        }
        None => Pick::Absent(Absence::LookupMiss),
    };
    let picks: Vec<Pick<'_>> = recall
        .picked()
        .iter()
        .map(|picked| match *picked {
            Picked::Absent(why) => Pick::Absent(why),
            Picked::Known(slot) => known(slot),
            Picked::Fresh(index) => fresh(index as usize),
        })
        .collect();
    row::column(arena, &picks, ty)
}
