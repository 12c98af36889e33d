//! `[lookup.NAME]`: each kind's own keys.

mod remote;

use std::{path::PathBuf, time::Duration};

use super::{
    super::{
        KafkaLookup, Lookup, LookupKind,
        raw::{self, Cache, FileFormat, RawLookup},
    },
    Check, TOPIC_RULE, is_topic,
};

/// Ten million answers are some gigabytes, above any budget.
const ENTRIES_MAX: u64 = 10_000_000;
/// Some hundred answers: below it the cache would only turn over.
const BYTES_MIN: u64 = 64 << 10;
/// More memory than a cache of rows can be worth.
const BYTES_MAX: u64 = 64 << 30;

impl Check<'_> {
    pub(super) fn lookup(&mut self, name: &str, mut raw: RawLookup) -> Option<Lookup> {
        let before = self.problems.len();
        self.cache(name, &raw.cache);
        self.strangers(name, &raw);
        let mut cache = raw.cache.clone();
        cache.warm = cache.warm.map(|path| self.file(path));
        self.readable(&["lookup", name, "cache", "warm"], cache.warm.as_deref());
        let fields = std::mem::take(&mut raw.fields);
        for (field, place) in &fields {
            if place.is_empty() {
                self.wrong(&["lookup", name, "fields", field], "must name a column or member");
            }
        }
        let kind = match raw.kind {
            None => {
                let key = ["lookup", name, "kind"];
                self.wrong(&key, "is missing; write \"maxmind\", \"file\", \"http\", \"postgres\", \"clickhouse\", \"redis\" or \"kafka\"");
                None
            }
            Some(raw::LookupKind::MaxMind) => {
                let paths: Vec<PathBuf> =
                    raw.path.into_iter().chain(raw.paths).map(|path| self.file(path)).collect();
                if paths.is_empty() {
                    self.wrong(&["lookup", name, "path"], "is missing; name the .mmdb file");
                }
                Some(LookupKind::MaxMind { paths })
            }
            Some(raw::LookupKind::File) => self.table(name, raw),
            Some(raw::LookupKind::Http) => Some(LookupKind::Http(self.service(name, raw))),
            Some(raw::LookupKind::Postgres) => Some(LookupKind::Postgres(self.postgres(name, raw))),
            Some(raw::LookupKind::ClickHouse) => {
                Some(LookupKind::ClickHouse(self.clickhouse_lookup(name, raw)))
            }
            Some(raw::LookupKind::Redis) => Some(LookupKind::Redis(self.redis(name, raw))),
            Some(raw::LookupKind::Kafka) => {
                let security = raw.security.unwrap_or_default();
                let connection =
                    self.connection(&["lookup", name], &raw.brokers, security, raw.client);
                let topic = raw.topic.unwrap_or_default();
                if !is_topic(&topic) {
                    self.wrong(&["lookup", name, "topic"], TOPIC_RULE);
                }
                Some(LookupKind::Kafka(KafkaLookup { connection, topic }))
            }
        };
        let kind = kind.filter(|_| self.problems.len() == before)?;
        Some(Lookup { name: name.into(), cache, fields, kind })
    }

    /// Keys of one kind that stand in a table of another.
    fn strangers(&mut self, name: &str, raw: &RawLookup) {
        use raw::LookupKind::{ClickHouse, File, Http, Kafka, MaxMind, Postgres, Redis};
        let Some(kind) = raw.kind else { return };
        let remote = [Http, Postgres, ClickHouse, Redis].as_slice();
        let keys = [
            ("path", raw.path.is_some(), [MaxMind, File].as_slice()),
            ("paths", !raw.paths.is_empty(), &[MaxMind]),
            (
                "fields",
                !raw.fields.is_empty(),
                &[MaxMind, File, Postgres, ClickHouse, Redis, Kafka],
            ),
            ("key", raw.key.is_some(), &[File, Postgres, ClickHouse]),
            ("format", raw.format.is_some(), &[File]),
            ("url", raw.url.is_some(), remote),
            ("bearer", raw.bearer.is_some(), &[Http]),
            ("user", raw.user.is_some(), remote),
            ("password", raw.password.is_some(), remote),
            ("headers", !raw.headers.is_empty(), &[Http]),
            ("ca", raw.ca.is_some(), remote),
            ("cert", raw.cert.is_some(), remote),
            ("cert_key", raw.cert_key.is_some(), remote),
            ("tls", raw.tls.is_some(), &[Postgres]),
            ("table", raw.table.is_some(), &[Postgres, ClickHouse]),
            ("value", raw.value.is_some(), &[Postgres, ClickHouse]),
            ("database", raw.database.is_some(), &[ClickHouse]),
            ("pattern", raw.pattern.is_some(), &[Redis]),
            ("values", raw.values.is_some(), &[Redis]),
            ("brokers", !raw.brokers.is_empty(), &[Kafka]),
            ("topic", raw.topic.is_some(), &[Kafka]),
            ("security", raw.security.is_some(), &[Kafka]),
            ("client", !raw.client.is_empty(), &[Kafka]),
            ("timeout", raw.timeout.is_some(), remote),
            ("concurrency", raw.concurrency.is_some(), remote),
            ("batch", raw.batch.is_some(), remote),
        ];
        let kind_name = match kind {
            MaxMind => "maxmind",
            File => "file",
            Http => "http",
            Postgres => "postgres",
            ClickHouse => "clickhouse",
            Redis => "redis",
            Kafka => "kafka",
        };
        let strange: Vec<(&str, bool)> = keys
            .into_iter()
            .map(|(key, given, kinds)| (key, given && !kinds.contains(&kind)))
            .collect();
        self.foreign("lookup", name, kind_name, &strange);
    }

    fn cache(&mut self, name: &str, cache: &Cache) {
        let key = |last| ["lookup", name, "cache", last];
        if !(1..=ENTRIES_MAX).contains(&cache.entries) {
            self.wrong(&key("entries"), "must lie between 1 and 10000000");
        }
        if !(BYTES_MIN..=BYTES_MAX).contains(&cache.bytes.0) {
            self.wrong(&key("bytes"), "must lie between 64KiB and 64GiB");
        }
        if cache.idle.is_some_and(|idle| idle.0.is_zero()) {
            self.wrong(&key("idle"), "must be longer than 0s; leave it out for \"never\"");
        }
        // A year: far above any use, and below what the cache's clock can add.
        let year = Duration::from_hours(366 * 24);
        let idle = cache.idle.unwrap_or(cache.ttl);
        let waits = [
            ("ttl", cache.ttl),
            ("negative_ttl", cache.negative_ttl),
            ("stale", cache.stale),
            ("idle", idle),
        ];
        for (last, wait) in waits {
            if wait.0 > year {
                self.wrong(&key(last), "must not be longer than 366d");
            }
        }
    }

    fn table(&mut self, name: &str, raw: RawLookup) -> Option<LookupKind> {
        let key = |last| ["lookup", name, last];
        let Some(path) = raw.path else {
            self.wrong(&key("path"), "is missing; name the file");
            return None;
        };
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let format = raw.format.or(match ending {
            "csv" => Some(FileFormat::Csv),
            "json" => Some(FileFormat::Json),
            "ndjson" | "jsonl" => Some(FileFormat::Ndjson),
            "parquet" => Some(FileFormat::Parquet),
            _ => None,
        });
        if format.is_none() {
            self.wrong(&key("format"), "is missing, and the file's ending does not tell; write \"csv\", \"json\", \"ndjson\" or \"parquet\"");
        }
        if raw.key.is_none() {
            self.wrong(&key("key"), "is missing; name the column that is the key");
        }
        Some(LookupKind::File { path: self.file(path), key: raw.key?, format: format? })
    }
}
