//! What one thread knows of one lookup: the answers it saw last, and the distinct keys of the batch at hand.
//!
//! Invariant: bounded in keys and bytes; nothing is remembered longer than the lookup said.
//!
//! Addresses and users repeat from row to row and from batch to batch. One hash and one comparison tell both: whether the
//! batch asked for the key before, and whether the answer is known. Rows of answers are kept as values, ready to be copied.

use std::{
    hash::{BuildHasher, RandomState},
    hint::black_box,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Answer, Holds, row::Row};
use crate::column::Absence;

/// Slots at first. A thread that sees few keys keeps them in the first-level cache.
const SLOTS_MIN: usize = 1 << 10;
/// Slots at most: a megabyte of keys, about what a core's own cache holds.
const SLOTS_MAX: usize = 1 << 14;
/// A key that so many batches did not ask for is none that repeats.
const LATELY: u64 = 64;
/// Rows that are kept alive at most, in bytes. What comes above it makes the memory start anew.
const BYTES_MAX: usize = 8 << 20;
/// Keys no longer than this stand in their slot.
const SHORT: usize = 22;

/// One thread's memory of one lookup.
#[derive(Debug)]
pub(super) struct Recall {
    slots: Vec<Slot>,
    /// About what the rows in the slots hold.
    bytes: usize,
    /// Answers that were still in use and had to go, or found no room, since the slots last grew.
    crowded: usize,
    /// Differs from process to process, so that nobody can choose keys that share a slot.
    seed: u64,
    holds: Holds,
    /// Whether keys are addresses, 16 bytes each, or text.
    addresses: bool,
    /// Counts batches, so that slots need not be cleared between them.
    batch: u64,
    /// A distinct key of the batch each, after one for each cause of absence.
    picked: Vec<Picked>,
    fresh: Fresh,
}

#[derive(Debug, Default)]
struct Slot {
    hash: u64,
    /// Good before this time.
    until: u64,
    /// The batch that asked last, and the key's number in it.
    batch: u64,
    place: u32,
    key: Key,
    /// `None`: there is no such key.
    row: Option<Row>,
}

#[derive(Debug)]
enum Key {
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

/// Where the answer to a distinct key stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Picked {
    Absent(Absence),
    /// A slot.
    Known(u32),
    /// A number among the fresh keys.
    Fresh(u32),
}

/// The keys of a batch that nobody here knows.
#[derive(Debug, Default)]
struct Fresh {
    bytes: Vec<u8>,
    keys: Vec<FreshKey>,
    /// Open addressing: a number in `keys` and 1, or 0.
    table: Vec<u32>,
}

#[derive(Debug)]
struct FreshKey {
    hash: u64,
    start: usize,
    end: usize,
    place: u32,
}

impl Default for Recall {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            bytes: 0,
            crowded: 0,
            seed: RandomState::new().hash_one(0_u64),
            holds: Holds::default(),
            addresses: false,
            batch: 0,
            picked: Vec::new(),
            fresh: Fresh::default(),
        }
    }
}

impl Recall {
    /// The next batch, with at most that many keys.
    pub(super) fn begin(&mut self, holds: Holds, addresses: bool, rows: usize) {
        let other = self.holds.version != holds.version || self.addresses != addresses;
        if other || self.bytes > BYTES_MAX {
            self.slots.clear();
            self.bytes = 0;
            self.crowded = 0;
        }
        self.holds = holds;
        self.addresses = addresses;
        self.batch += 1;
        if self.crowded > self.slots.len() / 8 && self.slots.len() < SLOTS_MAX {
            self.grow();
        }
        self.picked.clear();
        self.picked.extend(Absence::ALL.map(Picked::Absent));
        self.fresh.begin(rows);
    }

    /// The place of rows without a key, for this reason.
    pub(super) fn absent(why: Absence) -> u32 {
        why as u32 - 1
    }

    /// A key's hash. Asked for all keys first: their slots are then on the way from memory, all at once, when they are looked into.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let hash = xxh3_64_with_seed(key, self.seed);
        black_box(self.slots.get(self.set(hash)).map(|slot| slot.until));
        hash
    }

    /// The place of a key among the distinct keys of the batch.
    #[inline]
    pub(super) fn place(&mut self, key: &[u8], hash: u64) -> u32 {
        let (set, now) = (self.set(hash), self.holds.now);
        for (way, slot) in self.slots.get_mut(set..set + 2).into_iter().flatten().enumerate() {
            if slot.hash == hash && slot.until > now && slot.key.is(key) {
                if slot.batch != self.batch {
                    slot.batch = self.batch;
                    slot.place = self.picked.len() as u32;
                    self.picked.push(Picked::Known((set + way) as u32));
                }
                return slot.place;
            }
        }
        self.fresh.place(key, hash, &mut self.picked)
    }

    /// What stands at each place.
    pub(super) fn picked(&self) -> &[Picked] {
        &self.picked
    }

    /// How many keys of the batch were known: with a row, and as missing.
    pub(super) fn known(&self) -> (usize, usize) {
        let known = self.picked.iter().filter_map(|picked| match picked {
            Picked::Known(slot) => Some(self.slots[*slot as usize].row.is_some()),
            Picked::Fresh(_) | Picked::Absent(_) => None,
        });
        known.fold((0, 0), |(found, missed), is| {
            (found + usize::from(is), missed + usize::from(!is))
        })
    }

    /// The row in a slot.
    pub(super) fn row(&self, slot: u32) -> Option<&Row> {
        self.slots[slot as usize].row.as_ref()
    }

    /// Whether the batch has keys that nobody here knows.
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.keys.is_empty()
    }

    /// Those keys, in the order in which they came.
    pub(super) fn fresh(&self) -> impl Iterator<Item = &[u8]> {
        self.fresh.keys.iter().map(|key| &self.fresh.bytes[key.start..key.end])
    }

    /// Remembers the answers to the fresh keys for as long as they hold. Failures are the lookup's to remember.
    pub(super) fn remember(&mut self, answers: &[Answer]) {
        let Holds { now, found, missed, .. } = self.holds;
        if found == 0 && missed == 0 {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS_MIN, Slot::default);
        }
        for (index, answer) in answers.iter().enumerate().take(self.fresh.keys.len()) {
            let (row, life) = match answer {
                Answer::Found(row) => (Some(row), found),
                Answer::Miss => (None, missed),
                Answer::Failed => continue,
            };
            let key = &self.fresh.keys[index];
            let Some(slot) = self.room(key.hash, now).filter(|_| life > 0) else { continue };
            let key = &self.fresh.keys[index];
            let bytes = &self.fresh.bytes[key.start..key.end];
            let old = &mut self.slots[slot];
            self.bytes -= old.weight();
            *old = Slot {
                hash: key.hash,
                until: now.saturating_add(life),
                batch: self.batch,
                place: key.place,
                key: Key::new(bytes),
                row: row.cloned(),
            };
            self.bytes += old.weight();
        }
    }

    /// A slot for a key with that hash: never one whose answer this batch uses.
    fn room(&mut self, hash: u64, now: u64) -> Option<usize> {
        let set = self.set(hash);
        let ways = [set, set + 1];
        if let Some(slot) = ways.into_iter().find(|&slot| self.slots[slot].until <= now) {
            return Some(slot);
        }
        let used_last = |slot: &usize| self.slots[*slot].batch;
        let oldest = ways.into_iter().min_by_key(used_last)?;
        // Keys that came once take each other's slots; room is made for those that come again.
        self.crowded += usize::from(self.batch - used_last(&oldest) < LATELY);
        (used_last(&oldest) != self.batch).then_some(oldest)
    }

    fn set(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().saturating_sub(1) & !1
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        let old = std::mem::take(&mut self.slots);
        self.slots.resize_with(size, Slot::default);
        for slot in old {
            let set = self.set(slot.hash);
            if slot.until > self.holds.now {
                // Both ways of an old set may go to one new set, which has two.
                let way = usize::from(self.slots[set].until > 0);
                self.slots[set + way] = slot;
            }
        }
        self.bytes = self.slots.iter().map(Slot::weight).sum();
        self.crowded = 0;
    }
}

impl Slot {
    fn weight(&self) -> usize {
        self.row.as_ref().map_or(0, Row::weight) + self.key.weight()
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match short.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Self::Short(bytes.len() as u8, short)
            }
            None => Self::Long(bytes.into()),
        }
    }

    #[inline]
    fn is(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Short(length, short) => {
                usize::from(*length) == bytes.len() && is_prefix(bytes, short)
            }
            Self::Long(long) => **long == *bytes,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Short(..) => 0,
            Self::Long(long) => long.len(),
        }
    }
}

/// Whether a short text begins with these bytes, which are no more than it holds: two loads that overlap, where comparing
/// byte ranges of any length would be a call.
#[inline]
fn is_prefix(bytes: &[u8], short: &[u8; SHORT]) -> bool {
    fn both<const N: usize>(bytes: &[u8], short: &[u8]) -> Option<bool> {
        let head = *bytes.first_chunk::<N>()? == *short.first_chunk::<N>()?;
        Some(head & (*bytes.last_chunk::<N>()? == *short.last_chunk::<N>()?))
    }
    let Some(short) = short.get(..bytes.len()) else { return false };
    both::<16>(bytes, short)
        .or_else(|| both::<8>(bytes, short))
        .or_else(|| both::<4>(bytes, short))
        .unwrap_or_else(|| bytes.iter().eq(short))
}

impl Default for Key {
    fn default() -> Self {
        Self::Short(0, [0; SHORT])
    }
}

impl Fresh {
    fn begin(&mut self, rows: usize) {
        self.bytes.clear();
        if !self.keys.is_empty() {
            self.keys.clear();
            self.table.fill(0);
        }
        // At most half full, so that a search ends soon.
        let size = (rows * 2).next_power_of_two();
        if self.table.len() < size {
            self.table.clear();
            self.table.resize(size, 0);
        }
    }

    #[inline]
    fn place(&mut self, key: &[u8], hash: u64, picked: &mut Vec<Picked>) -> u32 {
        let mask = self.table.len() - 1;
        // The lowest bits chose the slot.
        let mut at = (hash >> 20) as usize & mask;
        while let Some(index) = self.table[at].checked_sub(1) {
            let known = &self.keys[index as usize];
            if known.hash == hash && self.bytes[known.start..known.end] == *key {
                return known.place;
            }
            at = (at + 1) & mask;
        }
        let (place, start) = (picked.len() as u32, self.bytes.len());
        self.bytes.extend_from_slice(key);
        picked.push(Picked::Fresh(self.keys.len() as u32));
        self.keys.push(FreshKey { hash, start, end: self.bytes.len(), place });
        self.table[at] = self.keys.len() as u32;
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn holds(now: u64, version: u64) -> Holds {
        Holds { version, now, found: MINUTE, missed: 1_000 }
    }

    /// Asks for keys and says which of them were fresh; all of those get the same answer.
    fn ask(recall: &mut Recall, holds: Holds, keys: &[&str], answer: &Answer) -> Vec<String> {
        recall.begin(holds, false, keys.len());
        let hashes: Vec<u64> = keys.iter().map(|key| recall.hash(key.as_bytes())).collect();
        let mut place = |(key, hash): (&&str, &u64)| recall.place(key.as_bytes(), *hash);
        let places: Vec<u32> = keys.iter().zip(&hashes).map(&mut place).collect();
        let again: Vec<u32> = keys.iter().zip(&hashes).map(&mut place).collect();
        assert_eq!(again, places, "a key keeps its place");
        let fresh: Vec<String> =
            recall.fresh().map(|key| String::from_utf8(key.to_vec()).unwrap()).collect();
        recall.remember(&vec![answer.clone(); fresh.len()]);
        fresh
    }

    #[test]
    fn each_distinct_key_is_asked_for_once_and_then_known() {
        let mut recall = Recall::default();
        let found = Answer::Found("1".into());
        assert_eq!(ask(&mut recall, holds(1, 0), &["a", "b", "a"], &found), ["a", "b"]);
        let long = "a key that is too long for its slot";
        assert_eq!(ask(&mut recall, holds(2, 0), &["b", long, long], &found), [long]);
        assert!(ask(&mut recall, holds(3, 0), &["a", "b", long], &found).is_empty());
        assert_eq!(recall.known(), (3, 0));
    }

    #[test]
    fn a_key_is_told_from_every_other() {
        let text: Vec<u8> = (1..=40).collect();
        for length in 0..text.len() {
            let key = Key::new(&text[..length]);
            assert!(key.is(&text[..length]), "{length}");
            assert!(!key.is(&text[..=length]), "{length}");
            for at in 0..length {
                let mut other = text[..length].to_vec();
                other[at] ^= 0x80;
                assert!(!key.is(&other), "{length}: {at}");
            }
        }
    }

    #[test]
    fn an_answer_ends_with_its_time_and_its_version() {
        let mut recall = Recall::default();
        let found = Answer::Found("1".into());
        ask(&mut recall, holds(1, 0), &["a"], &found);
        ask(&mut recall, holds(1, 0), &["b"], &Answer::Miss);
        ask(&mut recall, holds(1, 0), &["c"], &Answer::Failed);
        assert_eq!(ask(&mut recall, holds(1_000, 0), &["a", "b", "c"], &Answer::Failed), ["c"]);
        assert_eq!(ask(&mut recall, holds(1_001, 0), &["a", "b"], &Answer::Failed), ["b"]);
        assert_eq!(ask(&mut recall, holds(1 + MINUTE, 0), &["a"], &found), ["a"]);
        assert_eq!(ask(&mut recall, holds(2 + MINUTE, 1), &["a"], &found), ["a"]);
    }

    #[test]
    fn what_may_not_be_remembered_is_not() {
        let mut recall = Recall::default();
        for _ in 0..2 {
            let fresh = ask(&mut recall, Holds::default(), &["a", "a"], &Answer::Miss);
            assert_eq!(fresh, ["a"]);
        }
        assert!(recall.slots.is_empty());
    }

    #[test]
    fn it_grows_with_its_keys_and_stays_bounded() {
        let mut recall = Recall::default();
        let row = Answer::Found("x".repeat(2_000).into());
        for round in 0..200_u64 {
            let keys: Vec<String> = (0..1_000).map(|n| format!("{round}-{n}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            assert_eq!(ask(&mut recall, holds(1, 0), &keys, &row).len(), 1_000);
            assert!(recall.slots.len() <= SLOTS_MAX);
            // A batch's rows may come above it, until the next batch begins.
            assert!(recall.bytes <= BYTES_MAX + 1_000 * 5_000, "{}", recall.bytes);
        }
        let mut recall = Recall::default();
        let keys: Vec<String> = (0..6_000).map(|n| n.to_string()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for _ in 0..20 {
            for keys in keys.chunks(1_000) {
                ask(&mut recall, holds(1, 0), keys, &Answer::Found("1".into()));
            }
        }
        let fresh = ask(&mut recall, holds(1, 0), &keys[..1_000], &Answer::Miss);
        assert!(fresh.len() < 200, "{} of 1,000 keys were forgotten", fresh.len());
    }
}
