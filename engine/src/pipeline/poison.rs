//! The last way of what a sink refused: read once more from Kafka, written to the dead letter with the sink's own sentence.
//!
//! Invariant: a refused row stays open in the books until its letter is acknowledged.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{
    budget::Budget,
    dead,
    deliver::{Cargo, Outbox, Unit, Waiting},
};
use crate::{
    clock::{Clock as _, SystemClock},
    delivery::unit::{Held, Unit as Named},
    metrics::Metrics,
    sink::{
        clickhouse::{
            Context, Table,
            dead_letter::{DeadLetter, DeadLetters, Raw},
        },
        kafka::Record,
    },
    source::kafka::again::{self, Again},
};

/// A row that a sink does not take.
#[derive(Debug)]
pub struct Refused {
    /// The batch that waits for it, with one row.
    pub waiting: Waiting,
    /// Its event's offset, where the sink's rows say it.
    pub offset: Option<i64>,
    /// The how-many-eth output of its event it is.
    pub emit_ix: Option<u16>,
    /// The sink.
    pub sink: Arc<str>,
    /// The first digits of the bundle that made it.
    pub bundle: Arc<str>,
    /// Why, as a metric's label.
    pub reason: &'static str,
    /// Why, as a sentence.
    pub cause: String,
}

/// Where letters go now. The office does not keep outboxes alive: they end with the bundle and the world that opened them.
#[derive(Debug, Clone, Default)]
struct Targets {
    table: Option<(Arc<Table>, Weak<Outbox>)>,
    topic: Option<Weak<Outbox>>,
}

/// Takes what sinks refuse.
pub struct Office {
    clock: SystemClock,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    incarnation: u64,
    chunks: AtomicU64,
    targets: Mutex<Targets>,
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office").finish_non_exhaustive()
    }
}

impl Office {
    /// An office without a place for letters yet.
    pub fn new(
        clock: SystemClock,
        budget: Arc<Budget>,
        metrics: Arc<Metrics>,
        incarnation: u64,
    ) -> Self {
        Self {
            clock,
            budget,
            metrics,
            incarnation,
            chunks: AtomicU64::new(0),
            targets: Mutex::default(),
        }
    }

    /// A number that no other unit of this process has.
    pub fn next_chunk(&self) -> u64 {
        self.chunks.fetch_add(1, Ordering::Relaxed)
    }

    /// Says where letters go from now on.
    pub fn open(&self, table: Option<&(Arc<Table>, Arc<Outbox>)>, topic: Option<&Arc<Outbox>>) {
        let targets = Targets {
            table: table.map(|(table, outbox)| (Arc::clone(table), Arc::downgrade(outbox))),
            topic: topic.map(Arc::downgrade),
        };
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    /// Whether letters go through that outbox.
    pub fn is_served_by(&self, name: &str) -> bool {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let is =
            |outbox: &Weak<Outbox>| outbox.upgrade().is_some_and(|outbox| &**outbox.name() == name);
        targets.table.as_ref().is_some_and(|(_, outbox)| is(outbox))
            || targets.topic.as_ref().is_some_and(is)
    }

    /// Writes letters for these rows and lets their batches wait for the letters.
    pub async fn bury(&self, refused: Vec<Refused>) {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let letters = self.letters(&refused).await;
        let table = targets.table.and_then(|(table, outbox)| Some((table, outbox.upgrade()?)));
        let topic = targets.topic.and_then(|outbox| outbox.upgrade());
        if table.is_none() && topic.is_none() {
            // The process is ending: the rows stay open, so they are read again by whoever comes next.
            tracing::warn!(rows = refused.len(), "refused rows were left for the next start");
            return;
        }
        for (one, letter) in refused.iter().zip(&letters) {
            let Waiting { lanes, batch, .. } = &one.waiting;
            self.metrics.dead_letters(&letter.reason, 1);
            lanes.buried(batch.lane, letter.offset);
            if table.is_some() && topic.is_some() {
                lanes.hold(*batch, 1);
            }
        }
        if let Some(outbox) = topic {
            let records: Vec<Record> = letters.iter().map(dead::record).collect();
            let bytes = records.iter().map(|record| record.value.len()).sum();
            let unit = Unit {
                rows: records.len(),
                cargo: Cargo::Records(records, Vec::new()),
                waiting: refused.iter().map(|one| one.waiting.clone()).collect(),
                bundle: Arc::clone(&refused[0].bundle),
                share: self.budget.take(bytes),
            };
            self.hand(&outbox, unit).await;
        }
        if let Some((table, outbox)) = table {
            for unit in self.rows(&table, &outbox, &refused, &letters) {
                self.hand(&outbox, unit).await;
            }
        }
    }

    async fn hand(&self, outbox: &Outbox, unit: Unit) {
        let rows = unit.rows;
        if !outbox.hand(unit).await {
            tracing::warn!(rows, "refused rows were left for the next start");
        }
    }

    /// The letters as blocks of the dead letter's table.
    fn rows(
        &self,
        table: &Arc<Table>,
        outbox: &Outbox,
        refused: &[Refused],
        letters: &[DeadLetter],
    ) -> Vec<Unit> {
        let mut builder = DeadLetters::new(outbox.name(), table)
            .expect("the table was looked at when the bundle was bound");
        for (index, letter) in letters.iter().enumerate() {
            let context = Context {
                names_table: 0,
                source: "",
                wall: self.clock.now(),
                now: Instant::now(),
                ticket: index as u64,
                attempt: 0,
                incarnation: self.incarnation as u32,
            };
            builder.append(std::slice::from_ref(letter), &context);
        }
        let unit = |finished: crate::sink::clickhouse::Finished| {
            let waiting: Vec<Waiting> = finished
                .tickets
                .iter()
                .map(|&(index, _)| refused[index as usize].waiting.clone())
                .collect();
            let held: Vec<Held> = finished
                .tickets
                .iter()
                .map(|&(index, _)| {
                    let offset = letters[index as usize].offset;
                    let position = refused[index as usize].waiting.held.position.clone();
                    Held { position, start: offset, end: offset + 1 }
                })
                .collect();
            let bundle = Arc::clone(&refused[0].bundle);
            let named = Named {
                group: waiting.first().map_or("", |waiting| waiting.lanes.group()),
                incarnation: self.incarnation,
                held: &held,
                bundle: &bundle,
                table: &finished.table.replace('`', ""),
                partition: finished.partition.unwrap_or(0),
                chunk: self.next_chunk(),
            };
            let token = named.token();
            let share = self.budget.take(finished.bytes());
            Unit {
                rows: finished.rows,
                cargo: Cargo::Block { finished, token },
                waiting,
                bundle,
                share,
            }
        };
        builder.finish().into_iter().map(unit).collect()
    }

    /// Reads the records once more, for what stands in a letter and is no longer in memory.
    pub async fn letters(&self, refused: &[Refused]) -> Vec<DeadLetter> {
        let mut wanted: BTreeMap<(String, i32), Vec<usize>> = BTreeMap::new();
        for (index, one) in refused.iter().enumerate().filter(|(_, one)| one.offset.is_some()) {
            let position = &one.waiting.held.position;
            wanted.entry((position.topic.to_string(), position.partition)).or_default().push(index);
        }
        let mut found: Vec<Result<Again, String>> = refused
            .iter()
            .map(|one| Err(format!("a record of {}", place(&one.waiting.held))))
            .collect();
        for indices in wanted.into_values() {
            let waiting = &refused[indices[0]].waiting;
            let connection = waiting.lanes.settings().connection.clone();
            let position = waiting.held.position.clone();
            let offsets: Vec<i64> = indices.iter().filter_map(|&at| refused[at].offset).collect();
            let read =
                tokio::task::spawn_blocking(move || again::read(&connection, &position, &offsets));
            let records = read.await.expect("reading records again does not panic");
            for (index, record) in indices.into_iter().zip(records) {
                found[index] =
                    record.map_err(|why| format!("the record could not be read again: {why}"));
            }
        }
        refused.iter().zip(found).map(|(one, found)| self.letter(one, found)).collect()
    }

    fn letter(&self, one: &Refused, found: Result<Again, String>) -> DeadLetter {
        let mut cause = one.cause.clone();
        let again = found.unwrap_or_else(|why| {
            cause.push_str("; ");
            cause.push_str(&why);
            Again { timestamp: self.clock.now(), ..Again::default() }
        });
        let held = &one.waiting.held;
        DeadLetter {
            topic: Arc::clone(&held.position.topic),
            partition: held.position.partition,
            offset: one.offset.unwrap_or(held.start),
            emit_ix: one.emit_ix.unwrap_or(0),
            timestamp: again.timestamp,
            sink: Arc::clone(&one.sink),
            rule: "".into(),
            site: "insert".into(),
            reason: one.reason.into(),
            cause,
            bundle: Arc::clone(&one.bundle),
            key: again.key,
            headers: again.headers,
            raw: Raw::new(&again.payload, again.payload.len()),
        }
    }
}

fn place(held: &Held) -> String {
    let Held { position, start, end } = held;
    format!("{}/{} from offset {start} to {}", position.topic, position.partition, end - 1)
}

/// Makes a dead letter's record smaller, which its topic does not take as it is. Returns whether that was still possible.
pub fn shorten(record: &mut Record) -> bool {
    let kept = record.value.len() / 2;
    let was = record.value.len();
    record.value.truncate(kept);
    was > 0
}
