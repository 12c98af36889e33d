//! Expressions as data.
//!
//! Invariant: an expression refers to others by number alone, so equal ones are one.

use std::{fmt, sync::Arc};

use super::{ExprId, LocalId};
use crate::{
    column::{Absence, Cidr, NodeId, Severity},
    functions::{Function, Glob, Grok, Pattern, Regex},
    span::Span,
    types::Ty,
};

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
    /// A `grok"…"` literal.
    Grok(Arc<Grok>),
    /// `secret("…")`
    Secret(Secret),
    /// `|x| …`
    Lambda(Lambda),
}

/// A text that no output shows: it is no value, and functions take it as a key only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, for the function that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
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

    /// The expressions that it computes with, in order.
    pub fn operands(&self) -> Vec<ExprId> {
        match self {
            Self::Literal(_) | Self::Field(_) | Self::Meta(_) | Self::Local(_) => Vec::new(),
            Self::Member { of, .. } | Self::Each { of, .. } => vec![*of],
            Self::Index { of, index } => vec![*of, *index],
            Self::Narrow(of) | Self::Neg(of) | Self::Not(of) | Self::Truth(of) => vec![*of],
            Self::Call { args, .. } => args
                .iter()
                .flatten()
                .filter_map(|arg| match arg {
                    Arg::Value(id) => Some(*id),
                    Arg::Lambda(lambda) => Some(lambda.body),
                    Arg::Choice(_)
                    | Arg::Regex(_)
                    | Arg::Detectors(_)
                    | Arg::Pattern(_)
                    | Arg::Grok(_)
                    | Arg::Secret(_) => None,
                })
                .collect(),
            Self::Lookup { args, .. } => args.clone(),
            Self::Arith { left, right, .. } | Self::Compare { left, right, .. } => {
                vec![*left, *right]
            }
            Self::Coalesce(left, right) => vec![*left, *right],
            Self::If { condition, then, otherwise } => vec![*condition, *then, *otherwise],
            Self::Match { on, arms } => {
                std::iter::once(*on).chain(arms.iter().map(|(_, value)| *value)).collect()
            }
            Self::Record(parts) => parts
                .iter()
                .map(|part| match part {
                    RecordPart::Member(_, id) | RecordPart::Spread(id) => *id,
                })
                .collect(),
            Self::List(ids) | Self::And(ids) | Self::Or(ids) => ids.clone(),
            Self::Format(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    FormatPart::Text(_) => None,
                    FormatPart::Hole(id) => Some(*id),
                })
                .collect(),
            Self::InSet { value, .. }
            | Self::Like { value, .. }
            | Self::Matches { value, .. }
            | Self::Has { value, .. }
            | Self::Is { value, .. } => vec![*value],
            Self::In { value, within } => vec![*value, *within],
            Self::TextTest { value, needle, .. } => vec![*value, *needle],
            Self::AnyElement { list, test, .. } => vec![*list, *test],
        }
    }

    /// The locals that it binds for its operands.
    pub fn binds(&self) -> Vec<LocalId> {
        match self {
            Self::Call { args, .. } => {
                let lambdas = args.iter().flatten().filter_map(|arg| match arg {
                    Arg::Lambda(lambda) => Some(&lambda.params),
                    _ => None,
                });
                lambdas.flatten().copied().collect()
            }
            Self::AnyElement { element, .. } => vec![*element],
            _ => Vec::new(),
        }
    }
}

impl CompareOp {
    /// The operator that says the same with its sides changed.
    pub fn turned(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}
