//! E401 and W402: what a route sends, against the columns of the sink's table.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Checker,
    event::{Known, look},
    path::dotted,
};
use crate::{
    diagnostic::{Code, Diagnostic},
    plan::{ExprId, SinkId, SinkType},
    program::SinkSettings,
    schema::{Column, Table},
    span::Span,
    types::{Shape, Type},
};

/// Columns that the engine fills itself.
const OWN: &[&str] = &[
    "kafka_topic",
    "kafka_partition",
    "kafka_offset",
    "emit_ix",
    "attempt",
    "incarnation",
    "observed_at",
    "ingested_at",
    "source",
];

/// What every row of a window has, whether the table wants it or not.
const BOUNDS: &[&str] = &["window_start", "window_end", "timestamp"];

/// What a route sends.
pub(super) struct Sent<'s> {
    /// The event as it may be there, source by source, or the row.
    pub(super) shapes: &'s [Arc<Shape>],
    /// What the route sets in the copy.
    pub(super) set: &'s [(Vec<Arc<str>>, ExprId)],
    /// Whether a window sends it.
    pub(super) is_row: bool,
}

impl Checker<'_> {
    /// Compares what a route sends with the table that it goes to.
    pub(super) fn fits_table(&mut self, sink: SinkId, at: Span, sent: &Sent<'_>) {
        let decl = &self.world.sinks[sink.0 as usize];
        let SinkType::Table(declared) = &decl.ty else { return };
        let (name, sink_at) = (decl.name.clone(), decl.span);
        let Some(file) = self.lock.clone() else { return };
        let settings = self.sinks.get(&*name).cloned().unwrap_or_default();
        let table = settings.table.as_deref().unwrap_or(declared);
        let Some(table) = file.lock.table(table) else {
            let message = format!("the table `{table}` is not in {}", crate::schema::FILE);
            self.report(
                Diagnostic::new(Code::W402, sink_at, message)
                    .advise("`logmon-engine schema pull` reads it from the server"),
            );
            return;
        };
        let mut misfits = BTreeSet::new();
        let mut lost = BTreeSet::new();
        for shape in sent.shapes {
            misfit(table, &settings, shape, sent.set, &mut misfits);
            let rest = settings.rest.clone().or_else(|| {
                let own = table.column("attributes")?;
                (own.ty.starts_with("Map(") || own.ty.starts_with("JSON")).then(|| own.name.clone())
            });
            if rest.is_none() {
                leaves(shape, &mut Vec::new(), &mut |keys| {
                    let is_bound = sent.is_row && keys.len() == 1 && BOUNDS.contains(&&*keys[0]);
                    if !is_taken(table, &settings, keys) && !self.is_removed(keys) && !is_bound {
                        lost.insert(dotted(keys));
                    }
                });
            }
        }
        let mut misfits = misfits.into_iter();
        if let Some(first) = misfits.next() {
            let mut diagnostic = Diagnostic::new(Code::E401, at, first)
                .label(format!("goes into the table `{}`", table.name))
                .related(sink_at, "declared here");
            for other in misfits {
                diagnostic = diagnostic.note(other);
            }
            self.report(diagnostic.advise(format!(
                "give the field another type or a default before the route, change the column, or set `[sink.{name}] on_absent = \"default\"` where only absent values are the matter"
            )));
        }
        if !lost.is_empty() {
            let paths: Vec<String> = lost.iter().map(|path| format!("`{path}`")).collect();
            let message = match paths.len() {
                1 => "one field of this event reaches no column".to_owned(),
                n => format!("{n} fields of this event reach no column"),
            };
            self.report(
                Diagnostic::new(Code::W402, at, message)
                    .label(format!("the table `{}` has no column for the rest", table.name))
                    .note(paths.join(", "))
                    .advise("add the columns, or a `Map(String, String)` called `attributes`"),
            );
        }
    }
}

impl Checker<'_> {
    /// Whether some rule removes the path or something that it belongs to: nobody misses it.
    fn is_removed(&self, keys: &[Arc<str>]) -> bool {
        (0..=keys.len()).any(|end| {
            let node = self.build.layout.find(&keys[..end]);
            node.is_some_and(|node| self.removed.contains(&node))
        })
    }
}

/// What does not fit, a sentence each.
fn misfit(
    table: &Table,
    settings: &SinkSettings,
    shape: &Shape,
    set: &[(Vec<Arc<str>>, ExprId)],
    found: &mut BTreeSet<String>,
) {
    for column in &table.columns {
        // The checker knows what a route sets itself; the sink takes it or leaves it.
        if set.iter().any(|(keys, _)| keys.last().is_some_and(|key| **key == *column.name)) {
            continue;
        }
        let (keys, known) = value_of(column, settings, shape);
        let name = &column.name;
        let needed = settings.absent_is_error && !column.is_nullable() && column.default.is_none();
        let Some((ty, optional)) = known else {
            if needed && !shape.open && !OWN.contains(&name.as_str()) {
                found.insert(format!(
                    "nothing fills the column `{name}`, which is `{}` without a default",
                    column.ty
                ));
            }
            continue;
        };
        let path = dotted(&keys);
        if let Some(why) = column.refuses(&ty) {
            found.insert(format!("`{path}` does not fit the column `{name}`: {why}"));
        } else if ty == Type::Severity {
            let missing = column.missing_severities();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                found.insert(format!(
                    "the column `{name}` is `{}`, which has no {missing}",
                    column.ty
                ));
            }
        }
        if needed && ty == Type::Int && column.is_narrower_than_int() {
            found.insert(format!(
                "the column `{name}` is `{}`, and `{path}` may lie outside of it: it would be absent then",
                column.ty
            ));
        }
        if optional && needed {
            found.insert(format!(
                "the column `{name}` is `{}`, but `{path}` may be absent",
                column.ty
            ));
        }
    }
}

/// The path that feeds a column, and what is known of it.
fn value_of(
    column: &Column,
    settings: &SinkSettings,
    shape: &Shape,
) -> (Vec<Arc<str>>, Option<(Type, bool)>) {
    let mapped = settings.columns.iter().find(|(name, _)| *name == column.name);
    let candidates: Vec<Vec<Arc<str>>> = if let Some((_, path)) = mapped {
        vec![path.trim_start_matches('.').split('.').map(Into::into).collect()]
    } else {
        let name = &column.name;
        let mut all = vec![vec![name.as_str().into()]];
        all.extend(name.contains('.').then(|| name.split('.').map(Into::into).collect()));
        // `http_status` takes `.http.status`: each underscore may be the dot.
        all.extend(
            name.match_indices('_').map(|(at, _)| vec![name[..at].into(), name[at + 1..].into()]),
        );
        all
    };
    for keys in candidates {
        if let Known::Typed { ty, .. } = look(shape, &keys) {
            return (keys, Some((ty.base, ty.optional)));
        }
    }
    (Vec::new(), None)
}

/// Visits every declared field that holds a value of its own.
fn leaves(shape: &Shape, keys: &mut Vec<Arc<str>>, visit: &mut dyn FnMut(&[Arc<str>])) {
    const DEPTH_MAX: usize = 16;
    for field in &shape.fields {
        keys.push(field.name.clone());
        match &field.ty.base {
            Type::Record(inner) if keys.len() < DEPTH_MAX => leaves(inner, keys, visit),
            _ => visit(keys),
        }
        keys.pop();
    }
}

/// Whether some column takes the path, or something that it belongs to.
fn is_taken(table: &Table, settings: &SinkSettings, keys: &[Arc<str>]) -> bool {
    let path = dotted(keys);
    settings.columns.iter().any(|(_, mapped)| *mapped == path)
        || (1..=keys.len()).any(|end| {
            let parts: Vec<&str> = keys[..end].iter().map(|key| &**key).collect();
            table.column(&parts.join(".")).is_some() || table.column(&parts.join("_")).is_some()
        })
}
