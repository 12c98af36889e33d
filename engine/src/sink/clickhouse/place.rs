//! A known path's values in a snapshot, and objects put together again out of their members.

use std::{borrow::Cow, sync::Arc};

use logmon_dsl::column::{
    Absence, Column, Kind, Layout, Mask, Names, NodeId, Rest, View, batch::Snapshot, json,
};

use super::{
    cell::Cell,
    text::{members, put_json, slice},
};

/// One path's values for a whole batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    raw: Option<&'a [View]>,
    column: Option<&'a Column>,
    written: Option<&'a Mask>,
    /// Every row's truth is in `column`.
    all_written: bool,
    /// The path, where it is one of the layout.
    pub(super) node: Option<NodeId>,
}

impl<'a> Place<'a> {
    /// A field as a route saw it; `None` if no event of the batch has it.
    pub(super) fn field(snapshot: &'a Snapshot, node: NodeId) -> Option<Self> {
        let field = snapshot.fields.get(node.index())?;
        if field.is_empty() && field.written.is_none() {
            return None;
        }
        Some(Self {
            raw: field.raw.as_ref().map(|views| views.as_slice()),
            column: field.column.as_deref(),
            written: field.written.as_deref(),
            all_written: false,
            node: Some(node),
        })
    }

    /// A parameter of a route.
    pub(super) fn argument(column: &'a Arc<Column>) -> Self {
        Self { raw: None, column: Some(column), written: None, all_written: true, node: None }
    }

    /// The views as events brought them, if no rule wrote any.
    pub(super) fn untouched(&self) -> Option<&'a [View]> {
        if self.all_written || self.written.is_some() { None } else { self.raw }
    }

    /// What rules decoded of the views that no rule wrote over.
    pub(super) fn known(&self) -> Option<&'a Column> {
        if self.all_written || self.written.is_some() { None } else { self.column }
    }

    /// Every row's view, if all values are views: as events brought them, or text that rules wrote.
    pub(super) fn views(&self) -> Option<Cow<'a, [View]>> {
        let written = match self.column {
            Some(Column::Text(views) | Column::Json(views)) => Some(views.as_slice()),
            _ => None,
        };
        if self.all_written {
            return written.map(Cow::Borrowed);
        }
        let Some(mask) = self.written else { return self.raw.map(Cow::Borrowed) };
        let raw = |row| self.raw.map_or(View::MISSING, |views| views[row]);
        let blend = |(row, &view)| if mask.has(row) { view } else { raw(row) };
        Some(written?.iter().enumerate().map(blend).collect())
    }

    /// The row's value.
    #[inline]
    pub(super) fn cell(&self, row: usize) -> Cell {
        if self.all_written || self.written.is_some_and(|written| written.has(row)) {
            return self
                .column
                .map_or(Cell::Absent(Absence::Missing), |column| Cell::of(column, row));
        }
        self.raw.map_or(Cell::Absent(Absence::Missing), |views| Cell::view(views[row]))
    }
}

/// What is needed to put an object together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) layout: &'a Layout,
    pub(super) snapshot: &'a Snapshot,
    pub(super) rest: &'a Rest,
    pub(super) names: &'a Names,
}

enum Tree {
    Leaf(View),
    Object(Vec<(Vec<u8>, Self)>),
}

impl Whole<'_> {
    /// The object at a path as JSON text: its unknown members, those that rules wrote as a whole, and its known ones.
    pub(super) fn assemble(
        &self,
        node: NodeId,
        row: usize,
        arena: &[u8],
        extra: &mut Vec<u8>,
    ) -> View {
        let start = extra.len();
        let mut tree = Tree::Object(Vec::new());
        for &(name, view) in self.rest.of(row) {
            let name = self.names.get(name);
            let Some(mut keys) = self.below(node, name.anchor) else { continue };
            if self.is_gone(name.anchor, row) {
                continue;
            }
            keys.extend(name.keys.iter().map(|key| key.as_bytes()));
            tree.insert(&keys, view);
        }
        self.fill(node, row, arena, extra, &mut tree);
        // Printed values of fields stand in `extra` too, so the object is built apart and added behind them.
        let mut json = Vec::new();
        tree.print(arena, extra, &mut json);
        extra.truncate(start);
        extra.extend_from_slice(&json);
        View::new(Kind::Object, arena.len() + start, json.len())
    }

    /// Whether rules deleted the row's attributes that are anchored there.
    pub(super) fn is_gone(&self, anchor: NodeId, row: usize) -> bool {
        let gone = self.snapshot.rest_gone.get(anchor.index());
        gone.and_then(Option::as_ref).is_some_and(|gone| gone.has(row))
    }

    /// The keys from `top` to `node`, if it lies at or below it.
    fn below(&self, top: NodeId, mut node: NodeId) -> Option<Vec<&[u8]>> {
        let mut keys = Vec::new();
        while node != top {
            if node == NodeId::ROOT {
                return None;
            }
            let known = self.layout.node(node);
            keys.push(known.key.as_bytes());
            node = known.parent;
        }
        keys.reverse();
        Some(keys)
    }

    fn fill(&self, node: NodeId, row: usize, arena: &[u8], extra: &mut Vec<u8>, tree: &mut Tree) {
        for &child in &self.layout.node(node).children {
            let key = self.layout.node(child).key.as_bytes();
            let cell = Place::field(self.snapshot, child)
                .map_or(Cell::Absent(Absence::Missing), |place| place.cell(row));
            let view = cell.to_view(arena.len(), extra);
            if self.layout.node(child).is_interior()
                && matches!(view.kind(), Kind::Spread | Kind::Object)
            {
                let mut inner = tree.take(key);
                if view.kind() == Kind::Object && view.offset() + view.len() <= arena.len() {
                    members(view, arena, |key, value| inner.insert(&[key], value));
                }
                self.fill(child, row, arena, extra, &mut inner);
                tree.put(key, inner);
            } else if view.is_present() || view.absence() == Some(Absence::Null) {
                tree.insert(&[key], view);
            }
        }
    }
}

impl Tree {
    fn insert(&mut self, keys: &[&[u8]], view: View) {
        let Some((key, rest)) = keys.split_first() else { return };
        if rest.is_empty() {
            self.put(key, Self::Leaf(view));
        } else {
            let mut inner = self.take(key);
            inner.insert(rest, view);
            self.put(key, inner);
        }
    }

    /// The object below a key, empty if it is new.
    fn take(&mut self, key: &[u8]) -> Self {
        let Self::Object(entries) = self else { return Self::Object(Vec::new()) };
        match entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, inner @ Self::Object(_))) => {
                std::mem::replace(inner, Self::Object(Vec::new()))
            }
            _ => Self::Object(Vec::new()),
        }
    }

    fn put(&mut self, key: &[u8], tree: Self) {
        let Self::Object(entries) = self else { return };
        match entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = tree,
            None => entries.push((key.to_vec(), tree)),
        }
    }

    fn print(&self, arena: &[u8], extra: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Leaf(view) => {
                let is_printed = !matches!(view.kind(), Kind::Absent | Kind::Bool | Kind::Spread)
                    && view.offset() >= arena.len();
                if is_printed {
                    let shifted = View::new(view.kind(), view.offset() - arena.len(), view.len());
                    if view.kind() == Kind::Text {
                        json::write_string(out, slice(shifted, extra));
                    } else {
                        put_json(shifted, extra, out);
                    }
                } else {
                    put_json(*view, arena, out);
                }
            }
            Self::Object(entries) => {
                out.push(b'{');
                for (at, (key, tree)) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    json::write_string(out, key);
                    out.push(b':');
                    tree.print(arena, extra, out);
                }
                out.push(b'}');
            }
        }
    }
}
