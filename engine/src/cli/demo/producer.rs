//! Produces the demo's events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

use super::{
    events::{Random, event},
    setup::Stage,
};
use crate::clock::{Clock as _, SystemClock};

/// A thread that produces.
pub(super) struct Producer {
    produced: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// The demo is the same every time.
const SEED: u64 = 20_261_121;

impl Producer {
    /// Starts producing: that many events, or for ever; at that rate, or as fast as the broker takes them.
    pub(super) fn start(
        stage: &Stage,
        events: Option<u64>,
        rate: Option<u64>,
    ) -> anyhow::Result<Self> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", stage.kafka.brokers())
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .set("queue.buffering.max.messages", "200000")
            .create()?;
        let (produced, done, stop) = (
            Arc::<AtomicU64>::default(),
            Arc::<AtomicBool>::default(),
            Arc::<AtomicBool>::default(),
        );
        let topic = stage.topic.clone();
        let (counter, finished, stopped) =
            (Arc::clone(&produced), Arc::clone(&done), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("produce".into()).spawn(move || {
            let (started, clock) = (Instant::now(), SystemClock::new());
            let mut random = Random::new(SEED);
            let limit = events.unwrap_or(u64::MAX);
            for id in 0..limit {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                if let Some(rate) = rate {
                    let due = started + Duration::from_secs_f64(id as f64 / rate.max(1) as f64);
                    while Instant::now() < due && !stopped.load(Ordering::Relaxed) {
                        std::thread::park_timeout(
                            due.saturating_duration_since(Instant::now())
                                .min(Duration::from_millis(50)),
                        );
                    }
                }
                let payload = event(&mut random, clock.now() / 1_000_000, id);
                send(&producer, &topic, &payload, &stopped);
                counter.store(id + 1, Ordering::Release);
            }
            let _late = producer.flush(Duration::from_secs(30));
            finished.store(true, Ordering::Release);
        })?;
        Ok(Self { produced, done, stop, thread })
    }

    /// Events produced so far.
    pub(super) fn produced(&self) -> u64 {
        self.produced.load(Ordering::Acquire)
    }

    /// Whether all were produced and acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Ends it; returns how many events it produced.
    pub(super) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Release);
        let _panicked = self.thread.join();
        self.produced.load(Ordering::Acquire)
    }
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    payload: &[u8],
    stop: &AtomicBool,
) {
    loop {
        match producer.send(BaseRecord::<(), [u8]>::to(topic).payload(payload)) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                if !stop.load(Ordering::Relaxed) =>
            {
                std::thread::park_timeout(Duration::from_millis(2));
            }
            Err((error, _)) => {
                tracing::error!(%error, "an event could not be produced");
                return;
            }
        }
    }
}
