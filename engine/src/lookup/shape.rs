//! What the rules declare, held against what a back end has.

use std::collections::{BTreeMap, BTreeSet};

use logmon_dsl::{
    diagnostic::{Code, Diagnostic, nearest},
    plan::LookupDecl,
    types::{FieldType, Shape, Type},
};
use serde_json::{Map, Value};

use super::{OpenError, row};

/// Back ends may have a thousand columns; so many of them are told.
const TOLD_MAX: usize = 12;

/// A column of a table, or a member of rows.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// As the back end calls it.
    pub(super) ty: String,
    pub(super) kind: Kind,
}

/// What a column holds, whatever the back end calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Time,
    /// An address or a network.
    Address,
    List(Box<Kind>),
    Object,
    /// Anything: only the values tell.
    Any,
}

/// A declaration bound to a back end: which of its columns each field is.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) decl: LookupDecl,
    /// What the back end calls each field, in the order of the shape.
    pub(super) columns: Vec<String>,
}

impl Kind {
    /// Whether a value of this kind can be one of that type.
    pub(super) fn fits(&self, ty: &Type) -> bool {
        match (ty, self) {
            (_, Self::Any) | (Type::Any, _) => true,
            (Type::Bool, kind) => *kind == Self::Bool,
            (Type::Int, kind) => *kind == Self::Int,
            (Type::Float | Type::Number, kind) => matches!(kind, Self::Int | Self::Float),
            (Type::Text, kind) => !matches!(kind, Self::List(_) | Self::Object),
            (Type::Timestamp, kind) => matches!(kind, Self::Time | Self::Text),
            (Type::Bytes | Type::Duration | Type::Enum(_), kind) => *kind == Self::Text,
            (Type::Severity, kind) => matches!(kind, Self::Text | Self::Int),
            (Type::Ip | Type::Cidr, kind) => matches!(kind, Self::Address | Self::Text),
            (Type::List(of), Self::List(kind)) => kind.fits(of),
            (Type::Map(_) | Type::Record(_), kind) => *kind == Self::Object,
            (Type::List(_) | Type::Regex | Type::Pattern(_) | Type::Glob | Type::Null, _) => false,
        }
    }
}

impl Bound {
    pub(super) fn new(
        decl: &LookupDecl,
        fields: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let known = row::shape(&decl.yields).map_or(&[][..], |shape| &shape.fields);
        let strangers: Vec<Diagnostic> = fields
            .keys()
            .filter(|field| known.iter().all(|known| *known.name != ***field))
            .map(|field| {
                let message = format!(
                    "[lookup.{}] fields names `{field}`, which the rules do not declare",
                    decl.name
                );
                let names: Vec<&str> = known.iter().map(|field| &*field.name).collect();
                Diagnostic::new(Code::E404, decl.span, message)
                    .label("declared here")
                    .note(format!("the rules declare {}", names.join(", ")))
            })
            .collect();
        if !strangers.is_empty() {
            return Err(strangers);
        }
        let column = |field: &FieldType| fields.get(&*field.name).cloned();
        let columns = known
            .iter()
            .map(|field| column(field).unwrap_or_else(|| field.name.to_string()))
            .collect();
        Ok(Self { decl: decl.clone(), columns })
    }

    /// Holds the columns that make a key against the declared parts.
    pub(super) fn check_key(&self, columns: &[String]) -> Result<(), OpenError> {
        let (name, parts) = (&self.decl.name, self.decl.keys.len());
        if columns.len() == parts {
            return Ok(());
        }
        Err(OpenError::Config(format!(
            "[lookup.{name}] key names {} columns, but the rules declare {parts} key parts; separate columns with commas",
            columns.len()
        )))
    }

    /// The declared record, where there is one.
    pub(super) fn shape(&self) -> Option<&Shape> {
        row::shape(&self.decl.yields)
    }

    /// The declared fields, each with its number and what the back end calls it.
    pub(super) fn fields(&self) -> impl Iterator<Item = (usize, &FieldType, &str)> {
        let fields = self.shape().map_or(&[][..], |shape| &shape.fields);
        let named = fields.iter().zip(&self.columns).enumerate();
        named.map(|(number, (field, column))| (number, field, column.as_str()))
    }

    /// Holds the declared fields against columns. `at` names what has them, such as ``the table `users` ``. Optional fields
    /// that are missing are told in the log.
    pub(super) fn check(&self, at: &str, has: &[Column]) -> Result<(), Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        for (number, field, column) in self.fields() {
            match has.iter().find(|has| has.name == column) {
                Some(has) if has.kind.fits(&field.ty.base) => {}
                Some(found) => {
                    let message = format!(
                        "the column `{column}` of {at} is `{}`, the rules declare `{}`",
                        found.ty, field.ty
                    );
                    wrong.push(self.wrong(number, &message, &told(has)));
                }
                None if field.ty.optional => {
                    tracing::warn!(
                        lookup = &*self.decl.name,
                        column,
                        "{at} has no such column: the field is always absent"
                    );
                }
                None => {
                    let known = has.iter().map(|has| has.name.as_str());
                    let mut diagnostic =
                        self.wrong(number, &format!("{at} has no column `{column}`"), &told(has));
                    if let Some(near) = nearest(column, known) {
                        diagnostic = diagnostic.advise(format!(
                            "did you mean `{near}`? Say so: `[lookup.{}.fields] {} = \"{near}\"`",
                            self.decl.name, field.name
                        ));
                    }
                    wrong.push(diagnostic);
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Holds the declared fields against rows that are there, where nothing else tells what there is. None is no proof.
    pub(super) fn check_rows(
        &self,
        at: &str,
        rows: &[Map<String, Value>],
    ) -> Result<(), Vec<Diagnostic>> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut wrong = Vec::new();
        for (number, field, column) in self.fields() {
            let seen: Vec<&Value> =
                rows.iter().filter_map(|row| row::at_path(row, column)).collect();
            let message = if seen.is_empty() {
                if field.ty.optional {
                    continue;
                }
                format!("{at} has no member `{column}`")
            } else if seen.iter().all(|value| row::fit(value, &field.ty.base).is_none()) {
                format!("{at} has {} in `{column}`", what(seen[0]))
            } else {
                continue;
            };
            wrong.push(self.wrong(number, &message, &members(rows)));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// A mistake about one declared field, drawn where it is declared.
    pub(super) fn wrong(&self, number: usize, message: &str, has: &str) -> Diagnostic {
        let at = self.decl.fields.get(number).copied().unwrap_or(self.decl.span);
        let field = self.shape().and_then(|shape| shape.fields.get(number));
        let label =
            field.map_or("declared here".to_owned(), |field| format!("declared as `{}`", field.ty));
        let message = format!("[lookup.{}] {message}", self.decl.name);
        let diagnostic = Diagnostic::new(Code::E404, at, message).label(label);
        if has.is_empty() { diagnostic } else { diagnostic.note(format!("it has {has}")) }
    }

    /// A mistake about the lookup as a whole.
    pub(super) fn wrong_whole(&self, message: &str) -> Diagnostic {
        Diagnostic::new(
            Code::E404,
            self.decl.span,
            format!("[lookup.{}] {message}", self.decl.name),
        )
        .label(format!("yields `{}`", self.decl.yields))
    }
}

/// Columns as a person reads them.
fn told(has: &[Column]) -> String {
    list(has.iter().map(|has| format!("{} {}", has.name, has.ty)))
}

/// The first of many, and how many more there are.
pub(super) fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(TOLD_MAX);
    let mut text = items.take(TOLD_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// Names of members in some rows.
pub(super) fn members(rows: &[Map<String, Value>]) -> String {
    let names: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    list(names.into_iter().map(str::to_owned).collect::<Vec<_>>().into_iter())
}

/// A value of JSON as a person calls it.
pub(super) fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What several mistakes say, in one line.
pub(super) fn messages(wrong: &[Diagnostic]) -> String {
    wrong.iter().map(|wrong| wrong.message.as_str()).collect::<Vec<_>>().join("; ")
}
