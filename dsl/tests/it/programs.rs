//! Programs as text: compiled, run over events, and their own tests run.

use std::{collections::HashMap, path::Path, sync::Arc};

use logmon_dsl::{
    eval::NoLookups,
    program::{Mode, Program, Reader, compile},
    render,
    test_block::run_test,
};

use crate::plans::run_with;

struct Texts(HashMap<&'static str, String>);

impl Reader for Texts {
    fn read(&self, path: &Path) -> Result<String, String> {
        let path = path.to_str().unwrap_or_default();
        self.0.get(path).cloned().ok_or_else(|| format!("there is no file {path}"))
    }
}

#[track_caller]
pub(crate) fn program(files: &[(&'static str, &str)]) -> Program {
    let texts = Texts(files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect());
    let compiled = compile(Path::new(files[0].0), &texts, Mode::Test);
    let drawn = render::render(&compiled.diagnostics, &compiled.sources, false);
    compiled.program.unwrap_or_else(|| panic!("{drawn}"))
}

/// Runs a program over events and compares each one's outcome.
#[track_caller]
fn check(rules: &str, cases: &[(&str, &str)]) {
    let plan = Arc::new(program(&[("main.rules", rules)]).plan);
    let events: Vec<&str> = cases.iter().map(|(event, _)| *event).collect();
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(run_with(&plan, &events, 0, &mut NoLookups).0, expected);
}

/// Runs a program's tests; each line is a test that failed and how.
pub(crate) fn failures(files: &[(&'static str, &str)]) -> Vec<String> {
    let program = program(files);
    assert!(!program.tests.is_empty(), "there are tests");
    let plan = Arc::new(program.plan);
    let mut lines = Vec::new();
    for test in &program.tests {
        for failure in run_test(&plan, test).failures {
            let event = failure.event.unwrap_or_default();
            lines.push(format!("{}: {} ({}) {event}", test.name, failure.message, failure.label));
        }
    }
    lines
}

#[test]
fn the_smallest_program() {
    check(
        include_str!("../samples/smallest.rules"),
        &[
            (r#"{"severity":"debug"}"#, r"dropped by r0 as debug"),
            (
                r#"{"severity":"WARN","client":{"ip":"8.8.8.8"},"x":[1]}"#,
                r#"routed | logs#0 {"severity":"WARN","client":{"ip":"8.8.8.8"},"x":[1]} | .geo = lookup_miss"#,
            ),
            (r#"{"client":{"ip":"10.0.0.1"}}"#, r#"routed | logs#0 {"client":{"ip":"10.0.0.1"}}"#),
        ],
    );
}

#[test]
fn the_built_in_shape_of_places_gives_way_to_a_declared_one() {
    let rules = r#"source app
sink logs : { ... }
lookup geo(ip) -> Geo?
rule place { .country = geo(.ip).country  .lat = geo(.ip).latitude }
default route to logs
test "what the database knows is read by its type" {
  mock geo { ip"192.0.2.1" => { country: "AU", latitude: -33.9 } }
  given { ip: "192.0.2.1" }
  expect routed { .country == "AU"  .lat == -33.9 }
}
"#;
    assert_eq!(failures(&[("main.rules", rules)]), Vec::<String>::new());
    let declared = rules.replace("latitude", "land");
    let declared = format!("{declared}type Geo = {{ country: string, land: float }}\n");
    let Program { plan, .. } = program(&[("main.rules", &declared)]);
    let yields = plan.lookups[0].yields.to_string();
    assert_eq!(yields, "{ country: string, land: float }?");
}

const WORLD: (&str, &str) = ("lib/world.rules", include_str!("../samples/world.rules"));
const TYPES: (&str, &str) = ("lib/types.rules", include_str!("../samples/types.rules"));

/// The library of the samples, its lists in place.
const HTTP: &str = r#"
const HEALTH_PATHS = ["/healthz", "/livez", "/readyz", "/metrics"]
const BOT_AGENTS   = ["curl", "bot"]

fn is_health(path: string?)  -> bool = path in HEALTH_PATHS or path starts_with "/health"
fn is_5xx(status: int?)      -> bool = status >= 500 and status < 600
fn is_bot(agent: string?)    -> bool = contains_any(agent, BOT_AGENTS)
fn status_class(status: int?) -> string = match status ?? 0 {
  100..=199 => "1xx", 200..=299 => "2xx", 300..=399 => "3xx",
  400..=499 => "4xx", 500..=599 => "5xx", _ => "other",
}
"#;

#[test]
fn noise_is_dropped_and_sampled() {
    let rules = r#"
use "lib/world.rules"
use "lib/http.rules" as http

const CHATTY = ["envoy", "coredns", "node-exporter"]

rule drop_healthchecks on k8s
  when http::is_health(.http.path) and .http.status < 400
{
  drop as "healthcheck"
}

rule drop_debug on k8s
  when .severity < info and .kubernetes.namespace not in ["payments", "auth"]
{
  route to archive
  drop as "debug"
}

rule sample_ok_requests on k8s
  when .severity <= info and .http.status >= 200 and .http.status < 400 and .service in CHATTY
{
  sample 5% by .trace_id ?? .message else {
    route to archive
    drop as "sampled"
  }
}

rule protect on k8s { del .client.ip }

default route to app_logs

test "health checks go, failing health checks stay" {
  given { service: "web", http: { path: "/healthz", status: 200 } }
  expect dropped by drop_healthchecks

  given { service: "web", http: { path: "/healthz", status: 503 } }
  expect routed
}

test "status sent as text is read as a number" {
  given { service: "web", http: { path: "/livez", status: "204" } }
  expect dropped by drop_healthchecks
}

test "debug goes to the archive first" {
  given { severity: "debug", kubernetes: { namespace: "shop" } }
  expect dropped by drop_debug
  expect routed to archive { .severity == debug  .kubernetes.pod == "pod" }
  given { severity: "debug", kubernetes: { namespace: "auth" } }
  expect routed to app_logs
}

test "samples" {
  given x100 { service: "envoy", http: { status: 200 }, trace_id: "t-1" }
  expect metric("matched", rule: "sample_ok_requests") == 100
  expect metric("faults") == 0
}
"#;
    let files = [("main.rules", rules), WORLD, TYPES, ("lib/http.rules", HTTP)];
    assert_eq!(failures(&files), [""; 0]);
}

#[test]
fn events_are_parsed_enriched_and_protected() {
    let sample = include_str!("../samples/20-enrich.rules");
    let rules = format!("{sample}\ndefault route to archive\n");
    let files = [("main.rules", &*rules), WORLD, TYPES, ("lib/http.rules", HTTP)];
    assert_eq!(failures(&files), [""; 0]);
}

#[test]
fn each_event_has_one_home() {
    let rules = r#"
use "lib/world.rules"
use "lib/http.rules" as http

const AUDIT_VERBS = ["create", "update", "delete", "login", "logout", "grant", "revoke"]

group home first {
  rule audit on any when .body.verb in AUDIT_VERBS and .user.id is present {
    route to audit_logs, audit_topic(key: .user.id)
  }
  rule access on any when .http.status is present {
    .http.class = http::status_class(.http.status)
    route to access_logs
  }
  rule application on any {
    route to app_logs
  }
}

rule keep_cold on any when .severity >= notice or .user.is_staff {
  route to archive
}

test "audit events go to the table and to Kafka, keyed by user" {
  given { service: "iam", message: "role granted", body: { verb: "grant" }, user: { id: "u7" } }
  expect routed to audit_logs
  expect routed to audit_topic { @key == "u7" }
}

test "the rest" {
  given { http: { status: 404 }, user: { is_staff: true } }
  expect routed to access_logs { .http.class == "4xx" }
  expect routed to archive { .http.class starts_with "4" }
  given {}
  expect routed to app_logs
  expect passed == 2
}
"#;
    let files = [("main.rules", rules), WORLD, TYPES, ("lib/http.rules", HTTP)];
    assert_eq!(failures(&files), [""; 0]);
}

#[test]
fn a_failing_test_says_what_is_there_instead() {
    let rules = r#"
source app
sink out : { ... }
rule mark on app when .severity >= error { .page = true  .n = len(.message) }
rule noise on app when .message == "noise" { drop as "silence" }
default route to out

test "t" {
  given { severity: "error", message: "boom" }
  expect routed { .page == true  .n == 5 }
  expect dropped by noise
  expect routed { .n is missing }
  given { message: "noise" }
  expect routed to out
  expect passed == 2
}
"#;
    assert_eq!(
        failures(&[("main.rules", rules)]),
        [
            r#"t: `.n` is not as expected (expected 5, found 4) {"severity":"error","message":"boom","timestamp":"2026-01-01T00:00:00Z","page":true,"n":4}"#,
            r#"t: the event was not dropped by `main/noise` (it was routed to `out`) {"severity":"error","message":"boom","timestamp":"2026-01-01T00:00:00Z","page":true,"n":4}"#,
            r#"t: `.n` is not as expected (expected a missing field, found 4) {"severity":"error","message":"boom","timestamp":"2026-01-01T00:00:00Z","page":true,"n":4}"#,
            r#"t: the event was not routed to `out` (it was dropped by `main/noise` as "silence") {"message":"noise","timestamp":"2026-01-01T00:00:00Z"}"#,
            "t: the count is 1 (expected 2) ",
        ]
    );
}

#[test]
fn lambdas_see_elements_fields_and_lets() {
    check(
        r#"
source app : { prefix: string?, limit: int?, ... }
sink out : { ... }
rule r on app {
  let more = .limit ?? 0
  .up = map(.tags, |t| f"{.prefix}{upper(string(t) ?? "?")}")
  .big = filter(.ns, |n| int(n) > more)
  .nested = map(.lists, |l| len(filter(l, |n| int(n) >= len(string(.prefix) ?? ""))))
  .any = any(.ns, |n| int(n) == more)
  if .lists[*].x == 1 { .found = true }
}
default route to out
"#,
        &[
            (
                r#"{"prefix":"p-","limit":2,"tags":["a",3],"ns":[1,2,3],"lists":[[1,2,3],[],[2]]}"#,
                r#"routed | out#0 {"limit":2,"tags":["a",3],"prefix":"p-","ns":[1,2,3],"lists":[[1,2,3],[],[2]],"up":["p-A","p-3"],"big":[3],"nested":[2,0,1],"any":true}"#,
            ),
            (
                r#"{"prefix":"","tags":[],"ns":[5],"lists":[{"x":1}]}"#,
                r#"routed | out#0 {"tags":[],"prefix":"","ns":[5],"lists":[{"x":1}],"up":[],"big":[5],"nested":[null],"any":false,"found":true}"#,
            ),
        ],
    );
}

#[test]
fn times_addresses_and_severities_are_typed() {
    check(
        r#"
source app
sink out : { ... }
rule r on app {
  .late = .timestamp > now() - 15m
  .office = ip(.peer) in cidr"10.0.0.0/8" or ip(.peer) in [ip"192.0.2.1", cidr"198.51.100.0/24"]
  .age = now() - .timestamp
  .level = .severity ?? warn
  .net = ip_mask(ip(.peer), v4: 24, v6: 48)
  .timestamp = floor_time(.timestamp, 1h)
}
rule again on app when .level >= warn and .net is present { .grave = f"{.level} at {.timestamp}" }
default route to out
"#,
        &[
            (
                r#"{"timestamp":1767225000,"severity":4,"peer":"198.51.100.7"}"#,
                r#"routed | out#0 {"timestamp":"2025-12-31T23:00:00Z","peer":"198.51.100.7","severity":4,"late":true,"office":true,"age":"10m","level":"warn","net":"198.51.100.0/24","grave":"warn at 2025-12-31T23:00:00Z"}"#,
            ),
            (
                r#"{"timestamp":"2025-12-31T23:00:00.000000001Z","severity":"info"}"#,
                r#"routed | out#0 {"timestamp":"2025-12-31T23:00:00Z","severity":"info","late":false,"office":false,"age":"1h999ms999us999ns","level":"info"} | .net = missing"#,
            ),
            (
                r#"{"peer":"::1"}"#,
                r#"routed | out#0 {"peer":"::1","late":true,"timestamp":"2026-01-01T00:00:00Z","office":false,"age":"0s","level":"warn","net":"::/48","grave":"warn at 2026-01-01T00:00:00Z"}"#,
            ),
        ],
    );
}

#[test]
fn functions_put_into_each_other_stay_on_the_stack() {
    let mut rules = String::from("source app : { n: int?, ... }\nsink out : { ... }\n");
    let sum = ["("; 20].concat() + "x" + &[" + 1)"; 20].concat();
    rules.extend(["fn f0(x: int?) -> int? = ", &sum, "\n"]);
    for n in 1..10 {
        let below = n - 1;
        rules.push_str(
            &[
                "fn f",
                &n.to_string(),
                "(x: int?) -> int? = f",
                &below.to_string(),
                "(",
                &sum,
                ")\n",
            ]
            .concat(),
        );
    }
    rules += "rule r on app { .n = f9(.n) }\ndefault route to out\n";
    check(&rules, &[(r#"{"n":0}"#, r#"routed | out#0 {"n":200}"#)]);
}

#[test]
fn text_that_doubles_again_and_again_ends_as_absent() {
    let mut rules = String::from("source app : { ... }\nsink out : { ... }\nrule r on app {\n");
    rules += "  .a = \"0123456789abcdef\"\n";
    rules += &"  .a = f\"{.a}{.a}\"\n".repeat(40);
    rules += "  .n = len(string(.a))\n  del .a\n}\ndefault route to out\n";
    let plan = Arc::new(program(&[("main.rules", &rules)]).plan);
    let (shown, outcome) = run_with(&plan, &["{}"], 0, &mut NoLookups);
    assert!(
        shown[0].starts_with(r#"routed | out#0 {"n":4194304} | .a = out_of_range"#),
        "{}",
        shown[0]
    );
    assert_eq!(outcome.faults.iter().map(|fault| fault.2).sum::<u32>(), 22);
}

#[test]
fn members_are_taken_out_of_records_alone() {
    let rules = r"source app : { m: any, ... }
sink logs : { ... }
rule r { let { a, b } = .m else { .miss = true  return }  .sum = a + (b ?? 1) }
default route to logs
";
    check(
        rules,
        &[
            (r#"{"m":{"a":1,"b":2}}"#, r#"routed | logs#0 {"m":{"a":1,"b":2},"sum":3}"#),
            (r#"{"m":{"a":1}}"#, r#"routed | logs#0 {"m":{"a":1},"sum":2}"#),
            (r#"{"m":5}"#, r#"routed | logs#0 {"m":5,"miss":true} | let { a, b } type"#),
            (r#"{"m":[1]}"#, r#"routed | logs#0 {"m":[1],"miss":true} | let { a, b } type"#),
        ],
    );
}

#[test]
fn epoch_numbers_in_text_are_times_where_coerced() {
    let rules = r"source app : { t: timestamp coerce, u: timestamp?, ... }
sink logs : { ... }
rule r { .year = string(.t)  .strict = string(.u) ?? fault(.u) }
default route to logs
";
    let out = |year: &str, strict: &str, t: &str, u: &str| {
        format!(r#"routed | logs#0 {{"t":{t},"u":{u},"year":"{year}","strict":"{strict}"}}"#)
    };
    let cases = [
        ("\"1767225600\"", "2026-01-01T00:00:00Z", "\"1767225600\"", "parse"),
        ("\"1767225600.5\"", "2026-01-01T00:00:00.500Z", "1767225600", "type"),
        (
            "1767225600123",
            "2026-01-01T00:00:00.123Z",
            "\"2026-01-01T00:00:00Z\"",
            "2026-01-01T00:00:00Z",
        ),
        ("\"-1\"", "1969-12-31T23:59:59Z", "null", "null"),
    ];
    for (t, year, u, strict) in cases {
        let event = format!(r#"{{"t":{t},"u":{u}}}"#);
        check(rules, &[(&event, &out(year, strict, t, u))]);
    }
}

#[test]
fn what_one_source_declares_says_nothing_of_another_ones_events() {
    let rules = r#"source open : { ... }
source typed : { status: int coerce, level: severity, ... }
sink logs : { ... }
rule own on open when .status == "ok" { .yes = true  .copy = .status }
rule both on any { .kind = type_of(.status)  .level ??= info }
rule move on open when .status is present { rename .status -> .moved }
rule high on typed when .status >= 500 { .high = true }
default route to logs
"#;
    check(
        rules,
        &[
            (
                r#"{"status":"ok","level":"loud"}"#,
                r#"routed | logs#0 {"level":"loud","yes":true,"copy":"ok","kind":"string","moved":"ok"}"#,
            ),
            (
                r#"{"status":7.50}"#,
                r#"routed | logs#0 {"kind":"float","level":"info","moved":7.50}"#,
            ),
        ],
    );
    // Events come from the first source.
    let typed = "source typed : { status: int coerce, level: severity, ... }\n";
    let swapped = format!("{typed}{}", rules.replace(typed, ""));
    check(
        &swapped,
        &[(
            r#"{"status":"503","level":"warn"}"#,
            r#"routed | logs#0 {"status":"503","level":"warn","kind":"int","high":true}"#,
        )],
    );
}
