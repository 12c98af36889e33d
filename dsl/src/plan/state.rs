//! What a plan remembers from one batch of a partition to the next, and the windows that compute over it.

use std::sync::Arc;

use super::{ExprId, LocalId, Target};
use crate::{column::NodeId, span::Span, types::Type};

/// A store's place in [`super::Plan::stores`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub u32);

/// A metric's place in [`super::Plan::metrics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetricId(pub u32);

/// A window's place in [`super::Plan::windows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowId(pub u32);

/// Something that is remembered, once a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// What a person calls it: `10-noise/limit_per_service limit`.
    pub label: Arc<str>,
    /// Its label before the rule was renamed (`@was`).
    pub was: Option<Arc<str>>,
    /// Changes when what is remembered would mean something else: other keys, another length, other aggregates.
    pub identity: u64,
    /// What is remembered.
    pub kind: StoreKind,
}

/// What a store remembers.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreKind {
    /// How full each key's bucket is.
    Limit(Limit),
    /// When each key passed.
    Dedup {
        /// For how long equal events are held back, nanoseconds.
        within: i64,
    },
    /// What events of open windows added up to.
    Window(Spans, Vec<AggregateKind>),
}

/// `limit count/per burst burst max_keys keys_max`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many events …
    pub count: u64,
    /// … in that many nanoseconds.
    pub per: i64,
    /// How many at once.
    pub burst: u64,
    /// How many keys are remembered.
    pub keys_max: usize,
}

/// `over length every step late wait`, nanoseconds each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// How long a window is.
    pub over: i64,
    /// How far its ends are apart; divides `over`.
    pub every: i64,
    /// How long late events are waited for.
    pub late: i64,
    /// Whether there is one window a key; otherwise one in all, which exists before any event does.
    pub grouped: bool,
}

/// What an aggregate computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AggregateKind {
    /// `count()`: how many; weighted: the sum of the weights.
    Count,
    /// `sum(x)`
    Sum,
    /// `avg(x)`
    Avg,
    /// `min(x)`
    Min,
    /// `max(x)`
    Max,
    /// `quantile(x, q)`
    Quantile(f64),
    /// `uniq(x)`
    Uniq,
    /// `rate()`, `rate(x)`: a second.
    Rate,
    /// `any(x)`
    Any,
    /// `first(x)`: of the earliest event.
    First,
    /// `last(x)`: of the latest event.
    Last,
    /// `top(x, n)`
    Top(usize),
    /// `stddev(x)`: of the population.
    Stddev,
}

/// One aggregate of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Stands for its result in the window's expressions.
    pub local: LocalId,
    /// What it computes.
    pub kind: AggregateKind,
    /// The type of the result.
    pub ty: Type,
    /// Of which value; `None` counts events.
    pub value: Option<ExprId>,
    /// `where`: of which events.
    pub filter: Option<ExprId>,
    /// `weighted: true`: how much each event counts.
    pub weight: Option<ExprId>,
}

/// A window, or an alert's.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// `file/name`: the metric label, unique.
    pub label: Arc<str>,
    /// The bare name.
    pub name: Arc<str>,
    /// Sources whose events it sees, by number; empty means all.
    pub on: Vec<usize>,
    /// Which events it counts.
    pub when: Option<ExprId>,
    /// When an event happened.
    pub time: ExprId,
    /// Where sums are kept.
    pub store: StoreId,
    /// Keys: where each is written in the rows, and its value.
    pub by: Vec<(NodeId, ExprId)>,
    /// What is added up, in the store's order.
    pub aggregates: Vec<Aggregate>,
    /// `let name = e`: the name's place in the rows, and the value.
    pub lets: Vec<WindowLet>,
    /// `.window_start`, `.window_end` and `.timestamp` of the rows.
    pub bounds: [NodeId; 3],
    /// Where rows go.
    pub route: Vec<Target>,
    /// What makes an alert of it.
    pub alert: Option<Alert>,
    /// Its name in the file.
    pub span: Span,
}

/// `let name = e` of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowLet {
    /// The name.
    pub name: Arc<str>,
    /// Stands for the value in later expressions.
    pub local: LocalId,
    /// The value, over aggregates and keys.
    pub value: ExprId,
    /// Where it is written.
    pub node: NodeId,
}

/// What an alert says, over aggregates and keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// `fire when`
    pub condition: ExprId,
    /// `for`: how long it must hold, nanoseconds.
    pub hold: i64,
    /// `resolve after`: how long it must not hold before the alert ends, nanoseconds.
    pub resolve: i64,
    /// `severity`
    pub severity: Option<ExprId>,
    /// `summary`
    pub summary: Option<ExprId>,
    /// `labels`
    pub labels: Option<ExprId>,
    /// `runbook`
    pub runbook: Option<ExprId>,
    /// `notify`
    pub notify: Vec<Receiver>,
}

/// Whom an alert is told to: a name that the configuration gives a meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// The name.
    pub name: Arc<str>,
    /// What it is told beside the alert.
    pub told: Vec<(Arc<str>, ExprId)>,
}

/// `count name by …`: a metric made of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: Arc<str>,
    /// Names of its labels.
    pub labels: Vec<Arc<str>>,
    /// Where it first stands.
    pub span: Span,
}
