//! Exactly-once delivery of one partition as a transition function: what has happened in, what is to be done out.
//!
//! Invariant: no insert but on a connection that was made before the broker said once more that the range is ours; no commit past a range of
//! which a unit was neither acknowledged cleanly nor seen in the table; at most one range is named at a time.
//!
//! Pure: time, the broker, the server and their faults are inputs. The model check in the tests runs this very function against every
//! order of events of a small world.

mod units;

use std::{collections::VecDeque, sync::Arc};

use super::{
    intent::{Entry, Intent, Note, Refused, Units, Unreadable},
    range::Range,
};
use units::Work;
pub use units::{Count, Reply};

/// Ranges that may be built before their turn: one is inserted, one waits, one grows.
pub const BUILT_MAX: usize = 2;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The committed offset and what stands beside it. `inc` is a fresh random number, for a partition that has none.
    Loaded {
        /// The committed offset, or where a new group begins.
        offset: i64,
        /// Its metadata, read.
        note: Result<Note, Unreadable>,
        /// Used where the metadata names no other.
        inc: u64,
    },
    /// A range is built; its units are encoded and will not change. `inc` and `seq` are put in here.
    Built(Intent),
    /// The records of the recovered range were evaluated again under the rules that its intent names, and came to these units.
    Rebuilt(Vec<Entry>),
    /// The rules that an intent names are nowhere to be found, or their outcome is another one: rows that are missing are to be added one by one.
    Differs(Differs),
    /// No connection of an earlier owner can bring anything any more.
    Outlasted,
    /// Every row of the range that is being repaired was seen.
    Repaired,
    /// Rows of it are missing, and the connections that said so are kept.
    Missing,
    /// They were sent, or could not be: another look decides.
    Added,
    /// Every server that the next range goes to has answered on the connection that its first try will use.
    Connected,
    /// How the commit under way ended.
    Committed(Commit),
    /// A unit's insert was answered, or was not.
    Replied(usize, Reply),
    /// No query of the unit runs any more, on any server.
    Quiet(usize),
    /// The unit's rows were counted. The connection that answered is kept for the insert that may follow.
    Counted(usize, Count),
    /// The connection that was to be used broke before anything was sent on it.
    Lost(usize),
    /// The rows that make the server refuse a unit are known.
    Examined(usize, Examined),
    /// What else rode along in the range (records for topics, rows for other tables) has been acknowledged, and where reading must begin to
    /// know what rules remember behind it.
    Closed(i64),
    /// Nothing came for a while: a range that is done may be finished without the next one.
    Quieted,
    /// The partition is being taken away: nothing new begins.
    Leave,
    /// It is gone. Answers that come later say nothing.
    Gone,
}

/// Why a recovered range is repaired row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Differs {
    /// The rules are known, and made other rows of the same records.
    Outcome,
    /// The rules are not known.
    Bundle,
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The broker has it.
    Stored,
    /// Nobody knows, or it was refused for a while: the same one is sent again.
    Unknown,
    /// Somebody else owns the partition.
    Fenced,
}

/// What was found in a unit that the server cannot take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The unit without the rows in question.
    pub kept: Entry,
    /// The units of dead letters that take them.
    pub letters: Vec<Entry>,
    /// The rows: offset and how-many-eth output.
    pub rows: Vec<(i64, u16)>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Commit an offset with a note, under this assignment only.
    Commit(i64, Note),
    /// Open connections to every server of the range and have each answer.
    Connect,
    /// Send a unit under its token for that attempt: on a connection opened by `Connect`, or on the one that counted.
    Insert {
        /// Which unit.
        unit: usize,
        /// Its `cut`.
        cut: u32,
        /// The attempt.
        attempt: u32,
    },
    /// Wait until no query of the unit runs, then say [`Input::Quiet`].
    Quiesce(usize),
    /// Count the unit's rows and keep the connection.
    Count(usize),
    /// Find the rows that the server refuses.
    Examine(usize),
    /// Read the range again and evaluate it under the rules that the intent names.
    Rebuild(Arc<Intent>),
    /// Commit the offset of this intent with it once more: whoever may send something must still be the owner.
    Confirm(Arc<Intent>),
    /// Wait until every connection is closed that an earlier owner made before the partition was taken from it: it may not know yet, and what it
    /// sends would be other rows than those that are added now.
    Outlast(Arc<Intent>),
    /// Look for every row of the range.
    Repair(Arc<Intent>, Differs),
    /// Add the rows that are missing, on the connections that said so.
    Add,
    /// All units of the range are in their tables.
    Done(Range),
    /// The offset is committed and no range is named.
    Finished(i64),
    /// The partition stands still until somebody helps.
    Park(Parked),
    /// Everything that is open is given up: the next owner takes it from the intent.
    Abandon,
}

/// Why a partition stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parked {
    /// A newer engine named a range here.
    NewerEngine(u32),
    /// More or fewer rows of a unit are in its table than one insert could have brought there.
    Inconsistent(usize),
    /// The server refuses a unit as a whole and no row of it stands out, or too many do for a note.
    Refused(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum State {
    /// The committed offset is being asked for.
    Loading,
    /// Nothing is named; everything before the offset is done.
    Idle(i64),
    /// Servers are asked to answer, before a range is named.
    Connecting(Arc<Intent>),
    /// An intent is being committed. What is known of its units already: after rows were taken out of some.
    Naming(Arc<Intent>, Work),
    /// The range is named and its units are on their way.
    Working(Arc<Intent>, Work),
    /// An intent of an earlier owner: its range is evaluated again.
    Rebuilding(Arc<Intent>),
    /// It came to something else: what the earlier owner may still send is waited for.
    Outlasting(Arc<Intent>, Differs),
    /// Its rows are looked for one by one.
    Repairing(Arc<Intent>, Differs, Step),
    /// All units are there. Whether all that rode along is, too.
    Done { intent: Arc<Intent>, closed: bool },
    /// The offset behind the range is being committed.
    Finishing(i64),
    /// Somebody has to look.
    Parked(Parked),
    /// Not ours any more.
    Gone,
}

/// How far a look for missing rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Looking,
    Confirming,
    Adding,
}

/// One partition under one assignment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Protocol {
    inc: u64,
    seq: u32,
    /// Where reading must begin to know what rules remember at the end of what is done.
    since: i64,
    state: State,
    /// Ranges that are built and wait.
    built: VecDeque<Arc<Intent>>,
    /// Nothing new begins any more.
    leaving: bool,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            inc: 0,
            seq: 0,
            since: 0,
            state: State::Loading,
            built: VecDeque::new(),
            leaving: false,
        }
    }
}

impl Protocol {
    /// Takes in what happened and says what is to be done. What does not fit the state is late, and says nothing.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        let state = std::mem::replace(&mut self.state, State::Gone);
        self.state = self.next(state, input, &mut out);
        out
    }

    /// The incarnation of the partition's rows.
    pub fn inc(&self) -> u64 {
        self.inc
    }

    /// The range that is named, or being named, with what its units are.
    pub fn intent(&self) -> Option<&Arc<Intent>> {
        match &self.state {
            State::Connecting(intent)
            | State::Naming(intent, _)
            | State::Working(intent, _)
            | State::Rebuilding(intent)
            | State::Outlasting(intent, _)
            | State::Repairing(intent, ..)
            | State::Done { intent, .. } => Some(intent),
            State::Loading
            | State::Idle(_)
            | State::Finishing(..)
            | State::Parked(_)
            | State::Gone => None,
        }
    }

    /// Whether another range may be built.
    pub fn has_room(&self) -> bool {
        self.built.len() < BUILT_MAX
    }

    /// Whether nothing is under way and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.built.is_empty()
            && matches!(self.state, State::Idle(_) | State::Parked(_) | State::Gone)
    }

    /// Whether nothing more will be sent before the partition goes: no insert runs.
    pub fn is_still(&self) -> bool {
        match &self.state {
            State::Working(_, work) | State::Naming(_, work) => !work.is_sending(),
            State::Done { closed, .. } => *closed,
            State::Repairing(.., step) => *step != Step::Adding,
            _ => true,
        }
    }

    /// What may be committed when the partition is given away: the end of a range that is done with all that rode along.
    pub fn last_word(&self) -> Option<(i64, Note)> {
        match &self.state {
            State::Done { intent, closed: true } => Some((intent.range.end, self.idle())),
            State::Finishing(offset) => Some((*offset, self.idle())),
            _ => None,
        }
    }

    fn idle(&self) -> Note {
        Note::Idle { inc: self.inc, seq: self.seq, since: self.since }
    }

    fn next(&mut self, state: State, input: Input, out: &mut Vec<Effect>) -> State {
        match (state, input) {
            (State::Gone, _) => State::Gone,
            (_, Input::Gone) => self.gone(out),
            (State::Parked(why), _) => State::Parked(why),
            (state, Input::Leave) => self.leave(state),
            (state, Input::Built(intent)) => {
                self.built.push_back(Arc::new(intent));
                self.begin(state, out)
            }
            (State::Loading, Input::Loaded { offset, note, inc }) => {
                self.load(offset, note, inc, out)
            }
            (State::Rebuilding(intent), Input::Rebuilt(entries)) => {
                if intent.units.agree(&entries) {
                    let work = Work::suspect(intent.units.count(), out);
                    self.working(intent, work, out)
                } else {
                    Self::repair(intent, Differs::Outcome, out)
                }
            }
            (State::Rebuilding(intent), Input::Differs(why)) => Self::repair(intent, why, out),
            (State::Outlasting(intent, why), Input::Outlasted) => {
                out.push(Effect::Repair(Arc::clone(&intent), why));
                State::Repairing(intent, why, Step::Looking)
            }
            (State::Repairing(intent, why, step), input) => {
                self.look(intent, why, step, &input, out)
            }
            (State::Connecting(intent), Input::Connected) => {
                let work = Work::fresh(intent.units.count());
                Self::name(intent, work, out)
            }
            (State::Naming(intent, work), Input::Committed(commit)) => match commit {
                Commit::Stored => {
                    let work = work.send(&intent, self.leaving, out);
                    self.working(intent, work, out)
                }
                Commit::Unknown if !self.leaving => Self::name(intent, work, out),
                Commit::Unknown => State::Naming(intent, work),
                Commit::Fenced => self.gone(out),
            },
            (State::Working(intent, mut work), Input::Committed(commit)) if work.confirming => {
                match commit {
                    Commit::Stored => {
                        work.confirmed(&intent, self.leaving, out);
                        self.working(intent, work, out)
                    }
                    Commit::Unknown => {
                        self.confirm(&intent, out);
                        State::Working(intent, work)
                    }
                    Commit::Fenced => self.gone(out),
                }
            }
            (State::Working(intent, work), input) => self.work(intent, work, input, out),
            (State::Done { intent, .. }, Input::Closed(since)) => {
                self.since = since;
                self.begin(State::Done { intent, closed: true }, out)
            }
            (State::Done { intent, closed: true }, Input::Quieted) if !self.leaving => {
                out.push(Effect::Commit(intent.range.end, self.idle()));
                State::Finishing(intent.range.end)
            }
            (State::Finishing(offset), Input::Committed(commit)) => match commit {
                Commit::Stored => {
                    out.push(Effect::Finished(offset));
                    self.begin(State::Idle(offset), out)
                }
                Commit::Unknown if !self.leaving => {
                    out.push(Effect::Commit(offset, self.idle()));
                    State::Finishing(offset)
                }
                Commit::Unknown => State::Finishing(offset),
                Commit::Fenced => self.gone(out),
            },
            (state, _) => state,
        }
    }

    fn load(
        &mut self,
        offset: i64,
        note: Result<Note, Unreadable>,
        inc: u64,
        out: &mut Vec<Effect>,
    ) -> State {
        self.inc = inc;
        self.since = offset;
        match note {
            Ok(Note::Idle { inc, seq, since }) => {
                (self.inc, self.seq, self.since) = (inc, seq, since);
                self.begin(State::Idle(offset), out)
            }
            // Only where reading goes on at the intent's own start is it this offset's intent.
            Ok(Note::Intent(intent)) if intent.range.start == offset => {
                (self.inc, self.seq, self.since) = (intent.inc, intent.seq, intent.since);
                let intent = Arc::new(intent);
                out.push(Effect::Rebuild(Arc::clone(&intent)));
                State::Rebuilding(intent)
            }
            Err(Unreadable::Newer(version)) => Self::park(Parked::NewerEngine(version), out),
            Ok(Note::Intent(_))
            | Err(Unreadable::Empty | Unreadable::Foreign | Unreadable::Damaged) => {
                self.begin(State::Idle(offset), out)
            }
        }
    }

    /// Begins the next range, if one is built and nothing is in its way.
    fn begin(&mut self, state: State, out: &mut Vec<Effect>) -> State {
        let at = match &state {
            State::Idle(at) => *at,
            State::Done { intent, closed: true } => intent.range.end,
            _ => return state,
        };
        self.connect(at, out).unwrap_or(state)
    }

    fn connect(&mut self, at: i64, out: &mut Vec<Effect>) -> Option<State> {
        if self.leaving {
            return None;
        }
        let mut intent = Arc::unwrap_or_clone(self.built.pop_front()?);
        assert!(intent.range.start == at, "{:?} does not begin at {at}", intent.range);
        intent.inc = self.inc;
        self.seq = self.seq.wrapping_add(1);
        intent.seq = self.seq;
        out.push(Effect::Connect);
        Some(State::Connecting(Arc::new(intent)))
    }

    fn name(intent: Arc<Intent>, work: Work, out: &mut Vec<Effect>) -> State {
        out.push(Effect::Commit(intent.range.start, Note::Intent((*intent).clone())));
        State::Naming(intent, work)
    }

    fn work(
        &mut self,
        intent: Arc<Intent>,
        mut work: Work,
        input: Input,
        out: &mut Vec<Effect>,
    ) -> State {
        if let Some(why) = work.step(input, self.leaving, out) {
            return Self::park(why, out);
        }
        self.working(intent, work, out)
    }

    /// Goes on where every unit has come to rest.
    fn working(&mut self, intent: Arc<Intent>, mut work: Work, out: &mut Vec<Effect>) -> State {
        if work.is_done() {
            return Self::done(intent, out);
        }
        if !self.leaving && !work.confirming && work.ask() {
            work.confirming = true;
            self.confirm(&intent, out);
        }
        if self.leaving || !work.waits_for_cut() {
            return State::Working(intent, work);
        }
        // Nothing of the range is in flight: rows that the server refuses move to the dead letter under an intent of their own, so that whoever
        // replays the range decides the same.
        self.seq = self.seq.wrapping_add(1);
        let mut cut = (*intent).clone();
        cut.seq = self.seq;
        for (unit, examined) in work.cut() {
            let Units::List(entries) = &mut cut.units else {
                return Self::park(Parked::Refused(unit), out);
            };
            entries[unit] = examined.kept;
            let letters = entries.len()..entries.len() + examined.letters.len();
            entries.extend(&examined.letters);
            cut.cuts.retain(|(known, _)| *known as usize != unit);
            cut.cuts.push((unit as u32, self.seq));
            cut.cuts.extend(letters.map(|letters| (letters as u32, self.seq)));
            cut.refused.extend(examined.rows.iter().map(|&(offset, emit_ix)| Refused {
                offset,
                emit_ix,
                cut: self.seq,
            }));
            work.add(unit, examined.kept.rows == 0, examined.letters.len());
            if Note::Intent(cut.clone()).encode().is_none() {
                return Self::park(Parked::Refused(unit), out);
            }
        }
        Self::name(Arc::new(cut), work, out)
    }

    fn done(intent: Arc<Intent>, out: &mut Vec<Effect>) -> State {
        out.push(Effect::Done(intent.range));
        State::Done { intent, closed: false }
    }

    fn confirm(&self, intent: &Arc<Intent>, out: &mut Vec<Effect>) {
        if !self.leaving {
            out.push(Effect::Confirm(Arc::clone(intent)));
        }
    }

    fn repair(intent: Arc<Intent>, why: Differs, out: &mut Vec<Effect>) -> State {
        out.push(Effect::Outlast(Arc::clone(&intent)));
        State::Outlasting(intent, why)
    }

    /// Looks, asks whether the range is still ours, adds, and looks again, until nothing is missing.
    fn look(
        &mut self,
        intent: Arc<Intent>,
        why: Differs,
        step: Step,
        input: &Input,
        out: &mut Vec<Effect>,
    ) -> State {
        let step = match (step, input) {
            (Step::Looking, Input::Repaired) => return Self::done(intent, out),
            (Step::Looking, Input::Missing) => {
                self.confirm(&intent, out);
                Step::Confirming
            }
            (Step::Confirming, Input::Committed(Commit::Fenced)) => return self.gone(out),
            (Step::Confirming, Input::Committed(Commit::Unknown)) => {
                self.confirm(&intent, out);
                step
            }
            (Step::Confirming, Input::Committed(Commit::Stored)) if !self.leaving => {
                out.push(Effect::Add);
                Step::Adding
            }
            (Step::Adding, Input::Added) => {
                if !self.leaving {
                    out.push(Effect::Repair(Arc::clone(&intent), why));
                }
                Step::Looking
            }
            _ => step,
        };
        State::Repairing(intent, why, step)
    }

    fn leave(&mut self, state: State) -> State {
        self.leaving = true;
        // What is built and not named goes to the next owner as records.
        self.built.clear();
        match state {
            State::Connecting(intent) => {
                // Everything before it is done, and nothing of it was sent.
                State::Finishing(intent.range.start)
            }
            state => state,
        }
    }

    fn gone(&mut self, out: &mut Vec<Effect>) -> State {
        self.built.clear();
        out.push(Effect::Abandon);
        State::Gone
    }

    fn park(why: Parked, out: &mut Vec<Effect>) -> State {
        out.push(Effect::Park(why));
        State::Parked(why)
    }
}
