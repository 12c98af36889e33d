//! Events into a topic of a real Kafka: partition by partition, each send waiting for room and for nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

/// How long a flush may take.
const FLUSH: Duration = Duration::from_mins(2);

/// Makes a topic.
pub fn make_topic(brokers: &str, name: &str, partitions: usize) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let topic = NewTopic::new(name, partitions as i32, TopicReplication::Fixed(1));
    for outcome in runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))? {
        ensure!(outcome.is_ok(), "the topic cannot be made: {outcome:?}");
    }
    Ok(())
}

/// What a producer is like.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// How batches are compressed: `none`, `lz4`, `zstd`.
    pub codec: &'a str,
    /// How long a record waits for others to share a batch with.
    pub linger_ms: u32,
}

/// Sends to one topic.
pub struct Producer {
    inner: ThreadedProducer<Failures>,
    failed: Arc<AtomicU64>,
    topic: String,
}

/// Counts records that the broker did not take.
struct Failures(Arc<AtomicU64>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Producer {
    /// Connects.
    pub fn new(brokers: &str, topic: &str, manner: Manner<'_>) -> anyhow::Result<Self> {
        let failed = Arc::new(AtomicU64::new(0));
        let inner = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("compression.type", manner.codec)
            .set("linger.ms", manner.linger_ms.to_string())
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "200000")
            .create_with_context(Failures(Arc::clone(&failed)))?;
        Ok(Self { inner, failed, topic: topic.to_owned() })
    }

    /// Hands a record over; waits while the client's queue is full.
    pub fn send(&self, partition: usize, payload: &[u8]) -> anyhow::Result<()> {
        loop {
            let record = BaseRecord::<(), [u8]>::to(&self.topic);
            match self.inner.send(record.partition(partition as i32).payload(payload)) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    std::thread::park_timeout(Duration::from_millis(2));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Returns when the broker has all.
    pub fn flush(&self) -> anyhow::Result<()> {
        self.inner.flush(FLUSH)?;
        let failed = self.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "the broker did not take {failed} records");
        Ok(())
    }
}
