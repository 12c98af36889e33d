//! Statements that remember what came before (`limit`, `dedup`), and `count`, which others remember.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use xxhash_rust::xxh3::xxh3_128;

use super::{Counted, machine::Operand, run::Run};
use crate::{
    column::{Absence, Mask, NodeId, Value, blend, print},
    plan::{ExprId, MetricId, SiteId, StoreId},
    state::Kept,
    types::Type,
};

/// Series of metrics, and what a batch adds to them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sums: BTreeMap<(MetricId, Vec<String>), f64>,
}

impl Counts {
    pub(super) fn finish(&mut self) -> Vec<Counted> {
        std::mem::take(&mut self.sums)
            .into_iter()
            .map(|((metric, labels), value)| Counted { metric, labels, value })
            .collect()
    }
}

impl Run<'_> {
    /// Rows in the order in which their events came, those that an event was made into in the order of the elements.
    pub(super) fn in_order(&self, rows: &Mask) -> Vec<usize> {
        let mut order: Vec<usize> = rows.rows().collect();
        if !self.outcome.made_of.is_empty() {
            order.sort_by_cached_key(|row| (self.outcome.origin(*row), self.descent(*row)));
        }
        order
    }

    /// How a row came of its event. A row stands for the first element itself; of two growths under it the later one went on from that
    /// element, and so comes first.
    fn descent(&self, row: usize) -> Vec<(Reverse<u32>, usize)> {
        let mut steps = Vec::new();
        let mut at = row;
        while let Some(made) = at.checked_sub(self.outcome.events) {
            steps.push((Reverse(self.grown[made]), at));
            at = self.parents[made] as usize;
        }
        steps.reverse();
        steps
    }

    /// The time by which a row is judged.
    pub(super) fn clock(&self, row: usize) -> i64 {
        self.memory.clocks.get(self.outcome.origin(row)).copied().unwrap_or(0)
    }

    /// The rows whose buckets have a token.
    pub(super) fn limit(&mut self, store: StoreId, by: &[ExprId], rows: &Mask) -> Mask {
        let keys: Vec<Operand<'_>> =
            by.iter().map(|key| self.machine.operand(*key, rows)).collect();
        let mut passed = Mask::none(rows.len());
        let mut text = Vec::new();
        for row in self.in_order(rows) {
            text.clear();
            self.key(&keys, row, &mut text);
            let now = self.clock(row);
            let Some(Kept::Buckets(buckets)) = self.kept(store) else { return rows.clone() };
            if buckets.take(xxh3_128(&text), now) {
                passed.set(row);
            }
        }
        passed
    }

    /// The rows that are the first of their key; the others learn how many there were.
    pub(super) fn dedup(
        &mut self,
        store: StoreId,
        by: &[ExprId],
        count: Option<NodeId>,
        rows: &Mask,
    ) -> Mask {
        let keys: Vec<Operand<'_>> =
            by.iter().map(|key| self.machine.operand(*key, rows)).collect();
        let mut passed = Mask::none(rows.len());
        let mut counts = vec![0; rows.len()];
        let mut text = Vec::new();
        for row in self.in_order(rows) {
            text.clear();
            self.key(&keys, row, &mut text);
            let now = self.clock(row);
            let Some(Kept::Passed(seen)) = self.kept(store) else { return rows.clone() };
            counts[row] = seen.count(xxh3_128(&text), now) as i64;
            if counts[row] == 1 {
                passed.set(row);
            }
        }
        let repeated = rows.and_not(&passed);
        if let Some(node) = count
            && !repeated.is_empty()
        {
            self.snapshot = None;
            let arena = &mut self.machine.batch.arena;
            let mut column = blend::Builder::new(arena, &Type::Any, counts.len());
            for count in counts {
                column.push(arena, Value::Int(count));
            }
            let column = Arc::new(column.finish(arena));
            self.machine.write(node, &column, &repeated);
        }
        passed
    }

    /// What is remembered under a number of the plan.
    pub(super) fn kept(&mut self, store: StoreId) -> Option<&mut Kept> {
        self.memory.lane.as_mut().map(|lane| lane.store(store.0 as usize))
    }

    /// Adds rows to a metric. Counters only grow, so a negative value is a fault.
    pub(super) fn count(
        &mut self,
        metric: MetricId,
        by: &[ExprId],
        value: Option<ExprId>,
        site: SiteId,
        rows: &Mask,
    ) {
        let labels: Vec<Operand<'_>> =
            by.iter().map(|label| self.machine.operand(*label, rows)).collect();
        let values = value.map(|value| self.machine.column(value, rows));
        let mut text = Vec::new();
        let mut negative = Mask::none(rows.len());
        let mut wrong = Mask::none(rows.len());
        for row in rows.rows() {
            let arena = &self.machine.batch.arena;
            let added = match values.as_ref().map(|column| print::value(arena, column, row)) {
                None => 1.0,
                Some(Value::Int(number)) => number as f64,
                Some(Value::Float(number)) => number,
                Some(Value::Absent(why)) if !why.is_fault() => continue,
                Some(_) => {
                    wrong.set(row);
                    continue;
                }
            };
            if !(added >= 0.0 && added.is_finite()) {
                negative.set(row);
                continue;
            }
            if self.shadow {
                continue;
            }
            let labels = labels
                .iter()
                .map(|label| {
                    text.clear();
                    match label.value(arena, row) {
                        Value::Absent(_) => {}
                        value => print::plain(&mut text, &value),
                    }
                    String::from_utf8_lossy(&text).into_owned()
                })
                .collect();
            *self.counts.sums.entry((metric, labels)).or_default() += added;
        }
        if let Some(values) = &values {
            self.faults(site, values, &wrong);
        }
        self.fault_rows(site, Absence::OutOfRange, &negative);
    }
}
