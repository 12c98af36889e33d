//! Events out of columns: as JSON for a person or a topic, and as typed columns for a sink.

use std::sync::Arc;

use super::{
    Routed,
    fields::{self, Own},
};
use crate::{
    column::{
        Arena, Batch, Column, Layout, Mask, Names, NodeId, Rest, View, batch::Field,
        batch::Snapshot, blend, decode, json, print,
    },
    plan::{Plan, SinkType},
    types::Type,
};

/// The fields of a batch at one moment, ready to be written as JSON.
pub(super) struct Event<'a> {
    layout: &'a Layout,
    names: &'a Names,
    arena: &'a Arena,
    rest: &'a Rest,
    fields: &'a [Field],
    gone: &'a [Option<Arc<Mask>>],
}

impl<'a> Event<'a> {
    /// The batch as it is now.
    pub(super) fn now(plan: &'a Plan, batch: &'a Batch, names: &'a Names) -> Self {
        Self {
            layout: &plan.layout,
            names,
            arena: &batch.arena,
            rest: &batch.rest,
            fields: &batch.fields,
            gone: &batch.rest_gone,
        }
    }

    /// Appends the record at a node: its own text, known members that came with it, attributes, then what rules added.
    ///
    /// Recurses along known paths and attribute names, which no deeper event can make longer.
    pub(super) fn object(&self, out: &mut Vec<u8>, node: NodeId, row: usize) {
        out.push(b'{');
        let start = out.len();
        if let Own::Record(view) = fields::own(&self.fields[node.index()], row) {
            let text = self.arena.get(view);
            for member in json::members(text) {
                separate(out, start);
                out.extend_from_slice(&text[member.key.start - 1..member.value.end]);
            }
        }
        self.children(out, start, (node, row), true);
        let gone = self.gone[node.index()].as_ref().is_some_and(|gone| gone.has(row));
        if !gone && row < self.rest.ends.len() {
            let entries: Vec<(&[Box<str>], View)> = self
                .rest
                .of(row)
                .iter()
                .map(|&(name, view)| (self.names.get(name), view))
                .filter(|(name, _)| name.anchor == node)
                .map(|(name, view)| (&*name.keys, view))
                .collect();
            self.attributes(out, start, &entries);
        }
        self.children(out, start, (node, row), false);
        out.push(b'}');
    }

    /// Appends members below a node: those that came with the event, or those that rules added.
    fn children(&self, out: &mut Vec<u8>, start: usize, (node, row): (NodeId, usize), came: bool) {
        for &child in &self.layout.node(node).children {
            let raw = &self.fields[child.index()].raw;
            if raw.as_ref().is_some_and(|raw| raw[row] != View::MISSING) != came {
                continue;
            }
            let before = out.len();
            separate(out, start);
            json::write_string(out, self.layout.node(child).key.as_bytes());
            out.push(b':');
            if !self.value(out, child, row) {
                out.truncate(before);
            }
        }
    }

    /// Appends the value at a node; `false` if there is none.
    fn value(&self, out: &mut Vec<u8>, node: NodeId, row: usize) -> bool {
        let field = &self.fields[node.index()];
        if self.layout.node(node).is_interior() {
            match fields::own(field, row) {
                Own::Record(_) => self.object(out, node, row),
                Own::Other(View::MISSING) => return false,
                Own::Other(view) => print::view(out, self.arena, view),
            }
            return true;
        }
        if let (Some(written), Some(column)) = (&field.written, &field.column)
            && written.has(row)
        {
            let missing = column.absence(row) == Some(crate::column::Absence::Missing);
            if !missing {
                print::cell(out, self.arena, column, row);
            }
            return !missing;
        }
        match field.raw.as_ref().map(|raw| raw[row]) {
            None | Some(View::MISSING) => false,
            Some(view) => {
                print::view(out, self.arena, view);
                true
            }
        }
    }

    /// Appends attributes nested again: those that share a key stand next to each other.
    fn attributes(&self, out: &mut Vec<u8>, start: usize, entries: &[(&[Box<str>], View)]) {
        let mut left = entries;
        while let Some(((key, below), view)) =
            left.first().and_then(|(keys, view)| Some((keys.split_first()?, *view)))
        {
            separate(out, start);
            json::write_string(out, key.as_bytes());
            out.push(b':');
            if below.is_empty() {
                print::view(out, self.arena, view);
                left = &left[1..];
                continue;
            }
            let same = |keys: &[Box<str>]| keys.len() > 1 && keys[0] == *key;
            let run = left.iter().take_while(|(keys, _)| same(keys)).count();
            let (inner, rest) = left.split_at(run);
            let inner: Vec<_> = inner.iter().map(|(keys, view)| (&keys[1..], *view)).collect();
            out.push(b'{');
            let start = out.len();
            self.attributes(out, start, &inner);
            out.push(b'}');
            left = rest;
        }
    }
}

fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b',');
    }
}

/// Appends one event as JSON, as it was when the snapshot was taken.
///
/// `args` are fields of this copy alone: path and column. Parameters of the sink are the caller's to leave out.
pub fn print_event(
    out: &mut Vec<u8>,
    batch: &Batch,
    layout: &Layout,
    names: &Names,
    snapshot: &Snapshot,
    row: usize,
    args: &[(Vec<Arc<str>>, Arc<Column>)],
) {
    let event = Event {
        layout,
        names,
        arena: &batch.arena,
        rest: &batch.rest,
        fields: &snapshot.fields,
        gone: &snapshot.rest_gone,
    };
    if args.is_empty() {
        event.object(out, NodeId::ROOT, row);
        return;
    }
    let mut text = Vec::new();
    event.object(&mut text, NodeId::ROOT, row);
    for (path, column) in args {
        if column.absence(row).is_some() {
            continue;
        }
        let mut value = Vec::new();
        print::cell(&mut value, &batch.arena, column, row);
        for depth in (0..path.len()).rev() {
            let mut wrapped = vec![b'{'];
            json::write_string(&mut wrapped, path[depth].as_bytes());
            wrapped.push(b':');
            // What stands beside the path stays: merge into the record that is there.
            let inner = descend(&text, &path[..=depth]);
            match inner {
                Some(there) if depth + 1 < path.len() && there.starts_with(b"{") => {
                    fields::merge_text(&mut wrapped, there, &value);
                }
                _ => wrapped.extend_from_slice(&value),
            }
            wrapped.push(b'}');
            value = wrapped;
        }
        let mut merged = Vec::new();
        fields::merge_text(&mut merged, &text, &value);
        text = merged;
    }
    out.extend_from_slice(&text);
}

/// Appends what one route sends of one row: the event as it was then with the route's extra fields, without the sink's own
/// parameters; of a closed sink only its declared fields.
pub fn print_routed(
    out: &mut Vec<u8>,
    batch: &Batch,
    plan: &Plan,
    names: &Names,
    routed: &Routed,
    row: usize,
) {
    let sink = &plan.sinks[routed.sink.0 as usize];
    let is_parameter =
        |path: &[Arc<str>]| path.len() == 1 && sink.with.iter().any(|(name, _)| *name == path[0]);
    let fields: Vec<(Vec<Arc<str>>, Arc<Column>)> =
        routed.args.iter().filter(|(path, _)| !is_parameter(path)).cloned().collect();
    let closed = match &sink.ty {
        SinkType::Record(shape) if !shape.open => Some(shape),
        SinkType::Record(_) | SinkType::Table(_) => None,
    };
    let Some(shape) = closed else {
        return print_event(out, batch, &plan.layout, names, &routed.snapshot, row, &fields);
    };
    let mut whole = Vec::new();
    print_event(&mut whole, batch, &plan.layout, names, &routed.snapshot, row, &fields);
    out.push(b'{');
    let start = out.len();
    for field in &shape.fields {
        if let Some(value) = json::member(&whole, field.name.as_bytes()) {
            separate(out, start);
            json::write_string(out, field.name.as_bytes());
            out.push(b':');
            out.extend_from_slice(&whole[value]);
        }
    }
    out.push(b'}');
}

fn descend<'t>(text: &'t [u8], path: &[Arc<str>]) -> Option<&'t [u8]> {
    path.iter().try_fold(text, |text, key| Some(&text[json::member(text, key.as_bytes())?]))
}

/// Returns a field of a snapshot as that type, for a sink: what rules wrote where they wrote, otherwise what the event brought.
///
/// Records come as JSON text. A `.timestamp` of the built-in shape that is missing or unreadable is the record's time.
pub fn read(
    batch: &mut Batch,
    plan: &Plan,
    names: &Names,
    snapshot: &Snapshot,
    node: NodeId,
    ty: &Type,
) -> Arc<Column> {
    let known = plan.layout.node(node);
    let field = &snapshot.fields[node.index()];
    if known.is_interior() {
        let mut views = vec![View::MISSING; batch.rows];
        for (row, view) in views.iter_mut().enumerate() {
            match fields::own(field, row) {
                Own::Other(own) if node != NodeId::ROOT => *view = own,
                Own::Other(_) | Own::Record(_) => {
                    let mut text = Vec::new();
                    let event = Event {
                        layout: &plan.layout,
                        names,
                        arena: &batch.arena,
                        rest: &batch.rest,
                        fields: &snapshot.fields,
                        gone: &snapshot.rest_gone,
                    };
                    event.object(&mut text, node, row);
                    *view = blend::store(&mut batch.arena, crate::column::Kind::Object, &text);
                }
            }
        }
        let column = Arc::new(Column::Json(views));
        return blend::narrow(&mut batch.arena, &column, ty);
    }
    if *ty != Type::Any
        && let Some(column) = &field.column
        && super::machine::fits(column, ty)
    {
        // Rows that nobody wrote hold their decoded form there.
        return column.clone();
    }
    let written = field.written.clone();
    let from_event = match &field.raw {
        _ if written.as_ref().is_some_and(|written| written.is_full()) => None,
        // The declared type decides what `coerce` may do; another type asked for is read from the value as it came.
        Some(raw) => Some(decode::column(&mut batch.arena, raw, ty, known.coerce)),
        None => Some(super::machine::missing_of(&batch.arena, ty, batch.rows)),
    };
    let from_event = from_event.map(|mut column| {
        if fields::is_log_timestamp(plan, batch, node)
            && let Column::Timestamp(cells) = &mut column
            && batch.meta.times.len() == cells.state.len()
        {
            for row in 0..cells.state.len() {
                if cells.state[row] != 0 {
                    cells.values[row] = batch.meta.times[row];
                    cells.state[row] = 0;
                }
            }
        }
        Arc::new(column)
    });
    let (Some(written), Some(column)) = (written, &field.column) else {
        return from_event
            .unwrap_or_else(|| Arc::new(super::machine::missing_of(&batch.arena, ty, batch.rows)));
    };
    let wrote = blend::narrow(&mut batch.arena, column, ty);
    match from_event {
        Some(base) => blend::blend(&mut batch.arena, base, &wrote, &written),
        None => wrote,
    }
}
