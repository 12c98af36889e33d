//! One partition, computed by several workers: every row arrives, and a topic gets its records in the partition's order.

use super::{
    SERVERS,
    engine_process::Engine,
    project::{Project, create_topic, logs_table},
    secure::read_topic,
    wait_for,
};

const EVENTS: usize = 40_000;

const RULES: &str = r#"
source app : { id: int, ... }
sink logs : table("logs")
sink copy : { ... }

rule some when .id % 7 == 0 { drop as "some" }
rule home { route to logs, copy }
"#;

#[test]
fn a_topic_gets_one_partitions_records_in_order_whoever_computed_them() {
    let project = Project::new("order", 1, RULES);
    logs_table(&project, "logs");
    let copy = format!("{}.copy", project.topic);
    create_topic(SERVERS.kafka.brokers(), &copy, 1);
    project.configure(
        &["logs"],
        &format!(
            "[sink.copy]\nkind = \"kafka\"\nbrokers = [\"{}\"]\ntopic = \"{copy}\"\n",
            SERVERS.kafka.brokers()
        ),
    );
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    project.write("logmon.toml", &config.replace("threads = 2", "threads = 4"));

    // Some stretches are much larger than others, so that batches take different times and end out of order.
    let payloads: Vec<Vec<u8>> = (0..EVENTS)
        .map(|id| {
            let pad = "x".repeat(if id / 500 % 2 == 0 { 40 } else { 1_500 });
            format!(r#"{{"severity":"info","service":"s","id":{id},"pad":"{pad}"}}"#).into_bytes()
        })
        .collect();
    project.produce(payloads.iter().map(|payload| Some(&payload[..])));
    let mut engine = Engine::start_ready(&project, "engine");
    let kept: Vec<usize> = (0..EVENTS).filter(|id| id % 7 != 0).collect();
    let delivered = || engine.metric("logmon_events_total", &["fate=\"delivered\""]) as usize;
    wait_for("every event is delivered", 60, || delivered() == kept.len());

    let ids: Vec<usize> = read_topic(&[("bootstrap.servers", SERVERS.kafka.brokers())], &copy)
        .iter()
        .map(|payload| {
            let event: serde_json::Value = serde_json::from_slice(payload).unwrap();
            event["id"].as_u64().unwrap() as usize
        })
        .collect();
    assert_eq!(ids, kept, "every kept event once, in the partition's order");
    let rows = project.sql(
        "SELECT count(), uniqExact(kafka_offset), sum(kafka_offset) FROM {db}.logs FORMAT TSV",
    );
    let n = kept.len();
    assert_eq!(rows.trim(), format!("{n}\t{n}\t{}", kept.iter().sum::<usize>()));
    assert!(engine.terminate().success(), "{}", engine.log());
}
