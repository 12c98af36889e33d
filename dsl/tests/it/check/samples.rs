//! The programs of the manual.

use std::path::Path;

use logmon_dsl::program::{Mode, compile};

use super::{Files, check_files, compile_text, drawn};

/// The smallest useful program.
pub(super) const SMALLEST: &str = r#"source app
sink   logs : table("logs")
lookup geo(ip) -> Geo?
type Geo = { country: string, city: string?, asn: int?, org: string? }

rule drop_debug on app when .severity < info   { drop as "debug" }
rule where_from on app when is_public(.client.ip) { .geo = geo(.client.ip) }

default route to logs
"#;

const TYPES: &str = r"type K8sLog = {
  timestamp: timestamp,
  severity:  severity coerce,
  service:   string,
  message:   string,
  trace_id:  string?,
  http: { method: string?, path: string?, status: int? coerce, user_agent: string? },
  kubernetes: { namespace: string, pod: string, labels: map<string> },
  client: { ip: ip? sensitive, ... }?,
  ...
}

type Geo  = { country: string, city: string?, asn: int?, org: string? }
type User = { id: string, plan: string, region: string, is_staff: bool }
";

const WORLD: &str = r#"use "types.rules"

source k8s         : K8sLog
source edge_syslog : { message: string, ... }

lookup geo(ip)        -> Geo?
lookup users(string)  -> User?
lookup oncall(string) -> { team: string, channel: string }?

sink app_logs    : table("logs.app")
sink access_logs : table("logs.access")
sink access_1m   : table("logs.access_1m")
sink audit_logs  : table("logs.audit")
sink audit_topic : { ... } with (key: string?)
@accepts_sensitive
sink archive     : { ... }
sink dlq         : { reason: string, raw: string, ... }
"#;

const HTTP: &str = r#"const HEALTH_PATHS = ["/healthz", "/livez", "/readyz", "/metrics"]
const BOT_AGENTS   = lines("lists/bot_agents.txt")
const OFFICE_NETS  = cidrs("lists/office_nets.txt")

fn is_health(path: string?)  -> bool = path in HEALTH_PATHS or path starts_with "/health"
fn is_5xx(status: int?)      -> bool = status >= 500 and status < 600
fn is_bot(agent: string?)    -> bool = contains_any(agent, BOT_AGENTS)
fn status_class(status: int?) -> string = match status ?? 0 {
  100..=199 => "1xx", 200..=299 => "2xx", 300..=399 => "3xx",
  400..=499 => "4xx", 500..=599 => "5xx", _ => "other",
}
"#;

/// Sample 1 as far as this version runs it.
const NOISE: &str = r#"use "lib/world.rules"
use "lib/http.rules" as http

const CHATTY = ["envoy", "coredns", "node-exporter"]

rule drop_healthchecks on k8s
  when http::is_health(.http.path) and .http.status < 400
{
  drop as "healthcheck"
}

@owner("platform") @expires(t"2027-01-01T00:00:00Z")
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

test "health checks go, failing health checks stay" {
  given { service: "web", http: { path: "/healthz", status: 200 } }
  expect dropped by drop_healthchecks

  given { service: "web", http: { path: "/healthz", status: 503 } }
  expect routed
}

test "status sent as text is read as a number" {
  given { service: "web", http: { path: "/livez", status: "204" } }
  expect dropped by drop_healthchecks
  expect dropped_by(drop_debug) == 0
}
"#;

const ENRICH: &str = r##"use "lib/world.rules"
use "lib/http.rules" as http

const NGINX = pat"""<client:ip> - <user> [<ts:timestamp("%d/%b/%Y:%H:%M:%S %z")>] "<method> <path> <_>" <status:int> <bytes:int> "<referer>" "<agent>" rt=<rt:float>"""
const EMAIL = re"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}"i
const PAN   = re"\b(?:\d[ -]?){13,19}\b"
const TOKEN = re"(?:bearer|token|apikey)[=: ]+(?<secret>\S+)"i

group parse first {
  rule parse_nginx on edge_syslog when .message contains " rt=" {
    let r = parse_pattern(.message, NGINX) else {
      route to dlq(reason: "nginx_format", raw: .message)
      return
    }
    .timestamp = r.ts
    .http   = { method: r.method, path: r.path, status: r.status, user_agent: r.agent }
    .client = { ip: r.client }
    .duration_ms = r.rt * 1000
  }

  rule parse_json_body on k8s when .message starts_with "{" {
    let j = parse_json(.message) else { tag "bad_json"  return }
    .body      = without(j, ["msg", "level", "ts"])
    .message   = string(j.msg) ?? string(j.message)
    .severity  = parse_severity(j.level)
    .timestamp = parse_timestamp(j.ts)
    .client    = { ip: ip(j.remote_addr) }
  }

  rule parse_logfmt_body on k8s when .message like glob"*level=*msg=*" {
    let kv = parse_logfmt(.message) else { return }
    .severity = parse_severity(kv.level)
    .message   = kv.msg
    .body      = del_keys(kv, ["level", "msg"])
  }
}

rule geoip on any when is_public(.client.ip) {
  let g = geo(.client.ip) else { return }
  .client.geo = { country: g.country, city: g.city, asn: g.asn }
  .client.org ??= g.org
}

rule user_context on any when .body.user_id is present {
  let { id, plan, is_staff } = users(string(.body.user_id)) else {
    .user = { id: string(.body.user_id) ?? "unknown" }
    return
  }
  .user = { id: id, plan: plan, is_staff: is_staff }
}

rule user_agent on any when .http.user_agent is present and not http::is_bot(.http.user_agent) {
  .http.ua = parse_user_agent(.http.user_agent)
}

@owner("security") @pin
rule redact_pii on any {
  .message = redact(.message, [EMAIL, PAN, TOKEN], with: "[redacted]")
  .body    = redact(.body, [EMAIL, PAN, TOKEN], with: |m| f"[{fingerprint(m, 8)}]")
  .client.ip_net = ip_mask(.client.ip, v4: 24, v6: 48)
  del .client.ip, .body.password, .body.headers."set-cookie", .body.card.*
}

test "nginx line becomes typed fields, the address leaves" {
  mock geo { ip"203.0.113.9" => { country: "AU", asn: 64500 } }
  given on edge_syslog { message: r"""203.0.113.9 - alice [01/May/2026:10:00:00 +0000] "GET /cart/42 HTTP/1.1" 502 17 "-" "curl/8" rt=0.031""" }
  expect routed {
    .http.status == 502
    .duration_ms == 31.0
    .client.geo.country == "AU"
    .client.ip is missing
    .client.ip_net == cidr"203.0.113.0/24"
  }
}

test "broken json is kept, tagged and counted" {
  given { service: "api", message: "{not json" }
  expect routed { "bad_json" in .tags  .message == "{not json" }
  expect metric("faults", rule: "parse_json_body") == 1
}

test "nothing that looks like a mail address survives" {
  given { message: r"""{"msg":"mail bob@example.com","password":"x"}""" }
  expect routed { .message not contains "@"  .body.password is missing }
}
"##;

/// Sample 3 as far as this version runs it.
const ROUTE: &str = r#"use "lib/world.rules"
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
"#;

pub(super) const PROD: &str = r#"use "lib/world.rules"

include "10-noise.rules"
include "20-enrich.rules"
include "30-route.rules"

default route to app_logs
"#;

/// The files of the samples that rules stand in, or names.
pub(super) const ALL: &[(&str, &str)] = &[
    ("main.rules", PROD),
    ("10-noise.rules", NOISE),
    ("20-enrich.rules", ENRICH),
    ("30-route.rules", ROUTE),
    ("lib/types.rules", TYPES),
    ("lib/world.rules", WORLD),
    ("lib/http.rules", HTTP),
];

/// All files of the samples, with this entry.
pub(super) fn files(main: &str) -> Vec<(&str, &str)> {
    vec![
        ("main.rules", main),
        ("10-noise.rules", NOISE),
        ("20-enrich.rules", ENRICH),
        ("30-route.rules", ROUTE),
        ("lib/types.rules", TYPES),
        ("lib/world.rules", WORLD),
        ("lib/http.rules", HTTP),
        ("lib/lists/bot_agents.txt", "# bots\nGooglebot\nbingbot\n"),
        ("lib/lists/office_nets.txt", "10.0.0.0/8 # office\n2001:db8::/32\n"),
    ]
}

#[test]
fn the_smallest_program_becomes_a_plan() {
    let compilation = compile_text(SMALLEST, Mode::Run);
    assert_eq!(drawn(&compilation), "");
    let program = compilation.program.unwrap();
    assert_eq!(program.plan.rules.len(), 2);
    assert_eq!(&*program.plan.rules[0].label, "t/drop_debug");
    assert_eq!(program.plan.default_route.len(), 1);
    assert!(program.plan.sources[0].is_log);
}

#[test]
fn the_samples_become_a_program() {
    check_files(&files(PROD), &expect_test::expect![""]);
    let files = Files::of(&files(PROD));
    let compilation = compile(Path::new("main.rules"), &files, Mode::Test);
    let program = compilation.program.unwrap();
    assert_eq!(program.tests.len(), 6);
    assert_eq!(program.plan.rules.len(), 14);
    assert_eq!(program.files.len(), 9);
    let again = compile(Path::new("main.rules"), &files, Mode::Run).program.unwrap();
    assert_eq!(again.hash, program.hash);
    assert!(again.tests.is_empty());
    assert!(again.plan.layout.len() <= program.plan.layout.len());
}
