//! A small world for the protocol: a broker, a server, two owners, and everything that may happen to them.
//!
//! Every mechanism that exactly-once stands on can be taken out here, outside the protocol: what remains must then fail.

mod others;
mod rules;

use std::sync::Arc;

use logmon_engine::delivery::{
    intent::{BundleId, Entry, Intent, Note, Units, Unreadable},
    protocol::{Commit, Count, Effect, Examined, Input, Protocol, Reply},
    range::Range,
};

/// Where a crash of the server may leave what it was storing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// The token is remembered first: a crash may lose the rows.
    LogFirst,
    /// The rows are stored first: a crash may lose the token.
    PartFirst,
    /// Both or none.
    Atomic,
}

/// What is checked: the world's size, how much may go wrong, and what is taken out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) order: Order,
    pub(crate) offsets: i64,
    pub(crate) budget: Budget,
    /// Whether a range may be built while another one is inserted.
    pub(crate) overlap: bool,
    /// Whether the same rules make something else of the same records the second time.
    pub(crate) fickle: bool,
    pub(crate) token: bool,
    pub(crate) probe: bool,
    pub(crate) verify: bool,
    pub(crate) quiesce: bool,
    pub(crate) same_connection: bool,
    pub(crate) intent: bool,
    pub(crate) pinned: bool,
    pub(crate) fencing: bool,
    /// Whether a repair waits until connections of an earlier owner are closed.
    pub(crate) outlast: bool,
    /// Whether the broker is asked once more before anything is sent behind a count.
    pub(crate) confirm: bool,
    pub(crate) incarnation: bool,
    pub(crate) cut: bool,
}

/// How often each kind of trouble may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) server_crashes: u8,
    pub(crate) owner_crashes: u8,
    pub(crate) rebalances: u8,
    pub(crate) timeouts: u8,
    pub(crate) reloads: u8,
    pub(crate) lost_acks: u8,
    pub(crate) recreations: u8,
    pub(crate) stricter: u8,
}

/// Refused rows go there.
const LETTERS: u16 = 2;
/// The record that a stricter table refuses.
const UNFIT: i64 = 1;

type Token = (u64, Range, u8, u16, u32, u32, u64);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    /// Owner, its generation, and the unit; `usize::MAX` for a repair.
    from: Option<(usize, u8, usize)>,
    token: Token,
    rows: Vec<Row>,
}

/// Table, topic, offset, incarnation.
type Row = (u16, u8, i64, u64);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Owner {
    generation: u8,
    topic: u8,
    protocol: Protocol,
    todo: Vec<Effect>,
    /// When each unit's connection was made.
    connections: Vec<Connection>,
    /// One past the last offset that was built.
    built: i64,
    /// The rules that made what is sent, where the same rules do not always come to the same.
    made_by: u8,
    /// A repair under way: what it adds, how often the server took that without having it, and when the connection was made that said so.
    repair: Option<(Vec<Row>, u32, Connection)>,
}

/// Starts of the server, and how often its old connections were waited out.
type Connection = (u8, u8);

/// One state of everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    generation: u8,
    owner: usize,
    topic: u8,
    rules: u8,
    strict: bool,
    server: u8,
    outlasted: u8,
    offset: i64,
    intent: Option<Arc<Intent>>,
    rows: Vec<(Row, u8)>,
    tokens: Vec<Token>,
    flight: Vec<Request>,
    owners: [Option<Owner>; 2],
    left: Budget,
}

/// What happens in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Start,
    OwnerCrashes(usize),
    OwnerRestarts(usize),
    RebalanceUnseen(usize),
    RebalanceSeen(usize),
    Builds(usize, i64),
    Finishes(usize),
    Commits(usize),
    CommitIsFenced(usize),
    CommitAckIsLost(usize),
    Sends(usize, usize),
    ConnectionIsDead(usize, usize),
    IsQuiet(usize, usize),
    Counts(usize, usize, Count),
    Examines(usize, usize),
    LooksForRows(usize),
    OutlastsConnections(usize),
    ServerStores(usize),
    ServerStoresAnswerLost(usize),
    ServerDropsRepeat,
    ServerRefuses,
    ServerCrashesBetween,
    ServerCrashesAfter,
    ServerCrashes,
    TimesOut(usize, usize),
    RulesChange,
    TopicIsRecreated,
    TableGetsStricter,
}

/// What is wrong with a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Duplicate(i64),
    Loss(i64),
}

impl World {
    pub(crate) fn new(case: &Case) -> Self {
        let mut world = Self {
            generation: 1,
            owner: 0,
            topic: 1,
            rules: 1,
            strict: false,
            server: 0,
            outlasted: 0,
            offset: 0,
            intent: None,
            rows: Vec::new(),
            tokens: Vec::new(),
            flight: Vec::new(),
            owners: [None, None],
            left: case.budget,
        };
        world.start(case, 0);
        world
    }

    pub(crate) fn is_finished(&self, case: &Case) -> bool {
        self.offset == case.offsets && self.intent.is_none()
    }

    pub(crate) fn wrong(&self, case: &Case) -> Option<Wrong> {
        for offset in 0..case.offsets {
            for topic in 1..=self.topic {
                let stored = |row: &&(Row, u8)| (row.0.1, row.0.2) == (topic, offset);
                let count: u8 = self.rows.iter().filter(stored).map(|(_, count)| count).sum();
                if count > 1 {
                    return Some(Wrong::Duplicate(offset));
                }
                if topic == self.topic && offset < self.offset && count == 0 {
                    return Some(Wrong::Loss(offset));
                }
            }
        }
        None
    }

    /// Every next state.
    pub(crate) fn next(&self, case: &Case) -> Vec<(Event, Self)> {
        let mut out = Vec::new();
        for who in 0..2 {
            self.owner_steps(case, who, &mut out);
        }
        self.server_steps(case, &mut out);
        self.other_steps(case, &mut out);
        out
    }

    fn owner_steps(&self, case: &Case, who: usize, out: &mut Vec<(Event, Self)>) {
        let Some(owner) = &self.owners[who] else { return };
        if self.left.owner_crashes > 0 {
            let mut next = self.clone();
            next.left.owner_crashes -= 1;
            next.owners[who] = None;
            next.forget(who);
            out.push((Event::OwnerCrashes(who), next));
        }
        let can_build = match owner.protocol.intent() {
            _ if owner.repair.is_some() => false,
            None => true,
            Some(_) => case.overlap || owner.protocol.last_word().is_some(),
        };
        if can_build && owner.protocol.has_room() && owner.todo.is_empty() | case.overlap {
            for end in owner.built + 1..=case.offsets {
                let mut next = self.clone();
                next.build(case, who, end);
                out.push((Event::Builds(who, end), next));
            }
        }
        if owner.protocol.last_word().is_some()
            && owner.protocol.intent().is_some()
            && owner.built == case.offsets
        {
            let mut next = self.clone();
            next.feed(case, who, Input::Quieted);
            out.push((Event::Finishes(who), next));
        }
        for index in 0..owner.todo.len() {
            let mut next = self.clone();
            let effect = next.owners[who].as_mut().expect("looked at above").todo.remove(index);
            next.act(case, who, effect, out);
        }
    }

    /// An effect is carried out.
    fn act(mut self, case: &Case, who: usize, effect: Effect, out: &mut Vec<(Event, Self)>) {
        let owner = self.owners[who].as_ref().expect("an effect has an owner");
        let effect = match effect {
            Effect::Confirm(intent) => {
                Effect::Commit(intent.range.start, Note::Intent((*intent).clone()))
            }
            effect => effect,
        };
        match effect {
            Effect::Commit(offset, note) => {
                if case.fencing && (self.owner != who || self.generation != owner.generation) {
                    self.feed(case, who, Input::Committed(Commit::Fenced));
                    return out.push((Event::CommitIsFenced(who), self));
                }
                let stored = case.intent || matches!(note, Note::Idle { .. });
                if stored {
                    self.offset = offset;
                    self.intent = match note {
                        Note::Intent(intent) => Some(Arc::new(intent)),
                        Note::Idle { .. } => None,
                    };
                }
                if self.left.lost_acks > 0 {
                    let mut lost = self.clone();
                    lost.left.lost_acks -= 1;
                    lost.feed(case, who, Input::Committed(Commit::Unknown));
                    out.push((Event::CommitAckIsLost(who), lost));
                }
                self.feed(case, who, Input::Committed(Commit::Stored));
                out.push((Event::Commits(who), self));
            }
            Effect::Insert { unit, cut, attempt } => {
                let now = self.connection();
                let connection = owner.connections.get(unit).copied().unwrap_or(now);
                if case.same_connection && connection != now {
                    self.feed(case, who, Input::Lost(unit));
                    return out.push((Event::ConnectionIsDead(who, unit), self));
                }
                let intent = Arc::clone(owner.protocol.intent().expect("a unit has an intent"));
                let (table, rows) = self.unit(case, who, &intent, unit);
                let token = Self::token(case, &intent, table, cut, attempt);
                let from = Some((who, owner.generation, unit));
                let running = self.flight.iter().any(|request| request.token == token);
                if case.quiesce && running {
                    // The server refuses a second query with the same id while the first one runs.
                    self.feed(case, who, Input::Replied(unit, Reply::Unclear));
                } else {
                    self.flight.push(Request { from, token, rows });
                    self.flight.sort();
                }
                out.push((Event::Sends(who, unit), self));
            }
            Effect::Quiesce(unit) => {
                let intent = Arc::clone(owner.protocol.intent().expect("a unit has an intent"));
                let (table, _) = self.unit(case, who, &intent, unit);
                let token = Self::token(case, &intent, table, intent.cut(unit), 0);
                let mine = |request: &Request| {
                    let prefix = |token: &Token| (token.0, token.1, token.2, token.3, token.4);
                    prefix(&request.token) == prefix(&token)
                };
                if case.quiesce && self.flight.iter().any(mine) {
                    return;
                }
                self.feed(case, who, Input::Quiet(unit));
                out.push((Event::IsQuiet(who, unit), self));
            }
            Effect::Count(unit) => {
                let intent = Arc::clone(owner.protocol.intent().expect("a unit has an intent"));
                let count = self.count(case, who, &intent, unit);
                let now = self.connection();
                let owner = self.owners[who].as_mut().expect("an effect has an owner");
                if owner.connections.len() <= unit {
                    owner.connections.resize(unit + 1, now);
                }
                owner.connections[unit] = now;
                self.feed(case, who, Input::Counted(unit, count));
                out.push((Event::Counts(who, unit, count), self));
            }
            Effect::Examine(unit) => {
                let intent = Arc::clone(owner.protocol.intent().expect("a unit has an intent"));
                let (table, rows) = self.unit(case, who, &intent, unit);
                let (bad, good): (Vec<Row>, Vec<Row>) =
                    rows.into_iter().partition(|row| self.strict && row.2 == UNFIT);
                let examined = Examined {
                    kept: entry(table, &good),
                    letters: vec![entry(LETTERS, &bad)],
                    rows: bad.iter().map(|row| (row.2, 0)).collect(),
                };
                self.feed(case, who, Input::Examined(unit, examined));
                out.push((Event::Examines(who, unit), self));
            }
            Effect::Repair(intent, _) => {
                let of_range = |request: &Request| {
                    request.token.0 == intent.inc && request.token.1 == intent.range
                };
                if self.flight.iter().any(of_range) {
                    return;
                }
                let missing: Vec<Row> = self
                    .evaluate(case, owner.topic, &intent)
                    .into_iter()
                    .flat_map(|(_, rows)| rows)
                    .filter(|row| !self.has(case, |known| known.2 == row.2, row.3))
                    .collect();
                let now = self.connection();
                let attempt = match &owner.repair {
                    Some((before, attempt, _)) if *before == missing => *attempt,
                    _ => 0,
                };
                let owner = self.owners[who].as_mut().expect("an effect has an owner");
                if missing.is_empty() {
                    owner.repair = None;
                    self.feed(case, who, Input::Repaired);
                } else {
                    owner.repair = Some((missing, attempt, now));
                    self.feed(case, who, Input::Missing);
                }
                out.push((Event::LooksForRows(who), self));
            }
            Effect::Add => {
                let now = self.connection();
                let intent = Arc::clone(owner.protocol.intent().expect("a repair has an intent"));
                let generation = owner.generation;
                let (missing, attempt, made) = owner.repair.clone().expect("something is missing");
                if case.same_connection && made != now {
                    self.feed(case, who, Input::Added);
                    return out.push((Event::ConnectionIsDead(who, usize::MAX), self));
                }
                let hash = missing.iter().fold(1, |hash, row| hash * 31 + row.2 as u64);
                let table = missing[0].0;
                let one: Vec<Row> = missing.into_iter().filter(|row| row.0 == table).collect();
                let mut token = Self::token(case, &intent, table, 0, attempt);
                token.6 = hash;
                let from = Some((who, generation, usize::MAX));
                self.flight.push(Request { from, token, rows: one });
                self.flight.sort();
                out.push((Event::Sends(who, usize::MAX), self));
            }
            Effect::Outlast(_) => {
                if case.outlast {
                    self.outlasted += 1;
                }
                self.feed(case, who, Input::Outlasted);
                out.push((Event::OutlastsConnections(who), self));
            }
            Effect::Confirm(_)
            | Effect::Connect
            | Effect::Rebuild(_)
            | Effect::Done(_)
            | Effect::Finished(_)
            | Effect::Park(_)
            | Effect::Abandon => unreachable!("done as soon as it is said"),
        }
    }

    /// An owner begins with what the broker says.
    fn start(&mut self, case: &Case, who: usize) {
        let note = match &self.intent {
            None if self.offset == 0 => Err(Unreadable::Empty),
            None => Ok(Note::Idle { inc: self.inc(case), seq: 0, since: 0 }),
            Some(intent) => {
                let mut intent = (**intent).clone();
                if !case.pinned {
                    intent.bundle = bundle(self.rules);
                    let units = self.evaluate(case, self.topic, &intent);
                    intent.units = Units::List(entries(&units));
                }
                Ok(Note::Intent(intent))
            }
        };
        let built = match &note {
            Ok(Note::Intent(intent)) => intent.range.end,
            _ => self.offset,
        };
        self.owners[who] = Some(Owner {
            generation: self.generation,
            topic: self.topic,
            protocol: Protocol::default(),
            todo: Vec::new(),
            connections: Vec::new(),
            built,
            made_by: self.rules,
            repair: None,
        });
        let inc = self.inc(case);
        self.feed(case, who, Input::Loaded { offset: self.offset, note, inc });
    }

    fn inc(&self, case: &Case) -> u64 {
        if case.incarnation { u64::from(self.topic) } else { 1 }
    }

    fn build(&mut self, case: &Case, who: usize, end: i64) {
        let owner = self.owners[who].as_mut().expect("an owner builds");
        let range = Range { start: owner.built, end };
        owner.built = end;
        owner.made_by = self.rules;
        let (inc, topic) = (owner.protocol.inc(), owner.topic);
        let mut intent = Intent {
            inc,
            seq: 0,
            range,
            since: 0,
            t0: 0,
            bundle: bundle(if case.fickle { 0 } else { self.rules }),
            units: Units::List(Vec::new()),
            cuts: Vec::new(),
            refused: Vec::new(),
        };
        intent.units = Units::List(entries(&self.evaluate(case, topic, &intent)));
        self.feed(case, who, Input::Built(intent));
    }

    /// Hands an input to an owner; what can be done at once is done, the rest waits its turn.
    fn feed(&mut self, case: &Case, who: usize, input: Input) {
        let mut inputs = vec![input];
        let now = self.connection();
        while let Some(input) = inputs.pop() {
            let owner = self.owners[who].as_mut().expect("an input has an owner");
            for effect in owner.protocol.step(input) {
                match effect {
                    Effect::Connect => {
                        owner.connections = vec![now; 4];
                        inputs.push(Input::Connected);
                    }
                    Effect::Rebuild(intent) => {
                        let units = self.clone().evaluate(
                            case,
                            self.owners[who].as_ref().expect("fed").topic,
                            &intent,
                        );
                        inputs.push(Input::Rebuilt(entries(&units)));
                        break;
                    }
                    Effect::Done(_) => inputs.push(Input::Closed(0)),
                    Effect::Confirm(_) if !case.confirm => {
                        inputs.push(Input::Committed(Commit::Stored));
                    }
                    Effect::Count(unit) if !case.probe && !verifying(owner) => {
                        inputs.push(Input::Counted(unit, Count::None));
                    }
                    Effect::Count(unit) if !case.verify && verifying(owner) => {
                        inputs.push(Input::Counted(unit, Count::All));
                    }
                    // What was begun and not sent is given up.
                    Effect::Abandon => owner.todo.clear(),
                    Effect::Finished(_) | Effect::Park(_) => {}
                    effect => owner.todo.push(effect),
                }
            }
        }
    }

    fn answer(&mut self, case: &Case, from: Option<(usize, u8, usize)>, reply: Reply) {
        let Some((who, generation, unit)) = from else { return };
        let Some(owner) = &mut self.owners[who] else { return };
        if owner.generation != generation {
            return;
        }
        if unit != usize::MAX {
            return self.feed(case, who, Input::Replied(unit, reply));
        }
        let Some((_, attempt, _)) = &mut owner.repair else { return };
        *attempt += u32::from(reply == Reply::Stored);
        self.feed(case, who, Input::Added);
    }

    fn connection(&self) -> Connection {
        (self.server, self.outlasted)
    }

    /// Nobody waits any longer for what the owner sent.
    fn forget(&mut self, who: usize) {
        for request in &mut self.flight {
            request.from = request.from.filter(|from| from.0 != who);
        }
        self.flight.sort();
    }
}

/// Whether the count that was asked for is one behind an insert: then no insert is left to wait for.
fn verifying(owner: &Owner) -> bool {
    format!("{:?}", owner.protocol).contains("Verifying")
}

fn entries(units: &[(u16, Vec<Row>)]) -> Vec<Entry> {
    units.iter().map(|(table, rows)| entry(*table, rows)).collect()
}

fn entry(table: u16, rows: &[Row]) -> Entry {
    let hash = rows.iter().map(|row| 1_u64 << row.2).sum();
    Entry { table, rows: rows.len() as u32, hash }
}

fn bundle(rules: u8) -> BundleId {
    BundleId([rules; 16])
}
