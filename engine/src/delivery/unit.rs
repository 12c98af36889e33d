//! One insert: its name, by which the server knows a repeat.
//!
//! Invariant: a token is never used for other rows. It names the exact offsets that the unit holds and a number of this process.

use std::{fmt::Write as _, ops::Range};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::ledger::Position;

/// Bytes that would break a token apart (it is cut at `/`) or a URL it travels in.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b'/')
    .add(b' ')
    .add(b'%')
    .add(b'#')
    .add(b'?')
    .add(b'&')
    .add(b'+')
    .add(b'"')
    .add(b'\'');

/// Offsets of one partition that a unit holds rows of; `end` is one past the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The partition.
    pub position: Position,
    /// The first offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
}

/// What a token is made of.
#[derive(Debug, Clone)]
pub struct Unit<'a> {
    /// The consumer group.
    pub group: &'a str,
    /// Chosen at random when this process started: the same offsets read again by a later process are other units.
    pub incarnation: u64,
    /// What it holds, by partition.
    pub held: &'a [Held],
    /// The first eight digits of the bundle's hash.
    pub bundle: &'a str,
    /// `database.table`.
    pub table: &'a str,
    /// Digest of the ClickHouse partition's value.
    pub partition: u128,
    /// Counts the units of this process, so that two blocks cut out of the same offsets differ.
    pub chunk: u64,
}

/// Longest list of ranges that is spelled out; more partitions in one unit are named by a digest.
const RANGES_MAX: usize = 160;

impl Unit<'_> {
    /// `lm1/<group>/<incarnation>/<topic>/<partition>/<start>-<end>/<bundle>/<table>/<partition digest>/<chunk>.0/a0`, also the query id.
    ///
    /// A unit over several partitions lists them as `topic:partition:start-end` joined by `+` in the place of topic, partition and range.
    pub fn token(&self) -> String {
        let mut ranges = String::new();
        if let [held] = self.held {
            let topic = utf8_percent_encode(&held.position.topic, RESERVED);
            let _ =
                write!(ranges, "{topic}/{}/{}-{}", held.position.partition, held.start, held.end);
        } else {
            for (index, held) in self.held.iter().enumerate() {
                let plus = if index > 0 { "+" } else { "" };
                let topic = utf8_percent_encode(&held.position.topic, RESERVED);
                let _ = write!(
                    ranges,
                    "{plus}{topic}:{}:{}-{}",
                    held.position.partition, held.start, held.end
                );
            }
            if ranges.len() > RANGES_MAX {
                let digest = blake3::hash(ranges.as_bytes()).to_hex();
                ranges.clear();
                ranges.push_str(&digest[..32]);
            }
        }
        format!(
            "lm1/{}/{:016x}/{ranges}/{}/{}/{:032x}/{}.0/a0",
            utf8_percent_encode(self.group, RESERVED),
            self.incarnation,
            self.bundle,
            utf8_percent_encode(self.table, RESERVED),
            self.partition,
            self.chunk,
        )
    }
}

/// The name of some rows of a unit that is stored in pieces: no piece has the name of another, nor of the whole.
pub fn piece(token: &str, rows: &Range<usize>) -> String {
    format!("{token}.{}-{}", rows.start, rows.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_names_of_their_own() {
        let names: std::collections::BTreeSet<String> =
            [0..1, 0..2, 1..2, 1..12, 11..12].iter().map(|rows| piece("t", rows)).collect();
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|name| name.starts_with("t.")));
    }

    fn held(topic: &str, partition: i32, start: i64, end: i64) -> Held {
        Held { position: Position { topic: topic.into(), partition }, start, end }
    }

    fn token(held: &[Held], chunk: u64) -> String {
        let unit = Unit {
            group: "log mon",
            incarnation: 7,
            held,
            bundle: "01234567",
            table: "default.logs",
            partition: 9,
            chunk,
        };
        unit.token()
    }

    #[test]
    fn names_what_it_holds() {
        assert_eq!(
            token(&[held("logs/app", 3, 10, 20)], 4),
            "lm1/log%20mon/0000000000000007/logs%2Fapp/3/10-20/01234567/default.logs/00000000000000000000000000000009/4.0/a0"
        );
        let two = [held("a", 0, 0, 5), held("a", 1, 7, 9)];
        assert!(token(&two, 0).contains("/a:0:0-5+a:1:7-9/"));
    }

    #[test]
    fn stays_short_and_differs() {
        let many: Vec<Held> =
            (0..100).map(|partition| held("topic", partition, 0, 1_000_000)).collect();
        let mut other = many.clone();
        other[50].end += 1;
        assert!(token(&many, 0).len() < 200);
        assert_ne!(token(&many, 0), token(&other, 0));
        assert_ne!(token(&many, 0), token(&many, 1));
    }
}
