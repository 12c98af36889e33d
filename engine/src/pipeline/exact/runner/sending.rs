//! What a runner sends: connections, inserts, counts and repairs, each as a task that brings one answer.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    future::Future,
    sync::{Arc, Mutex},
};

use super::{
    super::{
        Tag,
        growing::Made,
        refused,
        repair::{self, Progress},
        table::{ExactTable, Unit},
    },
    Brought, Hands, Runner,
};
use crate::{
    delivery::{
        intent::Intent,
        protocol::{Differs, Input},
    },
    pipeline::budget::Share,
    sink::clickhouse::{Block, Hand, cut::Rows},
};

impl Runner {
    /// Connections for the range that is next: for each of its sinks as many as inserts run at once.
    pub(super) fn connect(&mut self) {
        self.turn += 1;
        (self.current, self.done) = (self.built.pop_front(), None);
        self.hands.clear();
        self.failures.clear();
        let mut tables: Vec<(Arc<ExactTable>, usize)> = Vec::new();
        for unit in self.units().iter() {
            match tables.iter_mut().find(|(table, _)| table.name == unit.table.name) {
                Some((_, count)) => *count = (*count + 1).min(HANDS),
                None => tables.push((Arc::clone(&unit.table), 1)),
            }
        }
        let turn = self.turn;
        self.spawn(async move {
            let mut hands = Hands::new();
            for (table, count) in tables {
                let list = hands.entry(Arc::clone(&table.name)).or_default();
                for _ in 0..count {
                    list.push(table.hand().await);
                }
            }
            Brought::Connected(turn, hands)
        });
    }

    /// Starts a task that brings one thing.
    pub(super) fn spawn(&mut self, task: impl Future<Output = Brought> + Send + 'static) {
        let out = self.out.clone();
        self.tasks.spawn_on(
            async move {
                let brought = task.await;
                let _gone = out.send(brought).await;
            },
            &self.world.runtime,
        );
    }

    /// First tries of one sink's units: each of its connections takes one after the other.
    pub(super) fn insert_first(&mut self, sink: &Arc<str>, units: Vec<(usize, u32)>) {
        let hands = self.first.remove(sink).unwrap_or_default();
        let (name, all, turn) = (Arc::new(self.name()), self.units(), self.turn);
        let queue = Arc::new(Mutex::new(VecDeque::from(units)));
        let hands: Vec<Option<Hand>> = match hands.len() {
            0 => vec![None],
            _ => hands.into_iter().map(Some).collect(),
        };
        for mut hand in hands {
            let (name, all, queue, out) =
                (Arc::clone(&name), Arc::clone(&all), Arc::clone(&queue), self.out.clone());
            let sink = Arc::clone(sink);
            let task = async move {
                loop {
                    let next =
                        queue.lock().expect("no thread panics while it holds a queue").pop_front();
                    let Some((index, cut)) = next else {
                        if let (Some(hand), Some(unit)) = (hand, all.first()) {
                            let table = all.iter().find(|one| one.table.name == sink);
                            let table = &table.unwrap_or(unit).table;
                            table.inserter.client().put_back(hand);
                        }
                        return;
                    };
                    let unit = &all[index];
                    let input = match hand.take() {
                        // Nothing can be sent as a first try any more; a count decides.
                        None => Input::Lost(index),
                        Some(own) => {
                            let token = unit.exact(&name, &unit.plain_table(), cut).token(0);
                            let (reply, back) = unit.table.insert(own, &unit.block, &token).await;
                            hand = back;
                            Input::Replied(index, reply)
                        }
                    };
                    let _gone = out.send(Brought::Answer(turn, input, None)).await;
                }
            };
            self.tasks.spawn_on(task, &self.world.runtime);
        }
    }

    /// A try behind a count, on the connection that counted.
    pub(super) fn insert_again(&mut self, hand: Hand, index: usize, cut: u32, attempt: u32) {
        let (name, all, turn) = (self.name(), self.units(), self.turn);
        self.world.metrics.resolved(if attempt == 0 { "inserted" } else { "attempted" });
        self.spawn(async move {
            let unit = &all[index];
            let token = unit.exact(&name, &unit.plain_table(), cut).token(attempt);
            let block =
                if attempt == 0 { unit.block.clone() } else { numbered(&unit.block, attempt) };
            let (reply, _hand) = unit.table.insert(hand, &block, &token).await;
            Brought::Answer(turn, Input::Replied(index, reply), None)
        });
    }

    pub(super) fn quiesce(&mut self, index: usize) {
        let intent = self.protocol.intent().expect("a unit has an intent");
        let cut = intent.cut(index);
        let (name, all, turn) = (self.name(), self.units(), self.turn);
        let failures = self.failures.get(&index).copied().unwrap_or(0);
        self.spawn(async move {
            if let Some(unit) = all.get(index) {
                let prefix = unit.exact(&name, &unit.plain_table(), cut).prefix();
                unit.table.quiesce(&prefix, failures).await;
            }
            Brought::Answer(turn, Input::Quiet(index), None)
        });
    }

    pub(super) fn count(&mut self, index: usize) {
        let (name, all, turn) = (self.name(), self.units(), self.turn);
        self.spawn(async move {
            let (count, hand) = all[index].table.count(index, &all, &name).await;
            let input = count.map_or(Input::Lost(index), |count| Input::Counted(index, count));
            Brought::Answer(turn, input, hand.map(|hand| (index, hand)))
        });
    }

    /// Finds the rows that the server refuses, and makes the units without them.
    pub(super) fn examine(&mut self, index: usize) {
        let (all, turn, world) = (self.units(), self.turn, Arc::clone(&self.world));
        let tag = self.current.as_ref().map(|built| Arc::clone(&built.tag));
        let lanes = self.lanes.upgrade();
        let salt = self.world.incarnation ^ self.lane.0 << 32 ^ self.turn;
        self.spawn(async move {
            let unit = &all[index];
            let lost = Brought::Answer(turn, Input::Lost(index), None);
            let words = match unit.table.refused(&unit.block, salt).await {
                Ok(words) => words,
                Err(error) => {
                    unit.table.fails(&error);
                    return lost;
                }
            };
            let (Some(tag), Some(lanes)) = (tag, lanes) else { return lost };
            if words.is_empty() {
                return lost;
            }
            match refused::take_out(&world, &lanes, &tag, unit, &words).await {
                Some(cut) => {
                    for ((offset, _), sentence) in &words {
                        tracing::warn!(sink = %unit.table.name, offset, "a row goes to the dead letter: {sentence}");
                    }
                    world.metrics.dead_letters("refused", words.len() as u64);
                    Brought::Cut(turn, index, Box::new(cut))
                }
                None => lost,
            }
        });
    }

    /// Takes rows out of a recovered range that an earlier owner took out of it.
    pub(super) fn take_out_again(&mut self, intent: Arc<Intent>) {
        let (mut units, turn, world) = (self.units().to_vec(), self.turn, Arc::clone(&self.world));
        let tag = self.current.as_ref().map(|built| Arc::clone(&built.tag));
        let lanes = self.lanes.upgrade();
        self.spawn(async move {
            let mut by_cut: BTreeMap<u32, refused::Words> = BTreeMap::new();
            for row in &intent.refused {
                let said = "the server refused the row before a restart".to_owned();
                by_cut.entry(row.cut).or_default().insert((row.offset, row.emit_ix), said);
            }
            if let (Some(tag), Some(lanes)) = (tag, lanes) {
                for words in by_cut.values() {
                    for index in 0..units.len() {
                        let cut =
                            refused::take_out(&world, &lanes, &tag, &units[index], words).await;
                        let Some(cut) = cut.filter(|cut| !cut.examined.rows.is_empty()) else {
                            continue;
                        };
                        cut.apply(index, &mut units);
                    }
                }
            }
            Brought::Recut(turn, units)
        });
    }

    /// Waits until nobody who was asked to give the range up can send anything of it any more.
    pub(super) fn outlast(&mut self, intent: &Intent) {
        self.turn += 1;
        self.progress = Progress::default();
        self.world.metrics.resolved("repaired");
        let (topic, partition) = (&self.position.topic, self.position.partition);
        tracing::error!(%topic, partition, start = intent.range.start, end = intent.range.end, "a range came to something else the second time: rows that exist win, the others are added, as soon as no earlier owner can send any");
        let (turn, tables) = (self.turn, self.exact_tables());
        self.spawn(async move {
            let mut servers = HashSet::new();
            for (table, _) in &tables {
                if servers.insert(table.inserter.client().endpoint().url.clone()) {
                    table.outlast().await;
                }
            }
            Brought::Answer(turn, Input::Outlasted, None)
        });
    }

    pub(super) fn repair(&mut self, intent: Arc<Intent>, why: Differs) {
        let (name, all, turn) = (self.name(), self.units(), self.turn);
        let (tables, progress) = (self.exact_tables(), self.progress);
        self.spawn(async move {
            let (looked, progress) =
                repair::look(&name, &intent, why, &all, &tables, progress).await;
            Brought::Looked(turn, looked, progress)
        });
    }

    pub(super) fn add(&mut self) {
        let (name, all, turn) = (self.name(), self.units(), self.turn);
        let (missing, progress) = (self.missing.take(), self.progress);
        self.spawn(async move {
            let progress = match missing {
                Some(missing) => repair::add(&name, &all, missing, progress).await,
                None => progress,
            };
            Brought::Added(turn, progress)
        });
    }

    /// Every table that rows of the range may be in.
    fn exact_tables(&self) -> Vec<(Arc<ExactTable>, Arc<str>)> {
        let current = self.current.as_ref();
        current.map(|built| built.tag.bundle.exact_tables()).unwrap_or_default()
    }
}

/// Connections to one sink for the first tries of a range: as many as inserts of it run at once.
const HANDS: usize = 2;

/// Makes the bytes of a range's blocks.
pub(super) fn encode(tag: Arc<Tag>, made: Vec<Made>, mut share: Share) -> Brought {
    let units: Vec<Unit> = made
        .into_iter()
        .map(|Made { number, table, finished }| {
            let tally = finished.tally().expect("an exactly-once table has identity columns");
            let block = finished.encode(table.compression);
            Unit { number, table, block, tally }
        })
        .collect();
    share.resize(units.iter().map(|unit| unit.block.body.len()).sum());
    Brought::Bytes(tag, units, share)
}

/// The block with another number in its column `attempt`.
fn numbered(block: &Block, attempt: u32) -> Block {
    let Some(mut rows) = Rows::read(block) else { return block.clone() };
    rows.set("attempt", u64::from(attempt));
    rows.cut(0..rows.len())
}
