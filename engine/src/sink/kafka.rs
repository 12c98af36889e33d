//! A Kafka topic as a sink: events as JSON, acknowledged by all in-sync replicas.
//!
//! # Guarantees
//! At least once: a record whose acknowledgement was lost may stand twice in the topic, under the same key.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer},
};

/// One record to send.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The key, `None` for Kafka's null.
    pub key: Option<String>,
    /// The value.
    pub value: Vec<u8>,
    /// Name and value.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// What became of a try to send records.
#[derive(Debug)]
pub struct Unsent<'a> {
    topic: &'a str,
    /// Indices that were not acknowledged and may be tried again.
    pub again: Vec<usize>,
    /// The last error in one sentence for a person.
    pub problem: Option<String>,
}

/// A producer for one topic.
#[derive(Clone)]
pub struct TopicSink {
    producer: FutureProducer,
    topic: String,
}

impl std::fmt::Debug for TopicSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicSink").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Records enqueued at once; librdkafka's own queue holds ten times as many.
const IN_FLIGHT: usize = 10_000;

impl TopicSink {
    /// A sink for a topic. `client` holds brokers and security; nothing is sent yet.
    pub fn new(
        mut client: ClientConfig,
        topic: &str,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .set("message.timeout.ms", timeout.as_millis().to_string())
            .set("allow.auto.create.topics", "false");
        Ok(Self { producer: client.create()?, topic: topic.to_owned() })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Asks the broker whether the topic is there. Blocks, at most that long.
    pub fn check(&self, wait: Duration) -> Result<bool, KafkaError> {
        let metadata = self.producer.client().fetch_metadata(Some(&self.topic), wait)?;
        Ok(metadata
            .topics()
            .first()
            .is_some_and(|topic| topic.error().is_none() && !topic.partitions().is_empty()))
    }

    /// Sends the records with these indices and waits for all acknowledgements.
    pub async fn send(&self, records: &[Record], indices: &[usize]) -> Unsent<'_> {
        let mut unsent = Unsent { topic: &self.topic, again: Vec::new(), problem: None };
        for indices in indices.chunks(IN_FLIGHT) {
            let mut waiting = Vec::with_capacity(indices.len());
            for &index in indices {
                let record = &records[index];
                let mut future: FutureRecord<'_, String, Vec<u8>> =
                    FutureRecord::to(&self.topic).payload(&record.value);
                if let Some(key) = &record.key {
                    future = future.key(key);
                }
                if !record.headers.is_empty() {
                    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
                    for (key, value) in &record.headers {
                        headers = headers.insert(Header { key, value: Some(value) });
                    }
                    future = future.headers(headers);
                }
                match self.producer.send_result(future) {
                    Ok(delivery) => waiting.push((index, delivery)),
                    Err((error, _)) => unsent.note(index, &error),
                }
            }
            for (index, delivery) in waiting {
                match delivery.await {
                    Ok(Ok(_)) => {}
                    Ok(Err((error, _))) => unsent.note(index, &error),
                    // The producer was dropped: this process is ending and the record is read again.
                    Err(_canceled) => unsent.note(index, &KafkaError::Canceled),
                }
            }
        }
        unsent
    }
}

impl Unsent<'_> {
    fn note(&mut self, index: usize, error: &KafkaError) {
        self.again.push(index);
        // A record over the broker's limit is not given up: nothing is lost, and the sentence says what to raise.
        self.problem = Some(match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
                format!(
                    "a record is larger than topic {} takes: raise its `max.message.bytes`",
                    self.topic
                )
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                format!("topic {} does not exist: see `topic` of the sink", self.topic)
            }
            _ => error.to_string(),
        });
    }
}
