//! One insert: its name, by which the server knows a repeat.
//!
//! Invariant: a token is never used for other rows. It names the exact offsets that the unit holds and a number of this process.

use std::{fmt::Write as _, ops::Range};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{intent::BundleId, ledger::Position};

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

/// What the token of a unit under exactly-once is made of.
#[derive(Debug, Clone)]
pub struct Exact<'a> {
    /// The consumer group.
    pub group: &'a str,
    /// The partition's incarnation.
    pub inc: u64,
    /// Which partition, and which of its offsets.
    pub held: &'a Held,
    /// The rules, as in the intent.
    pub bundle: BundleId,
    /// `database.table`.
    pub table: &'a str,
    /// Digest of the ClickHouse partition's value.
    pub partition: u128,
    /// The sink's number: several may write into one table.
    pub number: u16,
    /// The intent that cut the unit anew; 0 where none did.
    pub cut: u32,
}

impl Exact<'_> {
    /// What every token of the range begins with.
    pub fn range_prefix(&self) -> String {
        format!(
            "lm1/{}/{:016x}/{}/{}/{}-{}/",
            utf8_percent_encode(self.group, RESERVED),
            self.inc,
            utf8_percent_encode(&self.held.position.topic, RESERVED),
            self.held.position.partition,
            self.held.start,
            self.held.end,
        )
    }

    /// What every token of the unit begins with, whatever its attempt.
    pub fn prefix(&self) -> String {
        // A range has one block for each sink and ClickHouse partition.
        let bundle = self.bundle.to_string();
        format!(
            "{}{}/{}/{:032x}/{}.{}/",
            self.range_prefix(),
            &bundle[..8],
            utf8_percent_encode(self.table, RESERVED),
            self.partition,
            self.number,
            self.cut,
        )
    }

    /// The token, which is the query id too.
    pub fn token(&self, attempt: u32) -> String {
        format!("{}a{attempt}", self.prefix())
    }

    /// The token for some of the unit's rows, named by a hash of which ones.
    pub fn repair(&self, missing: u64, attempt: u32) -> String {
        format!("{}r{missing:016x}a{attempt}", self.prefix())
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
    fn a_unit_of_a_range_has_one_name() {
        let held = held("logs", 3, 10, 20);
        let unit = Exact {
            group: "g",
            inc: 7,
            held: &held,
            bundle: BundleId([0xab; 16]),
            table: "default.logs",
            partition: 9,
            number: 4,
            cut: 2,
        };
        let token = "lm1/g/0000000000000007/logs/3/10-20/abababab/default.logs/00000000000000000000000000000009/4.2/a1";
        assert_eq!(unit.token(1), token);
        assert!(
            token.starts_with(&unit.prefix()) && unit.prefix().starts_with(&unit.range_prefix())
        );
        assert_eq!(unit.repair(1, 0), token.replace("/a1", "/r0000000000000001a0"));
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
