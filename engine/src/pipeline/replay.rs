//! Records judged once more, beside the stream: what the rules want stored of each, and blocks of the rows that are asked for.
//!
//! Invariant: nothing is sent from here. A row is known by its table, offset and `emit_ix`, exactly as the stream would have named it.

mod places;

pub use places::{Places, Target, letters_table, places};

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use logmon_dsl::{
    column::Batch,
    eval::{Evaluator, Outcome, Routed, RowFate},
};

use super::{
    bundle::{BindError, Bundle, Outlet, World},
    dead::{self, Undeliverable},
    fill::{fill, is_let_go},
    outlets::records,
    worker::{Fate, row_fates, withhold},
};
use crate::{
    clock::Clock as _,
    config::{self, OnFault},
    decode::{Decoded, Decoder},
    delivery::Position,
    lookup::LookupSet,
    sink::{
        clickhouse::{Block, Context, DeadLetter, DeadRow, Loss, TableBuilder, dead_letter},
        kafka::Record,
    },
    source::RawBatch,
};

/// Nanoseconds after which a table's TTL may have come to other results than the stream did: a minute.
const LONG_AGO: i64 = 60_000_000_000;

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A table, by its number in [`Replay::targets`].
    Table(usize),
    /// A topic, by its sink's number in the plan.
    Topic(u32),
}

/// What a row is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub struct Identity {
    /// The record's offset.
    pub offset: i64,
    /// The how-many-eth output of its event.
    pub emit_ix: u16,
}

/// A row that the rules want stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Where.
    pub place: Place,
    /// Which.
    pub id: Identity,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A sink takes it.
    Delivered,
    /// A rule drops it, or nothing routes it.
    Dropped {
        /// The rule or the stage.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// It is a dead letter.
    Dead {
        /// Why, as a word.
        reason: Arc<str>,
        /// Why, as a sentence.
        cause: String,
    },
}

/// A batch that was judged.
#[derive(Debug)]
pub struct Judged {
    raw: RawBatch,
    batch: Batch,
    outcome: Outcome,
    letters: Vec<DeadLetter>,
    /// What should be stored, ascending, each row once.
    pub rows: BTreeSet<Row>,
    /// One a record, in the order of the batch.
    pub verdicts: Vec<Verdict>,
    /// Rows that were stored in their time, and that their tables' TTL has deleted by now, or would at once.
    pub expired: BTreeSet<Row>,
}

impl Judged {
    /// The offsets of its records, ascending.
    pub fn offsets(&self) -> &[i64] {
        &self.raw.offsets
    }

    /// The partition that they come from.
    pub fn position(&self) -> &Position {
        &self.raw.position
    }
}

/// The rules of a bundle, ready to judge records of one source.
pub struct Replay {
    world: Arc<World>,
    bundle: Arc<Bundle>,
    source: usize,
    settings: config::Source,
    decoder: Decoder,
    evaluator: Evaluator,
    lookups: LookupSet,
    /// Every table that the rules, or dead letters, write into.
    pub targets: Arc<[Target]>,
    by_sink: Vec<Place>,
    letters: Option<usize>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("source", &self.settings.name).finish_non_exhaustive()
    }
}

impl Replay {
    /// Ready to judge records of a source.
    pub fn new(
        world: &Arc<World>,
        bundle: &Arc<Bundle>,
        source: &str,
        places: &Places,
    ) -> Result<Self, BindError> {
        let plan = &bundle.plan;
        let number = plan.sources.iter().position(|known| *known.name == *source);
        let (Some(number), Some(settings)) = (number, world.config.sources.get(source)) else {
            let known: Vec<&str> = plan.sources.iter().map(|source| &*source.name).collect();
            return Err(BindError::Config(format!(
                "no source is called `{source}`; there are: {}",
                known.join(", ")
            )));
        };
        let (targets, by_sink, letters) = places.clone();
        Ok(Self {
            world: Arc::clone(world),
            bundle: Arc::clone(bundle),
            source: number,
            settings: settings.clone(),
            decoder: Decoder::new(Arc::new(plan.layout.clone())),
            evaluator: Evaluator::new(Arc::clone(plan)),
            lookups: bundle.lookups.clone(),
            targets,
            by_sink,
            letters,
        })
    }

    /// Whether the rules read headers, so that batches must have them.
    pub fn reads_headers(&self) -> bool {
        self.bundle.plan.reads_headers
    }

    /// The rules that judge.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// Judges a batch. What is built of it must be built before the next one is judged: names of attributes are the decoder's.
    pub fn judge(&mut self, mut raw: RawBatch) -> Judged {
        let plan = Arc::clone(&self.bundle.plan);
        let mut batch = Batch::new(&plan.layout);
        let decoded =
            fill(&mut batch, &mut self.decoder, &plan, self.source, &self.settings, &mut raw);
        let keep_faults = self.settings.on_fault != OnFault::Keep;
        let mut outcome = self.evaluator.run(
            &mut batch,
            self.decoder.names_mut(),
            &mut self.lookups,
            keep_faults,
        );
        let mut fates = row_fates(&outcome, &self.bundle.dead_letters);
        let mut lost: Vec<Undeliverable<'_>> = Vec::new();
        if keep_faults {
            withhold(&mut outcome, self.settings.on_fault, &mut fates, &mut lost);
        }
        let mut judged = Judged {
            raw,
            batch,
            outcome,
            letters: Vec::new(),
            rows: BTreeSet::new(),
            verdicts: Vec::new(),
            expired: BTreeSet::new(),
        };
        for (refused, row) in self.refused(&mut judged) {
            fates[refused.event as usize] = Fate::DeadLettered;
            let routed = match row {
                RoutedAt::Own(at) => &judged.outcome.routed[at],
                RoutedAt::Rolled(window, at) => &judged.outcome.rolled[window].routed[at],
            };
            lost.push(Undeliverable::row(&plan, routed, refused.event, &refused.row));
        }
        for (record, reject) in &decoded.rejected {
            if !is_let_go(&self.settings, reject) {
                lost.push(Undeliverable::record(*record, reject));
            }
        }
        judged.letters = dead::letters(&lost, &judged.raw, &judged.batch, &decoded, &self.bundle);
        if let Some(target) = self.letters {
            judged.rows.extend(judged.letters.iter().map(|letter| Row {
                place: Place::Table(target),
                id: Identity { offset: letter.offset, emit_ix: letter.emit_ix },
            }));
        }
        judged.verdicts = self.verdicts(&judged, &decoded, &fates);
        judged
    }

    /// Tries every row on its table: notes those that should be stored, returns those that the table cannot take.
    fn refused(&self, judged: &mut Judged) -> Vec<(Refused, RoutedAt)> {
        let Judged { raw, batch, outcome, rows, expired, .. } = judged;
        let mut all = Vec::new();
        let mut builders = HashMap::new();
        for at in 0..outcome.routed.len() {
            let routed = &outcome.routed[at];
            let dead = self.try_rows(&mut builders, raw, batch, routed, rows, expired);
            for row in dead {
                let event = outcome.origin(row.row as usize) as u32;
                all.push((Refused { event, row }, RoutedAt::Own(at)));
            }
        }
        for (window, rolled) in outcome.rolled.iter_mut().enumerate() {
            for (at, routed) in rolled.routed.iter().enumerate() {
                let dead =
                    self.try_rows(&mut builders, raw, &mut rolled.batch, routed, rows, expired);
                for row in dead {
                    let offset = rolled.batch.meta.offsets[row.row as usize];
                    let known = batch.meta.offsets.iter().position(|known| *known == offset);
                    let event = known.unwrap_or(0) as u32;
                    all.push((Refused { event, row }, RoutedAt::Rolled(window, at)));
                }
            }
        }
        all
    }

    fn try_rows(
        &self,
        builders: &mut HashMap<u32, TableBuilder>,
        raw: &RawBatch,
        batch: &mut Batch,
        routed: &Routed,
        rows: &mut BTreeSet<Row>,
        expired: &mut BTreeSet<Row>,
    ) -> Vec<DeadRow> {
        let place = self.by_sink[routed.sink.0 as usize];
        let ids = |batch: &Batch| -> Vec<Identity> {
            let rows = routed.rows.iter().zip(&routed.emit_ix);
            rows.map(|(&row, &emit_ix)| Identity {
                offset: batch.meta.offsets[row as usize],
                emit_ix,
            })
            .collect()
        };
        let (mut dead, mut late) = (Vec::new(), Vec::new());
        if let Outlet::Table { binding, .. } = &self.bundle.outlets[routed.sink.0 as usize] {
            let builder = builders
                .entry(routed.sink.0)
                .or_insert_with(|| TableBuilder::new(Arc::clone(binding)));
            let context = self.context(raw, 0);
            dead = builder.append(batch, self.decoder.names(), routed, &context).dead;
            // The table's own clock has gone on since: what it deletes by now is neither there nor missing.
            let now = Context { wall: self.world.clock.now(), ..context };
            if now.wall - context.wall > LONG_AGO {
                late = builder.append(batch, self.decoder.names(), routed, &now).dead;
                late.retain(|row| row.cause == Loss::PastTtl);
            }
            // Only what is refused is of interest here.
            drop(builder.finish());
        }
        rows.extend(ids(batch).into_iter().map(|id| Row { place, id }));
        let row = |dead: &DeadRow| {
            let offset = batch.meta.offsets[dead.row as usize];
            Row { place, id: Identity { offset, emit_ix: dead.emit_ix } }
        };
        for dead in &dead {
            rows.remove(&row(dead));
        }
        for late in &late {
            if rows.remove(&row(late)) {
                expired.insert(row(late));
            }
        }
        dead
    }

    fn verdicts(&self, judged: &Judged, decoded: &Decoded, fates: &[Fate]) -> Vec<Verdict> {
        let letters: BTreeMap<i64, &DeadLetter> =
            judged.letters.iter().map(|letter| (letter.offset, letter)).collect();
        let dead = |offset: i64| match letters.get(&offset) {
            Some(letter) => {
                Verdict::Dead { reason: Arc::clone(&letter.reason), cause: letter.cause.clone() }
            }
            // No letter of the engine's: a rule sent it there.
            None => Verdict::Dead { reason: "rule".into(), cause: String::new() },
        };
        let mut verdicts: Vec<Option<Verdict>> = vec![None; judged.raw.payloads.len()];
        for (record, reject) in &decoded.rejected {
            let offset = judged.raw.offsets[*record as usize];
            verdicts[*record as usize] = Some(match letters.get(&offset) {
                Some(_) => dead(offset),
                None => Verdict::Dropped { by: "decode".into(), reason: reject.name().into() },
            });
        }
        let events = judged.outcome.event_fates();
        for (row, fate) in fates.iter().enumerate() {
            let record = decoded.kept[row] as usize;
            let offset = judged.raw.offsets[record];
            verdicts[record] = Some(match (fate, &events[row]) {
                (Fate::DeadLettered, _) => dead(offset),
                (Fate::Delivered, _) => Verdict::Delivered,
                (Fate::Dropped, RowFate::Dropped { rule, reason }) => Verdict::Dropped {
                    by: Arc::clone(&self.bundle.plan.rule(*rule).label),
                    reason: Arc::clone(&judged.outcome.reasons[*reason as usize]),
                },
                (Fate::Dropped, RowFate::Unrouted) => {
                    Verdict::Dropped { by: "routes".into(), reason: "unrouted".into() }
                }
                (Fate::Dropped, RowFate::Routed) => {
                    Verdict::Dropped { by: "on_fault".into(), reason: "fault".into() }
                }
            });
        }
        let dropped = || Verdict::Dropped { by: "routes".into(), reason: "unrouted".into() };
        verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(dropped)).collect()
    }

    /// Blocks of the rows that `wanted` holds for, by table; each is of one ClickHouse partition.
    pub fn build(
        &self,
        judged: &mut Judged,
        wanted: &BTreeSet<Row>,
        attempt: u32,
    ) -> Vec<(usize, Block)> {
        let context = self.context(&judged.raw, attempt);
        let Judged { batch, outcome, letters, .. } = judged;
        let mut blocks = Vec::new();
        let mut builders: BTreeMap<u32, TableBuilder> = BTreeMap::new();
        let own = outcome.routed.iter();
        let mut add = |batch: &mut Batch, routed: &Routed| {
            let Outlet::Table { binding, .. } = &self.bundle.outlets[routed.sink.0 as usize] else {
                return;
            };
            let picked = self.pick(batch, routed, wanted);
            if !picked.rows.is_empty() {
                builders
                    .entry(routed.sink.0)
                    .or_insert_with(|| TableBuilder::new(Arc::clone(binding)))
                    .append(batch, self.decoder.names(), &picked, &context);
            }
        };
        for routed in own {
            add(batch, routed);
        }
        for rolled in &mut outcome.rolled {
            for routed in &rolled.routed {
                add(&mut rolled.batch, routed);
            }
        }
        for (sink, mut builder) in builders {
            if let Place::Table(target) = self.by_sink[sink as usize] {
                let compression = self.targets[target].compression;
                let finished = builder.finish();
                blocks
                    .extend(finished.iter().map(|finished| (target, finished.encode(compression))));
            }
        }
        if let Some(target) = self.letters {
            let is_wanted = |letter: &&DeadLetter| {
                let id = Identity { offset: letter.offset, emit_ix: letter.emit_ix };
                wanted.contains(&Row { place: Place::Table(target), id })
            };
            let letters: Vec<DeadLetter> = letters.iter().filter(is_wanted).cloned().collect();
            let (table, compression) =
                (&self.targets[target].table, self.targets[target].compression);
            if !letters.is_empty() {
                let mut builder =
                    dead_letter::DeadLetters::new(&self.targets[target].sinks[0], table)
                        .expect("the table was looked at when the bundle was bound");
                builder.append(&letters, &context);
                let finished = builder.finish();
                blocks
                    .extend(finished.iter().map(|finished| (target, finished.encode(compression))));
            }
        }
        blocks
    }

    /// Records for topics among the rows that are wanted, by sink.
    pub fn records(&self, judged: &Judged, wanted: &BTreeSet<Row>) -> Vec<(Arc<str>, Vec<Record>)> {
        let plan = &self.bundle.plan;
        let mut all = Vec::new();
        for routed in &judged.outcome.routed {
            if let Place::Topic(_) = self.by_sink[routed.sink.0 as usize] {
                let picked = self.pick(&judged.batch, routed, wanted);
                let records = records(&judged.batch, plan, self.decoder.names(), &picked);
                if !records.is_empty() {
                    all.push((Arc::clone(&plan.sinks[routed.sink.0 as usize].name), records));
                }
            }
        }
        all
    }

    /// A route, of which only the wanted rows are left.
    fn pick(&self, batch: &Batch, routed: &Routed, wanted: &BTreeSet<Row>) -> Routed {
        let place = self.by_sink[routed.sink.0 as usize];
        let (rows, emit_ix) = routed
            .rows
            .iter()
            .zip(&routed.emit_ix)
            .filter(|&(&row, &emit_ix)| {
                let offset = batch.meta.offsets[row as usize];
                wanted.contains(&Row { place, id: Identity { offset, emit_ix } })
            })
            .unzip();
        Routed {
            sink: routed.sink,
            rows,
            emit_ix,
            snapshot: Arc::clone(&routed.snapshot),
            args: routed.args.clone(),
            rule: routed.rule,
        }
    }

    fn context(&self, raw: &RawBatch, attempt: u32) -> Context<'_> {
        // Whether an event is too old was asked when its record was young.
        let wall = raw.times.iter().copied().max().filter(|&time| time > 0);
        Context {
            names_table: self.decoder.names().generation,
            source: &self.settings.name,
            wall: wall.unwrap_or_else(|| self.world.clock.now()),
            now: Instant::now(),
            ticket: 0,
            attempt,
            incarnation: self.world.incarnation as u32,
        }
    }

    /// The sink's name as people know it.
    pub fn place_name(&self, place: Place) -> &str {
        match place {
            Place::Table(target) => &self.targets[target].name,
            Place::Topic(sink) => &self.bundle.plan.sinks[sink as usize].name,
        }
    }

    /// The table that takes dead letters.
    pub fn letters(&self) -> Option<usize> {
        self.letters
    }
}

/// A row that its table cannot take, and the event that it is or was made of.
struct Refused {
    event: u32,
    row: DeadRow,
}

/// Which route it was on.
#[derive(Debug, Clone, Copy)]
enum RoutedAt {
    Own(usize),
    Rolled(usize, usize),
}
