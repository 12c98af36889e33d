//! A table that takes each row once: its units inserted, looked for, and waited for until none of their queries runs.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use crate::{
    config,
    delivery::{
        failpoint::{self, Place},
        intent::{BundleId, Entry},
        protocol::{Count, Reply},
        unit::{Exact, Held},
    },
    http::{Part, Status},
    metrics::SinkMetrics,
    sink::{
        clickhouse::{
            Block, Class, Compression, Hand, Inserter, SinkError,
            presence::{self, Rows, Tally},
        },
        retry::Backoff,
    },
};

/// Inserts of one table that may run at once, from all partitions together.
const AT_ONCE: usize = 2;

/// How long after its own time limit an insert may still be seen on the server before it is ended there.
const KILL_AFTER: Duration = Duration::from_secs(20);

/// How often the server is asked whether an insert still runs.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How often a table is read again while blocks do not fit it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How much longer than the server says it keeps an idle connection one may still be open.
const KEEPS_MORE: Duration = Duration::from_secs(1);

/// Two answers of a server further apart than this say nothing about what it did between them.
const GAP_MAX: Duration = Duration::from_secs(2);

/// Waits between tries end here: the server may be back at any moment, and a partition stands still.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), cap: Duration::from_secs(5) };

/// A table under exactly-once.
#[derive(Debug)]
pub struct ExactTable {
    /// The sink's name.
    pub name: Arc<str>,
    /// Sends blocks.
    pub inserter: Inserter,
    /// How blocks are compressed.
    pub compression: Compression,
    /// When a block has grown enough.
    pub limits: config::Batch,
    metrics: SinkMetrics,
    status: Arc<Status>,
    turns: Semaphore,
    /// Told where the table is not what it was: it is read again then.
    changed: Arc<AtomicBool>,
    /// Since when blocks do not fit it, until they do or are built anew.
    stale: Mutex<Option<Instant>>,
}

/// A unit with its bytes.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The table's number in the bundle.
    pub number: u16,
    /// The table.
    pub table: Arc<ExactTable>,
    /// The bytes.
    pub block: Block,
    /// Its rows and their identities.
    pub tally: Tally,
}

/// Which unit of which range.
#[derive(Debug, Clone)]
pub struct Name {
    /// The consumer group.
    pub group: Arc<str>,
    /// The partition's incarnation.
    pub inc: u64,
    /// The partition and its offsets.
    pub held: Held,
    /// The rules that the intent names.
    pub bundle: BundleId,
}

impl Unit {
    /// Its entry in an intent.
    pub fn entry(&self) -> Entry {
        Entry { table: self.number, rows: self.tally.rows as u32, hash: self.tally.sum }
    }

    /// What its tokens are made of.
    pub fn exact<'a>(&'a self, name: &'a Name, table: &'a str, cut: u32) -> Exact<'a> {
        Exact {
            group: &name.group,
            inc: name.inc,
            held: &name.held,
            bundle: name.bundle,
            table,
            partition: self.block.partition.unwrap_or(0),
            number: self.number,
            cut,
        }
    }

    /// The table's name as tokens have it.
    pub fn plain_table(&self) -> String {
        self.block.table.replace('`', "")
    }
}

impl Name {
    /// What the range's rows look like in that table.
    pub fn rows<'a>(&'a self, table: &'a str) -> Rows<'a> {
        Rows {
            table,
            topic: &self.held.position.topic,
            partition: self.held.position.partition,
            start: self.held.start,
            end: self.held.end,
            incarnation: self.inc as u32,
        }
    }
}

impl ExactTable {
    /// A table of a sink.
    pub fn new(
        name: Arc<str>,
        inserter: Inserter,
        compression: Compression,
        limits: config::Batch,
        metrics: SinkMetrics,
        status: Arc<Status>,
        changed: Arc<AtomicBool>,
    ) -> Self {
        Self {
            name,
            inserter,
            compression,
            limits,
            metrics,
            status,
            turns: Semaphore::new(AT_ONCE),
            changed,
            stale: Mutex::default(),
        }
    }

    /// A connection on which the server answered just now; asked for until there is one.
    pub async fn hand(&self) -> Hand {
        let mut failures = 0;
        loop {
            match self.inserter.client().hand().await {
                Ok(hand) => return hand,
                Err(error) => {
                    self.fails(&error);
                    self.pause(&mut failures).await;
                }
            }
        }
    }

    /// One try, on that connection.
    pub async fn insert(&self, hand: Hand, block: &Block, token: &str) -> (Reply, Option<Hand>) {
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        let started = Instant::now();
        failpoint::pass(Place::InsertSent);
        let (answer, hand) = self.inserter.insert_on(hand, block, token).await;
        failpoint::pass(Place::InsertStored);
        let reply = match answer {
            Ok(()) => {
                self.metrics.confirmed(
                    block.rows as u64,
                    block.body.len() as u64,
                    started.elapsed(),
                );
                self.take_stale();
                self.well();
                Reply::Stored
            }
            Err(error) => {
                self.metrics.refused(error.class.name(), error.code);
                self.fails(&error);
                match error.class {
                    Class::Bisect => Reply::Unfit,
                    _ => Reply::Unclear,
                }
            }
        };
        (reply, hand)
    }

    /// Waits until no query runs whose id begins like this; ends those that run for too long. `failures` is how often it came to this.
    pub async fn quiesce(&self, prefix: &str, mut failures: u32) {
        if failures > 0 {
            self.pause(&mut failures).await;
        }
        let client = self.inserter.client();
        let deadline = Instant::now() + client.endpoint().timeout + KILL_AFTER;
        loop {
            let running = match presence::running(client, prefix).await {
                Ok(0) => return,
                Ok(_) if Instant::now() > deadline => presence::kill(client, prefix).await,
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            match running {
                Ok(()) => tokio::time::sleep(ASK_EVERY).await,
                Err(error) => {
                    self.fails(&error);
                    self.pause(&mut failures).await;
                }
            }
        }
    }

    /// Waits until the server has closed every connection that was idle when this began: what somebody sends on such a one arrives nowhere.
    ///
    /// Only time in which the server answers counts, for one that stands still closes nothing.
    pub async fn outlast(&self) {
        let client = self.inserter.client();
        let mut failures = 0;
        let mut keeps = None;
        let (mut waited, mut answered) = (Duration::ZERO, None::<Instant>);
        while keeps.is_none_or(|keeps| waited <= keeps + KEEPS_MORE) {
            let asked = match keeps {
                None => presence::keeps_idle(client).await.map(|time| keeps = Some(time)),
                Some(_) => client.ping().await,
            };
            match asked {
                Ok(()) => {
                    let now = Instant::now();
                    let gap = answered.map(|before| now - before).filter(|gap| *gap < GAP_MAX);
                    waited += gap.unwrap_or_default();
                    answered = Some(now);
                    tokio::time::sleep(ASK_EVERY).await;
                }
                Err(error) => {
                    answered = None;
                    self.fails(&error);
                    self.pause(&mut failures).await;
                }
            }
        }
    }

    /// Whether a unit of a range is there. `units` are all units of the range.
    pub async fn count(
        &self,
        index: usize,
        units: &[Unit],
        name: &Name,
    ) -> (Option<Count>, Option<Hand>) {
        let hand = self.hand().await;
        let unit = &units[index];
        let rows = name.rows(&unit.block.table);
        let (tallies, hand) = rows.tally(self.inserter.client(), hand).await;
        match tallies {
            Err(error) => {
                self.fails(&error);
                (None, None)
            }
            Ok(tallies) => {
                self.well();
                (Some(judge(index, units, &tallies)), hand)
            }
        }
    }

    /// Says what is wrong, in the log only once for each new sentence.
    pub fn fails(&self, error: &SinkError) {
        if self.status.trouble(Part::Sink, &self.name, &error.sentence) {
            tracing::error!(sink = %self.name, "{}", error.sentence);
        }
        if matches!(error.class, Class::Stop | Class::Refresh) {
            self.metrics.stopped(true);
        }
        let mut stale = self.stale();
        if error.class == Class::Refresh && stale.is_none_or(|since| since.elapsed() > LOOK_EVERY) {
            *stale = Some(Instant::now());
            self.changed.store(true, Ordering::Release);
        }
    }

    /// The server answers again.
    pub fn well(&self) {
        self.metrics.stopped(false);
        if self.status.well(Part::Sink, &self.name) {
            tracing::info!(sink = %self.name, "the sink works again");
        }
    }

    /// Whether blocks that were built do not fit the table; from here on those count that are built anew.
    pub fn take_stale(&self) -> bool {
        self.stale().take().is_some()
    }

    fn stale(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stale.lock().expect("no thread panics while it holds a moment")
    }

    /// Waits before another try.
    pub async fn pause(&self, failures: &mut u32) {
        let salt = Instant::now().elapsed().subsec_nanos();
        let random = xxhash_rust::xxh3::xxh3_64_with_seed(
            self.name.as_bytes(),
            u64::from(*failures) << 32 | u64::from(salt),
        );
        tokio::time::sleep(BACKOFF.delay((*failures).min(16), random)).await;
        *failures = failures.saturating_add(1);
    }
}

/// Whether a unit is among what a table holds of its range, by ClickHouse partition.
fn judge(index: usize, units: &[Unit], stored: &[Tally]) -> Count {
    let unit = &units[index];
    let mut all = None;
    for tally in stored {
        // Two sinks may write into one table: then one partition holds any of their units.
        let explained = units.iter().enumerate().find_map(|(first, one)| {
            if one.block.table != unit.block.table {
                return None;
            }
            let group: Vec<usize> = (first..units.len())
                .filter(|&other| {
                    units[other].block.table == one.block.table
                        && units[other].block.partition == one.block.partition
                })
                .take(GROUP_MAX)
                .collect();
            (1..1_u32 << group.len()).find_map(|chosen| {
                let chosen =
                    || (0..group.len()).filter(move |at| chosen >> at & 1 == 1).map(|at| group[at]);
                let rows: u64 = chosen().map(|at| units[at].tally.rows).sum();
                let sum = chosen().fold(0_u64, |sum, at| sum.wrapping_add(units[at].tally.sum));
                (*tally == Tally { rows, sum }).then(|| chosen().any(|at| at == index))
            })
        });
        match explained {
            Some(true) if all.is_none() => all = Some(()),
            Some(false) => {}
            Some(true) | None => return Count::Odd,
        }
    }
    if all.is_some() { Count::All } else { Count::None }
}

/// Sinks that may write into one table: more are not told apart.
const GROUP_MAX: usize = 8;
