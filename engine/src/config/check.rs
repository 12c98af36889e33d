//! [`RawConfig`] to [`Config`]: everything that is wrong, at once, one sentence each.

mod lookup;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    AcceptTime, ClickHouseSink, Config, ConfigError, Connection, DeadLetter, Engine, Http,
    Identity, KafkaSink, Login, Problem, Secret, Security, Sink, SinkKind, Source, Start, Topics,
    machine,
    raw::{
        self, Delivery, Mechanism, Protocol, RawConfig, RawDeadLetter, RawEngine, RawHttp,
        RawSecurity, RawSink, RawSource,
    },
    read::{Places, key_text, nearest},
};

/// Only this machine sees metrics and status until somebody decides otherwise.
const LISTEN: &str = "127.0.0.1:8686";
/// The consumer group where a source names none.
const GROUP: &str = "logmon";
/// 1 MiB, Kafka's own default for a message.
const RECORD_BYTES: u64 = 1 << 20;
/// The scanner's offsets into a batch are 32 bits wide and a batch holds at least one whole record.
const RECORD_BYTES_MAX: u64 = 64 << 20;
/// One minute: a server that needs longer for a block is not well, and Kafka's session outlives it.
const SINK_TIMEOUT: Duration = Duration::from_mins(1);
/// Half of Kafka's `max.poll.interval.ms`: an insert must have ended before a lane counts as stuck.
const SINK_TIMEOUT_MAX: Duration = Duration::from_secs(150);
/// 400 days: a year of late archives, and then some.
const ACCEPT_PAST: Duration = Duration::from_hours(400 * 24);
/// One day: every time zone mistake fits in it.
const ACCEPT_FUTURE: Duration = Duration::from_hours(24);
/// Threads beyond this only wait for each other.
const THREADS_MAX: u32 = 1024;

/// librdkafka properties that load code, run commands or fetch addresses.
const CLIENT_REFUSED: [&str; 5] = [
    "plugin.library.paths",
    "sasl.kerberos.kinit.cmd",
    "ssl.engine.location",
    "ssl.providers",
    "sasl.oauthbearer.token.endpoint.url",
];

/// librdkafka properties that have a key of their own here, and that key.
const CLIENT_NAMED: [(&str, &str); 13] = [
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("group.id", "group"),
    ("auto.offset.reset", "start"),
    ("security.protocol", "security.protocol"),
    ("ssl.ca.location", "security.ca"),
    ("ssl.certificate.location", "security.cert"),
    ("ssl.key.location", "security.key"),
    ("ssl.key.password", "security.key_password"),
    ("sasl.mechanism", "security.mechanism"),
    ("sasl.mechanisms", "security.mechanism"),
    ("sasl.username", "security.user"),
    ("sasl.password", "security.password"),
];

/// librdkafka properties on which delivery depends.
const CLIENT_OURS: [&str; 6] = [
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "partition.assignment.strategy",
    "isolation.level",
    "allow.auto.create.topics",
];

/// Checks a raw configuration; `problems` are those already found.
pub(super) fn check(
    raw: RawConfig,
    path: &Path,
    places: &Places,
    problems: Vec<Problem>,
) -> Result<Config, ConfigError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let mut check = Check { path: path.clone(), folder, places, problems };
    let engine = check.engine(raw.engine);
    let http = check.http(&raw.http);
    let sources = named(raw.source, |name, source| check.source(name, source));
    let declared: Vec<String> = raw.sink.keys().cloned().collect();
    let sinks = named(raw.sink, |name, sink| check.sink(name, sink));
    let lookups = named(raw.lookup, |name, lookup| check.lookup(name, lookup));
    let dead_letter = raw.dead_letter.and_then(|dead| check.dead_letter(dead, &sinks, &declared));
    let mut problems = check.problems;
    if problems.is_empty() {
        let config = Config { path, engine, http, sources, sinks, lookups, dead_letter };
        return Ok(config);
    }
    problems.sort_by_key(|problem| problem.line);
    Err(ConfigError { problems })
}

/// Checks each entry of a `[kind.NAME]` table; those that are wrong have said so and are left out.
fn named<R, T>(
    raw: BTreeMap<String, R>,
    mut check: impl FnMut(&str, R) -> Option<T>,
) -> BTreeMap<Arc<str>, T> {
    raw.into_iter()
        .filter_map(|(name, entry)| Some((Arc::from(name.as_str()), check(&name, entry)?)))
        .collect()
}

struct Check<'a> {
    path: PathBuf,
    folder: PathBuf,
    places: &'a Places,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Records that a key is wrong; the sentence begins with the key.
    fn wrong(&mut self, key: &[&str], sentence: &str) {
        if self.places.is_meant(key) {
            return;
        }
        self.problems.push(Problem {
            path: self.path.clone(),
            line: self.places.line(key),
            message: format!("{} {sentence}", key_text(key)),
        });
    }

    fn file(&self, path: PathBuf) -> PathBuf {
        self.folder.join(path)
    }

    fn engine(&mut self, raw: RawEngine) -> Engine {
        let memory = raw.memory.map_or_else(machine::memory_default, |size| size.0);
        if memory < machine::MEMORY_MIN {
            self.wrong(
                &["engine", "memory"],
                "must be at least 32MiB, to hold a batch and a block",
            );
        }
        let threads = match raw.threads {
            None => machine::threads_default(),
            Some(threads) if (1..=THREADS_MAX).contains(&threads) => threads as usize,
            Some(_) => {
                self.wrong(&["engine", "threads"], "must lie between 1 and 1024");
                1
            }
        };
        let state_dir = self.file(raw.state_dir.unwrap_or_else(|| ".logmon".into()));
        Engine { memory, threads, state_dir, bundle_topic: raw.bundle_topic }
    }

    fn http(&mut self, raw: &RawHttp) -> Http {
        let text = raw.listen.as_deref().unwrap_or(LISTEN);
        let listen = text.parse().unwrap_or_else(|_| {
            self.wrong(
                &["http", "listen"],
                &format!("must be an address with a port such as {LISTEN}, not `{text}`"),
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        });
        Http { listen }
    }

    fn source(&mut self, name: &str, raw: RawSource) -> Option<Source> {
        let key = |last| ["source", name, last];
        let before = self.problems.len();
        if raw.kind.is_none() {
            self.wrong(&key("kind"), "is missing; write kind = \"kafka\"");
        }
        let connection = self.connection(&["source", name], &raw.brokers, raw.security, raw.client);
        let topics = match (raw.topics.is_empty(), raw.topic_pattern) {
            (false, None) => {
                if raw.topics.iter().any(|topic| !is_topic(topic)) {
                    self.wrong(&key("topics"), TOPIC_RULE);
                }
                Topics::Names(raw.topics)
            }
            (true, Some(pattern)) => {
                if let Err(error) = regex::Regex::new(&pattern) {
                    let reason = error.to_string();
                    let reason = reason.lines().last().unwrap_or_default();
                    self.wrong(
                        &key("topic_pattern"),
                        &format!("is not a regular expression: {reason}"),
                    );
                }
                // librdkafka takes a name for a pattern only when it begins so.
                let anchored = pattern.starts_with('^');
                Topics::Pattern(if anchored { pattern } else { format!("^({pattern})$") })
            }
            (true, None) => {
                self.wrong(
                    &key("topics"),
                    "is missing; name at least one topic, or a topic_pattern",
                );
                Topics::Names(Vec::new())
            }
            (false, Some(_)) => {
                self.wrong(&key("topic_pattern"), "cannot stand beside `topics`; keep one of them");
                Topics::Names(Vec::new())
            }
        };
        let max_record_bytes = raw.max_record_bytes.map_or(RECORD_BYTES, |size| size.0);
        if !(1..=RECORD_BYTES_MAX).contains(&max_record_bytes) {
            self.wrong(&key("max_record_bytes"), "must lie between 1 byte and 64MiB");
        }
        let group = raw.group.unwrap_or_else(|| GROUP.into());
        if group.is_empty() {
            self.wrong(&key("group"), "must not be empty; leave it out for `logmon`");
        }
        (self.problems.len() == before).then(|| Source {
            name: name.into(),
            connection,
            topics,
            group,
            start: raw.start.unwrap_or(Start::Earliest),
            decode: raw.decode,
            on_empty: raw.on_empty,
            on_corrupt: raw.on_corrupt,
            on_fault: raw.on_fault,
            max_record_bytes: max_record_bytes as usize,
        })
    }

    fn connection(
        &mut self,
        at: &[&str; 2],
        brokers: &[String],
        security: RawSecurity,
        client: BTreeMap<String, Secret>,
    ) -> Connection {
        let brokers: Vec<String> = brokers
            .iter()
            .flat_map(|text| text.split(','))
            .map(|broker| broker.trim().to_owned())
            .filter(|broker| !broker.is_empty())
            .collect();
        let [kind, name] = *at;
        let key = [kind, name, "brokers"];
        if brokers.is_empty() {
            self.wrong(&key, "is missing; name at least one broker such as \"kafka:9092\"");
        }
        for broker in &brokers {
            let port = broker.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if port.is_none() {
                self.wrong(&key, &format!("needs host:port, not `{broker}`"));
            }
        }
        for property in client.keys() {
            let key = [kind, name, "client", property];
            let named = CLIENT_NAMED.iter().find(|(known, _)| known == property);
            if CLIENT_REFUSED.contains(&property.as_str()) {
                self.wrong(&key, "is refused, because it loads code or contacts other hosts");
            } else if let Some((_, own)) = named {
                self.wrong(&key, &format!("has its own key here: `{own}`"));
            } else if CLIENT_OURS.contains(&property.as_str()) {
                self.wrong(&key, "is set by the engine, because delivery depends on it");
            }
        }
        Connection { brokers, security: self.security(at, security), client }
    }

    fn security(&mut self, at: &[&str; 2], raw: RawSecurity) -> Security {
        let [kind, name] = *at;
        let key = |last| [kind, name, "security", last];
        let wants_login = raw.mechanism.is_some() || raw.user.is_some() || raw.password.is_some();
        let wants_tls = raw.ca.is_some() || raw.cert.is_some() || raw.key.is_some();
        let protocol = raw.protocol.unwrap_or(match (wants_login, wants_tls) {
            (true, _) => Protocol::SaslSsl,
            (false, true) => Protocol::Ssl,
            (false, false) => Protocol::Plaintext,
        });
        if wants_tls && !protocol.is_tls() {
            self.wrong(
                &key("protocol"),
                "has no TLS, but a certificate is given; use \"ssl\" or \"sasl_ssl\"",
            );
        }
        if wants_login && !protocol.is_sasl() {
            self.wrong(&key("protocol"), "has no login, but a user is given; use \"sasl_ssl\"");
        }
        let login = match (protocol.is_sasl(), raw.user, raw.password) {
            (true, Some(user), Some(password)) => {
                let mechanism = raw.mechanism.unwrap_or(Mechanism::ScramSha512);
                Some(Login { mechanism, user, password })
            }
            (true, None, _) => {
                self.wrong(&key("user"), "is missing, and the protocol asks for a login");
                None
            }
            (true, Some(_), None) => {
                self.wrong(&key("password"), "is missing, and the protocol asks for a login");
                None
            }
            (false, _, _) => None,
        };
        let identity = match (raw.cert, raw.key) {
            (Some(cert), Some(private)) => Some(Identity {
                cert: self.file(cert),
                key: self.file(private),
                key_password: raw.key_password,
            }),
            (Some(_), None) => {
                self.wrong(&key("key"), "is missing; a certificate needs its private key");
                None
            }
            (None, Some(_)) => {
                self.wrong(&key("cert"), "is missing; a private key needs its certificate");
                None
            }
            (None, None) => None,
        };
        let ca = raw.ca.map(|path| self.file(path));
        self.readable(&key("ca"), ca.as_deref());
        self.readable(&key("cert"), identity.as_ref().map(|identity| identity.cert.as_path()));
        self.readable(&key("key"), identity.as_ref().map(|identity| identity.key.as_path()));
        Security { protocol, ca, identity, login }
    }

    /// A file that a key names must be there: the client library's own complaint would not name the key.
    fn readable(&mut self, key: &[&str], path: Option<&Path>) {
        if let Some(path) = path
            && let Err(error) = std::fs::File::open(path)
        {
            self.wrong(key, &format!("cannot be read: {}: {error}", path.display()));
        }
    }

    fn sink(&mut self, name: &str, raw: RawSink) -> Option<Sink> {
        let key = |last| ["sink", name, last];
        let before = self.problems.len();
        let timeout = raw.timeout.map_or(SINK_TIMEOUT, |wait| wait.0);
        if timeout.is_zero() || timeout > SINK_TIMEOUT_MAX {
            self.wrong(
                &key("timeout"),
                "must lie between 1ms and 150s, below Kafka's session limits",
            );
        }
        let delivery = raw.delivery;
        if delivery == Some(Delivery::ExactlyOnce) && raw.kind == Some(raw::SinkKind::Kafka) {
            self.wrong(
                &key("delivery"),
                "= \"exactly-once\" is for ClickHouse tables; a topic gets records at least once",
            );
        }
        let compression = raw.compression;
        let kind = match raw.kind {
            None => {
                self.wrong(&key("kind"), "is missing; write \"clickhouse\" or \"kafka\"");
                None
            }
            Some(raw::SinkKind::ClickHouse) => {
                self.foreign(
                    "sink",
                    name,
                    "clickhouse",
                    &[
                        ("brokers", !raw.brokers.is_empty()),
                        ("topic", raw.topic.is_some()),
                        ("security", raw.security.is_some()),
                        ("client", !raw.client.is_empty()),
                    ],
                );
                Some(SinkKind::ClickHouse(self.clickhouse(name, raw)))
            }
            Some(raw::SinkKind::Kafka) => {
                self.foreign(
                    "sink",
                    name,
                    "kafka",
                    &[
                        ("url", raw.url.is_some()),
                        ("urls", !raw.urls.is_empty()),
                        ("errors", !raw.errors.is_empty()),
                        ("database", raw.database.is_some()),
                        ("table", raw.table.is_some()),
                        ("user", raw.user.is_some()),
                        ("password", raw.password.is_some()),
                        ("ca", raw.ca.is_some()),
                        ("batch", raw.batch.is_some()),
                        ("on_absent", raw.on_absent.is_some()),
                        ("accept_time", raw.accept_time.is_some()),
                        ("rest", raw.rest.is_some()),
                        ("columns", !raw.columns.is_empty()),
                    ],
                );
                let connection = self.connection(
                    &["sink", name],
                    &raw.brokers,
                    raw.security.unwrap_or_default(),
                    raw.client,
                );
                let topic = raw.topic.unwrap_or_default();
                if !is_topic(&topic) {
                    self.wrong(&key("topic"), TOPIC_RULE);
                }
                Some(SinkKind::Kafka(KafkaSink { connection, topic }))
            }
        };
        let kind = kind.filter(|_| self.problems.len() == before)?;
        Some(Sink { name: name.into(), delivery, compression, timeout, kind })
    }

    fn clickhouse(&mut self, name: &str, raw: RawSink) -> ClickHouseSink {
        let key = |last| ["sink", name, last];
        let example = "http://localhost:8123";
        if !raw.urls.is_empty() && raw.url.is_some() {
            self.wrong(&key("urls"), "stands beside `url`; write all servers into `urls`");
        }
        let urls = if raw.urls.is_empty() {
            vec![self.address(&key("url"), raw.url, example)]
        } else {
            let urls = raw.urls.into_iter();
            urls.map(|url| self.address(&key("urls"), Some(url), example)).collect()
        };
        for (last, value) in [
            ("database", &raw.database),
            ("table", &raw.table),
            ("user", &raw.user),
            ("rest", &raw.rest),
        ] {
            if value.as_ref().is_some_and(String::is_empty) {
                self.wrong(&key(last), "must not be empty; leave it out for the default");
            }
        }
        let batch = raw.batch.unwrap_or_default();
        if !(1..=10_000_000).contains(&batch.rows) {
            self.wrong(&["sink", name, "batch", "rows"], "must lie between 1 and 10000000");
        }
        if !(64 << 10..=1 << 30).contains(&batch.bytes.0) {
            self.wrong(&["sink", name, "batch", "bytes"], "must lie between 64KiB and 1GiB");
        }
        if batch.age.0.is_zero() || batch.age.0 > Duration::from_hours(1) {
            self.wrong(&["sink", name, "batch", "age"], "must lie between 1ms and 1h");
        }
        for (column, path) in &raw.columns {
            if !is_path(path) {
                self.wrong(
                    &["sink", name, "columns", column],
                    &format!("must be a path such as \".http.user_agent\", not \"{path}\""),
                );
            }
        }
        let accept = raw.accept_time.unwrap_or_default();
        let ca = raw.ca.map(|path| self.file(path));
        self.readable(&key("ca"), ca.as_deref());
        ClickHouseSink {
            urls,
            database: raw.database.unwrap_or_else(|| "default".into()),
            table: raw.table,
            user: raw.user.unwrap_or_else(|| "default".into()),
            password: raw.password.unwrap_or_else(|| Secret::new("")),
            ca,
            batch,
            errors: raw.errors,
            on_absent: raw.on_absent,
            accept_time: AcceptTime {
                past: accept.past.map_or(ACCEPT_PAST, |wait| wait.0),
                future: accept.future.map_or(ACCEPT_FUTURE, |wait| wait.0),
            },
            rest: raw.rest,
            columns: raw.columns,
        }
    }

    /// Keys that belong to another kind of the same table.
    fn foreign(&mut self, table: &str, name: &str, kind: &str, keys: &[(&str, bool)]) {
        for (key, given) in keys {
            if *given {
                self.wrong(&[table, name, key], &format!("does not belong to kind = \"{kind}\""));
            }
        }
    }

    fn address(&mut self, key: &[&str], url: Option<String>, example: &str) -> String {
        let Some(url) = url else {
            self.wrong(key, &format!("is missing; write one such as \"{example}\""));
            return String::new();
        };
        // A key's place is no part of an address as the parser knows it.
        let parsed = url.replace("{key}", "key").parse::<hyper::Uri>().ok();
        let fine = parsed.as_ref().is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        let login = parsed
            .as_ref()
            .and_then(hyper::Uri::authority)
            .is_some_and(|authority| authority.as_str().contains('@'));
        if login {
            self.wrong(key, "must not hold a login; use the keys `user` and `password`");
        } else if !fine {
            // The text itself stays unsaid: addresses are where people put passwords.
            self.wrong(key, &format!("must be an address such as \"{example}\""));
        }
        url.trim_end_matches('/').to_owned()
    }

    fn dead_letter(
        &mut self,
        raw: RawDeadLetter,
        sinks: &BTreeMap<Arc<str>, Sink>,
        declared: &[String],
    ) -> Option<DeadLetter> {
        let key = ["dead_letter", "sink"];
        let Some(sink) = raw.sink else {
            self.wrong(&key, "is missing; name the [sink.NAME] that takes dead letters");
            return None;
        };
        if !declared.contains(&sink) {
            let near = nearest(&sink, declared.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            self.wrong(&key, &format!("names \"{sink}\", but there is no [sink.{sink}]{hint}"));
        }
        if raw.topic.as_ref().is_some_and(|topic| !is_topic(topic)) {
            self.wrong(&["dead_letter", "topic"], TOPIC_RULE);
        }
        let (name, _) = sinks.get_key_value(sink.as_str())?;
        Some(DeadLetter { sink: name.clone(), topic: raw.topic })
    }
}

/// What Kafka allows as a topic's name.
const TOPIC_RULE: &str =
    "must be a topic name: 1 to 249 letters, digits, dots, dashes or underscores";

fn is_topic(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=249).contains(&name.len()) && name.chars().all(letter) && !matches!(name, "." | "..")
}

fn is_path(text: &str) -> bool {
    text.strip_prefix('.').is_some_and(|rest| rest.split('.').all(|part| !part.is_empty()))
}
