//! Lookups against real databases, real files and a real web server.

#![expect(clippy::needless_raw_string_hashes, reason = "expected texts are rewritten that way")]

mod files;
mod servers;
mod web;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::IntoResponse,
};
use logmon_dsl::{
    column::value::ip_to_u128,
    eval::{Answer, Lookups},
    plan::LookupDecl,
    span::Span,
    types::{Shape, Ty, Type},
};
use logmon_engine::{
    config::Config,
    lookup::{LookupSet, OpenError, Reloaded},
    metrics::Metrics,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::mmdb;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("logmon-lookup-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn decl(name: &str, key: Type, yields: Type) -> LookupDecl {
    LookupDecl {
        name: name.into(),
        keys: vec![Ty::required(key)],
        yields: Ty::optional(yields),
        span: Span::default(),
        fields: Vec::new(),
    }
}

fn record(fields: impl IntoIterator<Item = (&'static str, Ty)>) -> Type {
    Type::Record(Arc::new(Shape::closed(fields)))
}

fn geo() -> LookupDecl {
    decl(
        "geo",
        Type::Ip,
        record([
            ("country", Ty::required(Type::Text)),
            ("city", Ty::optional(Type::Text)),
            ("asn", Ty::optional(Type::Int)),
            ("org", Ty::optional(Type::Text)),
            ("latitude", Ty::optional(Type::Float)),
        ]),
    )
}

fn user() -> Type {
    record([
        ("id", Ty::required(Type::Text)),
        ("age", Ty::optional(Type::Int)),
        ("is_staff", Ty::optional(Type::Bool)),
    ])
}

struct World {
    runtime: Runtime,
    metrics: Arc<Metrics>,
}

impl World {
    fn new() -> Self {
        Self { runtime: Runtime::new().unwrap(), metrics: Metrics::new() }
    }

    fn open(
        &self,
        folder: &Path,
        declared: &[LookupDecl],
        config: &str,
        previous: Option<&LookupSet>,
    ) -> Result<LookupSet, String> {
        let config = Config::parse(config, &folder.join("logmon.toml"), &|_| None)
            .expect("the configuration of the test is sound");
        LookupSet::open(declared, &config, self.runtime.handle(), &self.metrics, previous).map_err(
            |errors| {
                let text = |error: &OpenError| {
                    let kind = match error {
                        OpenError::Config(_) => "config",
                        OpenError::Shape(_) => "shape",
                        OpenError::World(_) => "world",
                    };
                    format!("{kind}: {error}").replace(&format!("{}/", folder.display()), "")
                };
                errors.iter().map(text).collect::<Vec<_>>().join("\n")
            },
        )
    }
}

/// One answer a key, misses as null and failures as the text "failed".
fn ask(set: &LookupSet, keys: &[&str]) -> Value {
    let answers = set.clone().resolve(0, keys);
    let value = |answer: &Answer| match answer {
        Answer::Found(text) => serde_json::from_str(text).expect("answers are JSON"),
        Answer::Miss => Value::Null,
        Answer::Failed => json!("failed"),
    };
    answers.iter().map(value).collect()
}

#[test]
fn flat_country_database() {
    let world = World::new();
    let path = logmon_services::geoip_country_mmdb().unwrap();
    let config = format!("[lookup.geo]\nkind = \"maxmind\"\npath = {path:?}");
    let set = world.open(path.parent().unwrap(), &[geo()], &config, None).unwrap();
    assert_eq!(
        ask(&set, &["8.8.8.8", "::ffff:8.8.8.8", "2003:e1::1", "10.0.0.1", "nonsense"]),
        json!([{"country": "US"}, {"country": "US"}, {"country": "DE"}, null, null])
    );
    let state = &set.states()[0];
    assert!(state.holding.made.is_some_and(|made| made > 1_700_000_000), "{state:?}");
}

#[test]
fn nested_and_several_databases_join() {
    let (world, folder) = (World::new(), Folder::new("nested"));
    mmdb::write(
        &folder.0.join("city.mmdb"),
        1_600_000_000,
        &[
            (
                "81.2.69.0/24",
                json!({
                    "country": { "iso_code": "GB", "names": { "en": "United Kingdom" } },
                    "city": { "names": { "en": "London", "de": "London" } },
                    "location": { "latitude": 51.5, "longitude": -0.1 },
                }),
            ),
            ("2001:db8::/32", json!({ "country": { "iso_code": "" }, "city": { "names": {} } })),
        ],
    );
    mmdb::write(
        &folder.0.join("asn.mmdb"),
        1_500_000_000,
        &[
            (
                "81.2.0.0/16",
                json!({ "autonomous_system_number": 20712, "autonomous_system_organization": "AAISP" }),
            ),
            ("9.0.0.0/8", json!({ "asn": "AS3356", "as_name": "Level 3", "country_code": "FR" })),
        ],
    );
    let config = "[lookup.geo]\nkind = \"maxmind\"\npaths = [\"city.mmdb\", \"asn.mmdb\"]";
    let set = world.open(&folder.0, &[geo()], config, None).unwrap();
    assert_eq!(
        ask(&set, &["81.2.69.160", "81.2.1.1", "9.1.2.3", "2001:db8::1", "1.1.1.1"]),
        json!([
            {"country": "GB", "city": "London", "latitude": 51.5, "asn": 20712, "org": "AAISP"},
            {"asn": 20712, "org": "AAISP"},
            {"country": "FR", "asn": 3356, "org": "Level 3"},
            null,
            null,
        ])
    );
    assert_eq!(set.states()[0].holding.made, Some(1_500_000_000));
}

#[test]
fn a_database_is_replaced_only_by_a_sound_one() {
    let (world, folder) = (World::new(), Folder::new("reload"));
    let path = folder.0.join("geo.mmdb");
    mmdb::write(&path, 1, &[("1.0.0.0/8", json!({ "country_code": "AU" }))]);
    let config = "[lookup.geo]\nkind = \"maxmind\"\npath = \"geo.mmdb\"";
    let mut set = world.open(&folder.0, &[geo()], config, None).unwrap();
    let reload = |set: &LookupSet| set.reload().remove(0).1.map_err(|error| error.to_string());
    assert_eq!(ask(&set, &["1.1.1.1"]), json!([{"country": "AU"}]));
    let seen = Answer::Found("{\"country\":\"AU\"}".into());
    assert_eq!(set.resolve(0, &["1.1.1.1"]), [seen], "the thread remembers it from now on");
    assert_eq!(reload(&set), Ok(Reloaded::Unchanged));
    std::fs::write(&path, "not a database at all").unwrap();
    let refusal = reload(&set).unwrap_err();
    assert!(refusal.contains("[lookup.geo]") && refusal.contains("no sound MaxMind"), "{refusal}");
    assert_eq!(ask(&set, &["1.1.1.1"]), json!([{"country": "AU"}]));
    mmdb::write(&path, 2, &[("1.0.0.0/8", json!({ "country_code": "NZ" }))]);
    assert_eq!(reload(&set), Ok(Reloaded::Replaced));
    assert_eq!(ask(&set, &["1.1.1.1"]), json!([{"country": "NZ"}]), "the cache was emptied");
    assert_eq!(set.resolve(0, &["1.1.1.1"]), [Answer::Found("{\"country\":\"NZ\"}".into())]);
    assert_eq!(set.states()[0].holding.version, 1);
    // Another bundle that declares the same keeps what is open.
    let again = world.open(&folder.0, &[geo()], config, Some(&set)).unwrap();
    assert_eq!(again.states()[0].holding.version, 1);
}

#[test]
fn tables_in_files() {
    let (world, folder) = (World::new(), Folder::new("files"));
    folder.file("u.csv", "\u{feff}id,name,age,is_staff\nann,\"A, B\",31,true\nbob,,,no\n");
    folder.file(
        "u.ndjson",
        "{\"id\":\"ann\",\"age\":31,\"big\":18446744073709551616}\n\n{\"id\":\"7\"}\n",
    );
    folder.file("u.json", r#"{"ann":{"id":"ann","age":31},"nobody":null}"#);
    let yields = user();
    let check = |file: &str, expected: Value| {
        let config = format!("[lookup.users]\nkind = \"file\"\npath = \"{file}\"\nkey = \"id\"");
        let declared = [decl("users", Type::Text, yields.clone())];
        let set = world.open(&folder.0, &declared, &config, None).unwrap();
        assert_eq!(ask(&set, &["ann", "bob", "7", "nobody"]), expected, "{file}");
    };
    check(
        "u.csv",
        json!([{"id": "ann", "age": 31, "is_staff": true}, {"id": "bob", "is_staff": false}, null, null]),
    );
    check("u.json", json!([{"id": "ann", "age": 31}, null, null, null]));
    let config = "[lookup.users]\nkind = \"file\"\npath = \"u.ndjson\"\nkey = \"id\"";
    let mut set =
        world.open(&folder.0, &[decl("users", Type::Text, yields)], config, None).unwrap();
    let row = "{\"id\":\"ann\",\"age\":31,\"big\":18446744073709551616}";
    assert_eq!(set.resolve(0, &["ann"]), [Answer::Found(row.into())], "numbers stay exact");
    // A single value, and an address as the key.
    folder.file("hosts.csv", "ip,name\n::FFFF:10.0.0.1,db\n2001:DB8:0::1,web\n");
    let config = "[lookup.host]\nkind = \"file\"\npath = \"hosts.csv\"\nkey = \"ip\"";
    let host = decl("host", Type::Ip, Type::Text);
    let set = world.open(&folder.0, &[host], config, None).unwrap();
    assert_eq!(ask(&set, &["10.0.0.1", "2001:db8::1"]), json!(["db", "web"]));
}

#[test]
fn tables_of_address_blocks() {
    let (world, folder) = (World::new(), Folder::new("blocks"));
    folder.file(
        "nets.csv",
        "net,owner\n10.0.0.0/8,lab\n10.1.0.0/16,office\n10.1.2.3,printer\n2001:DB8::/32,docs\n",
    );
    let config = "[lookup.nets]\nkind = \"file\"\npath = \"nets.csv\"\nkey = \"net\"";
    let nets = decl("nets", Type::Ip, Type::Text);
    let mut set = world.open(&folder.0, &[nets], config, None).unwrap();
    assert_eq!(
        ask(&set, &["10.9.9.9", "10.1.9.9", "::ffff:10.1.2.3", "2001:db8::1", "11.1.1.1", "x"]),
        json!(["lab", "office", "printer", "docs", null, null])
    );
    let address = |text: &str| ip_to_u128(text.parse().unwrap());
    assert_eq!(
        set.resolve_addresses(0, &[address("10.1.2.3"), address("2001:db8::1"), address("::1")]),
        [Answer::Found("\"printer\"".into()), Answer::Found("\"docs\"".into()), Answer::Miss]
    );
    assert_eq!(set.states()[0].holding.rows, Some(4));
    // Blocks asked for as blocks are keys like any other, whatever their host bits.
    folder.file("exact.csv", "net,owner\n10.1.0.7/16,office\n");
    let config = "[lookup.nets]\nkind = \"file\"\npath = \"exact.csv\"\nkey = \"net\"";
    let exact = decl("nets", Type::Cidr, Type::Text);
    let set = world.open(&folder.0, &[exact], config, None).unwrap();
    assert_eq!(ask(&set, &["10.1.0.0/16", "10.1.0.0/17"]), json!(["office", null]));
    folder.file("wrong.csv", "net,owner\n10.0.0.0/8,lab\n10.0.0.0/33,what\n");
    let config = "[lookup.nets]\nkind = \"file\"\npath = \"wrong.csv\"\nkey = \"net\"";
    let nets = decl("nets", Type::Ip, Type::Text);
    let refusal = world.open(&folder.0, &[nets], config, None).unwrap_err();
    assert_eq!(
        refusal,
        "world: [lookup.nets] wrong.csv: the key `10.0.0.0/33` is neither an address nor a block of addresses such as 10.0.0.0/8"
    );
}

#[test]
fn what_is_wrong_with_a_lookup_is_one_sentence_each() {
    let (world, folder) = (World::new(), Folder::new("wrong"));
    folder.file("short.csv", "id,age\nann,31\nbob\n");
    folder.file("typed.csv", "id,age\nann,old\n");
    folder.file("column.csv", "name,age\nann,31\n");
    folder.file("quote.csv", "id,age\n\"ann,31\n");
    folder.file("broken.json", "{\"a\":\n{]}");
    folder.file("typed.ndjson", "{\"id\":\"a\"}\n{\"id\":\"b\",\"age\":\"old\"}\n");
    folder.file("text.mmdb", "text");
    let mut declared = vec![geo(), decl("scores", Type::Ip, Type::Int)];
    let mut config = String::from(
        "[lookup.scores]\nkind = \"maxmind\"\npath = \"text.mmdb\"\n\
         [lookup.text]\nkind = \"maxmind\"\npath = \"text.mmdb\"\n",
    );
    for file in [
        "gone.csv",
        "short.csv",
        "typed.csv",
        "column.csv",
        "quote.csv",
        "broken.json",
        "typed.ndjson",
    ] {
        let name = file.replace('.', "_");
        let table = format!("[lookup.{name}]\nkind = \"file\"\npath = \"{file}\"\nkey = \"id\"\n");
        config.push_str(&table);
        declared.push(decl(&name, Type::Text, user()));
    }
    declared.push(decl("text", Type::Ip, Type::Any));
    let errors = world.open(&folder.0, &declared, &config, None).unwrap_err();
    expect_test::expect![[r#"
        config: logmon.toml: the rules declare the lookup `geo`, but there is no [lookup.geo]
        config: [lookup.scores] is a MaxMind database, which yields a record, not `int?`
        world: [lookup.gone_csv] path: gone.csv cannot be read: No such file or directory (os error 2)
        world: [lookup.short_csv] short.csv:3: has 1 cells, but the heading has 2
        shape: [lookup.typed_csv] typed.csv:2: column `age` holds `old`, which is no int
        world: [lookup.column_csv] column.csv:1: has no column `id`; it has name, age
        world: [lookup.quote_csv] quote.csv:2: a quoted cell does not end
        world: [lookup.broken_json] broken.json:2: key must be a string at line 2 column 2
        shape: [lookup.typed_ndjson] typed.ndjson:2: member `age` is no int
        world: [lookup.text] path: text.mmdb is no sound MaxMind database: invalid database: could not find MaxMind DB metadata in file"#]].assert_eq(&errors);
}

#[test]
fn files_of_eval_need_no_configuration() {
    let folder = Folder::new("eval");
    let path = folder.file("geo.json", r#"{"1.1.1.1":{"country":"AU"}}"#);
    let files = BTreeMap::from([("geo".to_owned(), path)]);
    let declared = [geo(), decl("users", Type::Text, user())];
    let mut set = LookupSet::of_files(&declared, &files).unwrap();
    assert_eq!(ask(&set, &["1.1.1.1", "2.2.2.2"]), json!([{"country": "AU"}, null]));
    assert_eq!(set.resolve(1, &["ann"]), [Answer::Miss]);
}

/// A user service: knows `ann`, breaks on `broken`, never answers `slow`.
async fn serve(
    State(asked): State<Arc<AtomicUsize>>,
    headers: HeaderMap,
    uri: Uri,
) -> axum::response::Response {
    asked.fetch_add(1, Ordering::SeqCst);
    if headers.get("authorization").is_none_or(|value| value != "Bearer token") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match uri.path() {
        "/v1/ann" => "{\"id\":\"ann\",\"age\":31}".into_response(),
        "/v1/a%2Fb%20%C3%BC%3F" => "{\"id\":\"encoded\"}".into_response(),
        "/v1/list" => "[1]".into_response(),
        "/v1/text" => "not json".into_response(),
        "/v1/huge" => format!("{{\"id\":\"{}\"}}", "x".repeat(100_000)).into_response(),
        "/v1/broken" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/v1/slow" => std::future::pending().await,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn web_config(port: u16, token: &str) -> String {
    format!(
        "[lookup.users]\nkind = \"http\"\nurl = \"http://127.0.0.1:{port}/v1/{{key}}\"\n\
         bearer = \"{token}\"\ntimeout = \"10s\"\nconcurrency = 4\n"
    )
}

#[test]
fn a_web_service() {
    let (world, folder) = (World::new(), Folder::new("web"));
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().fallback(serve).with_state(Arc::clone(&asked));
    world.runtime.spawn(async move { axum::serve(listener, router).await });
    let declared = [decl("users", Type::Text, user())];
    let set = world.open(&folder.0, &declared, &web_config(port, "token"), None).unwrap();
    assert_eq!(
        ask(&set, &["ann", "a/b ü?", "nobody", "broken", "list", "text", "huge", "", ".."]),
        json!([
            {"id": "ann", "age": 31}, {"id": "encoded"}, null, "failed", "failed", "failed", "failed", null, null
        ])
    );
    assert_eq!(asked.load(Ordering::SeqCst), 7, "what cannot be a key is not asked for");
    ask(&set, &["ann", "nobody", "broken"]);
    assert_eq!(asked.load(Ordering::SeqCst), 7, "misses and failures are remembered too");
    let text = world.metrics.text();
    for line in [
        "logmon_lookup_hits_total{lookup=\"users\"} 3",
        "logmon_lookup_misses_total{lookup=\"users\"} 9",
        "logmon_lookup_negative_total{lookup=\"users\"} 4",
        "logmon_lookup_errors_total{lookup=\"users\"} 5",
    ] {
        assert!(text.contains(line), "`{line}` is missing in:\n{text}");
    }
    // A refused login is a failure, never a miss.
    let set = world.open(&folder.0, &declared, &web_config(port, "wrong"), None).unwrap();
    assert_eq!(ask(&set, &["ann"]), json!(["failed"]));
    // A key that hangs costs the timeout, and the others are answered all the same.
    let brief = web_config(port, "token").replace("10s", "300ms");
    let set = world.open(&folder.0, &declared, &brief, None).unwrap();
    assert_eq!(ask(&set, &["slow", "ann"]), json!(["failed", {"id": "ann", "age": 31}]));
}

#[test]
fn old_answers_are_renewed_behind_the_batch() {
    let (world, folder) = (World::new(), Folder::new("stale"));
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (renewed, when_renewed) = std::sync::mpsc::channel();
    let count = Arc::clone(&asked);
    let answer = move || {
        let (count, renewed) = (Arc::clone(&count), renewed.clone());
        async move {
            let number = count.fetch_add(1, Ordering::SeqCst);
            if number > 0 {
                renewed.send(number).unwrap();
            }
            format!("{{\"id\":\"ann\",\"age\":{number}}}")
        }
    };
    let router = Router::new().fallback(answer);
    world.runtime.spawn(async move { axum::serve(listener, router).await });
    folder.file("keys.txt", "ann\n\nann\n");
    let config = web_config(port, "token") + "cache = { ttl = \"1ms\", stale = \"1h\" }\n";
    let declared = [decl("users", Type::Text, user())];
    let set = world.open(&folder.0, &declared, &config, None).unwrap();
    assert_eq!(ask(&set, &["ann"]), json!([{"id": "ann", "age": 0}]));
    // Whatever the service does meanwhile, the batch gets what is there.
    let mut age = 0;
    while age == 0 {
        let answer = ask(&set, &["ann"]);
        age = answer[0]["age"].as_i64().expect("every batch has an answer");
    }
    let totals = world.metrics.lookup_totals("users");
    assert!(totals.errors == 0 && totals.misses == 1, "{totals:?}");
    // Keys that are known to come are asked for at the start.
    let config = web_config(port, "token") + "cache = { warm = \"keys.txt\" }\n";
    let before = asked.load(Ordering::SeqCst);
    let set = world.open(&folder.0, &declared, &config, None).unwrap();
    while when_renewed.recv().expect("the key of the list is asked for") < before {}
    assert!(ask(&set, &["ann"])[0]["age"].is_i64());
    let config = web_config(port, "token") + "cache = { rate = 1 }\n";
    let set = world.open(&folder.0, &declared, &config, None).unwrap();
    assert_eq!(ask(&set, &["x", "y", "z"])[2], json!("failed"));
    assert!(world.metrics.text().contains("logmon_lookup_refused_total{lookup=\"users\"} 2"));
}

#[test]
fn a_service_that_is_not_there_fails_and_does_not_stop() {
    let (world, folder) = (World::new(), Folder::new("down"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let declared = [decl("users", Type::Text, user())];
    let set = world.open(&folder.0, &declared, &web_config(port, "token"), None).unwrap();
    assert_eq!(ask(&set, &["ann", "bob"]), json!(["failed", "failed"]));
}

#[test]
fn the_configurations_of_the_chapter_are_sound() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lookups.md");
    let text = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(block, _)| block))
        .collect();
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        let known = |_: &str| Some("secret".to_owned());
        let read = Config::parse(block, Path::new("logmon.toml"), &known);
        assert!(read.is_ok(), "{}\n{block}", read.unwrap_err());
    }
}
