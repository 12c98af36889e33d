//! Rules that remember, on real servers: limits, windows, several events of one, and what a restart rebuilds.

use super::{
    engine_process::Engine,
    project::{Project, logs_table},
    wait_for,
};

const RULES: &str = r#"
source app
sink logs : table("logs")
sink per_minute : table("per_minute")
sink dlq : table("dead_letters")

rule fair on app when .kind == "limited" { limit 100/d by .service }
rule once on app when .kind == "dup" { dedup by .key within 1h }
rule items on app when .items is present { emit each .items as .item  del .items }
rule seen on app { count seen by .kind }
window per_kind on app { over 1m by .kind let n = count() route to per_minute }
default route to logs
"#;

#[test]
fn what_rules_remember_holds_over_a_restart() {
    let project = Project::new("remembers", 1, RULES);
    logs_table(&project, "logs");
    project.sql(
        "CREATE TABLE {db}.per_minute (kind String, n UInt64, window_start DateTime64(3), \
         kafka_topic LowCardinality(String), kafka_partition UInt32, kafka_offset UInt64, \
         emit_ix UInt16, attempt UInt32) ENGINE = MergeTree ORDER BY (kafka_offset, emit_ix)",
    );
    project.configure(&["logs", "per_minute", "dlq"], "[dead_letter]\nsink = \"dlq\"\n");
    let event = |kind: &str, minute: u32, more: &str| {
        format!(
            r#"{{"kind":"{kind}","service":"web","timestamp":"2026-05-01T10:{minute:02}:00Z"{more}}}"#
        )
        .into_bytes()
    };
    let produce = |events: Vec<Vec<u8>>| project.produce(events.iter().map(|it| Some(&it[..])));
    let logs = |project: &Project| project.count("SELECT count() FROM {db}.logs");

    let mut first = Engine::start_ready(&project, "first");
    let mut events: Vec<Vec<u8>> = Vec::new();
    events.extend((0..250).map(|_| event("limited", 0, "")));
    events.extend((0..10).map(|_| event("dup", 0, r#","key":"a""#)));
    events.extend((0..3).map(|_| event("list", 0, r#","items":[1,2,3]"#)));
    events.push(event("tick", 2, ""));
    produce(events);
    wait_for("the events that pass", 60, || logs(&project) == 100 + 1 + 9 + 1);
    wait_for("the rows of the window", 30, || {
        project.count("SELECT count() FROM {db}.per_minute") == 3
    });
    assert_eq!(
        project.sql("SELECT kind, n FROM {db}.per_minute ORDER BY kind FORMAT TSV"),
        "dup\t1\nlimited\t100\nlist\t9\n"
    );
    let twice = "SELECT count() - uniqExact(kafka_offset, emit_ix) FROM {db}.logs";
    assert_eq!(project.count(twice), 0, "every output has a name of its own");
    let seen =
        |kind: &str| first.metric("logmon_count_seen_total", &[&format!("kind=\"{kind}\"")]) as u64;
    assert_eq!((seen("limited"), seen("dup"), seen("list")), (100, 1, 9));
    assert!(first.terminate().success(), "{}", first.log());

    let mut second = Engine::start_ready(&project, "second");
    produce(vec![
        event("limited", 2, ""),
        event("dup", 2, r#","key":"a""#),
        event("limited", 2, ""),
        event("tick", 4, ""),
    ]);
    wait_for("the last event", 60, || {
        project.count("SELECT count() FROM {db}.logs WHERE timestamp = '2026-05-01 10:04:00'") == 1
    });
    assert_eq!(logs(&project), 100 + 1 + 9 + 2, "{}", second.log());
    wait_for("the window that was open over the restart", 30, || {
        project.sql("SELECT n FROM {db}.per_minute WHERE kind = 'tick' FORMAT TSV") == "1\n"
    });
    let log = second.log();
    let rebuilt = log.lines().find(|line| line.contains("read again what rules remember"));
    println!("{}", rebuilt.unwrap_or_else(|| panic!("nothing was read again\n{log}")));
    assert!(second.terminate().success(), "{}", second.log());
    assert_eq!(project.count(twice), 0, "what was read again gave nothing again");
}
