//! Plans over batches: expressions to columns, statements to masks.
//!
//! Invariant: no IO and no clock. Lookups come in through [`Lookups`], time is the record's own.

mod analysis;
mod call;
mod compute;
mod doubts;
mod emit;
mod fields;
mod literals;
mod lookup;
mod machine;
mod memos;
mod order;
mod output;
mod predicates;
mod recall;
mod remember;
mod row;
mod run;
mod shadow;
mod windows;

pub use call::{CallContext, RowContext};
pub use output::{print_event, print_routed, read};
pub use row::Row;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    column::{Batch, Column, Mask, Names, batch::Snapshot},
    plan::{ExprId, MetricId, Plan, RuleId, SinkId, SiteId, WindowId},
    state::{Change, Kept, LaneState},
};
use analysis::ExprFacts;
use machine::{Machine, State};

/// Outside knowledge by key. The engine answers from caches and back ends, tests from mocks.
pub trait Lookups {
    /// Answers for distinct keys of one lookup, in their order. A key of several parts is joined by U+001F.
    fn resolve(&mut self, lookup: usize, keys: &[&str]) -> Vec<Answer>;

    /// The same for a lookup whose one key is an address, as columns hold it: IPv4 in mapped form.
    fn resolve_addresses(&mut self, lookup: usize, keys: &[u128]) -> Vec<Answer> {
        let keys: Vec<String> =
            keys.iter().map(|key| crate::column::value::u128_to_ip(*key).to_string()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.resolve(lookup, &keys)
    }

    /// How long answers may be remembered by who asked; unless told otherwise, not at all.
    fn holds(&mut self, _lookup: usize) -> Holds {
        Holds::default()
    }

    /// Is told how many keys of a batch were not asked for because their answers were remembered: rows, and misses.
    fn recalled(&mut self, _lookup: usize, _found: usize, _missed: usize) {}
}

/// How long answers may be remembered, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holds {
    /// Another number than before: nothing that was remembered holds any longer.
    pub version: u64,
    /// The time now, since any moment that stays the same.
    pub now: u64,
    /// How long a row holds; 0: it must not be remembered.
    pub found: u64,
    /// How long "no such key" holds.
    pub missed: u64,
}

/// What a lookup says of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The row as JSON: an object for a record, otherwise the value.
    Found(Row),
    /// There is no such key.
    Miss,
    /// The back end failed or was too slow.
    Failed,
}

/// Knows nothing: every key is a miss.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLookups;

impl Lookups for NoLookups {
    fn resolve(&mut self, _lookup: usize, keys: &[&str]) -> Vec<Answer> {
        vec![Answer::Miss; keys.len()]
    }
}

/// Events sent to one sink by one statement, with the fields as they were then.
#[derive(Debug, Clone)]
pub struct Routed {
    /// Where they go.
    pub sink: SinkId,
    /// Rows of the batch, ascending.
    pub rows: Vec<u32>,
    /// For each of them: the how-many-eth output of its event this is, over all sinks.
    pub emit_ix: Vec<u16>,
    /// The fields at that moment.
    pub snapshot: Arc<Snapshot>,
    /// Parameters and extra fields of the copy: path from the event's root, and values for all rows of the batch.
    pub args: Vec<(Vec<Arc<str>>, Arc<Column>)>,
    /// The rule, `None` for the default route.
    pub rule: Option<RuleId>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFate {
    /// At least one route took it.
    Routed,
    /// Nothing took it and this rule dropped it for this reason (index into [`Outcome::reasons`]).
    Dropped {
        /// The rule.
        rule: RuleId,
        /// Which reason.
        reason: u32,
    },
    /// Nothing took it and nothing dropped it.
    Unrouted,
}

/// What a plan did to a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many events came. Rows behind them are what `emit each` made of these.
    pub events: usize,
    /// For each row behind the events: the event it was made of.
    pub made_of: Vec<u32>,
    /// Every route taken, in the order taken.
    pub routed: Vec<Routed>,
    /// One a row.
    pub fates: Vec<RowFate>,
    /// For rows that a rule dropped (also after a route took them): that rule and reason.
    pub dropped_by: Vec<Option<(RuleId, u32)>>,
    /// Reasons by number.
    pub reasons: Vec<Arc<str>>,
    /// Per rule: rows that reached it, rows for which its conditions held.
    pub rules: Vec<RuleCount>,
    /// Faults: site, cause (as code) and how many rows, sparse.
    pub faults: Vec<(SiteId, crate::column::Absence, u32)>,
    /// The same an event, only kept when asked for (`eval`, `explain`).
    pub fault_rows: Vec<(u32, SiteId, crate::column::Absence)>,
    /// What `count` added to metrics.
    pub counted: Vec<Counted>,
    /// Rows of windows that were closed.
    pub rolled: Vec<Rolled>,
    /// Per window that saw an event: what became of the events.
    pub windows: Vec<(WindowId, WindowCount)>,
    /// Alerts that fired or ended.
    pub alerts: Vec<AlertChange>,
}

impl Outcome {
    /// The event that a row is, or was made of.
    #[inline]
    pub fn origin(&self, row: usize) -> usize {
        match row.checked_sub(self.events) {
            None => row,
            Some(made) => self.made_of[made] as usize,
        }
    }

    /// One fate an event: routed if any of its rows was, otherwise that of its first row.
    pub fn event_fates(&self) -> Vec<RowFate> {
        let mut fates = self.fates[..self.events.min(self.fates.len())].to_vec();
        for (event, fate) in self.made_of.iter().zip(self.fates.iter().skip(self.events)) {
            if *fate == RowFate::Routed {
                fates[*event as usize] = RowFate::Routed;
            }
        }
        fates
    }
}

/// What events added to one series of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// The metric.
    pub metric: MetricId,
    /// Values of its labels; empty text where an event had none.
    pub labels: Vec<String>,
    /// What was added.
    pub value: f64,
}

/// Rows of a window: events of their own, in the place of the events that closed it.
#[derive(Debug)]
pub struct Rolled {
    /// The window.
    pub window: WindowId,
    /// The rows. Their coordinates are those of the events that closed the window.
    pub batch: Batch,
    /// Where they go.
    pub routed: Vec<Routed>,
}

/// What became of the events that a window looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowCount {
    /// They were added up.
    pub counted: u64,
    /// They came when all their windows were closed.
    pub late: u64,
    /// They had a key too many.
    pub crowded: u64,
    /// Rows that closed windows gave.
    pub rows: u64,
}

/// An alert that fired or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertChange {
    /// Which.
    pub window: WindowId,
    /// What became of it.
    pub change: Change,
    /// When, in event time.
    pub at: i64,
    /// What it says, as JSON: severity, summary, labels, runbook, keys and `let`s. Nothing for a key that is gone.
    pub event: Option<String>,
}

/// What a rule saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Rows that reached it.
    pub evaluated: u64,
    /// Rows for which its `when` held.
    pub matched: u64,
    /// Rows that it would have dropped, were it not `@shadow`.
    pub would_drop: u64,
    /// Rows that it would have routed, were it not `@shadow`.
    pub would_route: u64,
}

/// A partition of a source.
type LaneKey = (Arc<str>, Arc<str>, i32);

/// Runs a plan over batches. Keeps scratch memory between batches, and what the plan remembers of each partition; one per thread.
#[derive(Debug)]
pub struct Evaluator {
    plan: Arc<Plan>,
    facts: Vec<ExprFacts>,
    state: State,
    lanes: BTreeMap<LaneKey, (u64, LaneState)>,
    /// All partitions are one, and alerts are judged: how tests run.
    whole: bool,
}

impl Evaluator {
    /// An evaluator for a plan.
    pub fn new(plan: Arc<Plan>) -> Self {
        let facts = analysis::analyze(&plan);
        Self { plan, facts, state: State::default(), lanes: BTreeMap::new(), whole: false }
    }

    /// An evaluator for tests: all events are of one partition, and alerts are judged.
    pub fn for_tests(plan: Arc<Plan>) -> Self {
        Self { whole: true, ..Self::new(plan) }
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Goes on where another one stopped: what it remembered and what still means the same is kept.
    pub fn adopt(&mut self, old: Self) {
        for (key, (lane, state)) in old.lanes {
            self.lanes.insert(key, (lane, state.adopt(&old.plan, &self.plan)));
        }
    }

    /// The offset from which a partition must be read again to know what is known of it now.
    pub fn since(&self, source: &str, topic: &str, partition: i32) -> Option<i64> {
        let key = (source.into(), topic.into(), partition);
        self.lanes.get(&key).and_then(|(_, state)| state.since())
    }

    /// Runs the plan over a batch whose fields follow the plan's layout. Afterwards the batch holds the fields as rules left them.
    pub fn run(
        &mut self,
        batch: &mut Batch,
        names: &Names,
        lookups: &mut dyn Lookups,
        keep_fault_rows: bool,
    ) -> Outcome {
        assert_eq!(
            batch.fields.len(),
            self.plan.layout.len(),
            "a batch follows the layout of the plan that runs over it"
        );
        if batch.rows == 0 {
            return Outcome {
                rules: vec![RuleCount::default(); self.plan.rules.len()],
                ..Outcome::default()
            };
        }
        let remembers = self.whole || self.plan.is_stateful();
        let mut lane = remembers.then(|| self.take_lane(batch));
        let mut memory = run::Memory { alerts: self.whole, ..run::Memory::default() };
        if let Some((_, _, lane)) = &mut lane {
            memory.clocks = lane.clocks(&batch.meta.times);
            memory.clocks.resize(batch.rows, memory.clocks.last().copied().unwrap_or(0));
            for (clock, offset) in memory.clocks.iter().zip(&batch.meta.offsets) {
                lane.mark(*clock, *offset);
            }
            memory.lane = Some(lane);
        }
        let machine = Machine {
            plan: &self.plan,
            facts: &self.facts,
            state: &mut self.state,
            batch,
            names,
            lookups,
            frame: 0,
        };
        let outcome = run::Run::new(machine, memory, keep_fault_rows).finish();
        // Columns kept beyond the batch would only hold memory.
        self.state.forget();
        if let Some((key, stay, lane)) = lane {
            self.lanes.insert(key, (stay, lane));
        }
        outcome
    }

    /// Takes out what is remembered of a batch's partition. What an earlier stay of it left is not what came just before.
    fn take_lane(&mut self, batch: &Batch) -> (LaneKey, u64, LaneState) {
        let meta = &batch.meta;
        let source = self.plan.sources.get(meta.source).map(|source| source.name.clone());
        let key = match source {
            Some(source) if !self.whole => (source, meta.topic.clone(), meta.partition),
            _ => whole_key(),
        };
        let kept = self.lanes.remove(&key).filter(|(stay, _)| *stay == meta.lane);
        let state = kept.map_or_else(|| LaneState::new(&self.plan), |(_, state)| state);
        (key, meta.lane, state)
    }

    /// Begins the windows of an evaluator for tests at that time, unless they have begun.
    pub fn open(&mut self, now: i64) {
        if self.plan.windows.is_empty() {
            return;
        }
        let (_, lane) =
            self.lanes.entry(whole_key()).or_insert_with(|| (0, LaneState::new(&self.plan)));
        for window in &self.plan.windows {
            if let Kept::Sums(sums) = lane.store(window.store.0 as usize) {
                sums.open(now);
            }
        }
    }

    /// Moves the clock of an evaluator for tests: windows that ended by then are closed, without waiting for late events.
    pub fn advance(
        &mut self,
        from: i64,
        now: i64,
        names: &Names,
        lookups: &mut dyn Lookups,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let plan = self.plan.clone();
        let (stay, mut lane) =
            self.lanes.remove(&whole_key()).unwrap_or_else(|| (0, LaneState::new(&plan)));
        lane.advance(now);
        for index in 0..plan.windows.len() {
            let id = WindowId(index as u32);
            windows::close(
                &plan,
                &self.facts,
                id,
                (from, now),
                &mut lane,
                names,
                lookups,
                &mut outcome,
            );
        }
        self.lanes.insert(whole_key(), (stay, lane));
        outcome
    }

    /// Returns one expression's value for every row, on the fields as they are now.
    pub fn value(
        &mut self,
        expr: ExprId,
        batch: &mut Batch,
        names: &Names,
        lookups: &mut dyn Lookups,
    ) -> Arc<Column> {
        let mut machine = Machine {
            plan: &self.plan,
            facts: &self.facts,
            state: &mut self.state,
            batch,
            names,
            lookups,
            frame: 0,
        };
        machine.begin();
        let rows = Mask::all(machine.batch.rows);
        let column = machine.column(expr, &rows);
        self.state.forget();
        column
    }
}

fn whole_key() -> LaneKey {
    ("".into(), "".into(), 0)
}
