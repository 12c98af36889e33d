//! Dead letters as they lie in their table or topic: chosen, counted, opened, given up. What people did with each is in the book of actions.

mod table;
mod topic;

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};

use self::{table::InTable, topic::InTopic};
use super::{Trouble, actions::Actions, server};
use crate::{
    config::Config,
    delivery::Position,
    pipeline::replay::letters_table,
    sink::clickhouse::{SinkError, Table},
};

/// Letters of this many offsets are worked on together.
pub const BUCKET: i64 = 1024;

/// Which letters are meant.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Why they are dead.
    pub reason: Option<String>,
    /// The rule that decided it: its label, or the end of it.
    pub rule: Option<String>,
    /// The sink that they did not reach.
    pub sink: Option<String>,
    /// Their records' time, nanoseconds since 1970: not before that.
    pub since: Option<i64>,
    /// Before that.
    pub until: Option<i64>,
    /// The topic.
    pub topic: Option<String>,
    /// The partition.
    pub partition: Option<i32>,
    /// The offsets.
    pub offsets: Option<Range<i64>>,
    /// The how-many-eth output.
    pub emit_ix: Option<u16>,
    /// Also those that somebody settled.
    pub settled: bool,
}

impl Filter {
    /// Whether it leaves nothing out but what is settled.
    pub fn is_empty(&self) -> bool {
        let Self { reason, rule, sink, since, until, topic, partition, offsets, emit_ix, .. } =
            self;
        reason.is_none()
            && rule.is_none()
            && sink.is_none()
            && since.is_none()
            && until.is_none()
            && topic.is_none()
            && partition.is_none()
            && offsets.is_none()
            && emit_ix.is_none()
    }

    /// Whether a letter is meant.
    fn takes(&self, letter: &Letter) -> bool {
        let is =
            |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|text| text == own);
        let rule = |rule: &String| {
            letter.rule == *rule || letter.rule.rsplit('/').next() == Some(rule.as_str())
        };
        is(&self.reason, &letter.reason)
            && is(&self.sink, &letter.sink)
            && is(&self.topic, &letter.topic)
            && self.rule.as_ref().is_none_or(rule)
            && self.since.is_none_or(|since| letter.time >= since)
            && self.until.is_none_or(|until| letter.time < until)
            && self.partition.is_none_or(|partition| letter.partition == partition)
            && self.offsets.as_ref().is_none_or(|offsets| offsets.contains(&letter.offset))
            && self.emit_ix.is_none_or(|emit_ix| letter.emit_ix == emit_ix)
            && (self.settled || letter.is_open())
    }
}

/// A dead letter, without what came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    #[serde(rename(deserialize = "off"))]
    pub offset: i64,
    /// The how-many-eth output of the event.
    #[serde(rename(deserialize = "emit"))]
    pub emit_ix: u16,
    /// The record's time, nanoseconds since 1970.
    pub time: i64,
    /// Why, as a word.
    pub reason: String,
    /// Why, as a sentence.
    pub cause: String,
    /// The sink that it did not reach.
    pub sink: String,
    /// The rule that decided it.
    pub rule: String,
    /// The place in the rule, the column, or the stage.
    pub site: String,
    /// The rules of then.
    pub bundle: String,
    /// The record's key.
    pub key: String,
    /// The record's headers.
    pub headers: BTreeMap<String, String>,
    /// How many bytes came.
    pub raw_bytes: u64,
    /// How many of them were kept.
    pub kept: u64,
    /// Their hash.
    pub raw_hash: String,
    /// What was done last: nothing, `redriven`, `dead_again`, `discarded`.
    pub state: String,
    /// What came of it.
    pub outcome: String,
    /// When, nanoseconds since 1970.
    pub acted: i64,
}

impl Letter {
    /// `topic/partition/offset/emit_ix`.
    pub fn place(&self) -> String {
        format!("{}/{}/{}/{}", self.topic, self.partition, self.offset, self.emit_ix)
    }

    /// The partition.
    pub fn position(&self) -> Position {
        Position { topic: self.topic.as_str().into(), partition: self.partition }
    }

    /// Whether nobody settled it.
    pub fn is_open(&self) -> bool {
        self.state.is_empty() || self.state == "dead_again"
    }

    /// Whether nothing of its record was delivered: it is no event, or a fault held it back.
    pub fn is_whole(&self) -> bool {
        self.site == "decode" || self.reason == "fault"
    }

    /// Whether the engine wrote it with the record as it came; what a rule sent holds what the rule put into it.
    pub fn has_record(&self) -> bool {
        !self.raw_hash.is_empty() && self.kept == self.raw_bytes
    }
}

/// By what letters are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// By why they are dead.
    Reason,
    /// By the rule that decided it.
    Rule,
    /// By the sink that they did not reach.
    Sink,
    /// By the hour of their records.
    Hour,
}

/// How many letters have something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What.
    pub name: String,
    /// How many letters.
    pub letters: u64,
    /// How many of them nobody settled.
    pub open: u64,
    /// The first record's time, nanoseconds since 1970.
    pub first: i64,
    /// The last record's.
    pub last: i64,
    /// The cause of one of them.
    pub example: String,
}

/// Some letters whose offsets are near each other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bucket {
    topic: String,
    partition: i32,
    number: i64,
    /// How many letters.
    pub letters: u64,
}

impl Bucket {
    /// The partition.
    pub fn position(&self) -> Position {
        Position { topic: self.topic.as_str().into(), partition: self.partition }
    }

    /// Its offsets.
    pub fn range(&self) -> Range<i64> {
        self.number * BUCKET..(self.number + 1) * BUCKET
    }
}

/// The dead letters of a configuration.
#[derive(Debug)]
pub struct Letters {
    shelf: Shelf,
    actions: Actions,
}

/// Where they lie.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, and it is not moved about")]
enum Shelf {
    Table(InTable),
    Topic(InTopic),
}

impl Letters {
    /// Opens the table that the configuration names, or reads the topic where there is no table.
    pub fn open(
        config: &Config,
        plan: &logmon_dsl::plan::Plan,
        runtime: &tokio::runtime::Runtime,
        actions: Actions,
    ) -> Result<Self, Trouble> {
        let shelf = match letters_table(config, plan) {
            None => Shelf::Topic(InTopic::read(config, plan)?),
            Some((sink, name)) => {
                let client = server(config, &sink)?;
                let table = runtime.block_on(Table::read(&client, &name))?;
                Shelf::Table(InTable::new(client, table))
            }
        };
        Ok(Self { shelf, actions })
    }

    /// The book of what was done.
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The letters that are meant, in the order of their records.
    pub async fn list(&self, filter: &Filter, limit: u64) -> Result<Vec<Letter>, SinkError> {
        match &self.shelf {
            Shelf::Table(shelf) => shelf.list(&self.actions, filter, limit).await,
            Shelf::Topic(shelf) => {
                let states = self.actions.states().await?;
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                Ok(shelf.list(&states, filter).into_iter().take(limit).collect())
            }
        }
    }

    /// How many letters are meant, by something.
    pub async fn stats(&self, filter: &Filter, by: By) -> Result<Vec<Group>, SinkError> {
        let filter = Filter { settled: true, ..filter.clone() };
        match &self.shelf {
            Shelf::Table(shelf) => shelf.stats(&self.actions, &filter, by).await,
            Shelf::Topic(shelf) => {
                Ok(topic::stats(&shelf.list(&self.actions.states().await?, &filter), by))
            }
        }
    }

    /// The open letters that are meant, in heaps that are worked on together.
    pub async fn buckets(&self, filter: &Filter) -> Result<Vec<Bucket>, SinkError> {
        match &self.shelf {
            Shelf::Table(shelf) => shelf.buckets(&self.actions, filter).await,
            Shelf::Topic(shelf) => {
                Ok(topic::buckets(&shelf.list(&self.actions.states().await?, filter)))
            }
        }
    }

    /// The letters of a heap that are meant and, as of now, open.
    pub async fn of(&self, filter: &Filter, bucket: &Bucket) -> Result<Vec<Letter>, SinkError> {
        let range = bucket.range();
        let offsets = match &filter.offsets {
            None => range,
            Some(own) => own.start.max(range.start)..own.end.min(range.end),
        };
        let filter = Filter {
            topic: Some(bucket.topic.clone()),
            partition: Some(bucket.partition),
            offsets: Some(offsets),
            ..filter.clone()
        };
        self.list(&filter, u64::MAX >> 1).await
    }

    /// What came, of each of these letters of one partition: as much as was kept.
    pub async fn raws(&self, letters: &[&Letter]) -> Result<Vec<Vec<u8>>, SinkError> {
        match &self.shelf {
            Shelf::Table(shelf) => shelf.raws(letters).await,
            Shelf::Topic(shelf) => Ok(letters.iter().map(|letter| shelf.raw(letter)).collect()),
        }
    }

    /// Marks the open letters that are meant as given up, with the reason. Returns how many.
    pub async fn discard(&self, filter: &Filter, because: &str) -> Result<u64, SinkError> {
        let filter = Filter { settled: false, ..filter.clone() };
        match &self.shelf {
            Shelf::Table(shelf) => shelf.discard(&self.actions, &filter, because).await,
            Shelf::Topic(shelf) => {
                let letters = shelf.list(&self.actions.states().await?, &filter);
                self.actions.write(&topic::discarded(&letters, because)).await?;
                Ok(letters.len() as u64)
            }
        }
    }
}
