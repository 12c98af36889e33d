//! Metrics: names, labels, and that handles add to the same series.

use std::time::Duration;

use logmon_engine::metrics::{Fate, Metrics, ReloadOutcome};

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "`{line}` is missing in:\n{text}");
}

#[test]
fn every_family_has_its_name_and_labels() {
    let metrics = Metrics::new();
    let source = metrics.source("app");
    source.records.inc_by(7);
    source.closed(Fate::Delivered, 4);
    source.closed(Fate::Dropped, 2);
    source.closed(Fate::DeadLettered, 1);
    source.paused(Duration::from_millis(1500));
    let sink = metrics.sink("logs");
    sink.confirmed(4, 512, Duration::from_millis(20));
    sink.refused("wait", Some(241));
    sink.absent("severity", 3);
    metrics.dead_letters("json", 1);
    metrics.bundle("aaa");
    metrics.bundle("bbb");
    metrics.reload(ReloadOutcome::Refused);
    metrics.memory_limit.set(1 << 20);
    metrics.lookup("geo").data_timestamp.set(1.5e9);
    let text = metrics.text();
    for line in [
        "logmon_source_records_total{source=\"app\"} 7",
        "logmon_events_total{fate=\"delivered\",source=\"app\"} 4",
        "logmon_events_total{fate=\"dead_lettered\",source=\"app\"} 1",
        "logmon_source_paused_seconds_total{source=\"app\"} 1.5",
        "logmon_sink_rows_total{sink=\"logs\"} 4",
        "logmon_sink_seconds_bucket{sink=\"logs\",le=\"0.025\"} 1",
        "logmon_sink_retries_total{class=\"wait\",sink=\"logs\"} 1",
        "logmon_sink_absent_total{column=\"severity\",sink=\"logs\"} 3",
        "logmon_dead_letters_total{reason=\"json\"} 1",
        "logmon_bundle_info{hash=\"bbb\"} 1",
        "logmon_reloads_total{outcome=\"refused\"} 1",
        "logmon_reloads_total{outcome=\"applied\"} 0",
        "logmon_memory_limit_bytes 1048576",
        "logmon_lookup_data_timestamp_seconds{lookup=\"geo\"} 1500000000",
    ] {
        has(&text, line);
    }
    assert!(!text.contains("hash=\"aaa\""), "only one bundle runs");
    assert_eq!(metrics.source("app").total(Fate::Delivered), 4);
    assert_eq!(metrics.dead_letter_totals().get("json"), Some(&1));
}

#[test]
fn a_partition_takes_its_gauges_with_it() {
    let metrics = Metrics::new();
    let partition = metrics.partition("app", "logs", 3);
    partition.lag_records.set(9);
    let line = "logmon_source_lag_records{partition=\"3\",source=\"app\",topic=\"logs\"} 9";
    has(&metrics.text(), line);
    drop(partition);
    assert!(!metrics.text().contains("partition=\"3\""));
}

struct One(&'static str);

impl logmon_dsl::program::Reader for One {
    fn read(&self, _path: &std::path::Path) -> Result<String, String> {
        Ok(self.0.to_owned())
    }
}

#[test]
fn a_renamed_rule_says_which_series_were_its_own() {
    let text = "source app\nsink s : { ... }\n@was(\"noise\")\nrule quiet on app when .service == \"a\" { drop }\ndefault route to s\n";
    let path = std::path::Path::new("main.rules");
    let compiled = logmon_dsl::program::compile(path, &One(text), logmon_dsl::program::Mode::Run);
    let metrics = Metrics::new();
    let _rules = metrics.rules(&std::sync::Arc::new(compiled.program.unwrap().plan));
    has(&metrics.text(), "logmon_rule_renamed{rule=\"main/quiet\",was=\"main/noise\"} 1");
}
