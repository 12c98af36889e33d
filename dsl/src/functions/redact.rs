//! `redact`: finds secrets in text and in the texts of lists and maps, and writes something else in their place.
//!
//! Invariant: keys, numbers and all text without a match keep their bytes. A replacement that cannot be computed is
//! the default one: a secret never stays because of a fault.

use std::{borrow::Cow, ops::Range, sync::Arc};

use super::{
    detect::{Builtin, builtin},
    items,
    patterns::spliced,
    regex::Regex,
};
use crate::{
    column::{Absence, Arena, Column, Kind, Mask, Value, View, blend, blend::Builder, json, print},
    eval::CallContext,
    plan::Detector,
    types::Type,
};

const REPLACEMENT: &str = "[redacted]";

enum Finder {
    Regex(Arc<Regex>),
    Builtin(&'static Builtin),
}

/// The secrets of one text: where it stands in its row (a JSON string's inside), and where they stand in it.
struct Hit {
    place: Range<usize>,
    secrets: Vec<Range<usize>>,
}

/// What computes `redact`.
pub(super) fn kernel(context: &mut CallContext<'_, '_>, mask: &Mask) -> Arc<Column> {
    let rows = context.rows();
    let finders: Vec<Finder> = context
        .detectors(1)
        .unwrap_or_default()
        .iter()
        .filter_map(|detector| match detector {
            Detector::Regex(regex) => Some(Finder::Regex(regex.clone())),
            Detector::Builtin(name) => builtin(name).map(Finder::Builtin),
        })
        .collect();
    let Some(column) = context.value(0) else { return Arc::new(Column::missing(rows)) };
    let hits: Vec<Vec<Hit>> = (0..rows)
        .map(|row| match mask.has(row).then(|| print::value(&context.batch.arena, &column, row)) {
            Some(Value::Text(text)) => {
                let secrets = secrets(&finders, &text);
                let place = 0..text.len();
                if secrets.is_empty() { Vec::new() } else { vec![Hit { place, secrets }] }
            }
            Some(Value::Json(raw)) => hits_in_json(&finders, &raw),
            _ => Vec::new(),
        })
        .collect();
    if hits.iter().all(Vec::is_empty) && !matches!(&*column, Column::Record(_)) {
        return column;
    }
    let with = if context.is_lambda(2) {
        Some(replacements(context, &column, &hits))
    } else {
        context.value(2)
    };
    let by_lambda = context.is_lambda(2);
    if let Column::Text(views) = &*column {
        return Arc::new(Column::Text(clean_texts(context, views, &hits, with.as_deref())));
    }
    let mut next = 0;
    let mut builder = Builder::new(&context.batch.arena, &Type::Any, rows);
    let arena = &context.batch.arena;
    for (row, hits) in hits.iter().enumerate() {
        let value = print::value(arena, &column, row);
        let mut replacement = |out: &mut String| {
            let at = if by_lambda { next } else { row };
            next += 1;
            match with.as_ref().map(|with| print::value(arena, with, at)) {
                Some(Value::Text(text)) => out.push_str(&text),
                _ => out.push_str(REPLACEMENT),
            }
        };
        let value = match &value {
            Value::Text(text) if !hits.is_empty() => {
                Value::owned(spliced(text, &hits[0].secrets, |out, _| replacement(out)))
            }
            Value::Json(raw) if !hits.is_empty() => {
                let places: Vec<Range<usize>> = hits.iter().map(|hit| hit.place.clone()).collect();
                let mut hits = hits.iter();
                Value::Json(Cow::Owned(spliced(raw, &places, |out, place| {
                    let inside = items::unescape(raw.get(place.clone()).unwrap_or(""));
                    let secrets = hits.next().map_or(&[][..], |hit| &hit.secrets);
                    let clean = spliced(&inside, secrets, |out, _| replacement(out));
                    // Without its quotes, which stay where they are.
                    let mut quoted = String::new();
                    items::write_text(&mut quoted, &clean);
                    out.push_str(&quoted[1..quoted.len() - 1]);
                })))
            }
            _ => value,
        };
        builder.push(arena, value);
    }
    let column = Arc::new(builder.finish(&mut context.batch.arena));
    // Typed columns (numbers, addresses) had nothing to hide and keep their type.
    blend::narrow(&mut context.batch.arena, &column, &context.ty.base)
}

/// Texts without their secrets. Only rows that have some are looked at.
fn clean_texts(
    context: &mut CallContext<'_, '_>,
    views: &[View],
    hits: &[Vec<Hit>],
    with: Option<&Column>,
) -> Vec<View> {
    let by_lambda = context.is_lambda(2);
    let arena = &mut context.batch.arena;
    let mut clean = views.to_vec();
    let mut next = 0;
    for (row, hits) in hits.iter().enumerate().filter(|(_, hits)| !hits.is_empty()) {
        let text = match print::view_value(arena, views[row]) {
            Value::Text(text) => spliced(&text, &hits[0].secrets, |out, _| {
                let at = if by_lambda { next } else { row };
                next += 1;
                match with.map(|with| print::value(arena, with, at)) {
                    Some(Value::Text(text)) => out.push_str(&text),
                    _ => out.push_str(REPLACEMENT),
                }
            }),
            // Only texts have hits here.
            _ => continue,
        };
        clean[row] = blend::store(arena, Kind::Text, text.as_bytes());
    }
    clean
}

/// Where the secrets of a text are, ascending; those that overlap are one.
fn secrets(finders: &[Finder], text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut add = |range: Range<usize>| {
        if !range.is_empty() && text.get(range.clone()).is_some() {
            found.push(range);
        }
    };
    for finder in finders {
        match finder {
            Finder::Regex(regex) => regex.secrets(text, &mut add),
            Finder::Builtin(builtin) => builtin.find(text, &mut add),
        }
    }
    found.sort_by_key(|range| (range.start, range.end));
    found.dedup_by(|next, before| {
        let overlap = next.start < before.end;
        if overlap {
            before.end = before.end.max(next.end);
        }
        overlap
    });
    found
}

/// The secrets in the texts of a list or map; keys are passed over.
fn hits_in_json(finders: &[Finder], raw: &str) -> Vec<Hit> {
    let bytes = raw.as_bytes();
    let mut hits = Vec::new();
    let mut at = 0;
    while let Some(quote) = bytes.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
        let start = at + quote + 1;
        let (end, escaped) = json::string_end(bytes, start);
        at = end + 1;
        if bytes.get(json::skip_space(bytes, at)) == Some(&b':') {
            continue;
        }
        let Some(inside) = raw.get(start..end) else { break };
        let secrets = if escaped {
            self::secrets(finders, &items::unescape(inside))
        } else {
            self::secrets(finders, inside)
        };
        if !secrets.is_empty() {
            hits.push(Hit { place: start..end, secrets });
        }
    }
    hits
}

/// What the lambda writes for every secret of the batch, in order.
fn replacements(
    context: &mut CallContext<'_, '_>,
    column: &Column,
    hits: &[Vec<Hit>],
) -> Arc<Column> {
    let mut parents = Vec::new();
    let arena: &Arena = &context.batch.arena;
    let mut found = Builder::new(arena, &Type::Text, hits.len());
    for (row, hits) in hits.iter().enumerate() {
        let value = print::value(arena, column, row);
        for hit in hits {
            let text: Cow<'_, str> = match &value {
                Value::Text(text) => Cow::Borrowed(text),
                Value::Json(raw) => items::unescape(raw.get(hit.place.clone()).unwrap_or("")),
                _ => Cow::Borrowed(""),
            };
            for secret in &hit.secrets {
                match text.get(secret.clone()) {
                    Some(secret) => found.push(arena, Value::text(secret)),
                    None => found.push_absent(arena, Absence::Missing),
                }
                parents.push(row as u32);
            }
        }
    }
    let found = Arc::new(found.finish(&mut context.batch.arena));
    if parents.is_empty() {
        return found;
    }
    context.lambda(2, vec![found], &parents)
}
