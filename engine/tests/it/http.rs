//! Pages: what they say, with which code, and over a real socket.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use logmon_dsl::{
    column::Layout,
    eval::{Outcome, RowFate, RuleCount},
    plan::{Plan, Rule, RuleId, SinkDecl, SinkId, SinkType, Site, SiteId, SourceDecl, Target},
    span::Span,
    types::Shape,
};
use logmon_engine::{
    clock::ManualClock,
    http::{self, Part, Phase, Status},
    lookup::LookupSet,
    metrics::{Fate, Metrics, ReloadOutcome},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000_000_000;

fn plan() -> Arc<Plan> {
    let span = Span::default();
    let rule = Rule {
        label: "noise/debug".into(),
        name: "debug".into(),
        on: Vec::new(),
        when: None,
        site: None,
        body: Vec::new(),
        attributes: vec![("owner".into(), "core".to_owned())],
        shadow: false,
        canary: None,
        pinned: false,
        was: None,
        span,
    };
    Arc::new(Plan {
        layout: Layout::new(),
        exprs: Vec::new(),
        n_locals: 0,
        sources: vec![SourceDecl {
            name: "app".into(),
            shape: Arc::new(Shape::log()),
            is_log: true,
            span,
        }],
        sinks: vec![SinkDecl {
            name: "logs".into(),
            ty: SinkType::Table("logs".into()),
            with: Vec::new(),
            accepts_sensitive: false,
            span,
        }],
        lookups: Vec::new(),
        rules: vec![rule],
        steps: Vec::new(),
        sites: vec![Site { rule: RuleId(0), label: ".a =".into(), span }],
        default_route: vec![Target { sink: SinkId(0), args: Vec::new() }],
        reads_headers: false,
        stores: vec![],
        windows: vec![],
        metrics: vec![],
    })
}

fn status() -> (Arc<Status>, ManualClock) {
    let clock = ManualClock::at(START);
    (Status::new(Metrics::new(), Arc::new(clock.clone())), clock)
}

async fn get(status: &Arc<Status>, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = http::router(Arc::clone(status)).oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_json(status: &Arc<Status>, path: &str) -> (u16, Value) {
    let (code, body) = get(status, path).await;
    (code, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn readiness_names_every_reason() {
    let (status, clock) = status();
    let (code, body) = get_json(&status, "/readyz").await;
    assert_eq!(
        (code, body["reasons"][0]["message"].as_str()),
        (503, Some("the engine is starting"))
    );
    status.phase(Phase::Running);
    assert_eq!(get_json(&status, "/readyz").await, (200, json!({ "ready": true, "reasons": [] })));
    status.trouble(Part::Sink, "logs", "connection refused; look at [sink.logs] url");
    clock.advance(Duration::from_secs(5));
    status.trouble(Part::Sink, "logs", "still refused; look at [sink.logs] url");
    status.trouble(Part::Lookup, "users", "too slow");
    status.reloaded(ReloadOutcome::Refused, Vec::new(), String::new());
    let reason = json!({
        "part": "sink",
        "name": "logs",
        "message": "still refused; look at [sink.logs] url",
        "since": "2026-01-01T00:00:00Z",
    });
    let expected = json!({ "ready": false, "reasons": [reason] });
    assert_eq!(get_json(&status, "/readyz").await, (503, expected));
    status.well(Part::Sink, "logs");
    assert_eq!(get_json(&status, "/readyz").await.0, 200);
    assert_eq!(get(&status, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&status, "/etc/passwd").await.0, 404);
}

#[tokio::test]
async fn status_balances_and_shows_the_last_reload() {
    let (status, clock) = status();
    let metrics = Arc::clone(status.metrics());
    status.bundle("abc", "prod.rules".into(), plan(), LookupSet::default());
    let source = metrics.source("app");
    source.records.inc_by(10);
    source.closed(Fate::Delivered, 6);
    source.closed(Fate::Dropped, 2);
    source.closed(Fate::DeadLettered, 1);
    source.open.set(1);
    metrics.dead_letters("json", 1);
    let partition = metrics.partition("app", "logs.app", 2);
    partition.offset.set(10);
    partition.committed.set(9);
    partition.lag_records.set(4);
    partition.lag_seconds.set(1.5);
    metrics.sink("logs").confirmed(6, 600, Duration::from_millis(3));
    metrics.memory_limit.set(1000);
    clock.advance(Duration::from_mins(1));
    let diagnostic = json!({ "code": "E0201" });
    status.reloaded(ReloadOutcome::Refused, vec![diagnostic], "error[E0201]".to_owned());
    let (code, page) = get_json(&status, "/api/status").await;
    assert_eq!(code, 200);
    assert_eq!(
        page["events"],
        json!({ "read": 10, "delivered": 6, "dropped": 2, "dead_lettered": 1, "given_back": 0, "open": 1 })
    );
    assert_eq!(page["bundle"]["hash"], "abc");
    assert_eq!(
        page["sources"]["app"]["partitions"],
        json!([{
            "topic": "logs.app", "partition": 2, "offset": 10, "committed": 9,
            "lag_records": 4, "lag_seconds": 1.5
        }])
    );
    assert_eq!(page["sinks"]["logs"]["rows"], 6);
    assert_eq!(page["sinks"]["logs"]["trouble"], Value::Null);
    assert_eq!(page["dead_letters"], json!({ "json": 1 }));
    assert_eq!(page["memory"], json!({ "used": 0, "limit": 1000 }));
    assert_eq!(
        page["reload"],
        json!({
            "outcome": "refused", "at": "2026-01-01T00:01:00Z",
            "diagnostics": [{ "code": "E0201" }], "text": "error[E0201]"
        })
    );
}

#[tokio::test]
async fn rules_show_their_counters() {
    let (status, _) = status();
    let plan = plan();
    status.bundle("abc", "prod.rules".into(), Arc::clone(&plan), LookupSet::default());
    let rules = status.metrics().rules(&plan);
    let rule = RuleId(0);
    rules.record(&Outcome {
        fates: vec![RowFate::Dropped { rule, reason: 0 }, RowFate::Unrouted],
        dropped_by: vec![Some((rule, 0)), None],
        reasons: vec!["noise".into()],
        rules: vec![RuleCount { evaluated: 2, matched: 1, ..RuleCount::default() }],
        faults: vec![(SiteId(0), logmon_dsl::column::Absence::Type, 3)],
        ..Outcome::default()
    });
    rules.spent(rule, Duration::from_millis(250));
    let (_, page) = get_json(&status, "/api/rules").await;
    assert_eq!(
        page[0],
        json!({
            "rule": "noise/debug", "name": "debug", "attributes": { "owner": "core" },
            "evaluated": 2, "matched": 1, "dropped": { "noise": 1 }, "routed": {},
            "faults": { "type": 3 }, "seconds": 0.25
        })
    );
    assert_eq!(page[1]["rule"], "default route");
    let (_, text) = get(&status, "/metrics").await;
    assert!(
        text.contains(
            "logmon_rule_faults_total{cause=\"type\",rule=\"noise/debug\",site=\".a =\"} 3"
        )
    );
}

#[tokio::test]
async fn a_socket_is_answered_until_the_engine_stops() {
    let (status, _) = status();
    let listener = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(http::serve(listener, status, stop.clone()));
    let taken = http::bind(address).await.unwrap_err().to_string();
    assert!(taken.starts_with("[http] listen: 127.0.0.1:"), "{taken}");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("logmon_reloads_total{outcome=\"applied\"} 0"), "{answer}");
    stop.cancel();
    server.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
