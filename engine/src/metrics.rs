//! What the engine counts, under which names, and how it is counted cheaply.
//!
//! Invariant: nobody looks a counter up per event. Handles are taken once per bundle or connection and added
//! to once per batch; every label's number of values is bounded.

mod counted;
mod handles;
mod labels;
mod rules;
mod totals;

use std::{fmt, sync::Arc, time::Duration};

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
    core::{Collector, Metric, MetricVec, MetricVecBuilder},
};

pub use counted::CountedHandles;
use counted::CountedMetrics;
pub use handles::{LookupMetrics, PartitionMetrics, SinkMetrics, SourceMetrics};
pub use labels::Capped;
pub use rules::{DEFAULT_ROUTE, RuleMetrics};
pub use totals::{LookupTotals, PartitionTotals, RuleTotals, SinkTotals, SourceTotals};

/// From a cached key to a lookup that timed out.
const LOOKUP_BUCKETS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];
/// From a lane that goes over between two batches to one that people notice.
const RELOAD_BUCKETS: [f64; 8] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
/// From a block on a server of this machine to one that ran into its timeout.
const SINK_BUCKETS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// At least one output reached its sink.
    Delivered,
    /// A rule, a sample, or the absence of any route ended it.
    Dropped,
    /// It lies with its reason among the dead letters.
    DeadLettered,
    /// Its partition was taken away before its fate was settled: the next owner reads it again.
    GivenBack,
}

/// How an attempt to replace the rules ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReloadOutcome {
    /// The new bundle runs.
    Applied,
    /// Nothing that matters had changed.
    Unchanged,
    /// The old bundle goes on; the diagnostics say why.
    Refused,
}

/// Every metric of a process, in a registry of its own.
pub struct Metrics {
    registry: Registry,
    rule: Rules,
    source: Sources,
    sink: Sinks,
    lookup: Lookups,
    events: IntCounterVec,
    events_open: IntGaugeVec,
    dead_letters: IntCounterVec,
    dead_letter_reasons: Capped,
    counted: CountedMetrics,
    bundle_info: IntGaugeVec,
    reloads: IntCounterVec,
    reload_pause: HistogramVec,
    resolves: IntCounterVec,
    /// Ranges that reached their tables.
    pub ranges: IntCounter,
    /// Ranges that an earlier owner named and this process took over.
    pub recoveries: IntCounter,
    /// Commits that the group refused, because somebody else has the partition or it is being shared anew.
    pub fenced: IntCounter,
    /// Bytes of the budget in use.
    pub memory_used: IntGauge,
    /// The budget.
    pub memory_limit: IntGauge,
}

struct Rules {
    evaluated: IntCounterVec,
    matched: IntCounterVec,
    dropped: IntCounterVec,
    routed: IntCounterVec,
    faults: IntCounterVec,
    seconds: CounterVec,
    shadow: IntCounterVec,
    renamed: IntGaugeVec,
    window_events: IntCounterVec,
    window_rows: IntCounterVec,
}

struct Sources {
    records: IntCounterVec,
    bytes: IntCounterVec,
    damaged: IntCounterVec,
    offset: IntGaugeVec,
    committed: IntGaugeVec,
    lag_records: IntGaugeVec,
    lag_seconds: GaugeVec,
    paused_seconds: CounterVec,
}

struct Sinks {
    rows: IntCounterVec,
    bytes: IntCounterVec,
    blocks: IntCounterVec,
    seconds: HistogramVec,
    retries: IntCounterVec,
    errors: IntCounterVec,
    stopped: IntGaugeVec,
    size: GaugeVec,
    stretch: GaugeVec,
    absent: IntCounterVec,
    retimed: IntCounterVec,
}

struct Lookups {
    hits: IntCounterVec,
    misses: IntCounterVec,
    negative: IntCounterVec,
    errors: IntCounterVec,
    stale: IntCounterVec,
    refused: IntCounterVec,
    evicted: IntCounterVec,
    seconds: HistogramVec,
    entries: IntGaugeVec,
    bytes: IntGaugeVec,
    flights: IntGaugeVec,
    paused: IntGaugeVec,
    late: IntCounterVec,
    data_version: IntGaugeVec,
    data_timestamp: GaugeVec,
}

/// What may come of looking for a unit that may have been stored: it is there, it is not, what is there makes no sense; it was inserted behind a
/// count, under another attempt's number, row by row.
const RESOLVES: [&str; 6] = ["present", "absent", "odd", "inserted", "attempted", "repaired"];

/// Names a vector of metrics and enters it in the registry.
struct Naming<'a>(&'a Registry);

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        let naming = Naming(&registry);
        let rule = Rules {
            evaluated: naming.counts(
                "rule_evaluated_total",
                "Events that reached the rule.",
                &["rule"],
            ),
            matched: naming.counts(
                "rule_matched_total",
                "Events for which the rule's conditions held.",
                &["rule"],
            ),
            dropped: naming.counts(
                "rule_dropped_total",
                "Events that the rule dropped.",
                &["rule", "reason"],
            ),
            routed: naming.counts(
                "rule_routed_total",
                "Outputs that the rule sent to a sink.",
                &["rule", "sink"],
            ),
            faults: naming.counts(
                "rule_faults_total",
                "Values that were absent through a fault.",
                &["rule", "site", "cause"],
            ),
            seconds: naming.seconds(
                "rule_seconds_total",
                "Time spent in the rule, sampled.",
                &["rule"],
            ),
            shadow: naming.counts(
                "rule_shadow_total",
                "Events that a rule with @shadow would have dropped or routed.",
                &["rule", "act"],
            ),
            renamed: naming.gauges(
                "rule_renamed",
                "The name that a rule with @was had before, always 1.",
                &["rule", "was"],
            ),
            window_events: naming.counts(
                "window_events_total",
                "Events that a window counted, that came too late, or that had one key too many.",
                &["window", "outcome"],
            ),
            window_rows: naming.counts(
                "window_rows_total",
                "Rows that closed windows gave.",
                &["window"],
            ),
        };
        let partition = ["source", "topic", "partition"];
        let source = Sources {
            records: naming.counts("source_records_total", "Records read.", &["source"]),
            bytes: naming.counts("source_bytes_total", "Payload bytes read.", &["source"]),
            damaged: naming.counts(
                "source_damaged_total",
                "Offsets left out because their records arrived damaged.",
                &["source"],
            ),
            offset: naming.gauges("source_offset", "The next offset to read.", &partition),
            committed: naming.gauges(
                "source_committed_offset",
                "The offset a restarted engine would read first.",
                &partition,
            ),
            lag_records: naming.gauges("source_lag_records", "Records not read yet.", &partition),
            lag_seconds: naming.register(GaugeVec::new(
                opts(
                    "source_lag_seconds",
                    "Age of the newest event with a closed fate while records wait.",
                ),
                &partition,
            )),
            paused_seconds: naming.seconds(
                "source_paused_seconds_total",
                "Time without reading because the memory budget was spent.",
                &["source"],
            ),
        };
        let sink = Sinks {
            rows: naming.counts("sink_rows_total", "Rows the sink confirmed.", &["sink"]),
            bytes: naming.counts(
                "sink_bytes_total",
                "Bytes sent, as compressed, and confirmed.",
                &["sink"],
            ),
            blocks: naming.counts(
                "sink_blocks_total",
                "Blocks the sink confirmed; each makes a part.",
                &["sink"],
            ),
            seconds: naming.histogram(
                "sink_seconds",
                "Time of one insert or send.",
                &SINK_BUCKETS,
                &["sink"],
            ),
            retries: naming.counts(
                "sink_retries_total",
                "Attempts that failed and were repeated.",
                &["sink", "class"],
            ),
            errors: naming.counts(
                "sink_errors_total",
                "Errors of the sink's server, by its number for them.",
                &["sink", "code"],
            ),
            stopped: naming.gauges(
                "sink_stopped",
                "1 while the sink stands still until a person does something.",
                &["sink"],
            ),
            size: naming.register(GaugeVec::new(
                opts("sink_block_size_ratio", "Size of blocks against the configured one: less while the server lacks memory."),
                &["sink"],
            )),
            stretch: naming.register(GaugeVec::new(
                opts("sink_block_age_ratio", "Age of blocks against the configured one: more while the server has too many parts."),
                &["sink"],
            )),
            absent: naming.counts(
                "sink_absent_total",
                "Absent values stored as the column's default.",
                &["sink", "column"],
            ),
            retimed: naming.counts(
                "sink_retimed_total",
                "Events whose time lay outside of accept_time, stored with the record's own time.",
                &["sink"],
            ),
        };
        let lookup = Lookups {
            hits: naming.counts("lookup_hits_total", "Keys answered from the cache.", &["lookup"]),
            misses: naming.counts(
                "lookup_misses_total",
                "Keys the cache did not hold.",
                &["lookup"],
            ),
            negative: naming.counts(
                "lookup_negative_total",
                "Keys that do not exist.",
                &["lookup"],
            ),
            errors: naming.counts(
                "lookup_errors_total",
                "Keys that failed or came too late.",
                &["lookup"],
            ),
            stale: naming.counts(
                "lookup_stale_total",
                "Keys answered with an old answer while a new one was fetched.",
                &["lookup"],
            ),
            refused: naming.counts(
                "lookup_refused_total",
                "Keys that were not asked for because of `cache.rate`.",
                &["lookup"],
            ),
            evicted: naming.counts(
                "lookup_evicted_total",
                "Answers that had to go, or were not taken in, for want of room.",
                &["lookup"],
            ),
            seconds: naming.histogram(
                "lookup_seconds",
                "Time of fetching the keys of a batch.",
                &LOOKUP_BUCKETS,
                &["lookup"],
            ),
            entries: naming.gauges(
                "lookup_entries",
                "Answers in the cache, or rows of the table.",
                &["lookup"],
            ),
            bytes: naming.gauges("lookup_bytes", "Memory of the cache.", &["lookup"]),
            flights: naming.gauges("lookup_flights", "Keys that are being fetched.", &["lookup"]),
            paused: naming.gauges(
                "lookup_paused",
                "1 while the back end is left alone because it did not answer.",
                &["lookup"],
            ),
            late: naming.counts(
                "lookup_late_total",
                "Answers that came after their batch had gone on, or unasked, and are for the next one.",
                &["lookup"],
            ),
            data_version: naming.gauges(
                "lookup_data_version",
                "How often the data were replaced since the start.",
                &["lookup"],
            ),
            data_timestamp: naming.register(GaugeVec::new(
                opts(
                    "lookup_data_timestamp_seconds",
                    "When the database or file was made, seconds since 1970.",
                ),
                &["lookup"],
            )),
        };
        let events =
            naming.counts("events_total", "Events with a closed fate.", &["source", "fate"]);
        let events_open =
            naming.gauges("events_open", "Events read whose fate is open.", &["source"]);
        let dead_letters = naming.counts("dead_letters_total", "Dead letters.", &["reason"]);
        let bundle_info = naming.gauges("bundle_info", "The rules bundle that runs.", &["hash"]);
        let reload_pause = naming.histogram(
            "reload_pause_seconds",
            "How long a worker stood still, between two batches, to go over to new rules.",
            &RELOAD_BUCKETS,
            &[],
        );
        let reloads =
            naming.counts("reloads_total", "Attempts to replace the rules.", &["outcome"]);
        for outcome in ReloadOutcome::ALL {
            reloads.with_label_values(&[outcome.name()]);
        }
        let resolves = naming.counts(
            "resolves_total",
            "Counts of a unit that may have been stored, or inserts behind them, by what came out.",
            &["outcome"],
        );
        for outcome in RESOLVES {
            resolves.with_label_values(&[outcome]);
        }
        let one = |name: &str, help: &str| naming.register(IntCounter::with_opts(opts(name, help)));
        let ranges = one("ranges_total", "Ranges stored exactly once.");
        let recoveries =
            one("recoveries_total", "Ranges taken over from an earlier owner of their partition.");
        let fenced = one("fenced_total", "Commits refused by the group.");
        let memory_used = naming.register(IntGauge::with_opts(opts(
            "memory_used_bytes",
            "Bytes of the memory budget in use.",
        )));
        let memory_limit =
            naming.register(IntGauge::with_opts(opts("memory_limit_bytes", "The memory budget.")));
        Arc::new(Self {
            registry,
            rule,
            source,
            sink,
            lookup,
            events,
            events_open,
            dead_letters,
            dead_letter_reasons: Capped::default(),
            counted: CountedMetrics::default(),
            bundle_info,
            reloads,
            reload_pause,
            resolves,
            ranges,
            recoveries,
            fenced,
            memory_used,
            memory_limit,
        })
    }

    /// The text format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&[self.registry.gather(), self.counted.gather()].concat(), &mut text)
            .expect("every family that is registered has a name and a kind");
        text
    }

    /// Counts dead letters by reason.
    pub fn dead_letters(&self, reason: &str, events: u64) {
        let reason = self.dead_letter_reasons.cap(reason);
        self.dead_letters.with_label_values(&[reason]).inc_by(events);
    }

    /// Says which bundle runs.
    pub fn bundle(&self, hash: &str) {
        self.bundle_info.reset();
        self.bundle_info.with_label_values(&[hash]).set(1);
    }

    /// Notes how long a worker stood still to go over to new rules.
    pub fn reload_pause(&self, time: Duration) {
        self.reload_pause.with_label_values::<&str>(&[]).observe(time.as_secs_f64());
    }

    /// Counts what came of looking for a unit that may have been stored.
    pub fn resolved(&self, outcome: &'static str) {
        self.resolves.with_label_values(&[outcome]).inc();
    }

    /// Counts an attempt to replace the rules.
    pub fn reload(&self, outcome: ReloadOutcome) {
        self.reloads.with_label_values(&[outcome.name()]).inc();
    }
}

impl Fate {
    /// Every fate.
    pub const ALL: [Self; 4] =
        [Self::Delivered, Self::Dropped, Self::DeadLettered, Self::GivenBack];

    /// As metrics, `eval` and summaries write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::DeadLettered => "dead_lettered",
            Self::GivenBack => "given_back",
        }
    }
}

impl ReloadOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Refused];

    /// As metrics and the API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

impl Naming<'_> {
    fn register<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("names and labels are constants of this file and well-formed");
        self.0
            .register(Box::new(collector.clone()))
            .expect("each name is registered once, in a fresh registry");
        collector
    }

    fn counts(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(opts(name, help), labels))
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.register(CounterVec::new(opts(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(opts(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
        let opts = HistogramOpts::new(format!("logmon_{name}"), help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("logmon_{name}"), help)
}

/// Forgets a series; one that never was is fine.
fn forget<T: MetricVecBuilder>(vector: &MetricVec<T>, labels: &[&str])
where
    T::M: Metric,
{
    let _absent = vector.remove_label_values(labels);
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
