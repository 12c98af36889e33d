//! Where to start reading a partition.
//!
//! Invariant: pure. The broker's answers come in as arguments.

use crate::config::Start;

/// What is known of a partition that was just assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The group's committed offset.
    pub committed: Option<i64>,
    /// Whether the group has a committed offset for any other partition of the topic.
    pub topic_is_read: bool,
    /// The first offset that Kafka holds.
    pub low: i64,
    /// One past the last offset that Kafka holds.
    pub high: i64,
    /// The first offset at or after the start moment, if `start` names one and there is such a record.
    pub at: Option<i64>,
}

/// Where to read on, and what was lost on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The first offset to read.
    pub offset: i64,
    /// Offsets that were due but that Kafka no longer holds: `[from, to)`.
    pub gap: Option<(i64, i64)>,
}

/// Decides where to begin.
///
/// A partition that was added to a topic the group already reads begins at its first record whatever `start` says: it was empty when the group was
/// told to start, so everything in it is new.
pub fn begin(start: Start, known: Known) -> Begin {
    let fresh = |offset| Begin { offset, gap: None };
    match known.committed {
        Some(committed) if committed < known.low => {
            Begin { offset: known.low, gap: Some((committed, known.low)) }
        }
        // Kafka holds less than was read: the topic was recreated. Everything in it is new.
        Some(committed) if committed > known.high => fresh(known.low),
        Some(committed) => fresh(committed),
        None if known.topic_is_read => fresh(known.low),
        None => fresh(match start {
            Start::Earliest => known.low,
            Start::Latest => known.high,
            Start::At(_) => known.at.unwrap_or(known.high),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known { committed: None, topic_is_read: false, low: 10, high: 90, at: None }
    }

    #[track_caller]
    fn check(start: Start, known: Known, offset: i64, gap: Option<(i64, i64)>) {
        assert_eq!(begin(start, known), Begin { offset, gap });
    }

    #[test]
    fn a_new_group_begins_where_it_is_told() {
        check(Start::Earliest, known(), 10, None);
        check(Start::Latest, known(), 90, None);
        check(Start::At(1), Known { at: Some(40), ..known() }, 40, None);
        check(Start::At(1), known(), 90, None);
    }

    #[test]
    fn a_committed_offset_wins() {
        check(Start::Latest, Known { committed: Some(30), ..known() }, 30, None);
        check(Start::Earliest, Known { committed: Some(90), ..known() }, 90, None);
    }

    #[test]
    fn what_kafka_no_longer_holds_is_named() {
        check(Start::Latest, Known { committed: Some(3), ..known() }, 10, Some((3, 10)));
    }

    #[test]
    fn a_partition_added_later_loses_nothing() {
        check(Start::Latest, Known { topic_is_read: true, ..known() }, 10, None);
    }

    #[test]
    fn a_recreated_topic_is_read_whole() {
        check(Start::Latest, Known { committed: Some(500), low: 0, high: 4, ..known() }, 0, None);
    }
}
