//! The function library: one entry a function, one list a family.
//!
//! Invariant: no kernel panics, whatever a row holds, and none yields NaN.

mod access;
mod binary;
mod columns;
pub mod conversion;
pub(crate) mod csv;
mod dates;
mod detect;
mod documents;
pub mod encoding;
mod entries;
pub mod event;
mod flows;
mod formats;
mod fragments;
pub mod grok;
pub mod hashing;
mod identity;
mod items;
pub(crate) mod keyring;
mod lambdas;
pub mod lists;
pub mod maps;
mod measures;
mod needles;
pub mod network;
pub mod numbers;
pub mod parsing;
pub mod pattern;
pub mod patterns;
pub mod privacy;
pub mod read;
mod recase;
mod records;
mod redact;
pub mod regex;
mod show;
mod signature;
mod stacktrace;
pub mod strings;
mod strptime;
mod syslog;
pub mod time;
pub mod twin;
mod urls;
mod user_agent;
mod xml;
mod yaml;

pub use grok::Grok;
pub use pattern::{Glob, Pattern};
pub use regex::Regex;
pub use strptime::wrong_format;
pub use twin::{Nulls, Sql, Twin, When};

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock},
};

use crate::{
    column::{Column, Mask, Value},
    eval::{CallContext, RowContext},
    plan::Secret,
    types::{Ty, Type},
};

/// Every family's list, in the order of the reference.
const FAMILIES: &[&[Function]] = &[
    conversion::FUNCTIONS,
    strings::FUNCTIONS,
    measures::FUNCTIONS,
    patterns::FUNCTIONS,
    parsing::FUNCTIONS,
    fragments::FUNCTIONS,
    formats::FUNCTIONS,
    encoding::FUNCTIONS,
    binary::FUNCTIONS,
    hashing::FUNCTIONS,
    identity::FUNCTIONS,
    privacy::FUNCTIONS,
    network::FUNCTIONS,
    flows::FUNCTIONS,
    time::FUNCTIONS,
    numbers::FUNCTIONS,
    lists::FUNCTIONS,
    maps::FUNCTIONS,
    entries::FUNCTIONS,
    event::FUNCTIONS,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> =
    LazyLock::new(|| all().map(|function| (function.name, function)).collect());

/// Every function, family by family.
pub fn all() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().copied().flatten()
}

/// The function of that name.
pub fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).copied()
}

/// One function of the language.
pub struct Function {
    /// The name that rules call.
    pub name: &'static str,
    /// Chapter of the reference it stands in.
    pub family: Family,
    /// Parameters in order.
    pub params: &'static [Param],
    /// The type of the result for these argument types (`None` where an argument was left out); absence of an argument is added by the checker.
    pub returns: fn(&[Option<Ty>]) -> Ty,
    /// One sentence.
    pub doc: &'static str,
    /// Expressions and what they give, as `eval` prints it; each runs as a test.
    pub examples: &'static [(&'static str, &'static str)],
    /// What computes it.
    pub kernel: Kernel,
    /// What it is in ClickHouse SQL.
    pub sql: Sql,
    /// What it gets behind its arguments without being asked for it.
    pub given: Given,
}

/// What a function gets of the place where it is called, as its last argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Nothing.
    Nothing,
    /// A field of the event, absent where the event's type has none.
    Field(&'static str),
    /// The name of the rule.
    Rule,
}

impl Function {
    /// A function that is nothing in SQL and gets its arguments only.
    const fn new(
        name: &'static str,
        family: Family,
        params: &'static [Param],
        returns: fn(&[Option<Ty>]) -> Ty,
        doc: &'static str,
        examples: &'static [(&'static str, &'static str)],
        kernel: Kernel,
    ) -> Self {
        let sql = Sql::None(twin::STORED);
        Self { name, family, params, returns, doc, examples, kernel, sql, given: Given::Nothing }
    }
}

impl PartialEq for Function {
    /// Functions are entries of one table: the name says which.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Chapters of the function reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Conversion and presence.
    Conversion,
    /// Strings.
    Strings,
    /// Regexes and patterns.
    Patterns,
    /// Parsing.
    Parsing,
    /// Encoding.
    Encoding,
    /// Hashing and identity.
    Hashing,
    /// Privacy.
    Privacy,
    /// Network.
    Network,
    /// Time.
    Time,
    /// Numbers.
    Numbers,
    /// Lists.
    Lists,
    /// Maps.
    Maps,
    /// The event itself.
    Event,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name, for named arguments and messages.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it takes all remaining positional arguments (the last one only).
    pub rest: bool,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// Any value, of any type.
    Any,
    /// A value of that type; `any` is narrowed to it.
    Type(fn() -> Type),
    /// `int` or `float`; `any` is narrowed to a number.
    Number,
    /// Any list; `any` is narrowed.
    List,
    /// Any map or record; `any` is narrowed.
    Map,
    /// Text, list or map (`reverse`).
    Sized,
    /// Text, bytes, list or map (`len`).
    Countable,
    /// Text or bytes; `any` is narrowed to text.
    TextOrBytes,
    /// A list of strptime formats; those that are known when the rules are loaded are tried out.
    Formats,
    /// One of these bare names.
    Choice(&'static [&'static str]),
    /// A regex literal.
    Regex,
    /// Text or a regex literal.
    TextOrRegex,
    /// A list of regex literals and built-in detector names.
    Detectors(&'static [&'static str]),
    /// A `pat"…"` literal.
    Pattern,
    /// A `grok"…"` literal.
    Grok,
    /// `secret("…")`, which is no value elsewhere.
    Secret,
    /// A lambda whose parameters have these types, given the types of the arguments before it.
    Lambda(fn(&[Option<Ty>]) -> Vec<Ty>),
    /// Text or a lambda from text to text.
    TextOrLambda,
}

/// What a row kernel sees of one argument.
#[derive(Debug, Clone)]
pub enum RowArg<'a> {
    /// A value.
    Value(Value<'a>),
    /// A bare name.
    Choice(&'a str),
    /// A regex.
    Regex(&'a Regex),
    /// A pattern.
    Pattern(&'a Pattern),
    /// A secret.
    Secret(&'a Secret),
    /// Left out.
    None,
}

/// What computes a function.
#[derive(Clone, Copy)]
pub enum Kernel {
    /// Row by row. Absent value arguments never reach it: the result is then absent with the first cause.
    Rows(for<'a> fn(&[RowArg<'a>], &RowContext<'a>) -> Value<'a>),
    /// Row by row, absent arguments included (`coalesce`, `is_empty`, `type_of`, `fault`).
    RowsWithAbsent(for<'a> fn(&[RowArg<'a>], &RowContext<'a>) -> Value<'a>),
    /// A whole batch at once, for the rows of the mask. Result rows outside the mask mean nothing.
    Columns(fn(&mut CallContext<'_, '_>, &Mask) -> Arc<Column>),
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rows(_) => "Rows",
            Self::RowsWithAbsent(_) => "RowsWithAbsent",
            Self::Columns(_) => "Columns",
        })
    }
}
