//! Fields of events: read, put together, written, taken apart, deleted.

use std::sync::Arc;

use super::{
    machine::{Machine, missing_of},
    output::Event,
};
use crate::{
    column::{
        Absence, Batch, Column, Kind, Mask, NodeId, View, batch::Field, blend, decode, json, print,
    },
    plan::Plan,
    types::Type,
};

/// What an interior node holds itself, besides the fields below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// Members: some in the fields below, perhaps some in this text.
    Record(View),
    /// Something that is no record, null included, or nothing.
    Other(View),
}

/// Returns the view that holds for a row: written or as it came.
#[inline]
pub(super) fn own_view(field: &Field, row: usize) -> View {
    if let (Some(written), Some(column)) = (&field.written, &field.column)
        && written.has(row)
    {
        return match &**column {
            Column::Json(views) | Column::Text(views) => views[row],
            // Interior nodes hold JSON alone; a leaf's typed value is not asked for here.
            other => other.absence(row).map_or(View::SPREAD, View::absent),
        };
    }
    field.raw.as_ref().map_or(View::MISSING, |raw| raw[row])
}

/// What an interior node holds for a row.
pub(super) fn own(field: &Field, row: usize) -> Own {
    let view = own_view(field, row);
    match view.kind() {
        Kind::Spread | Kind::Object => Own::Record(view),
        Kind::Absent | Kind::Text | Kind::Escaped | Kind::Number | Kind::Bool | Kind::Array => {
            Own::Other(view)
        }
    }
}

/// Returns a leaf's values by its declared type, decoded at the first call.
pub(super) fn leaf(plan: &Plan, batch: &mut Batch, node: NodeId) -> Arc<Column> {
    let field = &batch.fields[node.index()];
    if let Some(column) = &field.column {
        return column.clone();
    }
    let known = plan.layout.node(node);
    let raw = field.raw.clone();
    let mut column = match &raw {
        Some(raw) => decode::column(&mut batch.arena, raw, &known.ty, known.coerce),
        None => missing_of(&batch.arena, &known.ty, batch.rows),
    };
    if is_log_timestamp(plan, batch, node)
        && let Column::Timestamp(cells) = &mut column
        && batch.meta.times.len() == cells.state.len()
    {
        // Without a readable time of its own an event happened when Kafka took it.
        for row in 0..cells.state.len() {
            if cells.state[row] != 0 {
                cells.values[row] = batch.meta.times[row];
                cells.state[row] = 0;
            }
        }
    }
    let column = Arc::new(column);
    if raw.is_some() {
        batch.fields[node.index()].column = Some(column.clone());
    }
    column
}

/// Returns a leaf's values as the batch's own source has them: decoded where it declares the path, as they came where another source alone does.
pub(super) fn own_leaf(plan: &Plan, batch: &mut Batch, node: NodeId) -> Arc<Column> {
    let field = &batch.fields[node.index()];
    let Some(raw) = field.raw.clone() else { return leaf(plan, batch, node) };
    if declares(plan, batch, node) {
        return leaf(plan, batch, node);
    }
    let came = Arc::new(Column::Json(raw.to_vec()));
    match (field.written.clone(), field.column.clone()) {
        (Some(written), Some(column)) => {
            let column = Arc::new(Column::Json(blend::to_json(&mut batch.arena, &column)));
            blend::blend(&mut batch.arena, came, &column, &written)
        }
        _ => came,
    }
}

/// Whether what the layout knows of a node holds for events of the batch's source.
fn declares(plan: &Plan, batch: &Batch, node: NodeId) -> bool {
    if plan.layout.node(node).ty == Type::Any {
        return true;
    }
    let Some(source) = plan.sources.get(batch.meta.source) else { return true };
    let mut keys = Vec::new();
    let mut at = node;
    while at != NodeId::ROOT {
        keys.push(&plan.layout.node(at).key);
        at = plan.layout.node(at).parent;
    }
    let mut shape = &source.shape;
    while let Some(key) = keys.pop() {
        match shape.field(key).map(|field| &field.ty.base) {
            None => return false,
            Some(Type::Record(inner)) => shape = inner,
            // What lies below a map has its type.
            Some(_) => return true,
        }
    }
    true
}

/// Whether this is `.timestamp` of a source with the built-in shape.
pub(super) fn is_log_timestamp(plan: &Plan, batch: &Batch, node: NodeId) -> bool {
    let known = plan.layout.node(node);
    known.parent == NodeId::ROOT
        && &*known.key == "timestamp"
        && plan.sources.get(batch.meta.source).is_some_and(|source| source.is_log)
}

/// Returns an interior node's value: records put together as JSON text, other values as they are.
pub(super) fn assemble(machine: &mut Machine<'_>, node: NodeId, within: &Mask) -> Column {
    let mut views = vec![View::MISSING; machine.batch.rows];
    let mut scratch = std::mem::take(&mut machine.state.scratch);
    for row in within.rows() {
        let field = machine.batch.field(node);
        let is_record = match own(field, row) {
            Own::Record(_) => true,
            Own::Other(view) => {
                views[row] = view;
                node == NodeId::ROOT
            }
        };
        if is_record {
            scratch.clear();
            Event::now(machine.plan, machine.batch, machine.names).object(&mut scratch, node, row);
            views[row] = blend::store(&mut machine.batch.arena, Kind::Object, &scratch);
        }
    }
    machine.state.scratch = scratch;
    // What is declared a map or record and is none counts as a wrong type.
    if matches!(machine.plan.layout.node(node).ty, Type::Map(_) | Type::Record(_)) {
        for view in &mut views {
            if view.is_present() && view.kind() != Kind::Object {
                *view = View::absent(Absence::Type);
            }
        }
    }
    Column::Json(views)
}

/// Returns an interior node's own views, records as objects without text: enough to ask what is there.
pub(super) fn outline(machine: &Machine<'_>, node: NodeId) -> Column {
    let field = machine.batch.field(node);
    let declared = matches!(machine.plan.layout.node(node).ty, Type::Map(_) | Type::Record(_));
    let views = (0..machine.batch.rows)
        .map(|row| match own(field, row) {
            Own::Record(_) => View::new(Kind::Object, 0, 0),
            Own::Other(_) if node == NodeId::ROOT => View::new(Kind::Object, 0, 0),
            Own::Other(view) if declared && view.is_present() => View::absent(Absence::Type),
            Own::Other(view) => view,
        })
        .collect();
    Column::Json(views)
}

impl Machine<'_> {
    /// Writes values for the rows of `rows` and returns the rows that could not be written because a place above holds no record.
    ///
    /// Rows must be present in the column, or null on purpose.
    pub(super) fn write(&mut self, node: NodeId, column: &Arc<Column>, rows: &Mask) -> Mask {
        if node == NodeId::ROOT {
            return rows.clone();
        }
        let refused = self.make_parents(node, rows);
        let rows = if refused.is_empty() { rows.clone() } else { rows.and_not(&refused) };
        if rows.is_empty() {
            return refused;
        }
        self.put(node, column, &rows);
        refused
    }

    /// Writes below places that are known to hold records.
    fn put(&mut self, node: NodeId, column: &Arc<Column>, rows: &Mask) {
        if self.plan.layout.node(node).is_interior() {
            self.erase(node, rows);
            self.explode(node, column, rows);
        } else if matches!(**column, Column::Record(_)) {
            let views = blend::to_json(&mut self.batch.arena, &blend::only(column, rows));
            self.put_own(node, &Arc::new(Column::Json(views)), rows);
        } else {
            self.put_own(node, column, rows);
        }
    }

    /// Writes the node's own field and nothing else.
    fn put_own(&mut self, node: NodeId, column: &Arc<Column>, rows: &Mask) {
        let interior = self.plan.layout.node(node).is_interior();
        let text = matches!(**column, Column::Bytes(_))
            .then(|| blend::without_bytes(&mut self.batch.arena, column.clone()));
        let column = text.as_ref().unwrap_or(column);
        let field = &self.batch.fields[node.index()];
        let full = rows.is_full();
        let new = if full {
            column.clone()
        } else if let Some(base) = field.column.clone() {
            // Taken out, so that the usual sole owner is changed in place.
            self.batch.fields[node.index()].column = None;
            blend::blend(&mut self.batch.arena, base, column, rows)
        } else if interior || field.raw.is_none() && !is_log_timestamp(self.plan, self.batch, node)
        {
            blend::only(column, rows)
        } else {
            let base = leaf(self.plan, self.batch, node);
            self.batch.fields[node.index()].column = None;
            blend::blend(&mut self.batch.arena, base, column, rows)
        };
        let field = &mut self.batch.fields[node.index()];
        field.column = Some(new);
        field.written = Some(Arc::new(match &field.written {
            Some(before) => before.or(rows),
            None => rows.clone(),
        }));
        field.version += 1;
    }

    /// Makes every place above the node a record, where it is absent. Returns the rows where one holds something else.
    pub(super) fn make_parents(&mut self, node: NodeId, rows: &Mask) -> Mask {
        let plan = self.plan;
        let mut above = Vec::new();
        let mut at = plan.layout.node(node).parent;
        while at != NodeId::ROOT {
            above.push(at);
            at = plan.layout.node(at).parent;
        }
        let mut refused = Mask::none(rows.len());
        for &parent in above.iter().rev() {
            let field = self.batch.field(parent);
            let mut create = Mask::none(rows.len());
            for row in rows.rows() {
                if let Own::Other(view) = own(field, row) {
                    if view.is_absent() {
                        create.set(row);
                    } else {
                        refused.set(row);
                    }
                }
            }
            create.remove(&refused);
            if !create.is_empty() {
                let empty = blend::store(&mut self.batch.arena, Kind::Object, b"{}");
                let views = vec![empty; rows.len()];
                self.put_own(parent, &Arc::new(Column::Json(views)), &create);
            }
        }
        refused
    }

    /// Puts records in the place of whole events.
    pub(super) fn replace_events(&mut self, column: &Arc<Column>, rows: &Mask) {
        self.erase(NodeId::ROOT, rows);
        self.explode(NodeId::ROOT, column, rows);
    }

    /// Deletes the node and everything below it.
    pub(super) fn erase(&mut self, node: NodeId, rows: &Mask) {
        if rows.is_empty() {
            return;
        }
        for below in self.plan.layout.subtree(node) {
            self.erase_rest(below, rows);
            if below != NodeId::ROOT {
                self.erase_own(below, rows);
            }
        }
    }

    /// Deletes everything below the node; the record itself stays.
    pub(super) fn erase_below(&mut self, node: NodeId, rows: &Mask) {
        for &child in &self.plan.layout.node(node).children {
            self.erase(child, rows);
        }
        self.erase_text(node, rows);
    }

    /// Deletes the members that no known path below the node has.
    pub(super) fn erase_text(&mut self, node: NodeId, rows: &Mask) {
        self.erase_rest(node, rows);
        let field = self.batch.field(node);
        let with_text = Mask::filter(rows, |row| own_view(field, row).kind() == Kind::Object);
        if !with_text.is_empty() {
            let empty = blend::store(&mut self.batch.arena, Kind::Object, b"{}");
            let views = vec![empty; with_text.len()];
            self.put_own(node, &Arc::new(Column::Json(views)), &with_text);
        }
    }

    fn erase_own(&mut self, node: NodeId, rows: &Mask) {
        let field = self.batch.field(node);
        // Nothing to delete, unless the record's time stands in for what no event has.
        if field.is_empty() && !is_log_timestamp(self.plan, self.batch, node) {
            return;
        }
        let missing = if let Some(column) = &field.column {
            blend::only(column, &Mask::none(column.len()))
        } else {
            let known = self.plan.layout.node(node);
            let ty = if known.is_interior() { &Type::Any } else { &known.ty };
            Arc::new(missing_of(&self.batch.arena, ty, self.batch.rows))
        };
        self.put_own(node, &missing, rows);
    }

    fn erase_rest(&mut self, node: NodeId, rows: &Mask) {
        if !self.plan.layout.node(node).is_interior() {
            return;
        }
        let gone = &mut self.batch.rest_gone[node.index()];
        *gone = Some(Arc::new(match gone {
            Some(before) => before.or(rows),
            None => rows.clone(),
        }));
        self.batch.fields[node.index()].version += 1;
    }

    /// Writes a whole value to an interior node that was just erased: known members to the fields below, the others stay here as text.
    fn explode(&mut self, node: NodeId, column: &Arc<Column>, rows: &Mask) {
        if let Column::Record(record) = &**column {
            let present = rows.and(&column.present());
            let mut others = Vec::new();
            for (key, column) in &record.fields {
                match self.plan.layout.child(node, key) {
                    Some(child) => {
                        let there = present.and(&column.present());
                        if !there.is_empty() {
                            self.put(child, column, &there);
                        }
                    }
                    None => others.push((key.clone(), column.clone())),
                }
            }
            let rest = crate::column::Record { fields: others, state: record.state.clone() };
            let rest = blend::only(&Arc::new(Column::Record(rest)), rows);
            let views = blend::to_json(&mut self.batch.arena, &rest);
            self.put_own(node, &Arc::new(Column::Json(views)), rows);
            return;
        }
        let mut own = blend::to_json(&mut self.batch.arena, &blend::only(column, rows));
        let children = &self.plan.layout.node(node).children;
        let mut below: Vec<Option<Vec<View>>> = vec![None; children.len()];
        let mut rest = Vec::new();
        for row in rows.rows() {
            let view = own[row];
            if view.kind() != Kind::Object {
                continue;
            }
            let text = self.batch.arena.get(view);
            let mut known = false;
            rest.clear();
            rest.push(b'{');
            for member in json::members(text) {
                let key = member.key(text);
                let child = children
                    .iter()
                    .position(|&child| self.plan.layout.node(child).key.as_bytes() == &*key);
                if let Some(child) = child {
                    known = true;
                    let views = below[child].get_or_insert_with(|| vec![View::MISSING; rows.len()]);
                    views[row] = json::view(text, member.value, view.offset());
                } else {
                    if rest.len() > 1 {
                        rest.push(b',');
                    }
                    rest.extend_from_slice(&text[member.key.start - 1..member.value.end]);
                }
            }
            if known {
                rest.push(b'}');
                own[row] = blend::store(&mut self.batch.arena, Kind::Object, &rest);
            }
        }
        self.put_own(node, &Arc::new(Column::Json(own)), rows);
        for (index, views) in below.into_iter().enumerate() {
            let Some(views) = views else { continue };
            let child = self.plan.layout.node(node).children[index];
            let there = Mask::filter(rows, |row| views[row] != View::MISSING);
            self.put(child, &Arc::new(Column::Json(views)), &there);
        }
    }

    /// The rows where the node holds no value, for any reason.
    pub(super) fn absent_at(&mut self, node: NodeId, rows: &Mask) -> Mask {
        let present = if self.plan.layout.node(node).is_interior() {
            outline(self, node).present()
        } else {
            own_leaf(self.plan, self.batch, node).present()
        };
        rows.and_not(&present)
    }

    /// The node's value as it can be written elsewhere: exactly as it came where no type is declared for it.
    pub(super) fn value_at(&mut self, node: NodeId, rows: &Mask) -> Arc<Column> {
        if self.plan.layout.node(node).is_interior() {
            Arc::new(assemble(self, node, rows))
        } else {
            own_leaf(self.plan, self.batch, node)
        }
    }

    /// `target |= value`: members of the right side win, both as objects. Returns refused rows.
    pub(super) fn merge(&mut self, node: NodeId, value: &Arc<Column>, rows: &Mask) -> Mask {
        let left = self.value_at(node, rows);
        let left = blend::to_json(&mut self.batch.arena, &left);
        let right = blend::to_json(&mut self.batch.arena, &blend::only(value, rows));
        let mut merged = vec![View::MISSING; rows.len()];
        let mut fits = Mask::none(rows.len());
        let mut text = Vec::new();
        for row in rows.rows() {
            let (l, r) = (left[row], right[row]);
            if r.kind() != Kind::Object || !(l.is_absent() || l.kind() == Kind::Object) {
                continue;
            }
            fits.set(row);
            if l.is_absent() {
                merged[row] = r;
                continue;
            }
            text.clear();
            merge_text(&mut text, self.batch.arena.get(l), self.batch.arena.get(r));
            merged[row] = blend::store(&mut self.batch.arena, Kind::Object, &text);
        }
        let mut refused = rows.and_not(&fits);
        refused.add(&self.write(node, &Arc::new(Column::Json(merged)), &fits));
        refused
    }
}

/// Appends the left object with the right one's members put in: in place where the key was known, else at the end.
pub(super) fn merge_text(out: &mut Vec<u8>, left: &[u8], right: &[u8]) {
    let right: Vec<_> = json::members(right)
        .map(|member| (member.key(right).into_owned(), &right[member.value]))
        .collect();
    let winner = |key: &[u8]| right.iter().rev().find(|(other, _)| other == key).map(|(_, v)| *v);
    let mut written: Vec<Vec<u8>> = Vec::new();
    out.push(b'{');
    let mut push = |out: &mut Vec<u8>, key: &[u8], value: &[u8]| {
        if written.iter().any(|other| other == key) {
            return;
        }
        if !written.is_empty() {
            out.push(b',');
        }
        json::write_string(out, key);
        out.push(b':');
        out.extend_from_slice(value);
        written.push(key.to_vec());
    };
    for member in json::members(left) {
        let key = member.key(left);
        push(out, &key, winner(&key).unwrap_or(&left[member.value.clone()]));
    }
    for (key, _) in &right {
        if let Some(value) = winner(key) {
            push(out, key, value);
        }
    }
    out.push(b'}');
}

/// Appends `tag` texts to lists that lack them: one row's new list.
pub(super) fn tagged(out: &mut Vec<u8>, list: Option<&[u8]>, texts: &[Arc<str>]) -> bool {
    let old: Vec<&[u8]> =
        list.map(|list| json::elements(list).map(|at| &list[at]).collect()).unwrap_or_default();
    let has = |text: &str| {
        old.iter().any(|element| {
            matches!(
                std::str::from_utf8(element).map(json::value),
                Ok(crate::column::Value::Text(known)) if known == text
            )
        })
    };
    let mut new: Vec<&Arc<str>> = Vec::new();
    for text in texts {
        if !has(text) && !new.contains(&text) {
            new.push(text);
        }
    }
    if new.is_empty() {
        return false;
    }
    out.push(b'[');
    let mut first = true;
    for element in old {
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(element);
    }
    for text in new {
        if !first {
            out.push(b',');
        }
        first = false;
        print::json(out, &crate::column::Value::text(text));
    }
    out.push(b']');
    true
}
