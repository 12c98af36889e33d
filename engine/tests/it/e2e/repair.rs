//! What people do about what was not delivered: dead letters redriven and given up, audits that balance or name the gap, rewinds that heal it.

use std::{
    fmt::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{
    SERVERS,
    engine_process::Engine,
    ledger::Ledger,
    lifecycle::usual,
    project::{Project, create_topic, logs_table},
    wait_for,
};

/// What a command said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}\n{}", self.out, self.err))
    }

    fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }

    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn command(project: &Project, arguments: &str) -> Command {
    // `dlq list …`, `audit …`: the rules come behind the words of the command.
    let words: Vec<&str> = arguments.split(' ').collect();
    let names = if words[0] == "dlq" { 2 } else { 1 };
    let mut command = Command::new(env!("CARGO_BIN_EXE_logmon-engine"));
    command.args(&words[..names]).arg(project.rules()).args(&words[names..]).stdin(Stdio::null());
    command
}

pub(crate) fn ask(project: &Project, arguments: &str) -> Said {
    command(project, arguments).output().unwrap().into()
}

/// Runs an engine until so many rows are there in all, then ends it in order.
fn run_until(project: &Project, rows: u64) {
    let mut engine = Engine::start_ready(project, "engine");
    wait_for("everything arrives", 120, || all_rows(project) >= rows);
    assert!(engine.terminate().success(), "{}", engine.log());
}

fn all_rows(project: &Project) -> u64 {
    ["logs", "errors", "dead_letters"]
        .iter()
        .map(|table| {
            if project.count(&format!("EXISTS TABLE {{db}}.{table}")) == 0 {
                return 0;
            }
            project.count(&format!("SELECT count() FROM {{db}}.{table}"))
        })
        .sum()
}

/// The sum of a number over all tables of an audit.
pub(crate) fn sum(report: &Value, name: &str) -> u64 {
    let partitions = report["partitions"].as_array().unwrap();
    partitions
        .iter()
        .flat_map(|partition| partition["tables"].as_array().unwrap())
        .map(|table| table[name].as_u64().unwrap())
        .sum()
}

#[test]
fn an_audit_balances_names_every_fault_and_a_rewind_heals_the_gap() {
    let project = usual("audit", 2);
    let ledger = Ledger::new(4_000);
    project.produce(ledger.payloads());
    run_until(&project, ledger.expected("logs") + ledger.expected("errors") + ledger.dead());
    ledger.check(&project);

    let said = ask(&project, "audit").ends(0);
    assert!(said.out.contains("balanced: 4000 records"), "{}", said.out);
    assert!(said.out.contains("drop_debug: debug"), "{}", said.out);
    let report = ask(&project, "audit --json").ends(0).json();
    assert_eq!(sum(&report, "expected"), all_rows(&project));
    assert_eq!(sum(&report, "there"), all_rows(&project));

    // A gap in two tables, made by hand.
    let gap = "kafka_partition = 1 AND kafka_offset >= 300 AND kafka_offset < 420";
    let lost = ["logs", "errors", "dead_letters"]
        .iter()
        .map(|table| {
            let lost = project.count(&format!("SELECT count() FROM {{db}}.{table} WHERE {gap}"));
            project.sql(&format!(
                "ALTER TABLE {{db}}.{table} DELETE WHERE {gap} SETTINGS mutations_sync = 2"
            ));
            lost
        })
        .sum::<u64>();
    assert!(lost > 80, "{lost}");
    let report = ask(&project, "audit --json").ends(1).json();
    assert_eq!(sum(&report, "missing"), lost);
    assert_eq!((sum(&report, "twice"), sum(&report, "unasked")), (0, 0));
    let gaps = &report["partitions"][1]["tables"][0]["missing_at"];
    assert!(gaps[0]["first"].as_u64().unwrap() >= 300, "{gaps}");
    let last = gaps.as_array().unwrap().last().unwrap();
    assert!(last["last"].as_u64().unwrap() < 420, "{gaps}");
    // Only the range that is asked for is looked at.
    ask(&project, "audit --partition 0").ends(0);
    ask(&project, "audit --from 420").ends(0);
    let said = ask(&project, "audit --partition 1 --from 250 --to 350").ends(1);
    assert!(said.out.contains("MISSING 30"), "{}", said.out);

    // First what would be done, then what is.
    let before = all_rows(&project);
    let range = "rewind --source app --partition 1 --offset 200..1000";
    let said = ask(&project, &format!("{range} --dry-run")).ends(0);
    assert!(said.out.contains(&format!("{lost} rows are missing")), "{}", said.out);
    assert_eq!(all_rows(&project), before);
    let said = ask(&project, range).ends(0);
    assert!(said.out.contains(&format!("{lost} of {lost} missing rows stored")), "{}", said.out);
    ledger.check(&project);
    assert_eq!(Ledger::duplicates(&project), 0);
    ask(&project, "audit").ends(0);
    let said = ask(&project, "rewind --source app --from 0").ends(0);
    assert!(said.out.contains("0 of 0 missing rows stored"), "{}", said.out);
    let noted = project.count(
        "SELECT sum(rows) FROM {db}.dead_letters_actions WHERE action = 'rewind' AND kafka_partition = 1",
    );
    assert_eq!(noted, lost);

    // Copies of rows, and a row that no rule asks for.
    project.sql("INSERT INTO {db}.logs SELECT * FROM {db}.logs WHERE kafka_partition = 0 ORDER BY kafka_offset LIMIT 3");
    project.sql("INSERT INTO {db}.errors SELECT * REPLACE(9 AS emit_ix) FROM {db}.errors ORDER BY kafka_partition, kafka_offset LIMIT 1");
    let report = ask(&project, "audit --json").ends(1).json();
    assert_eq!(
        (sum(&report, "missing"), sum(&report, "twice"), sum(&report, "unasked")),
        (0, 3, 1)
    );

    // The group's offsets are where the engine left them: another engine has nothing to do.
    let rows = all_rows(&project);
    let mut engine = Engine::start_ready(&project, "second");
    project.produce([Some(&br#"{"severity":"info","service":"late","id":4000}"#[..])]);
    wait_for("the late event arrives", 60, || {
        project.count("SELECT count() FROM {db}.logs WHERE service = 'late'") == 1
    });
    assert!(engine.terminate().success());
    assert_eq!(all_rows(&project), rows + 1);

    // A group that has no offsets any more: what is missing is stored, and the group goes on behind it.
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let forgot = config.replace(
        &format!("group = \"{}\"", project.group),
        &format!("group = \"{}.again\"", project.group),
    );
    assert_ne!(config, forgot);
    project.write("logmon.toml", &forgot);
    let said = ask(&project, "rewind --source app --from 0 --resume").ends(0);
    assert!(said.out.contains("0 of 0 missing rows stored"), "{}", said.out);
    assert!(said.out.contains("the group goes on at offset"), "{}", said.out);
    let mut engine = Engine::start_ready(&project, "third");
    project.produce([Some(&br#"{"severity":"info","service":"later","id":4001}"#[..])]);
    wait_for("the last event arrives", 60, || {
        project.count("SELECT count() FROM {db}.logs WHERE service = 'later'") == 1
    });
    assert!(engine.terminate().success());
    assert_eq!(all_rows(&project), rows + 2);
}

/// Rules under which a third of the events fault, and those that do not.
const FAULTY: &str = r#"
source app
sink logs   : table("logs")
sink errors : table("errors")
sink dlq    : table("dead_letters")

rule sizes { .size = int(.text) }
rule quiet when .service == "quiet" { drop as "quiet" }
rule refuse when .service == "refuse" { route to dlq(reason: "unknown_service", cause: "nobody knows it")  drop as "sent" }
rule copy_errors when .severity >= error { route to errors }
rule home { route to logs }
"#;

fn faulty(name: &str, partitions: i32) -> Project {
    let project = Project::new(name, partitions, FAULTY);
    logs_table(&project, "logs");
    logs_table(&project, "errors");
    project.configure(&["logs", "errors", "dlq"], "[dead_letter]\nsink = \"dlq\"\n");
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let config = config.replace("start = \"earliest\"", "start = \"earliest\"\non_fault = \"dlq\"");
    project.write("logmon.toml", &config);
    project
}

/// Every third event has a text that is no number; of those, every fifth is an error, so that it has two rows.
fn event(id: usize) -> Vec<u8> {
    let text = if id.is_multiple_of(3) { "n/a" } else { "17" };
    let severity = if id.is_multiple_of(5) { "error" } else { "info" };
    let mut event = String::new();
    let _ = write!(
        event,
        "{{\"timestamp\":\"2026-11-0{}T10:00:00Z\",\"severity\":\"{severity}\",\"service\":\"s\",\"text\":\"{text}\",\"id\":{id}}}",
        id % 3 + 1
    );
    event.into_bytes()
}

fn mended() -> String {
    FAULTY.replace("int(.text)", "int(.text) ?? -1")
}

#[test]
fn letters_are_listed_shown_counted_redriven_once_and_given_up() {
    let project = faulty("dlq", 2);
    let mut payloads: Vec<Vec<u8>> = (0..300).map(event).collect();
    payloads.push(b"{\"broken\": \x1b[31m".to_vec());
    payloads.push(br#"{"severity":"info","service":"quiet","text":"n/a"}"#.to_vec());
    payloads.push(br#"{"severity":"info","service":"refuse","text":"1"}"#.to_vec());
    project.produce(payloads.iter().map(|payload| Some(&payload[..])));
    // 200 sound events, 40 of them errors; 100 faults, the broken one, and the one that a rule sends away.
    run_until(&project, 200 + 40 + 102);

    let listed = ask(&project, "dlq list --reason fault --limit 1000 --json").ends(0).lines();
    assert_eq!(listed.len(), 100);
    assert_eq!((&listed[0]["site"], &listed[0]["state"]), (&".size =".into(), &"".into()));
    let said = ask(&project, "dlq list --reason fault --partition 0 --offset 0..10").ends(0);
    let place = said.out.lines().nth(1).unwrap().split("  ").next().unwrap().to_owned();
    assert!(place.starts_with(&format!("{}/0/", project.topic)), "{}", said.out);
    let said = ask(&project, &format!("dlq show {place}")).ends(0);
    for part in ["reason   fault", "main.rules:7", "n/a", "site     .size =", "state    open"] {
        assert!(said.out.contains(part), "{part} in\n{}", said.out);
    }
    let broken = ask(&project, "dlq list --reason not_json --json").ends(0).lines();
    let broken = format!("{}/{}/{}", project.topic, broken[0]["partition"], broken[0]["offset"]);
    let said = ask(&project, &format!("dlq show {broken}")).ends(0);
    assert!(said.out.contains("\\x1b[31m") && !said.out.contains('\x1b'), "{}", said.out);
    ask(&project, &format!("dlq show {}/0/999999", project.topic)).ends(1);
    let stats = ask(&project, "dlq stats --json").ends(0).lines();
    let counted: Vec<(&str, u64)> = stats
        .iter()
        .map(|group| (group["name"].as_str().unwrap(), group["letters"].as_u64().unwrap()))
        .collect();
    assert_eq!(counted, [("fault", 100), ("not_json", 1), ("unknown_service", 1)]);
    for by in ["rule", "sink", "hour"] {
        ask(&project, &format!("dlq stats --by {by}")).ends(0);
    }

    // Under the rules as they were everything is dead again, and nothing is written.
    ask(&project, "dlq redrive").ends(2);
    let rows = all_rows(&project);
    let said = ask(&project, "dlq redrive --reason fault").ends(1);
    assert!(
        said.out.contains("99 dead again, 1 dropped") || said.out.contains("100 dead again"),
        "{}",
        said.out
    );
    assert_eq!(all_rows(&project), rows);

    // Mended: first what would happen, then it happens, then there is nothing left to do.
    project.write("rules/main.rules", &mended());
    let said = ask(&project, "dlq redrive --all --dry-run").ends(1);
    assert!(
        said.out.contains("100 delivered") && said.out.contains("2 dead again"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains(&format!("{}.errors would get 20 rows", project.database)),
        "{}",
        said.out
    );
    assert_eq!(all_rows(&project), rows);
    let said = ask(&project, "dlq redrive --all").ends(1);
    assert!(
        said.out.contains("100 delivered") && said.out.contains("2 dead again"),
        "{}",
        said.out
    );
    assert_eq!(all_rows(&project), rows + 120);
    assert_eq!(Ledger::duplicates(&project), 0);
    let mended_rows = project.count(
        "SELECT count() FROM {db}.logs WHERE attributes['size'] = '-1' AND kafka_topic != ''",
    );
    assert_eq!(mended_rows, 100);
    let said = ask(&project, "dlq redrive --reason fault").ends(0);
    assert!(said.out.contains("no open letter"), "{}", said.out);
    // A book that lost its pages makes nothing twice: what is there is seen.
    project.sql("ALTER TABLE {db}.dead_letters_actions DELETE WHERE 1 SETTINGS mutations_sync = 2");
    let said = ask(&project, "dlq redrive --reason fault").ends(0);
    assert!(
        said.out.contains("100 delivered") && said.out.contains("there before"),
        "{}",
        said.out
    );
    assert_eq!(all_rows(&project), rows + 120);

    // Given up: marked, not deleted.
    ask(&project, "dlq discard --reason not_json").ends(2);
    let said = ask(&project, "dlq discard --reason not_json --because nonsense").ends(0);
    assert!(said.out.starts_with("1 dead letters"), "{}", said.out);
    let left = ask(&project, "dlq list --json").ends(0).lines();
    assert_eq!(left.len(), 1, "{left:?}");
    let all = ask(&project, "dlq list --all --limit 1000 --json").ends(0).lines();
    assert_eq!(all.len(), 102);
    let discarded = all.iter().find(|letter| letter["reason"] == "not_json").unwrap();
    assert_eq!(
        (&discarded["state"], &discarded["outcome"]),
        (&"discarded".into(), &"nonsense".into())
    );
    // What was redriven is accounted for.
    ask(&project, "audit").ends(0);
}

#[test]
fn a_redrive_that_is_killed_and_two_at_once_send_nothing_twice() {
    let project = faulty("redrive", 3);
    let payloads: Vec<Vec<u8>> = (0..36_000).map(event).collect();
    project.produce(payloads.iter().map(|payload| Some(&payload[..])));
    run_until(&project, 24_000 + 4_800 + 12_000);
    project.write("rules/main.rules", &mended());
    let settled = || {
        if project.count("EXISTS TABLE {db}.dead_letters_actions") == 0 {
            return 0;
        }
        project.count("SELECT count() FROM {db}.dead_letters_actions WHERE action = 'redriven'")
    };
    // Killed three times in the middle, wherever that is.
    let mut before = 0;
    for round in 1..=3 {
        let mut child = command(&project, "dlq redrive --all")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("some letters are done", 60, || settled() > before);
        child.kill().unwrap();
        child.wait().unwrap();
        before = settled();
        assert!(before < 12_000, "round {round}: it was killed too late");
    }
    assert_eq!(Ledger::duplicates(&project), 0);
    // Two at once: each range has one of them at work; who meets the other says so and is asked again.
    let both = [(), ()].map(|()| {
        command(&project, "dlq redrive --all")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for child in both {
        let said = Said::from(child.wait_with_output().unwrap());
        assert!(said.code == 0 || said.err.contains("is at work on them"), "{}", said.err);
    }
    ask(&project, "dlq redrive --all").ends(0);
    assert_eq!(Ledger::duplicates(&project), 0);
    assert_eq!(project.count("SELECT count() FROM {db}.logs"), 36_000);
    assert_eq!(project.count("SELECT count() FROM {db}.errors"), 7_200);
    assert_eq!(settled(), 12_000, "each letter is done once");
    let said = ask(&project, "audit").ends(0);
    assert!(said.out.contains("balanced: 36000 records"), "{}", said.out);
}

#[test]
fn a_letter_that_was_cut_is_read_again_from_kafka_or_refused_by_name() {
    let project = faulty("cut", 1);
    let large = format!(
        "{{\"severity\":\"info\",\"service\":\"s\",\"text\":\"1\",\"id\":1,\"pad\":\"{}\"}}",
        "x".repeat(1_500_000)
    );
    let sound = [event(1), event(2), event(4)];
    project.produce(
        [Some(large.as_bytes())].into_iter().chain(sound.iter().map(|one| Some(&one[..]))),
    );
    run_until(&project, 4);
    let letter = &ask(&project, "dlq list --json").ends(0).lines()[0];
    assert_eq!(
        (letter["reason"].as_str(), letter["kept"].as_u64()),
        (Some("too_large"), Some(65_536))
    );
    let said = ask(&project, "dlq redrive --reason too_large").ends(1);
    assert!(said.out.contains("1 dead again"), "{}", said.out);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let allowed = config.replace("on_fault", "max_record_bytes = \"2MiB\"\non_fault");
    project.write("logmon.toml", &allowed);
    // In the place of the other letter Kafka holds another record: it is refused, and stays open.
    project.sql(
        "INSERT INTO {db}.dead_letters SELECT * REPLACE(2 AS kafka_offset) FROM {db}.dead_letters",
    );
    let said = ask(&project, "dlq redrive --all").ends(1);
    assert!(said.out.contains("1 delivered, 1 refused"), "{}", said.out);
    assert!(said.out.contains("only 65536 of its"), "{}", said.out);
    assert!(said.out.contains("Kafka holds another record"), "{}", said.out);
    assert_eq!(project.count("SELECT count() FROM {db}.logs"), 4);
    assert_eq!(ask(&project, "dlq list --json").ends(0).lines().len(), 1);
}

#[test]
fn letters_in_a_topic_are_worked_on_alike() {
    let rules: String = FAULTY
        .lines()
        .filter(|line| !line.contains("dlq"))
        .fold(String::new(), |text, line| text + line + "\n");
    let project = Project::new("dlqtopic", 2, &rules);
    logs_table(&project, "logs");
    logs_table(&project, "errors");
    let topic = format!("{}.dead", project.topic);
    create_topic(SERVERS.kafka.brokers(), &topic, 1);
    let letters = format!(
        "[sink.letters]\nkind = \"kafka\"\nbrokers = [\"{}\"]\ntopic = \"{topic}\"\n\n[dead_letter]\nsink = \"letters\"\n",
        SERVERS.kafka.brokers()
    );
    project.configure(&["logs", "errors"], &letters);
    let config = std::fs::read_to_string(project.dir.join("logmon.toml")).unwrap();
    let config = config.replace("start = \"earliest\"", "start = \"earliest\"\non_fault = \"dlq\"");
    project.write("logmon.toml", &config);
    let mut payloads: Vec<Vec<u8>> = (0..30).map(event).collect();
    payloads.push(b"no event".to_vec());
    project.produce(payloads.iter().map(|payload| Some(&payload[..])));
    run_until(&project, 20 + 4);

    let listed = ask(&project, "dlq list --json").ends(0).lines();
    assert_eq!(listed.len(), 11);
    let fault = listed.iter().find(|letter| letter["reason"] == "fault").unwrap();
    assert_eq!(fault["time"].as_i64().unwrap() % 1_000_000, 0, "the record's own time");
    assert!(fault["key"].as_str().is_some_and(|key| key.parse::<usize>().unwrap() % 3 == 0));
    project.write("rules/main.rules", &rules.replace("int(.text)", "int(.text) ?? -1"));
    let said = ask(&project, "dlq redrive --all").ends(1);
    assert!(said.out.contains("1 dead again, 10 delivered"), "{}", said.out);
    assert_eq!(project.count("SELECT count() FROM {db}.logs"), 30);
    assert_eq!(project.count("SELECT count() FROM {db}.errors"), 6);
    ask(&project, "dlq discard --all --because nonsense").ends(0);
    assert!(ask(&project, "dlq list").ends(0).out.contains("no dead letters"));
    assert_eq!(ask(&project, "dlq stats --json").ends(0).lines()[0]["open"], 0);
}
