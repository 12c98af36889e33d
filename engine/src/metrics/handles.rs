//! Counters of one source, partition, sink or lookup, held by whoever works on it.

use std::{sync::Arc, time::Duration};

use prometheus::{Counter, Gauge, Histogram, IntCounter, IntGauge};

use super::{Capped, Fate, Metrics, forget};

/// Counters of a source.
#[derive(Debug, Clone)]
pub struct SourceMetrics {
    /// Records read.
    pub records: IntCounter,
    /// Payload bytes read.
    pub bytes: IntCounter,
    /// Offsets left out because their records arrived damaged.
    pub damaged: IntCounter,
    /// Events whose fate is open.
    pub open: IntGauge,
    fates: [IntCounter; 4],
    paused: Counter,
}

/// Gauges of an assigned partition; they vanish with it.
#[derive(Debug)]
pub struct PartitionMetrics {
    /// The next offset to read.
    pub offset: IntGauge,
    /// The offset a restarted engine would read first.
    pub committed: IntGauge,
    /// Records not read yet.
    pub lag_records: IntGauge,
    /// How old the newest closed event is while records wait.
    pub lag_seconds: Gauge,
    metrics: Arc<Metrics>,
    labels: [String; 3],
}

/// Counters of a sink.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// Rows confirmed.
    pub rows: IntCounter,
    /// Bytes confirmed.
    pub bytes: IntCounter,
    /// Blocks confirmed.
    pub blocks: IntCounter,
    /// Time of one insert.
    pub seconds: Histogram,
    metrics: Arc<Metrics>,
    name: Arc<str>,
    classes: Arc<Capped>,
    codes: Arc<Capped>,
    stopped: IntGauge,
    size: Gauge,
    stretch: Gauge,
}

/// Counters of a lookup.
#[derive(Debug, Clone)]
pub struct LookupMetrics {
    /// Keys answered from the cache.
    pub hits: IntCounter,
    /// Keys the cache did not hold.
    pub misses: IntCounter,
    /// Keys that do not exist.
    pub negative: IntCounter,
    /// Keys that failed or came too late.
    pub errors: IntCounter,
    /// Keys answered with an old answer while a new one was fetched.
    pub stale: IntCounter,
    /// Keys that were not asked for because of the rate.
    pub refused: IntCounter,
    /// Answers that had to go for want of room.
    pub evicted: IntCounter,
    /// Time of fetching the keys of a batch.
    pub seconds: Histogram,
    /// Answers held.
    pub entries: IntGauge,
    /// Memory of the cache.
    pub bytes: IntGauge,
    /// Keys that are being fetched.
    pub flights: IntGauge,
    /// 1 while the back end is left alone.
    pub paused: IntGauge,
    /// Answers that came late or unasked.
    pub late: IntCounter,
    /// How often the data were replaced.
    pub data_version: IntGauge,
    /// When the data was made, seconds since 1970.
    pub data_timestamp: Gauge,
}

impl Metrics {
    /// Handles of a source.
    pub fn source(&self, name: &str) -> SourceMetrics {
        let vector = &self.source;
        SourceMetrics {
            records: vector.records.with_label_values(&[name]),
            bytes: vector.bytes.with_label_values(&[name]),
            damaged: vector.damaged.with_label_values(&[name]),
            open: self.events_open.with_label_values(&[name]),
            fates: Fate::ALL.map(|fate| self.events.with_label_values(&[name, fate.name()])),
            paused: vector.paused_seconds.with_label_values(&[name]),
        }
    }

    /// Handles of a partition that was assigned.
    pub fn partition(
        self: &Arc<Self>,
        source: &str,
        topic: &str,
        partition: i32,
    ) -> PartitionMetrics {
        let labels = [source.to_owned(), topic.to_owned(), partition.to_string()];
        let values = [source, topic, labels[2].as_str()];
        PartitionMetrics {
            offset: self.source.offset.with_label_values(&values),
            committed: self.source.committed.with_label_values(&values),
            lag_records: self.source.lag_records.with_label_values(&values),
            lag_seconds: self.source.lag_seconds.with_label_values(&values),
            metrics: Arc::clone(self),
            labels,
        }
    }

    /// Handles of a sink.
    pub fn sink(self: &Arc<Self>, name: &str) -> SinkMetrics {
        let vector = &self.sink;
        SinkMetrics {
            rows: vector.rows.with_label_values(&[name]),
            bytes: vector.bytes.with_label_values(&[name]),
            blocks: vector.blocks.with_label_values(&[name]),
            seconds: vector.seconds.with_label_values(&[name]),
            metrics: Arc::clone(self),
            name: name.into(),
            classes: Arc::default(),
            codes: Arc::default(),
            stopped: vector.stopped.with_label_values(&[name]),
            size: vector.size.with_label_values(&[name]),
            stretch: vector.stretch.with_label_values(&[name]),
        }
    }

    /// Handles of a lookup.
    pub fn lookup(&self, name: &str) -> LookupMetrics {
        let vector = &self.lookup;
        LookupMetrics {
            hits: vector.hits.with_label_values(&[name]),
            misses: vector.misses.with_label_values(&[name]),
            negative: vector.negative.with_label_values(&[name]),
            errors: vector.errors.with_label_values(&[name]),
            stale: vector.stale.with_label_values(&[name]),
            refused: vector.refused.with_label_values(&[name]),
            evicted: vector.evicted.with_label_values(&[name]),
            bytes: vector.bytes.with_label_values(&[name]),
            flights: vector.flights.with_label_values(&[name]),
            paused: vector.paused.with_label_values(&[name]),
            seconds: vector.seconds.with_label_values(&[name]),
            entries: vector.entries.with_label_values(&[name]),
            late: vector.late.with_label_values(&[name]),
            data_version: vector.data_version.with_label_values(&[name]),
            data_timestamp: vector.data_timestamp.with_label_values(&[name]),
        }
    }
}

impl SourceMetrics {
    /// Counts events whose fate closed.
    pub fn closed(&self, fate: Fate, events: u64) {
        self.fate(fate).inc_by(events);
    }

    /// How many events have that fate.
    pub fn total(&self, fate: Fate) -> u64 {
        self.fate(fate).get()
    }

    /// Adds time in which nothing was read because memory was spent.
    pub fn paused(&self, time: Duration) {
        self.paused.inc_by(time.as_secs_f64());
    }

    fn fate(&self, fate: Fate) -> &IntCounter {
        let [delivered, dropped, dead_lettered, given_back] = &self.fates;
        match fate {
            Fate::Delivered => delivered,
            Fate::Dropped => dropped,
            Fate::DeadLettered => dead_lettered,
            Fate::GivenBack => given_back,
        }
    }
}

impl SinkMetrics {
    /// Counts a block that the sink confirmed.
    pub fn confirmed(&self, rows: u64, bytes: u64, time: Duration) {
        self.rows.inc_by(rows);
        self.bytes.inc_by(bytes);
        self.blocks.inc();
        self.seconds.observe(time.as_secs_f64());
    }

    /// Counts an attempt that failed, by what it asks of us and by the server's number for it.
    pub fn refused(&self, class: &str, code: Option<u32>) {
        let class = self.classes.cap(class);
        self.metrics.sink.retries.with_label_values(&[&*self.name, class]).inc();
        if let Some(code) = code {
            let code = code.to_string();
            let code = self.codes.cap(&code);
            self.metrics.sink.errors.with_label_values(&[&*self.name, code]).inc();
        }
    }

    /// Says whether the sink stands still until a person does something.
    pub fn stopped(&self, is_stopped: bool) {
        self.stopped.set(i64::from(is_stopped));
    }

    /// Says how large blocks are and how long they grow, against what is configured.
    pub fn pace(&self, size: f64, stretch: f64) {
        self.size.set(size);
        self.stretch.set(stretch);
    }

    /// Counts events whose time was not believed.
    pub fn retimed(&self, rows: u64) {
        self.metrics.sink.retimed.with_label_values(&[&*self.name]).inc_by(rows);
    }

    /// Counts absent values that became the column's default.
    pub fn absent(&self, column: &str, rows: u64) {
        self.metrics.sink.absent.with_label_values(&[&*self.name, column]).inc_by(rows);
    }
}

impl Drop for PartitionMetrics {
    fn drop(&mut self) {
        let labels = self.labels.each_ref().map(String::as_str);
        forget(&self.metrics.source.offset, &labels);
        forget(&self.metrics.source.committed, &labels);
        forget(&self.metrics.source.lag_records, &labels);
        forget(&self.metrics.source.lag_seconds, &labels);
    }
}
