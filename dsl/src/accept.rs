//! What tests saw, written into their text as what they expect from now on.

use crate::{
    program::Analysis,
    span::Span,
    syntax::ast::{self, Comparison, Expr, ExprKind, Item, StepKind, Tag},
    test_block::{Failure, Observed},
};

/// A replacement of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub at: Span,
    /// By what.
    pub text: String,
}

/// The edit after which this expectation is met; nothing where only a person can say what is meant.
pub fn accept(analysis: &Analysis, failure: &Failure) -> Option<Edit> {
    let step = steps(analysis).find(|step| covers(step.span, failure.at))?;
    let StepKind::Expect(expectation) = &step.kind else { return None };
    match (failure.observed.as_ref()?, expectation) {
        (Observed::Count(count), ast::Expectation::Holds(e)) => {
            let ExprKind::Compare { op: Comparison::Eq, negated: false, right, .. } = &e.kind
            else {
                return None;
            };
            Some(Edit { at: right.span, text: count.to_string() })
        }
        (Observed::Fate(fate), ast::Expectation::Fate { body, .. }) => {
            // Conditions on an event of another fate would have to be looked at one by one.
            body.is_empty().then(|| Edit { at: step.span, text: format!("expect {fate}") })
        }
        (Observed::Value(at, found), ast::Expectation::Fate { body, .. }) => {
            body.iter().find_map(|e| value(e, *at, found.as_deref(), analysis))
        }
        _ => None,
    }
}

/// Texts with edits carried out: each file that changes, by its path.
pub fn edited(analysis: &Analysis, mut edits: Vec<Edit>) -> Vec<(String, String)> {
    edits.sort_by_key(|edit| (edit.at.file, edit.at.start));
    edits.dedup_by_key(|edit| edit.at);
    let mut out = Vec::new();
    for (file, source) in analysis.loaded.sources.iter() {
        let mut text = source.text.to_string();
        // From behind, so that places stay what they are.
        let mut changed = false;
        for edit in edits.iter().rev().filter(|edit| edit.at.file == file) {
            text.replace_range(edit.at.range(), &edit.text);
            changed = true;
        }
        if changed {
            out.push((source.path.clone(), text));
        }
    }
    out
}

fn steps(analysis: &Analysis) -> impl Iterator<Item = &ast::Step> {
    let items = analysis.loaded.units.iter().flat_map(|unit| &unit.ast.items);
    items
        .filter_map(|item| match item {
            Item::Test(test) => Some(&test.steps),
            _ => None,
        })
        .flatten()
}

fn covers(outer: Span, inner: Span) -> bool {
    outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
}

/// The comparison at a place with what was found on its right side.
fn value(e: &Expr, at: Span, found: Option<&str>, analysis: &Analysis) -> Option<Edit> {
    if !covers(e.span, at) {
        return None;
    }
    match &e.kind {
        ExprKind::And(parts) => parts.iter().find_map(|part| value(part, at, found, analysis)),
        ExprKind::Compare { op: Comparison::Eq, negated: false, left, right, .. } => {
            let Some(found) = found else {
                let left = analysis.loaded.sources.text(left.span);
                return Some(Edit { at: e.span, text: format!("{left} is absent") });
            };
            Some(Edit { at: right.span, text: literal(right, found)? })
        }
        _ => None,
    }
}

/// JSON as a literal of the kind that stands there.
fn literal(right: &Expr, found: &str) -> Option<String> {
    let inner = found.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match (&right.kind, inner) {
        (ExprKind::Tagged { tag: Tag::Timestamp, .. }, Some(inner)) => {
            Some(format!("t\"{inner}\""))
        }
        (ExprKind::Tagged { tag: Tag::Ip, .. }, Some(inner)) => Some(format!("ip\"{inner}\"")),
        (ExprKind::Tagged { tag: Tag::Cidr, .. }, Some(inner)) => Some(format!("cidr\"{inner}\"")),
        // A severity's name, and a duration as rules write it.
        (ExprKind::Name(_) | ExprKind::Duration(_), Some(inner)) => Some(inner.to_owned()),
        (ExprKind::Text { fold: false, .. }, Some(_)) => text(found),
        (
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::Null
            | ExprKind::Text { fold: false, .. },
            None,
        ) if !found.starts_with(['{', '[']) => Some(found.to_owned()),
        (ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Null, Some(_)) => {
            text(found)
        }
        _ => None,
    }
}

/// A JSON string as a text of the language.
fn text(json: &str) -> Option<String> {
    let value: String = serde_json::from_str(json).ok()?;
    let mut out = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if other.is_control() => out.extend(other.escape_unicode()),
            other => out.push(other),
        }
    }
    out.push('"');
    Some(out)
}
