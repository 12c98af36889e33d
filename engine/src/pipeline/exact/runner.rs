//! One task a partition: feeds the protocol with what happens, and carries out what it says.
//!
//! Invariant: whatever answers comes back under the number of the turn that asked; what is late says nothing.

mod sending;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc as sync_mpsc,
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{
    Tag,
    growing::Made,
    refused::Cut,
    repair::{Looked, Missing, Progress},
    table::{Name, Unit},
};
use crate::{
    delivery::{
        LaneId, Position,
        failpoint::{self, Place},
        intent::{Intent, Note, Units},
        protocol::{Commit as Outcome, Count, Differs, Effect, Input, Parked, Protocol, Reply},
        range::Range,
        unit::Held,
    },
    http::Part,
    pipeline::{budget::Share, bundle::World, lanes::Lanes},
    sink::clickhouse::Hand,
    source::Commit,
};

/// A range that is done waits so long for the next one before its end is committed by itself.
const QUIET: Duration = Duration::from_secs(1);

/// Words that may wait for a runner: more than its ranges under way, its one commit and its end can make.
pub const WORDS: usize = 64;

/// What a runner hears.
#[derive(Debug)]
pub enum Word {
    /// A range ends before this offset.
    Ended(Arc<Tag>, i64),
    /// Its blocks.
    Made(Arc<Tag>, Vec<Made>, Share),
    /// The commit under way ended.
    Committed(Outcome),
    /// Come to rest, and say what is to be committed last.
    Leave(sync_mpsc::Sender<Option<Commit>>),
    /// The partition is gone.
    Gone,
}

/// A range whose blocks are bytes.
#[derive(Debug)]
struct Built {
    tag: Arc<Tag>,
    units: Arc<Vec<Unit>>,
    _share: Share,
}

/// What a task of the runner brings back.
#[derive(Debug)]
enum Brought {
    /// A range's blocks as bytes.
    Bytes(Arc<Tag>, Vec<Unit>, Share),
    /// An answer to an effect of that turn, and a connection for what follows on it.
    Answer(u64, Input, Option<(usize, Hand)>),
    /// Connections for a range's first tries.
    Connected(u64, Hands),
    /// What a range that is repaired lacks.
    Looked(u64, Looked, Progress),
    /// It was sent, or could not be.
    Added(u64, Progress),
    /// A unit without the rows that the server refuses.
    Cut(u64, usize, Box<Cut>),
    /// The units of a recovered range, without the rows that were refused before.
    Recut(u64, Vec<Unit>),
    /// A commit is to be asked for once more.
    Again(u64),
}

/// Connections by sink: each serves one unit after the other.
type Hands = HashMap<Arc<str>, Vec<Hand>>;

/// The task of one partition.
#[derive(Debug)]
pub struct Runner {
    world: Arc<World>,
    lanes: Weak<Lanes>,
    lane: LaneId,
    position: Position,
    protocol: Protocol,
    /// Where ranges end whose blocks are not there yet, in order.
    ended: VecDeque<(Arc<Tag>, i64)>,
    /// Blocks that are bytes before their turn.
    early: Vec<(Arc<Tag>, Vec<Unit>, Share)>,
    /// Built and handed to the protocol, in its order.
    built: VecDeque<Built>,
    current: Option<Built>,
    /// Counts ranges and commits, so that late answers are known.
    turn: u64,
    hands: HashMap<usize, Hand>,
    first: Hands,
    /// Units that lost rows, until an intent says so.
    cuts: BTreeMap<usize, Cut>,
    failures: HashMap<usize, u32>,
    /// Rows that a repair is to add, and how far it is.
    missing: Option<Missing>,
    progress: Progress,
    /// The commit that is being asked for.
    asking: Option<(i64, String)>,
    done: Option<i64>,
    tasks: JoinSet<()>,
    /// Where tasks bring what they have.
    out: mpsc::Sender<Brought>,
    leaving: Option<sync_mpsc::Sender<Option<Commit>>>,
    parked: Arc<AtomicBool>,
}

impl Runner {
    /// Starts the task of a partition whose note was read; `effects` is what the protocol said to that.
    pub fn start(
        world: Arc<World>,
        lanes: Weak<Lanes>,
        (lane, position): (LaneId, Position),
        protocol: Protocol,
        effects: Vec<Effect>,
        parked: Arc<AtomicBool>,
        closed: Arc<Notify>,
    ) -> mpsc::Sender<Word> {
        let (sender, mut words) = mpsc::channel(WORDS);
        let (out, mut brought) = mpsc::channel(WORDS);
        let abandon = world.abandon.clone();
        let (runtime, tracker) = (world.runtime.clone(), world.tracker.clone());
        let mut runner = Self {
            world,
            lanes,
            lane,
            position,
            protocol,
            ended: VecDeque::new(),
            early: Vec::new(),
            built: VecDeque::new(),
            current: None,
            turn: 0,
            hands: HashMap::new(),
            first: HashMap::new(),
            cuts: BTreeMap::new(),
            failures: HashMap::new(),
            missing: None,
            progress: Progress::default(),
            asking: None,
            done: None,
            tasks: JoinSet::new(),
            out,
            leaving: None,
            parked,
        };
        tracker.spawn_on(
            async move {
                runner.carry_out(effects);
                loop {
                    let quiet = runner.done.is_none() && runner.protocol.last_word().is_some();
                    tokio::select! {
                        word = words.recv() => match word {
                            Some(Word::Gone) | None => break,
                            Some(word) => runner.hear(word),
                        },
                        Some(brought) = brought.recv() => runner.take(brought),
                        () = closed.notified() => runner.look_closed(),
                        () = tokio::time::sleep(QUIET), if quiet => runner.feed(Input::Quieted),
                        () = abandon.cancelled() => break,
                    }
                    while runner.tasks.try_join_next().is_some() {}
                    runner.answer_leave();
                }
                runner.feed(Input::Gone);
            },
            &runtime,
        );
        sender
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Ended(tag, end) => self.ended.push_back((tag, end)),
            Word::Made(tag, made, share) => {
                let out = self.out.clone();
                self.tasks.spawn_blocking(move || {
                    let _gone = out.blocking_send(sending::encode(tag, made, share));
                });
            }
            Word::Committed(outcome) => self.committed(outcome),
            Word::Leave(sender) => {
                self.feed(Input::Leave);
                self.leaving = Some(sender);
            }
            Word::Gone => {}
        }
    }

    fn take(&mut self, brought: Brought) {
        match brought {
            Brought::Bytes(tag, units, share) => {
                self.early.push((tag, units, share));
                self.take_built();
            }
            Brought::Answer(turn, ..)
            | Brought::Connected(turn, _)
            | Brought::Looked(turn, ..)
            | Brought::Added(turn, _)
            | Brought::Cut(turn, ..)
            | Brought::Recut(turn, _)
            | Brought::Again(turn)
                if turn != self.turn => {}
            Brought::Answer(_, input, hand) => {
                if let Some((unit, hand)) = hand {
                    self.hands.insert(unit, hand);
                }
                if let Input::Replied(unit, Reply::Unclear | Reply::Unfit) | Input::Lost(unit) =
                    &input
                {
                    *self.failures.entry(*unit).or_default() += 1;
                }
                if let Input::Counted(_, count) = &input {
                    self.resolved(*count);
                }
                let done = matches!(
                    &input,
                    Input::Replied(_, Reply::Stored) | Input::Counted(_, Count::All)
                );
                self.feed(input);
                if done && self.current.is_some() {
                    failpoint::pass(Place::UnitDone);
                }
            }
            Brought::Connected(_, hands) => {
                self.first = hands;
                self.feed(Input::Connected);
            }
            Brought::Looked(_, looked, progress) => self.looked(looked, progress),
            Brought::Added(_, progress) => {
                self.progress = progress;
                self.feed(Input::Added);
            }
            Brought::Cut(_, unit, cut) => {
                let examined = cut.examined.clone();
                self.cuts.insert(unit, *cut);
                self.feed(Input::Examined(unit, examined));
            }
            Brought::Recut(_, units) => {
                let entries = units.iter().map(Unit::entry).collect();
                if let Some(current) = &mut self.current {
                    current.units = Arc::new(units);
                }
                self.feed(Input::Rebuilt(entries));
            }
            Brought::Again(_) => self.ask(),
        }
    }

    fn looked(&mut self, looked: Looked, progress: Progress) {
        let Position { topic, partition } = &self.position;
        self.progress = progress;
        match looked {
            Looked::Whole => {
                tracing::warn!(%topic, partition, added = progress.added, "the range was repaired row by row");
                self.feed(Input::Repaired);
            }
            Looked::Missing(missing) => {
                self.missing = Some(missing);
                self.feed(Input::Missing);
            }
            Looked::NoRules { there, expected } => {
                let sentence = format!(
                    "{topic}/{partition}: a range was under way under rules that are nowhere to be found, and {there} of its {expected} rows are stored: bring the rules back (state_dir, bundle_topic), or repair the range with `rewind`"
                );
                self.feed(Input::Gone);
                self.stand_still(sentence);
            }
        }
    }

    /// Hands ranges to the protocol in their order, as soon as their blocks are bytes.
    fn take_built(&mut self) {
        while let Some((tag, end)) = self.ended.front()
            && let Some(at) = self.early.iter().position(|(early, ..)| early.id == tag.id)
        {
            let range = Range { start: tag.start, end: *end };
            self.ended.pop_front();
            let (tag, units, share) = self.early.swap_remove(at);
            let since = self.since(range.start);
            let entries: Vec<_> = units.iter().map(Unit::entry).collect();
            let built = Built { units: Arc::new(units), _share: share, tag };
            if built.tag.named {
                let intent = self.protocol.intent().map(Arc::clone);
                let knows =
                    intent.as_ref().is_some_and(|intent| intent.bundle == built.tag.bundle.id());
                self.current = Some(built);
                if let Some(intent) = intent.filter(|intent| knows && !intent.refused.is_empty()) {
                    self.take_out_again(intent);
                    continue;
                }
                self.feed(if knows {
                    Input::Rebuilt(entries)
                } else {
                    Input::Differs(Differs::Bundle)
                });
                continue;
            }
            let intent = Intent {
                inc: 0,
                seq: 0,
                range,
                since,
                t0: built.tag.t0,
                bundle: built.tag.bundle.id(),
                units: Units::List(entries),
                cuts: Vec::new(),
                refused: Vec::new(),
            };
            self.built.push_back(built);
            failpoint::pass(Place::RangeBuilt);
            self.feed(Input::Built(intent));
        }
    }

    fn since(&self, offset: i64) -> i64 {
        let lanes = self.lanes.upgrade();
        lanes.and_then(|lanes| lanes.noted(&self.position, offset)).unwrap_or(offset)
    }

    fn committed(&mut self, outcome: Outcome) {
        let Some((offset, _)) = &self.asking else { return };
        if outcome == Outcome::Stored {
            if let Some(lanes) = self.lanes.upgrade() {
                lanes.ledger().committed(self.lane, *offset);
            }
            self.asking = None;
            failpoint::pass(Place::IntentStored);
        } else {
            self.world.metrics.fenced.inc();
            // Asked for again; not at once, for a broker that is away or a group that is being shared anew.
            let turn = self.turn;
            self.spawn(async move {
                tokio::time::sleep(Duration::from_millis(150)).await;
                Brought::Again(turn)
            });
            return;
        }
        self.feed(Input::Committed(outcome));
    }

    /// Asks the reading thread for the commit once more.
    fn ask(&self) {
        let (Some((offset, note)), Some(lanes)) = (&self.asking, self.lanes.upgrade()) else {
            return;
        };
        lanes.ask_commit(Commit {
            lane: self.lane,
            position: self.position.clone(),
            offset: *offset,
            note: note.clone(),
        });
    }

    fn feed(&mut self, input: Input) {
        tracing::trace!(lane = self.lane.0, ?input, "heard");
        let effects = self.protocol.step(input);
        tracing::trace!(lane = self.lane.0, ?effects, "does");
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut first: HashMap<Arc<str>, Vec<(usize, u32)>> = HashMap::new();
        for effect in effects {
            match effect {
                Effect::Commit(offset, note) => {
                    let text = note
                        .encode()
                        .expect("the units of a range fit a note, as a digest at least");
                    self.turn += 1;
                    self.apply_cuts();
                    self.asking = Some((offset, text));
                    self.ask();
                    failpoint::pass(match note {
                        Note::Intent(_) => Place::IntentSent,
                        Note::Idle { .. } => Place::FinishSent,
                    });
                }
                Effect::Connect => self.connect(),
                Effect::Insert { unit, cut, attempt } => {
                    if let Some(hand) = self.hands.remove(&unit) {
                        failpoint::pass(Place::ProbedAbsent);
                        self.insert_again(hand, unit, cut, attempt);
                    } else {
                        let sink = Arc::clone(&self.units()[unit].table.name);
                        first.entry(sink).or_default().push((unit, cut));
                    }
                }
                Effect::Quiesce(unit) => self.quiesce(unit),
                Effect::Count(unit) => self.count(unit),
                Effect::Examine(unit) => self.examine(unit),
                // The reading thread was told when the partition was assigned.
                Effect::Rebuild(_) => {}
                Effect::Confirm(intent) => {
                    let (offset, note) = (intent.range.start, Note::Intent((*intent).clone()));
                    self.asking = Some((offset, note.encode().expect("it was encoded before")));
                    self.ask();
                }
                Effect::Outlast(intent) => self.outlast(&intent),
                Effect::Repair(intent, why) => self.repair(intent, why),
                Effect::Add => self.add(),
                Effect::Done(range) => self.finish(range),
                Effect::Finished(_) => {}
                Effect::Park(why) => self.park(why),
                Effect::Abandon => self.tasks.abort_all(),
            }
        }
        let mut sinks: Vec<_> = first.into_iter().collect();
        sinks.sort();
        for (sink, units) in sinks {
            self.insert_first(&sink, units);
        }
    }

    /// The intent that is being asked for names units without the rows that were refused.
    fn apply_cuts(&mut self) {
        let cuts = std::mem::take(&mut self.cuts);
        if let (Some(current), false) = (&mut self.current, cuts.is_empty()) {
            let mut units = current.units.to_vec();
            for (index, cut) in cuts {
                cut.apply(index, &mut units);
            }
            current.units = Arc::new(units);
        }
    }

    fn units(&self) -> Arc<Vec<Unit>> {
        self.current.as_ref().map_or_else(Arc::default, |built| Arc::clone(&built.units))
    }

    fn name(&self) -> Name {
        let intent = self.protocol.intent().expect("units have an intent");
        let group = self.lanes.upgrade().map_or_else(|| "".into(), |lanes| lanes.group().into());
        let Range { start, end } = intent.range;
        let held = Held { position: self.position.clone(), start, end };
        Name { group, inc: intent.inc, held, bundle: intent.bundle }
    }

    fn resolved(&self, count: Count) {
        self.world.metrics.resolved(match count {
            Count::All => "present",
            Count::None => "absent",
            Count::Odd => "odd",
        });
    }

    /// All units of the range are there: its batches are acknowledged.
    fn finish(&mut self, range: Range) {
        failpoint::pass(Place::RangeDone);
        self.turn += 1;
        self.hands.clear();
        self.first.clear();
        if let (Some(built), Some(lanes)) = (self.current.take(), self.lanes.upgrade()) {
            let batches = std::mem::take(
                &mut *built.tag.batches.lock().expect("no thread panics while it holds numbers"),
            );
            for batch in batches {
                lanes.release(batch, 1);
            }
        }
        self.world.metrics.ranges.inc();
        self.done = Some(range.end);
        self.look_closed();
    }

    /// Whether all that rode along in the range that is done is acknowledged too.
    fn look_closed(&mut self) {
        let (Some(end), Some(lanes)) = (self.done, self.lanes.upgrade()) else { return };
        if !lanes.ledger().is_closed_to(self.lane, end) {
            return;
        }
        self.done = None;
        let since = self.since(end);
        self.feed(Input::Closed(since));
    }

    fn park(&mut self, why: Parked) {
        let (topic, partition) = (&self.position.topic, self.position.partition);
        let sentence = match why {
            Parked::NewerEngine(version) => format!(
                "{topic}/{partition}: a newer engine (notes of version {version}) named a range here: this partition is left alone until that engine reads it, or this one is updated"
            ),
            Parked::Inconsistent(unit) => format!(
                "{topic}/{partition}: {} holds other rows of a range than one insert can have brought there: look with `audit`, repair with `rewind`",
                self.table_of(unit)
            ),
            Parked::Refused(unit) => format!(
                "{topic}/{partition}: {} refuses a block of a range: see the sink's error, change the table or the rules, restart",
                self.table_of(unit)
            ),
        };
        self.stand_still(sentence);
    }

    fn table_of(&self, unit: usize) -> String {
        self.units().get(unit).map_or_else(|| "a table".to_owned(), Unit::plain_table)
    }

    fn stand_still(&self, sentence: String) {
        self.parked.store(true, Ordering::Relaxed);
        let Some(lanes) = self.lanes.upgrade() else { return };
        tracing::error!(source = %lanes.name(), "{sentence}");
        self.world.status.trouble(Part::Source, lanes.name(), sentence);
    }

    /// Answers whoever takes the partition away, once nothing is being sent.
    fn answer_leave(&mut self) {
        if self.leaving.is_none() || !self.protocol.is_still() {
            return;
        }
        let word = self.protocol.last_word().and_then(|(offset, note)| {
            let (lane, position) = (self.lane, self.position.clone());
            Some(Commit { lane, position, offset, note: note.encode()? })
        });
        if let Some(sender) = self.leaving.take() {
            let _gone = sender.send(word);
        }
    }
}
