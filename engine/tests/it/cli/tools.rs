//! What who writes rules asks of the command line: tests, one event's way, drafts, translations, diagnoses.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::Folder;

const RULES: &str = r#"source app : { service: string, status: int?, ... }
sink logs : { ... }
rule health on app when .service == "health" and .status < 400 {
  drop as "health"
}
rule mark on app when .status >= 500 {
  .page = .service ?? "?" else {
    .page = "nobody"
  }
}
rule never on app when .service == "never" {
  drop
}
default route to logs
test "errors are marked" {
  given on app { service: "web", status: 503 }
  expect routed to logs { .page == "web" }
}
test "the rest is let through" {
  given on app { service: "web", status: 200 }
  expect routed to logs { .status == 201 }
}
"#;

#[test]
fn the_first_differing_field_is_drawn() {
    let folder = Folder::new("test-drawn").with("t.rules", RULES);
    let seen = folder.run(&["test", "t.rules"], b"");
    assert_eq!(seen.code(), Some(1));
    assert!(seen.out().contains("ok     errors are marked"), "{}", seen.out());
    assert!(seen.out().contains("FAILED the rest is let through"), "{}", seen.out());
    let said = seen.err();
    assert!(said.contains("`.status` is not as expected"), "{said}");
    assert!(said.contains("expected 201, found 200"), "{said}");
    let seen = folder.run(&["test", "t.rules", "--filter", "marked"], b"");
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    assert!(seen.out().contains("1 passed, 0 failed"), "{}", seen.out());
}

#[test]
fn coverage_names_what_no_test_reaches() {
    let folder = Folder::new("test-coverage").with("t.rules", RULES);
    let seen = folder.run(&["test", "t.rules", "--coverage", "--filter", "marked"], b"");
    let said = seen.out();
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    assert!(said.contains("coverage: 3 rules, 1 branches"), "{said}");
    assert!(said.contains("no test reaches the rule of t/health  t.rules:3:6"), "{said}");
    assert!(said.contains("no test reaches the rule of t/never"), "{said}");
    assert!(said.contains("no test reaches the else branch of t/mark"), "{said}");
    let seen = folder.run(&["test", "t.rules", "--coverage", "--json"], b"");
    let report: serde_json::Value = serde_json::from_str(&seen.out()).unwrap();
    assert_eq!(report["coverage"]["rules"], 3);
    assert_eq!(report["coverage"]["unreached"].as_array().map(Vec::len), Some(3));
}

#[test]
fn what_was_seen_is_written_into_the_file() {
    let folder = Folder::new("test-accept").with("t.rules", RULES);
    let seen = folder.run(&["test", "t.rules", "--accept"], b"");
    assert_eq!(seen.code(), Some(0), "{}{}", seen.out(), seen.err());
    assert!(seen.out().contains("1 expectations written"), "{}", seen.out());
    let text = fs::read_to_string(folder.0.join("t.rules")).unwrap();
    assert_eq!(text, RULES.replace("201", "200"));
}

#[test]
fn tests_run_again_when_a_file_changes() {
    let folder = Folder::new("test-watch").with("t.rules", RULES);
    let mut child = Command::new(env!("CARGO_BIN_EXE_logmon-engine"))
        .args(["test", "t.rules", "--watch"])
        .current_dir(&folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut until = |wanted: &str| {
        lines.by_ref().map(|line| line.expect("output is UTF-8")).any(|line| line.contains(wanted))
    };
    assert!(until("1 passed, 1 failed"));
    assert!(until("waiting for changes"));
    let folder = folder.with("t.rules", RULES.replace("201", "200"));
    assert!(until("2 passed, 0 failed"));
    child.kill().expect("it still waits");
    child.wait().expect("it ends");
    drop(folder);
}

#[test]
fn an_event_tells_which_atoms_held() {
    let folder = Folder::new("explain-on")
        .with("t.rules", RULES)
        .with("event.json", r#"{"service":"health","status":503}"#);
    let seen = folder.run(&["explain", "t.rules", "health", "--on", "event.json"], b"");
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    let said = seen.out();
    assert!(said.contains("rule t/health: its condition did not hold"), "{said}");
    assert!(said.contains(r#"yes    .service == "health"  .service = "health""#), "{said}");
    assert!(said.contains("no     .status < 400         .status = 503"), "{said}");

    let seen = folder.run(&["explain", "t.rules", "--on", "-"], br#"{"service":"never"}"#);
    let said = seen.out();
    assert!(said.contains("rule t/never: took it"), "{said}");
    assert!(said.contains(r#"dropped by t/never as "never""#), "{said}");
    let seen = folder.run(&["explain", "t.rules", "--on", "-"], b"[1]");
    assert_eq!(seen.code(), Some(2));
    let seen = folder.run(&["explain", "t.rules", "gone", "--on", "event.json"], b"");
    assert_eq!(seen.code(), Some(2));
    assert!(seen.err().contains("no rule is called `gone`"), "{}", seen.err());
}

#[test]
fn expressions_and_statements_are_tried_line_by_line() {
    let folder = Folder::new("repl").with("t.rules", RULES).with(
        "events.json",
        "{\"service\":\"a\",\"status\":500}\n{\"service\":\"health\",\"status\":200}\n",
    );
    let lines = r#".service
.status + 1
upper(.service) == "A"
.missing ?? "nothing"
.status / 0
fn twice(n: int) -> int = n * 2
twice(21)
.seen = true
:event
{"service":"b"}
.service
:next
:run
rule r on app when .status == 200 { .ok = true }
.status +
nonsense(1)
:fly
:quit
"never reached"
"#;
    let seen = folder.run(&["repl", "t.rules", "--on", "events.json"], lines.as_bytes());
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    let said = seen.out();
    let mut rest = said.as_str();
    for wanted in [
        "\"a\"  : string",
        "501  : int",
        "true  : bool",
        "\"nothing\"  : ",
        "absent (",
        "42  : int",
        "\"seen\":true",
        "\"b\"  : string",
        "\"service\":\"health\"",
        "dropped as \"health\"",
        "wrote .ok = true",
        "E100",
        "there is no function `nonsense`",
        "there is no `:fly`",
    ] {
        let at = rest
            .find(wanted)
            .unwrap_or_else(|| panic!("no `{wanted}` in:\n{rest}\n--- of\n{said}"));
        rest = &rest[at + wanted.len()..];
    }
    assert!(!said.contains("never reached"), "{said}");
}

#[test]
fn lines_are_remembered_where_asked_for() {
    let folder = Folder::new("repl-history");
    for _ in 0..2 {
        let seen = folder.run(&["repl", "--history", "lines"], b"1 + 1\n");
        assert_eq!(seen.code(), Some(0), "{}", seen.err());
        assert!(seen.out().contains("2  : int"), "{}", seen.out());
    }
    assert!(fs::read_to_string(folder.0.join("lines")).unwrap().contains("1 + 1"));
}

#[test]
fn a_type_is_drafted_from_samples() {
    let events = b"{\"ts\":\"2026-05-01T10:00:00Z\",\"status\":\"200\",\"user\":\"u\"}\nnot json\n{\"ts\":\"2026-05-01T10:00:00Z\",\"status\":404}\n";
    let folder = Folder::new("infer");
    let seen = folder.run(&["schema", "infer", "--name", "Access"], events);
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    let said = seen.out();
    assert!(said.contains("type Access = {"), "{said}");
    assert!(said.contains("ts: timestamp,"), "{said}");
    assert!(said.contains("status: int coerce,"), "{said}");
    assert!(said.contains("user: string?,  # in 50 %"), "{said}");
    assert!(seen.err().contains("-:2: no event"), "{}", seen.err());
    let program =
        format!("{said}\nsource app : Access\nsink logs : {{ ... }}\ndefault route to logs\n");
    let folder = folder.with("t.rules", program);
    assert_eq!(folder.run(&["check", "t.rules"], b"").code(), Some(0));
    assert_eq!(folder.run(&["schema", "infer"], b"\n").code(), Some(2), "no event at all");
    assert_eq!(folder.run(&["schema", "infer", "gone.json"], b"").code(), Some(2));
    assert_eq!(folder.run(&["schema", "infer", "--name", "1x"], b"{\"a\":1}").code(), Some(2));
}

#[test]
fn grok_becomes_a_pattern_where_it_means_the_same() {
    let folder = Folder::new("import-grok");
    let seen =
        folder.run(&["import", "grok", "%{IP:client} %{WORD:method} %{NUMBER:ms:float}"], b"");
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    assert_eq!(seen.out(), "pat\"<client:ip> <method> <ms:float>\"\n");
    let seen = folder.run(&["import", "grok", "%{GREEDYDATA:a} %{WORD:b}"], b"");
    assert_eq!(seen.code(), Some(1));
    assert_eq!(seen.out(), "grok\"%{GREEDYDATA:a} %{WORD:b}\"\n");
    assert!(seen.err().contains("GREEDYDATA"), "{}", seen.err());
}

#[test]
fn vrl_becomes_a_rule_and_the_rest_a_comment() {
    let program = "# keep what matters\n.service = downcase(string!(.service))\ndel(.tmp)\nif .status == 200 && exists(.debug) {\n  abort\n}\n.geo = get_enrichment_table_record!(\"geo\", { \"ip\": .ip })\n";
    let folder = Folder::new("import-vrl").with("clean-up.vrl", program);
    let seen = folder.run(&["import", "vrl", "clean-up.vrl", "--source", "app"], b"");
    assert_eq!(seen.code(), Some(1), "{}", seen.err());
    let said = seen.out();
    assert!(said.starts_with("rule clean_up on app {\n  # keep what matters\n"), "{said}");
    assert!(said.contains(".service = lower(.service)"), "{said}");
    assert!(said.contains("if .status == 200 and .debug is not missing {"), "{said}");
    assert!(said.contains("# not translated: .geo = get_enrichment_table_record!"), "{said}");
    assert!(seen.err().contains("line 7:"), "{}", seen.err());
    let program =
        format!("source app : {{ ... }}\nsink logs : {{ ... }}\n{said}default route to logs\n");
    let folder = folder.with("t.rules", program);
    let checked = folder.run(&["check", "t.rules"], b"");
    assert_eq!(checked.code(), Some(0), "{}", checked.err());
    let seen = folder.run(&["import", "vrl", "-"], b".a = 1\n");
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
}

#[test]
fn the_doctor_says_where_events_and_rules_disagree() {
    let rules = "source app : { status: int, name: string, ... }\nsink logs : { ... }\nrule r on app {\n  .half = div(.size, 2)\n}\ndefault route to logs\n";
    let mut events = String::new();
    for n in 0..100 {
        let status = if n < 7 { "200".to_owned() } else { "\"200\"".to_owned() };
        let name = if n < 60 { ",\"name\":\"n\"" } else { "" };
        events.push_str(&format!("{{\"status\":{status},\"size\":\"4\"{name}}}\n"));
    }
    let folder = Folder::new("doctor").with("t.rules", rules).with("events.json", &events);
    let seen = folder.run(&["doctor", "t.rules", "--on", "events.json"], b"");
    assert_eq!(seen.code(), Some(1), "{}", seen.err());
    let said = seen.out();
    assert!(
        said.contains("93 % of events carry text in `.status`, declared `int`  t.rules:1:16"),
        "{said}"
    );
    assert!(said.contains("did you mean `int coerce`?"), "{said}");
    assert!(said.contains("40 % of events have no `.name`"), "{said}");
    assert!(said.contains("100 % of the events that t/r takes fault at `.half =`: type"), "{said}");
    let seen = folder
        .run(&["doctor", "t.rules", "--on", "-"], b"{\"status\":1,\"name\":\"n\",\"size\":4}");
    assert_eq!(seen.code(), Some(0), "{}", seen.out());
    assert!(seen.out().contains("nothing to tell"), "{}", seen.out());
}

const LOCK: &str = r#"
[[table]]
name = "logs"
columns = [
  { name = "timestamp", type = "DateTime64(9, 'UTC')" },
  { name = "service", type = "LowCardinality(String)" },
  { name = "status", type = "Nullable(Int64)" },
]
"#;

#[test]
fn a_search_is_printed_as_sql() {
    let rules = "source app : { timestamp: timestamp, service: string?, status: int?, ... }\nsink logs : table(\"logs\")\ndefault route to logs\n";
    let folder = Folder::new("search").with("t.rules", rules);
    let asked = ["search", "t.rules", "status >= 500 and service == \"web\"", "--print-sql"];
    let seen = folder.run(&asked, b"");
    assert_eq!(seen.code(), Some(2), "{}", seen.err());
    assert!(seen.err().contains("there is no schemas/clickhouse.lock"), "{}", seen.err());

    fs::create_dir_all(folder.0.join("schemas")).unwrap();
    let folder = folder.with("schemas/clickhouse.lock", LOCK);
    let seen = folder.run(&asked, b"");
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    let said = seen.out();
    for part in [
        "-- .status >= 500 and .service == \"web\"",
        "SELECT * FROM logs\nWHERE (",
        "toInt64(`status`) >= {p",
        "-- param_p1 = ",
        " = web",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }

    let seen = folder.run(&["search", "t.rules", "nope == 1", "--print-sql"], b"");
    assert_eq!(seen.code(), Some(1), "{}", seen.out());
    assert!(seen.err().contains("error[E603]: the table keeps no `.nope`"), "{}", seen.err());
    assert!(seen.err().contains("--> search:1:1"), "{}", seen.err());
}

#[test]
fn costs_are_asked_for() {
    let rules = "source app\nsink logs : { ... }\nrule cheap on app when .service == \"a\" {\n  tag \"a\"\n}\nrule dear on app {\n  .x = parse_json(.message)\n}\ndefault route to logs\n";
    let folder = Folder::new("costs").with("t.rules", rules);
    let seen = folder.run(&["check", "t.rules", "--costs"], b"");
    assert_eq!(seen.code(), Some(0), "{}", seen.err());
    assert!(seen.err().contains("warning[W801]: `dear` takes about"), "{}", seen.err());
    let seen = folder.run(&["check", "t.rules"], b"");
    assert!(!seen.err().contains("W801"), "{}", seen.err());
}
