//! What checked programs do: their own `test` blocks hold.

use std::{path::Path, sync::Arc};

use logmon_dsl::{
    program::{Mode, compile},
    test_block::run_test,
};

use super::{Files, drawn};

/// Runs the tests of a program: each line is one that failed, and how.
#[track_caller]
fn failures(files: &[(&str, &str)]) -> Vec<String> {
    let compilation = compile(Path::new(files[0].0), &Files::of(files), Mode::Test);
    let Some(program) = &compilation.program else {
        panic!("the program has errors:\n{}", drawn(&compilation));
    };
    assert!(!program.tests.is_empty(), "there are tests");
    let plan = Arc::new(program.plan.clone());
    let mut failures = Vec::new();
    for test in &program.tests {
        for failure in run_test(&plan, test).failures {
            let event = failure.event.unwrap_or_default();
            failures
                .push(format!("{}: {} ({}) {event}", test.name, failure.message, failure.label));
        }
    }
    failures
}

/// Every test of a program holds.
#[track_caller]
fn holds(files: &[(&str, &str)]) {
    assert_eq!(failures(files), Vec::<String>::new());
}

#[test]
fn sources_that_declare_one_path_differently() {
    holds(&[(
        "main.rules",
        r#"source numbers : { status: int coerce, ... }
source texts   : { status: string, ... }
sink logs : table("logs")

rule big on numbers when .status >= 500 { .class = "big" }
rule text on texts when .status starts_with "5" { .class = "text" }
rule both on any when .status is string { .kind = "string" }
default route to logs

test "numbers are read as numbers, also out of text" {
  given on numbers { status: 503 }
  expect routed { .class == "big"  .kind is missing }
  given on numbers { status: "503" }
  expect routed { .class == "big"  .kind == "string" }
  given on numbers { status: "abc" }
  expect routed { .class is absent }
}

test "texts are read as text" {
  given on texts { status: "503" }
  expect routed { .class == "text"  .kind == "string" }
  given on texts { status: 503 }
  expect routed { .class is absent  .kind is absent }
}
"#,
    )]);
}

#[test]
fn undeclared_values_are_read_by_use() {
    holds(&[
        (
            "main.rules",
            r#"source app
sink logs : table("logs")
const LIMIT = 2 * 5
const NETS = cidrs("nets.txt")
const FROM = t"2026-01-01T00:00:00Z"
fn near(ip: ip?) -> bool = ip in NETS
fn label(n: int?, s: string?) -> string = f"{n ?? 0}-{s ?? "none"}"

rule level when .lvl >= warn { tag "loud" }
rule limit when .n > LIMIT and .n in [11, 12.5, "13"] { tag "limit" }
rule net when near(.from) { tag "near" }
rule when_it_was when .at > FROM and .at - FROM < 1h { tag "early" }
rule items when .items[*].sku contains "X" and not (.items[*].sku == "Y") { .first = .items[0].sku }
rule label { .label = label(int(.n), string(.s)) }
rule folded when .word == "HeLLo"i or .word has "old world"i { tag "word" }
rule class { .class = match .code { 200..=299 => "ok", 404 | 410 => "gone", _ => "other" } }
default route to logs

test "severities, numbers, addresses, times" {
  given { lvl: "error", n: 11, from: "10.1.2.3", at: "2026-01-01T00:30:00Z" }
  expect routed { "loud" in .tags  "limit" in .tags  "near" in .tags  "early" in .tags }
  given { lvl: "debug", n: "11", from: "11.1.2.3", at: "2026-01-01T02:00:00Z" }
  expect routed { .tags is absent  .label == "11-none" }
  given { lvl: 13, n: 12.5, at: 5 }
  expect routed { .tags == ["limit"] }
}

test "elements" {
  given { items: [{ sku: "aX" }, { sku: "b" }, {}] }
  expect routed { .first == "aX" }
  given { items: [{ sku: "aX" }, { sku: "Y" }] }
  expect routed { .first is missing }
  given { items: "none" }
  expect routed { .first is missing }
}

test "text" {
  given { word: "hEllo" }
  expect routed { "word" in .tags }
  given { word: "an OLD world." }
  expect routed { "word" in .tags }
  given { word: "bold world" }
  expect routed { .tags is missing }
}

test "match" {
  given { code: 204 }
  expect routed { .class == "ok" }
  given { code: 410 }
  expect routed { .class == "gone" }
  given { code: "410" }
  expect routed { .class == "other" }
}
"#,
        ),
        ("nets.txt", "10.0.0.0/8\n2001:db8::/32 # documentation\n"),
    ]);
}

#[test]
fn flow_and_absence() {
    holds(&[(
        "main.rules",
        r#"source app : { a: int?, b: string?, c: { d: int?, ... }?, ... }
sink logs : table("logs")
lookup owner(string, int) -> { team: string, page: bool }?

rule early when .b == "stop" { return }
rule set {
  .c.d ??= 7
  .sum = .a + .c.d
  .quot = .a / .zero else { .quot = -1 }
  if .b is absent { .b = "none" } else if .b == "x" { .b = f"{.b}!" } else { del .b }
}
group one first {
  rule first when .sum > 100 { .size = "big" }
  rule second when not (.sum > 100) { .size = "small" }
}
rule owned {
  let { team, page } = owner("svc", .c.d) else { .team = "nobody" return }
  .team = team
  if page { tag "page" }
}
rule away { rename .a -> .moved.a  .m |= { x: 1, ...{ y: 2 } }  .nothing = null }
default route to logs

test "values" {
  mock owner { ["svc", 7] => { team: "core", page: true } }
  given { a: 1, zero: 0, b: "x" }
  expect routed {
    .sum == 8  .quot == -1  .b == "x!"  .size == "small"  .team == "core"  "page" in .tags
    .moved.a == 1  .a is missing  .m.x == 1  .m.y == 2  .nothing is null
  }
  given { a: 200, zero: 2, c: { d: 1, e: "kept" }, b: "other" }
  expect routed { .sum == 201  .quot == 100.0  .b is missing  .size == "big"  .team == "nobody"  .c.e == "kept" }
  given { b: 5 }
  expect routed { .sum is absent  .size == "small"  .moved is absent }
}
"#,
    )]);
}

#[test]
fn a_wrong_expectation_is_a_failure() {
    let world = "source app\nsink logs : table(\"logs\")\ndefault route to logs\n";
    let test = "test \"t\" { given { a: 1 }  expect routed { .a == 2 } }\n";
    assert_eq!(failures(&[("main.rules", &format!("{world}{test}"))]).len(), 1);
}

#[test]
fn tables_secrets_and_grok() {
    let rows: String = (0..500).map(|n| format!("svc-{n},team-{n},{n}\n")).collect();
    let table = format!("service,team,cost\n\"a,b\",core,1\n{rows}");
    holds(&[
        (
            "main.rules",
            r#"source app
sink logs : table("logs")
const OWNERS = table("owners.csv", key: "service")
const LINE = grok"%{IP:client:ip} %{WORD:verb} %{INT:status:int}"

rule own {
  .team = get(OWNERS, .service).team
  .who = pseudonymize(.user, secret("example"))
  let line = parse_grok(.message, LINE)
  .status = line.status
  .client = line.client
  .by = rule_name()
  .old = has_tag("old")
  .count = weight()
  .from = host()
}
default route to logs

test "owners" {
  given {
    service: "svc-499",
    user: "bob",
    message: "10.0.0.1 GET 503",
    tags: ["new", "old"],
    sample_weight: 4,
    host: "web-1",
  }
  expect routed {
    .team == "team-499"
    len(.who) == 32
    .status == 503
    .client in cidr"10.0.0.0/8"
    .by == "own"
    .old
    .count == 4.0
    .from == "web-1"
  }
}

test "nobody" {
  given { service: "a,b", message: "hello" }
  expect routed {
    .team == "core"
    .status is missing
    not .old
    .count == 1.0
  }
}
"#,
        ),
        ("owners.csv", &table),
    ]);
}

#[test]
fn bytes_are_base64_text_wherever_they_leave_an_expression() {
    holds(&[(
        "main.rules",
        r#"source app : { body: bytes?, meta: { raw: bytes?, ... }?, ... }
sink logs : table("logs")
sink bus : { ... } with (key: string?)

rule copies on app {
  let b = bytes("ff00", from: hex)
  .b = b
  .said = string(b)
  .hex = encode_hex(b)
  .record = { raw: .body, list: [.body, bytes("a")] }
  .type = type_of(.body)
  .mixed = .other ?? .body
  if .flag { .body = bytes("x") }
  .meta.raw = .body
  .known = .body in [bytes("hi!"), bytes("x")]
  route to bus(note: .body, raw: { b: b })
}
default route to logs

test "a field, a record, a list, a route" {
  given { body: "aGkh", other: null }
  expect routed {
    .type == "bytes"
    .said is missing
    .hex == "ff00"
    .b == "/wA="
    encode_json(.record) == "{\"raw\":\"aGkh\",\"list\":[\"aGkh\",\"YQ==\"]}"
    .mixed == "aGkh"
    .known
    .body == bytes("hi!")
    .meta.raw == .body
  }
  expect routed to bus { .note == "aGkh"  .raw.b == "/wA=" }
}

test "what a rule wrote, and what came unpadded or wrong" {
  given { body: "aGkh", flag: true }
  expect routed { string(.body) == "x"  .known  .body is bytes }
  given { body: "YQ" }
  expect routed { string(.body) == "a"  not .known  encode_json(.body) == "\"YQ==\"" }
  given { body: 7 }
  expect routed { fault(.body) == "type"  .type == "missing" }
  given { body: "" }
  expect routed { len(.body) == 0  is_empty(.body) }
}
"#,
    )]);
}

#[test]
fn windows_keep_bytes() {
    holds(&[(
        "main.rules",
        r#"source app : { timestamp: timestamp, body: bytes?, ... }
sink logs : table("logs")
window w on app {
  over 1m
  by .body
  let n = count()
  let last = last(.body)
  let kinds = uniq(.body)
  route to logs
}
default route to logs

test "as keys and as values" {
  at t"2026-05-01T10:00:00Z"
  given x3 { body: "aGkh" }
  advance 2m
  expect routed to logs { .n == 3  .last == bytes("hi!")  .kinds == 1 }
}
"#,
    )]);
}

#[test]
fn faults_of_conditions_are_counted_where_they_were_asked() {
    holds(&[(
        "main.rules",
        r#"source app : { status: int?, kind: string?, ... }
sink logs : table("logs")

rule plain on app when .status >= 500 { .high = true }
rule guarded on app when .n is int and .n > 5 and int(.size) > 7 { .large = true }
rule known on app when .kind == "x" and int(.size) > 7 { .size_known = true }
rule defaulted on app when (int(.size) ?? 0) > 7 { .default = true }
rule branches on app { if .status == 7 { .seven = true } else if int(.size) == 1 { .one = true } }
group both when int(.m) > 0 {
  rule grouped on app when .status < 3 or .status > 9 { .odd = true }
}
default route to logs

test "a wrong type, a text that is no number, and what is simply not there" {
  given { status: "503", size: "big", m: "m" }
  expect routed
  expect metric("faults", rule: plain) == 1
  expect metric("faults", rule: guarded) == 0
  expect metric("faults", rule: known) == 0
  expect metric("faults", rule: defaulted) == 0
  expect metric("faults", rule: branches) == 2
  expect metric("faults", rule: grouped) == 1
  given { kind: "x", size: "big", n: 6 }
  expect metric("faults", rule: plain) == 1
  expect metric("faults", rule: guarded) == 1
  expect metric("faults", rule: known) == 1
  given { status: "1", m: 1 }
  expect metric("faults", rule: grouped) == 2
}
"#,
    )]);
}
