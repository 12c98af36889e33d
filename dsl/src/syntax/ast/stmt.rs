//! Statements: what a rule does with an event.

use super::{Arg, Count, Duration, Expr, Ident, Path, QName, Text};
use crate::span::Span;

/// `{ statements }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The statements, in order.
    pub stmts: Vec<Stmt>,
    /// Where it stands, with the braces.
    pub span: Span,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Where it stands.
    pub span: Span,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let x = e else { … }`
    Let {
        /// What is bound.
        pattern: LetPattern,
        /// The value.
        value: Expr,
        /// What happens where the value is absent.
        otherwise: Option<Block>,
    },
    /// `.p = e else { … }`
    Assign {
        /// Where it is written.
        target: Path,
        /// How.
        op: AssignOp,
        /// The value.
        value: Expr,
        /// What happens where the value is absent.
        otherwise: Option<Block>,
    },
    /// `if c { … } else { … }`
    If(If),
    /// `drop as "reason"`
    Drop {
        /// The reason; without it the rule's name.
        reason: Option<Text>,
    },
    /// `return`: ends this rule.
    Return,
    /// `route to a, b(key: e)`
    Route(Vec<Target>),
    /// `emit each list as .path`
    Emit {
        /// The list.
        list: Expr,
        /// Where each element is written; without it the element replaces the event.
        target: Option<Path>,
    },
    /// `sample 5% by key else { … }`
    Sample {
        /// The share that stays.
        ratio: Ratio,
        /// What is hashed.
        by: Vec<Expr>,
        /// What happens to the others.
        otherwise: Option<Block>,
    },
    /// `limit 2000/s burst 10000 by key max_keys 5000 else { … }`
    Limit {
        /// How many.
        count: Count,
        /// In which time: one second, minute, hour or day.
        per: Duration,
        /// How many at once.
        burst: Option<Count>,
        /// Which events share a bucket.
        by: Vec<Expr>,
        /// How many buckets are kept.
        max_keys: Option<Count>,
        /// What happens to the others.
        otherwise: Option<Block>,
    },
    /// `dedup by a, b within 30s else { … }`
    Dedup {
        /// What makes two events the same.
        by: Vec<Expr>,
        /// For how long.
        within: Duration,
        /// What happens to the others.
        otherwise: Option<Block>,
    },
    /// `del .a, .b.*`
    Del(Vec<PathGlob>),
    /// `keep .a, .b.*`
    Keep(Vec<PathGlob>),
    /// `rename .a -> .b, .c -> .d`: pairs of old and new.
    Rename(Vec<(Path, Path)>),
    /// `tag "x", "y"`
    Tag(Vec<Text>),
    /// `count metric by a value e`
    Count {
        /// The metric.
        metric: Ident,
        /// Its labels.
        by: Vec<Expr>,
        /// What is added; without it one.
        value: Option<Expr>,
    },
    /// Text that is no statement; a diagnostic says why.
    Error,
}

/// What a `let` binds.
#[derive(Clone, Debug, PartialEq)]
pub enum LetPattern {
    /// `x`
    Name(Ident),
    /// `{ a, b }`: fields of the value.
    Fields(Vec<Ident>),
}

/// How an assignment writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignOp {
    /// `=`
    Set,
    /// `|=`: merges a map into the target.
    Merge,
    /// `??=`: writes only where the target is absent.
    Default,
}

impl AssignOp {
    /// Returns how it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Set => "=",
            Self::Merge => "|=",
            Self::Default => "??=",
        }
    }
}

/// `if c { … } else …`.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// The condition.
    pub condition: Expr,
    /// Where it holds.
    pub then: Block,
    /// Where it does not.
    pub otherwise: Option<Else>,
    /// The whole statement.
    pub span: Span,
}

/// What follows `else` in an `if` statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Else {
    /// `else { … }`
    Block(Block),
    /// `else if … { … }`
    If(Box<If>),
}

/// A sink of a route, with what is set in the copy that is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The sink.
    pub sink: QName,
    /// What is set: `(key: e)`.
    pub args: Vec<Arg>,
    /// The whole target.
    pub span: Span,
}

/// A share of the events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The share as it is written.
    pub kind: RatioKind,
    /// Where it stands.
    pub span: Span,
}

/// A share as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RatioKind {
    /// `5%`
    Percent(f64),
    /// `1/20`: `part` of every `whole`.
    Fraction {
        /// What stands before the `/`.
        part: u64,
        /// What stands after it.
        whole: u64,
    },
}

impl Ratio {
    /// Returns the share as a number; 1 is everything, and `x/0` is infinite.
    pub fn share(&self) -> f64 {
        match self.kind {
            RatioKind::Percent(percent) => percent / 100.0,
            RatioKind::Fraction { part, whole } => part as f64 / whole as f64,
        }
    }
}

/// A path in `del` and `keep`, perhaps with everything below it.
#[derive(Clone, Debug, PartialEq)]
pub struct PathGlob {
    /// The path.
    pub path: Path,
    /// Whether `.*` follows: what lies below the path, not the path itself.
    pub below: bool,
    /// The whole.
    pub span: Span,
}
