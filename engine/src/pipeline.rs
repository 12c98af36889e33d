//! A program bound to this process and run: one ordered lane per partition, workers that compute, sinks that deliver.

pub mod budget;
pub mod bundle;
pub mod crew;
pub mod dead;
pub mod deliver;
pub mod desks;
pub mod exact;
pub mod fill;
pub mod gate;
pub mod lanes;
pub mod observe;
pub mod outlets;
pub mod poison;
pub mod reload;
pub mod replay;
pub mod schema;
mod sinks;
pub mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use self::{
    bundle::{BindError, Bundle, World},
    crew::Crew,
    exact::ranges::Ranges,
    lanes::Lanes,
    worker::Job,
};
use crate::{
    config::Source,
    source::{
        SharedIntake,
        kafka::{self, Settings},
    },
};

/// How long shutdown may take: below the 30 seconds that orchestrators wait before they kill.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(25);

/// How long leaving the groups may take when everything else is done.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// Payload bytes of a micro-batch: it and the columns made of it fit half of a core's L2 cache.
const BATCH_BYTES: usize = 384 << 10;

/// The share of the memory budget that librdkafka's own queues may take.
const CLIENT_SHARE: u64 = 4;

/// How long a broker may take to answer at start.
const ASK: Duration = Duration::from_secs(10);

/// A running program.
#[derive(Debug)]
pub struct Pipeline {
    /// What it runs in.
    pub world: Arc<World>,
    /// What it runs now.
    pub bundle: Arc<ArcSwap<Bundle>>,
    /// The lanes of each source, in the plan's order at start.
    pub lanes: Vec<Arc<Lanes>>,
    /// Its workers, as those see them who have work to give.
    pub crew: Arc<Crew>,
    workers: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
}

impl Pipeline {
    /// Starts workers and readers for a bundle. Every broker and topic was asked for before.
    pub fn start(world: Arc<World>, bundle: Bundle) -> Result<Self, BindError> {
        let bundle = Arc::new(ArcSwap::from_pointee(bundle));
        let failed = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        let (crew, inboxes) =
            Crew::new(world.config.engine.threads.max(1), bundle.load().plan.is_stateful());
        for (number, inbox) in inboxes.into_iter().enumerate() {
            let (world, bundle, failed) =
                (Arc::clone(&world), Arc::clone(&bundle), Arc::clone(&failed));
            let thread = thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    let mut alarm = Alarm { flag: failed, armed: true };
                    desks::work(&world, &bundle, &inbox);
                    alarm.armed = false;
                })
                .map_err(|error| BindError::World(format!("no thread for a worker: {error}")))?;
            workers.push(thread);
        }
        let mut lanes = Vec::new();
        let mut readers = Vec::new();
        let stop = Arc::new(AtomicBool::new(false));
        let sources = bundle.load().plan.sources.clone();
        let n_sources = sources.len() as u64;
        let is_exact = bundle.load().is_exact();
        for source in &sources {
            let settings = &world.config.sources[&source.name];
            let one = Lanes::new(
                settings.clone(),
                Arc::clone(&crew),
                Arc::clone(&world.budget),
                Arc::clone(&world.status),
                is_exact.then(|| Ranges::new(Arc::clone(&world), Arc::clone(&bundle))),
            );
            let queue_bytes = world.config.engine.memory / CLIENT_SHARE / n_sources;
            let client = client(settings, queue_bytes, world.partitions(&source.name));
            let reading = Settings {
                name: source.name.to_string(),
                topics: settings.topics.clone(),
                start: settings.start,
                max_record_bytes: settings.max_record_bytes,
                on_corrupt: settings.on_corrupt,
                batch_bytes: BATCH_BYTES,
                headers: bundle.load().plan.reads_headers,
            };
            let intake: SharedIntake = Arc::clone(&one) as SharedIntake;
            let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
            let thread = thread::Builder::new()
                .name(format!("read-{}", source.name))
                .spawn(move || {
                    let mut alarm = Alarm { flag: failed, armed: true };
                    match kafka::read(&client, &reading, &intake, &stop) {
                        Ok(()) => alarm.armed = false,
                        Err(error) => tracing::error!(source = %reading.name, %error, "the source cannot be read"),
                    }
                })
                .map_err(|error| BindError::World(format!("no thread for a reader: {error}")))?;
            readers.push(thread);
            lanes.push(one);
        }
        Ok(Self { world, bundle, lanes, crew, workers, readers, stop, failed })
    }

    /// Whether a thread ended that must not: the process should end and be started again.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Stops reading, finishes what was read, commits, and leaves the groups. Returns whether all of it was done in time.
    pub fn shut_down(mut self) -> bool {
        let deadline = Instant::now() + SHUTDOWN_MAX;
        for lanes in &self.lanes {
            lanes.stop();
        }
        // Batches that wait are worked off, then every open block is closed and delivered, while the readers still keep the membership alive.
        while self.lanes.iter().any(|lanes| lanes.is_busy()) && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(5));
        }
        for lanes in &self.lanes {
            lanes.end_ranges();
        }
        self.crew.tell(|| Job::Flush);
        let done = self.lanes.iter().all(|lanes| lanes.wait_idle(deadline));
        self.stop.store(true, Ordering::Release);
        // A group in the middle of a rebalance can hold a leaving member for long; the deadline is ours, not the group's.
        let deadline =
            (Instant::now() + LEAVE_MAX).max(deadline.min(Instant::now() + LEAVE_MAX * 3));
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            thread::park_timeout(Duration::from_millis(5));
        }
        if !done {
            self.world.abandon.cancel();
        }
        self.crew.tell(|| Job::Stop);
        for worker in self.workers.drain(..) {
            let _panicked = worker.join();
        }
        done
    }
}

/// Sets its flag when it is dropped, so when the thread that owns it ends in a way that it should not.
#[derive(Debug)]
struct Alarm {
    flag: Arc<AtomicBool>,
    armed: bool,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.armed {
            self.flag.store(true, Ordering::Release);
        }
    }
}

/// librdkafka's settings for a source. `queue_bytes` is what all its partitions may hold before we take it.
pub(crate) fn client(source: &Source, queue_bytes: u64, partitions: u64) -> ClientConfig {
    // With queues of their own the limits count per partition, and they are fixed before the first assignment says how many there are.
    let queue = (queue_bytes / partitions.max(PARTITIONS_MIN)).clamp(256 << 10, 16 << 20);
    // A fetch is asked for while there is room at all, and becomes some times as large when it is unpacked.
    let fetch = (queue / UNPACKED).clamp(64 << 10, 1 << 20);
    let mut client = ClientConfig::new();
    client
        .set("fetch.message.max.bytes", fetch.to_string())
        .set("fetch.max.bytes", "16777216")
        .set("receive.message.max.bytes", "67108864")
        // A fetch that asks for nothing but partitions without new records is answered after this time, and until then no other partition of
        // its broker is fetched: the default of half a second would be the longest gap in reading.
        .set("fetch.wait.max.ms", "50")
        .set("topic.metadata.refresh.interval.ms", "10000")
        // A broker that goes away is asked again soon: standing still costs more than asking.
        .set("reconnect.backoff.max.ms", "2000");
    for (key, value) in source.connection.properties() {
        client.set(key, value.expose());
    }
    // In the newer protocol the broker sets the times and deals out the partitions, and the client refuses to be told.
    if client.get("group.protocol") != Some("consumer") {
        client
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A member that dies is noticed within these six seconds, the least that brokers allow, and the others hear of it with their next
            // heartbeat; heartbeats have a thread of their own.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1500");
    }
    client
        .set("group.id", &source.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        // Damaged bytes are nobody's event.
        .set("check.crcs", "true")
        .set("allow.auto.create.topics", "false")
        // A full queue is looked at again soon: the default of a second leaves a fast reader standing still for most of it.
        .set("fetch.queue.backoff.ms", "20")
        .set("queued.max.messages.kbytes", (queue >> 10).to_string())
        .set("queued.min.messages", "10000");
    client
}

/// Fewer partitions get no larger queues: nothing would be faster.
const PARTITIONS_MIN: u64 = 8;

/// How many times its size a compressed fetch of logs may become.
const UNPACKED: u64 = 6;

/// Asks every broker for its topics: what would go wrong later in a loop is said now, once, with the setting to look at.
pub fn check_sources(world: &World, bundle: &Bundle) -> Result<(), Vec<BindError>> {
    let mut errors = Vec::new();
    for source in &bundle.plan.sources {
        let settings = &world.config.sources[&source.name];
        match check_source(settings) {
            Ok(partitions) => world.note_partitions(&source.name, partitions),
            Err(sentence) => errors.push(BindError::World(sentence)),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Returns how many partitions the source's topics have; none where they are named by a pattern.
fn check_source(source: &Source) -> Result<u64, String> {
    let (witness, client) = kafka::Witness::watch(client(source, 0, 0), &source.name);
    let consumer: BaseConsumer<kafka::Witness> = client
        .create_with_context(witness)
        .map_err(|error| format!("[source.{}]: {error}", source.name))?;
    let names: Vec<&str> = match &source.topics {
        crate::config::Topics::Names(names) => names.iter().map(String::as_str).collect(),
        crate::config::Topics::Pattern(_) => Vec::new(),
    };
    let deadline = Instant::now() + ASK;
    let metadata = loop {
        match consumer.fetch_metadata(None, Duration::from_millis(1500)) {
            Ok(metadata) => break metadata,
            Err(error) => {
                // Errors of the connection arrive as events, and only polling hears them.
                while let Some(event) = consumer.poll(Duration::ZERO) {
                    if let Err(error) = event {
                        consumer.context().hear(&error);
                    }
                }
                if let Some(sentence) = consumer.context().decisive() {
                    return Err(sentence);
                }
                if Instant::now() > deadline {
                    return Err(consumer.context().last().unwrap_or_else(|| {
                        format!(
                            "no broker answers ({error}): see `brokers` in [source.{}]",
                            source.name
                        )
                    }));
                }
            }
        }
    };
    let partitions = metadata
        .topics()
        .iter()
        .filter(|topic| names.contains(&topic.name()))
        .map(|topic| topic.partitions().len() as u64)
        .sum();
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            !metadata.topics().iter().any(|topic| topic.name() == *name && topic.error().is_none())
        })
        .collect();
    if missing.is_empty() {
        return Ok(partitions);
    }
    let list = missing.join(", ");
    Err(format!(
        "the topic {list} does not exist, or this user may not see it: see `topics` in [source.{}]",
        source.name
    ))
}
