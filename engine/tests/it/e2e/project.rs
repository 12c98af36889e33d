//! A folder with rules and configuration, a topic and a database of its own.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};

use super::SERVERS;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One test's own corner of the servers and the disk.
pub(crate) struct Project {
    pub(crate) dir: PathBuf,
    pub(crate) topic: String,
    pub(crate) database: String,
    pub(crate) group: String,
}

impl Project {
    /// A folder with these rules, a topic with that many partitions, and an empty database.
    pub(crate) fn new(name: &str, partitions: i32, rules: &str) -> Self {
        let unique =
            format!("{name}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("logmon-{unique}"));
        fs::create_dir_all(dir.join("rules")).unwrap();
        let project =
            Self { topic: format!("{unique}.in"), database: unique.clone(), group: unique, dir };
        project.write("rules/main.rules", rules);
        create_topic(SERVERS.kafka.brokers(), &project.topic, partitions);
        project.sql(&format!("CREATE DATABASE {}", project.database));
        project
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, text: &str) {
        // As editors and deployments do: a new file takes the old one's place at once.
        let target = self.dir.join(path);
        let fresh = target.with_extension("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, &target).unwrap();
    }

    /// The usual configuration: one source, ClickHouse sinks, a dead letter; `more` is appended.
    pub(crate) fn configure(&self, sinks: &[&str], more: &str) {
        let url = SERVERS.clickhouse.url();
        let mut text = format!(
            "[engine]\nmemory = \"128MiB\"\nthreads = 2\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n[source.app]\nkind = \"kafka\"\nbrokers = [\"{}\"]\ntopics = [\"{}\"]\ngroup = \"{}\"\nstart = \"earliest\"\n\n",
            SERVERS.kafka.brokers(),
            self.topic,
            self.group,
        );
        for sink in sinks {
            let _ = write!(
                text,
                "[sink.{sink}]\nkind = \"clickhouse\"\nurl = \"{url}\"\ndatabase = \"{}\"\nbatch = {{ age = \"500ms\" }}\n\n",
                self.database
            );
        }
        text.push_str(more);
        self.write("logmon.toml", &text);
    }

    /// Runs SQL in the project's database.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let sql = sql.replace("{db}", &self.database);
        SERVERS.clickhouse.query(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// One number.
    pub(crate) fn count(&self, sql: &str) -> u64 {
        let text = self.sql(sql);
        text.trim().parse().unwrap_or_else(|_| panic!("{sql} gave {text}"))
    }

    /// The entry file.
    pub(crate) fn rules(&self) -> PathBuf {
        self.dir.join("rules/main.rules")
    }

    /// Produces payloads round the partitions; `None` is a null record. Returns when the broker has them all.
    pub(crate) fn produce<'a>(&self, payloads: impl IntoIterator<Item = Option<&'a [u8]>>) {
        produce(SERVERS.kafka.brokers(), &self.topic, payloads);
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _gone = fs::remove_dir_all(&self.dir);
        }
    }
}

pub(crate) fn create_topic(brokers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for outcome in runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap() {
        outcome.unwrap();
    }
}

/// Gives a topic that many partitions in all.
pub(crate) fn add_partitions(topic: &str, count: usize) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", SERVERS.kafka.brokers()).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let more = NewPartitions::new(topic, count);
    for outcome in runtime.block_on(admin.create_partitions([&more], &AdminOptions::new())).unwrap()
    {
        outcome.unwrap();
    }
}

pub(crate) fn produce<'a>(
    brokers: &str,
    topic: &str,
    payloads: impl IntoIterator<Item = Option<&'a [u8]>>,
) {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("message.max.bytes", "4000000")
        .set("queue.buffering.max.messages", "500000")
        .create::<ThreadedProducer<rdkafka::producer::DefaultProducerContext>>()
        .unwrap();
    for (index, payload) in payloads.into_iter().enumerate() {
        let key = index.to_string();
        let mut record: BaseRecord<'_, String, [u8]> = BaseRecord::to(topic).key(&key);
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        let mut record = Some(record);
        while let Some(next) = record.take() {
            if let Err((_, back)) = producer.send(next) {
                record = Some(back);
                std::thread::yield_now();
            }
        }
    }
    producer.flush(std::time::Duration::from_mins(1)).unwrap();
}

/// The DDL of the tables that tests write to: identity columns, and what the rules fill.
pub(crate) fn logs_table(project: &Project, name: &str) {
    project.sql(&logmon_engine::sink::clickhouse::ddl::logs(&project.database, name));
}

/// A folder's path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
