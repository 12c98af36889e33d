//! One thread that computes: the whole way of a batch, `raw ──decode──▶ batch ──rules──▶ rows per sink ──append──▶ blocks`.
//!
//! Invariant: every record that enters leaves with exactly one fate, and the books hear of its rows before any unit can be acknowledged.

use std::{collections::HashMap, sync::Arc, time::Instant};

use logmon_dsl::{
    column::Batch,
    eval::{Evaluator, Outcome, RowFate},
};

use super::{
    bundle::{Bundle, DeadLetters, World},
    dead::{self, Undeliverable},
    deliver::Outgoing,
    exact::Tag,
    fill::{fill, is_let_go},
    lanes::{Lanes, Parcel},
    outlets::Outlets,
};
use crate::{
    config::OnFault,
    decode::{Decoded, Decoder},
    delivery::{
        LaneId, Position,
        ledger::{BatchId, Fates},
    },
    lookup::LookupSet,
    source::RawBatch,
};

/// What a worker is told.
#[derive(Debug)]
pub enum Job {
    /// Work on a batch.
    Batch {
        /// The source's lanes.
        lanes: Arc<Lanes>,
        /// The batch.
        parcel: Box<Parcel>,
    },
    /// A range ends: its blocks are handed over.
    End {
        /// The source's lanes.
        lanes: Arc<Lanes>,
        /// The range.
        tag: Arc<Tag>,
    },
    /// Close every open block now.
    Flush,
    /// Close every open block and end.
    Stop,
}

/// What a worker has before it: one bundle and the memory it reuses from batch to batch.
#[derive(Debug)]
pub struct Desk {
    world: Arc<World>,
    /// The rules.
    pub bundle: Arc<Bundle>,
    decoder: Decoder,
    evaluator: Evaluator,
    lookups: LookupSet,
    batch: Batch,
    /// Growing blocks.
    pub outlets: Outlets,
    /// Blocks that were begun under older bundles; they are closed when they are due, as if nothing had happened.
    retiring: Vec<Outlets>,
    /// Counts decoders: names are numbered by each of them anew.
    decoders: u32,
    /// Source numbers of the plan by name.
    sources: HashMap<Arc<str>, usize>,
    /// Lanes whose past is being read again: since when, and how many records.
    rebuilding: HashMap<LaneId, (Instant, u64)>,
}

impl Desk {
    /// A desk for a bundle. `number` tells its decoder's names from those of other desks.
    pub fn new(world: Arc<World>, bundle: Arc<Bundle>, number: u32) -> Self {
        let plan = &bundle.plan;
        Self {
            decoder: Decoder::new(Arc::new(plan.layout.clone())),
            evaluator: Evaluator::new(Arc::clone(plan)),
            lookups: bundle.lookups.clone(),
            batch: Batch::new(&plan.layout),
            outlets: Outlets::new(&world, &bundle),
            retiring: Vec::new(),
            decoders: number,
            sources: plan
                .sources
                .iter()
                .enumerate()
                .map(|(index, source)| (Arc::clone(&source.name), index))
                .collect(),
            rebuilding: HashMap::new(),
            world,
            bundle,
        }
    }

    /// Goes over to another bundle, between two batches. Nothing is waited for: what was begun under the old rules goes its way beside the new.
    pub fn take(&mut self, bundle: Arc<Bundle>, number: u32) {
        let started = Instant::now();
        let fresh = Self::new(Arc::clone(&self.world), bundle, number);
        let old = std::mem::replace(self, fresh);
        self.evaluator.adopt(old.evaluator);
        self.rebuilding = old.rebuilding;
        self.retiring = old.retiring;
        self.retiring.push(old.outlets);
        self.world.metrics.reload_pause(started.elapsed());
    }

    /// Takes in what another desk knows and has begun: an earlier bundle's, whose last range is done.
    pub fn absorb(&mut self, other: Self) {
        self.evaluator.adopt(other.evaluator);
        self.rebuilding.extend(other.rebuilding);
        self.retiring.extend(other.retiring);
        self.retiring.push(other.outlets);
    }

    /// When the next block is due by its age.
    pub fn next_due(&self) -> Option<Instant> {
        self.retiring.iter().chain([&self.outlets]).filter_map(Outlets::next_due).min()
    }

    /// Closes the blocks that reached a limit.
    pub fn close_due(&mut self, now: Instant) {
        self.outlets.close_due(now);
        for old in &mut self.retiring {
            old.close_due(now);
        }
        self.retiring.retain(|old| old.next_due().is_some());
    }

    /// Closes every block.
    pub fn close_all(&mut self) {
        for mut old in self.retiring.drain(..) {
            old.close_all();
        }
        self.outlets.close_all();
    }

    /// The whole way of a batch.
    pub fn batch(&mut self, lanes: &Arc<Lanes>, mut parcel: Parcel) {
        let raw = &mut parcel.raw;
        let Some(id) = parcel.id else { return self.rebuild(lanes, raw) };
        if !lanes.is_ours(id) {
            return;
        }
        if let Some((started, records)) = self.rebuilding.remove(&raw.lane) {
            let ms = started.elapsed().as_millis();
            tracing::info!(topic = %raw.position.topic, partition = raw.position.partition, records, ms, "read again what rules remember");
        }
        let events = raw.payloads.len() as u64;
        let settings = lanes.settings();
        let decoded = self.fill(lanes, raw);
        let keep_faults = settings.on_fault != OnFault::Keep;
        let mut outcome = self.evaluator.run(
            &mut self.batch,
            self.decoder.names_mut(),
            &mut self.lookups,
            keep_faults,
        );
        self.bundle.rules.record(&outcome);
        let Position { topic, partition } = &raw.position;
        if let Some(since) = self.evaluator.since(lanes.name(), topic, *partition) {
            lanes.remember(&raw.position, raw.end(), since);
        }

        let (fates, outgoing) = self.deliver(lanes, id, raw, &decoded, &mut outcome);
        parcel.gate.pass(id.seq, outgoing, Outgoing::go);
        lanes.metrics().records.inc_by(events);
        lanes
            .metrics()
            .bytes
            .inc_by(raw.payloads.iter().map(|payload| u64::from(payload.len)).sum());
        lanes.settle(id, fates);
        drop(outcome);
        self.decoder.recycle(&mut self.batch);
        lanes.reuse(std::mem::take(&mut self.batch.arena));
    }

    /// Runs the rules over records whose fates are settled, for what they remember of them alone.
    fn rebuild(&mut self, lanes: &Lanes, raw: &mut RawBatch) {
        let (_, records) = self.rebuilding.entry(raw.lane).or_insert_with(|| (Instant::now(), 0));
        *records += raw.payloads.len() as u64;
        self.fill(lanes, raw);
        self.evaluator.run(&mut self.batch, self.decoder.names_mut(), &mut self.lookups, false);
        self.decoder.recycle(&mut self.batch);
    }

    /// Decodes the records into the batch.
    fn fill(&mut self, lanes: &Lanes, raw: &mut RawBatch) -> Decoded {
        let Self { batch, decoder, bundle, sources, .. } = self;
        let source = sources.get(lanes.name()).copied().unwrap_or(0);
        batch.reset(&bundle.plan.layout);
        fill(batch, decoder, &bundle.plan, source, lanes.settings(), raw)
    }

    /// Hands every output to its sink and says what became of the events.
    fn deliver(
        &mut self,
        lanes: &Arc<Lanes>,
        id: BatchId,
        raw: &RawBatch,
        decoded: &Decoded,
        outcome: &mut Outcome,
    ) -> (Fates, Vec<Outgoing>) {
        let settings = lanes.settings();
        let mut rows = row_fates(outcome, &self.bundle.dead_letters);
        let mut lost: Vec<Undeliverable<'_>> = Vec::new();
        if settings.on_fault != OnFault::Keep {
            withhold(outcome, settings.on_fault, &mut rows, &mut lost);
        }
        let ticket = self.outlets.ticket(lanes, id, raw);
        let names_table = u64::from(self.decoders) << 32
            | (self.decoder.names().generation & u64::from(u32::MAX));
        for routed in outcome.routed.iter().filter(|routed| !routed.rows.is_empty()) {
            let report = self.outlets.append(
                ticket,
                &mut self.batch,
                self.decoder.names(),
                names_table,
                routed,
            );
            for dead in report {
                let event = outcome.origin(dead.row as usize);
                rows[event] = Fate::DeadLettered;
                lost.push(Undeliverable::row(&self.bundle.plan, routed, event as u32, &dead));
            }
        }
        for rolled in &mut outcome.rolled {
            for routed in &rolled.routed {
                let report = self.outlets.append(
                    ticket,
                    &mut rolled.batch,
                    self.decoder.names(),
                    names_table,
                    routed,
                );
                for dead in report {
                    // The event that closed the window has its own fate; the letter stands in its place.
                    let offset = rolled.batch.meta.offsets[dead.row as usize];
                    let known = self.batch.meta.offsets.iter().position(|known| *known == offset);
                    let event = known.unwrap_or(0) as u32;
                    lost.push(Undeliverable::row(&self.bundle.plan, routed, event, &dead));
                }
            }
        }
        let mut fates = Fates::default();
        let mut dead: Vec<i64> = Vec::new();
        for (record, reject) in &decoded.rejected {
            if is_let_go(settings, reject) {
                fates.dropped += 1;
            } else {
                fates.dead_lettered += 1;
                dead.push(raw.offsets[*record as usize]);
                lost.push(Undeliverable::record(*record, reject));
            }
        }
        for (row, fate) in rows.into_iter().enumerate() {
            match fate {
                Fate::Delivered => fates.delivered += 1,
                Fate::Dropped => fates.dropped += 1,
                Fate::DeadLettered => {
                    fates.dead_lettered += 1;
                    dead.push(raw.offsets[decoded.kept[row] as usize]);
                }
            }
        }
        if !dead.is_empty() {
            lanes.note_dead(id, dead);
        }
        if !lost.is_empty() {
            let letters = dead::letters(&lost, raw, &self.batch, decoded, &self.bundle);
            for letter in &letters {
                self.world.metrics.dead_letters(&letter.reason, 1);
            }
            self.outlets.dead(ticket, &letters);
        }
        (fates, self.outlets.end_batch(ticket))
    }
}

/// What becomes of a row's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Dropped,
    DeadLettered,
}

pub(super) fn row_fates(outcome: &Outcome, dead_letters: &DeadLetters) -> Vec<Fate> {
    let mut fates: Vec<Fate> = outcome
        .event_fates()
        .iter()
        .map(|fate| match fate {
            RowFate::Routed => Fate::Delivered,
            RowFate::Dropped { .. } | RowFate::Unrouted => Fate::Dropped,
        })
        .collect();
    for routed in outcome.routed.iter().filter(|routed| Some(routed.sink) == dead_letters.sink) {
        for &row in &routed.rows {
            fates[outcome.origin(row as usize)] = Fate::DeadLettered;
        }
    }
    fates
}

/// Takes events with a fault out of all routes, as `on_fault` says.
pub(super) fn withhold(
    outcome: &mut Outcome,
    on_fault: OnFault,
    fates: &mut [Fate],
    lost: &mut Vec<Undeliverable<'_>>,
) {
    let mut faulty: Vec<_> = std::mem::take(&mut outcome.fault_rows);
    faulty.sort_by_key(|(row, ..)| *row);
    faulty.dedup_by_key(|(row, ..)| *row);
    for (row, site, cause) in faulty {
        // What a rule dropped stays dropped: its fault changed nothing that anybody would see.
        if fates[row as usize] == Fate::Dropped {
            continue;
        }
        let (events, made_of) = (outcome.events, &outcome.made_of);
        let of_event = |at: u32| match (at as usize).checked_sub(events) {
            None => at == row,
            Some(made) => made_of[made] == row,
        };
        for routed in &mut outcome.routed {
            let kept: Vec<bool> = routed.rows.iter().map(|at| !of_event(*at)).collect();
            if kept.contains(&false) {
                let mut keep = kept.iter();
                routed.rows.retain(|_| keep.next().copied().unwrap_or(true));
                let mut keep = kept.iter();
                routed.emit_ix.retain(|_| keep.next().copied().unwrap_or(true));
            }
        }
        if on_fault == OnFault::Drop {
            fates[row as usize] = Fate::Dropped;
        } else {
            fates[row as usize] = Fate::DeadLettered;
            lost.push(Undeliverable::fault(row, site, cause));
        }
    }
}
