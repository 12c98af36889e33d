//! Single records read once more: what a letter about them needs and nobody kept.
//!
//! Outside of any group: nothing is committed, and nobody's assignment changes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _, Message},
};

use crate::{config::Connection, delivery::Position};

/// How long all records of one partition may take.
const READ_MAX: Duration = Duration::from_secs(20);

/// A record, as it is in Kafka.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// Its value; empty where it is null.
    pub payload: Vec<u8>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its timestamp, nanoseconds since 1970.
    pub timestamp: i64,
}

/// Reads the records at these offsets of a partition, each or a sentence why it is not there. Blocks, for a bounded time.
pub fn read(
    connection: &Connection,
    position: &Position,
    offsets: &[i64],
) -> Vec<Result<Again, String>> {
    let mut found = BTreeMap::new();
    let trouble = fetch(connection, position, offsets, &mut found).err();
    let why = trouble.map_or_else(
        || "Kafka no longer holds it".to_owned(),
        |error| format!("the broker says: {error}"),
    );
    offsets.iter().map(|offset| found.get(offset).cloned().ok_or_else(|| why.clone())).collect()
}

fn fetch(
    connection: &Connection,
    position: &Position,
    offsets: &[i64],
    found: &mut BTreeMap<i64, Again>,
) -> Result<(), KafkaError> {
    let mut client = ClientConfig::new();
    for (key, value) in connection.properties() {
        client.set(key, value.expose());
    }
    client
        .set("group.id", "logmon-reads-again")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("queued.min.messages", "1")
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.message.max.bytes", "65536");
    let consumer: BaseConsumer = client.create()?;
    let deadline = Instant::now() + READ_MAX;
    let mut wanted: Vec<i64> = offsets.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    for &offset in &wanted {
        if found.contains_key(&offset) {
            continue;
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&position.topic, position.partition, Offset::Offset(offset))?;
        consumer.assign(&list)?;
        loop {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut));
            };
            let Some(message) = consumer.poll(left.min(Duration::from_millis(200))) else {
                continue;
            };
            match message {
                Ok(message) => {
                    let at = message.offset();
                    if wanted.binary_search(&at).is_ok() {
                        found.insert(at, record(&message));
                    }
                    if at >= offset {
                        break;
                    }
                }
                // What is not there any more: the next one may be.
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset,
                )) => break,
                Err(error) if is_fatal(&error) => return Err(error),
                Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Whether waiting does not help.
fn is_fatal(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::BadMessage
        )
    )
}

fn record(message: &BorrowedMessage<'_>) -> Again {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let own = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
        };
        headers.iter().map(own).collect()
    });
    Again {
        payload: message.payload().unwrap_or_default().to_vec(),
        key: message.key().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis().unwrap_or(0).saturating_mul(1_000_000),
    }
}
