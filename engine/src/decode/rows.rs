//! Where values go while events are read: a column of views for each known path, and the attributes.

use std::sync::Arc;

use logmon_dsl::column::{Batch, Field, NodeId, View, layout::NameId};

/// The rows of the batch that is being read.
///
/// Invariant: behind the current row every column holds only missing values, and the attributes end with the last
/// accepted event; so an event that breaks half-way can be taken back.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// One a node of the layout, empty until an event has the path.
    columns: Vec<Vec<View>>,
    /// Attributes of all events so far.
    rest: Vec<(NameId, View)>,
    /// Where each event's attributes end.
    ends: Vec<u32>,
    /// Rows there may be.
    capacity: usize,
    /// The row that is being written.
    row: usize,
    /// Whether values were taken back, so that a column may hold none at all.
    taken_back: bool,
    /// Memory of columns that were sent, for the next ones.
    pool: Vec<Vec<View>>,
}

impl Rows {
    /// Starts a batch, in the memory that the batch still has.
    pub(super) fn begin(&mut self, nodes: usize, capacity: usize, batch: &mut Batch) {
        self.columns.resize_with(nodes, Vec::new);
        self.rest = std::mem::take(&mut batch.rest.entries);
        self.ends = std::mem::take(&mut batch.rest.ends);
        self.rest.clear();
        self.ends.clear();
        self.capacity = capacity;
        self.row = 0;
        self.taken_back = false;
    }

    /// Writes a known path's value.
    #[inline(always)]
    pub(super) fn set(&mut self, node: NodeId, view: View) {
        match self.columns[node.index()].get_mut(self.row) {
            Some(slot) => *slot = view,
            None => self.set_first(node, view),
        }
    }

    #[cold]
    fn set_first(&mut self, node: NodeId, view: View) {
        let mut column = self.pool.pop().unwrap_or_default();
        column.clear();
        column.resize(self.capacity, View::MISSING);
        column[self.row] = view;
        self.columns[node.index()] = column;
    }

    /// Adds an attribute.
    #[inline(always)]
    pub(super) fn add(&mut self, name: NameId, view: View) {
        self.rest.push((name, view));
    }

    /// The event is accepted.
    #[inline]
    pub(super) fn keep(&mut self) {
        self.ends.push(self.rest.len() as u32);
        self.row += 1;
    }

    /// The event is refused, or has to be written again.
    #[cold]
    pub(super) fn take_back(&mut self) {
        self.rest.truncate(self.ends.last().map_or(0, |&end| end as usize));
        for slot in self.columns.iter_mut().filter_map(|column| column.get_mut(self.row)) {
            *slot = View::MISSING;
        }
        self.taken_back = true;
    }

    /// Hands everything to the batch.
    pub(super) fn finish(&mut self, batch: &mut Batch) {
        batch.rows = self.row;
        batch.fields.resize_with(self.columns.len(), Field::default);
        batch.rest_gone.resize(self.columns.len(), None);
        for (column, field) in self.columns.iter_mut().zip(&mut batch.fields) {
            if column.is_empty() {
                continue;
            }
            let mut column = std::mem::take(column);
            column.truncate(self.row);
            if self.taken_back && column.iter().all(|view| *view == View::MISSING) {
                self.pool.push(column);
            } else {
                field.raw = Some(Arc::new(column));
            }
        }
        batch.rest.entries = std::mem::take(&mut self.rest);
        batch.rest.ends = std::mem::take(&mut self.ends);
    }

    /// Takes back the memory of a batch's columns that nobody else holds.
    pub(super) fn recycle(&mut self, batch: &mut Batch) {
        let raw = batch.fields.iter_mut().filter_map(|field| field.raw.take());
        for column in raw.filter_map(|raw| Arc::try_unwrap(raw).ok()) {
            // More than one column a path is never needed.
            if self.pool.len() < self.columns.len() {
                self.pool.push(column);
            }
        }
    }
}
