//! The ranges of a source's partitions as the reading thread cuts them: which batch belongs to which range, and who builds it.
//!
//! Invariant: a range has one bundle and one worker, and the ranges of a partition follow each other without a gap.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{
    Tag, UnderWay,
    runner::{Runner, Word},
};
use crate::{
    clock::Clock as _,
    delivery::{
        LaneId, Position,
        failpoint::{self, Place},
        intent::{BundleId, Intent, Note, Unreadable},
        ledger::BatchId,
        protocol::{Effect, Input, Protocol},
        range::{Growing, Limits},
    },
    pipeline::{
        bundle::{Bundle, Outlet, World},
        lanes::Lanes,
    },
    source::{Commit, RawBatch, Resume},
};

/// Ranges of one partition that may be under way: one is inserted, one is built and waits for its turn, one grows.
const RANGES_MAX: usize = 3;

/// A range with this many payload bytes is worth ending when the memory is spent.
const CUT_SPENT: usize = 1 << 20;

/// How long the records of a named range may be waited for once they have begun to come: what does not come by then is gone from Kafka.
const NAMED_WAIT: Duration = Duration::from_secs(10);

/// The age at which a range ends, whatever its tables say.
const AGE_MAX: Duration = Duration::from_mins(1);

/// The age at which one ends that no table waits for.
const AGE_LOOSE: Duration = Duration::from_secs(1);

/// How much of its age a range may have grown when it is ended: the rest is for building, naming and storing it.
const AGE_PART: (u32, u32) = (3, 4);

/// So many times what a block may hold is read for one range: records are larger than the rows that come of them, and not all do.
const RECORDS: usize = 4;

/// The ranges of one source.
#[derive(Debug)]
pub struct Ranges {
    world: Arc<World>,
    bundle: Arc<ArcSwap<Bundle>>,
    lanes: Mutex<HashMap<LaneId, Lane>>,
    requests: Mutex<Vec<Commit>>,
    /// Whether partitions are to begin anew: what one stands still for may be gone.
    anew: AtomicBool,
}

#[derive(Debug)]
struct Lane {
    runner: tokio::sync::mpsc::Sender<Word>,
    closed: Arc<tokio::sync::Notify>,
    inc: u64,
    /// Where the next range begins.
    next: i64,
    open: Option<Open>,
    named: Option<Named>,
    under_way: Arc<AtomicUsize>,
    /// Whether the last batch was as large as a batch may be: more of them wait.
    backlog: bool,
    parked: Arc<AtomicBool>,
    /// What ran when its last range began, and the rules of that range.
    seen: Arc<Bundle>,
    of: Arc<Bundle>,
}

#[derive(Debug)]
struct Open {
    tag: Arc<Tag>,
    growing: Growing,
    worker: usize,
}

/// A range that an earlier owner named, until its records are read.
#[derive(Debug)]
struct Named {
    intent: Arc<Intent>,
    /// Its rules, as soon as they are there; `None` in it where they are nowhere.
    bundle: Arc<OnceLock<Option<Arc<Bundle>>>>,
}

/// Where a batch goes.
#[derive(Debug)]
pub struct Admitted {
    /// The rules for it.
    pub bundle: Arc<Bundle>,
    /// Its range; `None` for records that are read again for what rules remember of them.
    pub tag: Option<Arc<Tag>>,
    /// Who computes it.
    pub worker: usize,
}

/// A range that is to be ended: whoever builds it hears of it behind its last batch.
#[derive(Debug)]
pub struct Ended {
    /// The range.
    pub tag: Arc<Tag>,
    /// Who builds it.
    pub worker: usize,
}

impl Ranges {
    /// No range yet.
    pub fn new(world: Arc<World>, bundle: Arc<ArcSwap<Bundle>>) -> Self {
        Self {
            world,
            bundle,
            lanes: Mutex::default(),
            requests: Mutex::default(),
            anew: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LaneId, Lane>> {
        self.lanes.lock().expect("no thread panics while it holds the ranges")
    }

    /// Begins a partition with what stands beside its committed offset.
    pub fn resume(
        &self,
        lanes: &Weak<Lanes>,
        lane: LaneId,
        position: &Position,
        offset: i64,
        note: &[u8],
    ) -> Resume {
        let note = Note::decode(note);
        let (topic, partition) = (&position.topic, position.partition);
        match &note {
            Err(Unreadable::Foreign) if !note_is_ours(&note) => {
                tracing::info!(%topic, partition, offset, "the note beside the committed offset is no intent: nothing is taken over");
            }
            Err(Unreadable::Damaged) => {
                tracing::error!(%topic, partition, offset, "the note beside the committed offset is damaged: a range may have been under way, so look with `audit`");
            }
            _ => {}
        }
        let mut protocol = Protocol::default();
        let inc = fresh_incarnation(self.world.incarnation, position, self.world.clock.now());
        let effects = protocol.step(Input::Loaded { offset, note, inc });
        let named = effects.iter().find_map(|effect| match effect {
            Effect::Rebuild(intent) => Some(Arc::clone(intent)),
            _ => None,
        });
        let mut resume = Resume::default();
        let named = named.map(|intent| {
            failpoint::pass(Place::Recovering);
            self.world.metrics.recoveries.inc();
            tracing::info!(%topic, partition, start = intent.range.start, end = intent.range.end, bundle = %intent.bundle, "takes over a range that was under way");
            resume.ends = Some(intent.range.end);
            if intent.since < intent.range.start {
                resume.since = Some(intent.since);
            }
            let bundle = self.find(intent.bundle);
            Named { intent, bundle }
        });
        let parked = Arc::new(AtomicBool::new(false));
        let closed = Arc::<tokio::sync::Notify>::default();
        let entry = Lane {
            inc: protocol.inc(),
            runner: Runner::start(
                Arc::clone(&self.world),
                Weak::clone(lanes),
                (lane, position.clone()),
                protocol,
                effects,
                Arc::clone(&parked),
                Arc::clone(&closed),
            ),
            closed,
            next: offset,
            open: None,
            named,
            under_way: Arc::default(),
            backlog: false,
            parked,
            seen: self.bundle.load_full(),
            of: self.bundle.load_full(),
        };
        self.lock().insert(lane, entry);
        resume
    }

    /// The bundle of that name: the one that runs, or one that was saved, brought up beside.
    fn find(&self, id: BundleId) -> Arc<OnceLock<Option<Arc<Bundle>>>> {
        let place = Arc::new(OnceLock::new());
        let current = self.bundle.load_full();
        if current.id() == id {
            let _first = place.set(Some(current));
            return place;
        }
        let (world, found) = (Arc::clone(&self.world), Arc::clone(&place));
        let spawned = std::thread::Builder::new().name("bundle".into()).spawn(move || {
            let bundle = world.saved_bundle(id, &current).map(Arc::new);
            let _first = found.set(bundle);
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to bring up an earlier bundle");
            let _first = place.set(None);
        }
        place
    }

    /// Whether a partition may be read on now; ends its range where a limit is reached.
    pub fn has_room(&self, lane: LaneId, budget_has_room: bool, out: &mut Vec<Ended>) -> bool {
        let mut lanes = self.lock();
        let now = Instant::now();
        let bundle = self.bundle.load();
        let heavy = lanes.values().filter(|lane| lane.backlog && lane.open.is_some()).count();
        let Some(one) = lanes.get_mut(&lane) else { return false };
        if one.may_go_on(&bundle) {
            self.anew.store(true, Ordering::Release);
        }
        if one.parked.load(Ordering::Relaxed) {
            return false;
        }
        if let Some(named) = &one.named {
            if named.bundle.get().is_none() {
                return false;
            }
            if one.open.as_ref().is_some_and(|open| now - open.growing.opened > NAMED_WAIT) {
                let (topic, partition) =
                    (&one.open.as_ref().expect("looked at above").tag.position.topic, one.inc);
                tracing::warn!(%topic, partition, "records of a named range are gone from Kafka");
                one.end(out);
            }
            return one.named.is_some() || budget_has_room;
        }
        if let Some(open) = &one.open {
            let limits = limits(&bundle);
            let spent = !budget_has_room && open.growing.bytes >= CUT_SPENT;
            if spent || open.tag.full.load(Ordering::Relaxed) || open.growing.is_due(&limits, now) {
                one.end(out);
            }
        }
        // Partitions with a backlog are worked off a few at a time: their blocks become full instead of many.
        let has_turn =
            one.open.is_some() || !one.backlog || heavy < self.world.config.engine.threads.max(1);
        budget_has_room
            && has_turn
            && (one.open.is_some() || one.under_way.load(Ordering::SeqCst) < RANGES_MAX)
    }

    /// Takes a batch into its range. `worker` says who computes for the lane where its rules keep state.
    pub fn admit(
        &self,
        batch: &RawBatch,
        id: Option<BatchId>,
        pinned: usize,
        workers: usize,
        is_full: bool,
        out: &mut Vec<Ended>,
    ) -> Option<Admitted> {
        let mut lanes = self.lock();
        let mut load = vec![0_usize; workers];
        for open in lanes.values().filter_map(|lane| lane.open.as_ref()) {
            load[open.worker] += 1;
        }
        let lane = lanes.get_mut(&batch.lane)?;
        lane.backlog = is_full;
        let current = self.bundle.load_full();
        let named = lane.named.as_ref().filter(|_| batch.again || batch.named);
        let bundle = match named {
            Some(named) => named.bundle.get().cloned().flatten(),
            None => None,
        };
        let bundle = bundle.unwrap_or_else(|| Arc::clone(&current));
        if batch.again {
            return Some(Admitted { bundle, tag: None, worker: pinned });
        }
        if lane.named.is_some() && !batch.named {
            // The last records of the named range are gone: what comes now lies behind it.
            lane.end(out);
            lane.named = None;
        }
        if lane.open.as_ref().is_some_and(|open| !Arc::ptr_eq(&open.tag.bundle, &bundle)) {
            lane.end(out);
        }
        let worker = match &lane.open {
            Some(open) => open.worker,
            None if bundle.plan.is_stateful() => pinned,
            None => (0..workers).min_by_key(|&worker| load[worker])?,
        };
        let now = Instant::now();
        let intent = lane.named.as_ref().map(|named| Arc::clone(&named.intent));
        if lane.open.is_none() {
            (lane.seen, lane.of) = (current, Arc::clone(&bundle));
            let tag = Tag {
                id: self.world.office.next_chunk(),
                lane: batch.lane,
                position: batch.position.clone(),
                start: lane.next,
                inc: lane.inc,
                t0: intent.as_ref().map_or_else(|| self.world.clock.now(), |intent| intent.t0),
                bundle: Arc::clone(&bundle),
                named: intent.is_some(),
                batches: Mutex::default(),
                full: AtomicBool::new(false),
                _under_way: UnderWay::one(&lane.under_way),
            };
            lane.open =
                Some(Open { tag: Arc::new(tag), growing: Growing::open(lane.next, now), worker });
        }
        let open = lane.open.as_mut().expect("opened above");
        let bytes = batch.payloads.iter().map(|payload| payload.len as usize).sum();
        open.growing.extend(batch.end(), batch.payloads.len(), bytes);
        open.tag.batches.lock().expect("no thread panics while it holds numbers").extend(id);
        let admitted = Admitted { bundle, tag: Some(Arc::clone(&open.tag)), worker: open.worker };
        if intent.is_some_and(|intent| batch.end() >= intent.range.end) {
            lane.end(out);
        }
        Some(admitted)
    }

    /// Ends the open ranges of these lanes, or of all.
    pub fn end(&self, which: Option<&[LaneId]>, out: &mut Vec<Ended>) {
        let mut lanes = self.lock();
        let mut ids: Vec<LaneId> = lanes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if which.is_none_or(|which| which.contains(&id))
                && let Some(lane) = lanes.get_mut(&id)
            {
                lane.end(out);
            }
        }
    }

    /// Says something to the runner of a lane.
    pub fn tell(&self, lane: LaneId, word: Word) {
        if let Some(lane) = self.lock().get(&lane) {
            let _gone = lane.runner.try_send(word);
        }
    }

    /// Something of a lane was acknowledged.
    pub fn tell_closed(&self, lane: LaneId) {
        if let Some(lane) = self.lock().get(&lane) {
            lane.closed.notify_one();
        }
    }

    /// Has the runners of lanes come to rest, until the deadline, and returns what they want committed last.
    pub fn leave(&self, which: &[LaneId], deadline: Instant) -> Vec<Commit> {
        failpoint::pass(Place::Revoking);
        let (sender, heard) = mpsc::channel();
        let mut asked = 0;
        for id in which {
            if let Some(lane) = self.lock().get(id)
                && lane.runner.try_send(Word::Leave(sender.clone())).is_ok()
            {
                asked += 1;
            }
        }
        drop(sender);
        let mut words = Vec::new();
        for _ in 0..asked {
            let left = deadline.saturating_duration_since(Instant::now());
            match heard.recv_timeout(left) {
                Ok(word) => words.extend(word),
                Err(_) => break,
            }
        }
        words
    }

    /// Lanes are gone.
    pub fn gone(&self, which: &[LaneId]) {
        let mut lanes = self.lock();
        for id in which {
            if let Some(lane) = lanes.remove(id) {
                let _gone = lane.runner.try_send(Word::Gone);
            }
        }
        let mut requests = self.requests();
        requests.retain(|commit| !which.contains(&commit.lane));
    }

    /// Whether partitions are to begin anew; said once.
    pub fn take_anew(&self) -> bool {
        self.anew.swap(false, Ordering::AcqRel)
    }

    /// Asks for a commit.
    pub fn request(&self, commit: Commit) {
        self.requests().push(commit);
    }

    /// The commits that were asked for.
    pub fn take_requests(&self) -> Vec<Commit> {
        std::mem::take(&mut self.requests())
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Commit>> {
        self.requests.lock().expect("no thread panics while it holds requests")
    }
}

impl Lane {
    /// Whether it stands still, and the tables were read again since, or other rules run. Said once for each time.
    fn may_go_on(&mut self, now: &Arc<Bundle>) -> bool {
        if Arc::ptr_eq(&self.seen, now) {
            return false;
        }
        let tables = self.of.exact_tables();
        let stale = tables.iter().filter(|(table, _)| table.take_stale()).count() > 0;
        let stands = stale || self.parked.load(Ordering::Relaxed);
        if stands {
            self.seen = Arc::clone(now);
        }
        stands
    }

    fn end(&mut self, out: &mut Vec<Ended>) {
        let Some(open) = self.open.take() else { return };
        let mut end = open.growing.range.end;
        if let Some(named) = self.named.take_if(|_| open.tag.named) {
            // Also where its last records are gone: the intent says where it ends.
            end = named.intent.range.end;
        }
        self.next = end;
        // In the runner's own order: it hears of the end before it can hear of the blocks.
        let _gone = self.runner.try_send(Word::Ended(Arc::clone(&open.tag), end));
        out.push(Ended { tag: open.tag, worker: open.worker });
    }
}

/// What ends a range of a bundle: the smallest limits of its exactly-once tables. A block that is full ends it too; records are counted for those of which
/// little comes to rows.
fn limits(bundle: &Bundle) -> Limits {
    // Where no table of these rules takes each row once, a range only says how far the offset may move.
    let age = if bundle.is_exact() { AGE_MAX } else { AGE_LOOSE };
    let mut limits = Limits { records: usize::MAX, bytes: usize::MAX, age };
    let tables = bundle.outlets.iter().filter_map(|outlet| match outlet {
        Outlet::Table { limits, exact: Some(_), .. } => Some(limits),
        Outlet::Table { .. } | Outlet::Topic { .. } => None,
    });
    for one in tables {
        limits.records = limits.records.min(one.rows.saturating_mul(RECORDS));
        let bytes = usize::try_from(one.bytes.0).unwrap_or(usize::MAX);
        limits.bytes = limits.bytes.min(bytes.saturating_mul(RECORDS));
        limits.age = limits.age.min(one.age.0 * AGE_PART.0 / AGE_PART.1);
    }
    limits
}

fn note_is_ours(note: &Result<Note, Unreadable>) -> bool {
    matches!(note, Ok(_) | Err(Unreadable::Empty | Unreadable::Newer(_)))
}

/// A number that no earlier incarnation of a partition had: the process's own, the place and the time, mixed. Its lower half is never 0, which
/// stands for rows without one.
fn fresh_incarnation(process: u64, position: &Position, now: i64) -> u64 {
    let text = format!("{}/{}/{now}", position.topic, position.partition);
    xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), process) | 1
}
