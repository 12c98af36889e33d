//! `emit each`: one event becomes several, from here on to the end of the program.
//!
//! The first element takes the event's own row; each further one gets a new row behind all others, a copy of the event as it was.
//! So a mask made before is still right once the new rows have what the rows have that they were made of.

use std::{collections::HashMap, sync::Arc};

use super::run::Run;
use crate::{
    column::{
        Absence, Column, Kind, Mask, NodeId, View, batch::Field, batch::Snapshot, blend, json,
    },
    plan::{ExprId, SiteId},
};

/// How many rows one event may become. A list with more elements is no list of events.
pub(super) const ROWS_MAX: usize = 1_000;

impl Run<'_> {
    /// A mask made before some `emit each`, with the rows that were made since: they are in it where their event is.
    pub(super) fn fit(&self, mask: Mask) -> Mask {
        let rows = self.live.len();
        if mask.len() == rows {
            return mask;
        }
        let mut wider = Mask::none(rows);
        for row in mask.rows() {
            wider.set(row);
        }
        for row in mask.len()..rows {
            // Made of an earlier row, which is decided by now.
            if wider.has(self.parents[row - self.outcome.events] as usize) {
                wider.set(row);
            }
        }
        wider
    }

    /// Makes an event of each element; rows without a list that has elements stay as they are.
    pub(super) fn emit(
        &mut self,
        list: ExprId,
        target: Option<NodeId>,
        site: SiteId,
        rows: Mask,
    ) -> Mask {
        if self.shadow {
            // What would become of the elements cannot be put back.
            return rows;
        }
        let column = self.machine.column(list, &rows);
        let lists = blend::to_json(&mut self.machine.batch.arena, &column);
        let mut first = vec![View::MISSING; rows.len()];
        let mut more: Vec<(u32, View)> = Vec::new();
        let mut crowded = Mask::none(rows.len());
        let mut wrong = Mask::none(rows.len());
        let mut faulty = Mask::none(rows.len());
        let mut changed = Mask::none(rows.len());
        for row in rows.rows() {
            let view = lists[row];
            if view.kind() != Kind::Array {
                if view.is_present() {
                    wrong.set(row);
                } else if view.absence().is_some_and(Absence::is_fault) {
                    faulty.set(row);
                }
                continue;
            }
            let text = self.machine.batch.arena.get(view);
            let elements: Vec<View> = json::elements(text)
                .map(|at| json::view(text, at, view.offset()))
                .take(ROWS_MAX + 1)
                .collect();
            if target.is_none() && elements.iter().any(|it| it.kind() != Kind::Object) {
                wrong.set(row);
                continue;
            }
            let event = self.outcome.origin(row);
            let room = ROWS_MAX - usize::from(self.made[event]).min(ROWS_MAX);
            if elements.len() > room {
                crowded.set(row);
                continue;
            }
            let Some((head, tail)) = elements.split_first() else { continue };
            changed.set(row);
            first[row] = *head;
            self.made[event] += tail.len() as u16;
            more.extend(tail.iter().map(|element| (row as u32, *element)));
        }
        self.faults(site, &column, &faulty);
        self.fault_rows(site, Absence::Type, &wrong);
        self.fault_rows(site, Absence::OutOfRange, &crowded);
        if changed.is_empty() {
            return rows;
        }
        self.snapshot = None;
        let parents: Vec<u32> = more.iter().map(|(row, _)| *row).collect();
        self.grow(&parents);
        let rows = self.fit(rows);
        let changed = self.fit(changed);
        first.extend(more.into_iter().map(|(_, element)| element));
        let elements = Arc::new(Column::Json(first));
        match target {
            Some(target) => {
                // Null elements are written as such.
                let refused = self.machine.write(target, &elements, &changed);
                self.fault_rows(site, Absence::NotARecord, &refused);
            }
            None => self.machine.replace_events(&elements, &changed),
        }
        rows
    }

    /// Adds rows, each a copy of another one.
    fn grow(&mut self, parents: &[u32]) {
        if parents.is_empty() {
            return;
        }
        let old = self.live.len();
        let all: Vec<u32> = (0..old as u32).chain(parents.iter().copied()).collect();
        let batch = &mut *self.machine.batch;
        batch.rows = all.len();
        let mut seen = Widened::default();
        widen_fields(&mut batch.fields, &all, &mut seen);
        for gone in batch.rest_gone.iter_mut().flatten() {
            *gone = seen.mask(gone, &all);
        }
        if batch.rest.ends.len() == old {
            for &parent in parents {
                let entries = batch.rest.of(parent as usize).to_vec();
                batch.rest.entries.extend(entries);
                batch.rest.ends.push(batch.rest.entries.len() as u32);
            }
        }
        let meta = &mut batch.meta;
        copy_rows(&mut meta.offsets, old, parents);
        copy_rows(&mut meta.times, old, parents);
        copy_rows(&mut meta.keys, old, parents);
        copy_rows(&mut meta.headers, old, parents);
        self.machine.grow(&all);
        // What was sent before keeps its rows, and its columns keep the length of the batch.
        let mut snapshots: HashMap<*const Snapshot, Arc<Snapshot>> = HashMap::new();
        for routed in &mut self.outcome.routed {
            let known = Arc::as_ptr(&routed.snapshot);
            let wider = snapshots.entry(known).or_insert_with(|| {
                let mut snapshot = (*routed.snapshot).clone();
                widen_fields(&mut snapshot.fields, &all, &mut seen);
                for gone in snapshot.rest_gone.iter_mut().flatten() {
                    *gone = seen.mask(gone, &all);
                }
                Arc::new(snapshot)
            });
            routed.snapshot = wider.clone();
            for (_, column) in &mut routed.args {
                *column = Arc::new(column.gather(&all));
            }
        }
        let growth = self.grown.last().copied().unwrap_or(0) + 1;
        for &parent in parents {
            self.grown.push(growth);
            let event = self.outcome.origin(parent as usize) as u32;
            self.outcome.made_of.push(event);
            self.outcome.dropped_by.push(None);
            self.parents.push(parent);
        }
        let live = Mask::from_fn(all.len(), |row| self.live.has(all[row] as usize));
        // What was routed before it became several needs no default route for any of them.
        self.taken = Mask::from_fn(all.len(), |row| self.taken.has(all[row] as usize));
        self.live = live;
    }
}

/// Columns that were widened already: fields and snapshots share them.
#[derive(Default)]
struct Widened {
    columns: HashMap<*const Column, Arc<Column>>,
    /// The old ones, so that no new one can stand at the same place in memory.
    held: Vec<Arc<Column>>,
}

impl Widened {
    fn column(&mut self, column: &Arc<Column>, all: &[u32]) -> Arc<Column> {
        let wider = self.columns.entry(Arc::as_ptr(column)).or_insert_with(|| {
            self.held.push(column.clone());
            Arc::new(column.gather(all))
        });
        wider.clone()
    }

    #[expect(clippy::unused_self, reason = "beside the one for columns")]
    fn mask(&self, mask: &Mask, all: &[u32]) -> Arc<Mask> {
        Arc::new(Mask::from_fn(all.len(), |row| mask.has(all[row] as usize)))
    }
}

fn widen_fields(fields: &mut [Field], all: &[u32], seen: &mut Widened) {
    for field in fields {
        if let Some(raw) = &mut field.raw {
            *raw = Arc::new(all.iter().map(|&row| raw[row as usize]).collect());
        }
        if let Some(column) = &mut field.column {
            *column = seen.column(column, all);
        }
        if let Some(written) = &mut field.written {
            *written = seen.mask(written, all);
        }
        field.version += 1;
    }
}

/// Copies what is kept once a row.
fn copy_rows<T: Copy>(list: &mut Vec<T>, rows: usize, parents: &[u32]) {
    if list.len() == rows {
        for &parent in parents {
            list.push(list[parent as usize]);
        }
    }
}
