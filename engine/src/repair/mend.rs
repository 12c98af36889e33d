//! Rows that are missing, stored: probe, insert, look again, and another attempt where the server took the rows for a repeat.
//!
//! Invariant: rows are inserted only after a look said that they are not there and that nobody is storing them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Repair, Trouble,
    compare::Stored,
    stored::{self, Rows},
};
use crate::{
    delivery::Position,
    pipeline::replay::{Judged, Place, Replay, Row},
    sink::{
        clickhouse::{Block, Inserter, SinkError},
        retry::Backoff,
    },
};

/// After so many tries it is a person's turn.
const ATTEMPTS: u32 = 6;

/// Why rows could not be stored.
#[derive(Debug)]
pub enum Refusal {
    /// The table does not take one of the rows; nothing of its block is stored.
    Rows(String),
    /// Something else is wrong.
    Other(Trouble),
}

impl<T: Into<Trouble>> From<T> for Refusal {
    fn from(trouble: T) -> Self {
        Self::Other(trouble.into())
    }
}

impl Repair {
    /// Looks what the tables hold of a range, when nobody of us is storing rows of its partition any more.
    pub fn look(
        &self,
        replay: &Replay,
        position: &Position,
        range: &Range<i64>,
    ) -> Result<Stored, Trouble> {
        let mut look = Stored { letters: replay.letters(), ..Stored::default() };
        if replay.letters().is_some() {
            look.redriven = self.wait(self.actions()?.redriven(position, range))?;
        }
        for (number, target) in replay.targets.iter().enumerate() {
            if !target.is_known {
                look.unknown.insert(number);
                look.tables.push(Rows::new());
                continue;
            }
            look.tables.push(self.wait(stored::rows(target, position, range))?);
            if target.is_letters {
                look.whole = self.wait(stored::whole(target, position, range))?;
            }
        }
        Ok(look)
    }

    /// Waits until inserts of an earlier process of ours, that may have been killed, are done.
    pub fn quiesce(&self, replay: &Replay, position: &Position) -> Result<(), Trouble> {
        let prefix = prefix(position);
        let mut asked = BTreeSet::new();
        for target in replay.targets.iter() {
            if asked.insert(target.client().endpoint().url.clone()) {
                self.wait(stored::quiesce(target.client(), &prefix))?;
            }
        }
        Ok(())
    }

    /// Stores rows of a judged batch, of which a look just said that they are missing. Returns how many were stored by table.
    pub fn store(
        &self,
        replay: &Replay,
        judged: &mut Judged,
        mut missing: BTreeSet<Row>,
        mut still_ours: impl FnMut() -> Result<(), Trouble>,
    ) -> Result<BTreeMap<usize, u64>, Refusal> {
        missing.retain(|row| matches!(row.place, Place::Table(_)));
        let position = judged.position().clone();
        let mut done: BTreeMap<usize, u64> = BTreeMap::new();
        let mut last: Option<SinkError> = None;
        for attempt in 0..ATTEMPTS {
            if missing.is_empty() {
                return Ok(done);
            }
            if attempt > 0 {
                // One person waits, not a thousand engines: no jitter.
                let pause = Backoff::default().ceiling(attempt);
                self.wait(tokio::time::sleep(pause.min(Duration::from_secs(3))));
            }
            for (target, block) in replay.build(judged, &missing, attempt) {
                still_ours()?;
                let client = replay.targets[target].client();
                let token = token(&position, &replay.targets[target].name, &block, attempt);
                match self.wait(Inserter::new(Arc::clone(client)).insert(&block, &token)) {
                    Ok(()) => {}
                    Err(error) if error.class.is_transient() => last = Some(error),
                    Err(error) if error.class == crate::sink::clickhouse::Class::Bisect => {
                        return Err(Refusal::Rows(error.sentence));
                    }
                    Err(error) => return Err(error.into()),
                }
                self.wait(stored::quiesce(client, &prefix(&position)))?;
            }
            self.verify(replay, &position, &mut missing, &mut done)?;
        }
        if missing.is_empty() {
            return Ok(done);
        }
        let why = last.map_or_else(
            || "the server says yes, and the rows are not there".to_owned(),
            |error| error.sentence,
        );
        Err(Trouble::World(format!(
            "{} rows of {}/{} could not be stored: {why}",
            missing.len(),
            position.topic,
            position.partition
        ))
        .into())
    }

    /// Takes out what is there now.
    fn verify(
        &self,
        replay: &Replay,
        position: &Position,
        missing: &mut BTreeSet<Row>,
        done: &mut BTreeMap<usize, u64>,
    ) -> Result<(), Trouble> {
        let tables: BTreeSet<usize> = missing
            .iter()
            .filter_map(|row| match row.place {
                Place::Table(table) => Some(table),
                Place::Topic(_) => None,
            })
            .collect();
        for table in tables {
            let of_table = || missing.iter().filter(|row| row.place == Place::Table(table));
            let (Some(first), Some(last)) = (of_table().next(), of_table().next_back()) else {
                continue;
            };
            let range = first.id.offset..last.id.offset + 1;
            let there = self.wait(stored::rows(&replay.targets[table], position, &range))?;
            missing.retain(|row| {
                let is_there = row.place == Place::Table(table) && there.contains_key(&row.id);
                if is_there {
                    *done.entry(table).or_default() += 1;
                }
                !is_there
            });
        }
        Ok(())
    }
}

/// What the names of all our inserts of a partition begin with.
fn prefix(position: &Position) -> String {
    let topic = utf8_percent_encode(&position.topic, NON_ALPHANUMERIC);
    format!("lm1r/{topic}/{}/", position.partition)
}

/// The name of an insert: made of the bytes, so that it never stands for others.
fn token(position: &Position, table: &str, block: &Block, attempt: u32) -> String {
    let digest = blake3::Hasher::new()
        .update(table.as_bytes())
        .update(&[0])
        .update(&block.body)
        .finalize()
        .to_hex();
    let table = utf8_percent_encode(table, NON_ALPHANUMERIC);
    format!("{}{table}/{}/a{attempt}", prefix(position), &digest[..32])
}
