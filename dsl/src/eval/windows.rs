//! Windows over a batch: events are added up, closed windows become rows, and alerts are judged by them.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    AlertChange, Lookups, Outcome, Rolled, Routed, WindowCount,
    analysis::ExprFacts,
    machine::{Machine, Operand, State},
    run::Run,
};
use crate::{
    column::{Batch, Cells, Column, Mask, Names, NodeId, Value, batch::Meta, blend, json, print},
    plan::{Aggregate, Alert, ExprId, Plan, Window, WindowId},
    state::{Added, Closed, Input, Kept, LaneState, Sums},
    types::Type,
};

/// What an aggregate takes of each event.
struct Taken<'p> {
    value: Option<Operand<'p>>,
    counts: Option<Mask>,
    weight: Option<Operand<'p>>,
}

/// A closed window, with where its rows stand.
struct Told {
    closed: Closed,
    /// The row of the event that closed it.
    row: usize,
    /// The number of its first output.
    emit_ix: u16,
}

impl Run<'_> {
    /// Shows the events that are left to a window.
    pub(super) fn window(&mut self, id: WindowId) {
        let window = &self.machine.plan.windows[id.0 as usize];
        let source = self.machine.batch.meta.source;
        let seen = window.on.is_empty() || window.on.contains(&source);
        if !seen || window.alert.is_some() && !self.memory.alerts || self.live.is_empty() {
            return;
        }
        let live = self.live.clone();
        let matched = match window.when {
            Some(when) => self.machine.mask(when, &live),
            None => live.clone(),
        };
        let times = self.machine.column(window.time, &live);
        let keys: Vec<Operand<'_>> =
            window.by.iter().map(|(_, key)| self.machine.operand(*key, &matched)).collect();
        let taken: Vec<Taken<'_>> =
            window.aggregates.iter().map(|it| self.taken_by(it, &matched)).collect();
        let late = match &self.machine.plan.stores[window.store.0 as usize].kind {
            crate::plan::StoreKind::Window(spans, _) => spans.late,
            _ => 0,
        };
        let mut count = WindowCount::default();
        let mut told: Vec<Told> = Vec::new();
        let mut text = Vec::new();
        for row in self.in_order(&live) {
            let clock = self.clock(row);
            // What happens after Kafka took it happened then: no event can close windows ahead of time.
            let time = match print::value(&self.machine.batch.arena, &times, row) {
                Value::Timestamp(time) => time.min(clock),
                _ => clock,
            };
            let event = self.outcome.origin(row);
            let outputs = window.route.len().max(1);
            let room = usize::from(u16::MAX - self.emitted[event]) / outputs;
            text.clear();
            let counts = matched.has(row);
            if counts {
                self.key(&keys, row, &mut text);
            }
            let Some(Kept::Sums(sums)) =
                self.memory.lane.as_mut().map(|lane| lane.store(window.store.0 as usize))
            else {
                return;
            };
            for closed in sums.advance(time, late, room) {
                let emit_ix = self.emitted[event];
                self.emitted[event] = emit_ix.saturating_add(window.route.len() as u16);
                told.push(Told { closed, row, emit_ix });
            }
            if !counts {
                continue;
            }
            let arena = &self.machine.batch.arena;
            let inputs: Vec<Input<'_>> =
                taken.iter().map(|taken| taken.input(arena, row)).collect();
            let values = || keys.iter().map(|key| key.value(arena, row).into_static()).collect();
            match sums.add(time, &text, values, &inputs) {
                Added::Counted => count.counted += 1,
                Added::Late => count.late += 1,
                Added::Crowded => count.crowded += 1,
            }
        }
        count.rows = told.len() as u64;
        self.outcome.windows.push((id, count));
        if told.is_empty() {
            return;
        }
        let meta = coordinates(&self.machine.batch.meta, &told);
        let machine = &mut self.machine;
        let (plan, facts, names) = (machine.plan, machine.facts, machine.names);
        let Some(Kept::Sums(sums)) =
            self.memory.lane.as_mut().map(|lane| lane.store(window.store.0 as usize))
        else {
            return;
        };
        roll(plan, facts, id, &told, meta, sums, names, machine.lookups, &mut self.outcome);
    }

    fn taken_by<'p>(&mut self, aggregate: &Aggregate, rows: &Mask) -> Taken<'p>
    where
        Self: 'p,
    {
        let counts = aggregate.filter.map(|filter| self.machine.mask(filter, rows));
        let mut spread = |id: ExprId| Operand::Many(self.machine.column(id, rows));
        Taken {
            value: aggregate.value.map(&mut spread),
            weight: aggregate.weight.map(spread),
            counts,
        }
    }
}

impl Taken<'_> {
    fn input<'a>(&'a self, arena: &'a crate::column::Arena, row: usize) -> Input<'a> {
        let weight = match self.weight.as_ref().map(|weight| weight.value(arena, row)) {
            Some(Value::Int(weight)) => weight as f64,
            Some(Value::Float(weight)) => weight,
            // Nobody thinned it out, so it stands for itself.
            _ => 1.0,
        };
        Input {
            value: self.value.as_ref().map(|value| value.value(arena, row)),
            weight,
            counts: self.counts.as_ref().is_none_or(|counts| counts.has(row)),
        }
    }
}

/// The coordinates of the events that closed windows, row by row.
fn coordinates(meta: &Meta, told: &[Told]) -> Meta {
    fn of<T: Copy>(list: &[T], told: &[Told]) -> Vec<T> {
        told.iter().filter_map(|told| list.get(told.row).copied()).collect()
    }
    Meta {
        offsets: of(&meta.offsets, told),
        times: of(&meta.times, told),
        keys: Vec::new(),
        headers: Vec::new(),
        ..meta.clone()
    }
}

/// Closes windows by the clock alone: what a test's `advance` does.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of an evaluator that is borrowed in pieces"
)]
pub(super) fn close(
    plan: &Plan,
    facts: &[ExprFacts],
    id: WindowId,
    (from, now): (i64, i64),
    lane: &mut LaneState,
    names: &Names,
    lookups: &mut dyn Lookups,
    outcome: &mut Outcome,
) {
    let window = &plan.windows[id.0 as usize];
    let Kept::Sums(sums) = lane.store(window.store.0 as usize) else { return };
    sums.open(from);
    let told: Vec<Told> = sums
        .advance(now, 0, usize::MAX)
        .into_iter()
        .map(|closed| Told { closed, row: 0, emit_ix: 0 })
        .collect();
    if told.is_empty() {
        return;
    }
    let count = WindowCount { rows: told.len() as u64, ..WindowCount::default() };
    outcome.windows.push((id, count));
    let meta = Meta {
        source: window.on.first().copied().unwrap_or(0),
        topic: "test".into(),
        offsets: vec![0; told.len()],
        times: vec![now; told.len()],
        ..Meta::default()
    };
    roll(plan, facts, id, &told, meta, sums, names, lookups, outcome);
}

/// Makes rows of closed windows, sends them on, and judges the alert.
#[expect(clippy::too_many_arguments, reason = "the parts of a machine that is borrowed in pieces")]
fn roll(
    plan: &Plan,
    facts: &[ExprFacts],
    id: WindowId,
    told: &[Told],
    meta: Meta,
    sums: &mut Sums,
    names: &Names,
    lookups: &mut dyn Lookups,
    outcome: &mut Outcome,
) {
    let window = &plan.windows[id.0 as usize];
    let rows = told.len();
    let mut batch = Batch::new(&plan.layout);
    batch.rows = rows;
    batch.rest.ends = vec![0; rows];
    batch.meta = meta;
    let mut state = State::default();
    let mut machine =
        Machine { plan, facts, state: &mut state, batch: &mut batch, names, lookups, frame: 0 };
    machine.begin();
    let all = Mask::all(rows);
    write_bounds(&mut machine, window, told);
    for (index, (node, key)) in window.by.iter().enumerate() {
        let ty = &plan.expr(*key).ty.base;
        let column = column_of(&mut machine, ty, told, |closed| &closed.values[index]);
        write(&mut machine, *node, &column);
    }
    for (index, aggregate) in window.aggregates.iter().enumerate() {
        let column = column_of(&mut machine, &aggregate.ty, told, |closed| &closed.results[index]);
        machine.bind(aggregate.local, column);
    }
    for it in &window.lets {
        let column = machine.column(it.value, &all);
        machine.bind(it.local, column.clone());
        write(&mut machine, it.node, &column);
    }
    if let Some(alert) = &window.alert {
        outcome.alerts.extend(judge(&mut machine, id, window, alert, told, sums));
        return;
    }
    let mut routed = Vec::with_capacity(window.route.len());
    let snapshot = Arc::new(machine.batch.snapshot());
    for (number, target) in window.route.iter().enumerate() {
        let args = target
            .args
            .iter()
            .map(|(path, value)| (path.clone(), machine.sent(*value, &all)))
            .collect();
        routed.push(Routed {
            sink: target.sink,
            rows: (0..rows as u32).collect(),
            emit_ix: told.iter().map(|told| told.emit_ix + number as u16).collect(),
            snapshot: snapshot.clone(),
            args,
            rule: None,
        });
    }
    outcome.rolled.push(Rolled { window: id, batch, routed });
}

fn write_bounds(machine: &mut Machine<'_>, window: &Window, told: &[Told]) {
    let times = |time: fn(&Closed) -> i64| {
        let values: Vec<i64> = told.iter().map(|told| time(&told.closed)).collect();
        Arc::new(Column::Timestamp(Cells { state: vec![0; values.len()], values }))
    };
    let (start, end) = (times(|closed| closed.start), times(|closed| closed.end));
    let [at_start, at_end, at_time] = window.bounds;
    write(machine, at_start, &start);
    write(machine, at_end, &end);
    write(machine, at_time, &start);
}

fn write(machine: &mut Machine<'_>, node: NodeId, column: &Arc<Column>) {
    let present = column.present();
    if !present.is_empty() {
        machine.write(node, column, &present);
    }
}

fn column_of(
    machine: &mut Machine<'_>,
    ty: &Type,
    told: &[Told],
    value: impl Fn(&Closed) -> &Value<'static>,
) -> Arc<Column> {
    let arena = &mut machine.batch.arena;
    let mut column = blend::Builder::new(arena, ty, told.len());
    for told in told {
        let value = match (ty, value(&told.closed)) {
            // Lengths of time were added up as numbers.
            (Type::Duration, Value::Int(nanos)) => Value::Duration(*nanos),
            (Type::Duration, Value::Float(nanos)) => Value::Duration(*nanos as i64),
            (_, value) => value.clone(),
        };
        column.push(arena, value);
    }
    Arc::new(column.finish(arena))
}

/// Judges an alert, evaluation by evaluation.
fn judge(
    machine: &mut Machine<'_>,
    id: WindowId,
    window: &Window,
    alert: &Alert,
    told: &[Told],
    sums: &mut Sums,
) -> Vec<AlertChange> {
    let all = Mask::all(told.len());
    let held = machine.mask(alert.condition, &all);
    let mut changes = Vec::new();
    let mut from = 0;
    while from < told.len() {
        let at = told[from].closed.end;
        let len = told[from..].iter().take_while(|told| told.closed.end == at).count();
        let now: BTreeMap<&[u8], bool> =
            (from..from + len).map(|row| (&*told[row].closed.key, held.has(row))).collect();
        for (key, change) in sums.alarm.judge(alert, at, &now) {
            let row = (from..from + len).find(|row| told[*row].closed.key == key);
            let event = row.map(|row| message(machine, window, alert, row));
            changes.push(AlertChange { window: id, change, at, event });
        }
        from += len;
    }
    changes
}

/// What an alert says, as JSON.
fn message(machine: &mut Machine<'_>, window: &Window, alert: &Alert, row: usize) -> String {
    let mut out = Vec::new();
    let rows = Mask::from_fn(machine.batch.rows, |other| other == row);
    super::output::Event::now(machine.plan, machine.batch, machine.names).object(
        &mut out,
        NodeId::ROOT,
        row,
    );
    let parts = [
        ("severity", alert.severity),
        ("summary", alert.summary),
        ("labels", alert.labels),
        ("runbook", alert.runbook),
    ];
    let mut said = format!("{{\"alert\":{:?}", window.name).into_bytes();
    for (name, value) in parts {
        let Some(value) = value else { continue };
        let column = machine.column(value, &rows);
        if column.absence(row).is_none() {
            said.push(b',');
            json::write_string(&mut said, name.as_bytes());
            said.push(b':');
            print::cell(&mut said, &machine.batch.arena, &column, row);
        }
    }
    said.push(b'}');
    let mut text = Vec::new();
    super::fields::merge_text(&mut text, &out, &said);
    String::from_utf8_lossy(&text).into_owned()
}
