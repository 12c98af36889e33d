//! Exactly-once on real servers: every event once, whatever ends the engine and wherever.

use super::{
    engine_process::Engine,
    ledger::Ledger,
    lifecycle::{DEAD_LETTER, RULES},
    project::{Project, logs_table},
    repair, wait_for,
};

/// A project whose tables take each row once.
fn exact(name: &str, partitions: i32, rules: &str) -> Project {
    let project = Project::new(name, partitions, rules);
    logs_table(&project, "logs");
    logs_table(&project, "errors");
    project.configure(&["logs", "errors", "dlq"], DEAD_LETTER);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let exact = "kind = \"clickhouse\"\ndelivery = \"exactly-once\"\n";
    project.write("logmon.toml", &config.replace("kind = \"clickhouse\"\n", exact));
    project
}

fn arrived(project: &Project, ledger: &Ledger) -> bool {
    let rows = |table: &str| project.count(&format!("SELECT count() FROM {{db}}.{table}"));
    rows("logs") >= ledger.expected("logs")
        && rows("errors") >= ledger.expected("errors")
        && rows("dead_letters") >= ledger.dead()
}

#[test]
fn every_event_arrives_once_and_the_books_balance() {
    let project = exact("once", 4, RULES);
    let mut engine = Engine::start_ready(&project, "engine");
    let ledger = Ledger::new(60_000);
    project.produce(ledger.payloads());
    wait_for("everything arrives", 120, || arrived(&project, &ledger));
    wait_for("all fates are settled", 30, || engine.metric("logmon_events_open", &[]) == 0.0);
    ledger.check(&project);
    assert_eq!(Ledger::duplicates(&project), 0);
    assert!(engine.metric("logmon_ranges_total", &[]) > 0.0);
    assert_eq!(engine.metric("logmon_source_records_total", &[]) as u64, 60_000);
    assert_eq!(engine.get("/readyz").0, 200);
    assert!(engine.terminate().success(), "{}", engine.log());

    // Everything was committed on the way out: the next engine has nothing to recover and reads only what is new.
    let mut next = Engine::start_ready(&project, "next");
    project.produce([Some(&br#"{"severity":"info","service":"late","id":60000}"#[..])]);
    wait_for("the late event arrives", 60, || {
        project.count("SELECT count() FROM {db}.logs WHERE service = 'late'") == 1
    });
    assert_eq!(next.metric("logmon_source_records_total", &[]) as u64, 1);
    assert_eq!(next.metric("logmon_recoveries_total", &[]) as u64, 0);
    assert!(next.terminate().success(), "{}", next.log());
    assert_eq!(Ledger::duplicates(&project), 0);
}

#[test]
fn wherever_the_engine_ends_the_next_one_goes_on_without_a_gap_or_a_repeat() {
    let project = exact("places", 2, RULES);
    let places = [
        "range-built",
        "intent-sent",
        "intent-stored",
        "insert-sent",
        "insert-stored",
        "range-done",
        "finish-sent",
    ];
    let ledger = Ledger::new(places.len() * 4_000);
    for (round, place) in places.iter().enumerate() {
        let order = format!("{place}=abort@2");
        let variables = [("LOGMON_FAILPOINTS", &*order)];
        let mut engine = Engine::start_in(&project.dir, place, &variables);
        engine.listens();
        let part = &ledger.entries[round * 4_000..(round + 1) * 4_000];
        project.produce(part.iter().map(|(payload, _)| payload.as_deref()));
        let status = engine.wait(60);
        assert!(!status.success(), "{place}: it ended in order\n{}", engine.log());
    }
    let mut last = Engine::start_ready(&project, "last");
    wait_for("everything arrives", 120, || arrived(&project, &ledger));
    wait_for("all fates are settled", 30, || last.metric("logmon_events_open", &[]) == 0.0);
    ledger.check(&project);
    assert_eq!(Ledger::duplicates(&project), 0);
    assert!(last.terminate().success(), "{}", last.log());
    ledger.check(&project);
    assert_eq!(Ledger::duplicates(&project), 0);
}

/// Odd ids go to the other table under the second rules.
const MOVED: &str = r#"
source app
sink logs   : table("logs")
sink errors : table("errors")
sink dlq    : table("dead_letters")

rule odd when int(.id) % 2 == 1 { route to errors }
rule home when int(.id) % 2 == 0 { route to logs }
default route to logs
"#;

const UNMOVED: &str = r#"
source app
sink logs   : table("logs")
sink errors : table("errors")
sink dlq    : table("dead_letters")

rule home when int(.id) >= 0 { route to logs }
default route to errors
"#;

fn numbered(from: u64, to: u64) -> Vec<Vec<u8>> {
    (from..to).map(|id| format!("{{\"severity\":\"info\",\"id\":{id}}}").into_bytes()).collect()
}

fn rows_and_ids(project: &Project) -> (u64, u64) {
    let all = "(SELECT attributes['id'] AS id FROM {db}.logs UNION ALL SELECT attributes['id'] FROM {db}.errors)";
    (
        project.count(&format!("SELECT count() FROM {all}")),
        project.count(&format!("SELECT uniqExact(id) FROM {all}")),
    )
}

#[test]
fn new_rules_that_move_rows_between_tables_move_none_twice() {
    let project = exact("moved", 2, UNMOVED);
    let variables = [("LOGMON_FAILPOINTS", "insert-stored=abort@4")];
    let mut first = Engine::start_in(&project.dir, "first", &variables);
    first.listens();
    let events = numbered(0, 40_000);
    let (before, after) = events.split_at(10_000);
    project.produce(before.iter().map(|event| Some(&event[..])));
    project.write("rules/main.rules", MOVED);
    wait_for("the new rules run", 60, || {
        first.metric("logmon_reloads_total", &["outcome=\"applied\""]) >= 1.0
    });
    // Two partitions, one table before and two after: it ends with some rows stored under each program and others not.
    project.produce(after.iter().map(|event| Some(&event[..])));
    assert!(!first.wait(90).success(), "{}", first.log());
    let mut second = Engine::start_ready(&project, "second");
    wait_for("everything arrives", 120, || rows_and_ids(&project).1 == 40_000);
    wait_for("all fates are settled", 30, || second.metric("logmon_events_open", &[]) == 0.0);
    assert_eq!(rows_and_ids(&project), (40_000, 40_000));
    assert!(second.terminate().success(), "{}", second.log());
    assert_eq!(rows_and_ids(&project), (40_000, 40_000));
}

/// The rules that the files have now are not those that the rows were made by.
#[test]
fn an_audit_by_the_saved_rules_of_then_balances() {
    let project = exact("by_then", 1, UNMOVED);
    let mut engine = Engine::start_ready(&project, "engine");
    let events = numbered(0, 600);
    project.produce(events.iter().map(|event| Some(&event[..])));
    wait_for("everything arrives", 120, || rows_and_ids(&project).1 == 600);
    assert!(engine.terminate().success(), "{}", engine.log());
    let log = engine.log();
    let hash = log.split("bundle=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();

    project.write("rules/main.rules", MOVED);
    let moved = |arguments: &str| {
        let report = repair::ask(&project, arguments).ends(0).json();
        (repair::sum(&report, "moved"), report["bundle"].as_str().unwrap().to_owned())
    };
    assert_eq!(moved("audit --json").0, 300, "odd ids belong elsewhere by now");
    assert_eq!(moved(&format!("audit --json --bundle {hash}")), (0, hash.to_owned()));

    // A row that is gone comes back where those rules had it.
    project.sql("DELETE FROM {db}.logs WHERE attributes['id'] = '7'");
    let command = format!("rewind --source app --from 0 --bundle {hash}");
    repair::ask(&project, &command).ends(0);
    assert_eq!(project.count("SELECT count() FROM {db}.logs WHERE attributes['id'] = '7'"), 1);
    assert_eq!(rows_and_ids(&project), (600, 600));
    let unknown = repair::ask(&project, "audit --bundle 0a0a").ends(2);
    assert!(
        unknown.err.contains("no bundle in") && unknown.err.contains("0a0a"),
        "{}",
        unknown.err
    );
}

#[test]
fn rules_that_are_only_in_the_topic_finish_the_range_that_names_them() {
    let project = exact("shelf", 1, UNMOVED);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let topic = format!("bundle_topic = \"{}.bundles\"\n", project.database);
    let config = config.replace("[engine]\n", &format!("[engine]\n{topic}"));
    project.write("logmon.toml", &config);
    let variables = [("LOGMON_FAILPOINTS", "intent-stored=abort")];
    let mut first = Engine::start_in(&project.dir, "first", &variables);
    first.listens();
    let events = numbered(0, 5_000);
    project.produce(events.iter().map(|event| Some(&event[..])));
    assert!(!first.wait(60).success(), "{}", first.log());
    assert_eq!(rows_and_ids(&project).0, 0, "nothing was sent yet");

    // Another machine with other rules.
    project.write("rules/main.rules", MOVED);
    std::fs::remove_dir_all(project.dir.join(".logmon")).unwrap();
    let mut second = Engine::start_ready(&project, "second");
    wait_for("everything arrives", 120, || rows_and_ids(&project).1 == 5_000);
    wait_for("all fates are settled", 30, || second.metric("logmon_events_open", &[]) == 0.0);
    assert_eq!(rows_and_ids(&project), (5_000, 5_000));
    assert!(project.count("SELECT countIf(toUInt64(attributes['id']) % 2 = 1) FROM {db}.logs") > 0);
    assert!(second.log().contains("brought up for a range under way"), "{}", second.log());
    assert!(second.metric("logmon_recoveries_total", &[]) >= 1.0);
    assert!(second.terminate().success(), "{}", second.log());
}

#[test]
fn rows_that_the_table_refuses_are_dead_letters_once_and_the_others_arrive_once() {
    let project = exact("refused", 1, UNMOVED);
    project.sql(
        "ALTER TABLE {db}.logs ADD CONSTRAINT odd CHECK attributes['id'] NOT IN ('7', '1234', '4999')",
    );
    // It ends after rows were refused, with their letters named and perhaps not stored.
    let variables = [("LOGMON_FAILPOINTS", "intent-stored=abort@2")];
    let mut first = Engine::start_in(&project.dir, "first", &variables);
    first.listens();
    let events = numbered(0, 5_000);
    project.produce(events.iter().map(|event| Some(&event[..])));
    first.wait(90);
    let mut second = Engine::start_ready(&project, "second");
    let letters = "SELECT count() FROM {db}.dead_letters WHERE reason = 'refused'";
    wait_for("everything arrives", 120, || {
        rows_and_ids(&project).1 == 4_997 && project.count(letters) == 3
    });
    wait_for("all fates are settled", 30, || second.metric("logmon_events_open", &[]) == 0.0);
    assert!(second.terminate().success(), "{}", second.log());
    assert_eq!(rows_and_ids(&project), (4_997, 4_997));
    assert_eq!(project.count(letters), 3);
    let raw = project.sql("SELECT raw FROM {db}.dead_letters ORDER BY kafka_offset FORMAT TSV");
    assert_eq!(raw.lines().filter(|line| line.contains("\"id\":1234")).count(), 1, "{raw}");
}

/// Where an event goes is for a lookup to say.
const ASKING: &str = r#"
source app
sink logs   : table("logs")
sink errors : table("errors")
sink dlq    : table("dead_letters")

lookup places(string) -> { target: string }?

rule there when places("here").target == "errors" { route to errors }
default route to logs
"#;

/// Whether a process stands still.
fn stands(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// The earlier owner stands still before its first insert leaves. The next one is told something else by the lookup, so it sends the rows to another
/// table, under another token. Then the earlier one goes on.
#[test]
fn other_answers_and_an_owner_that_wakes_up_late_repeat_no_row() {
    let project = exact("woken", 1, ASKING);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let lookup = "[lookup.places]\nkind = \"file\"\npath = \"places.csv\"\nkey = \"id\"\n";
    project.write("logmon.toml", &format!("{config}\n{lookup}"));
    project.write("places.csv", "id,target\nhere,logs\n");
    let variables = [("LOGMON_FAILPOINTS", "insert-sent=stop")];
    let mut first = Engine::start_in(&project.dir, "first", &variables);
    first.listens();
    let events = numbered(0, 5_000);
    project.produce(events.iter().map(|event| Some(&event[..])));
    wait_for("the first owner stands still", 60, || stands(first.pid()));
    project.write("places.csv", "id,target\nhere,errors\n");
    let mut second = Engine::start_ready(&project, "second");
    wait_for("everything arrives", 240, || rows_and_ids(&project).1 == 5_000);
    first.resume();
    // It hears that it is none when it is back, joins the group again, and both leave in order.
    assert!(first.terminate().success(), "{}", first.log());
    assert!(second.terminate().success(), "{}", second.log());
    assert_eq!(rows_and_ids(&project), (5_000, 5_000));
    assert!(project.count("SELECT count() FROM {db}.errors") > 0, "{}", second.log());
    assert!(second.log().contains("repaired row by row"), "{}", second.log());
}
