//! A Kafka topic as a sink: events as JSON, acknowledged by all in-sync replicas.
//!
//! # Guarantees
//! At least once: a record whose acknowledgement was lost may stand twice in the topic, under the same key. Records go to the client in the
//! order in which [`TopicSink::begin`] is called, and the client keeps it; one that the broker refused for longer than its time-out comes later.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer},
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

/// Records that the client has, and what is known of each.
#[derive(Default)]
pub struct Begun {
    waiting: Vec<(usize, DeliveryFuture)>,
    refused: Vec<(usize, KafkaError)>,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
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

/// How long to wait for room in the client's own queue before the next look.
const FULL: Duration = Duration::from_millis(5);

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

    /// Hands the records with these indices to the client, in order; waits only while its queue is full.
    pub async fn begin(&self, records: &[Record], indices: &[usize]) -> Begun {
        let mut begun = Begun::default();
        for &index in indices {
            loop {
                match self.producer.send_result(self.record(&records[index])) {
                    Ok(delivery) => begun.waiting.push((index, delivery)),
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        tokio::time::sleep(FULL).await;
                        continue;
                    }
                    Err((error, _)) => begun.refused.push((index, error)),
                }
                break;
            }
        }
        begun
    }

    /// Waits for all acknowledgements.
    pub async fn end(&self, begun: Begun) -> Unsent<'_> {
        let mut unsent = Unsent { topic: &self.topic, again: Vec::new(), problem: None };
        for (index, error) in begun.refused {
            unsent.note(index, &error);
        }
        for (index, delivery) in begun.waiting {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => unsent.note(index, &error),
                // The producer was dropped: this process is ending and the record is read again.
                Err(_canceled) => unsent.note(index, &KafkaError::Canceled),
            }
        }
        unsent.again.sort_unstable();
        unsent
    }

    fn record<'a>(&'a self, record: &'a Record) -> FutureRecord<'a, String, Vec<u8>> {
        let mut future = FutureRecord::to(&self.topic).payload(&record.value);
        if let Some(key) = &record.key {
            future = future.key(key);
        }
        if record.headers.is_empty() {
            return future;
        }
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        future.headers(headers)
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
