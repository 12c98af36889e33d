//! What the rules make of records, and what of it is stored.

use logmon_engine::delivery::{
    intent::{Intent, Refused},
    protocol::Count,
};

use super::{Case, LETTERS, Row, Token, World};

impl World {
    pub(super) fn token(case: &Case, intent: &Intent, table: u16, cut: u32, attempt: u32) -> Token {
        let bundle = if case.pinned { intent.bundle.0[0] } else { 0 };
        let cut = if case.cut { cut } else { 0 };
        (intent.inc, intent.range, bundle, table, cut, attempt, 0)
    }

    /// What rules make of a range: rows by unit, refused ones among the letters.
    pub(super) fn evaluate(&self, case: &Case, topic: u8, intent: &Intent) -> Vec<(u16, Vec<Row>)> {
        Self::evaluate_by(case, self.rules, topic, intent)
    }

    pub(super) fn evaluate_by(
        case: &Case,
        now: u8,
        topic: u8,
        intent: &Intent,
    ) -> Vec<(u16, Vec<Row>)> {
        let rules = if case.fickle { now } else { intent.bundle.0[0] };
        let inc = intent.inc;
        let row = |table, offset| (table, topic, offset, inc);
        let is_refused =
            |offset: i64| intent.refused.iter().any(|refused| refused.offset == offset);
        let offsets = || intent.range.start..intent.range.end;
        let table = |offset: i64| u16::from(rules == 2 && offset % 2 == 1);
        let mut units = Vec::new();
        for number in 0..2 {
            if offsets().any(|offset| table(offset) == number) {
                let rows = offsets()
                    .filter(|&offset| table(offset) == number && !is_refused(offset))
                    .map(|offset| row(number, offset));
                units.push((number, rows.collect()));
            }
        }
        for Refused { offset, .. } in &intent.refused {
            units.push((LETTERS, vec![row(LETTERS, *offset)]));
        }
        units
    }

    pub(super) fn unit(
        &self,
        case: &Case,
        who: usize,
        intent: &Intent,
        unit: usize,
    ) -> (u16, Vec<Row>) {
        let owner = self.owners[who].as_ref().expect("a unit has an owner");
        Self::evaluate_by(case, owner.made_by, owner.topic, intent).swap_remove(unit)
    }

    pub(super) fn has(&self, case: &Case, of: impl Fn(&Row) -> bool, inc: u64) -> bool {
        self.rows.iter().any(|(row, _)| of(row) && (!case.incarnation || row.3 == inc))
    }

    pub(super) fn count(&self, case: &Case, who: usize, intent: &Intent, unit: usize) -> Count {
        let (_, rows) = self.unit(case, who, intent, unit);
        // The record's own topic is not a column: only its incarnation tells it from an earlier one of that name.
        let there = |row: &Row| self.has(case, |known| (known.0, known.2) == (row.0, row.2), row.3);
        match rows.iter().filter(|row| there(row)).count() {
            0 => Count::None,
            n if n == rows.len() => Count::All,
            _ => Count::Odd,
        }
    }
}
