//! The way of an event through a worker, with a clock between the stages: decode, rules, lookups, encode, compress.

use std::{sync::Arc, time::Instant};

use logmon_dsl::{
    column::{Arena, Batch, View, batch::Payload},
    eval::Evaluator,
};
use logmon_engine::{
    config::Batch as Limit,
    decode::{Decoder, Limits},
    sink::clickhouse::{Block, Compression, Context, TableBuilder},
};

use crate::{clock::thread_cpu, lookups::Clocked, program::Bound};

/// Payload bytes of a micro-batch: what the engine reads together.
const BATCH_BYTES: usize = 384 << 10;
/// 2026-11-21T12:00:00Z: the clock, and the records' time.
const NOON: i64 = 1_795_262_400_000_000_000;

/// CPU nanoseconds by stage, of one walk over all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Payloads to columns.
    pub decode: u64,
    /// The plan over them, lookups not counted.
    pub rules: u64,
    /// Lookups: caches, databases, tables.
    pub lookups: u64,
    /// Routed rows into the tables' growing blocks.
    pub encode: u64,
    /// Full blocks to bytes.
    pub compress: u64,
    /// The copy of payloads into the batches' memory, in front of all stages: the reading thread's work.
    pub copy: u64,
}

impl Spent {
    /// All stages, the copy not counted.
    pub fn stages(&self) -> u64 {
        self.decode + self.rules + self.lookups + self.encode + self.compress
    }
}

/// What a walk came to, to see that all walks did the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Produced {
    /// Events that were no JSON objects.
    pub rejected: usize,
    /// Rows by all tables together.
    pub rows: usize,
    /// Events that no table took.
    pub dropped: usize,
    /// Blocks.
    pub blocks: usize,
    /// Their size before compression.
    pub raw_bytes: usize,
    /// Their size as sent.
    pub sent_bytes: usize,
}

/// One worker's desk, kept warm from walk to walk as in a process that runs for days.
#[derive(Debug)]
pub struct Desk {
    bound: Bound,
    decoder: Decoder,
    evaluator: Evaluator,
    batch: Batch,
    tables: Vec<TableBuilder>,
    /// What the program asks; may be changed between walks.
    pub lookups: Clocked,
    /// By rule: events for which its conditions held, over all walks.
    matched: Vec<u64>,
    parcels: Vec<Parcel>,
}

/// A micro-batch as the reading thread hands it over.
#[derive(Debug, Default)]
struct Parcel {
    arena: Arena,
    payloads: Vec<Payload>,
    first: usize,
    events: std::ops::Range<usize>,
}

impl Desk {
    /// A desk for a program without lookups and the events that it will walk over.
    pub fn new(bound: &Bound, events: &[String]) -> Self {
        Self::with_lookups(bound, events, Clocked::default())
    }

    /// The same for a program that asks lookups.
    pub fn with_lookups(bound: &Bound, events: &[String], lookups: Clocked) -> Self {
        let mut parcels = Vec::new();
        let mut start = 0;
        let mut bytes = 0;
        for (index, event) in events.iter().enumerate() {
            bytes += event.len();
            if bytes >= BATCH_BYTES || index + 1 == events.len() {
                parcels.push(Parcel {
                    first: start,
                    events: start..index + 1,
                    ..Parcel::default()
                });
                (start, bytes) = (index + 1, 0);
            }
        }
        Self {
            decoder: Decoder::new(Arc::new(bound.plan.layout.clone())),
            evaluator: Evaluator::new(Arc::clone(&bound.plan)),
            batch: Batch::new(&bound.plan.layout),
            tables: bound
                .bindings
                .iter()
                .map(|binding| TableBuilder::new(Arc::clone(binding)))
                .collect(),
            lookups,
            matched: vec![0; bound.plan.rules.len()],
            bound: bound.clone(),
            parcels,
        }
    }

    /// How many micro-batches the events make.
    pub fn batches(&self) -> usize {
        self.parcels.len()
    }

    /// For how many events the conditions of rules whose name begins so held, over all walks.
    pub fn matched(&self, prefix: &str) -> u64 {
        let rules = self.bound.plan.rules.iter().zip(&self.matched);
        rules.filter(|(rule, _)| rule.name.starts_with(prefix)).map(|(_, matched)| matched).sum()
    }

    /// Walks over all events once. All batches are filled before the first is decoded, so that each has left the caches by then.
    pub fn walk(&mut self, events: &[String], compression: Compression) -> (Spent, Produced) {
        self.walk_into(events, compression, &mut drop)
    }

    /// The same, with every block handed to `take`.
    pub fn walk_into(
        &mut self,
        events: &[String],
        compression: Compression,
        take: &mut dyn FnMut(Block),
    ) -> (Spent, Produced) {
        let (mut spent, mut produced) = (Spent::default(), Produced::default());
        let start = thread_cpu();
        for parcel in &mut self.parcels {
            parcel.fill(events);
        }
        spent.copy = thread_cpu() - start;
        for index in 0..self.parcels.len() {
            self.step(index, compression, &mut spent, &mut produced, take);
        }
        let start = thread_cpu();
        for table in &mut self.tables {
            for finished in table.finish() {
                let block = finished.encode(compression);
                produced.block(&block);
                take(block);
            }
        }
        spent.compress += thread_cpu() - start;
        (spent, produced)
    }

    fn step(
        &mut self,
        index: usize,
        compression: Compression,
        spent: &mut Spent,
        produced: &mut Produced,
        take: &mut dyn FnMut(Block),
    ) {
        let parcel = &mut self.parcels[index];
        let plan = &self.bound.plan;
        let batch = &mut self.batch;

        let start = thread_cpu();
        batch.reset(&plan.layout);
        batch.arena = std::mem::take(&mut parcel.arena);
        let decoded = self.decoder.decode(batch, &parcel.payloads, &Limits::default());
        let rows = decoded.kept.len();
        batch
            .meta
            .offsets
            .extend(decoded.kept.iter().map(|&record| (parcel.first + record as usize) as i64));
        batch.meta.times.resize(rows, NOON);
        batch.meta.keys.resize(rows, View::MISSING);
        let decode_end = thread_cpu();

        let asked = self.lookups.spent;
        let outcome = self.evaluator.run(batch, self.decoder.names_mut(), &mut self.lookups, false);
        let asked = self.lookups.spent - asked;
        let rules_end = thread_cpu();

        let context = Context {
            names_table: self.decoder.names().generation,
            source: &plan.sources[0].name,
            wall: NOON,
            now: Instant::now(),
            ticket: index as u64,
            attempt: 0,
            incarnation: 1,
        };
        for routed in outcome.routed.iter().filter(|routed| !routed.rows.is_empty()) {
            let table = &mut self.tables[routed.sink.0 as usize];
            produced.rows += table.append(batch, self.decoder.names(), routed, &context).rows;
        }
        let encode_end = thread_cpu();

        let limit = Limit::default();
        for table in &mut self.tables {
            let full = table
                .take(|part| part.rows() >= limit.rows || part.bytes() as u64 >= limit.bytes.0);
            for finished in full {
                let block = finished.encode(compression);
                produced.block(&block);
                take(block);
            }
        }
        let compress_end = thread_cpu();

        produced.rejected += decoded.rejected.len();
        produced.dropped += outcome.dropped_by.iter().flatten().count();
        for (matched, rule) in self.matched.iter_mut().zip(&outcome.rules) {
            *matched += rule.matched;
        }
        drop(outcome);
        let drop_end = thread_cpu();
        self.decoder.recycle(batch);
        parcel.arena = std::mem::take(&mut batch.arena);
        let end = thread_cpu();

        spent.decode += (decode_end - start) + (end - drop_end);
        spent.rules += (rules_end - decode_end - asked) + (drop_end - compress_end);
        spent.lookups += asked;
        spent.encode += encode_end - rules_end;
        spent.compress += compress_end - encode_end;
    }
}

impl Parcel {
    fn fill(&mut self, events: &[String]) {
        self.arena.clear();
        self.payloads.clear();
        for event in &events[self.events.clone()] {
            let offset = self.arena.push(event.as_bytes()) as u32;
            self.payloads.push(Payload { offset, len: event.len() as u32, null: false });
        }
        self.arena.pad();
    }
}

impl Produced {
    fn block(&mut self, block: &Block) {
        self.blocks += 1;
        self.raw_bytes += block.raw_bytes;
        self.sent_bytes += block.body.len();
    }
}
