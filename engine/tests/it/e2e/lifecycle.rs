//! Two engines in one group: reload in the middle, a clean end, a kill.

use super::{
    engine_process::Engine,
    ledger::{Fate, Ledger},
    project::{Project, add_partitions, logs_table},
    wait_for,
};

pub(crate) const RULES: &str = r#"
source app
sink logs   : table("logs")
sink errors : table("errors")
sink dlq    : table("dead_letters")

rule drop_debug when .severity < info { drop as "debug" }
rule drop_health when .http.path == "/healthz" { drop as "health" }
rule copy_errors when .severity >= error { route to errors }
rule home { route to logs }
"#;

pub(crate) const DEAD_LETTER: &str = "[dead_letter]\nsink = \"dlq\"\n";

/// A project with the usual rules, tables and configuration.
pub(crate) fn usual(name: &str, partitions: i32) -> Project {
    let project = Project::new(name, partitions, RULES);
    logs_table(&project, "logs");
    logs_table(&project, "errors");
    project.configure(&["logs", "errors", "dlq"], DEAD_LETTER);
    project
}

fn arrived(project: &Project, ledger: &Ledger) -> bool {
    let distinct = |table: &str| {
        project.count(&format!(
            "SELECT uniqExact(kafka_topic, kafka_partition, kafka_offset) FROM {{db}}.{table}"
        ))
    };
    distinct("logs") >= ledger.expected("logs")
        && distinct("errors") >= ledger.expected("errors")
        && distinct("dead_letters") >= ledger.dead()
}

fn fates(engine: &Engine) -> [u64; 5] {
    let events =
        |fate: &str| engine.metric("logmon_events_total", &[&format!("fate=\"{fate}\"")]) as u64;
    let read = engine.metric("logmon_source_records_total", &[]) as u64;
    [
        read,
        events("delivered"),
        events("dropped"),
        events("dead_lettered"),
        engine.metric("logmon_events_open", &[]) as u64,
    ]
}

#[test]
fn two_engines_share_the_work_and_the_books_balance() {
    let project = usual("balance", 4);
    let mut first = Engine::start_ready(&project, "first");
    let mut second = Engine::start_ready(&project, "second");
    // Partitions that move while records wait are read twice by design; here none move.
    wait_for("both engines have partitions", 60, || {
        [&first, &second].iter().all(|engine| engine.log().matches("assigned").count() >= 2)
            && first.log().matches("revoked").count() >= 2
    });
    let ledger = Ledger::new(60_000);
    project.produce(ledger.payloads());
    wait_for("everything arrives", 120, || arrived(&project, &ledger));
    wait_for("all fates are settled", 30, || fates(&first)[4] == 0 && fates(&second)[4] == 0);

    let (a, b) = (fates(&first), fates(&second));
    let totals = ledger.totals();
    let total = |pick: fn(&Fate) -> bool| {
        totals.iter().filter(|(fate, _)| pick(fate)).map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!(a[0] + b[0], ledger.entries.len() as u64, "read");
    assert_eq!(a[1] + b[1], total(|fate| matches!(fate, Fate::Home | Fate::Both)), "delivered");
    assert_eq!(a[2] + b[2], total(|fate| *fate == Fate::Dropped), "dropped");
    assert_eq!(a[3] + b[3], total(|fate| matches!(fate, Fate::Dead(_))), "dead-lettered");
    ledger.check(&project);
    assert_eq!(Ledger::duplicates(&project), 0);
    assert_eq!(first.get("/livez").0, 200);
    assert_eq!(first.get("/readyz").0, 200);

    assert!(first.terminate().success(), "{}", first.log());
    assert!(second.terminate().success(), "{}", second.log());

    // All offsets were committed on the way out: a third engine has nothing to do and repeats nothing.
    let mut third = Engine::start_ready(&project, "third");
    project.produce([Some(
        &br#"{"severity":"info","service":"late","id":60000,"message":"late"}"#[..],
    )]);
    wait_for("the late event arrives", 60, || {
        project.count("SELECT count() FROM {db}.logs WHERE service = 'late'") == 1
    });
    assert_eq!(fates(&third)[0], 1, "only the late event was read");
    assert!(third.terminate().success());
    assert_eq!(Ledger::duplicates(&project), 0);
}

#[test]
fn a_reload_and_a_kill_lose_nothing() {
    let project = usual("kill", 4);
    let mut first = Engine::start_ready(&project, "first");
    let mut second = Engine::start_ready(&project, "second");
    wait_for("both engines have partitions", 60, || {
        [&first, &second].iter().all(|engine| engine.log().contains("assigned"))
    });
    let ledger = Ledger::new(200_000);
    let (before, after) = ledger.entries.split_at(100_000);
    let payloads = |part: &[(Option<Vec<u8>>, Fate)]| part.to_vec();

    project.produce(payloads(before).iter().map(|(payload, _)| payload.as_deref()));
    // The same fates by other means: what follows was routed under the new rules.
    let reloaded = RULES
        .replace("rule home { route to logs }", "rule home { tag \"reloaded\"  route to logs }");
    project.write("rules/main.rules", &reloaded);
    wait_for("both engines take the new rules", 60, || {
        [&first, &second]
            .iter()
            .all(|engine| engine.metric("logmon_reloads_total", &["outcome=\"applied\""]) >= 1.0)
    });
    let payloads = payloads(after);
    std::thread::scope(|scope| {
        scope.spawn(|| project.produce(payloads.iter().map(|(payload, _)| payload.as_deref())));
        wait_for("rows under the new rules", 60, || {
            project.count("SELECT count() FROM {db}.logs WHERE has(tags, 'reloaded')") > 0
        });
        second.kill();
    });
    let killed = std::time::Instant::now();
    wait_for("the first engine takes over and everything arrives", 180, || {
        arrived(&project, &ledger)
    });
    eprintln!("everything arrived {:.1} s after the kill", killed.elapsed().as_secs_f64());
    ledger.check(&project);
    assert!(project.count("SELECT count() FROM {db}.logs WHERE has(tags, 'reloaded')") > 50_000);
    assert!(first.terminate().success(), "{}", first.log());
}

#[test]
fn rules_that_do_not_compile_or_fail_their_tests_never_replace_those_that_run() {
    let project = usual("refuse", 1);
    let mut engine = Engine::start_ready(&project, "engine");
    project.write("rules/main.rules", &RULES.replace(".severity < info", ".severity < inof"));
    wait_for("the refusal is counted", 30, || {
        engine.metric("logmon_reloads_total", &["outcome=\"refused\""]) >= 1.0
    });
    let (_, status) = engine.get("/api/status");
    assert!(status.contains("E102") && status.contains("inof"), "{status}");
    assert!(engine.log().contains("E102"), "{}", engine.log());

    let failing = format!(
        "{RULES}\ntest \"never\" {{\n  given {{ severity: \"debug\" }}\n  expect routed\n}}\n"
    );
    project.write("rules/main.rules", &failing);
    wait_for("the second refusal is counted", 30, || {
        engine.metric("logmon_reloads_total", &["outcome=\"refused\""]) >= 2.0
    });
    let (_, status) = engine.get("/api/status");
    assert!(status.contains("never"), "{status}");

    project.produce([
        Some(&br#"{"severity":"debug","id":1}"#[..]),
        Some(&br#"{"severity":"info","id":2}"#[..]),
    ]);
    wait_for("the old rules still run", 60, || project.count("SELECT count() FROM {db}.logs") == 1);
    assert!(engine.terminate().success());
}

#[test]
fn topics_by_pattern_and_partitions_added_later_are_read_from_their_first_record() {
    let project = usual("pattern", 1);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let pattern = format!("topic_pattern = \"^{}$\"", project.topic.replace('.', "[.]"));
    let config = config.replace(&format!("topics = [\"{}\"]", project.topic), &pattern);
    project.write("logmon.toml", &config.replace("start = \"earliest\"", "start = \"latest\""));
    project.produce([Some(&br#"{"severity":"info","id":1,"message":"before the start"}"#[..])]);
    let mut engine = Engine::start_ready(&project, "engine");
    wait_for("the partition is assigned", 30, || engine.log().contains("assigned"));
    project.produce([Some(&br#"{"severity":"info","id":2,"message":"after the start"}"#[..])]);
    wait_for("the first row", 60, || project.count("SELECT count() FROM {db}.logs") == 1);

    add_partitions(&project.topic, 3);
    let later: Vec<Vec<u8>> =
        (10..310).map(|id| format!("{{\"severity\":\"info\",\"id\":{id}}}").into_bytes()).collect();
    project.produce(later.iter().map(|payload| Some(&payload[..])));
    wait_for("rows of all partitions", 60, || {
        project.count("SELECT uniqExact(attributes['id']) FROM {db}.logs") == 301
    });
    assert_eq!(project.count("SELECT uniqExact(kafka_partition) FROM {db}.logs"), 3);
    assert_eq!(project.count("SELECT countIf(attributes['id'] = '1') FROM {db}.logs"), 0);
    assert!(engine.terminate().success());
}

#[test]
fn a_member_whose_name_another_one_takes_ends_and_says_why() {
    let project = usual("name", 2);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let named = "start = \"earliest\"\nclient = { \"group.instance.id\" = \"one\" }";
    project.write("logmon.toml", &config.replace("start = \"earliest\"", named));
    let mut first = Engine::start_ready(&project, "first");
    wait_for("the first has the partitions", 60, || first.log().matches("assigned").count() == 2);
    let mut second = Engine::start_ready(&project, "second");
    assert!(!first.wait(60).success(), "{}", first.log());
    assert!(first.log().contains("`group.instance.id` of its own"), "{}", first.log());
    project.produce([Some(&br#"{"severity":"info","id":1}"#[..])]);
    wait_for("the second reads", 60, || project.count("SELECT count() FROM {db}.logs") == 1);
    assert!(second.terminate().success(), "{}", second.log());
}
