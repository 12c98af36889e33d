//! Which partition is worked on where: the books of a source and the way of its batches to the workers.
//!
//! Invariant: a batch is entered in the books when it is read, so the books know the order whoever computes it; and while rules keep state,
//! a lane belongs to one worker, so its batches are computed in order.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use logmon_dsl::column::Arena;

use super::{
    budget::{Budget, Share},
    bundle::Bundle,
    crew::{Crew, Loose},
    deliver::Outgoing,
    exact::{
        Tag,
        growing::Made,
        ranges::{Ended, Ranges},
        runner::Word,
    },
    gate::Gate,
    worker::Job,
};
use crate::{
    config::Source,
    delivery::{
        LaneId, Ledger, Position, ledger::BatchId, ledger::Fates, protocol::Commit as Outcome,
    },
    http::{Part, Status},
    metrics::SourceMetrics,
    source::{Commit, Intake, RawBatch, Resume},
};

/// Batches of a lane that may be under way where one worker has them all: enough to keep it busy while the reader goes round the others; more
/// would only fill memory.
const ORDERED_MAX: usize = 3;

/// Batches of a lane that may be under way for each worker where any of them may take one: a single partition keeps them all busy.
const LOOSE_MAX: usize = 4;

/// A batch of so many records or bytes has others behind it: reading ends a batch there, or nearly.
const BACKLOG_RECORDS: usize = 1536;
const BACKLOG_BYTES: usize = 288 << 10;

/// Notes of one partition that wait for a commit: more batches than a second of any partition has.
const NOTES_MAX: usize = 65_536;

/// How long a partition that is taken away may wait for inserts under way; what is not done by then is read again by the next owner.
pub const REVOKE_WAIT: Duration = Duration::from_secs(3);

/// A raw batch on its way, with its share of the memory budget.
#[derive(Debug)]
pub struct Parcel {
    /// The records.
    pub raw: RawBatch,
    /// What the books know it by; `None` where its fates are settled and only what rules remember is missing.
    pub id: Option<BatchId>,
    /// Memory they take.
    pub share: Share,
    /// Where outputs that keep the partition's order pass.
    pub gate: Arc<Gate<Outgoing>>,
    /// Under exactly-once: the rules for it, and its range unless it is read again for what rules remember.
    pub exact: Option<(Arc<Bundle>, Option<Arc<Tag>>)>,
    // Dropped in this order: who sees that nothing of the lane is under way may still see a batch for anybody, never the other way round.
    _under_way: UnderWay,
    _loose: Option<Loose>,
}

/// Counts one batch of a lane, until it is dropped.
#[derive(Debug)]
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Lane {
    /// Who has its batches while order must be kept.
    worker: usize,
    under_way: Arc<AtomicUsize>,
    /// Whether what is under way went to one worker.
    ordered: bool,
    gate: Arc<Gate<Outgoing>>,
}

/// Watermarks of a partition, for the lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that Kafka holds.
    pub low: i64,
    /// One past the last offset that Kafka holds.
    pub high: i64,
}

/// The lanes of one source.
#[derive(Debug)]
pub struct Lanes {
    /// Itself, for the parcels.
    me: Weak<Self>,
    settings: Source,
    metrics: SourceMetrics,
    crew: Arc<Crew>,
    budget: Arc<Budget>,
    known: Mutex<HashMap<LaneId, Lane>>,
    ledger: Mutex<Ledger>,
    /// Told whenever a batch closes.
    closed: Condvar,
    status: Arc<Status>,
    watermarks: Mutex<HashMap<Position, Watermarks>>,
    /// Where each partition must be read from to know what rules remember of it: at the ends of its batches, in order.
    since: Mutex<HashMap<Position, VecDeque<(i64, i64)>>>,
    stopping: AtomicBool,
    /// The ranges of its partitions, where a table takes each row once.
    ranges: Option<Ranges>,
    /// When reading stood still because the budget was spent.
    paused: Mutex<Paused>,
}

#[derive(Debug, Default)]
struct Paused {
    since: Option<Instant>,
    total: Duration,
}

impl Lanes {
    /// No lane yet.
    pub fn new(
        settings: Source,
        crew: Arc<Crew>,
        budget: Arc<Budget>,
        status: Arc<Status>,
        ranges: Option<Ranges>,
    ) -> Arc<Self> {
        let metrics = status.metrics().source(&settings.name);
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            settings,
            metrics,
            crew,
            budget,
            known: Mutex::default(),
            ledger: Mutex::default(),
            closed: Condvar::new(),
            status,
            watermarks: Mutex::default(),
            since: Mutex::default(),
            stopping: AtomicBool::new(false),
            ranges,
            paused: Mutex::default(),
        })
    }

    /// The source's settings.
    pub fn settings(&self) -> &Source {
        &self.settings
    }

    /// The source's name in the rules.
    pub fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// Notes where a partition must be read from to know what rules remember of it at that offset.
    pub fn remember(&self, position: &Position, offset: i64, since: i64) {
        let mut all = self.since.lock().expect("no thread panics while it holds the notes");
        let notes = all.entry(position.clone()).or_default();
        notes.push_back((offset, since));
        if notes.len() > NOTES_MAX {
            notes.pop_front();
        }
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.settings.group
    }

    /// The source's counters.
    pub fn metrics(&self) -> &SourceMetrics {
        &self.metrics
    }

    /// The books.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no thread panics while it holds the books")
    }

    /// Takes the memory of a batch that is done, for the next one.
    pub fn reuse(&self, arena: Arena) {
        self.crew.reuse(arena);
    }

    /// Whether a batch's partition is still ours. What is not is thrown away: its next owner reads it again.
    pub fn is_ours(&self, batch: BatchId) -> bool {
        self.ledger().is_ours(batch)
    }

    /// That many rows of the batch went into units.
    pub fn hold(&self, batch: BatchId, rows: u64) {
        self.ledger().hold(batch, rows);
    }

    /// That many rows of the batch were acknowledged.
    pub fn release(&self, batch: BatchId, rows: u64) {
        self.ledger().release(batch, rows);
        self.tell_closed(batch.lane);
    }

    fn tell_closed(&self, lane: LaneId) {
        self.closed.notify_all();
        if let Some(ranges) = &self.ranges {
            ranges.tell_closed(lane);
        }
    }

    /// Hands a range's blocks to whoever names and stores it.
    pub fn made(&self, tag: Arc<Tag>, made: Vec<Made>, share: Share) {
        if let Some(ranges) = &self.ranges {
            let lane = tag.lane;
            ranges.tell(lane, Word::Made(tag, made, share));
        }
    }

    /// Has an offset committed with a note.
    pub fn ask_commit(&self, commit: Commit) {
        if let Some(ranges) = &self.ranges {
            ranges.request(commit);
        }
    }

    /// Where a partition must be read from to know what rules remember of it at that offset, if they remember anything.
    pub fn noted(&self, position: &Position, offset: i64) -> Option<i64> {
        Intake::since(self, position, offset)
    }

    /// Ends every open range: what is read is brought to its end.
    pub fn end_ranges(&self) {
        if let Some(ranges) = &self.ranges {
            let mut ended = Vec::new();
            ranges.end(None, &mut ended);
            self.tell_ended(ended);
        }
    }

    /// Whoever builds a range hears of its end behind its last batch.
    fn tell_ended(&self, ended: Vec<Ended>) {
        for Ended { tag, worker } in ended {
            let lanes = self.me.upgrade().expect("called through a living Arc");
            self.crew.give_to(worker, Job::End { lanes, tag });
        }
    }

    /// A sink refused what came of an event: it becomes a dead letter. Called while the refused row is held.
    pub fn buried(&self, lane: LaneId, offset: i64) {
        self.ledger().bury(lane, offset);
    }

    /// These events of the batch are dead letters, as its fates will say.
    pub fn note_dead(&self, batch: BatchId, offsets: Vec<i64>) {
        self.ledger().note_dead(batch, offsets);
    }

    /// The worker is done with the batch.
    pub fn settle(&self, batch: BatchId, fates: Fates) {
        self.ledger().settle(batch, fates);
        self.tell_closed(batch.lane);
    }

    /// How far the partitions reach.
    pub fn watermarks(&self) -> Vec<(Position, Watermarks)> {
        let watermarks =
            self.watermarks.lock().expect("no thread panics while it holds watermarks");
        let mut list: Vec<_> =
            watermarks.iter().map(|(position, marks)| (position.clone(), *marks)).collect();
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    }

    /// How long reading stood still because the memory budget was spent.
    pub fn paused(&self) -> Duration {
        let paused = self.paused.lock().expect("no thread panics while it holds a duration");
        paused.total + paused.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// No more batches are taken; what was taken is finished.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Waits until nothing is open, at most until the deadline. Returns whether that was reached.
    pub fn wait_idle(&self, deadline: Instant) -> bool {
        self.wait(deadline, Ledger::is_idle)
    }

    /// Whether workers have batches to compute.
    pub fn is_busy(&self) -> bool {
        self.lock_lanes().values().any(|lane| lane.under_way.load(Ordering::SeqCst) > 0)
    }

    fn wait(&self, deadline: Instant, done: impl Fn(&Ledger) -> bool) -> bool {
        let mut ledger = self.ledger();
        loop {
            if done(&ledger) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            ledger = self
                .closed
                .wait_timeout(ledger, left)
                .expect("no thread panics while it holds the books")
                .0;
        }
    }

    fn take_exactly(
        &self,
        ranges: &Ranges,
        batch: RawBatch,
        id: Option<BatchId>,
        mut known: MutexGuard<'_, HashMap<LaneId, Lane>>,
    ) {
        let Some(lane) = known.get_mut(&batch.lane) else { return };
        let mut ended = Vec::new();
        // As full as reading makes them: then more records wait.
        let is_full = batch.payloads.len() >= BACKLOG_RECORDS || batch.arena.len() >= BACKLOG_BYTES;
        let workers = self.crew.n_workers();
        if let Some(id) = id {
            // One hold for the range as a whole.
            self.ledger().hold(id, 1);
        }
        let admitted = ranges.admit(&batch, id, lane.worker, workers, is_full, &mut ended);
        let Some(admitted) = admitted else { return };
        lane.under_way.fetch_add(1, Ordering::SeqCst);
        let lane_id = batch.lane;
        let parcel = Parcel {
            id,
            share: self.budget.take(batch.arena.capacity()),
            raw: batch,
            gate: Arc::clone(&lane.gate),
            exact: Some((admitted.bundle, admitted.tag.clone())),
            _under_way: UnderWay(Arc::clone(&lane.under_way)),
            _loose: None,
        };
        drop(known);
        let lanes = self.me.upgrade().expect("called through a living Arc");
        // A range that ended before this batch is told of first; the batch's own range, where it ends with it, behind it.
        let (own, before): (Vec<Ended>, Vec<Ended>) = ended.into_iter().partition(|ended| {
            admitted.tag.as_ref().is_some_and(|tag| Arc::ptr_eq(tag, &ended.tag))
        });
        self.tell_ended(before);
        self.crew.give_to(admitted.worker, Job::Batch { lanes, parcel: Box::new(parcel) });
        self.tell_ended(own);
        tracing::trace!(lane = lane_id.0, worker = admitted.worker, "a batch of a range");
    }

    fn lock_lanes(&self) -> MutexGuard<'_, HashMap<LaneId, Lane>> {
        self.known.lock().expect("no thread panics while it holds the lanes")
    }

    fn note_pause(&self, room: bool) {
        let mut paused = self.paused.lock().expect("no thread panics while it holds a duration");
        match (room, paused.since) {
            (false, None) => paused.since = Some(Instant::now()),
            (true, Some(since)) => {
                paused.total += since.elapsed();
                paused.since = None;
            }
            _ => {}
        }
    }
}

impl Intake for Lanes {
    fn assigned(&self, position: Position) -> LaneId {
        let id = self.ledger().assign(position.clone());
        let mut lanes = self.lock_lanes();
        // The worker with the fewest lanes; ties go to the first, so an even number of partitions spreads evenly.
        let load = |worker: usize| lanes.values().filter(|lane| lane.worker == worker).count();
        let worker = (0..self.crew.n_workers())
            .min_by_key(|&worker| load(worker))
            .expect("there is at least one worker");
        let lane = Lane { worker, under_way: Arc::default(), ordered: false, gate: Arc::default() };
        lanes.insert(id, lane);
        tracing::info!(topic = %position.topic, partition = position.partition, "assigned");
        id
    }

    fn revoking(&self, lanes: &[LaneId]) -> Vec<(Position, i64)> {
        {
            let mut known = self.lock_lanes();
            for lane in lanes {
                known.remove(lane);
            }
        }
        if let Some(ranges) = &self.ranges {
            // What is named may end; what is only built is read again by the next owner.
            let mut ended = Vec::new();
            ranges.end(Some(lanes), &mut ended);
            self.tell_ended(ended);
            return Vec::new();
        }
        let deadline = Instant::now() + REVOKE_WAIT;
        self.wait(deadline, |ledger| lanes.iter().all(|&lane| ledger.is_settled(lane)));
        // Workers close their open blocks, so that nothing of these lanes waits for its age.
        self.crew.tell(|| Job::Flush);
        self.wait(deadline, |ledger| lanes.iter().all(|&lane| ledger.is_drained(lane)));
        let ledger = self.ledger();
        ledger
            .committable()
            .into_iter()
            .filter(|(lane, _, _)| lanes.contains(lane))
            .map(|(_, position, offset)| (position, offset))
            .collect()
    }

    fn last_words(&self, lanes: &[LaneId]) -> Vec<Commit> {
        let Some(ranges) = &self.ranges else { return Vec::new() };
        ranges.leave(lanes, Instant::now() + REVOKE_WAIT)
    }

    fn resume(&self, lane: LaneId, offset: i64, note: &[u8]) -> Resume {
        let Some(ranges) = &self.ranges else { return Resume::default() };
        let position = self.ledger().lanes().find(|(id, _)| *id == lane).map(|(_, at)| at.clone());
        position.map_or_else(Resume::default, |position| {
            ranges.resume(&self.me, lane, &position, offset, note)
        })
    }

    fn commits(&self) -> Vec<Commit> {
        self.ranges.as_ref().map_or_else(Vec::new, Ranges::take_requests)
    }

    fn begins_anew(&self) -> bool {
        self.ranges.as_ref().is_some_and(Ranges::take_anew)
    }

    fn answered(&self, commit: &Commit, outcome: Outcome) {
        if let Some(ranges) = &self.ranges {
            ranges.tell(commit.lane, Word::Committed(outcome));
        }
    }

    fn revoked(&self, lanes: &[LaneId]) {
        if let Some(ranges) = &self.ranges {
            ranges.gone(lanes);
        }
        let mut known = self.lock_lanes();
        let mut ledger = self.ledger();
        let mut watermarks =
            self.watermarks.lock().expect("no thread panics while it holds watermarks");
        for lane in lanes {
            known.remove(lane);
            if let Some(position) =
                ledger.lanes().find(|(id, _)| id == lane).map(|(_, position)| position.clone())
            {
                watermarks.remove(&position);
                self.since
                    .lock()
                    .expect("no thread panics while it holds the notes")
                    .remove(&position);
                tracing::info!(topic = %position.topic, partition = position.partition, "revoked");
            }
            ledger.revoke(*lane);
        }
    }

    fn has_room(&self, lane: LaneId) -> bool {
        if self.stopping.load(Ordering::Acquire) {
            return false;
        }
        let room = self.budget.has_room();
        self.note_pause(room);
        if let Some(ranges) = &self.ranges {
            let mut ended = Vec::new();
            let room = ranges.has_room(lane, room, &mut ended);
            self.tell_ended(ended);
            let lanes = self.lock_lanes();
            return room
                && lanes
                    .get(&lane)
                    .is_some_and(|lane| lane.under_way.load(Ordering::SeqCst) < LOOSE_MAX);
        }
        if !room {
            return false;
        }
        let lanes = self.lock_lanes();
        let Some(lane) = lanes.get(&lane) else { return false };
        let under_way = lane.under_way.load(Ordering::SeqCst);
        if self.crew.is_ordered() {
            // What went to anybody ends before the lane's one worker begins.
            under_way < ORDERED_MAX && (lane.ordered || under_way == 0)
        } else {
            under_way < self.crew.n_workers() * LOOSE_MAX
                && (!lane.ordered || under_way == 0)
                && self.crew.has_room()
        }
    }

    fn spare(&self) -> Option<Arena> {
        self.crew.spare()
    }

    fn take(&self, batch: RawBatch) {
        let mut known = self.lock_lanes();
        let Some(lane) = known.get_mut(&batch.lane) else { return };
        let events = batch.payloads.len() as u64;
        let id = if batch.again {
            None
        } else {
            let id = self.ledger().open(batch.lane, events, batch.end());
            if id.is_none() {
                return;
            }
            id
        };
        if let Some(ranges) = &self.ranges {
            return self.take_exactly(ranges, batch, id, known);
        }
        // Counted before the look at the order: whoever asks for order either waits for this batch or is seen here. A lane that has batches with
        // anybody goes on so until they are done.
        let loose = self.crew.loose();
        let is_loose =
            !self.crew.is_ordered() || (!lane.ordered && lane.under_way.load(Ordering::SeqCst) > 0);
        lane.ordered = !is_loose;
        lane.under_way.fetch_add(1, Ordering::SeqCst);
        let parcel = Parcel {
            id,
            share: self.budget.take(batch.arena.capacity()),
            raw: batch,
            gate: Arc::clone(&lane.gate),
            exact: None,
            _under_way: UnderWay(Arc::clone(&lane.under_way)),
            _loose: is_loose.then_some(loose),
        };
        let worker = lane.worker;
        drop(known);
        let lanes = self.me.upgrade().expect("called through a living Arc");
        let job = Job::Batch { lanes, parcel: Box::new(parcel) };
        if is_loose {
            self.crew.give(job);
        } else {
            self.crew.give_to(worker, job);
        }
    }

    fn committable(&self) -> Vec<(LaneId, Position, i64)> {
        // Under exactly-once each offset is committed with what it says of the range behind it.
        if self.ranges.is_some() { Vec::new() } else { self.ledger().committable() }
    }

    fn since(&self, position: &Position, offset: i64) -> Option<i64> {
        let mut all = self.since.lock().expect("no thread panics while it holds the notes");
        let notes = all.get_mut(position)?;
        // The last note at or before the offset stays: the same offset may be committed again.
        while notes.get(1).is_some_and(|(end, _)| *end <= offset) {
            notes.pop_front();
        }
        notes.front().filter(|(end, _)| *end <= offset).map(|(_, since)| *since)
    }

    fn committed(&self, lane: LaneId, offset: i64) {
        self.ledger().committed(lane, offset);
    }

    fn damaged(&self, _: &Position, offsets: u64) {
        self.metrics.damaged.inc_by(offsets);
    }

    fn report(&self, problem: Option<String>) {
        let _news = match problem {
            Some(sentence) => self.status.trouble(Part::Source, self.name(), sentence),
            None => self.status.well(Part::Source, self.name()),
        };
    }

    fn watermarks(&self, position: &Position, low: i64, high: i64) {
        let marks = Watermarks { low, high };
        self.watermarks
            .lock()
            .expect("no thread panics while it holds watermarks")
            .insert(position.clone(), marks);
    }
}
