//! Ranges of partitions read once more, outside the group: an assignment of our own, and nothing is committed.
//!
//! Invariant: the group's members and their assignment stay as they are, and its offsets, too, unless it has none.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use logmon_dsl::column::{Arena, Kind, View, batch::Payload};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _, Message},
};

use super::{HEAD, explain, hex};
use crate::{
    config::Topics,
    delivery::{LaneId, Position},
    source::RawBatch,
};

/// How long a broker may take to answer one question.
const ASK: Duration = Duration::from_secs(15);
/// How long no record may come in the middle of a range.
const SILENCE: Duration = Duration::from_secs(30);
/// Records and bytes that are judged together.
const RECORDS: usize = 8192;
/// See [`RECORDS`].
const BYTES: usize = 4 << 20;

/// A record on its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its offset.
    pub offset: i64,
    /// Its Kafka timestamp, nanoseconds since 1970.
    pub time: i64,
    /// Its value; `None` is Kafka's null.
    pub payload: Option<Vec<u8>>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers; a value may be null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// How a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The partition.
    pub position: Position,
    /// The first offset that Kafka holds.
    pub low: i64,
    /// One past the last.
    pub high: i64,
    /// What the group committed, if it did.
    pub committed: Option<i64>,
}

/// Reads ranges of a source's partitions.
pub struct Past {
    consumer: BaseConsumer,
    source: String,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Past {
    /// A client for that source; `client` holds brokers, security and the group, whose offsets are only looked at.
    pub fn open(mut client: ClientConfig, source: &str) -> Result<Self, String> {
        client.set("enable.partition.eof", "true").set("queued.max.messages.kbytes", "16384");
        let consumer =
            client.create().map_err(|error: KafkaError| format!("[source.{source}]: {error}"))?;
        Ok(Self { consumer, source: source.to_owned() })
    }

    fn sentence(&self, error: &KafkaError) -> String {
        error.rdkafka_error_code().and_then(|code| explain(&self.source, code)).unwrap_or_else(
            || {
                format!(
                    "the broker does not answer as it should ({error}): see [source.{}]",
                    self.source
                )
            },
        )
    }

    /// Every partition of the source's topics, and how it stands.
    pub fn standings(&self, topics: &Topics) -> Result<Vec<Standing>, String> {
        let fails = |error: KafkaError| self.sentence(&error);
        let metadata = self.consumer.fetch_metadata(None, ASK).map_err(fails)?;
        let pattern = match topics {
            Topics::Names(_) => None,
            Topics::Pattern(pattern) => Some(
                regex::Regex::new(pattern)
                    .map_err(|error| format!("[source.{}] topic_pattern: {error}", self.source))?,
            ),
        };
        let is_ours = |name: &str| match topics {
            Topics::Names(names) => names.iter().any(|known| known == name),
            Topics::Pattern(_) => pattern.as_ref().is_some_and(|pattern| pattern.is_match(name)),
        };
        let mut standings = Vec::new();
        for topic in metadata.topics().iter().filter(|topic| is_ours(topic.name())) {
            let mut partitions: Vec<i32> =
                topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
            partitions.sort_unstable();
            let mut list = TopicPartitionList::new();
            for &partition in &partitions {
                list.add_partition(topic.name(), partition);
            }
            let committed = self.consumer.committed_offsets(list, ASK).map_err(fails)?;
            for partition in partitions {
                let (low, high) =
                    self.consumer.fetch_watermarks(topic.name(), partition, ASK).map_err(fails)?;
                let committed = committed.find_partition(topic.name(), partition);
                let committed = committed.and_then(|element| match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                });
                let position = Position { topic: topic.name().into(), partition };
                standings.push(Standing { position, low, high, committed });
            }
        }
        if standings.is_empty() {
            return Err(format!(
                "no topic of the source `{}` is there, or this user may not see it: see `topics` in [source.{0}]",
                self.source
            ));
        }
        Ok(standings)
    }

    /// How many members the group has now.
    pub fn members(&self, group: &str) -> Result<usize, String> {
        let list = self
            .consumer
            .fetch_group_list(Some(group), ASK)
            .map_err(|error| self.sentence(&error))?;
        Ok(list
            .groups()
            .iter()
            .filter(|known| known.name() == group)
            .map(|known| known.members().len())
            .sum())
    }

    /// Writes down where the group goes on in partitions for which it has no offset. The broker refuses it while the group has members.
    pub fn begin_at(&self, offsets: &[(Position, i64)]) -> Result<(), String> {
        let commit = || {
            let mut list = TopicPartitionList::with_capacity(offsets.len());
            for (position, offset) in offsets {
                let offset = Offset::Offset(*offset);
                list.add_partition_offset(&position.topic, position.partition, offset)?;
            }
            self.consumer.commit(&list, CommitMode::Sync)
        };
        commit().map_err(|error| self.sentence(&error))
    }

    /// The first offset at or after a moment, nanoseconds since 1970; `None` if all records are older.
    pub fn offset_at(&self, position: &Position, time: i64) -> Result<Option<i64>, String> {
        let ask = || {
            let mut list = TopicPartitionList::with_capacity(1);
            let ms = Offset::Offset(time.div_euclid(1_000_000));
            list.add_partition_offset(&position.topic, position.partition, ms)?;
            self.consumer.offsets_for_times(list, ASK)
        };
        let found = ask().map_err(|error| self.sentence(&error))?;
        let element = found.find_partition(&position.topic, position.partition);
        Ok(element.and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }))
    }

    /// Hands out what Kafka holds of a range, some thousand records at a time, in order.
    ///
    /// Offsets that never come are holes: compacted, aborted, or the mark at the end of a transaction.
    pub fn read<E: From<String>>(
        &self,
        position: &Position,
        range: Range<i64>,
        mut visit: impl FnMut(Vec<Entry>) -> Result<(), E>,
    ) -> Result<(), E> {
        if range.is_empty() {
            return Ok(());
        }
        let assign = |from: Option<i64>| {
            let mut list = TopicPartitionList::with_capacity(1);
            if let Some(from) = from {
                let from = Offset::Offset(from);
                list.add_partition_offset(&position.topic, position.partition, from)?;
            }
            self.consumer.assign(&list)
        };
        assign(Some(range.start)).map_err(|error| self.sentence(&error))?;
        let read = self.read_assigned(position, range, &mut visit);
        // What was prefetched for this range is thrown away with the assignment.
        assign(None).map_err(|error| self.sentence(&error))?;
        read
    }

    fn read_assigned<E: From<String>>(
        &self,
        position: &Position,
        range: Range<i64>,
        visit: &mut impl FnMut(Vec<Entry>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let mut heard = Instant::now();
        loop {
            match self.consumer.poll(Duration::from_millis(200)) {
                None if heard.elapsed() > SILENCE => {
                    return Err(format!(
                        "{}/{}: no record came for {} s: see `brokers` in [source.{}]",
                        position.topic,
                        position.partition,
                        SILENCE.as_secs(),
                        self.source
                    )
                    .into());
                }
                None => {}
                Some(Ok(message)) => {
                    heard = Instant::now();
                    // The end of an earlier assignment may still stand in the queue.
                    if message.topic() != &*position.topic
                        || message.partition() != position.partition
                        || message.offset() < range.start
                    {
                        continue;
                    }
                    if message.offset() >= range.end {
                        break;
                    }
                    let entry = entry(&message);
                    let is_last = entry.offset + 1 == range.end;
                    bytes += entry.payload.as_ref().map_or(0, Vec::len) + 64;
                    entries.push(entry);
                    if entries.len() >= RECORDS || bytes >= BYTES {
                        visit(std::mem::take(&mut entries))?;
                        (bytes, heard) = (0, Instant::now());
                    }
                    if is_last {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition)))
                    if partition == position.partition =>
                {
                    break;
                }
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(
                        RDKafkaErrorCode::AllBrokersDown
                        | RDKafkaErrorCode::BrokerTransportFailure
                        | RDKafkaErrorCode::OperationTimedOut
                        | RDKafkaErrorCode::PartitionEOF,
                    ) => {}
                    Some(
                        RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset,
                    ) => {
                        let Position { topic, partition } = position;
                        return Err(format!(
                            "{topic}/{partition}: Kafka does not hold offset {}",
                            range.start
                        )
                        .into());
                    }
                    _ => return Err(self.sentence(&error).into()),
                },
            }
        }
        if entries.is_empty() { Ok(()) } else { visit(entries) }
    }
}

fn entry(message: &BorrowedMessage<'_>) -> Entry {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let own = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
        };
        headers.iter().map(own).collect()
    });
    Entry {
        offset: message.offset(),
        time: message.timestamp().to_millis().map_or(0, |ms| ms.saturating_mul(1_000_000)),
        payload: message.payload().map(<[u8]>::to_vec),
        key: message.key().map(<[u8]>::to_vec),
        headers,
    }
}

/// Records of one partition, ascending, as a batch that was read from Kafka.
///
/// Of a record over the limit the head is kept, as the stream does it.
pub fn pack(
    position: &Position,
    entries: &[Entry],
    max_record_bytes: usize,
    with_headers: bool,
) -> RawBatch {
    let total = entries.iter().map(|entry| entry.payload.as_ref().map_or(0, Vec::len)).sum();
    let mut arena = Arena::with_capacity(total);
    let mut payloads = Vec::with_capacity(entries.len());
    let mut hashes = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let bytes = entry.payload.as_deref().unwrap_or_default();
        let mut kept = bytes;
        if bytes.len() > max_record_bytes {
            kept = &bytes[..HEAD.min(bytes.len())];
            hashes.push((number as u32, blake3::hash(bytes).to_hex().to_string()));
        }
        let offset = arena.push(kept) as u32;
        payloads.push(Payload { offset, len: bytes.len() as u32, null: entry.payload.is_none() });
    }
    arena.pad();
    let text = |key: &Vec<u8>| std::str::from_utf8(key).is_ok();
    let keys = entries
        .iter()
        .map(|entry| {
            entry.key.as_ref().filter(|key| text(key)).map_or(View::MISSING, |key| arena.text(key))
        })
        .collect();
    let mut headers = Vec::new();
    if with_headers {
        let json = |entry: &Entry| {
            arena.build(Kind::Object, |out| out.extend_from_slice(&header_json(&entry.headers)))
        };
        headers = entries.iter().map(json).collect();
    }
    RawBatch {
        lane: LaneId(0),
        position: position.clone(),
        arena,
        payloads,
        offsets: entries.iter().map(|entry| entry.offset).collect(),
        times: entries.iter().map(|entry| entry.time).collect(),
        keys,
        headers,
        hashes,
        again: false,
        named: false,
    }
}

/// Headers as a JSON object, as the stream has them.
fn header_json(headers: &[(String, Option<Vec<u8>>)]) -> Vec<u8> {
    let mut map = serde_json::Map::new();
    for (name, value) in headers {
        let value =
            value.as_ref().map_or(serde_json::Value::Null, |value| {
                match std::str::from_utf8(value) {
                    Ok(text) => text.into(),
                    Err(_) => hex(value).into(),
                }
            });
        map.insert(name.clone(), value);
    }
    serde_json::Value::Object(map).to_string().into_bytes()
}
