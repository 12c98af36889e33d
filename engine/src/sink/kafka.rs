//! A Kafka topic as a sink: events as JSON, acknowledged by all in-sync replicas.
//!
//! # Guarantees
//! At least once: a record whose acknowledgement was lost may stand twice in the topic, under the same key. Records go to the client in the
//! order in which [`TopicSink::begin`] is called, and the client keeps it: it gives no record up for the time that it takes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
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
#[derive(Debug, Default)]
pub struct Unsent {
    /// Indices that were not acknowledged and may be tried again.
    pub again: Vec<usize>,
    /// Indices that the topic never takes as they are, and why.
    pub never: Vec<(usize, String)>,
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
    producer: FutureProducer<Ears>,
    ears: Ears,
    sink: String,
    topic: String,
    timeout: Duration,
}

/// Hears what the client only logs, such as a refused login, which it tries again for ever.
#[derive(Debug, Clone, Default)]
struct Ears(Arc<Mutex<Option<String>>>);

impl ClientContext for Ears {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::trace!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
        let hint = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                "the broker refuses the login: see `security`"
            }
            Some(RDKafkaErrorCode::SSL) => "no secure connection: see `security`",
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
                "no broker can be reached: see `brokers`"
            }
            Some(RDKafkaErrorCode::Resolve) => "a broker's host is not known: see `brokers`",
            _ => "the broker does not take records",
        };
        let sentence = format!("{hint} ({reason})");
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That nobody can be reached is said after whatever the reason was.
        let is_echo = matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AllBrokersDown));
        if !is_echo || heard.is_none() {
            *heard = Some(sentence);
        }
    }
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
        sink: &str,
        topic: &str,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            // A record that is given up and sent again would come behind its successors.
            .set("message.timeout.ms", "0")
            .set("allow.auto.create.topics", "false");
        let ears = Ears::default();
        let producer = client.create_with_context(ears.clone())?;
        Ok(Self { producer, ears, sink: sink.to_owned(), topic: topic.to_owned(), timeout })
    }

    /// After how long without an acknowledgement something is wrong.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What is known about a client that has no acknowledgement yet, as a sentence.
    pub fn silence(&self) -> String {
        let heard = self.ears.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let what = heard.unwrap_or_else(|| "no broker acknowledges records: see `brokers`".into());
        format!("[sink.{}] topic {}: {what}", self.sink, self.topic)
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
    pub async fn end(&self, begun: Begun) -> Unsent {
        let mut unsent = Unsent::default();
        for (index, error) in begun.refused {
            self.note(&mut unsent, index, &error);
        }
        for (index, delivery) in begun.waiting {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => self.note(&mut unsent, index, &error),
                // The producer was dropped: this process is ending and the record is read again.
                Err(_canceled) => self.note(&mut unsent, index, &KafkaError::Canceled),
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

    fn note(&self, unsent: &mut Unsent, index: usize, error: &KafkaError) {
        let (sink, topic) = (&self.sink, &self.topic);
        let sentence = match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord,
            ) => {
                let what = format!(
                    "[sink.{sink}] topic {topic} never takes this record ({error}): raise its `max.message.bytes`, and `client` \"message.max.bytes\" of the sink"
                );
                return unsent.never.push((index, what));
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                format!("[sink.{sink}] topic {topic} does not exist: see `topic`")
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                format!("[sink.{sink}] this user may not write to topic {topic}: see `security`")
            }
            _ => format!("[sink.{sink}] topic {topic}: {error}"),
        };
        unsent.again.push(index);
        unsent.problem = Some(sentence);
    }
}
