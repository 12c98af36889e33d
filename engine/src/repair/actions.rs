//! The book of what people did with dead letters and ranges: a table to which lines are only added.
//!
//! It is also how two commands keep out of each other's way: a claim on a range, written down, then looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::Trouble;
use crate::{
    delivery::Position,
    pipeline::replay::Identity,
    sink::clickhouse::{Class, Client, SinkError, schema::quote},
};

/// A claim holds so long without being renewed: longer than the longest insert.
const CLAIM: Duration = Duration::from_secs(150);

/// A claim of this age is renewed before the next insert.
const RENEW: Duration = Duration::from_secs(20);

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A range is being worked on.
    Claim,
    /// It no longer is.
    Release,
    /// A letter's record was judged again and is dead no more.
    Redriven,
    /// A letter's record was judged again and is still dead.
    DeadAgain,
    /// A person gave a letter up.
    Discarded,
    /// Missing rows of a range were stored.
    Rewind,
}

/// A line about something that is done.
#[derive(Debug, Clone)]
pub struct Done {
    /// What.
    pub action: Action,
    /// The partition.
    pub position: Position,
    /// The offset, or the first of them.
    pub offset: i64,
    /// One past the last.
    pub end: i64,
    /// Which output of the event.
    pub emit_ix: u16,
    /// The rules.
    pub bundle: String,
    /// Rows that were stored.
    pub rows: u64,
    /// What came of it, as a sentence.
    pub outcome: String,
}

/// What was done last with a letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// `redriven`, `dead_again`, `discarded`; empty if nothing was.
    pub state: String,
    /// What came of it.
    pub outcome: String,
    /// When, nanoseconds since 1970.
    pub acted: i64,
}

/// By topic, partition, offset and `emit_ix`.
pub type States = BTreeMap<(String, i32, i64, u16), State>;

#[derive(Deserialize)]
struct StateRow {
    topic: String,
    partition: i32,
    off: i64,
    emit: u16,
    state: String,
    outcome: String,
    acted: i64,
}

/// Lines of an answer.
const PAGE: usize = 10_000;

/// The book.
#[derive(Debug)]
pub struct Actions {
    client: Arc<Client>,
    table: String,
    run: String,
    host: String,
}

#[derive(Serialize)]
struct Line<'a> {
    run: &'a str,
    host: &'a str,
    pid: u32,
    action: Action,
    seconds: u64,
    kafka_topic: &'a str,
    kafka_partition: i32,
    kafka_offset: i64,
    kafka_end: i64,
    emit_ix: u16,
    bundle: &'a str,
    rows: u64,
    outcome: &'a str,
}

#[derive(Deserialize)]
struct Other {
    host: String,
    pid: u32,
    left: i64,
}

impl Actions {
    /// Opens the book that belongs to a table of dead letters, named `table` or `database.table`; makes it if it is missing.
    pub async fn open(client: Arc<Client>, letters: &str, run: &str) -> Result<Self, SinkError> {
        let (database, name) =
            letters.split_once('.').unwrap_or((&client.endpoint().database, letters));
        let table = format!("{}.{}", quote(database), quote(&format!("{name}_actions")));
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {table} (
  at               DateTime64(3, 'UTC') DEFAULT now64(3),
  run              String,
  host             String,
  pid              UInt32,
  action           LowCardinality(String),
  seconds          UInt32,
  kafka_topic      LowCardinality(String),
  kafka_partition  UInt32,
  kafka_offset     UInt64,
  kafka_end        UInt64,
  emit_ix          UInt16,
  bundle           String,
  rows             UInt64,
  outcome          String
) ENGINE = MergeTree
ORDER BY (kafka_topic, kafka_partition, kafka_offset, emit_ix, at)"
        );
        client.query(&statement, &[]).await?;
        Ok(Self { client, table, run: run.to_owned(), host: host() })
    }

    /// `database.table`, quoted.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Names what this process does.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Who this process is, for lines that are written by statement.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Writes lines, all or none.
    pub async fn write(&self, done: &[Done]) -> Result<(), SinkError> {
        self.insert(done, 0).await
    }

    async fn insert(&self, done: &[Done], seconds: u64) -> Result<(), SinkError> {
        if done.is_empty() {
            return Ok(());
        }
        let mut sql = format!(
            "INSERT INTO {} (run, host, pid, action, seconds, kafka_topic, kafka_partition, kafka_offset, kafka_end, emit_ix, bundle, rows, outcome) FORMAT JSONEachRow\n",
            self.table
        );
        for one in done {
            let line = Line {
                run: &self.run,
                host: &self.host,
                pid: std::process::id(),
                action: one.action,
                seconds,
                kafka_topic: &one.position.topic,
                kafka_partition: one.position.partition,
                kafka_offset: one.offset,
                kafka_end: one.end,
                emit_ix: one.emit_ix,
                bundle: &one.bundle,
                rows: one.rows,
                outcome: &one.outcome,
            };
            sql.push_str(&serde_json::to_string(&line).expect("a line is plain data"));
            sql.push('\n');
        }
        self.client.query(&sql, &[("async_insert", "0")]).await.map(drop)
    }

    /// What was done last with every letter that something was done with.
    pub async fn states(&self) -> Result<States, SinkError> {
        let mut states = States::new();
        let mut after = (String::new(), -1, -1, 0);
        loop {
            let sql = format!(
                "SELECT toString(kafka_topic) AS topic, toInt32(kafka_partition) AS partition, toInt64(kafka_offset) AS off, \
                   emit_ix AS emit, argMax(action, at) AS state, substring(argMax(outcome, at), 1, 300) AS outcome, \
                   toUnixTimestamp64Nano(toDateTime64(max(at), 9)) AS acted \
                 FROM {} WHERE action IN ('redriven', 'dead_again', 'discarded') \
                 GROUP BY topic, partition, off, emit \
                 HAVING (topic, partition, off, emit) > ({{topic:String}}, {{partition:Int32}}, {{offset:Int64}}, {{emit:UInt16}}) \
                 ORDER BY topic, partition, off, emit LIMIT {PAGE} FORMAT JSONEachRow",
                self.table
            );
            let (partition, offset, emit) =
                (after.1.to_string(), after.2.to_string(), after.3.to_string());
            let text = self
                .client
                .query(
                    &sql,
                    &[
                        ("param_topic", &*after.0),
                        ("param_partition", &partition),
                        ("param_offset", &offset),
                        ("param_emit", &emit),
                        ("output_format_json_quote_64bit_integers", "0"),
                    ],
                )
                .await?;
            let rows: Result<Vec<StateRow>, _> = text.lines().map(serde_json::from_str).collect();
            let rows = rows.map_err(|error| self.odd(&error))?;
            let n = rows.len();
            for row in rows {
                let StateRow { topic, partition, off, emit, state, outcome, acted } = row;
                after = (topic, partition, off, emit);
                states.insert(after.clone(), State { state, outcome, acted });
            }
            if n < PAGE {
                return Ok(states);
            }
        }
    }

    /// The letters of a range that were redriven.
    pub async fn redriven(
        &self,
        position: &Position,
        range: &Range<i64>,
    ) -> Result<BTreeSet<Identity>, SinkError> {
        let sql = format!(
            "SELECT toInt64(kafka_offset) AS offset, emit_ix FROM {} \
             WHERE action IN ('redriven', 'dead_again', 'discarded') \
             AND kafka_topic = {{topic:String}} AND kafka_partition = {{partition:UInt32}} \
             AND kafka_offset >= {{start:UInt64}} AND kafka_offset < {{end:UInt64}} \
             GROUP BY kafka_offset, emit_ix HAVING argMax(action, at) = 'redriven' FORMAT JSONEachRow",
            self.table
        );
        let partition = position.partition.to_string();
        let (start, end) = (range.start.max(0).to_string(), range.end.max(0).to_string());
        let parameters = [
            ("param_topic", &*position.topic),
            ("param_partition", &*partition),
            ("param_start", &*start),
            ("param_end", &*end),
            ("output_format_json_quote_64bit_integers", "0"),
        ];
        let text = self.client.query(&sql, &parameters).await?;
        let rows: Result<BTreeSet<Identity>, _> = text.lines().map(serde_json::from_str).collect();
        rows.map_err(|error| self.odd(&error))
    }

    fn odd(&self, error: &serde_json::Error) -> SinkError {
        let text = format!("{} holds odd lines: {error}", self.table);
        SinkError::new(Class::Stop, &self.client.endpoint().sink, "table", text)
    }

    /// Claims a range of a partition for this process, or says who has it.
    ///
    /// The claim is written before others are looked for: of two that claim at once at least one sees the other, and gives way.
    pub async fn claim(&self, position: &Position, range: Range<i64>) -> Result<Claim, Trouble> {
        let claim = Claim { position: position.clone(), range, since: Instant::now() };
        self.insert(&[claim.line(Action::Claim)], CLAIM.as_secs()).await?;
        let others = match self.others(&claim).await {
            Ok(others) => others,
            Err(error) => {
                let _kept_until_it_ends = claim.release(self, Vec::new()).await;
                return Err(error.into());
            }
        };
        let alive = others.into_iter().find(|other| {
            // Who shares our processes can be seen to be gone.
            other.host != self.host
                || std::path::Path::new(&format!("/proc/{}", other.pid)).exists()
        });
        let Some(other) = alive else { return Ok(claim) };
        let Position { topic, partition } = position;
        let sentence = format!(
            "{topic}/{partition}, offsets {}..{}: process {} on {} is at work on them; wait for it (if it was killed, for {} s) and ask again",
            claim.range.start, claim.range.end, other.pid, other.host, other.left
        );
        claim.release(self, Vec::new()).await?;
        Err(Trouble::World(sentence))
    }

    async fn others(&self, claim: &Claim) -> Result<Vec<Other>, SinkError> {
        let sql = format!(
            "SELECT any(host) AS host, any(pid) AS pid, \
               toInt64(max(seconds)) - dateDiff('second', maxIf(at, action = 'claim'), now64(3)) AS left \
             FROM {} WHERE action IN ('claim', 'release') AND run != {{run:String}} \
             AND kafka_topic = {{topic:String}} AND kafka_partition = {{partition:UInt32}} \
             AND kafka_offset < {{end:UInt64}} AND kafka_end > {{start:UInt64}} \
             GROUP BY run, kafka_offset, kafka_end \
             HAVING argMax(action, (at, action)) = 'claim' AND left > 0 ORDER BY run FORMAT JSONEachRow",
            self.table
        );
        let (start, end) = (claim.range.start.to_string(), claim.range.end.to_string());
        let partition = claim.position.partition.to_string();
        let text = self
            .client
            .query(
                &sql,
                &[
                    ("param_run", &self.run),
                    ("param_topic", &claim.position.topic),
                    ("param_partition", &partition),
                    ("param_start", &start),
                    ("param_end", &end),
                    ("output_format_json_quote_64bit_integers", "0"),
                    ("select_sequential_consistency", "1"),
                ],
            )
            .await?;
        let rows: Result<Vec<Other>, _> = text.lines().map(serde_json::from_str).collect();
        rows.map_err(|error| self.odd(&error))
    }
}

/// A range that nobody else works on.
#[derive(Debug)]
pub struct Claim {
    position: Position,
    range: Range<i64>,
    since: Instant,
}

impl Claim {
    fn line(&self, action: Action) -> Done {
        Done {
            action,
            position: self.position.clone(),
            offset: self.range.start,
            end: self.range.end,
            emit_ix: 0,
            bundle: String::new(),
            rows: 0,
            outcome: String::new(),
        }
    }

    /// Holds it for longer, if it is of some age. A claim that ran out while nobody looked is an error.
    pub async fn renew(&mut self, actions: &Actions) -> Result<(), SinkError> {
        let age = self.since.elapsed();
        if age < RENEW {
            return Ok(());
        }
        if age >= CLAIM {
            let text = "the claim on the range ran out before its rows were stored; ask again";
            let sink = &actions.client.endpoint().sink;
            return Err(SinkError::new(Class::Stop, sink, "url", text));
        }
        let now = Instant::now();
        actions.insert(&[self.line(Action::Claim)], CLAIM.as_secs()).await?;
        self.since = now;
        Ok(())
    }

    /// Gives it back, and writes down what was done, all in one.
    pub async fn release(self, actions: &Actions, mut done: Vec<Done>) -> Result<(), SinkError> {
        done.push(self.line(Action::Release));
        actions.write(&done).await
    }
}

/// Where process ids mean the same as here.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default();
    format!("{} {space}", name.trim())
}
