//! Which offsets are safe to commit, and how many events met which fate.
//!
//! Invariant: a committable offset never passes an event whose fate is still open, so a crash repeats events but loses none; and at any
//! moment `read = delivered + dropped + dead_lettered + given_back + open`.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// One assignment of one partition. A partition that is taken away and comes back is another lane, so nothing late can count for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId(pub u64);

/// A micro-batch of a lane, numbered in reading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// The lane.
    pub lane: LaneId,
    /// The batch's number in it.
    pub seq: u64,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The topic.
    pub topic: std::sync::Arc<str>,
    /// The partition.
    pub partition: i32,
}

/// Events by fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fates {
    /// Every output reached its sink, and there was at least one.
    pub delivered: u64,
    /// Nothing took the event.
    pub dropped: u64,
    /// At least one output went to the dead letter.
    pub dead_lettered: u64,
}

impl Fates {
    /// All events counted.
    pub fn total(self) -> u64 {
        self.delivered + self.dropped + self.dead_lettered
    }

    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.dead_lettered += other.dead_lettered;
    }
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    /// One past the last offset.
    end: i64,
    events: u64,
    fates: Fates,
    /// Rows of the batch that are not acknowledged, and one for the worker that computes it until it is done.
    holds: u64,
    /// Whether the worker is done with it.
    settled: bool,
    /// Offsets of its dead-lettered events, where somebody may still ask.
    dead: Vec<i64>,
    /// Offsets of events that were buried before the worker was done.
    early: Vec<i64>,
}

impl Entry {
    /// Moves an event to the dead-lettered ones, once.
    fn bury(&mut self, offset: i64) {
        if self.dead.contains(&offset) {
            return;
        }
        self.dead.push(offset);
        let Fates { delivered, dropped, dead_lettered } = &mut self.fates;
        // An event made of others may be refused although its own fate was to be dropped.
        for from in [delivered, dropped] {
            if *from > 0 {
                *from -= 1;
                *dead_lettered += 1;
                return;
            }
        }
    }
}

#[derive(Debug)]
struct Lane {
    position: Position,
    next_seq: u64,
    open: VecDeque<Entry>,
    /// What may be committed; `None` until the first batch closes.
    committable: Option<i64>,
    committed: Option<i64>,
    /// One past the last offset that was read.
    read: Option<i64>,
}

/// The books of all lanes of one source.
#[derive(Debug, Default)]
pub struct Ledger {
    lanes: BTreeMap<LaneId, Lane>,
    by_position: HashMap<Position, LaneId>,
    next_lane: u64,
    read: u64,
    closed: Fates,
    /// Events whose lane was taken away before their fate was known: another owner reads them again.
    given_back: u64,
}

impl Ledger {
    /// Opens a lane for an assigned partition.
    pub fn assign(&mut self, position: Position) -> LaneId {
        self.next_lane += 1;
        let id = LaneId(self.next_lane);
        let before = self.by_position.insert(position.clone(), id);
        assert!(before.is_none(), "{position:?} was assigned twice");
        let lane = Lane {
            position,
            next_seq: 0,
            open: VecDeque::new(),
            committable: None,
            committed: None,
            read: None,
        };
        self.lanes.insert(id, lane);
        id
    }

    /// Closes a lane. What is still open in it is given back: late acknowledgements for it are ignored.
    pub fn revoke(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.remove(&id) {
            self.given_back += lane.open.iter().map(|entry| entry.events).sum::<u64>();
            self.by_position.remove(&lane.position);
        }
    }

    /// Enters a batch that was read, in reading order: its events and one past its last offset. It stays open until [`Self::settle`].
    /// Batches of a lane may be settled in any order.
    ///
    /// Returns `None` when the lane is gone; the batch must then be thrown away.
    pub fn open(&mut self, id: LaneId, events: u64, end: i64) -> Option<BatchId> {
        let lane = self.lanes.get_mut(&id)?;
        let seq = lane.next_seq;
        lane.next_seq += 1;
        if let Some(last) = lane.open.back() {
            assert!(last.end <= end, "offset {end} came after {}", last.end);
        }
        let fates = Fates::default();
        lane.open.push_back(Entry {
            seq,
            end,
            events,
            fates,
            holds: 1,
            settled: false,
            dead: Vec::new(),
            early: Vec::new(),
        });
        lane.read = Some(end);
        self.read += events;
        Some(BatchId { lane: id, seq })
    }

    /// That many rows of the batch went into units.
    pub fn hold(&mut self, batch: BatchId, rows: u64) {
        if let Some(entry) = self.entry(batch) {
            entry.holds += rows;
        }
    }

    /// The worker is done with the batch: what becomes of its events once all its rows are acknowledged.
    pub fn settle(&mut self, batch: BatchId, fates: Fates) {
        if let Some(entry) = self.entry(batch) {
            assert_eq!(entry.events, fates.total(), "every event has one fate");
            entry.fates = fates;
            entry.holds -= 1;
            entry.settled = true;
            for offset in std::mem::take(&mut entry.early) {
                entry.bury(offset);
            }
        }
        self.advance(batch.lane);
    }

    /// These events of the batch are dead-lettered, as its fates will say. Called before [`Self::settle`].
    pub fn note_dead(&mut self, batch: BatchId, offsets: Vec<i64>) {
        if let Some(entry) = self.entry(batch) {
            entry.dead = offsets;
        }
    }

    /// A sink refused what came of this event after its fate was said: it is dead-lettered. The refused row must still be held.
    pub fn bury(&mut self, id: LaneId, offset: i64) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let at = lane.open.partition_point(|entry| entry.end <= offset);
        if let Some(entry) = lane.open.get_mut(at) {
            if entry.settled {
                entry.bury(offset);
            } else {
                entry.early.push(offset);
            }
        }
    }

    /// That many rows of the batch were acknowledged.
    pub fn release(&mut self, batch: BatchId, rows: u64) {
        if let Some(entry) = self.entry(batch) {
            assert!(entry.holds >= rows, "{batch:?} was released more often than held");
            entry.holds -= rows;
        }
        self.advance(batch.lane);
    }

    /// Positions that may be committed and were not yet: one past the last offset of the closed prefix.
    pub fn committable(&self) -> Vec<(LaneId, Position, i64)> {
        self.lanes
            .iter()
            .filter(|(_, lane)| lane.committable.is_some() && lane.committable != lane.committed)
            .filter_map(|(&id, lane)| Some((id, lane.position.clone(), lane.committable?)))
            .collect()
    }

    /// Notes that an offset was committed.
    pub fn committed(&mut self, id: LaneId, offset: i64) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.committed = Some(offset);
        }
    }

    /// Whether a batch's lane still belongs to us: if not, working on the batch is of no use.
    pub fn is_ours(&self, batch: BatchId) -> bool {
        self.lanes.contains_key(&batch.lane)
    }

    /// Whether no worker has anything of the lane left to compute.
    pub fn is_settled(&self, id: LaneId) -> bool {
        self.lanes.get(&id).is_none_or(|lane| lane.open.iter().all(|entry| entry.settled))
    }

    /// Whether everything that was read of the lane before an offset is closed; so it is where the lane is gone.
    pub fn is_closed_to(&self, id: LaneId, offset: i64) -> bool {
        self.lanes
            .get(&id)
            .is_none_or(|lane| lane.open.front().is_none_or(|first| first.end > offset))
    }

    /// Whether nothing of the lane is open.
    pub fn is_drained(&self, id: LaneId) -> bool {
        self.lanes.get(&id).is_none_or(|lane| lane.open.is_empty())
    }

    /// Whether nothing of any lane is open.
    pub fn is_idle(&self) -> bool {
        self.lanes.values().all(|lane| lane.open.is_empty())
    }

    /// Events read since the start.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Events whose fate is settled.
    pub fn closed(&self) -> Fates {
        self.closed
    }

    /// Events that were read and have no fate yet.
    pub fn open_events(&self) -> u64 {
        self.lanes.values().flat_map(|lane| &lane.open).map(|entry| entry.events).sum()
    }

    /// Events that another owner reads again, because their partition was taken away before they were done.
    pub fn given_back(&self) -> u64 {
        self.given_back
    }

    /// Every lane with its partition, ascending.
    pub fn lanes(&self) -> impl Iterator<Item = (LaneId, &Position)> {
        self.lanes.iter().map(|(&id, lane)| (id, &lane.position))
    }

    /// Every partition with its committed offset and the next one to read, where they are known yet.
    pub fn offsets(&self) -> Vec<(Position, Option<i64>, Option<i64>)> {
        self.lanes.values().map(|lane| (lane.position.clone(), lane.committed, lane.read)).collect()
    }

    fn entry(&mut self, batch: BatchId) -> Option<&mut Entry> {
        let lane = self.lanes.get_mut(&batch.lane)?;
        let first = lane.open.front()?.seq;
        let entry = lane.open.get_mut(usize::try_from(batch.seq.checked_sub(first)?).ok()?)?;
        assert_eq!(entry.seq, batch.seq, "batches of a lane are numbered without gaps");
        Some(entry)
    }

    /// Moves closed batches from the front into the totals. Fates count only here, so that they never run ahead of what may be committed.
    fn advance(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        while let Some(entry) = lane.open.front()
            && entry.holds == 0
        {
            lane.committable = Some(entry.end);
            self.closed.add(entry.fates);
            lane.open.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position() -> Position {
        Position { topic: "logs".into(), partition: 0 }
    }

    fn delivered(n: u64) -> Fates {
        Fates { delivered: n, ..Fates::default() }
    }

    #[test]
    fn nothing_is_committable_past_an_open_batch() {
        let mut ledger = Ledger::default();
        let lane = ledger.assign(position());
        let first = ledger.open(lane, 10, 10).unwrap();
        let second = ledger.open(lane, 10, 20).unwrap();
        ledger.hold(first, 7);
        ledger.settle(first, delivered(10));
        ledger.settle(second, delivered(10));
        assert_eq!(ledger.committable(), []);
        assert_eq!((ledger.open_events(), ledger.closed().total()), (20, 0));
        ledger.release(first, 3);
        assert_eq!(ledger.committable(), []);
        ledger.release(first, 4);
        assert_eq!(ledger.committable(), [(lane, position(), 20)]);
        ledger.committed(lane, 20);
        assert_eq!(ledger.committable(), []);
        assert_eq!((ledger.read(), ledger.closed().delivered, ledger.open_events()), (20, 20, 0));
    }

    #[test]
    fn what_a_sink_refuses_becomes_a_dead_letter_once() {
        let mut ledger = Ledger::default();
        let lane = ledger.assign(position());
        let batch = ledger.open(lane, 5, 5).unwrap();
        ledger.hold(batch, 4);
        ledger.bury(batch.lane, 0);
        ledger.note_dead(batch, vec![3]);
        ledger.settle(batch, Fates { delivered: 3, dropped: 1, dead_lettered: 1 });
        for offset in [1, 1, 3, 0] {
            ledger.bury(batch.lane, offset);
        }
        assert_eq!(ledger.closed().total(), 0, "nothing is closed while rows are held");
        ledger.release(batch, 4);
        assert_eq!(ledger.closed(), Fates { delivered: 1, dropped: 1, dead_lettered: 3 });
        ledger.bury(batch.lane, 2);
        assert_eq!(ledger.closed().dead_lettered, 3, "too late to matter, and no harm");
    }

    #[test]
    fn a_lane_that_is_gone_takes_no_late_acknowledgement() {
        let mut ledger = Ledger::default();
        let lane = ledger.assign(position());
        let batch = ledger.open(lane, 5, 5).unwrap();
        ledger.hold(batch, 1);
        ledger.settle(batch, delivered(5));
        ledger.revoke(lane);
        ledger.release(batch, 1);
        let again = ledger.assign(position());
        assert_ne!(lane, again);
        assert_eq!(ledger.open(lane, 1, 6), None);
        assert_eq!(
            (ledger.given_back(), ledger.closed().total(), ledger.committable().len()),
            (5, 0, 0)
        );
    }

    proptest! {
        /// Whatever the order of acknowledgements: the committable offset is the end of the longest closed prefix, and the books balance.
        #[test]
        fn the_books_balance(holds in prop::collection::vec(0_u32..4, 1..30), order in any::<u64>()) {
            let mut ledger = Ledger::default();
            let lane = ledger.assign(position());
            let mut releases = Vec::new();
            for (index, &n_holds) in holds.iter().enumerate() {
                let batch = ledger.open(lane, 3, (index as i64 + 1) * 3).unwrap();
                for _ in 0..n_holds {
                    ledger.hold(batch, 1);
                    releases.push(batch);
                }
                ledger.settle(batch, delivered(3));
            }
            let mut left: Vec<u32> = holds;
            let mut random = order | 1;
            while !releases.is_empty() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let batch = releases.swap_remove((random >> 33) as usize % releases.len());
                ledger.release(batch, 1);
                left[batch.seq as usize] -= 1;
                let prefix = left.iter().take_while(|&&n| n == 0).count() as i64;
                let expected: Vec<i64> = if prefix == 0 { vec![] } else { vec![prefix * 3] };
                prop_assert_eq!(ledger.committable().iter().map(|(_, _, offset)| *offset).collect::<Vec<_>>(), expected);
                prop_assert_eq!(ledger.read(), ledger.closed().total() + ledger.open_events());
            }
            prop_assert!(ledger.is_idle());
        }

        /// Several workers compute a lane's batches and end in any order, while rows of early ones are acknowledged: nothing is committable past
        /// a batch that somebody still computes or that waits for rows, and the books balance all the while.
        #[test]
        fn batches_may_be_settled_in_any_order(n in 1_usize..24, order in any::<u64>()) {
            let mut ledger = Ledger::default();
            let lane = ledger.assign(position());
            let batches: Vec<BatchId> =
                (0..n).map(|index| ledger.open(lane, 2, (index as i64 + 1) * 2).unwrap()).collect();
            // What is left to happen to each batch: it is settled with two rows, then each row is acknowledged.
            let mut left = vec![3; n];
            let mut random = order | 1;
            while left.iter().any(|&steps| steps > 0) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let index = (random >> 33) as usize % n;
                match left[index] {
                    0 => continue,
                    3 => {
                        ledger.hold(batches[index], 2);
                        ledger.settle(batches[index], delivered(2));
                    }
                    _ => ledger.release(batches[index], 1),
                }
                left[index] -= 1;
                let prefix = left.iter().take_while(|&&steps| steps == 0).count() as i64;
                let expected: Vec<i64> = if prefix == 0 { vec![] } else { vec![prefix * 2] };
                prop_assert_eq!(ledger.committable().iter().map(|(_, _, offset)| *offset).collect::<Vec<_>>(), expected);
                prop_assert_eq!(ledger.read(), ledger.closed().total() + ledger.open_events());
                prop_assert_eq!(ledger.is_settled(lane), left.iter().all(|&steps| steps < 3));
            }
            prop_assert!(ledger.is_drained(lane));
        }
    }
}
