//! A Kafka source: one thread that reads every assigned partition of a group into raw batches.
//!
//! Invariant: the thread never waits for a sink. When a lane or the memory budget is full, the records stay in Kafka; the main queue is
//! served all the same, so the group never loses a member to a slow sink.

pub mod again;
mod context;
mod damage;
mod note;
pub mod past;
mod queue;
mod witness;

pub use witness::Witness;

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use logmon_dsl::column::{Arena, View, batch::Payload};
use rdkafka::{
    ClientConfig, Message as _, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use self::{
    context::{Assigned, GroupContext},
    queue::Record,
};
use super::{RawBatch, SharedIntake};
use crate::config::{OnCorrupt, Start, Topics};

/// What a reader needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The source's name in the rules.
    pub name: String,
    /// What is read.
    pub topics: Topics,
    /// Where to begin without a committed offset.
    pub start: Start,
    /// Longest payload that is kept; of a longer one only the first [`HEAD`] bytes are.
    pub max_record_bytes: usize,
    /// What becomes of records that arrive damaged.
    pub on_corrupt: OnCorrupt,
    /// Payload bytes that end a micro-batch: what fits half of a core's L2 cache.
    pub batch_bytes: usize,
    /// Whether rules read headers.
    pub headers: bool,
}

impl Settings {
    fn subscription(&self) -> Vec<&str> {
        match &self.topics {
            Topics::Names(names) => names.iter().map(String::as_str).collect(),
            Topics::Pattern(pattern) => vec![pattern],
        }
    }
}

/// How much of a record over the limit is kept for the dead letter.
pub const HEAD: usize = 64 << 10;

/// Records that end a micro-batch, however small they are.
const BATCH_RECORDS: usize = 2048;

/// How long the thread sleeps in the main queue when no partition had a record: it bounds the latency of an idle stream.
const IDLE: Duration = Duration::from_millis(4);

/// The main queue (rebalances, errors) is served at least this often under load.
const SERVE_EVERY: Duration = Duration::from_millis(50);

/// How often closed offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// How often watermarks are looked at, for the lag.
const WATERMARKS_EVERY: Duration = Duration::from_secs(2);

/// Reads until told to stop, then commits what is closed and leaves the group.
///
/// `client` already holds brokers, group and security. Errors that come later (a broker that goes away, a refused login) go to
/// [`super::Intake::report`] and are retried by librdkafka. An error here is a client that cannot be made, or one that can never work again
/// (another member took its `group.instance.id`): what it read and did not commit is read again by others.
pub fn read(
    client: &ClientConfig,
    settings: &Settings,
    intake: &SharedIntake,
    stop: &Arc<AtomicBool>,
) -> Result<(), KafkaError> {
    let context = GroupContext::new(settings.clone(), Arc::clone(intake));
    let consumer: BaseConsumer<GroupContext> = client.create_with_context(context)?;
    consumer.subscribe(&settings.subscription())?;
    let mut reader = Reader { consumer, settings, intake, turn: 0 };
    let ended = reader.run(stop);
    reader.leave();
    ended
}

struct Reader<'a> {
    consumer: BaseConsumer<GroupContext>,
    settings: &'a Settings,
    intake: &'a SharedIntake,
    /// Counts rounds: each begins with another partition, so that none is served only when there is room left.
    turn: usize,
}

impl Reader<'_> {
    /// Until told to stop, or until the client says that it never works again.
    fn run(&mut self, stop: &AtomicBool) -> Result<(), KafkaError> {
        let mut served = Instant::now();
        let mut committed = Instant::now();
        let mut watermarks = Instant::now();
        let mut busy = false;
        while !stop.load(Ordering::Acquire) {
            let context = self.consumer.context();
            context.commit_notes(&self.consumer);
            if self.intake.begins_anew() {
                tracing::info!(source = %self.settings.name, "a partition that stood still may go on: all begin anew");
                context.join_again(&self.consumer);
            }
            // What waits for an intent's answer stands still until it is heard.
            if !busy || context.is_committing() || served.elapsed() >= SERVE_EVERY {
                self.serve(if busy { Duration::ZERO } else { IDLE })?;
                served = Instant::now();
            }
            busy = self.read_round();
            if committed.elapsed() >= COMMIT_EVERY {
                self.commit(false);
                committed = Instant::now();
            }
            if watermarks.elapsed() >= WATERMARKS_EVERY {
                self.watermarks();
                watermarks = Instant::now();
            }
        }
        Ok(())
    }

    /// Serves the main queue: rebalances run inside this call. An error is one that the client cannot recover from.
    fn serve(&self, wait: Duration) -> Result<(), KafkaError> {
        match self.consumer.poll(wait) {
            None => {}
            // Only partitions that are about to be given back send records this way.
            Some(Ok(record)) => {
                tracing::debug!(source = %self.settings.name, topic = record.topic(), partition = record.partition(), "a record of a partition that is not read");
            }
            Some(Err(error)) => {
                self.consumer.context().note(&error);
                if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Reads one batch of every partition that has records and room. Returns whether any had.
    fn read_round(&mut self) -> bool {
        let mut any = false;
        let context = Arc::clone(self.consumer.context());
        let mut assigned = context.assigned();
        let n_partitions = assigned.len();
        self.turn = self.turn.wrapping_add(1);
        for index in 0..n_partitions {
            let assigned = &mut assigned[(self.turn + index) % n_partitions];
            if !self.intake.has_room(assigned.lane) {
                continue;
            }
            self.seek_damaged(assigned);
            for batch in self.read_batches(assigned) {
                any = true;
                self.intake.take(batch);
            }
        }
        any
    }

    /// Reads a batch, or more where the records that are read again, or those of a named range, end in it.
    fn read_batches(&mut self, assigned: &mut Assigned) -> impl Iterator<Item = RawBatch> + use<> {
        let limit = self.settings.batch_bytes;
        let mut again = Reading::new(assigned, true, false);
        let mut named = Reading::new(assigned, false, true);
        let mut fresh = Reading::new(assigned, false, false);
        let (settled, ends) = (assigned.settled, assigned.ends);
        let context = self.consumer.context();
        loop {
            // A call hands out whole records, so ask for no more than what the rest of the batch can take at the size seen so far.
            let room = [&again, &named, &fresh].map(|reading| room(&reading.batch, limit));
            let room = room.into_iter().min().unwrap_or(0);
            if room == 0 {
                break;
            }
            let broken = Cell::new(false);
            let waits = assigned.damage.is_some_and(|damage| damage.waits());
            let expected = &mut assigned.next;
            let damage = &mut assigned.damage;
            let n = assigned.queue.drain(
                room,
                |record| {
                    if record.offset() < *expected {
                        return; // delivered twice by the client after a seek or reset: already read
                    }
                    if waits || broken.get() {
                        return; // from behind what could not be read: read again in its turn
                    }
                    if let Some(damage) = damage.take() {
                        self.whole_again(&assigned.position, damage, record.offset());
                    }
                    *expected = record.offset() + 1;
                    let reading = match record.offset() {
                        offset if offset < settled => &mut again,
                        offset if offset < ends => &mut named,
                        _ => &mut fresh,
                    };
                    let Reading { batch, keys, headers } = reading;
                    if batch.payloads.is_empty() {
                        batch.arena = self
                            .intake
                            .spare()
                            .unwrap_or_else(|| Arena::with_capacity(limit + (limit >> 1)));
                    }
                    push(batch, keys, headers, record, self.settings);
                },
                |code| match code {
                    // Where librdkafka goes on behind damaged records may be an offset that never was.
                    _ if waits => {}
                    code if damage::is_meant(code) => broken.set(true),
                    RDKafkaErrorCode::AutoOffsetReset if broken.get() => {}
                    code => context.partition_fault(&assigned.position, code),
                },
            );
            if broken.get() {
                self.damaged(assigned);
                break;
            }
            if n < room {
                break;
            }
        }
        let with_headers = self.settings.headers;
        [again, named, fresh].into_iter().filter_map(move |reading| reading.finish(with_headers))
    }

    /// Commits what is closed; `last`: and waits for the answer.
    fn commit(&self, last: bool) {
        let due = self.intake.committable();
        if due.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(due.len());
        for (_, position, offset) in &due {
            let since = self.intake.since(position, *offset);
            note::add(&mut list, position, *offset, since)
                .expect("an offset of a record is a valid offset");
        }
        let sent = if last {
            context::commit_now(&self.consumer, &list)
        } else {
            self.consumer.commit(&list, CommitMode::Async)
        };
        match sent {
            Ok(()) => {
                for (lane, _, offset) in due {
                    self.intake.committed(lane, offset);
                }
            }
            // Rebalancing or a broker away: the next round tries again with what is committable then.
            Err(error) => self.consumer.context().note(&error),
        }
    }

    fn watermarks(&self) {
        for assigned in self.consumer.context().assigned().iter() {
            let position = &assigned.position;
            // From librdkafka's own memory, no round trip.
            if let Some((low, high)) =
                queue::cached_watermarks(&self.consumer, &position.topic, position.partition)
            {
                self.intake.watermarks(position, low, high);
            }
        }
    }

    /// Commits what is closed and leaves the group, so that others need not wait for a time-out.
    fn leave(self) {
        self.commit(true);
        let context = Arc::clone(self.consumer.context());
        context.leaving();
        self.consumer.unsubscribe();
        // The revocation of an unsubscribe is served by polling; queues must be gone before the consumer is.
        let deadline = Instant::now() + Duration::from_secs(4);
        while !context.assigned().is_empty() && Instant::now() < deadline {
            // A client that cannot work any more still hands out its revocation.
            let _known = self.serve(Duration::from_millis(20));
        }
        context.assigned().clear();
        context.deaf();
    }
}

/// A batch that is being read, with what is put behind its payloads at the end.
struct Reading {
    batch: RawBatch,
    keys: Vec<Option<Vec<u8>>>,
    headers: Vec<Vec<u8>>,
}

impl Reading {
    fn new(assigned: &Assigned, again: bool, named: bool) -> Self {
        let batch = RawBatch {
            lane: assigned.lane,
            position: assigned.position.clone(),
            arena: Arena::default(),
            payloads: Vec::new(),
            offsets: Vec::new(),
            times: Vec::new(),
            keys: Vec::new(),
            headers: Vec::new(),
            hashes: Vec::new(),
            again,
            named,
        };
        Self { batch, keys: Vec::new(), headers: Vec::new() }
    }

    /// The batch, unless nothing was read.
    fn finish(self, with_headers: bool) -> Option<RawBatch> {
        let Self { mut batch, keys, headers } = self;
        if batch.payloads.is_empty() {
            return None;
        }
        batch.arena.pad();
        batch.keys = keys
            .into_iter()
            .map(|key| key.map_or(View::MISSING, |key: Vec<u8>| batch.arena.text(&key)))
            .collect();
        if with_headers {
            batch.headers = headers
                .into_iter()
                .map(|json: Vec<u8>| {
                    batch
                        .arena
                        .build(logmon_dsl::column::Kind::Object, |out| out.extend_from_slice(&json))
                })
                .collect();
        }
        Some(batch)
    }
}

/// How many more records a batch should ask for.
fn room(batch: &RawBatch, limit: usize) -> usize {
    let records = batch.payloads.len();
    let bytes = batch.arena.len();
    if records >= BATCH_RECORDS || bytes >= limit {
        return 0;
    }
    // Without experience assume a common size; a call that hands out too much overshoots the limit by one call's worth at most.
    let mean = bytes.checked_div(records).map_or(640, |mean| mean.max(64));
    ((limit - bytes) / mean).clamp(1, BATCH_RECORDS - records)
}

fn push(
    batch: &mut RawBatch,
    keys: &mut Vec<Option<Vec<u8>>>,
    headers: &mut Vec<Vec<u8>>,
    record: Record<'_>,
    settings: &Settings,
) {
    let payload = record.payload();
    let bytes = payload.unwrap_or_default();
    // Of a record over the limit the head is kept; the length tells the decoder to refuse it.
    let kept = if bytes.len() > settings.max_record_bytes {
        let place = batch.payloads.len() as u32;
        batch.hashes.push((place, blake3::hash(bytes).to_hex().to_string()));
        &bytes[..HEAD.min(bytes.len())]
    } else {
        bytes
    };
    let offset = batch.arena.push(kept);
    batch.payloads.push(Payload {
        offset: offset as u32,
        len: bytes.len() as u32,
        null: payload.is_none(),
    });
    batch.offsets.push(record.offset());
    batch.times.push(record.time().map_or(0, |ms| ms.saturating_mul(1_000_000)));
    keys.push(record.key().filter(|key| std::str::from_utf8(key).is_ok()).map(<[u8]>::to_vec));
    if settings.headers {
        headers.push(header_json(record));
    }
}

/// Headers as a JSON object: text as text, anything that is no UTF-8 in hex, null as null; of equal names the last one.
fn header_json(record: Record<'_>) -> Vec<u8> {
    let mut map = serde_json::Map::new();
    record.headers(|name, value| {
        let name = String::from_utf8_lossy(name).into_owned();
        let value =
            value.map_or(serde_json::Value::Null, |value| match std::str::from_utf8(value) {
                Ok(text) => text.into(),
                Err(_) => hex(value).into(),
            });
        map.insert(name, value);
    });
    serde_json::Value::Object(map).to_string().into_bytes()
}

/// Whether an error of the client means that the world must be mended by a person, and the sentence that says which setting to look at.
pub fn explain(source: &str, code: RDKafkaErrorCode) -> Option<String> {
    let setting = match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
            format!(
                "the broker refused the login: see `user`, `password` and `mechanism` in [source.{source}.security]"
            )
        }
        RDKafkaErrorCode::SSL => {
            format!(
                "TLS with the broker failed: see `ca`, `cert` and `protocol` in [source.{source}.security]"
            )
        }
        RDKafkaErrorCode::AllBrokersDown
        | RDKafkaErrorCode::BrokerTransportFailure
        | RDKafkaErrorCode::Resolve => {
            format!("no broker answers: see `brokers` in [source.{source}]")
        }
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            format!("the topic does not exist: see `topics` in [source.{source}]")
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            format!(
                "the broker does not let this user read the topic: see `topics` and the user in [source.{source}]"
            )
        }
        RDKafkaErrorCode::FencedInstanceId => {
            format!(
                "another member of the group has this one's name: give each engine a `group.instance.id` of its own in `client` of [source.{source}]"
            )
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            format!(
                "the broker does not let this user join the group: see `group` in [source.{source}]"
            )
        }
        _ => return None,
    };
    Some(setting)
}

/// Whether a log line of librdkafka says that TLS failed: of that it makes no error event, only lines.
fn is_tls_failure(line: &str) -> bool {
    line.contains("SSL handshake failed") || line.contains("certificate verify failed")
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
