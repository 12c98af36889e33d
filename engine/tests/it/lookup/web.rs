//! Web services that take many keys, answer late, lie, or want to know who asks.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use logmon_dsl::{
    column::{Absence, Batch, Names, View, load},
    eval::Evaluator,
    plan::Plan,
    program::{Mode, compile},
    types::{Ty, Type},
};
use logmon_engine::lookup::LookupSet;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Folder, World, ask, decl, files::Text, record, user};

fn serve(world: &World, router: Router) -> u16 {
    let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    world.runtime.spawn(async move { axum::serve(listener, router).await });
    port
}

#[test]
fn keys_in_the_body() {
    let (world, folder) = (World::new(), Folder::new("body"));
    let asked = Arc::new(AtomicUsize::new(0));
    let row = |key: &Value| match key {
        Value::String(key) if key.starts_with('u') => json!({ "id": key }),
        Value::Array(parts) => json!({ "id": parts[1] }),
        _ => Value::Null,
    };
    let list = move |State(asked): State<Arc<AtomicUsize>>, Json(keys): Json<Vec<Value>>| async move {
        asked.fetch_add(1, Ordering::SeqCst);
        Json(keys.iter().map(row).collect::<Value>())
    };
    let object = |Json(keys): Json<Vec<String>>| async move {
        let rows = keys.iter().filter(|key| key.starts_with('u'));
        let rows: serde_json::Map<String, Value> =
            rows.map(|key| (key.clone(), json!({ "id": key }))).collect();
        // Keys that nobody asked for are nobody's answer.
        Json(
            json!({ "stranger": 7, "x": { "id": "x" } })
                .as_object()
                .unwrap()
                .clone()
                .into_iter()
                .chain(rows)
                .collect::<Value>(),
        )
    };
    let short = |Json(mut keys): Json<Vec<Value>>| async move {
        keys.pop();
        Json(Value::from(keys))
    };
    let router = Router::new()
        .route("/list", post(list))
        .route("/object", post(object))
        .route("/short", post(short))
        .route("/broken", post(|| async { StatusCode::BAD_GATEWAY }))
        .route("/text", post(|| async { "[not json" }))
        .with_state(Arc::clone(&asked));
    let port = serve(&world, router);
    let config = |path: &str| {
        format!(
            "[lookup.users]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/{path}\"\nbatch = 10\ntimeout = \"30s\"\n"
        )
    };
    let users = decl("users", Type::Text, user());
    let open = |path: &str| {
        world.open(&folder.0, std::slice::from_ref(&users), &config(path), None).unwrap()
    };
    let keys: Vec<String> =
        (0..25).map(|n| if n == 7 { "x".into() } else { format!("u{n}") }).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let expected: Value = keys
        .iter()
        .map(|key| if *key == "x" { Value::Null } else { json!({ "id": key }) })
        .collect();
    assert_eq!(ask(&open("list"), &keys), expected);
    assert_eq!(asked.load(Ordering::SeqCst), 3, "25 keys, ten a call");
    assert_eq!(ask(&open("object"), &["u1", "y", "u2"]), json!([{"id": "u1"}, null, {"id": "u2"}]));
    for path in ["short", "broken", "text"] {
        assert_eq!(ask(&open(path), &["u1", "u2"]), json!(["failed", "failed"]), "{path}");
    }
    let pairs = logmon_dsl::plan::LookupDecl {
        keys: vec![Ty::required(Type::Text), Ty::required(Type::Text)],
        ..users.clone()
    };
    let set = world.open(&folder.0, &[pairs], &config("list"), None).unwrap();
    assert_eq!(ask(&set, &["a\u{1f}b"]), json!([{"id": "b"}]));
}

#[test]
fn a_late_answer_is_for_the_next_batch() {
    let (world, folder) = (World::new(), Folder::new("late"));
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    type Shared = (Arc<Semaphore>, Arc<AtomicUsize>);
    let slow = |State((gate, asked)): State<Shared>| async move {
        asked.fetch_add(1, Ordering::SeqCst);
        let _passed = gate.acquire().await;
        "{\"id\":\"ann\"}".into_response()
    };
    let router =
        Router::new().route("/ann", get(slow)).with_state((Arc::clone(&gate), Arc::clone(&asked)));
    let port = serve(&world, router);
    let config = format!(
        "[lookup.users]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/{{key}}\"\ntimeout = \"200ms\"\n"
    );
    let users = decl("users", Type::Text, user());
    let set = world.open(&folder.0, &[users], &config, None).unwrap();
    assert_eq!(ask(&set, &["ann"]), json!(["failed"]));
    gate.add_permits(1000);
    let start = Instant::now();
    while ask(&set, &["ann"]) != json!([{"id": "ann"}]) {
        assert!(start.elapsed() < Duration::from_secs(30), "the late answer never came");
        std::thread::yield_now();
    }
    // A failure is forgotten after a second; on a slow machine the key was asked for again by then.
    assert!(asked.load(Ordering::SeqCst) <= 1 + start.elapsed().as_secs() as usize);
}

#[test]
fn a_service_that_hangs_or_lies_fails_exactly_its_keys() {
    let (world, folder) = (World::new(), Folder::new("hangs"));
    let router = Router::new()
        .route("/hangs/{key}", get(std::future::pending::<&str>))
        .route("/lies/{key}", get(|| async { "{\"id\": 7, \"age\": \"old\"" }));
    let port = serve(&world, router);
    let declared = [
        decl("hangs", Type::Text, user()),
        decl("lies", Type::Text, user()),
        decl("gone", Type::Text, record([("id", Ty::required(Type::Text))])),
    ];
    let table = |name: &str, port: u16| {
        format!(
            "[lookup.{name}]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/{name}/{{key}}\"\ntimeout = \"20ms\"\n"
        )
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap().port();
    drop(listener);
    let config = table("hangs", port) + &table("lies", port) + &table("gone", gone);
    let mut set = world.open(&folder.0, &declared, &config, None).unwrap();
    for batch in 0..50 {
        let keys: Vec<String> = (0..20).map(|n| format!("k{batch}-{n}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for lookup in 0..declared.len() {
            let answers = logmon_dsl::eval::Lookups::resolve(&mut set, lookup, &keys);
            assert!(answers.iter().all(|answer| *answer == logmon_dsl::eval::Answer::Failed));
        }
    }
    let text = world.metrics.text();
    for name in ["hangs", "lies", "gone"] {
        let line = format!("logmon_lookup_errors_total{{lookup=\"{name}\"}} 1000");
        assert!(text.contains(&line), "`{line}` is missing in:\n{text}");
    }
}

/// Rules over events, in batches; how many faults of each cause came of them.
fn faults(plan: &Arc<Plan>, set: &LookupSet, events: usize) -> BTreeMap<Absence, u64> {
    let mut evaluator = Evaluator::new(Arc::clone(plan));
    let (mut set, mut names) = (set.clone(), Names::default());
    let mut counted = BTreeMap::new();
    for batch_start in (0..events).step_by(100) {
        let texts: Vec<String> = (batch_start..batch_start + 100)
            .map(|n| format!("{{\"id\":\"u{}\"}}", n % 300))
            .collect();
        let payloads: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        let mut batch = Batch::new(&plan.layout);
        load::load(&mut batch, &plan.layout, &mut names, &payloads).unwrap();
        batch.meta.offsets = (batch_start as i64..).take(100).collect();
        batch.meta.times = vec![0; 100];
        batch.meta.keys = vec![View::MISSING; 100];
        let outcome = evaluator.run(&mut batch, &names, &mut set, false);
        for (_, cause, rows) in &outcome.faults {
            *counted.entry(*cause).or_default() += u64::from(*rows);
        }
    }
    counted
}

#[test]
fn every_event_that_an_outage_costs_its_answer_is_counted_once() {
    let (world, folder) = (World::new(), Folder::new("faults"));
    let list = |Json(keys): Json<Vec<String>>| async move {
        // Each third user is nobody.
        let nobody = |key: &str| key[1..].parse::<usize>().unwrap() % 3 == 0;
        Json(
            keys.iter()
                .map(|key| if nobody(key) { Value::Null } else { json!({ "id": key }) })
                .collect::<Value>(),
        )
    };
    let router = Router::new()
        .route("/sound", post(list))
        .route("/hangs", post(std::future::pending::<&str>))
        .route("/lies", post(|| async { "[{\"id\": 7}]" }))
        .route(
            "/types",
            post(|Json(keys): Json<Vec<String>>| async move {
                Json(keys.iter().map(|_| json!({ "id": [7] })).collect::<Value>())
            }),
        );
    let port = serve(&world, router);
    let program = compile(
        Path::new("main.rules"),
        &Text(
            "lookup users(string) -> { id: string }?\nsource app : { id: string, ... }\nsink logs : { ... }\n\
             rule who { .who = users(.id).id }\ndefault route to logs\n",
        ),
        Mode::Run,
    );
    let plan = Arc::new(program.program.unwrap().plan);
    let count = |path: &str, timeout: &str| {
        let config = format!(
            "[lookup.users]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/{path}\"\nbatch = 40\ntimeout = \"{timeout}\"\n"
        );
        let set = world.open(&folder.0, &plan.lookups, &config, None).unwrap();
        faults(&plan, &set, 3000)
    };
    assert_eq!(count("sound", "30s"), BTreeMap::from([(Absence::LookupMiss, 1000)]));
    assert_eq!(count("hangs", "20ms"), BTreeMap::from([(Absence::LookupFailed, 3000)]));
    assert_eq!(count("lies", "30s"), BTreeMap::from([(Absence::LookupFailed, 3000)]));
    let types = count("types", "30s");
    assert_eq!(types.values().sum::<u64>(), 3000, "{types:?}");
}
