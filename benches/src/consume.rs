//! What reading from a real Kafka costs: the engine's own reading thread, librdkafka's threads and the copy into batches included.
//!
//! The process does nothing else meanwhile, so its CPU time is the reader's.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use logmon_dsl::column::Arena;
use logmon_engine::{
    config::{OnCorrupt, Start, Topics},
    delivery::{LaneId, Position},
    source::{Intake, RawBatch, SharedIntake, kafka},
};
use logmon_services::{Kafka, KafkaOptions};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{
    clock::process_cpu,
    producer::{Manner, Producer, make_topic},
};

/// Nothing is read for so long: something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
const PARTITIONS: usize = 4;

/// A broker of our own with topics of events, one a codec.
#[derive(Debug)]
pub struct Backlog {
    kafka: Kafka,
    codecs: Vec<String>,
    events: u64,
    /// Each reading is a group of its own, and begins at the beginning.
    readings: u64,
}

impl Backlog {
    /// Starts a broker and produces the events, copy by copy until there are `count`, once a codec.
    pub fn produce(events: &[String], count: usize, codecs: &[String]) -> anyhow::Result<Self> {
        let kafka = Kafka::start_own(&KafkaOptions::throughput())?;
        for codec in codecs {
            make_topic(kafka.brokers(), codec, PARTITIONS)?;
            let manner = Manner { codec, linger_ms: 20 };
            let producer = Producer::new(kafka.brokers(), codec, manner)?;
            for (index, event) in events.iter().cycle().take(count).enumerate() {
                producer.send(index % PARTITIONS, event.as_bytes())?;
            }
            producer.flush()?;
        }
        Ok(Self { kafka, codecs: codecs.to_vec(), events: count as u64, readings: 0 })
    }

    /// The codecs.
    pub fn codecs(&self) -> &[String] {
        &self.codecs
    }

    /// CPU nanoseconds an event through the engine's reading thread.
    pub fn read(&mut self, codec: &str) -> anyhow::Result<f64> {
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(Count::new(self.events, Arc::clone(&stop)));
        let intake: SharedIntake = Arc::<Count>::clone(&count);
        let settings = kafka::Settings {
            name: "app".to_owned(),
            topics: Topics::Names(vec![codec.to_owned()]),
            start: Start::Earliest,
            max_record_bytes: 1 << 20,
            on_corrupt: OnCorrupt::Stop,
            batch_bytes: 384 << 10,
            headers: false,
        };
        let mut client = self.client();
        // As the engine sets them where they touch what reading costs.
        client
            .set("auto.offset.reset", "error")
            .set("fetch.message.max.bytes", "1048576")
            .set("fetch.max.bytes", "16777216")
            .set("fetch.queue.backoff.ms", "20")
            .set("queued.max.messages.kbytes", "8192")
            .set("queued.min.messages", "10000");
        let reading = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || kafka::read(&client, &settings, &intake, &stop)
        });
        let mut seen = (0, Instant::now());
        while !stop.load(Ordering::Acquire) && !reading.is_finished() {
            std::thread::park_timeout(Duration::from_millis(20));
            let records = count.records.load(Ordering::Relaxed);
            if records > seen.0 {
                seen = (records, Instant::now());
            }
            if seen.1.elapsed() > PATIENCE {
                stop.store(true, Ordering::Release);
                bail!("{} of {} records are read, and no more come", records, self.events);
            }
        }
        match reading.join() {
            Ok(outcome) => outcome?,
            Err(_) => bail!("the reading thread panicked"),
        }
        count.nanoseconds()
    }

    /// The same through the safe crate, one record a call, its payload copied: what most programs do.
    pub fn poll(&mut self, codec: &str) -> anyhow::Result<f64> {
        let consumer: BaseConsumer = self.client().set("auto.offset.reset", "earliest").create()?;
        consumer.subscribe(&[codec])?;
        let mut arena: Vec<u8> = Vec::with_capacity(1 << 20);
        let (mut records, mut start, mut last) = (0, 0, Instant::now());
        while records < self.events {
            match consumer.poll(Duration::from_millis(100)) {
                None => ensure!(last.elapsed() < PATIENCE, "no more than {records} records come"),
                Some(message) => {
                    let message = message?;
                    if records == 0 {
                        start = process_cpu();
                    }
                    if arena.len() > 384 << 10 {
                        last = Instant::now();
                        arena.clear();
                    }
                    arena.extend_from_slice(message.payload().unwrap_or_default());
                    records += 1;
                }
            }
        }
        Ok((process_cpu() - start) as f64 / records as f64)
    }

    fn client(&mut self) -> ClientConfig {
        self.readings += 1;
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.kafka.brokers())
            .set("group.id", format!("reading-{}", self.readings))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        client
    }
}

/// Takes batches, counts them and lets them go.
struct Count {
    expected: u64,
    records: AtomicU64,
    lanes: AtomicU64,
    /// Memory for the next batches, as the engine gives it back.
    spares: Mutex<Vec<Arena>>,
    /// CPU time at the first batch, and how many records had come with it.
    first: OnceLock<(u64, u64)>,
    last: OnceLock<u64>,
    stop: Arc<AtomicBool>,
}

impl Count {
    fn new(expected: u64, stop: Arc<AtomicBool>) -> Self {
        Self {
            expected,
            records: AtomicU64::new(0),
            lanes: AtomicU64::new(0),
            spares: Mutex::new(Vec::new()),
            first: OnceLock::new(),
            last: OnceLock::new(),
            stop,
        }
    }

    /// From the first batch to the last: joining the group is not in it.
    fn nanoseconds(&self) -> anyhow::Result<f64> {
        let (Some((start, early)), Some(end)) = (self.first.get(), self.last.get()) else {
            bail!("the reading ended before all was read");
        };
        ensure!(self.records.load(Ordering::Relaxed) == self.expected, "each record comes once");
        Ok((end - start) as f64 / (self.expected - early) as f64)
    }
}

impl Intake for Count {
    fn assigned(&self, _: Position) -> LaneId {
        LaneId(self.lanes.fetch_add(1, Ordering::Relaxed))
    }

    fn revoking(&self, _: &[LaneId]) -> Vec<(Position, i64)> {
        Vec::new()
    }

    fn revoked(&self, _: &[LaneId]) {}

    fn has_room(&self, _: LaneId) -> bool {
        true
    }

    fn take(&self, mut batch: RawBatch) {
        let mut spare = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(std::mem::take(&mut batch.arena));
        drop(spare);
        let here = batch.payloads.len() as u64;
        let records = self.records.fetch_add(here, Ordering::Relaxed) + here;
        self.first.get_or_init(|| (process_cpu(), records));
        if records >= self.expected {
            self.last.get_or_init(process_cpu);
            self.stop.store(true, Ordering::Release);
        }
    }

    fn spare(&self) -> Option<Arena> {
        let mut arena = self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        arena.clear();
        Some(arena)
    }

    fn since(&self, _: &Position, _: i64) -> Option<i64> {
        None
    }

    fn committable(&self) -> Vec<(LaneId, Position, i64)> {
        Vec::new()
    }

    fn committed(&self, _: LaneId, _: i64) {}

    fn damaged(&self, _: &Position, _: u64) {}

    fn report(&self, _: Option<String>) {}

    fn watermarks(&self, _: &Position, _: i64, _: i64) {}
}
