//! What should be stored of some records against what is: the rows that are missing, there twice, or there for no reason.
//!
//! Invariant: pure. A row that exists counts as delivered, whatever today's rules say: what is named missing can be stored without storing
//! anything twice.

use std::collections::{BTreeMap, BTreeSet};

use super::stored::Rows;
use crate::pipeline::replay::{Identity, Judged, Place, Row};

/// What tables hold of the records in question.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// By table, as replays number them.
    pub tables: Vec<Rows>,
    /// The table of dead letters.
    pub letters: Option<usize>,
    /// Records of which a letter says that nothing was delivered, ascending.
    pub whole: Vec<i64>,
    /// Letters that were redriven: what came of them should be there.
    pub redriven: BTreeSet<Identity>,
    /// Tables whose rows cannot be told apart.
    pub unknown: BTreeSet<usize>,
}

/// The differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rows that should be there and are not.
    pub missing: BTreeSet<Row>,
    /// Rows that stand in another table, or under another number, than today's rules give them.
    pub moved: BTreeSet<Row>,
    /// Rows that are not there because their record, or they themselves, are dead letters.
    pub dead: BTreeSet<Row>,
    /// Rows that are there more than once, and how many times.
    pub twice: BTreeMap<Row, u64>,
    /// Rows that no rule asks for.
    pub unasked: BTreeSet<Row>,
    /// Letters that today's rules would not write: of earlier rules, or of what a server refused.
    pub older_letters: BTreeSet<Row>,
    /// Rows of records that Kafka holds no more.
    pub orphans: BTreeSet<Row>,
}

/// Compares what a batch asks for. Rows that a table's TTL deletes are neither missing nor strangers.
pub fn differences(judged: &Judged, stored: &Stored, by_letters: bool) -> Difference {
    if judged.expired.is_empty() {
        return compare(judged.offsets(), &judged.rows, stored, by_letters);
    }
    let all = judged.rows.union(&judged.expired).copied().collect();
    let mut difference = compare(judged.offsets(), &all, stored, by_letters);
    difference.missing.retain(|row| !judged.expired.contains(row));
    difference
}

/// Compares. `records` are the offsets that were judged, ascending, `wanted` what the rules want stored of them. With `by_letters` a row
/// that a dead letter speaks of is no missing row.
pub fn compare(
    records: &[i64],
    wanted: &BTreeSet<Row>,
    stored: &Stored,
    by_letters: bool,
) -> Difference {
    let mut difference = Difference::default();
    let is_there = |table: usize, id: Identity| {
        stored.tables.get(table).is_some_and(|rows| rows.contains_key(&id))
    };
    let elsewhere = |own: usize, id: Identity| {
        (0..stored.tables.len())
            .any(|table| table != own && Some(table) != stored.letters && is_there(table, id))
    };
    // Rows of the same record and table under numbers that are not wanted there: the rules count otherwise than they did.
    let renumbered = |table: usize, id: Identity| {
        let all = Identity { offset: id.offset, emit_ix: 0 }..=Identity {
            offset: id.offset,
            emit_ix: u16::MAX,
        };
        stored.tables.get(table).is_some_and(|rows| {
            rows.range(all)
                .any(|(&id, _)| !wanted.contains(&Row { place: Place::Table(table), id }))
        })
    };
    let mut explained = BTreeSet::new();
    for &row in wanted {
        let Place::Table(table) = row.place else { continue };
        if stored.unknown.contains(&table) || is_there(table, row.id) {
            continue;
        }
        let is_letter = Some(table) == stored.letters;
        let has_letter = || {
            let whole = Identity { offset: row.id.offset, emit_ix: 0 };
            (stored.letters.is_some_and(|letters| is_there(letters, row.id))
                && !stored.redriven.contains(&row.id))
                || (stored.whole.binary_search(&row.id.offset).is_ok()
                    && !stored.redriven.contains(&whole))
        };
        if !is_letter && (elsewhere(table, row.id) || renumbered(table, row.id)) {
            explained.insert(row.id.offset);
            difference.moved.insert(row);
        } else if !is_letter && by_letters && has_letter() {
            difference.dead.insert(row);
        } else {
            difference.missing.insert(row);
        }
    }
    for (table, rows) in stored.tables.iter().enumerate() {
        for (&id, &count) in rows {
            let row = Row { place: Place::Table(table), id };
            if count > 1 {
                difference.twice.insert(row, count);
            }
            if wanted.contains(&row) {
                continue;
            }
            if records.binary_search(&id.offset).is_err() {
                difference.orphans.insert(row);
            } else if Some(table) == stored.letters {
                difference.older_letters.insert(row);
            } else if !explained.contains(&id.offset) {
                difference.unasked.insert(row);
            }
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(table: usize, offset: i64, emit_ix: u16) -> Row {
        Row { place: Place::Table(table), id: Identity { offset, emit_ix } }
    }

    /// Tables 0 and 1 are of rows, 2 is of letters.
    fn stored(rows: &[Row]) -> Stored {
        let mut tables = vec![Rows::new(); 3];
        for row in rows {
            let Place::Table(table) = row.place else { continue };
            *tables[table].entry(row.id).or_default() += 1;
        }
        Stored { tables, letters: Some(2), ..Stored::default() }
    }

    fn wanted(rows: &[Row]) -> BTreeSet<Row> {
        rows.iter().copied().collect()
    }

    #[test]
    fn what_is_there_once_is_balanced() {
        let rows = [row(0, 5, 0), row(1, 5, 1), row(2, 6, 0)];
        let difference = compare(&[5, 6, 7], &wanted(&rows), &stored(&rows), true);
        assert_eq!(difference, Difference::default());
    }

    #[test]
    fn gaps_copies_and_strangers_are_told_apart() {
        let want = wanted(&[row(0, 5, 0), row(0, 6, 0)]);
        let have = stored(&[row(0, 5, 0), row(0, 5, 0), row(1, 7, 0), row(1, 99, 0)]);
        let difference = compare(&[5, 6, 7], &want, &have, true);
        assert_eq!(difference.missing, wanted(&[row(0, 6, 0)]));
        assert_eq!(difference.twice, BTreeMap::from([(row(0, 5, 0), 2)]));
        assert_eq!(difference.unasked, wanted(&[row(1, 7, 0)]));
        assert_eq!(difference.orphans, wanted(&[row(1, 99, 0)]));
    }

    #[test]
    fn a_row_in_another_table_counts_as_delivered() {
        let want = wanted(&[row(0, 5, 0)]);
        let difference = compare(&[5], &want, &stored(&[row(1, 5, 0)]), true);
        assert_eq!(difference.moved, want);
        assert!(difference.missing.is_empty() && difference.unasked.is_empty());
    }

    #[test]
    fn a_row_under_another_number_counts_as_delivered() {
        let want = wanted(&[row(0, 5, 1), row(1, 5, 0)]);
        let difference = compare(&[5], &want, &stored(&[row(0, 5, 0)]), true);
        assert_eq!(difference.moved, want, "number 0 of record 5 is taken, in both tables");
        // Of a record that makes many rows of one table, only those that are missing are.
        let want = wanted(&[row(0, 5, 0), row(0, 5, 1), row(0, 5, 2)]);
        let difference = compare(&[5], &want, &stored(&[row(0, 5, 0), row(0, 5, 2)]), true);
        assert_eq!(difference.missing, wanted(&[row(0, 5, 1)]));
    }

    #[test]
    fn letters_speak_for_their_row_or_for_their_record() {
        let want = wanted(&[row(0, 5, 0), row(1, 5, 1), row(0, 6, 0)]);
        let mut have = stored(&[row(2, 5, 1), row(2, 6, 0)]);
        let difference = compare(&[5, 6], &want, &have, true);
        assert_eq!(difference.missing, wanted(&[row(0, 5, 0)]), "the letter is of the other row");
        assert_eq!(difference.dead, wanted(&[row(1, 5, 1), row(0, 6, 0)]));
        have.whole = vec![5];
        let difference = compare(&[5, 6], &want, &have, true);
        assert!(difference.missing.is_empty(), "the letter is of the whole record");
        assert_eq!(compare(&[5, 6], &want, &have, false).missing, want);
        have.redriven = BTreeSet::from([Identity { offset: 5, emit_ix: 0 }]);
        let difference = compare(&[5, 6], &want, &have, true);
        assert_eq!(difference.missing, wanted(&[row(0, 5, 0)]), "redriven, and then lost");
    }

    #[test]
    fn tables_without_identity_are_left_out() {
        let mut have = stored(&[]);
        have.unknown = BTreeSet::from([0]);
        let difference = compare(&[5], &wanted(&[row(0, 5, 0)]), &have, true);
        assert_eq!(difference, Difference::default());
    }
}
