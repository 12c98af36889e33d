//! Checked rules as data: what will run.
//!
//! Invariant: nothing in a plan is ill-typed. Whoever evaluates it may assert what the checker proved.

mod expr;
mod state;

use std::sync::Arc;

use crate::{
    column::{Layout, NodeId},
    span::Span,
    types::{Shape, Ty},
};

pub use expr::{
    Arg, ArithOp, CompareOp, Detector, Expr, FormatPart, IsTest, Lambda, Literal, LiteralSet,
    MatchPattern, MetaField, Op, RecordPart, Secret, TextTest,
};
pub use state::{
    Aggregate, AggregateKind, Alert, Limit, Metric, MetricId, Receiver, Spans, Store, StoreId,
    StoreKind, Window, WindowId, WindowLet,
};

/// An expression's number in [`Plan::exprs`]. Equal expressions have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub u32);

/// A `let`, a lambda's parameter: a place in a rule's frame. Unique in the whole plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u32);

/// A place where a fault may be counted: an assignment, a `let`, a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u32);

/// A rule's place in [`Plan::rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

/// A sink's place in [`Plan::sinks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkId(pub u32);

/// Everything that runs.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every path that is read or written. A sink's columns are added when the plan is bound.
    pub layout: Layout,
    /// All expressions, operands before the expressions that use them.
    pub exprs: Vec<Expr>,
    /// How many locals there are.
    pub n_locals: usize,
    /// Sources in declared order.
    pub sources: Vec<SourceDecl>,
    /// Sinks in declared order.
    pub sinks: Vec<SinkDecl>,
    /// Lookups in declared order.
    pub lookups: Vec<LookupDecl>,
    /// Rules in the order in which they run.
    pub rules: Vec<Rule>,
    /// Rules and groups in the order in which they run.
    pub steps: Vec<Step>,
    /// Where faults are counted.
    pub sites: Vec<Site>,
    /// `default route to`.
    pub default_route: Vec<Target>,
    /// Whether any expression reads `@headers`.
    pub reads_headers: bool,
    /// What is remembered from batch to batch of a partition.
    pub stores: Vec<Store>,
    /// Windows and alerts.
    pub windows: Vec<Window>,
    /// Metrics that `count` adds to.
    pub metrics: Vec<Metric>,
}

/// A source's name and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceDecl {
    /// Its name in the rules and in `logmon.toml`.
    pub name: Arc<str>,
    /// What its events look like.
    pub shape: Arc<Shape>,
    /// Whether that is the built-in `Log`, where a missing timestamp is the record's time.
    pub is_log: bool,
    /// Where it is declared.
    pub span: Span,
}

/// A sink's name and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkDecl {
    /// Its name in the rules and in `logmon.toml`.
    pub name: Arc<str>,
    /// What it takes.
    pub ty: SinkType,
    /// `with (key: string?)`: parameters of a route.
    pub with: Vec<(Arc<str>, Ty)>,
    /// `@accepts_sensitive`.
    pub accepts_sensitive: bool,
    /// Where it is declared.
    pub span: Span,
}

/// What a sink takes.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkType {
    /// `table("name")`: the table's own columns.
    Table(Arc<str>),
    /// `{ … }`: a record.
    Record(Arc<Shape>),
}

/// A lookup's name and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct LookupDecl {
    /// Its name in the rules and in `logmon.toml`.
    pub name: Arc<str>,
    /// Types of the key's parts.
    pub keys: Vec<Ty>,
    /// What it yields: a record, or a single value.
    pub yields: Ty,
    /// Where it is declared.
    pub span: Span,
    /// Where the fields of what it yields are declared, in the order of the shape.
    pub fields: Vec<Span>,
}

/// A rule or a group, in running order.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// One rule.
    Rule(RuleId),
    /// A group: a shared condition, and perhaps "first match wins".
    Group {
        /// The group's name.
        name: Arc<str>,
        /// Whether it ends, per event, at the first rule whose `on` and `when` hold.
        first: bool,
        /// The shared condition.
        when: Option<ExprId>,
        /// Where its faults are counted.
        site: Option<SiteId>,
        /// Its rules.
        rules: Vec<RuleId>,
    },
    /// A window or an alert.
    Window(WindowId),
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `file/group/rule`: the metric label, unique.
    pub label: Arc<str>,
    /// The bare name.
    pub name: Arc<str>,
    /// Sources whose events it sees, by number; empty means all.
    pub on: Vec<usize>,
    /// Its condition.
    pub when: Option<ExprId>,
    /// Where faults of the condition are counted; `None`: nowhere.
    pub site: Option<SiteId>,
    /// What it does.
    pub body: Vec<Stmt>,
    /// `@owner`, `@expires` …: name and text, for status pages.
    pub attributes: Vec<(Arc<str>, String)>,
    /// `@shadow`: evaluated and counted, but nothing it does lasts.
    pub shadow: bool,
    /// `@canary(5%)`: acts on that share of the events it would take, chosen by hash.
    pub canary: Option<f64>,
    /// `@pin`: a reload may neither drop nor move it.
    pub pinned: bool,
    /// `@was`: the name it had before.
    pub was: Option<Arc<str>>,
    /// Its name in the file.
    pub span: Span,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Stmt {
    /// `.p = e`, `.p ??= e`, `.p |= e`, each perhaps with `else { }` for an absent value.
    Assign {
        /// The path written.
        target: NodeId,
        /// How.
        op: AssignOp,
        /// The value.
        value: ExprId,
        /// Runs for rows where the value is absent (except `null` written on purpose); `None` counts a fault there.
        otherwise: Option<Vec<Stmt>>,
        /// Where faults are counted.
        site: SiteId,
    },
    /// `del .a, .b.*`
    Del(Vec<PathSet>),
    /// `keep .a, .b`: everything else goes.
    Keep(Vec<PathSet>),
    /// `rename .a -> .b`: moves the value with all below it; an absent source moves nothing.
    Rename {
        /// The old path.
        from: NodeId,
        /// The new one.
        to: NodeId,
        /// Where faults are counted.
        site: SiteId,
    },
    /// `tag "x"`: appends to the list `.tags` what is not in it yet.
    Tag {
        /// The node of `.tags`.
        tags: NodeId,
        /// The texts.
        texts: Vec<Arc<str>>,
        /// Where faults are counted.
        site: SiteId,
    },
    /// `let x = e else { … }`; with a record pattern one binding a name.
    Let {
        /// What is bound: local and the expression (members of one hash-consed expression for a pattern).
        bindings: Vec<(LocalId, ExprId)>,
        /// Runs for rows where any bound value that must be present is absent; those rows leave the block.
        otherwise: Option<Vec<Stmt>>,
        /// Where faults are counted (only without `else`).
        site: SiteId,
    },
    /// `if c { } else { }`
    If {
        /// The condition.
        condition: ExprId,
        /// Where its faults are counted.
        site: Option<SiteId>,
        /// Rows for which it holds.
        then: Vec<Stmt>,
        /// All others.
        otherwise: Vec<Stmt>,
    },
    /// `return`: ends this rule.
    Return,
    /// `route to a, b(key: e)`
    Route(Vec<Target>),
    /// `drop as "reason"`
    Drop {
        /// The metric label.
        reason: Arc<str>,
    },
    /// `sample 5% by key else { … }`
    Sample {
        /// How many of how many survive, as a fraction.
        ratio: Ratio,
        /// The hashed keys; empty means the event's own coordinates.
        by: Vec<ExprId>,
        /// Runs for the rows that do not survive; without it they are dropped with the reason `sample`.
        otherwise: Option<Vec<Stmt>>,
        /// The node of `.sample_weight`.
        weight: NodeId,
    },
    /// `limit 2000/s burst 10000 by key else { … }`
    Limit {
        /// Where buckets are kept.
        store: StoreId,
        /// Which events share a bucket.
        by: Vec<ExprId>,
        /// Runs for the events that are too many; without it they are dropped with the reason `limit`.
        otherwise: Option<Vec<Stmt>>,
    },
    /// `dedup by key within 30s else { … }`
    Dedup {
        /// Where passed keys are kept.
        store: StoreId,
        /// What makes two events the same.
        by: Vec<ExprId>,
        /// Runs for repeated events; without it they are dropped with the reason `dedup`.
        otherwise: Option<Vec<Stmt>>,
        /// The node of `.dedup_count`, written before `otherwise` runs.
        count: NodeId,
    },
    /// `emit each list as .path`: from here on one event an element.
    Emit {
        /// The list.
        list: ExprId,
        /// Where each element goes; `None` means that it replaces the event.
        target: Option<NodeId>,
        /// Where faults are counted.
        site: SiteId,
    },
    /// `count metric by .a value e`
    Count {
        /// The metric.
        metric: MetricId,
        /// Its labels' values.
        by: Vec<ExprId>,
        /// What is added; `None` is one.
        value: Option<ExprId>,
        /// Where faults are counted.
        site: SiteId,
    },
}

/// How an assignment writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignOp {
    /// `=`
    Set,
    /// `??=`: only where the target is absent.
    Default,
    /// `|=`: merges an object into the target, the right side wins.
    Merge,
}

/// A path, or everything below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathSet {
    /// The path.
    pub node: NodeId,
    /// `.*`: only what lies below; the record itself stays.
    pub below: bool,
}

/// `n / of`, both above zero, n ≤ of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// How many …
    pub n: f64,
    /// … of how many.
    pub of: f64,
}

/// Where a route goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The sink.
    pub sink: SinkId,
    /// Parameters, and fields set only in the copy that is sent: path from the event's root and value.
    pub args: Vec<(Vec<Arc<str>>, ExprId)>,
}

/// A place where faults are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The rule.
    pub rule: RuleId,
    /// What a person reads: `.http.status =`, `let r`.
    pub label: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

impl Stmt {
    /// The blocks inside a statement.
    pub fn blocks(&self) -> Vec<&[Self]> {
        match self {
            Self::If { then, otherwise, .. } => vec![then, otherwise],
            Self::Assign { otherwise, .. }
            | Self::Let { otherwise, .. }
            | Self::Sample { otherwise, .. }
            | Self::Limit { otherwise, .. }
            | Self::Dedup { otherwise, .. } => otherwise.iter().map(Vec::as_slice).collect(),
            Self::Del(_)
            | Self::Keep(_)
            | Self::Rename { .. }
            | Self::Tag { .. }
            | Self::Emit { .. }
            | Self::Count { .. }
            | Self::Return
            | Self::Route(_)
            | Self::Drop { .. } => Vec::new(),
        }
    }

    /// The expressions that a statement computes, not those of its blocks.
    pub fn expressions(&self) -> Vec<ExprId> {
        match self {
            Self::Assign { value, .. } => vec![*value],
            Self::Let { bindings, .. } => bindings.iter().map(|(_, id)| *id).collect(),
            Self::If { condition, .. } => vec![*condition],
            Self::Route(targets) => {
                targets.iter().flat_map(|target| target.args.iter().map(|(_, id)| *id)).collect()
            }
            Self::Sample { by, .. } | Self::Limit { by, .. } | Self::Dedup { by, .. } => by.clone(),
            Self::Emit { list, .. } => vec![*list],
            Self::Count { by, value, .. } => by.iter().chain(value).copied().collect(),
            Self::Del(_)
            | Self::Keep(_)
            | Self::Rename { .. }
            | Self::Tag { .. }
            | Self::Return
            | Self::Drop { .. } => Vec::new(),
        }
    }
}

impl Plan {
    /// Whether what becomes of an event depends on events before it in its partition, so that batches must be run in order and in one place.
    ///
    /// Alerts do not count: only tests judge them.
    pub fn is_stateful(&self) -> bool {
        let alerts = self.windows.iter().filter(|window| window.alert.is_some()).count();
        self.stores.len() > alerts
    }

    /// The expression.
    #[inline]
    pub fn expr(&self, id: ExprId) -> &Expr {
        &self.exprs[id.0 as usize]
    }

    /// The rule.
    #[inline]
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0 as usize]
    }

    /// The sink of that name.
    pub fn sink(&self, name: &str) -> Option<SinkId> {
        self.sinks.iter().position(|sink| &*sink.name == name).map(|index| SinkId(index as u32))
    }
}
