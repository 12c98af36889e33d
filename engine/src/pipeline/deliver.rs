//! Units on their way out: compressed off the lanes, sent, tried again until they are there, then acknowledged in the books.
//!
//! Invariant: a unit's body and token are made once and sent unchanged on every try.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{budget::Share, lanes::Lanes};
use crate::{
    delivery::ledger::BatchId,
    http::{Part, Status},
    metrics::SinkMetrics,
    sink::{
        clickhouse::{Block, Compression, Finished, Inserter},
        kafka::{Begun, Record, TopicSink},
        retry::Backoff,
    },
};

/// Inserts of one sink that may run at once. Two hide the round trip; more would only make more parts at a time.
const AT_ONCE: usize = 2;

/// Units of records that may wait for their acknowledgements at once. A unit is what one batch gave, so many hide the round trip.
const TOPIC_AT_ONCE: usize = 32;

/// Units that may wait as they were built: two workers may close a block at the same moment. One more is compressed, and one waits for its turn
/// with a quarter of its size. A full queue stops the worker.
const WAITING: usize = 2;

/// What a unit holds.
#[derive(Debug)]
pub enum Cargo {
    /// One block for one ClickHouse partition of one table.
    Block {
        /// The columns, not compressed yet.
        finished: Finished,
        /// Name for the server.
        token: String,
    },
    /// Records for a topic.
    Records(Vec<Record>),
}

/// A unit, and who waits for it.
#[derive(Debug)]
pub struct Unit {
    /// What it holds.
    pub cargo: Cargo,
    /// Rows or records.
    pub rows: usize,
    /// Batches that wait for it, and how many of their rows it holds.
    pub batches: Vec<(Arc<Lanes>, BatchId, u64)>,
    /// Memory it takes.
    pub share: Share,
}

/// A unit of which only the sending is left.
#[derive(Debug)]
struct Ready {
    cargo: ReadyCargo,
    rows: usize,
    batches: Vec<(Arc<Lanes>, BatchId, u64)>,
    /// When its turn to be made ready came.
    begun: Instant,
    /// Comes back when the unit is there.
    _share: Share,
}

#[derive(Debug)]
enum ReadyCargo {
    /// The bytes and the token that every try sends.
    Block { block: Block, token: String },
    /// Records that the client has.
    Records { records: Vec<Record>, begun: Begun },
}

/// A unit that leaves when its partition's turn has come.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it goes.
    pub outbox: Arc<Outbox>,
    /// What goes.
    pub unit: Unit,
}

impl Outgoing {
    /// Hands it over.
    pub fn go(self) {
        self.outbox.send(self.unit);
    }
}

/// Where units go.
#[derive(Debug, Clone)]
pub enum Carrier {
    /// A ClickHouse table.
    Table {
        /// Sends blocks.
        inserter: Inserter,
        /// How blocks are compressed.
        compression: Compression,
    },
    /// A Kafka topic.
    Topic(TopicSink),
}

/// A sink's queue and the task that empties it.
#[derive(Debug)]
pub struct Outbox {
    name: Arc<str>,
    queue: mpsc::Sender<Unit>,
    lead: Arc<Lead>,
}

/// How long a block takes from its hand-over until it is stored: blocks are closed so much before their age, so that rows can be read in time.
#[derive(Debug, Default)]
struct Lead {
    micros: AtomicU64,
}

/// The part of its age by which a block may be closed early, at most: under more load than the server takes, small blocks would only add to it.
const LEAD_MAX: u32 = 4;

impl Lead {
    /// One more block took so long. Each counts for an eighth; two that end at once may lose one, which does no harm.
    fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX >> 3);
        let before = self.micros.load(Ordering::Relaxed);
        self.micros.store(before - before / 8 + took / 8, Ordering::Relaxed);
    }
}

impl Outbox {
    /// Starts the task of a sink. It ends when the outbox is dropped and the queue is empty, or at once when `abandon` is canceled: units
    /// under way are then neither acknowledged nor waited for.
    pub fn start(
        name: Arc<str>,
        carrier: Carrier,
        metrics: SinkMetrics,
        status: Arc<Status>,
        tracker: &TaskTracker,
        handle: &tokio::runtime::Handle,
        abandon: CancellationToken,
    ) -> Arc<Self> {
        let (queue, mut units) = mpsc::channel(WAITING);
        let lead = Arc::new(Lead::default());
        let courier =
            Courier { name: Arc::clone(&name), carrier, metrics, status, lead: Arc::clone(&lead) };
        let courier = Arc::new(courier);
        let inner = tracker.clone();
        tracker.spawn_on(
            async move {
                let turns = Arc::new(Semaphore::new(match courier.carrier {
                    Carrier::Table { .. } => AT_ONCE,
                    Carrier::Topic(_) => TOPIC_AT_ONCE,
                }));
                loop {
                    let unit = tokio::select! {
                        unit = units.recv() => unit,
                        () = abandon.cancelled() => None,
                    };
                    let Some(unit) = unit else { return };
                    // Here, not in the task: a client gets records in the order in which units came, and a block that waits for its turn is already
                    // small.
                    let ready = tokio::select! {
                        ready = courier.prepare(unit) => ready,
                        () = abandon.cancelled() => return,
                    };
                    let turn = Arc::clone(&turns)
                        .acquire_owned()
                        .await
                        .expect("the semaphore is never closed");
                    let (courier, abandon) = (Arc::clone(&courier), abandon.clone());
                    inner.spawn(async move {
                        let _turn = turn;
                        tokio::select! {
                            () = courier.carry(ready) => {}
                            () = abandon.cancelled() => {}
                        }
                    });
                }
            },
            handle,
        );
        Arc::new(Self { name, queue, lead })
    }

    /// The sink's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How old a block may get, so that it is stored when its rows have this age.
    pub fn closing_age(&self, age: Duration) -> Duration {
        let lead = Duration::from_micros(self.lead.micros.load(Ordering::Relaxed));
        age.saturating_sub(lead.min(age / LEAD_MAX))
    }

    /// Hands a unit over; blocks the calling thread while the queue is full.
    pub fn send(&self, unit: Unit) {
        if self.queue.blocking_send(unit).is_err() {
            // The task ends early only when the process was told to leave without waiting; the rows are read again.
            tracing::warn!(sink = %self.name, "a unit was left behind");
        }
    }
}

#[derive(Debug)]
struct Courier {
    name: Arc<str>,
    carrier: Carrier,
    metrics: SinkMetrics,
    status: Arc<Status>,
    lead: Arc<Lead>,
}

impl Courier {
    /// What happens in the order of units, one at a time: blocks are compressed, records are handed to the client.
    async fn prepare(&self, unit: Unit) -> Ready {
        let started = Instant::now();
        let Unit { cargo, rows, batches, mut share } = unit;
        let cargo = match (&self.carrier, cargo) {
            (Carrier::Table { compression, .. }, Cargo::Block { finished, token }) => {
                let compression = *compression;
                let block = tokio::task::spawn_blocking(move || finished.encode(compression))
                    .await
                    .expect("encoding a finished block does not panic");
                share.resize(block.body.len());
                ReadyCargo::Block { block, token }
            }
            (Carrier::Topic(topic), Cargo::Records(records)) => {
                let begun = topic.begin(&records, &(0..records.len()).collect::<Vec<_>>()).await;
                ReadyCargo::Records { records, begun }
            }
            (Carrier::Table { .. }, Cargo::Records(_))
            | (Carrier::Topic(_), Cargo::Block { .. }) => {
                unreachable!("an outlet makes units of its sink's kind")
            }
        };
        Ready { cargo, rows, batches, begun: started, _share: share }
    }

    async fn carry(&self, ready: Ready) {
        let Ready { cargo, rows, batches, begun: prepared, _share } = ready;
        let started = Instant::now();
        let bytes = match (&self.carrier, cargo) {
            (Carrier::Table { inserter, .. }, ReadyCargo::Block { block, token }) => {
                self.insert(inserter, &block, &token).await
            }
            (Carrier::Topic(topic), ReadyCargo::Records { records, begun }) => {
                self.confirm(topic, records, begun).await
            }
            (Carrier::Table { .. }, ReadyCargo::Records { .. })
            | (Carrier::Topic(_), ReadyCargo::Block { .. }) => {
                unreachable!("a unit is made ready for its own carrier")
            }
        };
        self.status.well(Part::Sink, &self.name);
        self.metrics.confirmed(rows as u64, bytes as u64, started.elapsed());
        self.lead.note(prepared.elapsed());
        for (lanes, batch, rows) in batches {
            lanes.release(batch, rows);
        }
    }

    async fn insert(&self, inserter: &Inserter, block: &Block, token: &str) -> usize {
        let backoff = Backoff::default();
        let mut failures = 0;
        loop {
            match inserter.insert(block, token).await {
                Ok(()) => return block.body.len(),
                Err(error) => {
                    self.fails(&error.sentence);
                    self.metrics.retried(error.class.name());
                    self.pause(&backoff, &mut failures, token).await;
                }
            }
        }
    }

    async fn confirm(&self, topic: &TopicSink, records: Vec<Record>, mut begun: Begun) -> usize {
        let backoff = Backoff::default();
        let mut failures = 0;
        loop {
            let unsent = topic.end(begun).await;
            if unsent.again.is_empty() {
                return records.iter().map(|record| record.value.len()).sum();
            }
            let sentence =
                unsent.problem.unwrap_or_else(|| "the topic does not take records".to_owned());
            self.fails(&sentence);
            self.metrics.retried("kafka");
            let left = unsent.again;
            self.pause(&backoff, &mut failures, topic.topic()).await;
            begun = topic.begin(&records, &left).await;
        }
    }

    /// Says what is wrong, in the log only once for each new sentence.
    fn fails(&self, sentence: &str) {
        if self.status.trouble(Part::Sink, &self.name, sentence) {
            tracing::error!(sink = %self.name, "{sentence}");
        }
    }

    async fn pause(&self, backoff: &Backoff, failures: &mut u32, salt: &str) {
        let random = xxhash_rust::xxh3::xxh3_64_with_seed(salt.as_bytes(), u64::from(*failures));
        let delay: Duration = backoff.delay(*failures, random);
        *failures = failures.saturating_add(1);
        tokio::time::sleep(delay).await;
    }
}
