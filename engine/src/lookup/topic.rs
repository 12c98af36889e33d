//! A compacted Kafka topic kept as a table: the newest record of each key, a record without a value deletes it.
//!
//! Invariant: it answers once it has read what stood in the topic when it was opened.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use logmon_dsl::{eval::Answer, plan::LookupDecl};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    metadata::MetadataPartition,
    types::RDKafkaErrorCode,
};

use super::{CONNECT, Holding, Lookup, News, OpenError, Reloaded, file, row, shape::Bound};
use crate::{config::KafkaLookup, error::WorldError};

/// Reading a topic of a million keys takes some seconds; one that takes longer than this belongs into a database.
const CATCH_UP: Duration = Duration::from_mins(2);
/// One look for records; also how long an end takes to be seen.
const POLL: Duration = Duration::from_millis(100);
/// Keys and rows together, as for files.
const BYTES_MAX: usize = 256 << 20;
/// Changes that wait to be taken by the cache; above it the cache forgets everything instead.
const CHANGES_MAX: usize = 10_000;

/// A topic as a table.
#[derive(Debug)]
pub(super) struct Topic {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bound: Bound,
    rows: RwLock<HashMap<Box<str>, Box<str>>>,
    bytes: AtomicUsize,
    /// The newest record's time, seconds since 1970; 0: none.
    newest: AtomicU64,
    changes: Mutex<Changes>,
    has_changes: AtomicBool,
    is_live: AtomicBool,
    is_full: AtomicBool,
    ends: AtomicBool,
}

#[derive(Debug, Default)]
struct Changes {
    keys: Vec<Arc<str>>,
    too_many: bool,
}

impl Topic {
    /// Reads the topic to where it ends now.
    pub(super) fn open(
        decl: &LookupDecl,
        bound: Bound,
        settings: &KafkaLookup,
    ) -> Result<Self, OpenError> {
        let key = format!("[lookup.{}]", decl.name);
        let failed = |what: &str, error: KafkaError| {
            WorldError::because(format!("{key} {what} {}", settings.topic), error)
        };
        let mut client = ClientConfig::new();
        for (name, value) in settings.connection.properties() {
            client.set(name, value.expose());
        }
        // A group is never joined and nothing is committed; the client only insists on a name.
        client.set("group.id", "logmon-lookup");
        client.set("enable.auto.commit", "false");
        client.set("enable.partition.eof", "false");
        client.set("auto.offset.reset", "earliest");
        client.set("isolation.level", "read_committed");
        let consumer: BaseConsumer =
            client.create().map_err(|error| failed("no client for the topic", error))?;
        let metadata = consumer
            .fetch_metadata(Some(&settings.topic), CONNECT)
            .map_err(|error| failed("brokers: nobody answers for the topic", error))?;
        let partitions: Vec<i32> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.name() == settings.topic && topic.error().is_none())
            .flat_map(|topic| topic.partitions().iter().map(MetadataPartition::id))
            .collect();
        if partitions.is_empty() {
            return Err(
                WorldError::new(format!("{key} topic: {} does not exist", settings.topic)).into()
            );
        }
        let mut assigned = TopicPartitionList::new();
        let mut open: HashMap<i32, i64> = HashMap::new();
        for partition in partitions {
            let (low, high) = consumer
                .fetch_watermarks(&settings.topic, partition, CONNECT)
                .map_err(|error| failed("cannot ask for the end of", error))?;
            if high > low {
                open.insert(partition, high);
            }
            assigned
                .add_partition_offset(&settings.topic, partition, Offset::Beginning)
                .map_err(|error| failed("cannot read", error))?;
        }
        consumer.assign(&assigned).map_err(|error| failed("cannot read", error))?;
        let shared = Arc::new(Shared {
            bound,
            rows: RwLock::default(),
            bytes: AtomicUsize::new(0),
            newest: AtomicU64::new(0),
            changes: Mutex::default(),
            has_changes: AtomicBool::new(false),
            is_live: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            ends: AtomicBool::new(false),
        });
        catch_up(&consumer, &shared, &settings.topic, open)
            .map_err(|sentence| WorldError::new(format!("{key} {sentence}")))?;
        shared.is_live.store(true, Ordering::Release);
        let reading = Arc::clone(&shared);
        let reader = std::thread::Builder::new()
            .name(format!("topic-{}", decl.name))
            .spawn(move || {
                while !reading.ends.load(Ordering::Acquire) {
                    match consumer.poll(POLL) {
                        Some(Ok(record)) => reading.take(&record),
                        Some(Err(error)) => {
                            tracing::debug!(lookup = &*reading.bound.decl.name, %error, "reading the topic");
                        }
                        None => {}
                    }
                }
            })
            .map_err(|error| WorldError::because(format!("{key} no thread for the topic"), error))?;
        Ok(Self { shared, reader: Some(reader) })
    }
}

/// Reads until every partition has been read to the end it had.
fn catch_up(
    consumer: &BaseConsumer,
    shared: &Shared,
    topic: &str,
    mut open: HashMap<i32, i64>,
) -> Result<(), String> {
    let started = Instant::now();
    let mut refused = None;
    while !open.is_empty() {
        if started.elapsed() > CATCH_UP {
            return Err(format!(
                "topic: {topic} was not read to its end within {} s",
                CATCH_UP.as_secs()
            ));
        }
        match consumer.poll(POLL) {
            Some(Ok(record)) => {
                shared.take(&record);
                if shared.is_full.load(Ordering::Acquire) {
                    return Err(format!("topic: {topic} holds more than 256 MiB of keys and rows"));
                }
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(
                    code @ (RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::UnknownTopicOrPartition),
                ) => return Err(format!("topic: {topic}: {code}")),
                _ => refused = Some(error.to_string()),
            },
            None => {}
        }
        // The end may lie behind markers of transactions and compacted records, so positions count, not records.
        let position = consumer.position().map_err(|error| error.to_string())?;
        open.retain(|partition, end| {
            let at = position.find_partition(topic, *partition).map(|at| at.offset());
            !matches!(at, Some(Offset::Offset(at)) if at >= *end)
        });
    }
    if let Some(error) = refused {
        tracing::debug!(lookup = &*shared.bound.decl.name, error, "while the topic was read");
    }
    Ok(())
}

impl Shared {
    fn take(&self, record: &impl Message) {
        if let Some(millis) = record.timestamp().to_millis() {
            self.newest.fetch_max((millis / 1000).max(0) as u64, Ordering::AcqRel);
        }
        let name = &*self.bound.decl.name;
        let Some(key) = record.key().and_then(|key| std::str::from_utf8(key).ok()) else {
            tracing::debug!(lookup = name, "a record without a key, or with one that is no text");
            return;
        };
        let key = file::key_text(&self.bound.decl, key.split(file::KEY_JOINT));
        let row = match record.payload() {
            None | Some([]) => None,
            Some(payload) => match self.row(payload) {
                Ok(row) => Some(row),
                Err(reason) => {
                    // What was there before stays: a broken record is no reason to lose a row.
                    tracing::warn!(
                        lookup = name,
                        key,
                        reason,
                        offset = record.offset(),
                        "a record that is no row"
                    );
                    return;
                }
            },
        };
        self.put(&key, row);
    }

    fn row(&self, payload: &[u8]) -> Result<String, String> {
        let text = std::str::from_utf8(payload).map_err(|_| "is no text".to_owned())?;
        match row::json_answer(&self.bound, text)? {
            Answer::Found(row) => {
                file::is_row(&self.bound, &row)?;
                Ok(row.to_string())
            }
            Answer::Miss | Answer::Failed => Err("is null".into()),
        }
    }

    fn put(&self, key: &str, row: Option<String>) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let before = rows.get(key).map_or(0, |row| key.len() + row.len());
        let after = row.as_ref().map_or(0, |row| key.len() + row.len());
        let bytes = self.bytes.load(Ordering::Acquire) - before + after;
        if after > before && bytes > BYTES_MAX {
            if !self.is_full.swap(true, Ordering::AcqRel) {
                tracing::error!(
                    lookup = &*self.bound.decl.name,
                    "the topic holds more than 256 MiB of keys and rows; newer rows are not taken"
                );
            }
            return;
        }
        self.bytes.store(bytes, Ordering::Release);
        match row {
            Some(row) => drop(rows.insert(key.into(), row.into())),
            None => drop(rows.remove(key)),
        }
        drop(rows);
        if self.is_live.load(Ordering::Acquire) {
            let mut changes = self.changes();
            if changes.keys.len() < CHANGES_MAX {
                changes.keys.push(key.into());
            } else {
                changes.keys.clear();
                changes.too_many = true;
            }
            drop(changes);
            self.has_changes.store(true, Ordering::Release);
        }
    }

    fn answers(&self, keys: &[&str]) -> Vec<Answer> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let answer = |key: &&str| match rows.get(*key) {
            Some(row) => Answer::Found((**row).into()),
            None => Answer::Miss,
        };
        keys.iter().map(answer).collect()
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup for Topic {
    fn fetch(&self, keys: &[&str]) -> Vec<Answer> {
        self.shared.answers(keys)
    }

    fn news(&self) -> News {
        if !self.shared.has_changes.swap(false, Ordering::AcqRel) {
            return News::None;
        }
        let Changes { keys, too_many } = std::mem::take(&mut *self.shared.changes());
        if too_many {
            return News::Everything;
        }
        let texts: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let answers = self.shared.answers(&texts);
        News::Answers(keys.into_iter().zip(answers).collect())
    }

    fn reload(&self) -> Result<Reloaded, WorldError> {
        Ok(Reloaded::Unchanged)
    }

    fn holds(&self) -> Holding {
        let rows = self.shared.rows.read().unwrap_or_else(PoisonError::into_inner).len();
        let newest = self.shared.newest.load(Ordering::Acquire);
        Holding { rows: Some(rows as u64), made: (newest > 0).then_some(newest as i64), version: 0 }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        if let Some(reader) = self.reader.take() {
            // It ends within one poll; a panic in it was printed.
            let _ended = reader.join();
        }
    }
}
