//! Checked rules as data: what will run.
//!
//! Invariant: nothing in a plan is ill-typed. Whoever evaluates it may assert what the checker proved.

use std::sync::Arc;

use crate::{
    column::{Absence, Cidr, Layout, NodeId, Severity},
    functions::{Function, Glob, Pattern, Regex},
    span::Span,
    types::{Shape, Ty},
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
        /// Its rules.
        rules: Vec<RuleId>,
    },
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
    /// What it does.
    pub body: Vec<Stmt>,
    /// `@owner`, `@expires` …: name and text, for status pages.
    pub attributes: Vec<(Arc<str>, String)>,
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

/// An expression with its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it computes.
    pub op: Op,
    /// Its static type.
    pub ty: Ty,
    /// Where it (first) stands.
    pub span: Span,
}

/// What an expression computes.
///
/// Predicates (marked P) yield a mask and are two-valued: an absent operand makes them false. Everything else yields a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A constant.
    Literal(Literal),
    /// The value of a path. The root is the whole event as an object.
    Field(NodeId),
    /// `@topic` …
    Meta(MetaField),
    /// A `let` or a lambda's parameter.
    Local(LocalId),
    /// `r.key` of a record, map or `any`.
    Member {
        /// The record.
        of: ExprId,
        /// The key.
        key: Arc<str>,
    },
    /// `l[i]` of a list (negative counts from the end), `m[k]` of a map, either of `any`.
    Index {
        /// The list or map.
        of: ExprId,
        /// The position or key.
        index: ExprId,
    },
    /// `.items[*].sku`: the members of all elements, as a list; elements that lack one are left out.
    Each {
        /// The list.
        of: ExprId,
        /// Keys below each element; empty for the elements themselves.
        keys: Vec<Arc<str>>,
    },
    /// Reads an `any` (or wider) value as the expression's type: JSON numbers as numbers, JSON text as text, `ip cidr timestamp duration severity` from text.
    Narrow(ExprId),
    /// A function.
    Call {
        /// Which.
        function: &'static Function,
        /// Arguments in the order of its parameters; `None` where one was left out.
        args: Vec<Option<Arg>>,
    },
    /// A declared lookup.
    Lookup {
        /// Its number in [`Plan::lookups`].
        lookup: usize,
        /// The key's parts.
        args: Vec<ExprId>,
    },
    /// `-x`
    Neg(ExprId),
    /// `a + b` …; on numbers, timestamps and durations; `+` joins text.
    Arith {
        /// Which.
        op: ArithOp,
        /// Left operand.
        left: ExprId,
        /// Right operand.
        right: ExprId,
    },
    /// `a ?? b`
    Coalesce(ExprId, ExprId),
    /// `if c { a } else { b }`
    If {
        /// A predicate or truth value.
        condition: ExprId,
        /// Where it holds.
        then: ExprId,
        /// Where not.
        otherwise: ExprId,
    },
    /// `match x { … }`: the first arm that holds; none gives absent.
    Match {
        /// The value looked at.
        on: ExprId,
        /// Patterns and results; an arm without patterns is `_`.
        arms: Vec<(Vec<MatchPattern>, ExprId)>,
    },
    /// `{ a: 1, ...other }`: later members win.
    Record(Vec<RecordPart>),
    /// `[a, b]`
    List(Vec<ExprId>),
    /// `f"…"`: an absent hole makes the whole absent.
    Format(Vec<FormatPart>),

    /// P `a and b …`
    And(Vec<ExprId>),
    /// P `a or b …`
    Or(Vec<ExprId>),
    /// P `not a`
    Not(ExprId),
    /// P a truth value as a condition: absent is false.
    Truth(ExprId),
    /// P `a == b`, `a < b` … (`!=` is `Not` of `Eq`).
    Compare {
        /// Which.
        op: CompareOp,
        /// Left operand.
        left: ExprId,
        /// Right operand.
        right: ExprId,
    },
    /// P `x in [constants, cidrs]`
    InSet {
        /// The value.
        value: ExprId,
        /// What it may equal, or for an address also lie in.
        set: Arc<LiteralSet>,
    },
    /// P `x in list`, `ip in cidr`, both computed.
    In {
        /// The element or address.
        value: ExprId,
        /// The list or block.
        within: ExprId,
    },
    /// P `contains`, `starts_with`, `ends_with` on text; `contains` on a list asks for an element.
    TextTest {
        /// Which.
        test: TextTest,
        /// The text or list.
        value: ExprId,
        /// What is looked for.
        needle: ExprId,
        /// `"…"i`: without regard to case (Unicode lower-casing; the needle is lower-case already).
        ignore_case: bool,
    },
    /// P `like glob"…"`
    Like {
        /// The text.
        value: ExprId,
        /// The glob.
        glob: Arc<Glob>,
    },
    /// P `matches re"…"`
    Matches {
        /// The text.
        value: ExprId,
        /// The regex.
        regex: Arc<Regex>,
    },
    /// P `has "word"`: the word stands between characters that are no letters, digits or `_`.
    Has {
        /// The text.
        value: ExprId,
        /// The words, split at separators: all must stand in this order next to each other.
        words: Arc<str>,
        /// `"…"i`
        ignore_case: bool,
    },
    /// P `x is absent`, `is missing`, `is int` …
    Is {
        /// The value.
        value: ExprId,
        /// What is asked.
        test: IsTest,
    },
    /// P true if the predicate holds for any element of the list: what a predicate over `[*]` means.
    AnyElement {
        /// The list.
        list: ExprId,
        /// Stands for the element in `test`.
        element: LocalId,
        /// The predicate.
        test: ExprId,
    },
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// A value.
    Value(ExprId),
    /// An option of the function by its bare name (`unit: ms`, `snake`).
    Choice(Arc<str>),
    /// A regex literal.
    Regex(Arc<Regex>),
    /// A list of regex literals and built-in names (`redact(x, [EMAIL, iban])`).
    Detectors(Vec<Detector>),
    /// A `pat"…"` literal.
    Pattern(Arc<Pattern>),
    /// `|x| …`
    Lambda(Lambda),
}

/// What `redact` looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Detector {
    /// A regex; a group named `secret` narrows what is replaced.
    Regex(Arc<Regex>),
    /// A built-in one by name.
    Builtin(Arc<str>),
}

/// `|a, b| body`
#[derive(Debug, Clone, PartialEq)]
pub struct Lambda {
    /// Stand for the parameters in the body.
    pub params: Vec<LocalId>,
    /// The body.
    pub body: ExprId,
}

/// A part of a record literal.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordPart {
    /// `key: e`
    Member(Arc<str>, ExprId),
    /// `...e`
    Spread(ExprId),
}

/// A part of an `f"…"`.
#[derive(Debug, Clone, PartialEq)]
pub enum FormatPart {
    /// Text as it is.
    Text(Arc<str>),
    /// `{e}`
    Hole(ExprId),
}

/// A constant value.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`, or a constant that is absent.
    Absent(Absence),
    /// `true`, `false`
    Bool(bool),
    /// `42`, `10KiB`
    Int(i64),
    /// `4.2`
    Float(f64),
    /// `"text"`
    Text(Arc<str>),
    /// `t"…"`
    Timestamp(i64),
    /// `5m`
    Duration(i64),
    /// `ip"…"`
    Ip(u128),
    /// `cidr"…"`
    Cidr(Cidr),
    /// `warn`
    Severity(Severity),
    /// A constant list or record, as JSON text.
    Json(Arc<str>),
}

/// Constants of one type to look a value up in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LiteralSet {
    /// Text, sorted.
    pub texts: Vec<Arc<str>>,
    /// Integers, sorted (also severities, timestamps, durations by their number).
    pub ints: Vec<i64>,
    /// Floats.
    pub floats: Vec<f64>,
    /// Address blocks (single addresses as /128), sorted by first address.
    pub cidrs: Vec<Cidr>,
    /// Truth values.
    pub bools: Vec<bool>,
}

/// A pattern of `match`.
#[derive(Debug, Clone, PartialEq)]
pub enum MatchPattern {
    /// Equal to this constant; for an address also inside this block.
    Is(Literal),
    /// `a..b` or `a..=b`.
    Range {
        /// First value inside.
        from: Literal,
        /// Last value inside, or first outside.
        to: Literal,
        /// Whether `to` is inside.
        inclusive: bool,
    },
}

/// `+ - * / %`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArithOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`: on integers a float
    Div,
    /// `%`: sign of the left operand
    Rem,
}

/// Ordering and equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// `==`
    Eq,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// Tests of text against text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextTest {
    /// `contains`
    Contains,
    /// `starts_with`
    StartsWith,
    /// `ends_with`
    EndsWith,
}

/// What `is` asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IsTest {
    /// Absent for any reason.
    Absent,
    /// Present.
    Present,
    /// No such field.
    Missing,
    /// JSON null.
    Null,
    /// Present and of that type.
    Type(crate::types::Type),
}

/// Where an event came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaField {
    /// `@topic`
    Topic,
    /// `@partition`
    Partition,
    /// `@offset`
    Offset,
    /// `@key`
    Key,
    /// `@ingest_time`
    IngestTime,
    /// `@headers`, a map
    Headers,
    /// `@source`
    Source,
}

impl Op {
    /// Whether it yields a mask rather than a column.
    pub fn is_predicate(&self) -> bool {
        matches!(
            self,
            Self::And(_)
                | Self::Or(_)
                | Self::Not(_)
                | Self::Truth(_)
                | Self::Compare { .. }
                | Self::InSet { .. }
                | Self::In { .. }
                | Self::TextTest { .. }
                | Self::Like { .. }
                | Self::Matches { .. }
                | Self::Has { .. }
                | Self::Is { .. }
                | Self::AnyElement { .. }
        )
    }
}

impl Plan {
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
