//! What a server refuses: one row of a block, a table that changed or is gone, and sinks beside it that go on.

use super::{
    engine_process::Engine,
    project::{Project, logs_table},
    wait_for,
};

const RULES: &str = r#"
source app : { id: int, service: string, ... }
sink logs   : table("logs")
sink strict : table("strict")

rule both { route to logs, strict }
"#;

/// The usual table, but the server refuses what nobody could know from the columns.
fn strict_table(project: &Project) {
    logs_table(project, "logs");
    logs_table(project, "strict");
    project.sql("ALTER TABLE {db}.strict ADD CONSTRAINT no_bad CHECK service != 'bad'");
}

fn events(count: usize, bad: &[usize]) -> Vec<Vec<u8>> {
    (0..count)
        .map(|id| {
            let service = if bad.contains(&id) { "bad" } else { "good" };
            format!(r#"{{"id":{id},"service":"{service}","message":"number {id}"}}"#).into_bytes()
        })
        .collect()
}

/// The usual configuration with sinks that promise that.
fn configure(project: &Project, delivery: &str) {
    project.configure(&["logs", "strict"], "");
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let sink = "kind = \"clickhouse\"\n";
    let says = format!("{sink}delivery = \"{delivery}\"\n");
    project.write("logmon.toml", &config.replace(sink, &says));
}

#[test]
fn poison_goes_to_the_dead_letter_alone() {
    poison("poison", "at-least-once");
}

#[test]
fn poison_goes_to_the_dead_letter_alone_and_once() {
    poison("poison_once", "exactly-once");
}

fn poison(name: &str, delivery: &str) {
    let project = Project::new(name, 2, RULES);
    strict_table(&project);
    configure(&project, delivery);
    let bad = [0, 7, 8, 500, 1_999];
    let payloads = events(2_000, &bad);
    project.produce(payloads.iter().map(|payload| Some(&payload[..])));
    let mut engine = Engine::start_ready(&project, "engine");
    wait_for("every event has its fate", 60, || {
        engine.metric("logmon_events_total", &[]) as usize == payloads.len()
    });
    assert_eq!(
        project.count("SELECT uniqExact(kafka_partition, kafka_offset) FROM {db}.logs"),
        2_000
    );
    assert_eq!(
        project.count("SELECT uniqExact(kafka_partition, kafka_offset) FROM {db}.strict"),
        1_995
    );
    assert_eq!(
        engine.metric("logmon_events_total", &["fate=\"dead_lettered\""]) as usize,
        bad.len()
    );
    let letters = project.sql(
        "SELECT raw, sink, site, reason, position(cause, 'VIOLATED_CONSTRAINT') > 0, kafka_key = toString(JSONExtractInt(raw, 'id')) \
         FROM {db}.logmon_dead_letters ORDER BY JSONExtractInt(raw, 'id') FORMAT TSVRaw",
    );
    let expected: String = bad
        .iter()
        .map(|&id| {
            let raw = String::from_utf8(payloads[id].clone()).unwrap();
            format!("{raw}\tstrict\tinsert\trefused\t1\t1\n")
        })
        .collect();
    assert_eq!(letters, expected);
    assert_eq!(engine.get("/readyz").0, 200, "a refused row is no trouble of the sink");
    assert!(engine.metric("logmon_sink_errors_total", &["sink=\"strict\"", "code=\"469\""]) > 0.0);
    assert!(engine.terminate().success(), "{}", engine.log());
}

#[test]
fn a_table_that_is_gone_stops_its_sink_until_it_is_back() {
    let project = Project::new("gone", 1, RULES);
    strict_table(&project);
    // Each sink goes its own way; under exactly-once the tables of a range wait for each other.
    configure(&project, "at-least-once");
    let mut engine = Engine::start_ready(&project, "engine");
    project.sql("RENAME TABLE {db}.strict TO {db}.away");
    let payloads = events(200, &[]);
    project.produce(payloads.iter().map(|payload| Some(&payload[..])));
    wait_for("the sink says that it stands still", 30, || {
        engine.metric("logmon_sink_stopped", &["sink=\"strict\""]) > 0.5
    });
    let (code, reasons) = engine.get("/readyz");
    assert!(code == 503 && reasons.contains("the table does not exist; create it"), "{reasons}");
    wait_for("the other sink goes on", 30, || {
        project.count("SELECT uniqExact(kafka_offset) FROM {db}.logs") == 200
    });
    assert_eq!(engine.metric("logmon_events_total", &[]) as usize, 0, "no fate without its rows");
    project.sql("RENAME TABLE {db}.away TO {db}.strict");
    wait_for("the sink goes on", 60, || engine.metric("logmon_events_total", &[]) as usize == 200);
    assert_eq!(project.count("SELECT count() FROM {db}.strict"), 200);
    assert_eq!(engine.get("/readyz").0, 200);
    let log = engine.log();
    let said = log.lines().filter(|line| line.contains("the table does not exist")).count();
    assert_eq!(said, 1, "one line for one trouble:\n{log}");
    assert!(log.contains("the sink works again"), "{log}");
    assert!(engine.terminate().success(), "{}", engine.log());
}
