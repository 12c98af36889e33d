//! What the shipped table is searched by has an index, and the server uses it.

use logmon_engine::sink::clickhouse::ddl;

use super::{Case, sql};

const EVENTS: usize = 40_000;

/// Granules that an index leaves, and those there were.
fn granules(condition: &str, index: &str) -> (usize, usize) {
    let plan = sql(&format!(
        "EXPLAIN indexes = 1 SELECT count() FROM searched WHERE {condition} FORMAT TSVRaw"
    ));
    let (_, behind) = plan
        .split_once(&format!("Name: {index}"))
        .unwrap_or_else(|| panic!("{condition} does not use {index}:\n{plan}"));
    let line = behind.lines().find_map(|line| line.trim().strip_prefix("Granules: ")).unwrap();
    let (left, all) = line.split_once('/').unwrap();
    (left.parse().unwrap(), all.parse().unwrap())
}

#[test]
fn searches_use_the_shipped_indexes() {
    sql(&ddl::logs("default", "searched"));
    let mut case = Case::new(&[]);
    case.events = (0..EVENTS)
        .map(|i| {
            format!(
                r#"{{"timestamp":"2026-11-21T11:{:02}:00Z","message":"Order number {i} was paid","trace_id":"{:032x}","attributes":{{"request_id":"r-{i}","plan":"free"}},"resource":{{"pod":"p-{i}"}}}}"#,
                i * 60 / EVENTS,
                i * 7919,
            )
        })
        .collect();
    assert_eq!(case.insert("searched").rows, EVENTS);
    let trace = format!("trace_id = '{:032x}'", 31_337 * 7919);
    for (index, condition) in [
        ("ix_message", "hasAllTokens(message, 'number 31337')"),
        ("ix_attrs", "attributes['request_id'] = 'r-31337'"),
        ("ix_res", "resource['pod'] = 'p-31337'"),
        ("ix_trace", &trace),
        ("ix_off", "kafka_offset = 31337"),
    ] {
        let found = sql(&format!("SELECT kafka_offset FROM searched WHERE {condition} FORMAT TSV"));
        assert_eq!(found, "31337\n", "{condition}");
        let (left, all) = granules(condition, index);
        assert!(left < all, "{condition}: {left} of {all} granules are read");
    }
}
