//! Expressions as ClickHouse SQL: what a search, a dashboard or a scope asks of stored events.
//!
//! Invariant: SQL is made from checked expressions, never from text, and every constant travels as a parameter. A value is NULL exactly where
//! the rules would have it absent; a condition selects exactly the rows for which it would hold in the stream. What cannot be said so is refused by name (E603).

mod call;
mod condition;
mod read;
mod store;
mod text;
mod value;
mod window;

use std::collections::HashMap;

use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, LocalId, Plan},
    span::Span,
};

pub use store::{Column, Rest, Store, Stored, StoredAbsent};
pub use window::window;

/// A piece of SQL with what it needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text, with `{p1:String}` where a parameter goes.
    pub text: String,
    /// The parameters: the first is `p1`.
    pub params: Vec<Param>,
    /// Where stored events answer otherwise than the stream would have (W604).
    pub notes: Vec<Diagnostic>,
}

/// A parameter of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its type in SQL.
    pub ty: &'static str,
    /// Its value, as it is.
    pub value: String,
}

impl Param {
    /// The value as `param_p1=` takes it: tabs, line ends and backslashes escaped.
    pub fn escaped(&self) -> String {
        let mut out = String::with_capacity(self.value.len());
        for c in self.value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\0' => out.push_str("\\0"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                c => out.push(c),
            }
        }
        out
    }
}

/// A condition, to stand behind `WHERE`. The numbers of parameters begin behind `before`.
pub fn condition(
    plan: &Plan,
    expr: ExprId,
    store: &Store,
    before: usize,
) -> Result<Query, Vec<Diagnostic>> {
    let mut writer = Writer::new(plan, store, before);
    let written = writer.condition(expr);
    writer.finish(written.map(|condition| condition.text))
}

/// A value, to stand in a `SELECT`. The numbers of parameters begin behind `before`.
pub fn value(
    plan: &Plan,
    expr: ExprId,
    store: &Store,
    before: usize,
) -> Result<Query, Vec<Diagnostic>> {
    let mut writer = Writer::new(plan, store, before);
    let written = writer.value(expr);
    writer.finish(written.map(|value| value.text))
}

/// What a piece of SQL yields.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Text,
    /// A `DateTime64` or coarser.
    Time,
    /// Nanoseconds as `Int64`.
    Duration,
    /// `IPv6`
    Ip,
    /// The number of a severity.
    Severity,
    List(Box<Self>),
}

/// SQL for a value: NULL where it is absent.
#[derive(Debug, Clone)]
struct Value {
    text: String,
    kind: Kind,
    /// Whether it can be NULL at all.
    nullable: bool,
}

/// Something was refused, and it is said what.
#[derive(Debug, Clone, Copy)]
struct Refused;

/// SQL for a condition: NULL counts as false.
#[derive(Debug, Clone)]
struct Condition {
    text: String,
    nullable: bool,
}

impl Condition {
    fn sure(text: impl Into<String>) -> Self {
        Self { text: text.into(), nullable: false }
    }

    /// The same, never NULL.
    fn two_valued(&self) -> String {
        if self.nullable { format!("ifNull({}, 0)", self.text) } else { self.text.clone() }
    }
}

/// Writes one query.
struct Writer<'p> {
    plan: &'p Plan,
    store: &'p Store,
    before: usize,
    params: Vec<Param>,
    notes: Vec<Diagnostic>,
    refusals: Vec<Diagnostic>,
    /// What lambda parameters and elements stand for.
    locals: HashMap<LocalId, Value>,
    /// What stands in a column of an inner query already.
    fixed: HashMap<ExprId, Value>,
    depth: usize,
}

/// Expressions deeper than this are refused: the server's own limit is 1,000 levels, and most of ours take two or three of its own.
const DEEPEST: usize = 100;

impl<'p> Writer<'p> {
    fn new(plan: &'p Plan, store: &'p Store, before: usize) -> Self {
        Self {
            plan,
            store,
            before,
            params: Vec::new(),
            notes: Vec::new(),
            refusals: Vec::new(),
            locals: HashMap::new(),
            fixed: HashMap::new(),
            depth: 0,
        }
    }

    fn finish(mut self, text: Option<String>) -> Result<Query, Vec<Diagnostic>> {
        match text {
            Some(text) if self.refusals.is_empty() => {
                self.notes.dedup();
                Ok(Query { text, params: self.params, notes: self.notes })
            }
            _ => Err(self.refusals),
        }
    }

    /// Says by name what SQL has no word for.
    fn refuse<T>(&mut self, span: Span, what: impl Into<String>) -> Option<T> {
        self.refusals.push(Diagnostic::new(Code::E603, span, what));
        None
    }

    /// The same, with what to do instead.
    fn refuse_with<T>(&mut self, span: Span, what: impl Into<String>, advice: &str) -> Option<T> {
        self.refusals.push(Diagnostic::new(Code::E603, span, what).advise(advice));
        None
    }

    fn note(&mut self, span: Span, what: impl Into<String>) {
        let note = Diagnostic::new(Code::W604, span, what);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn param(&mut self, ty: &'static str, value: impl Into<String>) -> String {
        let value = value.into();
        let known = self.params.iter().position(|param| param.ty == ty && param.value == value);
        let at = known.unwrap_or_else(|| {
            self.params.push(Param { ty, value });
            self.params.len() - 1
        });
        format!("{{p{}:{ty}}}", self.before + at + 1)
    }

    fn text_param(&mut self, text: &str) -> String {
        self.param("String", text)
    }

    /// Runs one level deeper, unless that is too deep.
    fn deeper<T>(&mut self, span: Span, run: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= DEEPEST {
            return self.refuse(span, "this expression is nested too deeply for SQL");
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }
}
