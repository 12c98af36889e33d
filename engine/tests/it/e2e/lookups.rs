//! Lookups in a running engine: a shape that does not fit, and answers that change under exactly-once.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    engine_process::Engine,
    lifecycle::DEAD_LETTER,
    project::{Project, logs_table},
    wait_for,
};

/// What a user's tier is decides the table, too.
const RULES: &str = r#"
source app
sink logs   : table("logs")
sink errors : table("errors")
sink dlq    : table("dead_letters")

lookup users(string) -> { tier: string }?

rule asked { .tier = users(string(.id)).tier }
rule odd when .tier == "odd" { route to errors }
rule home when .tier != "odd" or .tier is missing { route to logs }
default route to logs
"#;

fn project(name: &str, users: &str) -> Project {
    let project = Project::new(name, 2, RULES);
    logs_table(&project, "logs");
    logs_table(&project, "errors");
    project.configure(&["logs", "errors", "dlq"], &format!("{DEAD_LETTER}\n{users}"));
    project
}

#[test]
fn run_draws_what_a_lookup_lacks_and_does_not_start() {
    let project =
        project("shape", "[lookup.users]\nkind = \"file\"\npath = \"users.csv\"\nkey = \"id\"\n");
    project.write("users.csv", "id,teir\n1,even\n");
    let mut engine = Engine::start(&project, "engine");
    let ended = engine.wait(60);
    let log = engine.log();
    assert!(!ended.success(), "{log}");
    for part in ["error[E404]: [lookup.users]", "users(string) -> { tier: string }?", "`tier`"] {
        assert!(log.contains(part), "`{part}` is missing in:\n{log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

/// Says who is odd by the number of engines that were started: no two of them hear the same of a user.
fn lying_service(runtime: &Runtime, engines: &Arc<AtomicU64>) -> SocketAddr {
    let lie = |State(engines): State<Arc<AtomicU64>>, Json(keys): Json<Vec<String>>| async move {
        let engine = engines.load(Ordering::SeqCst);
        // Mixed, so that no engine hears what an earlier one heard.
        let mixed = |key: &str| {
            (key.parse::<u64>().unwrap() * 16 + engine).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
        };
        let tier = |key: &String| match mixed(key) % 3 {
            0 => Value::Null,
            1 => json!({ "tier": "odd" }),
            _ => json!({ "tier": format!("tier-{engine}") }),
        };
        Json(keys.iter().map(tier).collect::<Value>())
    };
    let router = Router::new().route("/", post(lie)).with_state(Arc::clone(engines));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, router).await });
    address
}

#[test]
fn answers_that_change_while_engines_are_killed_repeat_no_row() {
    let (runtime, engines) = (Runtime::new().unwrap(), Arc::new(AtomicU64::new(0)));
    let address = lying_service(&runtime, &engines);
    let users = format!(
        "[lookup.users]\nkind = \"http\"\nurl = \"http://{address}/\"\nbatch = 500\ntimeout = \"20s\"\n"
    );
    let project = project("lies", &users);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let exact = "kind = \"clickhouse\"\ndelivery = \"exactly-once\"\n";
    project.write("logmon.toml", &config.replace("kind = \"clickhouse\"\n", exact));
    let all = "(SELECT kafka_partition, kafka_offset FROM {db}.logs UNION ALL SELECT kafka_partition, kafka_offset FROM {db}.errors)";
    let rows = || project.count(&format!("SELECT count() FROM {all}"));
    let places = ["intent-stored", "insert-sent", "insert-stored", "range-done"];
    let part = 4_000;
    let events = |round: usize| -> Vec<Vec<u8>> {
        let ids = round * part..(round + 1) * part;
        ids.map(|id| format!("{{\"severity\":\"info\",\"id\":{id}}}").into_bytes()).collect()
    };
    for (round, place) in places.iter().enumerate() {
        engines.fetch_add(1, Ordering::SeqCst);
        let order = format!("{place}=abort@2");
        let mut engine = Engine::start_in(&project.dir, place, &[("LOGMON_FAILPOINTS", &*order)]);
        engine.listens();
        project.produce(events(round).iter().map(|event| Some(&event[..])));
        assert!(!engine.wait(60).success(), "{place}: it ended in order\n{}", engine.log());
    }
    // And from outside, wherever it happens to be.
    engines.fetch_add(1, Ordering::SeqCst);
    let before = rows();
    let mut killed = Engine::start_ready(&project, "killed");
    project.produce(events(places.len()).iter().map(|event| Some(&event[..])));
    wait_for("some rows are there", 60, || rows() > before);
    killed.kill();

    engines.fetch_add(1, Ordering::SeqCst);
    let mut last = Engine::start_ready(&project, "last");
    let expected = ((places.len() + 1) * part) as u64;
    wait_for("everything arrives", 120, || rows() >= expected);
    wait_for("all fates are settled", 30, || last.metric("logmon_events_open", &[]) == 0.0);
    assert!(last.terminate().success(), "{}", last.log());
    let twice = project.sql(
        "SELECT kafka_partition, min(kafka_offset), max(kafka_offset), count(), tables, tiers FROM (
            SELECT kafka_partition, kafka_offset, groupArray(t) AS tables, groupArray(tier) AS tiers FROM (
                SELECT kafka_partition, kafka_offset, 'logs' AS t, substring(attributes['tier'], 1, 6) AS tier FROM {db}.logs
                UNION ALL SELECT kafka_partition, kafka_offset, 'errors', substring(attributes['tier'], 1, 6) FROM {db}.errors)
            GROUP BY ALL HAVING count() > 1)
        GROUP BY kafka_partition, tables, tiers ORDER BY ALL",
    );
    assert_eq!(twice, "", "rows that stand more than once");
    assert_eq!(rows(), expected);
    // Some ranges were found with other answers than they were stored with.
    let repaired = places.iter().chain(&["killed", "last"]).any(|name| {
        let log = std::fs::read_to_string(project.dir.join(format!("{name}.log"))).unwrap();
        log.contains("the range was repaired row by row")
    });
    assert!(repaired);
}
