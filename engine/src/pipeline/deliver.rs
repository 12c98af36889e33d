//! Units on their way out: compressed off the lanes, sent, tried again until they are there, then acknowledged in the books.
//!
//! Invariant: a unit's body and token are made once and sent unchanged on every try.

use std::{
    sync::Arc,
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
        clickhouse::{Compression, Finished, Inserter},
        kafka::{Record, TopicSink},
        retry::Backoff,
    },
};

/// Inserts of one sink that may run at once. Two hide the round trip; more would only make more parts at a time.
const AT_ONCE: usize = 2;

/// Units that may wait for their turn: the next ones are then built while these are sent. A full queue stops the worker.
const WAITING: usize = 4;

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
        let courier = Arc::new(Courier { name: Arc::clone(&name), carrier, metrics, status });
        let inner = tracker.clone();
        tracker.spawn_on(
            async move {
                let turns = Arc::new(Semaphore::new(AT_ONCE));
                loop {
                    let unit = tokio::select! {
                        unit = units.recv() => unit,
                        () = abandon.cancelled() => None,
                    };
                    let Some(unit) = unit else { return };
                    let turn = Arc::clone(&turns)
                        .acquire_owned()
                        .await
                        .expect("the semaphore is never closed");
                    let (courier, abandon) = (Arc::clone(&courier), abandon.clone());
                    inner.spawn(async move {
                        let _turn = turn;
                        tokio::select! {
                            () = courier.carry(unit) => {}
                            () = abandon.cancelled() => {}
                        }
                    });
                }
            },
            handle,
        );
        Arc::new(Self { name, queue })
    }

    /// The sink's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
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
}

impl Courier {
    async fn carry(&self, unit: Unit) {
        let Unit { cargo, rows, batches, mut share } = unit;
        let started = Instant::now();
        let bytes = match (&self.carrier, cargo) {
            (Carrier::Table { inserter, compression }, Cargo::Block { finished, token }) => {
                self.insert(inserter, *compression, finished, &token, &mut share).await
            }
            (Carrier::Topic(topic), Cargo::Records(records)) => self.send(topic, records).await,
            (Carrier::Table { .. }, Cargo::Records(_))
            | (Carrier::Topic(_), Cargo::Block { .. }) => {
                unreachable!("an outlet makes units of its sink's kind")
            }
        };
        self.status.well(Part::Sink, &self.name);
        self.metrics.confirmed(rows as u64, bytes as u64, started.elapsed());
        for (lanes, batch, rows) in batches {
            lanes.release(batch, rows);
        }
    }

    async fn insert(
        &self,
        inserter: &Inserter,
        compression: Compression,
        finished: Finished,
        token: &str,
        share: &mut Share,
    ) -> usize {
        let block = tokio::task::spawn_blocking(move || finished.encode(compression))
            .await
            .expect("encoding a finished block does not panic");
        share.resize(block.body.len());
        let backoff = Backoff::default();
        let mut failures = 0;
        loop {
            match inserter.insert(&block, token).await {
                Ok(()) => return block.body.len(),
                Err(error) => {
                    self.fails(&error.sentence);
                    self.metrics.retried(error.class.name());
                    self.pause(&backoff, &mut failures, token).await;
                }
            }
        }
    }

    async fn send(&self, topic: &TopicSink, records: Vec<Record>) -> usize {
        let mut left: Vec<usize> = (0..records.len()).collect();
        let backoff = Backoff::default();
        let mut failures = 0;
        loop {
            let unsent = topic.send(&records, &left).await;
            if unsent.again.is_empty() {
                return records.iter().map(|record| record.value.len()).sum();
            }
            let sentence =
                unsent.problem.unwrap_or_else(|| "the topic does not take records".to_owned());
            self.fails(&sentence);
            self.metrics.retried("kafka");
            left = unsent.again;
            self.pause(&backoff, &mut failures, topic.topic()).await;
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
