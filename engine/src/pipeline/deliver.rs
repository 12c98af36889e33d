//! Units on their way out: compressed off the lanes, sent, tried again until they are there, then acknowledged in the books.
//!
//! Invariant: a unit's body and token are made once and sent unchanged on every try; what is cut out of it has tokens of its own.

pub mod pace;
mod table;
mod topic;

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    pace::Pace,
    topic::{Queue, Sending},
};
use super::{budget::Share, lanes::Lanes, poison::Office};
use crate::{
    config,
    delivery::{ledger::BatchId, unit::Held},
    http::{Part, Status},
    metrics::SinkMetrics,
    sink::{
        clickhouse::{Block, Class, Compression, Endpoints, Finished},
        kafka::{Record, TopicSink},
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
    /// Records for a topic, and the event and output that each is; a dead letter is none.
    Records(Vec<Record>, Vec<Origin>),
}

/// Where a record for a topic comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The event's offset.
    pub offset: i64,
    /// The how-many-eth output of the event it is.
    pub emit_ix: u16,
}

/// A batch that waits for rows of a unit.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The lanes of its source.
    pub lanes: Arc<Lanes>,
    /// The batch.
    pub batch: BatchId,
    /// The offsets that it holds.
    pub held: Held,
    /// How many of its rows are in the unit: next to each other, and in the order of the list.
    pub rows: u64,
}

/// A unit, and who waits for it.
#[derive(Debug)]
pub struct Unit {
    /// What it holds.
    pub cargo: Cargo,
    /// Rows or records.
    pub rows: usize,
    /// Batches that wait for it, in the order of its rows.
    pub waiting: Vec<Waiting>,
    /// The first digits of the bundle that made it.
    pub bundle: Arc<str>,
    /// Memory it takes.
    pub share: Share,
}

/// A unit of which only the sending is left.
#[derive(Debug)]
struct Ready {
    cargo: ReadyCargo,
    held: Hold,
    /// When its turn to be made ready came.
    begun: Instant,
    /// Comes back when the unit is there.
    share: Share,
}

/// Who waits for a unit's rows, and which bundle made them.
#[derive(Debug)]
struct Hold {
    waiting: Vec<Waiting>,
    bundle: Arc<str>,
}

impl Hold {
    /// Who waits for a row, and how many of its own rows stand before it.
    fn of(&self, row: usize) -> &Waiting {
        let mut end = 0;
        let found = self.waiting.iter().find(|waiting| {
            end += waiting.rows;
            (row as u64) < end
        });
        found.expect("every row of a unit belongs to a batch")
    }

    /// Tells the books that these rows are there.
    fn release(&self, rows: Range<usize>) {
        let (start, end) = (rows.start as u64, rows.end as u64);
        let mut at = 0;
        for waiting in &self.waiting {
            let (from, to) = (at.max(start), (at + waiting.rows).min(end));
            if from < to {
                waiting.lanes.release(waiting.batch, to - from);
            }
            at += waiting.rows;
        }
    }
}

#[derive(Debug)]
enum ReadyCargo {
    /// The bytes and the token that every try sends.
    Block { block: Block, token: String },
    /// Records that the client has.
    Records(Sending),
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
        /// Where the servers are.
        endpoints: Arc<Endpoints>,
        /// How blocks are compressed.
        compression: Compression,
    },
    /// A Kafka topic.
    Topic(TopicSink),
}

/// What all outboxes share.
#[derive(Debug, Clone)]
pub struct Post {
    /// Says what is wrong.
    pub status: Arc<Status>,
    /// Buries what a sink refuses.
    pub office: Arc<Office>,
    /// Set when a table is not what it was: it should be read again.
    pub changed: Arc<AtomicBool>,
    /// Tasks that shutdown waits for.
    pub tracker: TaskTracker,
    /// Where tasks run.
    pub handle: tokio::runtime::Handle,
    /// Canceled when the process leaves without waiting any longer.
    pub abandon: CancellationToken,
}

/// A sink's queue and the task that empties it.
#[derive(Debug)]
pub struct Outbox {
    name: Arc<str>,
    queue: mpsc::Sender<Unit>,
    lead: Arc<Lead>,
    pace: Arc<Pace>,
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
        name: &Arc<str>,
        carrier: Carrier,
        metrics: SinkMetrics,
        post: &Post,
    ) -> Arc<Self> {
        let (queue, mut units) = mpsc::channel(WAITING);
        let lead = Arc::new(Lead::default());
        let pace = Arc::new(Pace::default());
        let courier = Arc::new(Courier {
            name: Arc::clone(name),
            carrier,
            metrics,
            post: post.clone(),
            lead: Arc::clone(&lead),
            pace: Arc::clone(&pace),
            queue: Queue::default(),
            state: Mutex::default(),
        });
        let Post { tracker, handle, abandon, .. } = post.clone();
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
            &handle,
        );
        Arc::new(Self { name: Arc::clone(name), queue, lead, pace })
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

    /// When a block is closed, as the sink takes them now.
    pub fn limits(&self, configured: &config::Batch) -> config::Batch {
        self.pace.limits(configured)
    }

    /// Hands a unit over, from a task. Returns whether anybody took it.
    pub async fn hand(&self, unit: Unit) -> bool {
        self.queue.send(unit).await.is_ok()
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
    post: Post,
    lead: Arc<Lead>,
    pace: Arc<Pace>,
    /// The order of units, where the sink keeps one.
    queue: Queue,
    state: Mutex<Option<Trouble>>,
}

/// What is wrong with a sink now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    /// What tells one trouble from another; its words may differ from try to try.
    key: (Class, Option<u32>),
    since: Instant,
    tries: u64,
}

impl Courier {
    /// What happens in the order of units, one at a time: blocks are compressed, records are handed to the client.
    async fn prepare(&self, unit: Unit) -> Ready {
        let started = Instant::now();
        let Unit { cargo, waiting, bundle, mut share, .. } = unit;
        let cargo = match (&self.carrier, cargo) {
            (Carrier::Table { compression, .. }, Cargo::Block { finished, token }) => {
                let compression = *compression;
                let block = tokio::task::spawn_blocking(move || finished.encode(compression))
                    .await
                    .expect("encoding a finished block does not panic");
                share.resize(block.body.len());
                ReadyCargo::Block { block, token }
            }
            (Carrier::Topic(topic), Cargo::Records(records, origins)) => {
                let place = self.queue.enter().await;
                let begun = topic.begin(&records, &(0..records.len()).collect::<Vec<_>>()).await;
                ReadyCargo::Records(Sending { records, origins, begun, place })
            }
            (Carrier::Table { .. }, Cargo::Records(..))
            | (Carrier::Topic(_), Cargo::Block { .. }) => {
                unreachable!("an outlet makes units of its sink's kind")
            }
        };
        Ready { cargo, held: Hold { waiting, bundle }, begun: started, share }
    }

    async fn carry(&self, ready: Ready) {
        let Ready { cargo, held, begun: prepared, mut share } = ready;
        match (&self.carrier, cargo) {
            (Carrier::Table { endpoints, .. }, ReadyCargo::Block { block, token }) => {
                self.store(endpoints, block, token, &held, &mut share).await;
            }
            (Carrier::Topic(topic), ReadyCargo::Records(sending)) => {
                self.confirm(topic, sending, &held).await;
            }
            (Carrier::Table { .. }, ReadyCargo::Records(_))
            | (Carrier::Topic(_), ReadyCargo::Block { .. }) => {
                unreachable!("a unit is made ready for its own carrier")
            }
        }
        self.lead.note(prepared.elapsed());
    }

    /// The sink took something.
    fn well(&self) {
        let _news = self.post.status.well(Part::Sink, &self.name);
        self.metrics.stopped(false);
        let before = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Trouble { since, tries, .. }) = before {
            let seconds = since.elapsed().as_secs();
            tracing::info!(sink = %self.name, tries, seconds, "the sink works again");
        }
    }

    /// Says what is wrong: in the status always, in the log only where it is another trouble than before.
    fn fails(&self, class: Class, code: Option<u32>, sentence: &str) {
        self.post.status.trouble(Part::Sink, &self.name, sentence);
        let stopped = !class.is_transient();
        self.metrics.stopped(stopped);
        let key = (class, code);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            Some(trouble) if trouble.key == key => trouble.tries += 1,
            _ => {
                let since = state.map_or_else(Instant::now, |trouble| trouble.since);
                let tries = state.map_or(0, |trouble| trouble.tries) + 1;
                *state = Some(Trouble { key, since, tries });
                if stopped {
                    tracing::error!(sink = %self.name, "{sentence}; the sink stands still, and no offset passes what it has");
                } else {
                    tracing::warn!(sink = %self.name, "{sentence}; it is tried again until it works");
                }
            }
        }
    }

    async fn pause(&self, backoff: &Backoff, failures: &mut u32, salt: &str) {
        let random = xxhash_rust::xxh3::xxh3_64_with_seed(salt.as_bytes(), u64::from(*failures));
        let delay: Duration = backoff.delay(*failures, random);
        *failures = failures.saturating_add(1);
        tokio::time::sleep(delay).await;
    }
}
