//! What a person gets wrong: one clear sentence, the right exit code, and nothing started.

use std::process::Command;

use super::{
    SERVERS,
    engine_process::Engine,
    lifecycle::{DEAD_LETTER, RULES, usual},
    project::{Project, logs_table, text},
    wait_for,
};

/// Runs `run` on a project that must not start; returns exit code and what it said.
fn refused(project: &Project) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
        .args(["run", text(&project.rules())])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

#[track_caller]
fn check(project: &Project, code: i32, words: &[&str]) {
    let (found, said) = refused(project);
    assert_eq!(found, code, "{said}");
    for word in words {
        assert!(said.contains(word), "lacks `{word}`:\n{said}");
    }
}

#[test]
fn a_missing_table_names_the_setting() {
    let project = Project::new("notable", 1, RULES);
    project.configure(&["logs", "errors", "dlq"], DEAD_LETTER);
    check(&project, 3, &["there is no table", "logs", "[sink.logs]"]);
}

#[test]
fn a_missing_topic_names_the_setting() {
    let project = usual("notopic", 1);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    project.write("logmon.toml", &config.replace(&project.topic, "no_such_topic"));
    check(&project, 3, &["no_such_topic", "topics", "[source.app]"]);
}

#[test]
fn no_broker_names_the_setting() {
    let project = usual("nobroker", 1);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    project.write("logmon.toml", &config.replace(SERVERS.kafka.brokers(), "127.0.0.1:1"));
    check(&project, 3, &["brokers", "[source.app]"]);
}

#[test]
fn a_refused_login_names_the_setting() {
    let project = usual("nologin", 1);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let wrong = "kind = \"clickhouse\"\nuser = \"logmon\"\npassword = \"wrong\"\n";
    project.write("logmon.toml", &config.replace("kind = \"clickhouse\"\n", wrong));
    check(&project, 3, &["user", "password", "[sink."]);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let project = usual("nokey", 1);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    project.write("logmon.toml", &config.replace("threads = 2", "thread = 2"));
    check(&project, 2, &["thread", "threads", "logmon.toml"]);
}

#[test]
fn all_errors_of_the_rules_are_drawn() {
    let project = usual("norules", 1);
    let broken = RULES.replace("info {", "inof {").replace("route to errors", "route to errrors");
    project.write("rules/main.rules", &broken);
    check(&project, 1, &["inof", "info", "errrors", "errors"]);
}

#[test]
fn exactly_once_into_a_table_that_forgets_tokens_is_refused() {
    let project = usual("no_window", 1);
    project.sql("ALTER TABLE {db}.logs MODIFY SETTING non_replicated_deduplication_window = 0");
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let once = "kind = \"clickhouse\"\ndelivery = \"exactly-once\"\n";
    project.write("logmon.toml", &config.replace("kind = \"clickhouse\"\n", once));
    check(&project, 3, &["exactly-once", "non_replicated_deduplication_window is 0"]);
}

#[test]
fn a_sink_that_goes_away_shows_in_readyz_and_comes_back() {
    let project = usual("away", 1);
    let mut engine = Engine::start_ready(&project, "engine");
    project.sql("RENAME TABLE {db}.logs TO {db}.hidden");
    project.produce([Some(&br#"{"severity":"info","service":"a","id":1}"#[..])]);
    wait_for("the engine is not ready", 60, || engine.get("/readyz").0 == 503);
    let (_, why) = engine.get("/readyz");
    assert!(why.contains("logs"), "{why}");
    assert_eq!(engine.get("/livez").0, 200);
    project.sql("RENAME TABLE {db}.hidden TO {db}.logs");
    wait_for("the row arrives", 90, || project.count("SELECT count() FROM {db}.logs") == 1);
    wait_for("the engine is ready again", 30, || engine.get("/readyz").0 == 200);
    assert!(engine.terminate().success());
}

#[test]
fn a_record_that_is_too_large_keeps_its_head() {
    let project = usual("large", 1);
    let mut engine = Engine::start_ready(&project, "engine");
    let large = format!("{{\"id\":1,\"message\":\"{}\"}}", "x".repeat(1_100_000));
    // Kafka's own limit is a little below ours by default.
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    assert!(engine.terminate().success());
    project.write(
        "logmon.toml",
        &config.replace("start = ", "max_record_bytes = \"512KiB\"\nstart = "),
    );
    let mut engine = Engine::start_ready(&project, "second");
    let fitting = &large.as_bytes()[..900_000];
    project.produce([Some(fitting)]);
    wait_for("the dead letter arrives", 60, || {
        project.count("SELECT count() FROM {db}.dead_letters WHERE reason = 'too_large'") == 1
    });
    let kept = project
        .sql("SELECT raw_bytes, length(raw), raw_hash != '' FROM {db}.dead_letters FORMAT TSV");
    assert_eq!(kept.trim(), "900000\t65536\t1");
    assert!(engine.terminate().success());
}

#[test]
fn dead_letters_go_to_a_topic_too() {
    let project = usual("deadtopic", 1);
    super::project::create_topic(SERVERS.kafka.brokers(), &format!("{}.dead", project.topic), 1);
    logs_table(&project, "other");
    let topic = format!("[dead_letter]\nsink = \"dlq\"\ntopic = \"{}.dead\"\n", project.topic);
    project.configure(&["logs", "errors", "dlq"], &topic);
    let mut engine = Engine::start_ready(&project, "engine");
    project.produce([Some(&b"not json"[..])]);
    wait_for("the dead letter arrives", 60, || {
        project.count("SELECT count() FROM {db}.dead_letters") == 1
    });
    let found = super::secure::read_topic(
        &[("bootstrap.servers", SERVERS.kafka.brokers())],
        &format!("{}.dead", project.topic),
    );
    assert_eq!(found, [b"not json".to_vec()]);
    assert!(engine.terminate().success());
}
