//! `logmon.toml`: connections, credentials and sizes, checked before anything starts.
//!
//! Invariant: only this file reads the environment, and no secret is ever part of `Debug` or `Display` text.

mod check;
mod machine;
mod raw;
mod read;
mod values;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use raw::{
    Batch, Cache, Compression, Decode, Delivery, FileFormat, Mechanism, OnAbsent, OnCorrupt,
    OnEmpty, OnError, OnFault, Protocol, RawConfig, RedisValues,
};
pub use values::{ByteSize, Secret, Start, Wait};

/// The file's name where `--config` does not say otherwise.
pub const FILE_NAME: &str = "logmon.toml";

/// A configuration is written by hand; a megabyte is a hundred times the longest sensible one.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything `logmon.toml` says, valid.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// `[engine]`
    pub engine: Engine,
    /// `[http]`
    pub http: Http,
    /// `[source.NAME]`
    pub sources: BTreeMap<Arc<str>, Source>,
    /// `[sink.NAME]`
    pub sinks: BTreeMap<Arc<str>, Sink>,
    /// `[lookup.NAME]`
    pub lookups: BTreeMap<Arc<str>, Lookup>,
    /// `[dead_letter]`
    pub dead_letter: Option<DeadLetter>,
}

/// The process as a whole.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The global byte budget: payloads, columns, blocks in flight, client queues.
    pub memory: u64,
    /// Threads that compute.
    pub threads: usize,
    /// Where the engine keeps files of its own.
    pub state_dir: PathBuf,
    /// The Kafka topic that publishes rule bundles, where there is one.
    pub bundle_topic: Option<String>,
}

/// Metrics, health and the API.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens; port 0 picks one.
    pub listen: SocketAddr,
}

/// Brokers and how to reach them.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `host:port` each.
    pub brokers: Vec<String>,
    /// TLS and login.
    pub security: Security,
    /// librdkafka's own properties, set before ours. Their values may be secrets.
    pub client: BTreeMap<String, Secret>,
}

/// TLS and login of a Kafka connection.
#[derive(Debug, Clone)]
pub struct Security {
    /// What travels on the wire.
    pub protocol: Protocol,
    /// Authorities to trust; the system's when unset.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, where the broker asks for one.
    pub identity: Option<Identity>,
    /// The login.
    pub login: Option<Login>,
}

/// A client certificate.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM with the certificate chain.
    pub cert: PathBuf,
    /// PEM with the private key.
    pub key: PathBuf,
    /// The key's password.
    pub key_password: Option<Secret>,
}

/// A SASL login.
#[derive(Debug, Clone)]
pub struct Login {
    /// How the password is proven.
    pub mechanism: Mechanism,
    /// Who.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// `[source.NAME]`: Kafka topics.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name in the rules.
    pub name: Arc<str>,
    /// Brokers.
    pub connection: Connection,
    /// What is read.
    pub topics: Topics,
    /// The consumer group.
    pub group: String,
    /// Where a partition without a committed offset begins.
    pub start: Start,
    /// How payloads are read.
    pub decode: Decode,
    /// What becomes of null and empty records.
    pub on_empty: OnEmpty,
    /// What becomes of records that arrive damaged.
    pub on_corrupt: OnCorrupt,
    /// What becomes of events with a fault.
    pub on_fault: OnFault,
    /// Longer records are dead letters.
    pub max_record_bytes: usize,
}

/// Topics by name or by pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// Exactly these.
    Names(Vec<String>),
    /// All that match, also those created later. Begins with `^`, as librdkafka wants it.
    Pattern(String),
}

/// `[sink.NAME]`
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name in the rules.
    pub name: Arc<str>,
    /// What is promised; what the table allows when unset.
    pub delivery: Option<Delivery>,
    /// How blocks are compressed.
    pub compression: Compression,
    /// The longest wait for one insert or send.
    pub timeout: Duration,
    /// Where to.
    pub kind: SinkKind,
}

/// Where a sink writes.
#[derive(Debug, Clone)]
pub enum SinkKind {
    /// A ClickHouse table.
    ClickHouse(ClickHouseSink),
    /// A Kafka topic.
    Kafka(KafkaSink),
}

/// A ClickHouse table.
#[derive(Debug, Clone)]
pub struct ClickHouseSink {
    /// `http://host:port` or `https://…` each, without a slash at the end; at least one.
    pub urls: Vec<String>,
    /// The database; a table named `db.table` in the rules wins.
    pub database: String,
    /// The table; the rules' `table("…")` when unset.
    pub table: Option<String>,
    /// Who writes.
    pub user: String,
    /// The password, perhaps empty.
    pub password: Secret,
    /// PEM with authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// When a block is closed.
    pub batch: Batch,
    /// What the server's errors ask of the engine, by name or number, where that is not what it usually is.
    pub errors: BTreeMap<String, OnError>,
    /// What a column that is not Nullable gets for an absent value; by the source's shape when unset.
    pub on_absent: Option<OnAbsent>,
    /// How far before and after now an event time may lie.
    pub accept_time: AcceptTime,
    /// The column that takes what has no column; found by its type when unset.
    pub rest: Option<String>,
    /// Column → path of the event, `.http.user_agent`.
    pub columns: BTreeMap<String, String>,
}

/// How far from now an event time may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptTime {
    /// Into the past.
    pub past: Duration,
    /// Into the future.
    pub future: Duration,
}

/// A Kafka topic as a sink.
#[derive(Debug, Clone)]
pub struct KafkaSink {
    /// Brokers.
    pub connection: Connection,
    /// The topic.
    pub topic: String,
}

/// `[lookup.NAME]`
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Its name in the rules.
    pub name: Arc<str>,
    /// The cache in front of it.
    pub cache: Cache,
    /// Where fields of the rules are found, if not under their own names.
    pub fields: BTreeMap<String, String>,
    /// Where the answers come from.
    pub kind: LookupKind,
}

/// Where a lookup's answers come from.
#[derive(Debug, Clone)]
pub enum LookupKind {
    /// MaxMind databases; later ones add to what earlier ones say.
    MaxMind {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// A table in a file, held in memory.
    File {
        /// The file.
        path: PathBuf,
        /// The column or member that is the key.
        key: String,
        /// How the file is read.
        format: FileFormat,
    },
    /// A web service that answers JSON.
    Http(HttpLookup),
    /// A table in PostgreSQL.
    Postgres(PostgresLookup),
    /// A table in ClickHouse.
    ClickHouse(ClickHouseLookup),
    /// Keys of a Redis or Valkey.
    Redis(RedisLookup),
    /// A compacted topic, held in memory.
    Kafka(KafkaLookup),
}

/// How a back end on the other side of a network is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// The longest wait of a batch.
    pub timeout: Duration,
    /// Calls at once.
    pub concurrency: usize,
    /// Keys a call.
    pub batch: usize,
}

/// Whom a connection trusts, and who it says we are.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// PEM with authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM with our certificate, and PEM with its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A web service as a lookup.
#[derive(Debug, Clone)]
pub struct HttpLookup {
    /// The address, with `{key}` in it where one key goes.
    pub url: String,
    /// Whether keys go into the body, several at once.
    pub in_body: bool,
    /// `Authorization`, where one is needed.
    pub authorization: Option<Authorization>,
    /// More headers; their values may be secrets.
    pub headers: BTreeMap<String, Secret>,
    /// Certificates.
    pub trust: Trust,
    /// How it is asked.
    pub asking: Asking,
}

/// Where a table with keys stands.
#[derive(Debug, Clone)]
pub struct KeyedTable {
    /// The table or view; `schema.table` where it is not in the usual place.
    pub table: String,
    /// The columns that make the key, one a part.
    pub key: Vec<String>,
    /// The column that is the answer, where the rules declare a single value.
    pub value: Option<String>,
}

/// A table in PostgreSQL as a lookup.
#[derive(Debug, Clone)]
pub struct PostgresLookup {
    /// `postgres://host:port/database`, without a login.
    pub url: String,
    /// Who logs in.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Certificates.
    pub trust: Trust,
    /// The table.
    pub table: KeyedTable,
    /// How it is asked.
    pub asking: Asking,
}

/// A table in ClickHouse as a lookup.
#[derive(Debug, Clone)]
pub struct ClickHouseLookup {
    /// `http://host:port` or `https://…`, without a slash at the end.
    pub url: String,
    /// The database.
    pub database: String,
    /// Who logs in.
    pub user: String,
    /// The password, perhaps empty.
    pub password: Secret,
    /// Certificates.
    pub trust: Trust,
    /// The table.
    pub table: KeyedTable,
    /// How it is asked.
    pub asking: Asking,
}

/// Keys of a Redis or Valkey as a lookup.
#[derive(Debug, Clone)]
pub struct RedisLookup {
    /// `redis://host:port/number` or `rediss://…`, without a login.
    pub url: String,
    /// Who logs in.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The name that a key has there, with `{key}` in it.
    pub pattern: String,
    /// What stands under a key.
    pub values: RedisValues,
    /// Certificates.
    pub trust: Trust,
    /// How it is asked.
    pub asking: Asking,
}

/// A compacted topic as a lookup.
#[derive(Debug, Clone)]
pub struct KafkaLookup {
    /// Brokers.
    pub connection: Connection,
    /// The topic.
    pub topic: String,
}

/// How we prove who we are to a web service.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `Authorization: Basic …`
    Basic {
        /// Who.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// `[dead_letter]`: where events go that cannot be delivered.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// A declared `[sink.NAME]`.
    pub sink: Arc<str>,
    /// A Kafka topic that gets them too, or instead of the sink's own topic.
    pub topic: Option<String>,
}

/// Why a configuration was refused: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order of the file, never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line, where one is to blame.
    pub line: Option<usize>,
    /// One sentence that names the key.
    pub message: String,
}

impl Config {
    /// Reads and checks a file; `${NAME}` comes from this process's environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let fail = |message: String| ConfigError {
            problems: vec![Problem { path: path.to_owned(), line: None, message }],
        };
        let length = std::fs::metadata(path)
            .map_err(|error| fail(format!("the configuration cannot be read: {error}")))?
            .len();
        if length > FILE_BYTES_MAX {
            return Err(fail("the configuration is longer than 1 MiB".into()));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(format!("the configuration cannot be read: {error}")))?;
        Self::parse(&text, path, &|name| std::env::var(name).ok())
    }

    /// Checks a text as if it stood in that file. `environment` answers for `${NAME}`.
    pub fn parse(
        text: &str,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let (raw, places, problems) = read::read(text, path, environment)?;
        check::check(raw, path, &places, problems)
    }

    /// JSON Schema of `logmon.toml`, for editors.
    pub fn schema() -> serde_json::Value {
        read::schema(false)
    }
}

/// The secret that rules name: the environment variable `LOGMON_SECRET_` and the name in capitals, dashes and dots as `_`.
pub fn secret(name: &str) -> Result<String, String> {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let variable: String = "LOGMON_SECRET_".chars().chain(name.chars().map(letter)).collect();
    match std::env::var(&variable) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(format!("set the environment variable {variable}")),
    }
}

/// Where a test wants this process to stop or end: `LOGMON_FAILPOINTS`.
pub fn failpoints() -> Option<String> {
    std::env::var("LOGMON_FAILPOINTS").ok().filter(|orders| !orders.is_empty())
}

/// Finds the configuration of an entry file: `--config` if given, else the nearest `logmon.toml`: in the entry's
/// folder, or beside it.
pub fn find(entry: &Path, explicit: Option<&Path>) -> Option<PathBuf> {
    if let Some(explicit) = explicit {
        return Some(explicit.to_owned());
    }
    let entry = std::path::absolute(entry).ok()?;
    let folder = entry.parent()?;
    let beside = folder.parent().unwrap_or(folder);
    [folder, beside].into_iter().map(|place| place.join(FILE_NAME)).find(|path| path.is_file())
}

impl Connection {
    /// Properties of a librdkafka client, ours last so that they win.
    pub fn properties(&self) -> Vec<(String, Secret)> {
        let mut properties: Vec<(String, Secret)> =
            self.client.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut set = |key: &str, value: &str| properties.push((key.into(), Secret::new(value)));
        set("bootstrap.servers", &self.brokers.join(","));
        set("security.protocol", self.security.protocol.name());
        if self.security.protocol.is_tls() {
            set("ssl.endpoint.identification.algorithm", "https");
            match &self.security.ca {
                Some(ca) => set("ssl.ca.location", &ca.to_string_lossy()),
                // The TLS library is linked in and does not know where this system keeps its authorities.
                None => set("ssl.ca.location", "probe"),
            }
        }
        if let Some(identity) = &self.security.identity {
            set("ssl.certificate.location", &identity.cert.to_string_lossy());
            set("ssl.key.location", &identity.key.to_string_lossy());
            if let Some(password) = &identity.key_password {
                set("ssl.key.password", password.expose());
            }
        }
        if let Some(login) = &self.security.login {
            set("sasl.mechanism", login.mechanism.name());
            set("sasl.username", &login.user);
            set("sasl.password", login.password.expose());
        }
        properties
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.line {
            Some(line) => write!(f, "{path}:{line}: {}", self.message),
            None => write!(f, "{path}: {}", self.message),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
