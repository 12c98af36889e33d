//! A worker's growing blocks: rows of many batches on their way into units, and which batches wait for them.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use logmon_dsl::{
    column::{Batch, Names, print},
    eval::{Routed, print_routed},
    plan::Plan,
};

use super::{
    budget::Share,
    bundle::{Bundle, Outlet, World},
    deliver::{Cargo, Origin, Outbox, Outgoing, Unit, Waiting},
    exact,
    lanes::Lanes,
};
use crate::{
    clock::Clock as _,
    config,
    delivery::{
        ledger::BatchId,
        unit::{Held, Unit as Named},
    },
    metrics::SinkMetrics,
    sink::{
        clickhouse::{
            AppendReport, Context, DeadRow, Finished, TableBuilder,
            dead_letter::{DeadLetter, DeadLetters},
        },
        kafka::Record,
    },
    source::RawBatch,
};

/// The column `attempt`: a row is sent under one token only, so there is no second attempt to tell from the first.
const ATTEMPT: u32 = 0;

/// A batch that rows in growing blocks belong to.
#[derive(Debug)]
struct Ticket {
    lanes: Arc<Lanes>,
    batch: BatchId,
    held: Held,
    /// Rows that are in growing blocks.
    rows: u64,
    /// Whether the worker may still add rows.
    open: bool,
}

impl Ticket {
    fn waiting(&self, rows: u64) -> Waiting {
        let (lanes, held) = (Arc::clone(&self.lanes), self.held.clone());
        Waiting { lanes, batch: self.batch, held, rows }
    }
}

/// Everything a worker builds for one bundle.
#[derive(Debug)]
pub struct Outlets {
    world: Arc<World>,
    bundle: Arc<Bundle>,
    sinks: Vec<SinkDesk>,
    dead: Option<Growing<DeadLetters>>,
    dead_topic: Option<Arc<Outbox>>,
    tickets: HashMap<u64, Ticket>,
    next_ticket: u64,
    /// The bundle, as units name it.
    short: Arc<str>,
    /// Records of the batch in hand: topics get them in the order of the partition.
    outgoing: Vec<Outgoing>,
    /// The blocks of the range that the batch in hand belongs to: they close together, and are named before they are sent.
    pub range: Option<exact::growing::Growing>,
}

#[derive(Debug)]
enum SinkDesk {
    Table(Box<Growing<TableBuilder>>),
    Topic(Arc<Outbox>),
}

#[derive(Debug)]
struct Growing<B> {
    builder: B,
    limits: config::Batch,
    outbox: Arc<Outbox>,
    metrics: SinkMetrics,
    share: Share,
}

impl<B> Growing<B> {
    /// When a block is closed, as the sink takes them now.
    fn limits(&self) -> config::Batch {
        self.outbox.limits(&self.limits)
    }

    fn closing_age(&self) -> Duration {
        self.outbox.closing_age(self.limits().age.0)
    }
}

impl Outlets {
    /// Empty blocks for every sink of a bundle.
    pub fn new(world: &Arc<World>, bundle: &Arc<Bundle>) -> Self {
        let sinks = bundle
            .outlets
            .iter()
            .zip(&bundle.plan.sinks)
            .map(|(outlet, decl)| match outlet {
                Outlet::Table { binding, limits, outbox, .. } => {
                    SinkDesk::Table(Box::new(Growing {
                        builder: TableBuilder::new(Arc::clone(binding)).on(&world.shelf),
                        limits: *limits,
                        outbox: Arc::clone(outbox),
                        metrics: world.metrics.sink(&decl.name),
                        share: world.budget.take(0),
                    }))
                }
                Outlet::Topic { outbox } => SinkDesk::Topic(Arc::clone(outbox)),
            })
            .collect();
        let dead = bundle.dead_letters.table.as_ref().map(|(table, outbox)| Growing {
            builder: DeadLetters::new(outbox.name(), table)
                .expect("the table was looked at when the bundle was bound"),
            limits: config::Batch::default(),
            outbox: Arc::clone(outbox),
            metrics: world.metrics.sink(outbox.name()),
            share: world.budget.take(0),
        });
        Self {
            world: Arc::clone(world),
            bundle: Arc::clone(bundle),
            sinks,
            dead,
            dead_topic: bundle.dead_letters.topic.clone(),
            tickets: HashMap::new(),
            next_ticket: 0,
            short: bundle.short().into(),
            outgoing: Vec::new(),
            range: None,
        }
    }

    /// Opens a ticket for a batch: what its rows are known by until they are acknowledged.
    pub fn ticket(&mut self, lanes: &Arc<Lanes>, batch: BatchId, raw: &RawBatch) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let start = raw.offsets.first().copied().unwrap_or(0);
        let held = Held { position: raw.position.clone(), start, end: raw.end() };
        self.tickets
            .insert(ticket, Ticket { lanes: Arc::clone(lanes), batch, held, rows: 0, open: true });
        ticket
    }

    /// Adds a route's rows. Returns those that the sink cannot take.
    pub fn append(
        &mut self,
        ticket: u64,
        batch: &mut Batch,
        names: &Names,
        names_table: u64,
        routed: &Routed,
    ) -> Vec<DeadRow> {
        let plan = Arc::clone(&self.bundle.plan);
        let mut context = self.context(ticket, &plan.sources[batch.meta.source].name, names_table);
        if let Some(range) = &mut self.range {
            let (wall, incarnation) = (range.tag().t0, range.tag().inc as u32);
            if let (Some(builder), SinkDesk::Table(table)) =
                (range.table(routed.sink.0 as usize), &self.sinks[routed.sink.0 as usize])
            {
                (context.wall, context.incarnation) = (wall, incarnation);
                let report = builder.append(batch, names, routed, &context);
                count(&table.metrics, &report);
                return report.dead;
            }
        }
        let (rows, dead) = match &mut self.sinks[routed.sink.0 as usize] {
            SinkDesk::Table(table) => {
                let report = table.builder.append(batch, names, routed, &context);
                table.share.resize(table.builder.bytes());
                count(&table.metrics, &report);
                (report.rows, report.dead)
            }
            SinkDesk::Topic(outbox) => {
                let records = records(batch, &plan, names, routed);
                let origins = routed.rows.iter().zip(&routed.emit_ix).map(|(&row, &emit_ix)| {
                    Origin { offset: batch.meta.offsets[row as usize], emit_ix }
                });
                let (rows, outbox) = (records.len(), Arc::clone(outbox));
                self.send_records(ticket, &outbox, records, origins.collect());
                (rows, Vec::new())
            }
        };
        if matches!(self.sinks[routed.sink.0 as usize], SinkDesk::Table(_)) {
            self.hold(ticket, rows as u64);
        }
        dead
    }

    /// Adds dead letters of the batch.
    pub fn dead(&mut self, ticket: u64, letters: &[DeadLetter]) {
        if let Some(outbox) = self.dead_topic.clone() {
            let records = letters.iter().map(super::dead::record).collect();
            self.send_records(ticket, &outbox, records, Vec::new());
        }
        let mut context = self.context(ticket, "", 0);
        if let Some(range) = &mut self.range {
            let at_least_once = (context.wall, context.incarnation);
            (context.wall, context.incarnation) = (range.tag().t0, range.tag().inc as u32);
            if let Some(report) = range.letters(letters, &context) {
                assert_eq!(report.rows, letters.len(), "a dead letter has no second place to go");
                return;
            }
            (context.wall, context.incarnation) = at_least_once;
        }
        if let Some(dead) = &mut self.dead {
            let report = dead.builder.append(letters, &context);
            dead.share.resize(dead.builder.builder().bytes());
            // A table of dead letters takes every letter: nothing in it can be refused.
            assert_eq!(report.rows, letters.len(), "a dead letter has no second place to go");
            self.hold(ticket, report.rows as u64);
        }
    }

    /// No more rows of the batch come. Returns its records for topics, which leave when it is their turn.
    pub fn end_batch(&mut self, ticket: u64) -> Vec<Outgoing> {
        if let Some(entry) = self.tickets.get_mut(&ticket) {
            entry.open = false;
            if entry.rows == 0 {
                self.tickets.remove(&ticket);
            }
        }
        std::mem::take(&mut self.outgoing)
    }

    /// When the next block is due by its age.
    pub fn next_due(&self) -> Option<Instant> {
        let tables = self.sinks.iter().filter_map(|sink| match sink {
            SinkDesk::Table(table) => Some(table.builder.opened()? + table.closing_age()),
            SinkDesk::Topic(_) => None,
        });
        let dead = self
            .dead
            .as_ref()
            .and_then(|dead| Some(dead.builder.builder().opened()? + dead.closing_age()));
        tables.chain(dead).min()
    }

    /// Closes the blocks that reached a limit.
    pub fn close_due(&mut self, now: Instant) {
        for index in 0..self.sinks.len() {
            if let SinkDesk::Table(table) = &mut self.sinks[index] {
                let (limits, age) = (table.limits(), table.closing_age());
                let taken = table.builder.take(|part| {
                    is_due(
                        &limits,
                        age,
                        part.rows(),
                        part.bytes(),
                        now.saturating_duration_since(part.opened()),
                    )
                });
                self.send_blocks(index, taken);
            }
        }
        if let Some(dead) = &mut self.dead {
            let (limits, age) = (dead.limits(), dead.closing_age());
            let taken = dead.builder.take(|part| {
                is_due(
                    &limits,
                    age,
                    part.rows(),
                    part.bytes(),
                    now.saturating_duration_since(part.opened()),
                )
            });
            self.send_dead(taken);
        }
    }

    /// Closes every block.
    pub fn close_all(&mut self) {
        for index in 0..self.sinks.len() {
            if let SinkDesk::Table(table) = &mut self.sinks[index] {
                let taken = table.builder.finish();
                self.send_blocks(index, taken);
            }
        }
        if let Some(dead) = &mut self.dead {
            let taken = dead.builder.finish();
            self.send_dead(taken);
        }
    }

    fn send_dead(&mut self, taken: Vec<Finished>) {
        let Some(dead) = &mut self.dead else { return };
        dead.share.resize(dead.builder.builder().bytes());
        let outbox = Arc::clone(&dead.outbox);
        for finished in taken {
            self.send_block(&outbox, finished);
        }
    }

    fn send_blocks(&mut self, sink: usize, taken: Vec<Finished>) {
        if taken.is_empty() {
            return;
        }
        let SinkDesk::Table(table) = &mut self.sinks[sink] else { return };
        table.share.resize(table.builder.bytes());
        let outbox = Arc::clone(&table.outbox);
        for finished in taken {
            self.send_block(&outbox, finished);
        }
    }

    fn send_block(&mut self, outbox: &Arc<Outbox>, finished: Finished) {
        let mut held: Vec<Held> = Vec::new();
        let mut waiting = Vec::with_capacity(finished.tickets.len());
        for &(ticket, rows) in &finished.tickets {
            let entry = self.tickets.get_mut(&ticket).expect("a row in a block has a ticket");
            match held.iter_mut().find(|one| one.position == entry.held.position) {
                Some(one) => {
                    one.start = one.start.min(entry.held.start);
                    one.end = one.end.max(entry.held.end);
                }
                None => held.push(entry.held.clone()),
            }
            waiting.push(entry.waiting(u64::from(rows)));
            entry.rows -= u64::from(rows);
            if entry.rows == 0 && !entry.open {
                self.tickets.remove(&ticket);
            }
        }
        held.sort_by(|a, b| a.position.cmp(&b.position));
        let named = Named {
            group: waiting.first().map_or("", |waiting| waiting.lanes.group()),
            incarnation: self.world.incarnation,
            held: &held,
            bundle: self.bundle.short(),
            table: &finished.table.replace('`', ""),
            partition: finished.partition.unwrap_or(0),
            chunk: self.world.office.next_chunk(),
        };
        let token = named.token();
        let share = self.world.budget.take(finished.bytes());
        let rows = finished.rows;
        let bundle = Arc::clone(&self.short);
        outbox.send(Unit { cargo: Cargo::Block { finished, token }, rows, waiting, bundle, share });
    }

    fn send_records(
        &mut self,
        ticket: u64,
        outbox: &Arc<Outbox>,
        records: Vec<Record>,
        origins: Vec<Origin>,
    ) {
        let entry = &self.tickets[&ticket];
        let (rows, bytes) = (records.len(), records.iter().map(|record| record.value.len()).sum());
        entry.lanes.hold(entry.batch, rows as u64);
        let unit = Unit {
            cargo: Cargo::Records(records, origins),
            rows,
            waiting: vec![entry.waiting(rows as u64)],
            bundle: Arc::clone(&self.short),
            share: self.world.budget.take(bytes),
        };
        self.outgoing.push(Outgoing { outbox: Arc::clone(outbox), unit });
    }

    fn hold(&mut self, ticket: u64, rows: u64) {
        let entry = self.tickets.get_mut(&ticket).expect("rows are added under an open ticket");
        entry.rows += rows;
        entry.lanes.hold(entry.batch, rows);
    }

    fn context<'a>(&self, ticket: u64, source: &'a str, names_table: u64) -> Context<'a> {
        Context {
            names_table,
            source,
            wall: self.world.clock.now(),
            now: Instant::now(),
            ticket,
            attempt: ATTEMPT,
            incarnation: self.world.incarnation as u32,
        }
    }
}

fn is_due(
    limits: &config::Batch,
    closing_age: Duration,
    rows: usize,
    bytes: usize,
    age: Duration,
) -> bool {
    rows >= limits.rows || bytes as u64 >= limits.bytes.0 || age >= closing_age
}

fn count(metrics: &SinkMetrics, report: &AppendReport) {
    for (column, _, rows) in report.defaulted.iter().chain(&report.unfit) {
        metrics.absent(column, u64::from(*rows));
    }
    if report.retimed > 0 {
        metrics.retimed(u64::from(report.retimed));
    }
}

/// A route's rows as records of a topic: the event as JSON, the route's `key` as key.
pub(super) fn records(batch: &Batch, plan: &Plan, names: &Names, routed: &Routed) -> Vec<Record> {
    let key = routed
        .args
        .iter()
        .find(|(path, _)| path.len() == 1 && &*path[0] == "key")
        .map(|(_, column)| column);
    routed
        .rows
        .iter()
        .map(|&row| {
            let row = row as usize;
            let mut value = Vec::with_capacity(512);
            print_routed(&mut value, batch, plan, names, routed, row);
            let key = key.filter(|column| column.absence(row).is_none()).map(|column| {
                let mut text = Vec::new();
                print::plain(&mut text, &print::value(&batch.arena, column, row));
                String::from_utf8_lossy(&text).into_owned()
            });
            Record { key, value, headers: Vec::new() }
        })
        .collect()
}
