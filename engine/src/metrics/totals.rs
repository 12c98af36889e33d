//! Metrics read back, for status pages: one place counts, everybody else asks.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use serde::Serialize;

use super::Metrics;

/// What a rule did since the process started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RuleTotals {
    /// Events that reached it.
    pub evaluated: u64,
    /// Events for which its conditions held.
    pub matched: u64,
    /// Events it dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Outputs it sent, by sink.
    pub routed: BTreeMap<String, u64>,
    /// Faults, by cause.
    pub faults: BTreeMap<String, u64>,
    /// Time spent in it, sampled.
    pub seconds: f64,
}

/// What a source read, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SourceTotals {
    /// Records read.
    pub read: u64,
    /// Payload bytes read.
    pub bytes: u64,
    /// Events by fate.
    pub fates: BTreeMap<String, u64>,
    /// Events whose fate is open.
    pub open: i64,
    /// Time without reading because memory was spent.
    pub paused_seconds: f64,
    /// Assigned partitions.
    pub partitions: Vec<PartitionTotals>,
}

/// Where a partition stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PartitionTotals {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The next offset to read.
    pub offset: i64,
    /// The offset a restarted engine would read first.
    pub committed: i64,
    /// Records not read yet.
    pub lag_records: i64,
    /// How old the newest closed event is while records wait.
    pub lag_seconds: f64,
}

/// What a sink confirmed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SinkTotals {
    /// Rows confirmed.
    pub rows: u64,
    /// Bytes confirmed.
    pub bytes: u64,
    /// Blocks confirmed.
    pub blocks: u64,
    /// Attempts repeated, by class.
    pub retries: BTreeMap<String, u64>,
    /// Absent values stored as a default, by column.
    pub absent: BTreeMap<String, u64>,
}

/// What a lookup was asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LookupTotals {
    /// Keys answered from the cache.
    pub hits: u64,
    /// Keys the cache did not hold.
    pub misses: u64,
    /// Keys that do not exist.
    pub negative: u64,
    /// Keys that failed or came too late.
    pub errors: u64,
}

/// One series of a family.
struct Series {
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// What every rule did so far, by label; also rules of earlier bundles, and the default route.
    pub fn rule_totals(&self) -> BTreeMap<String, RuleTotals> {
        let mut rules: BTreeMap<String, RuleTotals> = BTreeMap::new();
        let vector = &self.rule;
        for series in series(&vector.evaluated) {
            rules.entry(series.label("rule")).or_default().evaluated = series.count();
        }
        for series in series(&vector.matched) {
            rules.entry(series.label("rule")).or_default().matched = series.count();
        }
        for series in series(&vector.dropped) {
            let rule = rules.entry(series.label("rule")).or_default();
            *rule.dropped.entry(series.label("reason")).or_default() += series.count();
        }
        for series in series(&vector.routed) {
            let rule = rules.entry(series.label("rule")).or_default();
            *rule.routed.entry(series.label("sink")).or_default() += series.count();
        }
        for series in series(&vector.faults) {
            let rule = rules.entry(series.label("rule")).or_default();
            *rule.faults.entry(series.label("cause")).or_default() += series.count();
        }
        for series in series(&vector.seconds) {
            rules.entry(series.label("rule")).or_default().seconds = series.value;
        }
        rules
    }

    /// What a source read so far.
    pub fn source_totals(&self, name: &str) -> SourceTotals {
        let handles = self.source(name);
        let mine = |series: &Series| series.label("source") == name;
        let by_fate = series(&self.events).filter(mine);
        let fates = by_fate.map(|series| (series.label("fate"), series.count())).collect();
        let mut partitions: BTreeMap<(String, i32), PartitionTotals> = BTreeMap::new();
        let mut fill = |vector: &dyn Collector, set: fn(&mut PartitionTotals, f64)| {
            for series in series(vector).filter(mine) {
                let topic = series.label("topic");
                let partition = series.label("partition").parse().unwrap_or_default();
                let entry = partitions.entry((topic.clone(), partition)).or_insert_with(|| {
                    PartitionTotals { topic, partition, ..PartitionTotals::default() }
                });
                set(entry, series.value);
            }
        };
        fill(&self.source.offset, |entry, value| entry.offset = value as i64);
        fill(&self.source.committed, |entry, value| entry.committed = value as i64);
        fill(&self.source.lag_records, |entry, value| entry.lag_records = value as i64);
        fill(&self.source.lag_seconds, |entry, value| entry.lag_seconds = value);
        SourceTotals {
            read: handles.records.get(),
            bytes: handles.bytes.get(),
            fates,
            open: handles.open.get(),
            paused_seconds: series(&self.source.paused_seconds)
                .find(mine)
                .map_or(0.0, |series| series.value),
            partitions: partitions.into_values().collect(),
        }
    }

    /// What a sink confirmed so far.
    pub fn sink_totals(&self, name: &str) -> SinkTotals {
        let mine = |series: &Series| series.label("sink") == name;
        let one = |vector: &dyn Collector| series(vector).find(mine).map_or(0, |it| it.count());
        let by = |vector: &dyn Collector, label: &str| {
            series(vector).filter(mine).map(|it| (it.label(label), it.count())).collect()
        };
        SinkTotals {
            rows: one(&self.sink.rows),
            bytes: one(&self.sink.bytes),
            blocks: one(&self.sink.blocks),
            retries: by(&self.sink.retries, "class"),
            absent: by(&self.sink.absent, "column"),
        }
    }

    /// What a lookup was asked so far.
    pub fn lookup_totals(&self, name: &str) -> LookupTotals {
        let handles = self.lookup(name);
        LookupTotals {
            hits: handles.hits.get(),
            misses: handles.misses.get(),
            negative: handles.negative.get(),
            errors: handles.errors.get(),
        }
    }

    /// Dead letters so far, by reason.
    pub fn dead_letter_totals(&self) -> BTreeMap<String, u64> {
        series(&self.dead_letters).map(|series| (series.label("reason"), series.count())).collect()
    }
}

impl Series {
    fn label(&self, name: &str) -> String {
        self.labels.get(name).cloned().unwrap_or_default()
    }

    fn count(&self) -> u64 {
        self.value as u64
    }
}

/// The series of a counter or gauge.
fn series(vector: &dyn Collector) -> impl Iterator<Item = Series> {
    let mut found = Vec::new();
    for family in vector.collect() {
        for metric in family.get_metric() {
            let labels = metric.get_label().iter();
            let labels =
                labels.map(|pair| (pair.name().to_owned(), pair.value().to_owned())).collect();
            let gauge = metric.get_gauge().get_value();
            let counter = metric.get_counter().get_value();
            // A metric is one or the other, and reads as zero where it is not.
            found.push(Series { labels, value: gauge + counter });
        }
    }
    found.into_iter()
}
