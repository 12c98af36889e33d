//! What is remembered of a partition from one batch to the next: buckets, passed keys, open windows.
//!
//! Invariant: bounded, and a function of the partition's records alone: no clock but theirs, no order but theirs.

mod aggregate;
mod alarm;
mod dedup;
mod limit;
mod sketch;
mod window;

use std::collections::VecDeque;

pub use aggregate::Input;
pub use alarm::{Alarm, Change};
pub use dedup::Passed;
pub use limit::Buckets;
pub use window::{Added, Closed, KEYS_MAX, Sums};

use crate::plan::{Plan, Store, StoreKind};

/// How far back a partition is read again to rebuild what is remembered of it; older state is approximate after a takeover, as is that of a
/// `limit` or `dedup` whose keys never rest: what they decide depends on all they decided before.
pub const REBUILD_TIME_MAX: i64 = 15 * 60 * 1_000_000_000;

/// How many records are read again at most.
pub const REBUILD_RECORDS_MAX: i64 = 1_000_000;

/// Between two places where a rebuild may begin: finer ones would only cost memory.
const MARK_EVERY: i64 = 1_000_000_000;

/// What is remembered of one partition.
#[derive(Debug)]
pub struct LaneState {
    /// The latest time of a record: never goes back.
    clock: i64,
    stores: Vec<Kept>,
    /// How far back a rebuild must begin, nanoseconds.
    horizon: i64,
    /// Times and offsets of records, a second apart: where a rebuild may begin.
    marks: VecDeque<(i64, i64)>,
}

/// One store's memory.
#[derive(Debug)]
pub enum Kept {
    /// Of a `limit`.
    Buckets(Buckets),
    /// Of a `dedup`.
    Passed(Passed),
    /// Of a window.
    Sums(Box<Sums>),
}

impl Kept {
    fn new(store: &Store) -> Self {
        match &store.kind {
            StoreKind::Limit(limit) => Self::Buckets(Buckets::new(*limit)),
            StoreKind::Dedup { within } => Self::Passed(Passed::new(*within)),
            StoreKind::Window(spans, aggregates) => {
                Self::Sums(Box::new(Sums::new(*spans, aggregates.clone())))
            }
        }
    }
}

impl LaneState {
    /// Nothing is remembered yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            clock: i64::MIN,
            stores: plan.stores.iter().map(Kept::new).collect(),
            horizon: horizon(plan),
            marks: VecDeque::new(),
        }
    }

    /// The same memory for another plan: what means the same there stays, all else begins anew.
    pub fn adopt(mut self, old: &Plan, new: &Plan) -> Self {
        let mut kept: Vec<Option<Kept>> = self.stores.drain(..).map(Some).collect();
        let stores = new
            .stores
            .iter()
            .map(|store| {
                let before = survivor(old, store).and_then(|index| kept.get_mut(index)?.take());
                before.unwrap_or_else(|| Kept::new(store))
            })
            .collect();
        Self { stores, horizon: horizon(new), ..self }
    }

    /// The times by which the records of a batch are judged: their own, never going back.
    pub fn clocks(&mut self, times: &[i64]) -> Vec<i64> {
        times
            .iter()
            .map(|time| {
                self.clock = self.clock.max(*time);
                self.clock
            })
            .collect()
    }

    /// Moves the clock without a record.
    pub fn advance(&mut self, now: i64) {
        self.clock = self.clock.max(now);
    }

    /// Notes a record as a place where a rebuild may begin.
    pub fn mark(&mut self, clock: i64, offset: i64) {
        let fresh = self.marks.back().is_none_or(|(last, _)| clock - last >= MARK_EVERY);
        if fresh {
            self.marks.push_back((clock, offset));
        }
        let oldest = clock.saturating_sub(self.horizon);
        while self.marks.len() > 1
            && (self.marks[1].0 <= oldest || offset - self.marks[0].1 > REBUILD_RECORDS_MAX)
        {
            self.marks.pop_front();
        }
    }

    /// The offset from which records must be read again to know what is known now.
    pub fn since(&self) -> Option<i64> {
        self.marks.front().map(|(_, offset)| *offset)
    }

    /// The memory of a store.
    pub fn store(&mut self, index: usize) -> &mut Kept {
        &mut self.stores[index]
    }
}

/// The labels of stores whose memory does not survive the step from one plan to another.
pub fn resets(old: &Plan, new: &Plan) -> Vec<String> {
    let kept: Vec<usize> = new.stores.iter().filter_map(|store| survivor(old, store)).collect();
    old.stores
        .iter()
        .enumerate()
        .filter(|(index, _)| !kept.contains(index))
        .map(|(_, store)| store.label.to_string())
        .collect()
}

/// The store of an older plan whose memory means the same.
fn survivor(old: &Plan, store: &Store) -> Option<usize> {
    old.stores.iter().position(|before| {
        let named = before.label == store.label || store.was.as_ref() == Some(&before.label);
        named && before.identity == store.identity
    })
}

/// How long a record can matter.
fn horizon(plan: &Plan) -> i64 {
    let longest = plan.stores.iter().map(|store| match &store.kind {
        StoreKind::Limit(limit) => {
            // An empty bucket is full again after this time, whatever was before.
            let full = i128::from(limit.per) * i128::from(limit.burst) / i128::from(limit.count);
            i64::try_from(full).unwrap_or(i64::MAX)
        }
        StoreKind::Dedup { within } => *within,
        // The watermark may stay a little behind the clock.
        StoreKind::Window(spans, _) => spans.over + spans.every + spans.late,
    });
    longest.max().unwrap_or(0).min(REBUILD_TIME_MAX)
}
