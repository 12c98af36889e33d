//! A topic, a database and a folder of its own for one run with faults, on any Kafka and any ClickHouse.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use logmon_engine::sink::clickhouse::ddl;
use logmon_services::ClickHouse;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
    topic_partition_list::TopicPartitionListElem,
};

use super::oracle::{Promise, TABLES};
use crate::e2e::{
    engine_process::Engine, ledger::entry, lifecycle::RULES, project::create_topic, wait_for,
};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One run's own corner. The n-th event goes to partition n modulo their number, in order, so an event's place tells its number.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) dir: PathBuf,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) database: String,
    pub(crate) partitions: u64,
    /// The broker's own address, without a proxy.
    pub(crate) brokers: String,
    pub(crate) clickhouse: &'a ClickHouse,
}

/// How engines of a stage are set up.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The table's server, or what stands before it.
    pub(crate) url: String,
    /// Likewise.
    pub(crate) brokers: String,
    /// The byte budget in MiB.
    pub(crate) memory: u64,
    /// Lines for `[source.app]`.
    pub(crate) source: String,
    /// Lines for each ClickHouse sink.
    pub(crate) sink: String,
    /// What the sinks promise.
    pub(crate) promise: Promise,
}

impl<'a> Stage<'a> {
    /// An empty topic and empty tables.
    pub(crate) fn new(
        name: &str,
        brokers: &str,
        clickhouse: &'a ClickHouse,
        partitions: u64,
    ) -> Self {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("fault_{name}_{}_{count}", std::process::id());
        let dir = std::env::temp_dir().join(format!("logmon-{unique}"));
        fs::create_dir_all(dir.join("rules")).unwrap();
        let stage = Self {
            dir,
            topic: format!("{unique}.in"),
            group: unique.clone(),
            database: unique,
            partitions,
            brokers: brokers.to_owned(),
            clickhouse,
        };
        stage.rules(RULES);
        create_topic(brokers, &stage.topic, partitions as i32);
        stage.sql("CREATE DATABASE {db}");
        for table in ["logs", "errors"] {
            stage.sql(&ddl::logs(&stage.database, table));
        }
        stage.sql(&ddl::dead_letters(&stage.database, "dead_letters"));
        stage
    }

    /// Replaces the rules.
    pub(crate) fn rules(&self, text: &str) {
        self.write("rules/main.rules", text);
    }

    /// Puts a file into the folder, at once as a whole.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let target = self.dir.join(path);
        let fresh = target.with_extension("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, &target).unwrap();
    }

    /// What stands between nothing and nobody.
    pub(crate) fn plain(&self) -> Setup {
        Setup {
            url: self.clickhouse.url().to_owned(),
            brokers: self.brokers.clone(),
            memory: 64,
            source: String::new(),
            sink: String::new(),
            promise: Promise::usual(),
        }
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, setup: &Setup) {
        let Setup { url, brokers, memory, source, sink, promise } = setup;
        let delivery = promise.name();
        let (topic, group, database) = (&self.topic, &self.group, &self.database);
        let (user, password) = (self.clickhouse.user(), self.clickhouse.password());
        let mut text = format!(
            "[engine]\nmemory = \"{memory}MiB\"\nthreads = 2\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n\
             [source.app]\nkind = \"kafka\"\nbrokers = [\"{brokers}\"]\ntopics = [\"{topic}\"]\ngroup = \"{group}\"\nstart = \"earliest\"\n{source}\n\n"
        );
        for name in ["logs", "errors", "dlq"] {
            text.push_str(&format!(
                "[sink.{name}]\nkind = \"clickhouse\"\nurl = \"{url}\"\nuser = \"{user}\"\npassword = \"{password}\"\ndatabase = \"{database}\"\nbatch = {{ age = \"250ms\" }}\ndelivery = \"{delivery}\"\n{sink}\n\n"
            ));
        }
        text.push_str("[dead_letter]\nsink = \"dlq\"\n");
        self.write("logmon.toml", &text);
    }

    /// Starts an engine and waits until it listens.
    pub(crate) fn engine(&self, name: &str) -> Engine {
        self.engine_with(name, &[])
    }

    /// The same with these variables set.
    pub(crate) fn engine_with(&self, name: &str, variables: &[(&str, &str)]) -> Engine {
        let mut engine = Engine::start_in(&self.dir, name, variables);
        engine.listens();
        engine
    }

    /// Asks the server, past any proxy.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let sql = sql.replace("{db}", &self.database);
        self.clickhouse.query(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// One number; `None` while the server does not answer.
    pub(crate) fn ask(&self, sql: &str) -> Option<u64> {
        let sql = sql.replace("{db}", &self.database);
        self.clickhouse.query(&sql).ok()?.trim().parse().ok()
    }

    /// Where the events come from.
    pub(crate) fn feed(&self) -> Feed {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            // A broker that dies must neither lose nor repeat nor reorder: an event's offset is its number.
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "600000")
            .set("queue.buffering.max.messages", "500000")
            .create()
            .unwrap();
        let (topic, partitions) = (self.topic.clone(), self.partitions);
        Feed { producer, topic, partitions, sent: 0, event: |id| entry(id).0 }
    }

    /// Asserts that the topic holds exactly that many events.
    pub(crate) fn holds(&self, events: u64) {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let sum: i64 = (0..self.partitions as i32)
            .map(|partition| {
                let marks =
                    consumer.fetch_watermarks(&self.topic, partition, Duration::from_secs(30));
                marks.unwrap().1
            })
            .sum();
        assert_eq!(sum as u64, events, "the topic holds what was produced");
    }

    /// How far the group has committed, over all partitions; `None` while the broker does not say.
    pub(crate) fn committed(&self, asker: &BaseConsumer) -> Option<u64> {
        let mut all = TopicPartitionList::new();
        all.add_partition_range(&self.topic, 0, self.partitions as i32 - 1);
        let found = asker.committed_offsets(all, Duration::from_secs(3)).ok()?;
        let offset = |element: &TopicPartitionListElem<'_>| match element.offset() {
            Offset::Offset(offset) => offset as u64,
            _ => 0,
        };
        Some(found.elements().iter().map(offset).sum())
    }

    /// Who asks how far the group is, without being a member.
    pub(crate) fn asker(&self) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group)
            .set("reconnect.backoff.max.ms", "1000")
            .create()
            .unwrap()
    }

    /// How many partitions have an owner: what the engines' own pages say together.
    pub(crate) fn owned(engines: &[&Engine]) -> u64 {
        let held = |engine: &&Engine| {
            let (_, text) = engine.get("/metrics");
            let prefix = "logmon_source_offset{";
            text.lines().filter(|line| line.starts_with(prefix)).count() as u64
        };
        engines.iter().map(held).sum()
    }

    /// Waits until all of the first `events` have arrived somewhere; says what is missing if they do not.
    pub(crate) fn settle(&self, events: u64, seconds: u64) {
        let mut missing = Vec::new();
        let done = || {
            missing = TABLES
                .iter()
                .map(|table| {
                    let found = self.ask(&format!(
                        "SELECT uniqExact(kafka_partition, kafka_offset) FROM {{db}}.{}",
                        table.name
                    ));
                    table.expected(events).saturating_sub(found.unwrap_or(0))
                })
                .collect();
            missing.iter().all(|count| *count == 0)
        };
        let start = std::time::Instant::now();
        let mut done = done;
        while !done() {
            assert!(
                start.elapsed().as_secs() < seconds,
                "not within {seconds} s: of {events} events, missing in logs, errors, dead_letters: {missing:?}; {:?}",
                super::oracle::judge(self, events)
            );
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _gone = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A producer that knows what it sent.
pub(crate) struct Feed {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    partitions: u64,
    sent: u64,
    /// The payload of the n-th event.
    pub(crate) event: fn(u64) -> Option<Vec<u8>>,
}

impl Feed {
    /// Sends the next events; they are on their way when it returns.
    pub(crate) fn send(&mut self, count: u64) {
        for id in self.sent..self.sent + count {
            let payload = (self.event)(id);
            let partition = (id % self.partitions) as i32;
            let mut record = BaseRecord::<str, [u8]>::to(&self.topic).partition(partition);
            if let Some(payload) = &payload {
                record = record.payload(payload);
            }
            let mut record = Some(record);
            while let Some(next) = record.take() {
                if let Err((_, back)) = self.producer.send(next) {
                    record = Some(back);
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
        }
        self.sent += count;
    }

    /// Sends so many a second for so long; `disturb` is called in between with the time that is left.
    pub(crate) fn run(&mut self, rate: u64, time: Duration, mut disturb: impl FnMut(Duration)) {
        let start = std::time::Instant::now();
        let before = self.sent;
        while start.elapsed() < time {
            let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
            let sent = self.sent - before;
            if due > sent {
                self.send(due - sent);
            }
            disturb(time.saturating_sub(start.elapsed()));
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Waits until the broker has everything; returns how many there are.
    pub(crate) fn flush(&self) -> u64 {
        wait_for("the broker takes all events", 120, || {
            self.producer.flush(Duration::from_secs(5)).is_ok()
        });
        self.sent
    }

    /// How many were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }
}
