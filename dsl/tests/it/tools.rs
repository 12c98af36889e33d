//! Tools of who writes rules: what one event meets, what tests reach, what they saw.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use expect_test::expect;
use logmon_dsl::{
    accept::{accept, edited},
    cost,
    coverage::{measure, said_by_tests, untested},
    diagnostic::has_errors,
    eval::NoLookups,
    infer::{Seen, draft},
    program::{Analysis, Reader, analyze},
    span::FileId,
    syntax::format,
    test_block::run_test,
    trace::{Given, draw, trace},
};

struct Files(BTreeMap<PathBuf, String>);

impl Reader for Files {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }
}

fn program(text: &str) -> Analysis {
    let files = Files([(PathBuf::from("t.rules"), text.to_owned())].into());
    let analysis = analyze(Path::new("t.rules"), &files);
    assert!(!has_errors(&analysis.diagnostics), "{:?}", analysis.diagnostics);
    analysis
}

const RULES: &str = r#"source web : { service: string, http: { path: string?, status: int? coerce }, n: int?, ... }
source other : { ... }
sink logs : { ... }
fn is_health(path: string?) -> bool = path in ["/healthz", "/livez"]
rule health on web when is_health(.http.path) and not (.http.status >= 400 or .service == "edge") {
  drop as "health"
}
rule mark on web when .http.status >= 500 {
  .page = true
  .half = .n / 2 else {
    .half = 0
  }
  del .http.path
  if .service == "edge" {
    tag "edge"
  } else if .service == "core" {
    tag "core"
  } else {
    return
  }
  route to logs
}
group g first when .service != "quiet" {
  rule one on web when .service == "edge" { .one = 1 }
  rule two on web { .two = 2 }
}
rule elsewhere on other { drop }
default route to logs
"#;

/// One event's way, with details of the rules whose names are given.
fn way(event: &str, names: &[&str]) -> String {
    let analysis = program(RULES);
    let plan = &analysis.plan;
    let wanted = |rule| names.contains(&&*plan.rule(rule).name);
    let given = Given { event, source: 0, now: 1_767_225_600_000_000_000 };
    let trace = trace(&analysis, given, &mut NoLookups, &wanted).expect("it is an event");
    draw(plan, &trace, &wanted)
}

#[test]
fn a_dropped_event_tells_which_parts_held() {
    let event = r#"{"service":"web","http":{"path":"/livez","status":"200"}}"#;
    expect![[r#"
        rule t/health: took it
          yes  all of
          yes    is_health(.http.path)    .http.path = "/livez"
          yes    not
          no       any of
          no         .http.status >= 400  .http.status = 200
          no         .service == "edge"   .service = "web"
          dropped as "health"
    "#]]
    .assert_eq(
        &way(event, &["health"]).lines().take(8).fold(String::new(), |all, line| all + line + "\n"),
    );
}

#[test]
fn a_rule_tells_what_it_wrote() {
    let event = r#"{"service":"edge","http":{"path":"/x","status":503}}"#;
    expect![[r#"
        t/health     its condition did not hold
        rule t/mark: took it
          yes  .http.status >= 500  .http.status = 503
          wrote .half = 0
          removed .http.path, was "/x"
          wrote .page = true
          wrote .tags = ["edge"]
          routed to logs
        t/g/one      took it
        rule t/g/two: never saw it: t/g/one took it first
          yes  .service != "quiet"  .service = "edge"
        t/elsewhere  sees other sources

        routed to logs by t/mark: {"http":{"status":503},"service":"edge","page":true,"half":0,"tags":["edge"]}
    "#]].assert_eq(&way(event, &["mark", "two"]));
}

#[test]
fn a_text_that_is_no_event_is_refused() {
    let analysis = program(RULES);
    for event in ["", "[]", "{", "{\"a\":1"] {
        let given = Given { event, source: 0, now: 0 };
        assert!(trace(&analysis, given, &mut NoLookups, &|_| true).is_err(), "{event}");
    }
}

#[test]
fn coverage_names_what_no_test_reached() {
    let tests = r#"
test "one" {
  given on web { service: "edge", http: { status: 503 } }
  expect routed
}
"#;
    let analysis = program(&format!("{RULES}{tests}"));
    let found = measure(&analysis, &analysis.tests);
    let rules: Vec<&str> = found
        .rules
        .iter()
        .filter(|(_, reached)| !reached)
        .map(|(rule, _)| &*analysis.plan.rule(*rule).name)
        .collect();
    assert_eq!(rules, ["health", "two", "elsewhere"]);
    let branches: Vec<(&str, bool, bool)> = found
        .branches
        .iter()
        .map(|branch| {
            let text = analysis.loaded.sources.text(branch.at);
            (text.lines().nth(1).unwrap_or_default().trim(), branch.is_else, branch.reached)
        })
        .collect();
    assert_eq!(
        branches,
        [
            (".half = 0", true, true),
            ("tag \"edge\"", false, true),
            ("tag \"core\"", false, false),
            ("return", true, false),
        ]
    );
    assert!(!found.is_whole());
    // What only stands there to be counted changes nothing for the tests themselves.
    let plan = std::sync::Arc::new(analysis.plan.clone());
    assert!(analysis.tests.iter().all(|test| run_test(&plan, test).passed()));
}

#[test]
fn what_tests_saw_becomes_what_they_expect() {
    let tests = r#"
test "all of them" {
  given on web { service: "edge", http: { path: "/x", status: 503 }, n: 5 }
  expect routed to logs {
    .page == false
  }
  expect routed to logs {
    .service == "core" and .half == 2.5
    .half == 1
  }
  expect routed to logs {
    .http.path == "/x"
  }
  expect dropped by health
  expect passed == 7
  given on web { service: "x", http: { path: "/livez" } }
  expect routed
}
"#;
    let mut text = format!("{RULES}{tests}");
    // A block of conditions shows its first wrong one: the next round shows the next.
    for _ in 0..3 {
        let analysis = program(&text);
        let plan = std::sync::Arc::new(analysis.plan.clone());
        let failures = run_test(&plan, &analysis.tests[0]).failures;
        if failures.is_empty() {
            break;
        }
        let edits: Vec<_> =
            failures.iter().map(|failure| accept(&analysis, failure).expect("it can")).collect();
        text = edited(&analysis, edits).remove(0).1;
    }
    let accepted = &text[RULES.len()..];
    expect![[r#"

        test "all of them" {
          given on web { service: "edge", http: { path: "/x", status: 503 }, n: 5 }
          expect routed to logs {
            .page == true
          }
          expect routed to logs {
            .service == "edge" and .half == 2.5
            .half == 2.5
          }
          expect routed to logs {
            .http.path is absent
          }
          expect routed to logs
          expect passed == 1
          given on web { service: "x", http: { path: "/livez" } }
          expect dropped by health
        }
    "#]]
    .assert_eq(accepted);
}

#[test]
fn what_only_a_person_can_decide_is_left_alone() {
    let tests = "test \"t\" {\n  given on web { service: \"edge\", http: { status: 503 } }\n  expect routed to logs { .service starts_with \"x\" }\n  expect dropped by health { .service == \"edge\" }\n}\n";
    let analysis = program(&format!("{RULES}{tests}"));
    let plan = std::sync::Arc::new(analysis.plan.clone());
    let failures = run_test(&plan, &analysis.tests[0]).failures;
    assert_eq!(failures.len(), 2);
    assert!(failures.iter().all(|failure| accept(&analysis, failure).is_none()));
}

/// The draft of a type for events, one a line, as `fmt` writes it.
fn drafted(events: &str) -> String {
    let mut seen = Seen::default();
    for line in events.lines().filter(|line| !line.trim().is_empty()) {
        seen.add(line).expect("it is an event");
    }
    let text = draft("Event", &seen);
    format(FileId::default(), &text).expect("the draft can be read")
}

#[test]
fn a_draft_says_types_and_how_often() {
    let events = r#"
{"timestamp":"2026-05-01T10:00:00Z","level":"WARN","service":"web","http":{"status":"503","path":"/"},"client":"10.0.0.1","n":1,"tags":["a"],"k8s.io/pod":"p","items":[{"sku":"a","n":1}],"at_ms":1}
{"timestamp":"2026-05-01T10:00:01Z","level":"info","service":"api","http":{"status":200},"client":"::1","n":1.5,"tags":[],"x":null,"items":[],"ts":1767225600123}
{"timestamp":"2026-05-01T10:00:02Z","level":"30","service":"api","http":{"status":200,"path":"/a"},"client":"10.0.0.2","n":2,"x":true,"mixed":1,"zip":"01234","ts":1767225600456}
{"timestamp":"2026-05-01T10:00:02Z","level":"error","service":"api","http":{"status":404,"path":"/b"},"client":"10.0.0.2","n":2,"mixed":"one","ts":1767225600456}
"#;
    expect![[r#"
        # Drafted from 4 events; what stands in few of them is marked.
        type Event = {
          timestamp: timestamp,
          level: severity coerce,
          service: string,
          http: {
            status: int coerce,  # numbers, and text that holds numbers
            path: string?,  # in 75 %
            ...
          },
          client: ip,
          n: float,
          tags: list<string>?,  # in 50 %
          "k8s.io/pod": string?,  # in 25 %
          items: list<{
            sku: string,
            n: int,
          }>?,  # in 50 %
          at_ms: int?,  # in 25 %
          x: bool?,  # in 25 %
          ts: timestamp? coerce,  # in 75 %; numbers since 1970
          mixed: any?,  # in 50 %; values of different types
          zip: string?,  # in 25 %; always a number: `int coerce` if it is one
          ...
        }
    "#]]
    .assert_eq(&drafted(events));
}

#[test]
fn many_keys_are_a_map_and_no_key_breaks_the_draft() {
    let mut events = String::new();
    for n in 0..60 {
        events.push_str(&format!("{{\"by_user\":{{\"u{n}\":{n}}},\"a\\\"b\\n\":1,\"rule\":2}}\n"));
    }
    expect![[r#"
        # Drafted from 60 events; what stands in few of them is marked.
        type Event = {
          by_user: map<int>,  # keys are data
          "a\"b\n": int,
          rule: int,
          ...
        }
    "#]]
    .assert_eq(&drafted(&events));
}

#[test]
fn what_is_no_event_is_not_counted() {
    let mut seen = Seen::default();
    for text in ["", "[]", "1", "{", "{\"a\":1} x", "null"] {
        assert!(seen.add(text).is_err(), "{text}");
    }
    assert_eq!(seen, Seen::default());
    // Deep values are looked into only so far that the draft can be read.
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let text = drafted(&deep);
    assert!(text.contains("list<list<") && text.contains("<any>"), "{text}");
    let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    assert!(drafted(&deep).contains("a: { ... },"), "{}", drafted(&deep));
}

#[test]
fn a_draft_fits_the_events_it_was_made_of() {
    let event = r#"{"timestamp":"2026-05-01T10:00:00Z","level":"WARN","http":{"status":"503"},"ip":"10.0.0.1","ratio":"0.5 "}"#;
    let text = format!(
        "{}\nsource s : Event\nsink k : {{ ... }}\nrule r on s when .http.status == 503 and .level == warn and .ip in cidr\"10.0.0.0/8\" {{ route to k }}\ndefault route to k\ntest \"t\" {{ given {event} expect routed_by_rule }}\n",
        drafted(event)
    )
    .replace(" expect routed_by_rule", " expect metric(\"matched\", rule: r) == 1");
    let analysis = program(&text);
    let plan = std::sync::Arc::new(analysis.plan.clone());
    let failures = run_test(&plan, &analysis.tests[0]).failures;
    assert!(failures.is_empty(), "{failures:?}\n{text}");
}

#[test]
fn what_no_test_reaches_is_warned_of() {
    let analysis = program(&format!(
        "{RULES}\ntest \"one\" {{\n  given on web {{ service: \"edge\", http: {{ status: 503 }} }}\n}}\n"
    ));
    let said: Vec<String> =
        untested(&analysis).iter().map(|one| format!("{}: {}", one.code, one.message)).collect();
    expect![[r"
        W701: this test expects nothing
        W701: no test reaches the rule `health`
        W701: no test reaches this branch of `mark`
        W701: no test reaches this `else` of `mark`
        W701: no test reaches the rule `two`
        W701: no test reaches the rule `elsewhere`"]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn the_dear_rule_is_named_with_what_is_dear_in_it() {
    let text = "source app\nsink s : { ... }\nrule cheap on app when .service == \"a\" { tag \"a\" }\n\
        rule dear on app { .x = captures(.message, re\"(?<a>[a-z]+) (?<b>[0-9]+)\") }\ndefault route to s\n";
    let plan = crate::programs::program(&[("main.rules", text)]).plan;
    let costs = cost::estimate(&plan);
    assert!(costs[1].nanos > costs[0].nanos * 10.0, "{costs:?}");
    let said = cost::expensive(&plan);
    assert_eq!(said.len(), 1);
    assert!(said[0].message.starts_with("`dear` takes about 9"), "{}", said[0].message);
    assert_eq!(said[0].related[0].1, "most of it is `captures`");
}

#[test]
fn an_allowed_rule_needs_no_test() {
    let text = "source app\nsink s : { ... }\n@allow(\"W701\")\nrule one on app { .x = 1 }\nrule two on app { .y = 1 }\ndefault route to s\n";
    let analysis = program(text);
    let said: Vec<String> =
        said_by_tests(&analysis).iter().map(|one| one.message.clone()).collect();
    assert_eq!(said, ["no test reaches the rule `two`"]);
}
