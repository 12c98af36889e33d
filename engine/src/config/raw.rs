//! `logmon.toml` as written: every key, what it means, and its default.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{ByteSize, Secret, Start, Wait};

/// 100,000 rows: above it larger blocks no longer make inserts cheaper, below it `ClickHouse` merges more than it should.
const BATCH_ROWS: usize = 100_000;
/// 32 MiB of column data a block: with four tables and one block each in flight this is the default memory budget.
const BATCH_BYTES: u64 = 32 << 20;
/// One second: fresh enough to search by, rare enough for a part a second and table.
const BATCH_AGE: Duration = Duration::from_secs(1);
/// 64 MiB: a hundred thousand answers of some hundred bytes each, their keys and the cache's own books.
const CACHE_BYTES: u64 = 64 << 20;
/// More distinct keys than most streams have within minutes.
const CACHE_ENTRIES: u64 = 100_000;
/// Ten minutes: people and addresses change slowly.
const CACHE_TTL: Duration = Duration::from_mins(10);
/// One minute: a key that was just created should be found soon.
const CACHE_NEGATIVE_TTL: Duration = Duration::from_mins(1);
/// One minute: a back end that is restarted is not noticed, and nothing gets much older than it may.
const CACHE_STALE: Duration = Duration::from_mins(1);

/// Connections, credentials and sizes of logmon-engine. `${NAME}` in a text takes the environment
/// variable NAME, `${file:PATH}` the content of a file, `$${` is a plain `${`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "logmon.toml")]
pub struct RawConfig {
    /// The process as a whole.
    pub engine: RawEngine,
    /// Metrics, health and the API.
    pub http: RawHttp,
    /// Where events come from: one table a `source` of the rules.
    pub source: BTreeMap<String, RawSource>,
    /// Where events go: one table a `sink` of the rules.
    pub sink: BTreeMap<String, RawSink>,
    /// Outside knowledge by key: one table a `lookup` of the rules.
    pub lookup: BTreeMap<String, RawLookup>,
    /// Where events go that cannot be delivered.
    pub dead_letter: Option<RawDeadLetter>,
}

/// `[engine]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawEngine {
    /// The byte budget for payloads, columns, blocks in flight and client queues together. Unset: half of
    /// the cgroup's limit, at most 192 MiB.
    pub memory: Option<ByteSize>,
    /// Threads that compute. Unset: as many as the cgroup's quota allows.
    pub threads: Option<u32>,
    /// A folder for the engine's own files. Unset: `.logmon` beside this file.
    pub state_dir: Option<PathBuf>,
    /// The Kafka topic that keeps rule bundles for recoveries on other machines.
    pub bundle_topic: Option<String>,
}

/// `[http]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawHttp {
    /// Address and port of /metrics, /livez, /readyz and /api. Port 0 picks a free one and prints it.
    /// Unset: `127.0.0.1:8686`.
    pub listen: Option<String>,
}

/// `[source.NAME]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kind", "brokers"]))]
pub struct RawSource {
    /// What it is.
    pub kind: Option<SourceKind>,
    /// `host:port` of some brokers; the others are learned from them. A text may hold several, with commas.
    pub brokers: Vec<String>,
    /// Topics by name. Either this or `topic_pattern`.
    pub topics: Vec<String>,
    /// Topics by regular expression, also those created later.
    pub topic_pattern: Option<String>,
    /// How payloads are read.
    pub decode: Decode,
    /// The consumer group. Unset: `logmon`.
    pub group: Option<String>,
    /// Where a partition without a committed offset begins: `earliest`, `latest`, or a time such as
    /// `2026-01-31T06:00:00Z`. Unset: `earliest`.
    pub start: Option<Start>,
    /// What becomes of records whose value is null or empty.
    pub on_empty: OnEmpty,
    /// What becomes of records that arrive damaged: their batch's checksum is wrong, or it cannot be unpacked.
    pub on_corrupt: OnCorrupt,
    /// What becomes of events in which a statement met a fault (a wrong type, a failed parse); a condition is false then.
    pub on_fault: OnFault,
    /// Longer records are dead letters. Unset: 1 MiB.
    pub max_record_bytes: Option<ByteSize>,
    /// TLS and login.
    pub security: RawSecurity,
    /// librdkafka's own properties, for what has no key here.
    pub client: BTreeMap<String, Secret>,
}

/// Kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Topics of a Kafka cluster.
    Kafka,
}

/// How payloads are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decode {
    /// One JSON object a record.
    #[default]
    Json,
}

/// What becomes of records whose value is null or empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnEmpty {
    /// They are dead letters.
    #[default]
    Dlq,
    /// They are dropped and counted.
    Drop,
}

/// What becomes of records that arrive damaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnCorrupt {
    /// The partition stands still and asks again until they are whole.
    #[default]
    Stop,
    /// They are asked for three times, then left out, named in the log and counted.
    Skip,
}

/// What becomes of events in which a rule met a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The event goes on, the cause is counted.
    #[default]
    Keep,
    /// The event is dropped.
    Drop,
    /// The event is a dead letter.
    Dlq,
}

/// `security = { … }` of a Kafka connection.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSecurity {
    /// What travels on the wire. Unset: TLS when a login or a certificate is given, else plain text.
    pub protocol: Option<Protocol>,
    /// A PEM file with the authorities to trust. Unset: the system's.
    pub ca: Option<PathBuf>,
    /// A PEM file with our certificate, where the broker asks for one.
    pub cert: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    pub key: Option<PathBuf>,
    /// The private key's password.
    pub key_password: Option<Secret>,
    /// How the password is proven. Unset: `SCRAM-SHA-512` when a user is given.
    pub mechanism: Option<Mechanism>,
    /// Who logs in.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

/// What travels on the wire to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// No TLS, no login.
    Plaintext,
    /// TLS, no login.
    Ssl,
    /// A login without TLS.
    SaslPlaintext,
    /// A login inside TLS.
    SaslSsl,
}

/// How a password is proven to Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// The password itself.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Salted challenge, SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Salted challenge, SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// `[sink.NAME]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kind"]))]
pub struct RawSink {
    /// What it is.
    pub kind: Option<SinkKind>,
    /// What is promised. Unset: `exactly-once` where the table allows it, else `at-least-once`, with the reason in the log.
    pub delivery: Option<Delivery>,
    /// How blocks are compressed on the way.
    pub compression: Compression,
    /// The longest wait for one insert or send. Unset: `60s`.
    pub timeout: Option<Wait>,
    /// clickhouse: `http://host:8123` or `https://host:8443`.
    pub url: Option<String>,
    /// clickhouse: several servers instead of `url`, each with the table: whoever is well and idle gets the next block.
    pub urls: Vec<String>,
    /// clickhouse: the database. Unset: `default`.
    pub database: Option<String>,
    /// clickhouse: the table. Unset: the one that the rules name.
    pub table: Option<String>,
    /// clickhouse: who writes. Unset: `default`.
    pub user: Option<String>,
    /// clickhouse: the password.
    pub password: Option<Secret>,
    /// clickhouse: a PEM file with authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// clickhouse: when a block is closed: the first limit reached.
    pub batch: Option<Batch>,
    /// clickhouse: what an error of the server asks of the engine, where that is not what it usually is: `TOO_MANY_PARTS = "stop"`, by name or
    /// number.
    pub errors: BTreeMap<String, OnError>,
    /// clickhouse: what a column that is not Nullable gets for an absent value.
    pub on_absent: Option<OnAbsent>,
    /// clickhouse: how far from now an event time may lie; outside, the record's own time is stored.
    pub accept_time: Option<RawAcceptTime>,
    /// clickhouse: the column that takes what has no column of its own. Unset: `attributes`, if the table has it
    /// as Map or JSON.
    pub rest: Option<String>,
    /// clickhouse: columns fed from another path than their name says: `user_agent = ".http.user_agent"`.
    pub columns: BTreeMap<String, String>,
    /// kafka: `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// kafka: the topic.
    pub topic: Option<String>,
    /// kafka: TLS and login.
    pub security: Option<RawSecurity>,
    /// kafka: librdkafka's own properties, for what has no key here.
    pub client: BTreeMap<String, Secret>,
}

/// Kinds of sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// A ClickHouse table.
    ClickHouse,
    /// A Kafka topic.
    Kafka,
}

/// What a sink promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Never less than once; after a crash rows may repeat.
    #[default]
    AtLeastOnce,
    /// Each row once, into tables that allow it.
    ExactlyOnce,
}

/// How blocks are compressed on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all: cheapest for our processor, for a fast network.
    None,
    /// Fast, about four times smaller.
    #[default]
    Lz4,
    /// Slower, about seven times smaller, for a narrow network.
    Zstd,
}

/// What a column that is not Nullable gets for an absent value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnAbsent {
    /// The rules are refused if that can happen.
    Error,
    /// The column's default, counted.
    Default,
    /// The event is a dead letter.
    Dlq,
}

/// What an error of a ClickHouse server asks of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The server has too much to do: wait and try again, as long as it takes.
    Wait,
    /// Nothing was stored: try again.
    Retry,
    /// Something may have been stored: try again with the same bytes and token.
    Resolve,
    /// The table changed: read it again, then stop.
    Refresh,
    /// A row is to blame: find it and send it to the dead letter.
    Bisect,
    /// Stop this sink until a person does something, and keep the offsets.
    Stop,
}

/// When a block is closed: the first limit reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// At so many rows. Unset: 100000.
    pub rows: usize,
    /// At so much column data. Unset: 32MiB.
    pub bytes: ByteSize,
    /// At this age of its first row, or as much earlier as storing takes (a quarter at most), so that the row can be read at this age. Unset: 1s.
    pub age: Wait,
}

/// How far from now an event time may lie.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAcceptTime {
    /// Into the past. Unset: `400d`.
    pub past: Option<Wait>,
    /// Into the future. Unset: `1d`.
    pub future: Option<Wait>,
}

/// `[lookup.NAME]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kind"]))]
pub struct RawLookup {
    /// What it is.
    pub kind: Option<LookupKind>,
    /// The cache in front of it.
    pub cache: Cache,
    /// Where a field of the rules is found, if not under its own name: a column, or a member such as `country.iso_code`.
    pub fields: BTreeMap<String, String>,
    /// maxmind, file: the file.
    pub path: Option<PathBuf>,
    /// maxmind: several databases whose answers are joined; the first that knows a field wins.
    pub paths: Vec<PathBuf>,
    /// file, postgres, clickhouse: the column or member that is the key; several, with commas, for a key of several parts.
    pub key: Option<String>,
    /// file: how it is read. Unset: by the file's ending.
    pub format: Option<FileFormat>,
    /// http: the address, with `{key}` where the key goes, or without it where keys go into the body, `batch` at once.
    /// clickhouse: `http://host:8123`. postgres: `postgres://host:5432/database`. redis: `redis://host:6379/0` or `rediss://…`.
    pub url: Option<String>,
    /// http: a token, sent as `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// http, postgres, clickhouse, redis: who logs in.
    pub user: Option<String>,
    /// http, postgres, clickhouse, redis: the password.
    pub password: Option<Secret>,
    /// http: more headers.
    pub headers: BTreeMap<String, Secret>,
    /// http, postgres, clickhouse, redis: a PEM file with authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// http, postgres, clickhouse, redis: a PEM file with our certificate, where the server asks for one.
    pub cert: Option<PathBuf>,
    /// http, postgres, clickhouse, redis: a PEM file with the certificate's private key.
    pub cert_key: Option<PathBuf>,
    /// postgres: whether the connection is encrypted. Unset: if `ca` or `cert` is given.
    pub tls: Option<bool>,
    /// postgres, clickhouse: the table or view with the key, one row a key.
    pub table: Option<String>,
    /// postgres, clickhouse: the column that is the answer, where the rules declare a single value.
    pub value: Option<String>,
    /// clickhouse: the database. Unset: `default`.
    pub database: Option<String>,
    /// redis: the name that a key has there, such as `user:{key}`. Unset: `{key}`.
    pub pattern: Option<String>,
    /// redis: what stands under a key. Unset: `json`.
    pub values: Option<RedisValues>,
    /// kafka: `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// kafka: the compacted topic that is the table; the record's key is the key, a record without a value deletes it.
    pub topic: Option<String>,
    /// kafka: TLS and login.
    pub security: Option<RawSecurity>,
    /// kafka: librdkafka's own properties, for what has no key here.
    pub client: BTreeMap<String, Secret>,
    /// http, postgres, clickhouse, redis: the longest wait of a batch of events; keys that are not answered by then are
    /// absent, and what comes later is for the next batch. Unset: `500ms`.
    pub timeout: Option<Wait>,
    /// http, postgres, clickhouse, redis: calls at once. Unset: 32 for http with one key a call, else 4.
    pub concurrency: Option<u32>,
    /// http, postgres, clickhouse, redis: keys a call. Unset: 1 for http, else 500.
    pub batch: Option<u32>,
}

/// Kinds of lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LookupKind {
    /// A MaxMind database: address → place.
    MaxMind,
    /// A table in a file.
    File,
    /// A web service.
    Http,
    /// A table in `PostgreSQL`.
    Postgres,
    /// A table in `ClickHouse`.
    ClickHouse,
    /// Keys of a Redis or Valkey.
    Redis,
    /// A compacted Kafka topic, kept in memory as a table.
    Kafka,
}

/// What stands under a key of a Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedisValues {
    /// A text with JSON in it.
    #[default]
    Json,
    /// A hash, field by field.
    Hash,
}

/// How a lookup's file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// A heading line, then rows.
    Csv,
    /// One JSON text: a list of objects, or an object key → row.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet, flat columns.
    Parquet,
}

/// The cache in front of a lookup. Data in memory (maxmind, file) need none: they are asked directly.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Memory for answers, their keys and what keeping them costs. Unset: `64MiB`.
    pub bytes: ByteSize,
    /// Answers that are kept at most. Unset: 100000.
    pub entries: u64,
    /// How long an answer is kept. Unset: 10m.
    pub ttl: Wait,
    /// How long "no such key" is kept. Unset: 1m.
    pub negative_ttl: Wait,
    /// How much longer an answer is given while a new one is fetched behind the batch's back. Unset: 1m.
    pub stale: Wait,
    /// An answer goes earlier if nobody asks for it so long. Unset: never.
    pub idle: Option<Wait>,
    /// Keys that are asked for a second, at most; the others are absent. 0, or unset: no limit.
    pub rate: u32,
    /// A text file with a key a line: they are asked for at the start, ahead of their first event.
    pub warm: Option<PathBuf>,
}

/// `[dead_letter]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["sink"]))]
pub struct RawDeadLetter {
    /// The `[sink.NAME]` that takes them.
    pub sink: Option<String>,
    /// A Kafka topic that takes them.
    pub topic: Option<String>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: BATCH_ROWS, bytes: ByteSize(BATCH_BYTES), age: Wait(BATCH_AGE) }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            bytes: ByteSize(CACHE_BYTES),
            entries: CACHE_ENTRIES,
            ttl: Wait(CACHE_TTL),
            negative_ttl: Wait(CACHE_NEGATIVE_TTL),
            stale: Wait(CACHE_STALE),
            idle: None,
            rate: 0,
            warm: None,
        }
    }
}

impl Protocol {
    /// As librdkafka spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether there is a login.
    pub fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl Mechanism {
    /// As Kafka spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
