//! A real Kafka and a real ClickHouse with a topic, tables, and a folder with rules and configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use logmon_engine::sink::clickhouse::ddl;
use logmon_services::{ClickHouse, Kafka, KafkaOptions};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::{
    events::{Random, event},
    ledger::{Keeping, Ledger, is_kept},
    process,
    producer::{Manner, Producer, make_topic},
    program::{FEWER, ten_rules, with_rules},
};

/// The database of the tables.
pub const DATABASE: &str = "bench";
/// The topic.
pub const TOPIC: &str = "bench.events";
const SEED: u64 = 20_261_121;
const TABLES: [&str; 2] = ["logs", "errors"];
/// So long the servers are watched while nobody asks anything.
const IDLE: Duration = Duration::from_secs(4);
/// How long the broker may take to take what is still on its way.
const FLUSH: Duration = Duration::from_mins(2);

/// Merges go on after the last insert; so long is waited for the server to be done.
const MERGES: Duration = Duration::from_mins(2);

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Partitions of the topic.
    pub partitions: usize,
    /// How producers compress: `none`, `lz4`, `zstd`.
    pub codec: String,
    /// How the engine compresses blocks.
    pub compression: String,
    /// `[engine]` lines.
    pub engine: String,
    /// Lines of every `[sink.…]`.
    pub sink: String,
    /// Whether rows are stored. Otherwise only their places are, so that the engine is what limits.
    pub store: bool,
    /// Which rules run.
    pub keeping: Keeping,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            partitions: 4,
            codec: "lz4".to_owned(),
            compression: "lz4".to_owned(),
            engine: String::new(),
            sink: String::new(),
            store: true,
            keeping: Keeping::Ten,
        }
    }
}

/// Servers of our own; they end when this is dropped.
#[derive(Debug)]
pub struct Servers {
    /// The broker.
    pub kafka: Kafka,
    /// The database server.
    pub clickhouse: ClickHouse,
    /// How the run is made; what changes after the start counts from the next [`Servers::configure`] on.
    pub setting: Setting,
    folder: PathBuf,
    /// The engine's consumer group.
    group: String,
}

/// CPU seconds of both servers.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct ServerCpu {
    /// The broker's.
    pub kafka: f64,
    /// The database server's.
    pub clickhouse: f64,
}

impl ServerCpu {
    /// What came on top of an earlier count, less what the servers use when nobody asks anything.
    pub fn since(self, earlier: Self, idle: Self, seconds: f64) -> Self {
        Self {
            kafka: (self.kafka - earlier.kafka - idle.kafka * seconds).max(0.0),
            clickhouse: (self.clickhouse - earlier.clickhouse - idle.clickhouse * seconds).max(0.0),
        }
    }
}

impl Servers {
    /// Starts both, makes topic, tables, rules and configuration.
    pub fn start(setting: Setting) -> anyhow::Result<Self> {
        let kafka = Kafka::start_own(&KafkaOptions::throughput())?;
        let clickhouse = ClickHouse::start_own()?;
        let folder = std::env::temp_dir().join(format!("logmon-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let servers = Self { kafka, clickhouse, setting, folder, group: "bench-1".to_owned() };
        make_topic(servers.kafka.brokers(), TOPIC, servers.setting.partitions)?;
        servers.sql(&format!("CREATE DATABASE {DATABASE}"))?;
        servers.tables()?;
        let ten = fs::read_to_string(ten_rules())?;
        servers.rules(&match servers.setting.keeping {
            Keeping::Ten => ten,
            Keeping::Fewer => with_rules(&ten, FEWER)?,
        })?;
        servers.configure()?;
        Ok(servers)
    }

    /// Starts over with the same topic: empty tables, and a group that has read nothing.
    pub fn again(&mut self, group: &str) -> anyhow::Result<()> {
        for table in TABLES {
            if !self.setting.store {
                self.sql(&format!("DROP TABLE {DATABASE}.{table}_places SYNC"))?;
            }
            self.sql(&format!("DROP TABLE {DATABASE}.{table} SYNC"))?;
        }
        group.clone_into(&mut self.group);
        self.tables()?;
        self.configure()
    }

    /// Writes the configuration, as the setting is now.
    pub fn configure(&self) -> anyhow::Result<()> {
        Ok(fs::write(self.config(), self.configuration())?)
    }

    /// What both servers used so far.
    pub fn cpu(&self) -> ServerCpu {
        let of = |pid: Option<u32>| pid.map_or(0.0, process::cpu_seconds);
        ServerCpu { kafka: of(self.kafka.pid()), clickhouse: of(self.clickhouse.pid()) }
    }

    /// CPU seconds a second that both use when nobody asks anything.
    pub fn idle(&self) -> ServerCpu {
        let (start, before) = (Instant::now(), self.cpu());
        std::thread::sleep(IDLE);
        let (seconds, after) = (start.elapsed().as_secs_f64(), self.cpu());
        ServerCpu {
            kafka: (after.kafka - before.kafka) / seconds,
            clickhouse: (after.clickhouse - before.clickhouse) / seconds,
        }
    }

    /// Waits until no merge runs.
    pub fn settle(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut quiet = 0;
        while quiet < 20 && start.elapsed() < MERGES {
            quiet = if self.merges()? == 0 { quiet + 1 } else { 0 };
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Ok(())
    }

    /// A producer for the topic.
    pub fn producer(&self, linger_ms: u32) -> anyhow::Result<Producer> {
        let manner = Manner { codec: &self.setting.codec, linger_ms };
        Producer::new(self.kafka.brokers(), TOPIC, manner)
    }

    /// The entry file of the rules.
    pub fn entry(&self) -> PathBuf {
        self.folder.join("bench.rules")
    }

    /// `logmon.toml`.
    pub fn config(&self) -> PathBuf {
        self.folder.join("logmon.toml")
    }

    /// Where files of the run go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts rules in place, as editors and deployments do: a new file takes the old one's place at once.
    pub fn rules(&self, text: &str) -> anyhow::Result<()> {
        let fresh = self.folder.join("bench.rules.fresh");
        fs::write(&fresh, text)?;
        Ok(fs::rename(&fresh, self.entry())?)
    }

    /// Runs a statement.
    pub fn sql(&self, statement: &str) -> anyhow::Result<String> {
        self.clickhouse.query(statement).with_context(|| statement.to_owned())
    }

    /// The places of a table's rows, one `partition<tab>offset` line each.
    pub fn places(&self, table: &str) -> anyhow::Result<String> {
        let table = if self.setting.store { table.to_owned() } else { format!("{table}_places") };
        self.sql(&format!(
            "SELECT kafka_partition, kafka_offset FROM {DATABASE}.{table} FORMAT TSV"
        ))
    }

    /// How many merges run.
    pub fn merges(&self) -> anyhow::Result<u64> {
        Ok(self.sql("SELECT count() FROM system.merges FORMAT TSV")?.trim().parse()?)
    }

    /// How many records the engine's group has committed, over all partitions.
    pub fn committed(&self) -> anyhow::Result<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.brokers())
            .set("group.id", &self.group)
            .create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_range(TOPIC, 0, self.setting.partitions as i32 - 1);
        let list = consumer.committed_offsets(list, FLUSH)?;
        Ok(list
            .elements()
            .iter()
            .filter_map(|one| one.offset().to_raw())
            .filter(|offset| *offset > 0)
            .sum())
    }

    /// Produces events round the partitions and notes what must come of each; `go_on` is asked before every event. Returns when the broker has all.
    pub fn produce(&self, go_on: impl FnMut(usize) -> bool) -> anyhow::Result<Ledger> {
        let mut stream = Stream::new(self.setting.partitions, self.setting.keeping);
        stream.produce(&self.producer(20)?, go_on)?;
        Ok(stream.ledger)
    }

    fn tables(&self) -> anyhow::Result<()> {
        TABLES.iter().try_for_each(|table| self.table(table))
    }

    fn table(&self, name: &str) -> anyhow::Result<()> {
        let shipped = ddl::logs(DATABASE, name);
        if self.setting.store {
            return self.sql(&shipped).map(drop);
        }
        let (columns, _) =
            shipped.split_once("  INDEX").context("the shipped table has its indexes last")?;
        self.sql(&format!("{}) ENGINE = Null", columns.trim_end().trim_end_matches(',')))?;
        self.sql(&format!(
            "CREATE MATERIALIZED VIEW {DATABASE}.{name}_places ENGINE = MergeTree ORDER BY tuple() \
             AS SELECT kafka_partition, kafka_offset FROM {DATABASE}.{name}"
        ))?;
        Ok(())
    }

    fn configuration(&self) -> String {
        // The events carry one day's times: they are taken whatever the clock says.
        let sink = |name: &str| {
            format!(
                "[sink.{name}]\nkind = \"clickhouse\"\nurl = \"{}\"\ndatabase = \"{DATABASE}\"\nuser = \"{}\"\npassword = \"{}\"\n\
                 compression = \"{}\"\naccept_time = {{ past = \"9000d\", future = \"9000d\" }}\n{}\n\n",
                self.clickhouse.url(),
                self.clickhouse.user(),
                self.clickhouse.password(),
                self.setting.compression,
                self.setting.sink,
            )
        };
        format!(
            "[engine]\n{}\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n\
             [source.app]\nkind = \"kafka\"\nbrokers = [\"{}\"]\ntopics = [\"{TOPIC}\"]\ngroup = \"{}\"\nstart = \"earliest\"\n\n{}{}",
            self.setting.engine,
            self.kafka.brokers(),
            self.group,
            sink("logs"),
            sink("errors"),
        )
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// The events in their order, and what must come of those that were sent.
#[derive(Debug)]
pub struct Stream {
    random: Random,
    next: usize,
    keeping: Keeping,
    /// What must come of them.
    pub ledger: Ledger,
}

impl Stream {
    /// From the first event on.
    pub fn new(partitions: usize, keeping: Keeping) -> Self {
        Self { random: Random::new(SEED), next: 0, keeping, ledger: Ledger::new(partitions) }
    }

    /// Sends on, round the partitions; `go_on` is asked before every event. Returns when the broker has all.
    pub fn produce(
        &mut self,
        producer: &Producer,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> anyhow::Result<()> {
        while go_on(self.next) {
            let text = event(&mut self.random, self.next);
            let partition = self.next % self.ledger.partitions();
            producer.send(partition, text.as_bytes())?;
            self.ledger.note(partition, is_kept(&text, self.keeping)?);
            self.next += 1;
        }
        producer.flush()
    }
}
