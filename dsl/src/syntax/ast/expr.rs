//! Expressions, paths and literals.

use super::{Ident, QName};
use crate::span::Span;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, without parentheses around it.
    pub span: Span,
}

/// What an expression is.
///
/// Parentheses leave no node: the tree says what binds to what.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// `12`, `1_000`, and byte sizes: `10KiB`
    Int(i64),
    /// `1.5`, `2e3`; always finite
    Float(f64),
    /// `1h30m`, in nanoseconds
    Duration(i64),
    /// `"text"`, `"text"i`, `r"""raw"""`
    Text {
        /// The text without quotes and escapes.
        value: String,
        /// Whether `i` follows: compares without regard to case.
        fold: bool,
    },
    /// `f"…{hole}…"`
    Interpolated(Vec<Piece>),
    /// `re"…"i`, `pat"…"`, `t"…"` and the like, not yet compiled.
    Tagged {
        /// Which kind.
        tag: Tag,
        /// The raw text between the quotes.
        raw: String,
        /// Where the raw text stands; byte offsets in `raw` count from here.
        raw_span: Span,
        /// The letters after the closing quote: of a regex, out of `i s m x`.
        flags: String,
    },
    /// `.a.b`, `@topic`
    Path(Path),
    /// A bare name: a `let`, parameter, constant, enum member, option; in the search bar a field.
    Name(QName),
    /// `f(a, name: b where c)`
    Call {
        /// The function, lookup, aggregate or notifier.
        function: QName,
        /// The arguments.
        args: Vec<Arg>,
        /// The condition after `where`; aggregates alone may have one.
        filter: Option<Box<Expr>>,
    },
    /// `e.name` of something that is not a path: `f(x).name`, `r.name`
    Member {
        /// The record.
        base: Box<Expr>,
        /// The field.
        name: Ident,
    },
    /// `e[i]` of something that is not a path, or with an index that is not a literal
    Index {
        /// The list or map.
        base: Box<Expr>,
        /// The position or key.
        index: Box<Expr>,
    },
    /// `[a, b]`
    List(Vec<Expr>),
    /// `{ a: 1, ...other }`
    Record(Vec<RecordField>),
    /// `|a, b| body`
    Lambda {
        /// The parameters.
        params: Vec<Ident>,
        /// The body.
        body: Box<Expr>,
    },
    /// `if c { a } else { b }`
    If {
        /// The condition.
        condition: Box<Expr>,
        /// The value where it holds.
        then: Box<Expr>,
        /// The value where it does not; another `If` for `else if`.
        otherwise: Box<Expr>,
    },
    /// `match x { p => a, _ => b }`
    Match {
        /// What is looked at.
        subject: Box<Expr>,
        /// The arms, in order.
        arms: Vec<Arm>,
    },
    /// `a or b or c`: two operands at least, none of them an `Or`
    Or(Vec<Expr>),
    /// `a and b and c`: two operands at least, none of them an `And`
    And(Vec<Expr>),
    /// `not a`
    Not(Box<Expr>),
    /// `a < b`, `a != b` (a negated `Eq`), `a not in b`
    Compare {
        /// The positive form.
        op: Comparison,
        /// Where the operator stands, with its `not`.
        op_span: Span,
        /// Whether the result is negated; never for `< <= > >=`.
        negated: bool,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// `a is not absent`, `a is int`
    Is {
        /// What is looked at.
        subject: Box<Expr>,
        /// Whether `not` stands there.
        negated: bool,
        /// What it is looked at for.
        presence: Presence,
    },
    /// `a ?? b ?? c`: two operands at least, none of them a `Coalesce`
    Coalesce(Vec<Expr>),
    /// `a + b`
    Arithmetic {
        /// The operator.
        op: Arithmetic,
        /// Where it stands.
        op_span: Span,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// `-a`; before a literal number or duration there is no node, the value is negative
    Neg(Box<Expr>),
    /// Text that is no expression; a diagnostic says why.
    Error,
}

/// A part of an `f"…"`.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text without escapes.
    Text(String),
    /// `{expression}`
    Hole(Expr),
}

/// The letters before the quotes of a literal that is compiled when the program is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// `re"…"`
    Regex,
    /// `pat"…"`
    Pattern,
    /// `grok"…"`
    Grok,
    /// `glob"…"`
    Glob,
    /// `ip"…"`
    Ip,
    /// `cidr"…"`
    Cidr,
    /// `t"…"`
    Timestamp,
}

impl Tag {
    /// Every tag.
    pub const ALL: &[Self] = &[
        Self::Regex,
        Self::Pattern,
        Self::Grok,
        Self::Glob,
        Self::Ip,
        Self::Cidr,
        Self::Timestamp,
    ];

    /// Returns the letters.
    pub fn letters(self) -> &'static str {
        match self {
            Self::Regex => "re",
            Self::Pattern => "pat",
            Self::Grok => "grok",
            Self::Glob => "glob",
            Self::Ip => "ip",
            Self::Cidr => "cidr",
            Self::Timestamp => "t",
        }
    }
}

/// A place in the event or its metadata, known when the program is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Where it starts.
    pub root: PathRoot,
    /// The way down; empty for `.`, the whole event.
    pub segs: Vec<Seg>,
    /// Where it stands.
    pub span: Span,
}

/// Where a path starts.
#[derive(Clone, Debug, PartialEq)]
pub enum PathRoot {
    /// `.`: the event.
    Event,
    /// `@topic`: metadata of this name.
    Meta(Ident),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Seg {
    /// What it picks.
    pub kind: SegKind,
    /// Where it stands, without the dot, with the brackets.
    pub span: Span,
}

/// What a step of a path picks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SegKind {
    /// A field: `.a`, `."a b"`, `["a b"]`.
    Field(String),
    /// An element: `[0]`; from the end: `[-1]`.
    Index(i64),
    /// Every element: `[*]`.
    Each,
}

/// An argument of a call, a route or an attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The name of a named one.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
    /// Both.
    pub span: Span,
}

/// A part of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordField {
    /// `name: value`
    Field {
        /// The name; a quoted one may hold anything.
        name: Ident,
        /// The value.
        value: Expr,
    },
    /// `...other`: all fields of another record.
    Spread(Expr),
}

/// An arm of a `match`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// The alternatives; one of them must fit.
    pub patterns: Vec<Pattern>,
    /// The value where it does.
    pub value: Expr,
    /// The whole arm.
    pub span: Span,
}

/// What a value is compared with in a `match`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// What fits.
    pub kind: PatternKind,
    /// Where it stands.
    pub span: Span,
}

/// What fits a pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum PatternKind {
    /// `_`: everything, also what is absent.
    Any,
    /// A literal.
    Literal(Expr),
    /// `400..=499`, `warn..=error`: literals, constants or enum members; without `=` the end is excluded.
    Range {
        /// The first value.
        from: Expr,
        /// The last value, or one past it.
        to: Expr,
        /// Whether the end belongs to it.
        inclusive: bool,
    },
    /// A constant or an enum member.
    Name(QName),
}

/// An operator that compares; the positive forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `==`, negated `!=`
    Eq,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `in`
    In,
    /// `contains`
    Contains,
    /// `starts_with`
    StartsWith,
    /// `ends_with`
    EndsWith,
    /// `matches`
    Matches,
    /// `like`
    Like,
    /// `has`
    Has,
}

impl Comparison {
    /// Returns how the positive form is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::In => "in",
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Matches => "matches",
            Self::Like => "like",
            Self::Has => "has",
        }
    }

    /// Returns how it is written, negated or not.
    pub fn written(self, negated: bool) -> String {
        match (self, negated) {
            (Self::Eq, true) => "!=".to_owned(),
            (op, true) => format!("not {}", op.symbol()),
            (op, false) => op.symbol().to_owned(),
        }
    }
}

/// What `is` asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// Missing, null or a fault.
    Absent,
    /// Not there at all.
    Missing,
    /// JSON null.
    Null,
    /// There, with a value.
    Present,
    /// There, with a value of this type.
    Type(QName),
}

/// An operator that calculates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

impl Arithmetic {
    /// Returns how it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
        }
    }
}
