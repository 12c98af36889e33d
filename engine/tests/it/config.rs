//! `logmon.toml`: what it says, and every sentence about what is wrong with it.

#![expect(clippy::needless_raw_string_hashes, reason = "expected texts are rewritten that way")]

use std::{path::Path, time::Duration};

use expect_test::{Expect, expect};
use proptest::prelude::*;

use logmon_engine::config::{
    ByteSize, Compression, Config, LookupKind, OnFault, Protocol, SinkKind, Start, Topics, Wait,
    find,
};

fn parse(text: &str) -> Result<Config, String> {
    let environment = |name: &str| match name {
        "BROKERS" => Some("a:9092, b:9092".to_owned()),
        "PASSWORD" => Some("hunter2\"\ninjected = true".to_owned()),
        "TOKEN" => Some("hunter2-token".to_owned()),
        _ => None,
    };
    Config::parse(text, Path::new("/etc/logmon/logmon.toml"), &environment)
        .map_err(|error| error.to_string().replace("/etc/logmon/", ""))
}

#[track_caller]
fn refused(text: &str, expected: &Expect) {
    let error = parse(text).expect_err("the configuration is wrong");
    expected.assert_eq(&error);
}

#[test]
fn nothing_is_needed_but_what_is_used() {
    let config = parse("").unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8686");
    assert_eq!(config.engine.state_dir, Path::new("/etc/logmon/.logmon"));
    assert!(config.engine.memory >= 32 << 20 && config.engine.threads >= 1);
}

#[test]
fn every_section_reads() {
    let config = parse(
        r#"
        [engine]
        memory = "128MiB"
        threads = 3
        state_dir = "/var/lib/logmon"

        [http]
        listen = "127.0.0.1:0"

        [source.app]
        kind = "kafka"
        brokers = ["${BROKERS}", "c:1"]
        topics = ["logs.app"]
        start = "2026-01-31T06:00:00Z"
        on_fault = "dlq"
        max_record_bytes = 2_000_000
        security = { mechanism = "SCRAM-SHA-256", user = "u", password = "${PASSWORD}" }
        client = { "socket.nagle.disable" = true }

        [source.all]
        kind = "kafka"
        brokers = ["a:1"]
        topic_pattern = "logs\\..*"

        [sink.logs]
        kind = "clickhouse"
        url = "http://localhost:8123/"
        batch = { age = "250ms" }
        compression = "zstd"
        columns = { user_agent = ".http.user_agent" }
        accept_time = { past = "30d" }

        [sink.dlq]
        kind = "kafka"
        brokers = ["a:1"]
        topic = "dlq"

        [lookup.geo]
        kind = "maxmind"
        paths = ["country.mmdb", "/srv/asn.mmdb"]

        [lookup.users]
        kind = "http"
        url = "https://users.internal/v1/{key}"
        bearer = "${env:TOKEN}"
        cache = { entries = 200_000, ttl = "10m", negative_ttl = "1m" }
        timeout = "20ms"

        [dead_letter]
        sink = "dlq"
        "#,
    )
    .unwrap();
    assert_eq!((config.engine.memory, config.engine.threads), (128 << 20, 3));
    let app = &config.sources["app"];
    assert_eq!(app.connection.brokers, ["a:9092", "b:9092", "c:1"]);
    assert_eq!(app.connection.security.protocol, Protocol::SaslSsl);
    assert_eq!(app.start, Start::At(1_769_839_200_000));
    assert_eq!((app.on_fault, app.max_record_bytes), (OnFault::Dlq, 2_000_000));
    assert_eq!(config.sources["all"].topics, Topics::Pattern("^(logs\\..*)$".into()));
    let properties = app.connection.properties();
    let property = |name: &str| {
        properties.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.expose())
    };
    assert_eq!(property("socket.nagle.disable"), Some("true"));
    assert_eq!(property("sasl.mechanism"), Some("SCRAM-SHA-256"));
    assert_eq!(property("bootstrap.servers"), Some("a:9092,b:9092,c:1"));
    let sink = &config.sinks["logs"];
    assert_eq!(sink.compression, Compression::Zstd);
    let SinkKind::ClickHouse(table) = &sink.kind else { panic!("a table is declared") };
    assert_eq!(table.urls, ["http://localhost:8123"]);
    assert_eq!(table.batch.age, Wait(Duration::from_millis(250)));
    assert_eq!((table.batch.rows, table.batch.bytes), (100_000, ByteSize(32 << 20)));
    assert_eq!(table.accept_time.past, Duration::from_hours(720));
    let LookupKind::MaxMind { paths } = &config.lookups["geo"].kind else { panic!("a database") };
    assert_eq!(paths, &[Path::new("/etc/logmon/country.mmdb"), Path::new("/srv/asn.mmdb")]);
    assert_eq!(config.dead_letter.as_ref().map(|dead| &*dead.sink), Some("dlq"));
    let drawn = format!("{config:?}");
    assert!(!drawn.contains("hunter2") && !drawn.contains("injected"), "a secret shows: {drawn}");
}

#[test]
fn unknown_keys_name_the_nearest_known_one_all_at_once() {
    refused(
        r#"
[sources.app]
kind = "kafka"

[source.app]
kind = "kafka"
brokers = ["a:1"]
topcis = ["logs"]

[sink.logs]
kind = "clickhouse"
url = "http://localhost:8123"
batch = { row = 5 }
colour = "red"
"#,
        &expect![[r#"
            logmon.toml:2: `[sources]` is not a known key; did you mean `source`?
            logmon.toml:8: `[source.app] topcis` is not a known key; did you mean `topics`?
            logmon.toml:13: `[sink.logs] batch.row` is not a known key; did you mean `rows`?
            logmon.toml:14: `[sink.logs] colour` is not a known key; known here: accept_time, batch, brokers, ca, client, columns, compression, database, delivery, errors, kind, on_absent, password, rest, security, table, timeout, topic, url, urls, user"#]],
    );
}

#[test]
fn missing_variables_are_named() {
    refused(
        r#"
[sink.logs]
kind = "clickhouse"
url = "${CLICKHOUSE_URL}"
password = "${file:no-such-file}"
table = "$${plain"
"#,
        &expect![[r#"
            logmon.toml:4: `[sink.logs] url` needs the environment variable `CLICKHOUSE_URL`, which is not set
            logmon.toml:5: `[sink.logs] password` needs the file no-such-file: No such file or directory (os error 2)"#]],
    );
}

#[test]
fn what_is_not_toml_or_has_the_wrong_type_has_a_line() {
    refused(
        "[engine]\nmemory = ",
        &expect!["logmon.toml:2: string values must be quoted, expected literal string"],
    );
    refused(
        "[engine]\n\nthreads = \"many\"\n",
        &expect![[
            r#"logmon.toml:3: `[engine] threads`: invalid type: string "many", expected u32"#
        ]],
    );
    refused(
        "[engine]\nmemory = \"32 parsecs\"\n",
        &expect![[
            r#"logmon.toml:2: `[engine] memory`: `32 parsecs` is no size; write it like "32MiB", "64KB" or 1048576"#
        ]],
    );
    refused(
        "[sink.x]\nkind = \"clickhouse\"\nurl = \"http://h\"\ncompression = \"gzip\"",
        &expect![
            "logmon.toml:4: `[sink.x] compression`: unknown variant `gzip`, expected one of `none`, `lz4`, `zstd`"
        ],
    );
    refused(
        "[sink.x]\nbatch = { age = \"soon\" }",
        &expect![[
            r#"logmon.toml:2: `[sink.x] batch.age`: `soon` is no duration; write it like "250ms", "1s" or "10m""#
        ]],
    );
}

#[test]
fn all_that_is_wrong_is_said_in_one_run() {
    refused(
        r#"
[engine]
memory = "1MiB"
threads = 0

[http]
listen = "everywhere"

[source.app]
kind = "kafka"
brokers = ["broker"]
start = "latest"
client = { "plugin.library.paths" = "x.so", "group.id" = "me", "enable.auto.commit" = true }
security = { protocol = "ssl", user = "me", cert = "c.pem" }

[source.both]
brokers = ["a:1"]
topics = ["a b"]
topic_pattern = "("

[sink.logs]
kind = "clickhouse"
url = "clickhouse:8123"
delivery = "exactly-once"
topic = "t"
timeout = "10m"
columns = { a = "http.a" }

[sink.topic]
kind = "kafka"
table = "t"

[sink.nothing]

[lookup.geo]
kind = "maxmind"
key = "ip"

[lookup.users]
kind = "file"
path = "users.txt"

[lookup.web]
kind = "http"
url = "https://{key}.internal/"
password = "p"
headers = { "bad header" = "x" }
cache = { entries = 0 }

[dead_letter]
sink = "log"
"#,
        &expect![[r#"
            logmon.toml:3: `[engine] memory` must be at least 32MiB, to hold a batch and a block
            logmon.toml:4: `[engine] threads` must lie between 1 and 1024
            logmon.toml:7: `[http] listen` must be an address with a port such as 127.0.0.1:8686, not `everywhere`
            logmon.toml:9: `[source.app] topics` is missing; name at least one topic, or a topic_pattern
            logmon.toml:11: `[source.app] brokers` needs host:port, not `broker`
            logmon.toml:13: `[source.app] client.enable.auto.commit` is set by the engine, because delivery depends on it
            logmon.toml:13: `[source.app] client.group.id` has its own key here: `group`
            logmon.toml:13: `[source.app] client.plugin.library.paths` is refused, because it loads code or contacts other hosts
            logmon.toml:14: `[source.app] security.protocol` has no login, but a user is given; use "sasl_ssl"
            logmon.toml:14: `[source.app] security.key` is missing; a certificate needs its private key
            logmon.toml:16: `[source.both] kind` is missing; write kind = "kafka"
            logmon.toml:19: `[source.both] topic_pattern` cannot stand beside `topics`; keep one of them
            logmon.toml:23: `[sink.logs] url` must be an address such as "http://localhost:8123"
            logmon.toml:25: `[sink.logs] topic` does not belong to kind = "clickhouse"
            logmon.toml:26: `[sink.logs] timeout` must lie between 1ms and 150s, below Kafka's session limits
            logmon.toml:27: `[sink.logs] columns.a` must be a path such as ".http.user_agent", not "http.a"
            logmon.toml:29: `[sink.topic] brokers` is missing; name at least one broker such as "kafka:9092"
            logmon.toml:29: `[sink.topic] topic` must be a topic name: 1 to 249 letters, digits, dots, dashes or underscores
            logmon.toml:31: `[sink.topic] table` does not belong to kind = "kafka"
            logmon.toml:33: `[sink.nothing] kind` is missing; write "clickhouse" or "kafka"
            logmon.toml:35: `[lookup.geo] path` is missing; name the .mmdb file
            logmon.toml:37: `[lookup.geo] key` does not belong to kind = "maxmind"
            logmon.toml:39: `[lookup.users] format` is missing, and the file's ending does not tell; write "csv", "json", "ndjson" or "parquet"
            logmon.toml:39: `[lookup.users] key` is missing; name the column that is the key
            logmon.toml:43: `[lookup.web] user` is missing beside `password`
            logmon.toml:45: `[lookup.web] url` may hold `{key}` only after the host
            logmon.toml:47: `[lookup.web] headers.bad header` is not a header that HTTP allows
            logmon.toml:48: `[lookup.web] cache.entries` must lie between 1 and 10000000
            logmon.toml:51: `[dead_letter] sink` names "log", but there is no [sink.log]; did you mean "logs"?"#]],
    );
}

#[test]
fn a_login_inside_an_address_is_refused_and_not_repeated() {
    refused(
        "[sink.x]\nkind = \"clickhouse\"\nurl = \"http://me:hunter2@db:8123\"",
        &expect![
            "logmon.toml:3: `[sink.x] url` must not hold a login; use the keys `user` and `password`"
        ],
    );
}

#[test]
fn the_nearest_is_found_in_or_beside_the_folder_of_the_entry() {
    let folder = std::env::temp_dir().join(format!("logmon-find-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("rules")).unwrap();
    let entry = folder.join("rules/prod.rules");
    assert_eq!(find(&entry, None), None);
    std::fs::write(folder.join("logmon.toml"), "").unwrap();
    assert_eq!(find(&entry, None), Some(folder.join("logmon.toml")));
    std::fs::write(folder.join("rules/logmon.toml"), "").unwrap();
    assert_eq!(find(&entry, None), Some(folder.join("rules/logmon.toml")));
    assert_eq!(find(&entry, Some(Path::new("other.toml"))), Some("other.toml".into()));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A file with something of everything, to be mangled.
const SOUND: &str = r#"
[engine]
memory = "128MiB"
[source.app]
kind = "kafka"
brokers = ["${BROKERS}"]
topics = ["logs.app"]
client = { "fetch.max.bytes" = 1_000 }
[sink.logs]
kind = "clickhouse"
url = "http://localhost:8123/"
batch = { age = "250ms" }
[lookup.users]
kind = "http"
url = "https://users.internal/v1/{key}"
[dead_letter]
sink = "logs"
"#;

proptest! {
    #[test]
    fn whatever_stands_there_nothing_panics(text in "\\PC{0,200}") {
        let _outcome = parse(&text);
    }

    #[test]
    fn a_mangled_file_is_read_or_refused(at in 0..SOUND.len(), cut in 0usize..12, put in "[\\[\\]{}=\"$.a-z0-9\n]{0,6}") {
        let end = (at + cut).min(SOUND.len());
        let text = [&SOUND[..at], &put, &SOUND[end..]].concat();
        if let Err(error) = parse(&text) {
            prop_assert!(error.starts_with("logmon.toml:"), "{error}");
        }
    }
}

#[test]
fn durations_and_sizes_read_as_written() {
    for (text, nanos) in
        [("250ms", 250_000_000), ("1h30m", 5_400_000_000_000), ("0s", 0), ("15us", 15_000)]
    {
        assert_eq!(text.parse::<Wait>().unwrap().0.as_nanos(), nanos, "{text}");
    }
    for text in ["", "5", "s", "-1s", "1 s", "99999999999999d", "1month"] {
        assert!(text.parse::<Wait>().is_err(), "{text}");
    }
    for (text, bytes) in [("32MiB", 32 << 20), ("64 KB", 64_000), ("7", 7), ("1gib", 1 << 30)] {
        assert_eq!(text.parse::<ByteSize>().unwrap().0, bytes, "{text}");
    }
    for text in ["", "MiB", "-1B", "1XB", "99999999999TiB", "1.5MiB"] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
    }
}

#[test]
fn the_schema_describes_every_key() {
    fn undescribed(schema: &serde_json::Value, at: &str, out: &mut Vec<String>) {
        let Some(properties) = schema.get("properties").and_then(|p| p.as_object()) else { return };
        for (key, value) in properties {
            if value.get("description").is_none() {
                out.push(format!("{at}.{key}"));
            }
        }
    }
    let schema = Config::schema();
    let mut missing = Vec::new();
    undescribed(&schema, "", &mut missing);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        undescribed(definition, name, &mut missing);
    }
    assert_eq!(missing, [""; 0]);
    assert_eq!(schema["$defs"]["RawSource"]["additionalProperties"], false);
    assert_eq!(schema["$defs"]["RawSource"]["required"], serde_json::json!(["kind", "brokers"]));
}
