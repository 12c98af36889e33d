//! Events of more than a year at once: hundreds of ClickHouse partitions, and still one part an insert.

use super::{oracle::clean, seed::Dice, stage::Stage};
use crate::e2e::SERVERS;

/// Days that the events are spread over.
const DAYS: u64 = 390;

fn event(id: u64) -> Vec<u8> {
    // Back from a day of a fixed date: neither the clock nor a time zone matters.
    let day = jiff::civil::date(2026, 11, 20) - jiff::Span::new().days((id % DAYS) as i64);
    format!("{{\"timestamp\":\"{day}T10:00:00Z\",\"severity\":\"info\",\"id\":{id}}}").into_bytes()
}

#[test]
fn f14_events_of_hundreds_of_days_make_one_part_an_insert() {
    let _dice = Dice::of("f14");
    let stage = Stage::new("f14", SERVERS.kafka.brokers(), &SERVERS.clickhouse, 2);
    let setup = stage.plain();
    stage.configure(&setup);
    let mut feed = stage.feed();
    feed.event = |id| Some(event(id));
    let total = 60_000;
    feed.send(total);
    feed.flush();
    let mut engine = stage.engine("engine");
    crate::e2e::wait_for("everything arrives", 120, || {
        stage.ask("SELECT uniqExact(kafka_partition, kafka_offset) FROM {db}.logs") == Some(total)
    });
    let blocks = engine.metric("logmon_sink_blocks_total", &["sink=\"logs\""]) as u64;
    let retries = engine.metric("logmon_sink_retries_total", &["sink=\"logs\""]) as u64;
    clean(&engine, setup.memory);
    assert!(engine.terminate().success(), "{}", engine.log());
    // Parts that merges replaced stay in the list for minutes.
    let made = stage
        .ask("SELECT count() FROM system.parts WHERE database = '{db}' AND table = 'logs' AND level = 0")
        .unwrap();
    let days = stage
        .ask("SELECT uniqExact(partition) FROM system.parts WHERE database = '{db}' AND table = 'logs'")
        .unwrap();
    eprintln!(
        "f14: {days} partitions, {blocks} inserts, {made} parts as inserted, {retries} repeated tries"
    );
    assert_eq!(days, DAYS);
    assert_eq!(made, blocks, "each insert makes one part");
    assert_eq!(retries, 0, "nothing was refused");
    assert_eq!(stage.ask("SELECT count() FROM {db}.logs"), Some(total));
}
