//! Plans over batches: expressions to columns, statements to masks.
//!
//! Invariant: no IO and no clock. Lookups come in through [`Lookups`], time is the record's own.

mod analysis;
mod call;
mod compute;
mod fields;
mod literals;
mod lookup;
mod machine;
mod memos;
mod order;
mod output;
mod predicates;
mod run;

pub use call::{CallContext, RowContext};
pub use output::{print_event, print_routed, read};

use std::sync::Arc;

use crate::{
    column::{Batch, Column, Mask, Names, batch::Snapshot},
    plan::{ExprId, Plan, RuleId, SinkId, SiteId},
};
use analysis::ExprFacts;
use machine::{Machine, State};

/// Outside knowledge by key. The engine answers from caches and back ends, tests from mocks.
pub trait Lookups {
    /// Answers for distinct keys of one lookup, in their order. A key of several parts is joined by U+001F.
    fn resolve(&mut self, lookup: usize, keys: &[&str]) -> Vec<Answer>;
}

/// What a lookup says of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The row as JSON: an object for a record, otherwise the value.
    Found(Arc<str>),
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
    /// The same a row, only kept when asked for (`eval`, `explain`).
    pub fault_rows: Vec<(u32, SiteId, crate::column::Absence)>,
}

/// What a rule saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Rows that reached it.
    pub evaluated: u64,
    /// Rows for which its `when` held.
    pub matched: u64,
}

/// Runs a plan over batches. Keeps scratch memory between batches; one per thread.
#[derive(Debug)]
pub struct Evaluator {
    plan: Arc<Plan>,
    facts: Vec<ExprFacts>,
    state: State,
}

impl Evaluator {
    /// An evaluator for a plan.
    pub fn new(plan: Arc<Plan>) -> Self {
        let facts = analysis::analyze(&plan);
        Self { plan, facts, state: State::default() }
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
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
        let machine = Machine {
            plan: &self.plan,
            facts: &self.facts,
            state: &mut self.state,
            batch,
            names,
            lookups,
            frame: 0,
        };
        let outcome = run::Run::new(machine, keep_fault_rows).finish();
        // Columns kept beyond the batch would only hold memory.
        self.state.forget();
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
