//! Plans over batches: expressions to columns, statements to masks.
//!
//! Invariant: no IO and no clock. Lookups come in through [`Lookups`], time is the record's own.

use std::sync::Arc;

use crate::{
    column::{Batch, Column, Mask, Names, batch::Snapshot},
    functions::{Pattern, Regex},
    plan::{Arg, Detector, Plan, RuleId, SinkId, SiteId},
    types::Ty,
};

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

/// What a row kernel may know of its row.
#[derive(Debug, Clone, Copy)]
pub struct RowContext<'a> {
    /// `now()`: the record's Kafka timestamp, nanoseconds.
    pub now: i64,
    /// Topic, partition and offset of the event, for keyed randomness.
    pub topic: &'a str,
    /// See `topic`.
    pub partition: i32,
    /// See `topic`.
    pub offset: i64,
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
}

impl Evaluator {
    /// An evaluator for a plan.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self { plan }
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

/// What a column kernel works with: its arguments, the batch, and the evaluator for lambdas.
#[derive(Debug)]
pub struct CallContext<'e, 'b> {
    /// The batch; new text goes into its arena.
    pub batch: &'e mut Batch,
    /// Names of attributes.
    pub names: &'e Names,
    /// The static type of the result.
    pub ty: &'e Ty,
    args: &'e [Option<Arg>],
    rows: usize,
    marker: std::marker::PhantomData<&'b ()>,
}
#[expect(clippy::todo, unused_variables, reason = "the evaluator is written next")]
impl CallContext<'_, '_> {
    /// How many rows the result must have (inside a lambda this is the number of elements, not of events).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The value of an argument, `None` where it was left out.
    pub fn value(&self, index: usize) -> Option<Arc<Column>> {
        todo!()
    }

    /// A bare name.
    pub fn choice(&self, index: usize) -> Option<&str> {
        todo!()
    }

    /// A regex literal.
    pub fn regex(&self, index: usize) -> Option<Arc<Regex>> {
        todo!()
    }

    /// A pattern literal.
    pub fn pattern(&self, index: usize) -> Option<Arc<Pattern>> {
        todo!()
    }

    /// Detectors of `redact`.
    pub fn detectors(&self, index: usize) -> Option<&[Detector]> {
        todo!()
    }

    /// Whether that argument is a lambda.
    pub fn is_lambda(&self, index: usize) -> bool {
        todo!()
    }

    /// Runs a lambda over elements: `params` has one column a parameter, all of the same length; `parents[i]` is the row that element i belongs to.
    pub fn lambda(
        &mut self,
        index: usize,
        params: Vec<Arc<Column>>,
        parents: &[u32],
    ) -> Arc<Column> {
        todo!()
    }
}

/// Never constructed; keeps the mask in the interface of column kernels.
pub type Rows = Mask;
