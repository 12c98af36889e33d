//! Lookups in real servers: PostgreSQL, ClickHouse, Valkey, and a topic of a real Kafka.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use expect_test::{Expect, expect};
use logmon_dsl::{
    eval::{Answer, Lookups},
    plan::LookupDecl,
    types::{Shape, Ty, Type},
};
use logmon_engine::lookup::LookupSet;
use logmon_services::{ClickHouse, Kafka, Postgres, Valkey};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::json;

use super::{Folder, World, ask, decl, record};

/// Asks again until the answer is what it should be: servers come back, and topics are read, in their own time.
fn eventually(set: &LookupSet, keys: &[&str], expected: &serde_json::Value) {
    let start = Instant::now();
    loop {
        let said = ask(set, keys);
        if said == *expected {
            return;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{said}, expected {expected}");
        std::thread::yield_now();
    }
}

fn account() -> Type {
    record([
        ("plan", Ty::required(Type::Text)),
        ("seats", Ty::optional(Type::Int)),
        ("score", Ty::optional(Type::Float)),
        ("since", Ty::optional(Type::Timestamp)),
        ("staff", Ty::optional(Type::Bool)),
        ("address", Ty::optional(Type::Ip)),
        ("tags", Ty::optional(Type::List(Arc::new(Type::Text)))),
        ("number", Ty::optional(Type::Text)),
    ])
}

fn two_keys(name: &str, yields: Type) -> LookupDecl {
    LookupDecl {
        keys: vec![Ty::required(Type::Text), Ty::required(Type::Text)],
        ..decl(name, Type::Text, yields)
    }
}

fn refused(world: &World, folder: &Folder, declared: &LookupDecl, config: &str, expected: &Expect) {
    let said = world.open(&folder.0, std::slice::from_ref(declared), config, None).unwrap_err();
    expected.assert_eq(&said);
}

#[test]
fn postgres() {
    let (world, folder, server) =
        (World::new(), Folder::new("postgres"), Postgres::start_own().unwrap());
    server
        .query(
            "CREATE TABLE users (id int8 PRIMARY KEY, plan varchar(9), seats int, score numeric, since timestamp, staff bool, address inet, tags text[], number int);
             INSERT INTO users VALUES (1, 'gold', 7, 1.5, '2026-01-02 03:04:05', true, '10.0.0.1/8', '{a,b}', 42), (2, 'free', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
             CREATE TABLE \"Teams\" (org text, host text, team text, PRIMARY KEY (org, host));
             INSERT INTO \"Teams\" VALUES ('o', 'h', 'blue'), ('o''s', 'h', 'red');
             CREATE TABLE nets (ip inet PRIMARY KEY, uid uuid, name text);
             INSERT INTO nets VALUES ('10.0.0.1', '0e8400e2-9b41-d4a7-1644-665544000000', 'db'), ('2001:db8::1', NULL, 'web');",
        )
        .unwrap();
    let config = |table: &str, key: &str| {
        format!(
            "[lookup.users]\nkind = \"postgres\"\nurl = \"{}\"\nuser = \"app\"\npassword = \"{}\"\ntable = \"{table}\"\nkey = \"{key}\"\ntimeout = \"30s\"\n",
            server.url(),
            server.password()
        )
    };
    let users = decl("users", Type::Text, account());
    let open = |declared: &LookupDecl, config: &str| {
        world.open(&folder.0, std::slice::from_ref(declared), config, None).unwrap()
    };
    let set = open(&users, &config("users", "id"));
    let ann = json!({
        "plan": "gold", "seats": 7, "score": 1.5, "since": "2026-01-02T03:04:05+00:00", "staff": true, "address": "10.0.0.1", "tags": ["a", "b"],
        "number": "42",
    });
    assert_eq!(
        ask(&set, &["1", "x", "2", "3", "01", "9223372036854775808", "' OR 1=1 --"]),
        json!([ann, null, {"plan": "free"}, null, ann, null, null])
    );
    // Keys of two parts, names with capitals, a quote in a key.
    let teams = two_keys("users", Type::Text);
    let set = open(&teams, &config("public.Teams", "org, host"));
    assert_eq!(
        ask(&set, &["o\u{1f}h", "o's\u{1f}h", "o\u{1f}x", "o"]),
        json!(["blue", "red", null, null])
    );
    let by_address = decl("users", Type::Ip, record([("name", Ty::required(Type::Text))]));
    let set = open(&by_address, &config("nets", "ip"));
    assert_eq!(
        ask(&set, &["10.0.0.1", "2001:db8::1", "x"]),
        json!([{"name": "db"}, {"name": "web"}, null])
    );
    let by_uuid = decl("users", Type::Text, record([("name", Ty::required(Type::Text))]));
    let set = open(&by_uuid, &config("nets", "uid"));
    assert_eq!(
        ask(&set, &["0E8400E2-9b41-d4a7-1644-665544000000", "x"]),
        json!([{"name": "db"}, null])
    );
    // An open record has every column.
    let open_shape = Type::Record(Arc::new(Shape { open: true, ..Shape::default() }));
    let set = open(&two_keys("users", open_shape), &config("Teams", "org,host"));
    assert_eq!(ask(&set, &["o\u{1f}h"]), json!([{"org": "o", "host": "h", "team": "blue"}]));
    // A field under another name.
    let renamed = decl("users", Type::Text, record([("tier", Ty::required(Type::Text))]));
    let with_fields = config("users", "id") + "fields = { tier = \"plan\" }\n";
    assert_eq!(ask(&open(&renamed, &with_fields), &["1"]), json!([{"tier": "gold"}]));

    // What does not fit is said with what is there.
    let wrong = decl(
        "users",
        Type::Text,
        record([("plam", Ty::required(Type::Text)), ("tags", Ty::optional(Type::Int))]),
    );
    refused(
        &world,
        &folder,
        &wrong,
        &config("users", "id"),
        &expect![[r#"
        shape: [lookup.users] the table `users` has no column `plam`
        [lookup.users] the column `tags` of the table `users` is `_text`, the rules declare `int?`"#]],
    );
    refused(
        &world,
        &folder,
        &users,
        &config("users", "tags"),
        &expect![
            "world: [lookup.users] key: the column `tags` of the table `users` is `_text`; a key is text, a whole number, a uuid or an inet"
        ],
    );
    refused(
        &world,
        &folder,
        &users,
        &config("nobody", "id"),
        &expect![[r#"
        world: [lookup.users] db error: ERROR: relation "nobody" does not exist"#]],
    );
    refused(
        &world,
        &folder,
        &users,
        &config("users", "id").replace("postgres-secret", "wrong"),
        &expect![[r#"
        world: [lookup.users] db error: FATAL: password authentication failed for user "app""#]],
    );

    // Encrypted, and trusted when the named authority signed.
    let secure = config("users", "id").replace("127.0.0.1", "localhost")
        + &format!("ca = {:?}\n", server.certificate());
    assert_eq!(ask(&open(&users, &secure), &["2"]), json!([{"plan": "free"}]));

    // A server that was started anew is asked again without a word.
    let set = open(
        &users,
        &(config("users", "id") + "cache = { ttl = \"0s\", negative_ttl = \"0s\" }\n"),
    );
    assert_eq!(ask(&set, &["2"]), json!([{"plan": "free"}]));
    server.restart().unwrap();
    assert_eq!(ask(&set, &["2"]), json!([{"plan": "free"}]));
    server.kill();
    assert_eq!(ask(&set, &["2", "1"]), json!(["failed", "failed"]));
    // The engine starts without it, and finds it when it is there.
    let early = open(
        &users,
        &(config("users", "id") + "cache = { ttl = \"0s\", negative_ttl = \"0s\" }\n"),
    );
    assert_eq!(ask(&early, &["2"]), json!(["failed"]));
    server.restart().unwrap();
    eventually(&early, &["2"], &json!([{"plan": "free"}]));
    eventually(&set, &["1"], &json!([ann]));
}

#[test]
fn clickhouse() {
    let (world, folder, server) =
        (World::new(), Folder::new("clickhouse"), ClickHouse::start_own().unwrap());
    for statement in [
        "CREATE TABLE users (id UInt32, plan LowCardinality(String), seats Nullable(Int32), score Float64, since DateTime64(3, 'Europe/Berlin'), staff Bool, address IPv4, tags Array(String), number UInt64) ENGINE = MergeTree ORDER BY id",
        "INSERT INTO users VALUES (1, 'gold', 7, 1.5, '2026-01-02 03:04:05.5', true, '10.0.0.1', ['a', 'b'], 18446744073709551615), (2, 'it''s\\\\', NULL, 0, 0, false, '0.0.0.0', [], 0)",
        "CREATE TABLE teams (org String, n Int8, team String) ENGINE = MergeTree ORDER BY (org, n)",
        "INSERT INTO teams VALUES ('o', -1, 'blue'), ('it''s\\\\ a\\ttab', 2, 'red')",
        "CREATE TABLE nets (ip IPv6, uid UUID, name String) ENGINE = MergeTree ORDER BY ip",
        "INSERT INTO nets VALUES ('::ffff:10.0.0.1', '0e8400e2-9b41-d4a7-1644-665544000000', 'db')",
    ] {
        server.query(statement).unwrap();
    }
    let config = |table: &str, key: &str| {
        format!(
            "[lookup.users]\nkind = \"clickhouse\"\nurl = \"{}\"\nuser = \"{}\"\npassword = \"{}\"\ntable = \"{table}\"\nkey = \"{key}\"\ntimeout = \"30s\"\n",
            server.url(),
            server.user(),
            server.password()
        )
    };
    let users = decl("users", Type::Text, account());
    let open = |declared: &LookupDecl, config: &str| {
        world.open(&folder.0, std::slice::from_ref(declared), config, None).unwrap()
    };
    let set = open(&users, &config("users", "id"));
    let ann = json!({
        "plan": "gold", "seats": 7, "score": 1.5, "since": "2026-01-02T02:04:05.500Z", "staff": true, "address": "10.0.0.1", "tags": ["a", "b"],
        "number": "18446744073709551615",
    });
    let mut said = ask(&set, &["1", "x", "3", "01", "4294967296", "2", "') OR 1=1 --"]);
    assert_eq!(said[5]["plan"], json!("it's\\"));
    said[5] = json!(null);
    assert_eq!(said, json!([ann, null, null, ann, null, null, null]));
    let teams = two_keys("users", Type::Text);
    let set = open(&teams, &config("default.teams", "org, n"));
    assert_eq!(
        ask(&set, &["o\u{1f}-1", "it's\\ a\ttab\u{1f}2", "o\u{1f}2"]),
        json!(["blue", "red", null])
    );
    let by_address = decl("users", Type::Ip, record([("name", Ty::required(Type::Text))]));
    for (column, key) in [("ip", "10.0.0.1"), ("uid", "0E8400E2-9b41-d4a7-1644-665544000000")] {
        let set = open(&by_address, &config("nets", column));
        assert_eq!(ask(&set, &[key, "::2"]), json!([{"name": "db"}, null]));
    }
    // More keys than an address can hold, and a user who may change nothing.
    let (reader, word) = server.reader().unwrap();
    let readonly = config("teams", "team")
        .replace(&format!("\"{}\"", server.user()), &format!("{reader:?}"))
        .replace(server.password(), word)
        + "batch = 5000\n";
    let by_team = decl("users", Type::Text, record([("org", Ty::required(Type::Text))]));
    let set = open(&by_team, &readonly);
    let mut keys: Vec<String> = (0..4000).map(|n| format!("nobody knows team {n}")).collect();
    keys.push("blue".into());
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(ask(&set, &keys)[4000], json!({"org": "o"}));

    let wrong = decl(
        "users",
        Type::Text,
        record([("plam", Ty::required(Type::Text)), ("tags", Ty::optional(Type::Int))]),
    );
    refused(
        &world,
        &folder,
        &wrong,
        &config("users", "id"),
        &expect![[r#"
        shape: [lookup.users] the table `users` has no column `plam`
        [lookup.users] the column `tags` of the table `users` is `Array(String)`, the rules declare `int?`"#]],
    );
    refused(
        &world,
        &folder,
        &users,
        &config("users", "since"),
        &expect![
            "world: [lookup.users] key: the column `since` of the table `users` is `DateTime64(3, 'Europe/Berlin')`; a key is text, a whole number, a UUID or an address"
        ],
    );
    let said = world.open(&folder.0, &[users], &config("nobody", "id"), None).unwrap_err();
    assert!(
        said.starts_with("world: [lookup.users] ClickHouse says 404") && said.contains("nobody"),
        "{said}"
    );
}

#[test]
fn valkey() {
    let (world, folder, server) =
        (World::new(), Folder::new("valkey"), Valkey::start_own().unwrap());
    let client =
        redis::Client::open(server.url().replace("//", &format!("//:{}@", server.password())))
            .unwrap();
    let fill = || {
        let mut connection = client.get_connection().unwrap();
        redis::pipe()
            .cmd("SET")
            .arg("json:ann")
            .arg(r#"{"plan":"gold","seats":7}"#)
            .cmd("SET")
            .arg("json:list")
            .arg("[1]")
            .cmd("HSET")
            .arg("hash:ann")
            .arg(&["plan", "gold", "seats", "7", "more", "x"])
            .cmd("HSET")
            .arg("hash:o:h")
            .arg(&["plan", "free"])
            .exec(&mut connection)
            .unwrap();
    };
    fill();
    let config = |values: &str| {
        format!(
            "[lookup.users]\nkind = \"redis\"\nurl = \"{}\"\npassword = \"{}\"\npattern = \"{values}:{{key}}\"\nvalues = \"{values}\"\ntimeout = \"30s\"\ncache = {{ ttl = \"0s\", negative_ttl = \"0s\" }}\n",
            server.url(),
            server.password()
        )
    };
    let shape = || record([("plan", Ty::required(Type::Text)), ("seats", Ty::optional(Type::Int))]);
    let users = decl("users", Type::Text, shape());
    let open = |declared: &LookupDecl, config: &str| {
        world.open(&folder.0, std::slice::from_ref(declared), config, None).unwrap()
    };
    let ann = json!({"plan": "gold", "seats": 7});
    let json_set = open(&users, &config("json"));
    assert_eq!(ask(&json_set, &["ann", "nobody", "list"]), json!([ann, null, "failed"]));
    let hash_set = open(&users, &config("hash"));
    assert_eq!(ask(&hash_set, &["ann", "nobody", "o:h"]), json!([ann, null, {"plan": "free"}]));
    let set = open(&two_keys("users", shape()), &config("hash"));
    assert_eq!(ask(&set, &["o\u{1f}h"]), json!([{"plan": "free"}]));

    refused(
        &world,
        &folder,
        &users,
        &config("hash").replace("hash:{", "json:{"),
        &expect!["world: [lookup.users] values = \"hash\", but the key `json:ann` holds a string"],
    );
    let wrong = decl(
        "users",
        Type::Text,
        record([
            ("seats", Ty::required(Type::Text)),
            ("name", Ty::required(Type::Text)),
            ("plan", Ty::optional(Type::Int)),
        ]),
    );
    refused(
        &world,
        &folder,
        &wrong,
        &config("hash"),
        &expect![[r#"
        shape: [lookup.users] the server, of 2 keys looked at, has no member `name`
        [lookup.users] the server, of 2 keys looked at, has text in `plan`"#]],
    );
    refused(
        &world,
        &folder,
        &users,
        &config("json").replace(server.password(), "wrong"),
        &expect!["world: [lookup.users] Password authentication failed - AuthenticationFailed"],
    );

    server.kill();
    assert_eq!(ask(&json_set, &["ann", "nobody"]), json!(["failed", "failed"]));
    let early = open(&users, &config("json"));
    assert_eq!(ask(&early, &["ann"]), json!(["failed"]));
    server.restart().unwrap();
    fill();
    eventually(&early, &["ann"], &json!([ann]));
    eventually(&json_set, &["ann"], &json!([ann]));
}

#[test]
fn a_compacted_topic() {
    let (world, folder, kafka) = (World::new(), Folder::new("topic"), Kafka::start().unwrap());
    let topic = format!("lookup-users-{}", std::process::id());
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", kafka.brokers());
    let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
    let new = NewTopic::new(&topic, 3, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    let made = world.runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
    assert_eq!(made, [Ok(topic.clone())]);
    let producer: BaseProducer = client.create().unwrap();
    let send = |key: &str, row: Option<&str>| {
        let record = BaseRecord::to(&topic).key(key);
        let record = if let Some(row) = row { record.payload(row) } else { record };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    for n in 0..1000 {
        send(&format!("u{n}"), Some(&format!("{{\"plan\":\"old\",\"seats\":{n}}}")));
    }
    send("u1", Some("{\"plan\":\"new\"}"));
    send("u2", None);
    send("u3", Some("no row"));
    send("u4", Some("{\"plan\":7}"));
    producer.flush(Duration::from_secs(30)).unwrap();
    let config = format!(
        "[lookup.users]\nkind = \"kafka\"\nbrokers = [\"{}\"]\ntopic = \"{topic}\"\n",
        kafka.brokers()
    );
    let shape = record([("plan", Ty::required(Type::Text)), ("seats", Ty::optional(Type::Int))]);
    let users = decl("users", Type::Text, shape);
    let mut set = world.open(&folder.0, std::slice::from_ref(&users), &config, None).unwrap();
    // Complete from the first question on; what is no row leaves what was there.
    let keys = ["u0", "u1", "u2", "u3", "u4", "u999", "nobody"];
    assert_eq!(
        ask(&set, &keys),
        json!([
            {"plan": "old", "seats": 0}, {"plan": "new"}, null, {"plan": "old", "seats": 3}, {"plan": "old", "seats": 4},
            {"plan": "old", "seats": 999}, null
        ])
    );
    assert_eq!(set.states()[0].holding.rows, Some(999));
    assert!(set.states()[0].holding.made.is_some());
    // Changes reach the cache too, well before its answers end.
    assert_eq!(set.resolve(0, &["u2"]), [Answer::Miss]);
    send("u2", Some("{\"plan\":\"back\"}"));
    send("u0", None);
    producer.flush(Duration::from_secs(30)).unwrap();
    eventually(&set, &["u0", "u2"], &json!([null, {"plan": "back"}]));
    let missing = config.replace(&topic, "lookup-nobody");
    refused(
        &world,
        &folder,
        &users,
        &missing,
        &expect!["world: [lookup.users] topic: lookup-nobody does not exist"],
    );
}
