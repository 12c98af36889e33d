//! The books of all lanes, copied into metrics a few times a second: nobody counts per event.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{Pipeline, bundle::World, lanes::Lanes};
use crate::{
    delivery::{Fates, Position},
    metrics::{Fate, PartitionMetrics},
};

/// How often the books are copied.
pub const EVERY: Duration = Duration::from_millis(200);

/// Copies books into metrics.
#[derive(Debug)]
pub struct Observer {
    world: Arc<World>,
    sources: Vec<Mutex<Observed>>,
}

#[derive(Debug)]
struct Observed {
    lanes: Arc<Lanes>,
    closed: Fates,
    given_back: u64,
    paused: Duration,
    partitions: HashMap<Position, Seen>,
}

/// A partition's gauges, and when its committed offset last moved.
#[derive(Debug)]
struct Seen {
    metrics: PartitionMetrics,
    committed: Option<i64>,
    moved: Instant,
}

impl Observer {
    /// Observes a pipeline.
    pub fn new(pipeline: &Pipeline) -> Self {
        let sources = pipeline
            .lanes
            .iter()
            .map(|lanes| {
                Mutex::new(Observed {
                    lanes: Arc::clone(lanes),
                    closed: Fates::default(),
                    given_back: 0,
                    paused: Duration::ZERO,
                    partitions: HashMap::new(),
                })
            })
            .collect();
        Self { world: Arc::clone(&pipeline.world), sources }
    }

    /// Copies what changed since the last look.
    pub fn look(&self) {
        let budget = &self.world.budget;
        self.world.metrics.memory_used.set(budget.used() as i64);
        self.world.metrics.memory_limit.set(budget.limit() as i64);
        for source in &self.sources {
            source.lock().expect("no thread panics while it copies books").look(&self.world);
        }
    }
}

impl Observed {
    fn look(&mut self, world: &World) {
        let metrics = self.lanes.metrics();
        let (closed, given_back, open, offsets) = {
            let ledger = self.lanes.ledger();
            (ledger.closed(), ledger.given_back(), ledger.open_events(), ledger.offsets())
        };
        metrics.closed(Fate::Delivered, closed.delivered - self.closed.delivered);
        metrics.closed(Fate::Dropped, closed.dropped - self.closed.dropped);
        metrics.closed(Fate::DeadLettered, closed.dead_lettered - self.closed.dead_lettered);
        metrics.closed(Fate::GivenBack, given_back - self.given_back);
        self.given_back = given_back;
        metrics.open.set(open as i64);
        self.closed = closed;
        let paused = self.lanes.paused();
        metrics.paused(paused.saturating_sub(self.paused));
        self.paused = paused;

        self.partitions.retain(|position, _| offsets.iter().any(|(known, ..)| known == position));
        let marks: HashMap<Position, _> = self.lanes.watermarks().into_iter().collect();
        for (position, committed, read) in offsets {
            let seen = self.partitions.entry(position.clone()).or_insert_with(|| Seen {
                metrics: world.metrics.partition(
                    self.lanes.name(),
                    &position.topic,
                    position.partition,
                ),
                committed: None,
                moved: Instant::now(),
            });
            if committed != seen.committed {
                seen.committed = committed;
                seen.moved = Instant::now();
            }
            let Some(marks) = marks.get(&position) else { continue };
            let next = committed.unwrap_or(marks.low);
            let lag = (marks.high - next).max(0);
            seen.metrics.committed.set(next);
            seen.metrics.offset.set(read.unwrap_or(next));
            seen.metrics.lag_records.set(lag);
            // While records wait, the lag in time grows from the last moment at which something was done.
            let seconds = if lag == 0 { 0.0 } else { seen.moved.elapsed().as_secs_f64() };
            seen.metrics.lag_seconds.set(seconds);
        }
    }
}
