//! Offsets `[start, end)` of one partition, and when a growing range has grown enough.
//!
//! Invariant: the ranges of a partition follow each other without gap or overlap, wherever they are cut.

use std::time::{Duration, Instant};

/// Offsets of one partition that one intent names. Holes are allowed: compaction and transactions leave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// The first offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
}

impl Range {
    /// Whether the offset is in it.
    pub fn contains(self, offset: i64) -> bool {
        (self.start..self.end).contains(&offset)
    }

    /// How many offsets it spans.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start).max(0) as u64
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// What both have; empty where they have nothing in common.
    pub fn intersection(self, other: Self) -> Self {
        let start = self.start.max(other.start);
        Self { start, end: self.end.min(other.end).max(start) }
    }

    /// What is before an offset and what begins at it.
    pub fn split(self, at: i64) -> (Self, Self) {
        let at = at.clamp(self.start, self.end.max(self.start));
        (Self { start: self.start, end: at }, Self { start: at, end: self.end })
    }

    /// Whether the other one begins where this one ends.
    pub fn adjoins(self, other: Self) -> bool {
        self.end == other.start
    }
}

/// What ends a range; the first limit that is reached counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Payload bytes.
    pub bytes: usize,
    /// Time since its first record.
    pub age: Duration,
}

/// A range that still grows.
#[derive(Debug, Clone, Copy)]
pub struct Growing {
    /// What it spans so far.
    pub range: Range,
    /// Records in it.
    pub records: usize,
    /// Their payload bytes.
    pub bytes: usize,
    /// When its first record came.
    pub opened: Instant,
}

impl Growing {
    /// An empty range: its first record may come at any offset from here on, and offsets before that record belong to it.
    pub fn open(start: i64, now: Instant) -> Self {
        Self { range: Range { start, end: start }, records: 0, bytes: 0, opened: now }
    }

    /// Adds records up to an offset, one past the last of them.
    pub fn extend(&mut self, end: i64, records: usize, bytes: usize) {
        assert!(end >= self.range.end, "offset {end} came after {}", self.range.end);
        self.range.end = end;
        self.records += records;
        self.bytes += bytes;
    }

    /// Whether a limit is reached.
    pub fn is_due(&self, limits: &Limits, now: Instant) -> bool {
        self.records > 0
            && (self.records >= limits.records
                || self.bytes >= limits.bytes
                || now.saturating_duration_since(self.opened) >= limits.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Wherever batches end and whatever the limits are: ranges tile the partition, none is empty, and none waits past its age.
        #[test]
        fn ranges_tile_a_partition(
            batches in prop::collection::vec((1_usize..50, 0_i64..3, 0_u64..400), 1..60),
            records in 1_usize..200,
            bytes in 1_usize..5_000,
        ) {
            let limits = Limits { records, bytes, age: Duration::from_secs(1) };
            let mut now = Instant::now();
            let (mut done, mut next) = (Vec::<Range>::new(), 7_i64);
            let mut open: Option<Growing> = None;
            for (count, hole, ms) in batches {
                now += Duration::from_millis(ms);
                if let Some(due) = open.take_if(|open| open.is_due(&limits, now)) {
                    done.push(due.range);
                }
                let start = done.last().map_or(7, |last| last.end);
                let growing = open.get_or_insert_with(|| Growing::open(start, now));
                next += hole + count as i64;
                growing.extend(next, count, count * 40);
                prop_assert!(now - growing.opened < limits.age);
            }
            done.extend(open.map(|open| open.range));
            prop_assert!(done.windows(2).all(|pair| pair[0].adjoins(pair[1])));
            prop_assert!(done.iter().all(|range| !range.is_empty()));
            prop_assert_eq!((done[0].start, done[done.len() - 1].end), (7, next));
        }

        #[test]
        fn splitting_keeps_every_offset(start in -50_i64..50, len in 0_i64..50, at in -100_i64..150, probe in -100_i64..150) {
            let range = Range { start, end: start + len };
            let (before, behind) = range.split(at);
            prop_assert!(before.adjoins(behind));
            prop_assert_eq!(before.len() + behind.len(), range.len());
            prop_assert_eq!(before.contains(probe) || behind.contains(probe), range.contains(probe));
            let other = Range { start: at, end: at + 20 };
            prop_assert_eq!(range.intersection(other).contains(probe), range.contains(probe) && other.contains(probe));
        }
    }
}
